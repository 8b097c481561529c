//! A seed in; a furnished room with things on its walls, its fused recording, a reader that knows the truth, and how well
//! lifted boxes agree with it out.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vantage_model::lift::{LiftReasoner, ViewReader};
use vantage_model::qwen::ReplyOptions;
use vantage_model::vision::qwen::smart_resize;
use vantage_model::{AskOptions, ModelError};
use vantage_node::engine::FusionSettings;
use vantage_scene::{ColorImage, OrientedBox, Scene};
use vantage_train::rooms::{
    Difficulty, Object, Part, PartShape, RecordConfig, Recording, Room, RoomConfig, generate, record,
};

/// A reader reports what covers at least this share of the picture; questions ask about the same.
const SHOWN_SHARE: f64 = 0.003;
/// Width, height, thickness and the height of the lower edge of what hangs on walls, metres.
const ON_WALLS: [(&str, [f64; 4], [u8; 3]); 3] = [
    ("picture", [0.7, 0.5, 0.03, 1.2], [180, 60, 60]),
    ("door", [0.85, 2.0, 0.04, 0.0], [120, 80, 50]),
    ("window", [1.1, 1.0, 0.02, 0.9], [150, 190, 230]),
];
const SIZE: (u32, u32) = (320, 240);

/// A room, its recording and the scene fused from that.
pub struct Recorded {
    pub room: Room,
    pub recording: Recording,
    pub scene: Scene,
}

/// Records and fuses the room of `seed`.
pub fn recorded(seed: u64) -> Recorded {
    let mut room = generate(seed, &RoomConfig::of(Difficulty::Easy));
    for (class, [width, height, thickness, low], rgb) in ON_WALLS {
        hang(&mut room, class, [width, height, thickness], low, rgb);
    }
    let walk = RecordConfig { width: SIZE.0, height: SIZE.1, frames: 72, ..RecordConfig::default() };
    let recording = record(&room, &walk);
    let mut scene = Scene::new(FusionSettings::default().engine().scene).unwrap();
    for frame in &recording.frames {
        scene.fuse(frame).unwrap();
    }
    Recorded { room, recording, scene }
}

/// Hangs something flat on the first wall, at the first place, where no furniture stands before it.
fn hang(room: &mut Room, class: &'static str, [width, height, thickness]: [f64; 3], low: f64, rgb: [u8; 3]) {
    for wall in 0..4 {
        let (along, across) = (wall % 2, 1 - wall % 2);
        let mut from = 0.25;
        while from + width < room.size[along] - 0.25 {
            let mut center = [0.0, 0.0, low + 0.5 * height];
            center[along] = from + 0.5 * width;
            center[across] = if wall < 2 { 0.5 * thickness } else { room.size[across] - 0.5 * thickness };
            let yaw = if along == 0 { 0.0 } else { std::f64::consts::FRAC_PI_2 };
            let bbox = OrientedBox { center, size: [width, thickness, height], yaw };
            let before = OrientedBox { size: [width + 0.1, 1.0, height + 0.1], ..bbox };
            if room.objects.iter().all(|o| o.bbox.iou(&before) == 0.0) {
                let rotation = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw);
                let room_from_part = Isometry3::from_parts(Translation3::from(Vector3::from(center)), rotation);
                let mut object: Object = room.objects[0].clone();
                object.id = room.objects.len();
                object.class = class;
                object.parts = vec![Part { shape: PartShape::Box { size: bbox.size }, room_from_part, rgb }];
                object.bbox = bbox;
                object.supported_by = None;
                room.objects.push(object);
                return;
            }
            from += 0.2;
        }
    }
}

/// Reports the objects that a picture of the recording shows, as Qwen2.5-VL would write it.
pub struct TruthReader {
    told: Vec<(Arc<ColorImage>, String)>,
}

