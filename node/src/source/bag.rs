//! A recording in, sensor events in order of log time out; static transforms come first.

use std::path::Path;
use std::sync::Arc;

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use vantage_calibration::{Distortion, PinholeCamera};
use vantage_scene::{SensorEvent, Stream};

use super::error::SourceError;
use super::pixels;
use super::storage::{RawMessage, Storage, open_storage};
use super::topics::{TopicChoice, TopicRequest, choose_topics};
use crate::wire::{self, CameraInfo, CompressedImage, Image, TfMessage, WireError};

/// A recording being replayed.
pub struct BagSource {
    storage: Box<dyn Storage>,
    choice: TopicChoice,
    pending: std::vec::IntoIter<SensorEvent>,
    depth_images: u64,
}

impl BagSource {
    /// Opens a recording and reads its static transforms.
    ///
    /// # Errors
    /// [`SourceError`] naming file, topic and place.
    pub fn open(path: &Path, request: &TopicRequest) -> Result<Self, SourceError> {
        let mut storage = open_storage(path)?;
        let choice = choose_topics(storage.as_ref(), request)?;
        let name = |i: usize| storage.topics()[i].name.clone();
        tracing::info!(
            "{}: color {}, depth {}, depth camera_info {}, transforms {}",
            storage.file().display(),
            name(choice.color),
            name(choice.depth),
            name(choice.depth_info),
            choice.moving.iter().chain(&choice.fixed).map(|&i| name(i)).collect::<Vec<_>>().join(" ")
        );
        let mut fixed = Vec::new();
        storage.select(&choice.fixed)?;
        if !choice.fixed.is_empty() {
            while let Some(message) = storage.next_message()? {
                fixed.extend(transforms(storage.as_ref(), &message, true)?);
            }
        }
        let mut wanted = vec![choice.color, choice.depth, choice.depth_info];
        wanted.extend(choice.color_info);
        wanted.extend(&choice.moving);
        storage.select(&wanted)?;
        Ok(Self { storage, choice, pending: fixed.into_iter(), depth_images: 0 })
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] naming file, topic and place.
    pub fn next_event(&mut self) -> Result<Option<SensorEvent>, SourceError> {
        loop {
            if let Some(event) = self.pending.next() {
                return Ok(Some(event));
            }
            let Some(message) = self.storage.next_message()? else { return Ok(None) };
            let events = self.decode(&message)?;
            self.pending = events.into_iter();
        }
    }

    /// Messages of the depth topic, where the container says.
    pub fn depth_message_count(&self) -> Option<u64> {
        self.storage.topics()[self.choice.depth].messages
    }

    /// Depth images delivered so far.
    pub fn depth_images(&self) -> u64 {
        self.depth_images
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.storage.file()
    }

    fn decode(&mut self, message: &RawMessage) -> Result<Vec<SensorEvent>, SourceError> {
        let storage = self.storage.as_ref();
        if self.choice.moving.contains(&message.topic) {
            return transforms(storage, message, false);
        }
        if message.topic == self.choice.depth_info {
            return camera_info(storage, message, Stream::Depth);
        }
        if Some(message.topic) == self.choice.color_info {
            return camera_info(storage, message, Stream::Color);
        }
        let at = Place { storage, message };
        let compressed = storage.topics()[message.topic].type_name == CompressedImage::TYPE;
        let depth = message.topic == self.choice.depth;
        let event = if compressed {
            let image: CompressedImage<'_> = wire::decode(CompressedImage::TYPE, &message.data).map_err(|e| at.wire(e))?;
            let (stamp, frame_id) = (image.header.stamp.nanos(), image.header.frame_id.clone());
            if depth {
                let decoded = pixels::compressed_depth(&image.format, image.data).map_err(|e| at.pixels(e))?;
                SensorEvent::Depth { stamp, frame_id, image: Arc::new(decoded) }
            } else {
                let decoded = pixels::compressed_color(&image.format, image.data).map_err(|e| at.pixels(e))?;
                SensorEvent::Color { stamp, frame_id, image: Arc::new(decoded) }
            }
        } else {
            let image: Image<'_> = wire::decode(Image::TYPE, &message.data).map_err(|e| at.wire(e))?;
            let (stamp, frame_id) = (image.header.stamp.nanos(), image.header.frame_id.clone());
            let raw = pixels::RawImage {
                width: image.width,
                height: image.height,
                step: image.step,
                encoding: &image.encoding,
                big_endian: image.is_bigendian != 0,
                data: image.data,
            };
            if depth {
                SensorEvent::Depth { stamp, frame_id, image: Arc::new(pixels::raw_depth(&raw).map_err(|e| at.pixels(e))?) }
            } else {
                SensorEvent::Color { stamp, frame_id, image: Arc::new(pixels::raw_color(&raw).map_err(|e| at.pixels(e))?) }
            }
        };
        self.depth_images += u64::from(depth);
        Ok(vec![event])
    }
}

