//! A recording's topics and the user's wishes in, the topics to read of each camera out.

use vantage_calibration::Rig;

use super::error::SourceError;
use super::rig::bare_name;
use super::storage::{Storage, TopicInfo};
use crate::wire::{CameraInfo, CompressedImage, Image, TfMessage};

/// What the user said about a recording; the rest is found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicRequest {
    /// Colour images.
    pub color: Option<String>,
    /// Depth images.
    pub depth: Option<String>,
    /// Intrinsics of the depth images.
    pub depth_info: Option<String>,
    /// Intrinsics of the color images.
    pub color_info: Option<String>,
    /// Names of the cameras, whose topics begin with `<name>/`; none for the one camera that is found by types and names.
    pub cameras: Vec<String>,
    /// What is known of the cameras besides.
    pub rig: Option<Rig>,
}

/// Indices of the topics of one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraTopics {
    /// Colour images.
    pub color: usize,
    /// Depth images.
    pub depth: usize,
    /// Intrinsics of the depth images; only a rig makes them dispensable.
    pub depth_info: Option<usize>,
    /// Intrinsics of the color images, where recorded.
    pub color_info: Option<usize>,
}

/// Indices of the topics to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicChoice {
    /// The cameras, in the order asked for.
    pub cameras: Vec<CameraTopics>,
    /// `/tf` and its like.
    pub moving: Vec<usize>,
    /// `/tf_static` and its like.
    pub fixed: Vec<usize>,
}

/// Whether a topic carries images.
fn is_image(type_name: &str) -> bool {
    type_name == Image::TYPE || type_name == CompressedImage::TYPE
}

