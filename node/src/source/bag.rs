//! A recording in, sensor events in order of log time out; static transforms come first.

use std::path::Path;

use vantage_scene::{SensorEvent, Stream};

use super::decode::{Carries, decode};
use super::error::SourceError;
use super::storage::{RawMessage, Storage, open_storage};
use super::topics::{TopicChoice, TopicRequest, choose_topics};
use crate::wire::CompressedImage;

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
                fixed.extend(decoded(storage.as_ref(), &message, Carries::Transforms { fixed: true })?);
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
        let compressed = storage.topics()[message.topic].type_name == CompressedImage::TYPE;
        let carries = match message.topic {
            i if self.choice.moving.contains(&i) => Carries::Transforms { fixed: false },
            i if i == self.choice.depth_info => Carries::CameraInfo(Stream::Depth),
            i if Some(i) == self.choice.color_info => Carries::CameraInfo(Stream::Color),
            i if i == self.choice.depth => Carries::Images { stream: Stream::Depth, compressed },
            _ => Carries::Images { stream: Stream::Color, compressed },
        };
        let events = decoded(storage, message, carries)?;
        self.depth_images += u64::from(message.topic == self.choice.depth);
        Ok(events)
    }
}

/// Decodes a message; errors name file, place and topic.
fn decoded(storage: &dyn Storage, message: &RawMessage, carries: Carries) -> Result<Vec<SensorEvent>, SourceError> {
    decode(carries, &message.data).map_err(|source| SourceError::Message {
        file: storage.file().to_owned(),
        place: message.place.clone(),
        topic: storage.topics()[message.topic].name.clone(),
        source: Box::new(source),
    })
}
