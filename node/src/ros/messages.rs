//! Answers and maps in, ROS messages out.

use anyhow::Result;
use nalgebra::Isometry3;
use r2r::builtin_interfaces::msg::{Duration, Time};
use r2r::geometry_msgs::msg::{Point, Pose, PoseStamped, PoseWithCovariance, Quaternion, Vector3};
use r2r::sensor_msgs::msg::{CompressedImage, PointCloud2, PointField};
use r2r::std_msgs::msg::{ColorRGBA, Header};
use r2r::vantage_interfaces::msg::Answer as AnswerMessage;
use r2r::vantage_interfaces::srv::GetViews;
use r2r::vision_msgs::msg::{BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose};
use r2r::visualization_msgs::msg::{Marker, MarkerArray};
use vantage_model::{Answer, Grounding, ViewChoice, ViewId};
use vantage_node::sink::bag::{JPEG_FORMAT, jpeg};
use vantage_node::wire;
use vantage_scene::{Keyframe, NextBestView, OrientedBox, PointCloud, StampNanos};

/// Bytes of a point: x, y, z, rgb.
const POINT_STEP: usize = 16;
/// Namespace of the markers.
const MARKER_NAMESPACE: &str = "vantage";
/// Height of a marker's text, metres.
const TEXT_HEIGHT_M: f64 = 0.12;
/// Where the model does not tell how likely the scene shows what was asked about.
const UNKNOWN_CONFIDENCE: f32 = -1.0;
/// MAP_VIEW of Answer.msg and GetViews.srv.
const MAP_VIEW: u32 = u32::MAX;
/// How much of a marker's box is seen through.
const BOX_OPACITY: f32 = 0.35;

/// A header in the global frame.
pub(crate) fn header(frame_id: &str, stamp: StampNanos) -> Header {
    let wire::Time { sec, nanosec } = wire::Time::from_nanos(stamp);
    Header { stamp: Time { sec, nanosec }, frame_id: frame_id.to_owned() }
}

/// A cloud with fields x, y, z (metres, float32) and rgb (0x00RRGGBB in a float32, as PCL and RViz read it).
pub(crate) fn point_cloud(cloud: &PointCloud, header: Header) -> PointCloud2 {
    let field = |name: &str, offset: usize| PointField {
        name: name.to_owned(),
        offset: offset as u32,
        datatype: PointField::FLOAT32 as u8,
        count: 1,
    };
    let mut data = Vec::with_capacity(cloud.len() * POINT_STEP);
    for (position, [r, g, b]) in cloud.positions.iter().zip(&cloud.colors) {
        for x in position {
            data.extend(x.to_le_bytes());
        }
        data.extend([*b, *g, *r, 0]);
    }
    PointCloud2 {
        header,
        height: 1,
        width: cloud.len() as u32,
        fields: vec![field("x", 0), field("y", 4), field("z", 8), field("rgb", 12)],
        is_bigendian: false,
        point_step: POINT_STEP as u32,
        row_step: (POINT_STEP * cloud.len()) as u32,
        data,
        is_dense: true,
    }
}

/// A pose on the floor, x where the robot is headed.
pub(crate) fn floor_pose(view: &NextBestView, header: &Header) -> PoseStamped {
    let place = OrientedBox { center: view.position, size: [0.0; 3], yaw: view.yaw };
    PoseStamped { header: header.clone(), pose: pose(&place) }
}

/// The boxes of an answer.
pub(crate) fn detections(answer: &Answer, header: &Header) -> Detection3DArray {
    let detections = answer.boxes.iter().map(|b| detection(b, header)).collect();
    Detection3DArray { header: header.clone(), detections }
}

fn detection(found: &Grounding, header: &Header) -> Detection3D {
    let center = pose(&found.bbox);
    let result = ObjectHypothesisWithPose {
        hypothesis: ObjectHypothesis { class_id: found.label.clone(), score: f64::from(found.score) },
        // the array is of fixed length in the message
        pose: PoseWithCovariance { pose: center.clone(), covariance: vec![0.0; 36] },
    };
    Detection3D {
        header: header.clone(),
        results: vec![result],
        bbox: BoundingBox3D { center, size: vector(found.bbox.size) },
        id: found.id.clone(),
    }
}

