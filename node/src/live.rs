//! Messages of live topics in, complete frames out, and what became of every message. Nothing here knows ROS.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vantage_scene::{RgbdFrame, SensorEvent, SyncConfig, SyncStats, Synchronizer};

use crate::source::decode::DecodeError;

/// A topic's bad messages are reported at most this often.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Joins the decoded streams of a live camera.
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

    /// Takes the events of one message; returns the frames that they complete, oldest first. A message that could not be
    /// decoded is counted and reported under its topic; it changes nothing else.
    pub fn take(&mut self, topic: &str, decoded: Result<Vec<SensorEvent>, DecodeError>) -> Vec<RgbdFrame> {
        match decoded {
            Ok(events) => events.into_iter().flat_map(|event| self.sync.push(event)).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::decode::{Carries, decode};
    use vantage_scene::Stream;

    #[test]
    fn bad_messages_are_counted_by_topic_and_change_nothing() {
        let mut intake = Intake::new(SyncConfig::default());
        let carries = Carries::Images { stream: Stream::Color, compressed: false };
        for bytes in [&[][..], &[0, 1, 0, 0, 9], &[0, 7, 0, 0, 1, 2, 3, 4]] {
            assert!(intake.take("/camera/color", decode(carries, bytes)).is_empty());
        }
        assert_eq!(intake.refused().collect::<Vec<_>>(), [("/camera/color", 3)]);
        assert_eq!(intake.stats(), &SyncStats::default());
    }
}
