//! Events with stamps in, the same events out once it is sure which time they belong to.
//!
//! A stamp that lies far behind its stream's newest, or far ahead of everything heard, means one of two things: the clock
//! was set (a recording loops, a simulation restarts, everything paused), or a single message lies. Such an event is held
//! until a second witness says the same time, the next message of its own stream or one of another publisher; then the
//! clock has jumped and what was held goes first. If its own stream goes on as before, it was a stray.

use std::collections::BTreeMap;

use crate::frame::{CameraId, SensorEvent, StampNanos, Stream};
use crate::transforms::TransformBuffer;

/// Less than this is disorder on the way, not a jump.
pub(crate) const CLOCK_JUMP_NANOS: i64 = 1_000_000_000;
/// A stream slower than one message in this time cannot be its own witness.
const SLOWEST_PERIOD_NANOS: i64 = 10_000_000_000;
/// Most events held: one a stream, and a transform publisher may have many.
const MAX_HELD: usize = 64;

/// An event whose time is in doubt.
#[derive(Debug)]
struct Held {
    event: SensorEvent,
    stamp: StampNanos,
    behind: bool,
}

/// What may go on, and what may not.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// Events to work on, in this order.
    pub(crate) events: Vec<SensorEvent>,
    /// Everything from before them belongs to another time.
    pub(crate) set_back: bool,
    /// Time went on by a leap.
    pub(crate) skipped: bool,
    /// Events that nobody confirmed.
    pub(crate) strays: Vec<SensorEvent>,
}

/// Watches the stamps of all streams.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    jump_nanos: i64,
    /// Newest stamp of anything.
    now: Option<StampNanos>,
    newest: BTreeMap<(CameraId, Stream), StampNanos>,
    held: Vec<Held>,
}

/// Stamp of an event that has a time of its own: calibration and static transforms hold always.
fn stamp_of(event: &SensorEvent) -> Option<StampNanos> {
    match event {
        SensorEvent::Color { stamp, .. }
        | SensorEvent::Depth { stamp, .. }
        | SensorEvent::Transform { stamp, is_static: false, .. } => Some(*stamp),
        SensorEvent::CameraInfo { .. } | SensorEvent::Transform { is_static: true, .. } => None,
    }
}

fn same_stream(a: &SensorEvent, b: &SensorEvent) -> bool {
    match (a, b) {
        (SensorEvent::Transform { child: a, .. }, SensorEvent::Transform { child: b, .. }) => a == b,
        _ => a.image_stream().is_some_and(|a| Some(a) == b.image_stream()),
    }
}

impl ClockWatch {
    /// Nothing heard yet. Images of one moment may be `tolerance_nanos` apart, which is then no jump either.
    pub(crate) fn new(tolerance_nanos: i64) -> Self {
        let jump_nanos = CLOCK_JUMP_NANOS.max(tolerance_nanos);
        Self { jump_nanos, now: None, newest: BTreeMap::new(), held: Vec::new() }
    }

    /// Takes one event; `transforms` knows the newest stamp of each frame.
    pub(crate) fn admit(&mut self, event: SensorEvent, transforms: &TransformBuffer) -> Admitted {
        let Some(stamp) = stamp_of(&event) else { return Admitted { events: vec![event], ..Admitted::default() } };
        let newest = match &event {
            SensorEvent::Transform { child, .. } => transforms.newest(child),
            _ => event.image_stream().and_then(|stream| self.newest.get(&stream).copied()),
        };
        let behind = newest.is_some_and(|newest| newest.saturating_sub(stamp) > self.jump_nanos);
        let ahead = self.now.is_some_and(|now| stamp.saturating_sub(now) > self.jump_nanos);
        let before = self.held.iter().position(|held| same_stream(&held.event, &event));
        if !behind && !ahead {
            let strays = before.map(|i| self.held.remove(i).event).into_iter().collect();
            self.note(&event, stamp);
            return Admitted { events: vec![event], strays, ..Admitted::default() };
        }
        if !self.held.iter().any(|held| self.agrees(held, &event, stamp, behind)) {
            let over = before.or((self.held.len() >= MAX_HELD).then_some(0));
            let strays = over.map(|i| self.held.remove(i).event).into_iter().collect();
            self.held.push(Held { event, stamp, behind });
            return Admitted { strays, ..Admitted::default() };
        }
        let mut admitted = Admitted { set_back: behind, skipped: !behind, ..Admitted::default() };
        if behind {
            self.now = None;
            self.newest.clear();
        }
        for held in std::mem::take(&mut self.held) {
            if self.agrees(&held, &event, stamp, behind) {
                self.note(&held.event, held.stamp);
                admitted.events.push(held.event);
            } else if behind {
                // in doubt about a time that is over
                admitted.strays.push(held.event);
            } else {
                self.held.push(held);
            }
        }
        self.note(&event, stamp);
        admitted.events.push(event);
        admitted
    }

