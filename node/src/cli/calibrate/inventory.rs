//! A recording in; what it holds, short of the pixels, out: stamps, encodings, calibrations, transforms.

use std::path::Path;

use anyhow::{Context, Result};
use vantage_calibration::PinholeCamera;
use vantage_scene::SensorEvent;

use super::progress;
use super::track::Transforms;
use crate::source::decode::{Carries, decode};
use crate::source::{CameraTopics, RawMessage, Storage, TopicRequest, choose_topics, message_count, open_storage};
use crate::wire::{self, CameraInfo, CompressedImage, Image};

/// What was read of one stream without decoding its pictures.
#[derive(Debug, Default)]
pub(super) struct StreamFacts {
    /// Topic of the images.
    pub(super) topic: String,
    /// Whether they are CompressedImages.
    pub(super) compressed: bool,
    /// Frame of the first image.
    pub(super) frame_id: String,
    /// Encoding of the first image; of a compressed one its format.
    pub(super) encoding: String,
    /// Stamps in order of recording, nanoseconds.
    pub(super) stamps: Vec<i64>,
    /// When each was recorded, nanoseconds.
    pub(super) logged: Vec<i64>,
    /// The first calibration.
    pub(super) info: Option<CameraInfo>,
    /// Messages of this stream that could not be read, and what was wrong with the first.
    pub(super) faults: Faults,
}

/// What could not be read or used.
#[derive(Debug, Default, Clone)]
pub(super) struct Faults {
    /// How many.
    pub(super) count: u64,
    /// The first, in words.
    pub(super) first: Option<String>,
}

impl Faults {
    /// Counts a message that could not be read.
    pub(super) fn add(&mut self, message: &RawMessage, error: &dyn std::fmt::Display) {
        self.note(|| format!("{}: {error}", message.place));
    }

    /// Counts one; of the first alone it is asked what was wrong.
    pub(super) fn note(&mut self, why: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(why);
    }
}

impl StreamFacts {
    /// The camera that the calibration makes, where it makes one.
    pub(super) fn camera(&self) -> Option<PinholeCamera> {
        let info = self.info.as_ref()?;
        PinholeCamera::from_ros(info.width, info.height, &info.k, &info.distortion_model, &info.d).ok()
    }
}

/// A recording, open, with what it holds.
pub(super) struct Inventory {
    pub(super) storage: Box<dyn Storage>,
    /// The camera that is looked at.
    pub(super) camera: CameraTopics,
    fixed: Vec<usize>,
    pub(super) color: StreamFacts,
    pub(super) depth: StreamFacts,
    pub(super) transforms: Transforms,
    /// Transform messages that could not be read.
    pub(super) transform_faults: Faults,
}

impl Inventory {
    /// Reads everything but the pixels.
    ///
    /// # Errors
    /// When the file is no recording or is damaged, or a topic is missing.
    pub(super) fn read(bag: &Path, request: &TopicRequest) -> Result<Self> {
        let mut storage = open_storage(bag)?;
        let choice = choose_topics(storage.as_ref(), request)?;
        let stream = |topic: usize| StreamFacts {
            topic: storage.topics()[topic].name.clone(),
            compressed: storage.topics()[topic].type_name == CompressedImage::TYPE,
            ..StreamFacts::default()
        };
        let camera = choice.cameras.into_iter().next().context("no camera was chosen")?;
        let (color, depth) = (stream(camera.color), stream(camera.depth));
        let mut wanted = vec![camera.color, camera.depth];
        wanted.extend(camera.depth_info.iter().chain(&camera.color_info).chain(&choice.moving).chain(&choice.fixed));
        let total = message_count(storage.topics(), wanted.iter().copied());
        storage.select(&wanted)?;
        let mut inventory = Self {
            storage,
            camera,
            fixed: choice.fixed,
            color,
            depth,
            transforms: Transforms::default(),
            transform_faults: Faults::default(),
        };
        let bar = progress("reading", total);
        while let Some(message) = inventory.storage.next_message()? {
            bar.inc(1);
            inventory.note(&message);
        }
        bar.finish_and_clear();
        // a driver that aligns depth to color publishes one calibration for both
        if inventory.color.info.is_none() {
            inventory.color.info = inventory.depth.info.clone();
        }
        Ok(inventory)
    }

    fn note(&mut self, message: &RawMessage) {
        let camera = &self.camera;
        match message.topic {
            i if i == camera.color => note_image(&mut self.color, message),
            i if i == camera.depth => note_image(&mut self.depth, message),
            i if Some(i) == camera.depth_info => note_info(&mut self.depth, message),
            i if Some(i) == camera.color_info => note_info(&mut self.color, message),
            i => self.note_transforms(message, self.fixed.contains(&i)),
        }
    }

    fn note_transforms(&mut self, message: &RawMessage, is_static: bool) {
        match decode(Carries::Transforms { fixed: is_static }, &message.data) {
            Err(error) => self.transform_faults.add(message, &error),
            Ok(events) => {
                for event in events {
                    let SensorEvent::Transform { stamp, parent, child, parent_from_child, is_static } = event else {
                        continue;
                    };
                    self.transforms.push(stamp, &parent, &child, parent_from_child, is_static);
                }
            }
        }
    }
}

/// Stamp, frame and encoding of an image message, in borrowed bytes.
///
/// # Errors
/// When the bytes are no such message.
pub(super) fn image_header(compressed: bool, bytes: &[u8]) -> Result<(i64, String, String), wire::WireError> {
    if compressed {
        let image: CompressedImage<'_> = wire::decode(CompressedImage::TYPE, bytes)?;
        Ok((image.header.stamp.nanos(), image.header.frame_id, image.format))
    } else {
        let image: Image<'_> = wire::decode(Image::TYPE, bytes)?;
        Ok((image.header.stamp.nanos(), image.header.frame_id, image.encoding))
    }
}

fn note_image(stream: &mut StreamFacts, message: &RawMessage) {
    match image_header(stream.compressed, &message.data) {
        Err(error) => stream.faults.add(message, &error),
        Ok((stamp, frame_id, encoding)) => {
            if stream.stamps.is_empty() {
                (stream.frame_id, stream.encoding) = (frame_id, encoding);
            }
            stream.stamps.push(stamp);
            stream.logged.push(message.log_nanos);
        }
    }
}

fn note_info(stream: &mut StreamFacts, message: &RawMessage) {
    if stream.info.is_some() {
        return;
    }
    match wire::decode(CameraInfo::TYPE, &message.data) {
        Ok(info) => stream.info = Some(info),
        Err(error) => stream.faults.add(message, &error),
    }
}