/// Names the place of a message in errors.
struct Place<'a> {
    storage: &'a dyn Storage,
    message: &'a RawMessage,
}

impl Place<'_> {
    fn topic(&self) -> String {
        self.storage.topics()[self.message.topic].name.clone()
    }

    fn wire(&self, source: WireError) -> SourceError {
        SourceError::Message { file: self.storage.file().to_owned(), place: self.message.place.clone(), topic: self.topic(), source }
    }

    fn pixels(&self, source: pixels::PixelError) -> SourceError {
        SourceError::Pixels { file: self.storage.file().to_owned(), place: self.message.place.clone(), topic: self.topic(), source }
    }
}

fn transforms(storage: &dyn Storage, message: &RawMessage, is_static: bool) -> Result<Vec<SensorEvent>, SourceError> {
    let at = Place { storage, message };
    let tf: TfMessage = wire::decode(TfMessage::TYPE, &message.data).map_err(|e| at.wire(e))?;
    Ok(tf.transforms.into_iter().map(|t| transform_event(t, is_static)).collect())
}

/// One transform of a TFMessage as an event; the quaternion is normalised.
pub(crate) fn transform_event(t: wire::TransformStamped, is_static: bool) -> SensorEvent {
    let (v, q) = (t.transform.translation, t.transform.rotation);
    let rotation = UnitQuaternion::from_quaternion(Quaternion::new(q.w, q.x, q.y, q.z));
    SensorEvent::Transform {
        stamp: t.header.stamp.nanos(),
        parent: t.header.frame_id,
        child: t.child_frame_id,
        parent_from_child: Isometry3::from_parts(Translation3::new(v.x, v.y, v.z), rotation),
        is_static,
    }
}

fn camera_info(storage: &dyn Storage, message: &RawMessage, stream: Stream) -> Result<Vec<SensorEvent>, SourceError> {
    let at = Place { storage, message };
    let info: CameraInfo = wire::decode(CameraInfo::TYPE, &message.data).map_err(|e| at.wire(e))?;
    let camera = camera_from_info(&info).map_err(|reason| SourceError::CameraInfo {
        file: storage.file().to_owned(),
        place: message.place.clone(),
        topic: at.topic(),
        reason,
    })?;
    let stamp = info.header.stamp.nanos();
    Ok(vec![SensorEvent::CameraInfo { stream, stamp, frame_id: info.header.frame_id, camera }])
}

/// The camera of a CameraInfo message: K and D of the raw image.
///
/// # Errors
/// In words: an unknown lens model, or numbers that make no camera.
pub fn camera_from_info(info: &CameraInfo) -> Result<PinholeCamera, String> {
    let mut coefficients = [0.0; 5];
    for (to, from) in coefficients.iter_mut().zip(&info.d) {
        *to = *from;
    }
    let straight = info.d.iter().all(|x| *x == 0.0);
    let distortion = match info.distortion_model.as_str() {
        _ if straight => Distortion::None,
        "plumb_bob" if info.d.len() <= 5 => Distortion::PlumbBob(coefficients),
        "plumb_bob" => return Err(format!("plumb_bob has {} coefficients, at most 5 are known", info.d.len())),
        other => return Err(format!("lens model `{other}` is not supported; plumb_bob is")),
    };
    let k = &info.k;
    PinholeCamera::new(info.width, info.height, k[0], k[4], k[2], k[5], distortion).map_err(|e| e.to_string())
}