/// The same boxes for RViz, replacing those of the answer before.
pub(crate) fn markers(answer: &Answer, header: &Header) -> MarkerArray {
    let clear = Marker { header: header.clone(), action: Marker::DELETEALL as i32, ..upright() };
    let mut markers = vec![clear];
    for (i, found) in answer.boxes.iter().enumerate() {
        let color = color_of(&found.id);
        let shared =
            Marker { header: header.clone(), ns: MARKER_NAMESPACE.to_owned(), action: Marker::ADD as i32, ..upright() };
        markers.push(Marker {
            id: 2 * i as i32,
            type_: Marker::CUBE as i32,
            pose: pose(&found.bbox),
            scale: vector(found.bbox.size),
            color: ColorRGBA { a: BOX_OPACITY, ..color.clone() },
            ..shared.clone()
        });
        let above = OrientedBox {
            center: [
                found.bbox.center[0],
                found.bbox.center[1],
                found.bbox.center[2] + found.bbox.size[2] / 2.0 + TEXT_HEIGHT_M,
            ],
            ..found.bbox
        };
        markers.push(Marker {
            id: 2 * i as i32 + 1,
            type_: Marker::TEXT_VIEW_FACING as i32,
            pose: pose(&above),
            scale: vector([0.0, 0.0, TEXT_HEIGHT_M]),
            color,
            text: format!("{} {:.2}", found.label, found.score),
            ..shared
        });
    }
    MarkerArray { markers }
}

/// The whole answer.
pub(crate) fn answer(answer: &Answer, model: &str, header: Header) -> AnswerMessage {
    let point = |[x, y, z]: [f64; 3]| Point { x, y, z };
    AnswerMessage {
        question: answer.question.clone(),
        error_text: String::new(),
        answer: answer.answer.clone(),
        reasoning: answer.reasoning.clone(),
        grammar_valid: answer.grammar_valid,
        model: model.to_owned(),
        detections: detections(answer, &header),
        keyframes: answer.views.iter().map(|view| keyframe_number(view.view)).collect(),
        confidence: answer.confidence.unwrap_or(UNKNOWN_CONFIDENCE),
        utilities: answer.views.iter().map(|view| view.scores.utility).collect(),
        bounds_min: point(answer.bounds.min),
        bounds_max: point(answer.bounds.max),
        select_time: duration(answer.latency.select_ms),
        encode_time: duration(answer.latency.encode_ms),
        first_token_time: duration(answer.latency.first_token_ms),
        total_time: duration(answer.latency.total_ms),
        header,
    }
}

/// The answer to a question that could not be answered.
pub(crate) fn no_answer(question: &str, error_text: String, model: &str, header: Header) -> AnswerMessage {
    AnswerMessage {
        header,
        question: question.to_owned(),
        error_text,
        model: model.to_owned(),
        confidence: UNKNOWN_CONFIDENCE,
        ..AnswerMessage::default()
    }
}

/// A keyframe's id, or what stands for a view of the map.
fn keyframe_number(view: ViewId) -> u32 {
    view.keyframe().unwrap_or(MAP_VIEW)
}

/// Views, with their poses and, if asked for, pictures; those whose keyframe is gone are left out.
pub(crate) fn views(
    choice: &ViewChoice,
    keyframes: &[Keyframe],
    with_images: bool,
    header: &Header,
) -> Result<GetViews::Response> {
    let mut out = GetViews::Response { success: true, header: header.clone(), ..GetViews::Response::default() };
    for view in &choice.chosen {
        let Some(frame) = view.view.frame(keyframes, &choice.map_views) else { continue };
        let stamp = self::header(&header.frame_id, frame.stamp).stamp;
        if with_images {
            out.images.push(CompressedImage {
                header: Header { stamp: stamp.clone(), frame_id: header.frame_id.clone() },
                format: JPEG_FORMAT.to_owned(),
                data: jpeg(&frame.color)?,
            });
        }
        out.keyframes.push(keyframe_number(view.view));
        out.utilities.push(view.scores.utility);
        out.text_scores.push(view.scores.text);
        out.image_scores.push(view.scores.image);
        out.clip_scores.push(view.scores.clip);
        out.stamps.push(stamp);
        out.poses.push(camera_pose(&frame.world_from_camera));
    }
    Ok(out)
}

/// Why there are no views.
pub(crate) fn no_views(message: String, header: Header) -> GetViews::Response {
    GetViews::Response { success: false, message, header, ..GetViews::Response::default() }
}

fn camera_pose(world_from_camera: &Isometry3<f64>) -> Pose {
    let (t, q) = (world_from_camera.translation.vector, world_from_camera.rotation.coords);
    Pose { position: Point { x: t.x, y: t.y, z: t.z }, orientation: Quaternion { x: q.x, y: q.y, z: q.z, w: q.w } }
}

