//! The node's topics in one table (DESIGN section 7).

use vantage_node::source::decode::Carries;
use vantage_node::wire::{CameraInfo, CompressedImage, Image, TfMessage};
use vantage_scene::{CameraId, Stream};

/// A topic that the node listens to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    /// Relative, remappable.
    pub(crate) name: &'static str,
    /// What image_transport adds to the name of a compressed stream.
    compressed_suffix: &'static str,
    /// Raw form.
    carries: Carries,
    /// Nothing can be fused without it.
    pub(crate) needed: bool,
}

/// A camera that the node listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Camera {
    pub(crate) id: CameraId,
    /// Its topics begin with it; `None` for the one camera whose topics are remapped.
    pub(crate) name: Option<String>,
}

/// Everything that a camera and its robot send.
pub(crate) const INPUTS: &[Input] = &[
    Input {
        name: "color/image_raw",
        compressed_suffix: "/compressed",
        carries: Carries::Images { stream: Stream::Color, compressed: false },
        needed: true,
    },
    Input {
        name: "depth/image_raw",
        compressed_suffix: "/compressedDepth",
        carries: Carries::Images { stream: Stream::Depth, compressed: false },
        needed: true,
    },
    Input {
        name: "color/camera_info",
        compressed_suffix: "",
        carries: Carries::CameraInfo(Stream::Color),
        needed: false,
    },
    Input {
        name: "depth/camera_info",
        compressed_suffix: "",
        carries: Carries::CameraInfo(Stream::Depth),
        needed: true,
    },
    Input { name: "tf", compressed_suffix: "", carries: Carries::Transforms { fixed: false }, needed: false },
    Input { name: "tf_static", compressed_suffix: "", carries: Carries::Transforms { fixed: true }, needed: false },
];

/// A topic or service without a payload of its own kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topic {
    /// Relative or private, remappable.
    pub(crate) name: &'static str,
}

/// Questions, std_msgs/String.
pub(crate) const QUESTION: Topic = Topic { name: "~/question" };
/// The views that tell most about a question, vantage_interfaces/GetViews, a service.
pub(crate) const GET_VIEWS: Topic = Topic { name: "~/get_views" };
/// The map's surface, sensor_msgs/PointCloud2.
pub(crate) const POINTS: Topic = Topic { name: "~/points" };
/// Boxes of the last answer, vision_msgs/Detection3DArray.
pub(crate) const DETECTIONS: Topic = Topic { name: "~/detections" };
/// The same for RViz, visualization_msgs/MarkerArray.
pub(crate) const MARKERS: Topic = Topic { name: "~/markers" };
/// The answer, vantage_interfaces/Answer.
pub(crate) const ANSWER: Topic = Topic { name: "~/answer" };
/// Where to go and look, after an answer about something that was hardly seen.
pub(crate) const SUGGESTED_VIEW: Topic = Topic { name: "~/suggested_view" };

impl Input {
    /// Whether every camera has one of its own.
    pub(crate) fn is_of_camera(&self) -> bool {
        !matches!(self.carries, Carries::Transforms { .. })
    }

    /// Its name for a camera, relative and remappable.
    pub(crate) fn name_for(&self, camera: &Camera) -> String {
        match &camera.name {
            Some(name) if self.is_of_camera() => format!("{name}/{}", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// What its messages hold.
    pub(crate) fn carries(&self, compressed: bool) -> Carries {
        match self.carries {
            Carries::Images { stream, .. } => Carries::Images { stream, compressed },
            other => other,
        }
    }

    /// The full name of its topic, once `resolved` names the raw one.
    pub(crate) fn topic(&self, resolved: String, compressed: bool) -> String {
        if compressed { resolved + self.compressed_suffix } else { resolved }
    }

    /// The type of its messages.
    pub(crate) fn type_name(&self, compressed: bool) -> &'static str {
        match self.carries(compressed) {
            Carries::Images { compressed: true, .. } => CompressedImage::TYPE,
            Carries::Images { .. } => Image::TYPE,
            Carries::CameraInfo(_) => CameraInfo::TYPE,
            Carries::Transforms { .. } => TfMessage::TYPE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_streams_are_named_as_image_transport_names_them() {
        let names: Vec<String> = INPUTS.iter().map(|i| i.topic(format!("/c/{}", i.name), true)).collect();
        assert_eq!(
            &names[..3],
            ["/c/color/image_raw/compressed", "/c/depth/image_raw/compressedDepth", "/c/color/camera_info"]
        );
        assert_eq!(INPUTS[1].type_name(true), "sensor_msgs/msg/CompressedImage");
        assert_eq!(INPUTS[3].type_name(true), "sensor_msgs/msg/CameraInfo");
    }

    #[test]
    fn a_named_camera_has_its_own_images_and_shares_the_transforms() {
        let named = Camera { id: CameraId(1), name: Some("front".to_owned()) };
        assert_eq!(INPUTS[0].name_for(&named), "front/color/image_raw");
        let transforms: Vec<String> = INPUTS.iter().filter(|i| !i.is_of_camera()).map(|i| i.name_for(&named)).collect();
        assert_eq!(transforms, ["tf", "tf_static"]);
        assert_eq!(INPUTS[1].name_for(&Camera { id: CameraId(0), name: None }), "depth/image_raw");
    }
}
