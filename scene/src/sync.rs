//! Sensor events of all cameras in, frames with colour, depth, camera and pose of one moment out.
//!
//! The clock is watched first; then each camera by itself gives a depth image the colour image nearest in time, and lets
//! the pair wait in a bounded queue until the camera is known and the transform at its own stamp has come. One camera's
//! frames come in order of time and never hold back another's. What is given up is counted under stream and reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::camera_streams::CameraStreams;
use crate::clock::{Admitted, ClockWatch};
use crate::correction::StreamCorrection;
use crate::frame::{CameraId, RgbdFrame, SensorEvent, Stream};
use crate::framing::Stamped;
use crate::sync_stats::{DropReason, SyncStats};
use crate::transforms::{Inserted, TransformBuffer};

/// Memory of the images that wait: two seconds of a 640x480 camera at 30 Hz.
const DEFAULT_WAITING_BYTES: usize = 256 << 20;

/// Settings of the synchroniser.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncConfig {
    /// Frame that poses are given in.
    pub global_frame: String,
    /// Most time between a depth image and its colour image, nanoseconds.
    pub tolerance_nanos: i64,
    /// Most images of a stream that wait for their partner, and most frames of a camera that wait for their transform.
    pub max_waiting: usize,
    /// Most memory of the images that wait, of all cameras together, bytes. Beyond it the oldest of the camera that holds
    /// most is dropped; the newest image of each stream may always wait.
    pub max_waiting_bytes: usize,
    /// Corrections of the cameras that need any.
    pub corrections: BTreeMap<CameraId, StreamCorrection>,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            global_frame: "odom".to_owned(),
            tolerance_nanos: 20_000_000,
            max_waiting: 32,
            max_waiting_bytes: DEFAULT_WAITING_BYTES,
            corrections: BTreeMap::new(),
        }
    }
}

/// Joins the streams of a robot's cameras, which share one tree of transforms.
#[derive(Debug)]
pub struct Synchronizer {
    config: SyncConfig,
    clock: ClockWatch,
    transforms: TransformBuffer,
    cameras: BTreeMap<CameraId, CameraStreams>,
    stats: SyncStats,
}

impl Synchronizer {
    /// A synchroniser that has heard nothing yet.
    pub fn new(config: SyncConfig) -> Self {
        Self {
            clock: ClockWatch::new(config.tolerance_nanos),
            config,
            transforms: TransformBuffer::new(),
            cameras: BTreeMap::new(),
            stats: SyncStats::default(),
        }
    }

    /// Takes one event; returns the frames that it completes, by camera, and of each camera in order of time.
    pub fn push(&mut self, mut event: SensorEvent) -> Vec<RgbdFrame> {
        match &event {
            SensorEvent::Color { camera_id, .. } => self.stats.cameras.entry(*camera_id).or_default().color += 1,
            SensorEvent::Depth { camera_id, .. } => self.stats.cameras.entry(*camera_id).or_default().depth += 1,
            SensorEvent::CameraInfo { camera_id, .. } => {
                self.stats.cameras.entry(*camera_id).or_default().camera_infos += 1;
            }
            SensorEvent::Transform { .. } => self.stats.transforms += 1,
        }
        if let Some(correction) = event.camera_id().and_then(|id| self.config.corrections.get(&id)) {
            correction.apply(&mut event);
        }
        let admitted = self.clock.admit(event, &self.transforms);
        let mut frames = Vec::new();
        self.work_on(admitted, &mut frames);
        self.keep_within_bytes();
        frames
    }

    /// Ends the streams: returns what can still be completed; the rest is counted as dropped.
    pub fn flush(&mut self) -> Vec<RgbdFrame> {
        let mut frames = Vec::new();
        let rest = self.clock.release();
        self.work_on(rest, &mut frames);
        for camera_id in self.cameras.keys().copied().collect::<Vec<_>>() {
            self.advance(camera_id, true, &mut frames);
        }
        frames
    }

    /// What came, what left and what was dropped.
    pub fn stats(&self) -> &SyncStats {
        &self.stats
    }

    /// Images of a camera's stream that wait, for a partner, a transform, or certainty about their time.
    pub fn waiting(&self, camera_id: CameraId, stream: Stream) -> usize {
        let held = self.clock.held().filter(|event| event.image_stream() == Some((camera_id, stream))).count();
        held + self.cameras.get(&camera_id).map_or(0, |camera| camera.waiting(stream))
    }