fn duration(ms: f64) -> Duration {
    let nanos = (ms.max(0.0) * 1e6) as i64;
    Duration { sec: (nanos / 1_000_000_000) as i32, nanosec: (nanos % 1_000_000_000) as u32 }
}

fn pose(b: &OrientedBox) -> Pose {
    let [x, y, z] = b.center;
    let (sin, cos) = (b.yaw / 2.0).sin_cos();
    Pose { position: Point { x, y, z }, orientation: Quaternion { x: 0.0, y: 0.0, z: sin, w: cos } }
}

fn vector([x, y, z]: [f64; 3]) -> Vector3 {
    Vector3 { x, y, z }
}

/// A marker whose pose is a rotation, as RViz asks for even where it does not matter.
fn upright() -> Marker {
    let mut marker = Marker::default();
    marker.pose.orientation.w = 1.0;
    marker
}

/// A bright colour that stays with an object's id.
fn color_of(id: &str) -> ColorRGBA {
    let hash = id.bytes().fold(0_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    let hue = hash.wrapping_mul(2_654_435_769) as f32 / u32::MAX as f32 * 6.0;
    let part = |shift: f32| (((hue + shift) % 6.0 - 3.0).abs() - 1.0).clamp(0.15, 1.0);
    ColorRGBA { r: part(0.0), g: part(4.0), b: part(2.0), a: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vantage_model::{Latency, SelectedView};
    use vantage_scene::{Aabb, ViewScores};

    fn an_answer() -> Answer {
        let bbox = OrientedBox { center: [1.0, 2.0, 0.5], size: [0.4, 0.6, 1.0], yaw: std::f64::consts::FRAC_PI_2 };
        Answer {
            question: "where?".into(),
            answer: "here".into(),
            reasoning: "because".into(),
            raw: String::new(),
            grammar_valid: true,
            views: vec![SelectedView::keyframe(7, ViewScores { utility: 0.5, ..ViewScores::default() })],
            candidates: Vec::new(),
            map_views: Vec::new(),
            confidence: None,
            interest: Vec::new(),
            boxes: vec![Grounding { id: "chair_1".into(), label: "chair".into(), bbox, score: 0.75 }],
            bounds: Aabb { min: [0.0; 3], max: [4.0, 3.0, 2.0] },
            latency: Latency { total_ms: 1500.25, ..Latency::default() },
        }
    }

    #[test]
    fn a_box_keeps_centre_size_yaw_and_name() {
        let message = answer(&an_answer(), "nano", header("odom", -1));
        assert_eq!((message.header.stamp.sec, message.header.stamp.nanosec), (-1, 999_999_999));
        let found = &message.detections.detections[0];
        assert_eq!((found.id.as_str(), found.header.frame_id.as_str()), ("chair_1", "odom"));
        let result = &found.results[0];
        assert_eq!((result.hypothesis.class_id.as_str(), result.hypothesis.score), ("chair", 0.75));
        assert_eq!(result.pose.pose, found.bbox.center);
        assert_eq!(result.pose.covariance.len(), 36);
        let (q, size) = (&found.bbox.center.orientation, &found.bbox.size);
        assert!((2.0 * q.z.atan2(q.w) - std::f64::consts::FRAC_PI_2).abs() < 1e-12);
        assert_eq!((size.x, size.y, size.z), (0.4, 0.6, 1.0));
        assert_eq!((message.keyframes, message.total_time.nanosec), (vec![7], 500_250_000));
    }

    #[test]
    fn markers_replace_those_before() {
        let array = markers(&an_answer(), &header("odom", 0));
        let kinds: Vec<(i32, i32)> = array.markers.iter().map(|m| (m.action, m.type_)).collect();
        assert_eq!(kinds, [(3, 0), (0, Marker::CUBE as i32), (0, Marker::TEXT_VIEW_FACING as i32)]);
        assert!(array.markers.iter().all(|m| m.header.frame_id == "odom"));
    }

    #[test]
    fn a_cloud_is_laid_out_as_its_fields_say() {
        let cloud = PointCloud {
            positions: vec![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
            colors: vec![[10, 20, 30], [1, 2, 3]],
            ..PointCloud::default()
        };
        let message = point_cloud(&cloud, header("odom", 5));
        assert_eq!((message.width, message.row_step, message.data.len()), (2, 32, 32));
        assert_eq!(message.data[16..20], 4.0_f32.to_le_bytes());
        assert_eq!(u32::from_le_bytes(message.data[12..16].try_into().unwrap()), 0x000A_141E);
    }
}
