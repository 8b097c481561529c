//! A recording's topics and the user's wishes in, the topics to read out.

use super::error::SourceError;
use super::storage::Storage;
use crate::wire::{CameraInfo, CompressedImage, Image, TfMessage};

/// Topics that the user named; the others are found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicRequest {
    /// Colour images.
    pub color: Option<String>,
    /// Depth images.
    pub depth: Option<String>,
    /// Intrinsics of the depth images.
    pub depth_info: Option<String>,
    /// Intrinsics of the color images.
    pub color_info: Option<String>,
}

/// Indices of the topics to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicChoice {
    /// Colour images.
    pub color: usize,
    /// Depth images.
    pub depth: usize,
    /// Intrinsics of the depth images.
    pub depth_info: usize,
    /// Intrinsics of the color images, where recorded.
    pub color_info: Option<usize>,
    /// `/tf` and its like.
    pub moving: Vec<usize>,
    /// `/tf_static` and its like.
    pub fixed: Vec<usize>,
}

/// Whether a topic carries images.
fn is_image(type_name: &str) -> bool {
    type_name == Image::TYPE || type_name == CompressedImage::TYPE
}

/// Picks the topics: those named, else by type and name; a depth topic says "depth", of several the one aligned to colour.
///
/// # Errors
/// [`SourceError::UnknownTopic`], [`SourceError::NoTopic`].
pub fn choose_topics(storage: &dyn Storage, request: &TopicRequest) -> Result<TopicChoice, SourceError> {
    let topics = storage.topics();
    let list = || {
        let names: Vec<String> = topics.iter().map(|t| format!("{} ({})", t.name, t.type_name)).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let named =
        |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => topics.iter().position(|t| t.name == *name).map(Some).ok_or_else(|| {
                SourceError::UnknownTopic { file: storage.file().to_owned(), topic: name.clone(), topics: list() }
            }),
        };
    let missing = |what: &'static str, option: &'static str| SourceError::NoTopic {
        file: storage.file().to_owned(),
        what,
        topics: list(),
        option,
    };
    // the highest rank wins, of equals the first by name
    let best = |rank: &dyn Fn(&str, &str) -> Option<u32>| {
        let ranked =
            topics.iter().enumerate().filter_map(|(i, t)| Some((rank(&t.name, &t.type_name)?, std::cmp::Reverse(i))));
        ranked.max().map(|(_, i)| i.0)
    };
    let depth = match named(&request.depth)? {
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
    let color = match named(&request.color)? {
        Some(i) => i,
        None => best(&|name, kind| {
            let fits = is_image(kind) && !name.contains("depth") && !name.contains("infra") && !name.contains("/ir/");
            fits.then(|| u32::from(name.contains("color") || name.contains("rgb")) * 2 + u32::from(kind == Image::TYPE))
        })
        .ok_or_else(|| missing("color image", "--color-topic"))?,
    };
    let folder = |name: &str| {
        let trimmed =
            ["/compressedDepth", "/compressed"].iter().fold(name, |n, suffix| n.strip_suffix(suffix).unwrap_or(n));
        trimmed.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
    };
    let beside = folder(&topics[depth].name);
    let depth_info = match named(&request.depth_info)? {
        Some(i) => i,
        None => best(&|name, kind| {
            let fits = kind == CameraInfo::TYPE && (folder(name) == beside || name.contains("depth"));
            fits.then(|| u32::from(folder(name) == beside))
        })
        .ok_or_else(|| missing("depth camera_info", "--depth-info-topic"))?,
    };
    let color_folder = folder(&topics[color].name);
    let color_info = match named(&request.color_info)? {
        Some(i) => Some(i),
        None => best(&|name, kind| {
            (kind == CameraInfo::TYPE && folder(name) == color_folder && color_folder != beside).then_some(0)
        }),
    };
    let transforms = |fixed: bool| {
        let fits =
            |t: &super::storage::TopicInfo| t.type_name == TfMessage::TYPE && t.name.ends_with("tf_static") == fixed;
        topics.iter().enumerate().filter(|(_, t)| fits(t)).map(|(i, _)| i).collect()
    };
    Ok(TopicChoice { color, depth, depth_info, color_info, moving: transforms(false), fixed: transforms(true) })
}