    /// The end: what lies ahead will not be contradicted any more.
    pub(crate) fn release(&mut self) -> Admitted {
        let (strays, ahead): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.held).into_iter().partition(|h| h.behind);
        let events = |held: Vec<Held>| held.into_iter().map(|h| h.event).collect();
        Admitted { events: events(ahead), strays: events(strays), ..Admitted::default() }
    }

    /// The events held.
    pub(crate) fn held(&self) -> impl Iterator<Item = &SensorEvent> {
        self.held.iter().map(|held| &held.event)
    }

    /// Whether `event` bears witness for what is held. Transforms of different frames do not: one message holds many.
    fn agrees(&self, held: &Held, event: &SensorEvent, stamp: StampNanos, behind: bool) -> bool {
        let later_by = stamp.saturating_sub(held.stamp);
        if held.behind != behind {
            return false;
        }
        if same_stream(&held.event, event) {
            return (-self.jump_nanos..=SLOWEST_PERIOD_NANOS.max(self.jump_nanos)).contains(&later_by);
        }
        let of_images = held.event.image_stream().is_some() || event.image_stream().is_some();
        of_images && (-self.jump_nanos..=self.jump_nanos).contains(&later_by)
    }

    fn note(&mut self, event: &SensorEvent, stamp: StampNanos) {
        self.now = self.now.max(Some(stamp));
        if let Some(stream) = event.image_stream() {
            let newest = self.newest.entry(stream).or_insert(stamp);
            *newest = stamp.max(*newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorImage, DepthImage};
    use nalgebra::Isometry3;
    use std::sync::Arc;

    const SECOND: i64 = 1_000_000_000;

    fn color(seconds: f64) -> SensorEvent {
        let image = Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap());
        let stamp = (seconds * 1e9) as i64;
        SensorEvent::Color { camera_id: CameraId(0), stamp, frame_id: "c".to_owned(), image }
    }

    fn depth(seconds: f64) -> SensorEvent {
        let image = Arc::new(DepthImage::new(1, 1, vec![0.0]).unwrap());
        let stamp = (seconds * 1e9) as i64;
        SensorEvent::Depth { camera_id: CameraId(0), stamp, frame_id: "d".to_owned(), image }
    }

    fn moved(child: &str, seconds: f64) -> SensorEvent {
        SensorEvent::Transform {
            stamp: (seconds * 1e9) as i64,
            parent: "odom".to_owned(),
            child: child.to_owned(),
            parent_from_child: Isometry3::identity(),
            is_static: false,
        }
    }

    /// Seconds that went on, with a minus for strays; "<" and ">" for jumps back and forward.
    fn told(watch: &mut ClockWatch, events: impl IntoIterator<Item = SensorEvent>) -> String {
        let mut transforms = TransformBuffer::new();
        let mut out = Vec::new();
        for event in events {
            let admitted = watch.admit(event, &transforms);
            out.extend(admitted.strays.iter().map(|e| format!("-{}", stamp_of(e).unwrap() / SECOND)));
            if admitted.set_back {
                out.push("<".to_owned());
                transforms.clear();
            }
            out.extend(admitted.skipped.then(|| ">".to_owned()));
            for event in &admitted.events {
                out.push((stamp_of(event).unwrap() / SECOND).to_string());
                if let SensorEvent::Transform { stamp, parent, child, parent_from_child, is_static } = event {
                    transforms.insert(parent, child, *stamp, *parent_from_child, *is_static).unwrap();
                }
            }
        }
        out.join(" ")
    }

    fn watched(events: impl IntoIterator<Item = SensorEvent>) -> String {
        told(&mut ClockWatch::new(0), events)
    }

    #[test]
    fn one_stray_of_the_future_changes_nothing() {
        assert_eq!(watched([color(5.0), color(9999.0), color(5.1), color(5.2), depth(5.2)]), "5 -9999 5 5 5");
        // all transforms of one message lie together, and are still one witness
        let strays = [moved("a", 9999.0), moved("b", 9999.0), moved("a", 5.1), moved("b", 5.1)];
        assert_eq!(watched([moved("a", 5.0)].into_iter().chain(strays)), "5 -9999 5 -9999 5");
    }

    #[test]
    fn one_stray_of_the_past_changes_nothing() {
        assert_eq!(watched([color(5.0), color(0.0), depth(5.1), color(5.1)]), "5 5 -0 5");
    }

    #[test]
    fn two_streams_or_two_in_a_row_set_the_clock_back() {
        assert_eq!(watched([color(60.0), depth(60.0), color(0.0), depth(0.0), color(0.1)]), "60 60 < 0 0 0");
        assert_eq!(watched([color(60.0), color(0.0), color(0.1)]), "60 < 0 0");
        assert_eq!(watched([moved("a", 60.0), color(60.0), moved("a", 0.0), color(0.0)]), "60 60 < 0 0");
    }

    #[test]
    fn a_pause_is_a_skip_that_costs_nothing() {
        assert_eq!(watched([color(1.0), depth(1.0), color(61.0), depth(61.0), color(61.1)]), "1 1 > 61 61 61");
        // a slow stream by itself: each message is the witness of the one before
        assert_eq!(watched([moved("a", 0.0), moved("a", 3.0), moved("a", 6.0), moved("a", 9.0)]), "0 > 3 6");
        let mut watch = ClockWatch::new(0);
        told(&mut watch, [color(1.0), color(7.0)]);
        assert_eq!(watch.release().events.len(), 1);
    }

    #[test]
    fn a_stream_that_leaps_alone_does_not_hold_the_others() {
        let mut events = vec![color(1.0), depth(1.0)];
        events.extend((0..3).map(|i| color(100.0 + f64::from(i) * 0.1)));
        events.extend((1..4).map(|i| depth(1.0 + f64::from(i) * 0.1)));
        assert_eq!(watched(events), "1 1 > 100 100 100 1 1 1");
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut watch = ClockWatch::new(0);
        told(&mut watch, [moved("x", 0.0)]);
        told(&mut watch, (0..1000).map(|i| moved(&format!("f{i}"), 50.0)));
        assert_eq!(watch.held().count(), MAX_HELD);
    }
}