impl TruthReader {
    /// Knows every picture of `recording`, and reports the objects that `wanted` lets through. Each side of a rectangle is off
    /// by up to `error` of the rectangle's width or height.
    pub fn new(room: &Room, recording: &Recording, error: f64, wanted: impl Fn(&Object) -> bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(room.seed);
        let told = recording.frames.iter().enumerate().map(|(i, frame)| {
            let (seen_w, seen_h) = seen_size(frame.color.width, frame.color.height);
            let scale = [f64::from(seen_w) / f64::from(SIZE.0), f64::from(seen_h) / f64::from(SIZE.1)];
            let mut text = String::from("```json\n[");
            for object in room.objects.iter().filter(|o| shown(recording, i, o.id) && wanted(o)) {
                let bounds = recording.visible_bounds[i][object.id].map(f64::from);
                let rect: [i64; 4] = std::array::from_fn(|k| {
                    let side = bounds[k % 2 + 2] - bounds[k % 2];
                    let off = error * side * rng.random_range(-1.0..=1.0);
                    ((bounds[k] + off) * scale[k % 2]).round().max(0.0) as i64
                });
                let comma = if text.ends_with('[') { "" } else { "," };
                write!(text, "{comma}\n\t{{\"bbox_2d\": {rect:?}, \"label\": \"{}\"}}", object.class).unwrap();
            }
            text += "\n]\n```\nAnswer: here they are";
            (frame.color.clone(), text)
        });
        Self { told: told.collect() }
    }
}

/// Whether frame number `frame` shows enough of an object.
fn shown(recording: &Recording, frame: usize, object: usize) -> bool {
    f64::from(recording.visible_pixels[frame][object]) >= SHOWN_SHARE * f64::from(SIZE.0 * SIZE.1)
}

fn seen_size(width: u32, height: u32) -> (u32, u32) {
    let (height, width) = smart_resize(height, width, 28, 56 * 56, 28 * 28 * 1280).unwrap();
    (width, height)
}

impl ViewReader for TruthReader {
    fn read(
        &mut self,
        images: &[&ColorImage],
        _prompt: &str,
        _options: &ReplyOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<String, ModelError> {
        // a recording may have packed the picture with loss
        let difference = |(picture, _): &&(Arc<ColorImage>, String)| -> u64 {
            let pairs = picture.data.iter().zip(&images[0].data).step_by(101);
            pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
        };
        let (_, text) = self.told.iter().min_by_key(difference).expect("a frame");
        let _ = on_text(text);
        Ok(text.clone())
    }

    fn seen_size(&self, width: u32, height: u32) -> Result<(u32, u32), ModelError> {
        Ok(seen_size(width, height))
    }
}

/// What came back for one room.
pub struct Measured {
    /// Class and overlap with its box of every object that a chosen view shows; 0 where there is none.
    pub objects: Vec<(&'static str, f64)>,
    /// Ids of the boxes given.
    pub ids: Vec<String>,
    /// How many boxes are no object's.
    pub strays: usize,
}

/// Asks for everything in the room of `seed`, of the usual number of views or `views`.
pub fn measure(seed: u64, error: f64, views: Option<usize>) -> Measured {
    let Recorded { room, recording, scene } = recorded(seed);
    let mut reasoner = LiftReasoner::new(Box::new(TruthReader::new(&room, &recording, error, |_| true)));
    let options = AskOptions { max_views: views, ..AskOptions::default() };
    let answer = reasoner.ask(&scene, "What is in the room?", &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let frame_of = |keyframe: u32| {
        let stamp = scene.keyframes().iter().find(|k| k.id == keyframe).unwrap().frame.stamp;
        recording.frames.iter().position(|f| f.stamp == stamp).unwrap()
    };
    let frames: Vec<usize> = answer.views.iter().filter_map(|v| v.view.keyframe()).map(frame_of).collect();
    let visible: Vec<&Object> =
        room.objects.iter().filter(|o| frames.iter().any(|f| shown(&recording, *f, o.id))).collect();
    // pairs of one class, the best first, each used once
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (i, object) in visible.iter().enumerate() {
        for (j, given) in answer.boxes.iter().enumerate().filter(|(_, b)| b.label == object.class) {
            pairs.push((given.bbox.iou(&object.bbox), i, j));
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut iou = vec![None; visible.len()];
    let mut used = vec![None; answer.boxes.len()];
    for (overlap, i, j) in pairs.into_iter().filter(|p| p.0 > 0.0) {
        if iou[i].is_none() && used[j].is_none() {
            (iou[i], used[j]) = (Some(overlap), Some(i));
        }
    }
    Measured {
        objects: visible.iter().zip(&iou).map(|(o, iou)| (o.class, iou.unwrap_or(0.0))).collect(),
        strays: used.iter().filter(|u| u.is_none()).count(),
        ids: answer.boxes.iter().map(|b| b.id.clone()).collect(),
    }
}
