//! Messages of live topics in, complete frames out, and what became of every message. Nothing here knows ROS.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use vantage_scene::{CameraId, RgbdFrame, SensorEvent, SyncConfig, SyncStats, Synchronizer};

use crate::source::decode::DecodeError;

/// A topic's bad messages are reported at most this often.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Joins the decoded streams of live cameras.
#[derive(Debug)]
pub struct Intake {
    sync: Synchronizer,
    refused: BTreeMap<String, Refused>,
}

/// Messages of one topic that could not be decoded.
#[derive(Debug, Default)]
struct Refused {
    count: u64,
    reported: Option<(Instant, u64)>,
}

impl Intake {
    /// Nothing heard yet.
    pub fn new(config: SyncConfig) -> Self {
        Self { sync: Synchronizer::new(config), refused: BTreeMap::new() }
    }

    /// Takes what is known before any message comes, such as a rig's calibration; messages override it.
    pub fn prepare(&mut self, events: Vec<SensorEvent>) {
        for event in events {
            // no image has come yet, so that there is no frame
            self.sync.push(event);
        }
    }

    /// Takes the events of one message of a camera; returns the frames that they complete, of each camera oldest first. A
    /// message that could not be decoded is counted and reported under its topic; it changes nothing else.
    pub fn take(
        &mut self,
        topic: &str,
        camera_id: CameraId,
        decoded: Result<Vec<SensorEvent>, DecodeError>,
    ) -> Vec<RgbdFrame> {
        match decoded {
            Ok(events) => events.into_iter().flat_map(|event| self.sync.push(event.of(camera_id))).collect(),
            Err(error) => {
                self.refuse(topic, &error, Instant::now());
                Vec::new()
            }
        }
    }

    /// What the synchroniser counted.
    pub fn stats(&self) -> &SyncStats {
        self.sync.stats()
    }

    /// Messages that could not be decoded, by topic.
    pub fn refused(&self) -> impl Iterator<Item = (&str, u64)> {
        self.refused.iter().map(|(topic, refused)| (topic.as_str(), refused.count))
    }

    fn refuse(&mut self, topic: &str, error: &DecodeError, now: Instant) {
        let refused = self.refused.entry(topic.to_owned()).or_default();
        refused.count += 1;
        let due = refused.reported.is_none_or(|(at, _)| now.duration_since(at) >= REPORT_EVERY);
        if !due {
            return;
        }
        let more = refused.count - refused.reported.map_or(0, |(_, count)| count);
        refused.reported = Some((now, refused.count));
        match more {
            1 => tracing::error!("{topic}: message ignored: {error}"),
            _ => tracing::error!("{topic}: {more} messages ignored, the last: {error}"),
        }
    }
}

/// The newest complete frame of each camera, until it is taken. A newer one replaces it, so that whoever fuses never sees a
/// stale frame; the cameras are served in turn, so that a fast one does not starve the others.
#[derive(Debug, Default)]
pub struct NewestFrames {
    slots: Mutex<Slots>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    frames: BTreeMap<CameraId, RgbdFrame>,
    served: Option<CameraId>,
    replaced: u64,
}

impl NewestFrames {
    /// Puts a frame in its camera's slot.
    pub fn put(&self, frame: RgbdFrame) {
        let mut slots = self.slots();
        let former = slots.frames.insert(frame.camera_id, frame);
        slots.replaced += u64::from(former.is_some());
        drop(slots);
        self.arrived.notify_one();
    }

    /// Waits for a frame of any camera. To be awaited by one task; nothing is lost when it gives up waiting.
    pub async fn next(&self) -> RgbdFrame {
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            self.arrived.notified().await;
        }
    }

    /// Frames that a newer one of their camera replaced.
    pub fn replaced(&self) -> u64 {
        self.slots().replaced
    }

    /// The frame of the camera whose turn it is.
    fn take(&self) -> Option<RgbdFrame> {
        let mut slots = self.slots();
        let after = slots.served.map_or(Bound::Unbounded, Bound::Excluded);
        let next = slots.frames.range((after, Bound::Unbounded)).chain(slots.frames.iter()).next();
        let camera_id = *next?.0;
        slots.served = Some(camera_id);
        slots.frames.remove(&camera_id)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::decode::{Carries, decode};
    use nalgebra::Isometry3;
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};
    use vantage_scene::Stream;
    use vantage_scene::{ColorImage, DepthImage};

    #[test]
    fn bad_messages_are_counted_by_topic_and_change_nothing() {
        let mut intake = Intake::new(SyncConfig::default());
        let carries = Carries::Images { stream: Stream::Color, compressed: false };
        for bytes in [&[][..], &[0, 1, 0, 0, 9], &[0, 7, 0, 0, 1, 2, 3, 4]] {
            assert!(intake.take("/camera/color", CameraId(0), decode(carries, bytes)).is_empty());
        }
        assert_eq!(intake.refused().collect::<Vec<_>>(), [("/camera/color", 3)]);
        assert_eq!(intake.stats(), &SyncStats::default());
    }

    fn frame(camera: u8, stamp: i64) -> RgbdFrame {
        RgbdFrame {
            camera_id: CameraId(camera),
            stamp,
            color: Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap()),
            depth: Arc::new(DepthImage::new(1, 1, vec![1.0]).unwrap()),
            camera: PinholeCamera::new(1, 1, 1.0, 1.0, 0.0, 0.0, Distortion::None).unwrap(),
            world_from_camera: Isometry3::identity(),
        }
    }

    #[test]
    fn the_newest_of_each_camera_is_served_in_turn() {
        let newest = NewestFrames::default();
        for stamp in 0..5 {
            newest.put(frame(1, stamp));
        }
        newest.put(frame(0, 7));
        newest.put(frame(2, 8));
        let mut served = Vec::new();
        while let Some(taken) = newest.take() {
            served.push((taken.camera_id.0, taken.stamp));
            // camera 0 sends all the time, and still has to wait for the others
            if served.len() < 4 {
                newest.put(frame(0, 10 + served.len() as i64));
            }
        }
        assert_eq!(served, [(0, 7), (1, 4), (2, 8), (0, 13)]);
        assert_eq!(newest.replaced(), 4 + 2);
    }
}