    /// Memory of all images that wait, bytes.
    pub fn waiting_bytes(&self) -> usize {
        let held = self.clock.held().map(SensorEvent::image_bytes);
        held.sum::<usize>() + self.cameras.values().map(CameraStreams::bytes).sum::<usize>()
    }

    /// The transforms heard so far.
    pub fn transforms(&self) -> &TransformBuffer {
        &self.transforms
    }

    fn work_on(&mut self, admitted: Admitted, frames: &mut Vec<RgbdFrame>) {
        for stray in admitted.strays {
            match stray.image_stream() {
                Some((camera_id, stream)) => {
                    self.stats.cameras.entry(camera_id).or_default().count(stream, DropReason::StrayStamp, 1);
                }
                None => self.stats.transforms_stray += 1,
            }
        }
        if admitted.set_back {
            self.clock_set_back();
        }
        self.stats.clock_skips += u64::from(admitted.skipped);
        for event in admitted.events {
            let camera_id = event.camera_id();
            self.take(event);
            match camera_id {
                Some(camera_id) => self.advance(camera_id, false, frames),
                None => {
                    for camera_id in self.cameras.keys().copied().collect::<Vec<_>>() {
                        self.advance(camera_id, false, frames);
                    }
                }
            }
        }
    }

    /// Puts an event in its place.
    fn take(&mut self, event: SensorEvent) {
        match event {
            SensorEvent::Color { camera_id, stamp, frame_id, image } => {
                let (camera, stats) = (self.cameras.entry(camera_id), self.stats.cameras.entry(camera_id));
                let image = Stamped { stamp, frame_id: Arc::from(frame_id), image };
                camera.or_default().push_color(image, &self.config, stats.or_default());
            }
            SensorEvent::Depth { camera_id, stamp, frame_id, image } => {
                let (camera, stats) = (self.cameras.entry(camera_id), self.stats.cameras.entry(camera_id));
                let image = Stamped { stamp, frame_id: Arc::from(frame_id), image };
                camera.or_default().push_depth(image, stats.or_default());
            }
            SensorEvent::CameraInfo { camera_id, stream, camera, .. } => {
                self.cameras.entry(camera_id).or_default().framing.calibrate(stream, camera);
            }
            SensorEvent::Transform { stamp, parent, child, parent_from_child, is_static } => {
                match self.transforms.insert(&parent, &child, stamp, parent_from_child, is_static) {
                    Ok(Inserted::Added) => {}
                    Ok(Inserted::Reparented { from }) => {
                        self.reclaimed(format!("{child} hung on {from} and now hangs on {parent}"));
                    }
                    Ok(Inserted::KindChanged) => {
                        let now = if is_static { "static and was moving" } else { "moving and was static" };
                        self.reclaimed(format!("{parent} <- {child} is {now}"));
                    }
                    Err(error) => {
                        self.stats.transforms_refused += 1;
                        self.stats.last_refused_transform = Some(error);
                    }
                }
            }
        }
    }

    fn reclaimed(&mut self, what: String) {
        self.stats.transforms_reclaimed += 1;
        self.stats.last_reclaimed = Some(what);
    }

    /// Matches and completes what one camera can.
    fn advance(&mut self, camera_id: CameraId, at_end: bool, frames: &mut Vec<RgbdFrame>) {
        let Some(camera) = self.cameras.get_mut(&camera_id) else { return };
        let stats = self.stats.cameras.entry(camera_id).or_default();
        camera.match_images(&self.config, stats, at_end);
        camera.complete(camera_id, &self.config, &self.transforms, stats, at_end, frames);
    }

    /// Everything that moves belongs to the time before: forget it.
    fn clock_set_back(&mut self) {
        self.stats.clock_jumps += 1;
        self.transforms.clear();
        for (camera_id, camera) in &mut self.cameras {
            camera.clear(DropReason::ClockJump, self.stats.cameras.entry(*camera_id).or_default());
        }
    }