/// The folder of an image's topic, in which its camera_info lies.
fn folder(name: &str) -> &str {
    let suffixes = ["/compressedDepth", "/compressed"];
    let trimmed = suffixes.iter().fold(name, |name, suffix| name.strip_suffix(suffix).unwrap_or(name));
    trimmed.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether a topic belongs to the camera of this name.
fn is_under(topic: &str, camera: &str) -> bool {
    let rest = topic.trim_start_matches('/').strip_prefix(bare_name(camera));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Picks the topics of every camera and of the transforms.
///
/// # Errors
/// [`SourceError::UnknownTopic`], [`SourceError::NoTopic`].
pub fn choose_topics(storage: &dyn Storage, request: &TopicRequest) -> Result<TopicChoice, SourceError> {
    let finder = Finder { storage, request };
    let cameras = match request.cameras.as_slice() {
        [] => vec![finder.camera(None)?],
        names => names.iter().map(|name| finder.camera(Some(name))).collect::<Result<_, _>>()?,
    };
    let cameras: Vec<CameraTopics> = cameras;
    for (i, camera) in cameras.iter().enumerate() {
        if cameras[..i].iter().any(|other| other.depth == camera.depth || other.color == camera.color) {
            let topic = storage.topics()[camera.depth].name.clone();
            return Err(SourceError::SameCamera { file: storage.file().to_owned(), topic });
        }
    }
    let transforms = |fixed: bool| {
        let fits = |t: &TopicInfo| t.type_name == TfMessage::TYPE && t.name.ends_with("tf_static") == fixed;
        storage.topics().iter().enumerate().filter(|(_, t)| fits(t)).map(|(i, _)| i).collect()
    };
    Ok(TopicChoice { cameras, moving: transforms(false), fixed: transforms(true) })
}

/// Looks for topics.
struct Finder<'a> {
    storage: &'a dyn Storage,
    request: &'a TopicRequest,
}

impl Finder<'_> {
    /// The topics of one camera: those named, else by type and name; a depth topic says "depth", of several the one aligned
    /// to colour.
    fn camera(&self, camera: Option<&String>) -> Result<CameraTopics, SourceError> {
        let topics = self.storage.topics();
        let missing = |what: &str, option: &'static str| SourceError::NoTopic {
            file: self.storage.file().to_owned(),
            what: camera.map_or_else(|| what.to_owned(), |camera| format!("{what} ({camera}/...)")),
            topics: self.list(),
            option: if camera.is_some() { "--camera" } else { option },
        };
        // the highest rank wins, of equals the first by name
        let best = |rank: &dyn Fn(&str, &str) -> Option<u32>| {
            let own = topics.iter().enumerate().filter(|(_, t)| camera.is_none_or(|c| is_under(&t.name, c)));
            own.filter_map(|(i, t)| Some((rank(&t.name, &t.type_name)?, std::cmp::Reverse(i)))).max().map(|(_, i)| i.0)
        };
        let depth = match self.named(self.request.depth.as_ref())? {
            Some(i) => i,
            None => best(&|name, kind| {
                let fits = is_image(kind) && name.contains("depth") && !name.ends_with("/theora");
                fits.then(|| {
                    u32::from(name.contains("aligned") || name.contains("registered")) * 2
                        + u32::from(!name.ends_with("/compressed"))
                })
            })
            .ok_or_else(|| missing("depth image", "--depth-topic"))?,
        };
        let color = match self.named(self.request.color.as_ref())? {
            Some(i) => i,
            None => best(&|name, kind| {
                let fits =
                    is_image(kind) && !name.contains("depth") && !name.contains("infra") && !name.contains("/ir/");
                let says_color = name.contains("color") || name.contains("rgb");
                fits.then(|| u32::from(says_color) * 2 + u32::from(kind == Image::TYPE))
            })
            .ok_or_else(|| missing("color image", "--color-topic"))?,
        };
        let beside = folder(&topics[depth].name);
        let depth_info = match self.named(self.request.depth_info.as_ref())? {
            Some(i) => Some(i),
            None => best(&|name, kind| {
                let fits = kind == CameraInfo::TYPE && (folder(name) == beside || name.contains("depth"));
                fits.then(|| u32::from(folder(name) == beside))
            }),
        };
        if depth_info.is_none() && self.request.rig.is_none() {
            return Err(missing("depth camera_info", "--depth-info-topic"));
        }
        let color_folder = folder(&topics[color].name);
        let color_info = match self.named(self.request.color_info.as_ref())? {
            Some(i) => Some(i),
            None => best(&|name, kind| {
                (kind == CameraInfo::TYPE && folder(name) == color_folder && color_folder != beside).then_some(0)
            }),
        };
        Ok(CameraTopics { color, depth, depth_info, color_info })
    }

    fn named(&self, name: Option<&String>) -> Result<Option<usize>, SourceError> {
        let Some(name) = name else { return Ok(None) };
        let found = self.storage.topics().iter().position(|t| t.name == *name);
        found.map(Some).ok_or_else(|| SourceError::UnknownTopic {
            file: self.storage.file().to_owned(),
            topic: name.clone(),
            topics: self.list(),
        })
    }

    fn list(&self) -> String {
        let names: Vec<String> =
            self.storage.topics().iter().map(|t| format!("{} ({})", t.name, t.type_name)).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RawMessage;
    use std::path::Path;

    struct Topics(Vec<TopicInfo>);

    impl Storage for Topics {
        fn file(&self) -> &Path {
            Path::new("robot.mcap")
        }
        fn topics(&self) -> &[TopicInfo] {
            &self.0
        }
        fn select(&mut self, _: &[usize]) -> Result<(), SourceError> {
            Ok(())
        }
        fn next_message(&mut self) -> Result<Option<RawMessage>, SourceError> {
            Ok(None)
        }
    }

    fn two_cameras() -> Topics {
        let mut topics = Vec::new();
        for camera in ["/front", "/front_left", "/robot/rear"] {
            for (name, type_name) in [
                ("color/camera_info", CameraInfo::TYPE),
                ("color/image_raw", Image::TYPE),
                ("depth/camera_info", CameraInfo::TYPE),
                ("depth/image_raw", Image::TYPE),
            ] {
                let (name, type_name) = (format!("{camera}/{name}"), type_name.to_owned());
                topics.push(TopicInfo { name, type_name, messages: None });
            }
        }
        topics.push(TopicInfo { name: "/tf".to_owned(), type_name: TfMessage::TYPE.to_owned(), messages: None });
        Topics(topics)
    }

    fn request(cameras: &[&str]) -> TopicRequest {
        TopicRequest { cameras: cameras.iter().map(|c| (*c).to_owned()).collect(), ..TopicRequest::default() }
    }

    #[test]
    fn named_cameras_have_the_topics_under_their_names() {
        let storage = two_cameras();
        let choice = choose_topics(&storage, &request(&["robot/rear", "/front"])).unwrap();
        let name = |i: usize| storage.topics()[i].name.as_str();
        assert_eq!(
            (name(choice.cameras[0].color), name(choice.cameras[0].depth)),
            ("/robot/rear/color/image_raw", "/robot/rear/depth/image_raw")
        );
        assert_eq!(name(choice.cameras[1].color), "/front/color/image_raw");
        assert_eq!(choice.cameras[1].depth_info.map(name), Some("/front/depth/camera_info"));
        assert_eq!((choice.cameras.len(), choice.moving.len()), (2, 1));
        // without names the first is found
        assert_eq!(name(choose_topics(&storage, &request(&[])).unwrap().cameras[0].depth), "/front/depth/image_raw");
    }

    #[test]
    fn a_camera_without_topics_is_an_error_that_names_it() {
        let error = choose_topics(&two_cameras(), &request(&["fron"])).unwrap_err().to_string();
        assert!(error.contains("depth image (fron/...)") && error.contains("/front/depth/image_raw"), "{error}");
    }

    #[test]
    fn a_rig_makes_up_for_camera_info() {
        let mut storage = two_cameras();
        storage.0.retain(|t| t.type_name != CameraInfo::TYPE);
        let error = choose_topics(&storage, &request(&["front"])).unwrap_err().to_string();
        assert!(error.contains("depth camera_info"), "{error}");
        let rig = Rig { version: 2, name: "r".into(), source: String::new(), cameras: Vec::new() };
        let with_rig = TopicRequest { rig: Some(rig), ..request(&["front"]) };
        assert_eq!(choose_topics(&storage, &with_rig).unwrap().cameras[0].depth_info, None);
    }
}