    /// Drops what waits too expensively: the oldest of the camera that holds most, of equals the first.
    fn keep_within_bytes(&mut self) {
        let mut droppable: Vec<CameraId> = self.cameras.keys().copied().collect();
        while self.waiting_bytes() > self.config.max_waiting_bytes {
            let largest = droppable
                .iter()
                .copied()
                .max_by_key(|id| (self.cameras.get(id).map_or(0, CameraStreams::bytes), Reverse(*id)));
            let Some(largest) = largest else { break };
            let stats = self.stats.cameras.entry(largest).or_default();
            if !self.cameras.get_mut(&largest).is_some_and(|camera| camera.drop_oldest(stats)) {
                droppable.retain(|id| *id != largest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorImage, DepthImage};
    use nalgebra::{Isometry3, Vector3};
    use vantage_calibration::{Distortion, PinholeCamera};

    const ONE: CameraId = CameraId(0);

    const MS: i64 = 1_000_000;

    fn camera(width: u32, height: u32, focal: f64) -> PinholeCamera {
        let center = |side: u32| f64::from(side) / 2.0 - 0.5;
        PinholeCamera::new(width, height, focal, focal, center(width), center(height), Distortion::None).unwrap()
    }

    fn info(stream: Stream, camera: PinholeCamera) -> SensorEvent {
        SensorEvent::CameraInfo { camera_id: ONE, stream, stamp: 0, frame_id: "optical".to_owned(), camera }
    }

    /// The red of every pixel tells the images apart.
    fn color_from(frame_id: &str, ms: i64, red: u8) -> SensorEvent {
        let image = ColorImage::new(8, 6, [red, 0, 0].repeat(48)).unwrap();
        SensorEvent::Color { camera_id: ONE, stamp: ms * MS, frame_id: frame_id.to_owned(), image: Arc::new(image) }
    }

    fn color(ms: i64, red: u8) -> SensorEvent {
        color_from("optical", ms, red)
    }

    fn depth(ms: i64) -> SensorEvent {
        let image = DepthImage::new(8, 6, vec![1.0; 48]).unwrap();
        SensorEvent::Depth { camera_id: ONE, stamp: ms * MS, frame_id: "optical".to_owned(), image: Arc::new(image) }
    }

    fn moved(ms: i64, x: f64) -> SensorEvent {
        SensorEvent::Transform {
            stamp: ms * MS,
            parent: "odom".to_owned(),
            child: "optical".to_owned(),
            parent_from_child: Isometry3::translation(x, 0.0, 0.0),
            is_static: false,
        }
    }

    fn started() -> Synchronizer {
        let mut sync = Synchronizer::new(SyncConfig::default());
        assert!(sync.push(info(Stream::Depth, camera(8, 6, 8.0))).is_empty());
        sync
    }

    fn push_all(sync: &mut Synchronizer, events: impl IntoIterator<Item = SensorEvent>) -> Vec<RgbdFrame> {
        events.into_iter().flat_map(|e| sync.push(e)).collect()
    }

    #[test]
    fn a_frame_waits_for_the_transform_at_its_own_stamp() {
        let mut sync = started();
        assert!(push_all(&mut sync, [moved(0, 0.0), color(50, 1), depth(50)]).is_empty());
        assert!(
            sync.stats().cameras[&ONE]
                .last_transform_error
                .as_ref()
                .unwrap()
                .to_string()
                .contains("odom <- optical ends")
        );
        let frames = sync.push(moved(100, 2.0));
        assert_eq!(frames.len(), 1);
        assert!((frames[0].world_from_camera.translation.vector - Vector3::x()).norm() < 1e-9);
        assert_eq!((sync.stats().frames(), sync.stats().dropped_total(Stream::Depth)), (1, 0));
        assert!(sync.stats().cameras[&ONE].last_transform_error.is_none());
    }

    #[test]
    fn the_nearest_colour_is_taken_whichever_comes_first() {
        let mut sync = started();
        push_all(&mut sync, [moved(0, 0.0), moved(1000, 0.0)]);
        let frames = push_all(&mut sync, [color(90, 1), depth(100), color(105, 2), color(130, 3), depth(131)]);
        // a later colour may still be nearer to 131
        assert_eq!(frames.iter().map(|f| f.color.data[0]).collect::<Vec<_>>(), [2]);
        assert_eq!(sync.push(color(163, 4))[0].color.data[0], 3);
    }

    #[test]
    fn a_depth_image_without_colour_near_in_time_is_counted() {
        let mut sync = started();
        let frames = push_all(&mut sync, [moved(0, 0.0), moved(1000, 0.0), color(0, 1), depth(50), color(100, 2)]);
        assert!(frames.is_empty());
        assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::NoColor), 1);
    }

    #[test]
    fn flush_completes_what_it_can_and_counts_the_rest() {
        let mut sync = started();
        push_all(
            &mut sync,
            [moved(0, 0.0), moved(120, 0.0), color(95, 1), depth(100), color(200, 2), depth(200), depth(300)],
        );
        let frames = sync.flush();
        assert!(frames.is_empty() && sync.stats().frames() == 1);
        let drops: Vec<_> = sync.stats().cameras[&ONE].drops().collect();
        assert_eq!(drops, [(Stream::Depth, DropReason::NoColor, 1), (Stream::Depth, DropReason::NoTransform, 1)]);
    }

    #[test]
    fn waiting_is_bounded_and_what_never_came_is_named() {
        let mut sync = Synchronizer::new(SyncConfig { max_waiting: 4, ..SyncConfig::default() });
        push_all(&mut sync, (0..20).flat_map(|i| [color(33 * i, 1), depth(33 * i)]));
        assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::NoCameraInfo), 16);
        sync.push(info(Stream::Depth, camera(8, 6, 8.0)));
        push_all(&mut sync, (20..30).flat_map(|i| [color(33 * i, 1), depth(33 * i)]));
        assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::NoTransform), 10);
        assert!(sync.stats().cameras[&ONE].last_transform_error.as_ref().unwrap().to_string().contains("odom"));
        push_all(&mut sync, (30..50).map(|i| depth(33 * i)));
        // for a partner, and for a transform
        assert_eq!(sync.waiting(ONE, Stream::Depth), 4 + 4);
    }

    #[test]
    fn frames_from_before_the_first_transform_are_dropped_at_once() {
        let mut sync = started();
        push_all(&mut sync, [moved(500, 0.0), moved(600, 0.0), color(100, 1), depth(100)]);
        assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::TransformTooLate), 1);
    }

    #[test]
    fn a_clock_set_back_empties_the_buffers_once_and_fusion_goes_on() {
        let mut sync = started();
        push_all(&mut sync, [moved(60_000, 9.0), color(60_100, 1), depth(60_100)]);
        let again = [moved(0, 1.0), color(50, 2), depth(50), moved(100, 1.0)];
        let frames = push_all(&mut sync, again);
        assert_eq!((frames.len(), sync.stats().clock_jumps), (1, 1));
        assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::ClockJump), 1);
        assert_eq!(frames[0].color.data[0], 2);
        assert!((frames[0].world_from_camera.translation.x - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_camera_of_another_size_is_rescaled_and_of_another_shape_refused() {
        let mut sync = Synchronizer::new(SyncConfig::default());
        push_all(&mut sync, [info(Stream::Color, camera(16, 12, 20.0)), moved(0, 0.0), moved(100, 0.0)]);
        let frames = push_all(&mut sync, [color(50, 1), depth(50)]);
        // aligned, so that colour's camera serves for depth
        assert_eq!((frames[0].camera.width, frames[0].camera.fx), (8, 10.0));
        sync.push(info(Stream::Depth, camera(16, 16, 20.0)));
        assert!(push_all(&mut sync, [color(80, 1), depth(80)]).is_empty());
        assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::CameraSize), 1);
    }

    #[test]
    fn depth_waits_for_the_transform_to_the_camera_of_its_colour() {
        let mut sync = started();
        sync.push(info(Stream::Color, camera(8, 6, 8.0)));
        let events = [moved(0, 0.0), moved(100, 0.0), color_from("color_optical", 50, 7), depth(50)];
        assert!(push_all(&mut sync, events).is_empty());
        assert!(
            sync.stats().cameras[&ONE].last_transform_error.as_ref().unwrap().to_string().contains("color_optical")
        );
        let frames = sync.push(SensorEvent::Transform {
            stamp: 0,
            parent: "optical".to_owned(),
            child: "color_optical".to_owned(),
            parent_from_child: Isometry3::translation(0.125, 0.0, 0.0),
            is_static: true,
        });
        assert_eq!((frames[0].color.data[0], frames[0].depth.data[0]), (7, 1.0));
        assert_eq!(frames[0].world_from_camera.translation.x, 0.125, "the pose is that of the colour camera");
        assert_eq!(sync.stats().cameras[&ONE].registered, 1);
    }
}
