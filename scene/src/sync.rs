//! Sensor events in, frames with colour, depth, camera and pose of one moment out.
//!
//! A depth image takes the colour image nearest in time, then waits in a bounded queue until the camera is known and the
//! transform at its own stamp has come. What is given up is counted under its reason.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use nalgebra::Isometry3;
use vantage_calibration::{PinholeCamera, RayTable};

use crate::frame::{ColorImage, DepthImage, RgbdFrame, SensorEvent, StampNanos, Stream};
use crate::registration::register_color;
use crate::sync_stats::{DropReason, SyncStats};
use crate::transforms::TransformBuffer;

/// A stamp this far behind the newest of its stream means that the clock was set back (a bag loops, a simulation restarts);
/// less is disorder on the way.
const CLOCK_JUMP_NANOS: i64 = 1_000_000_000;
/// Two cameras whose principal points and focal lengths agree within this share of the width see the same picture.
const SAME_VIEW_SHARE: f64 = 0.005;
/// A camera fits an image of another size when the two scales agree within this share.
const ASPECT_TOLERANCE: f64 = 0.01;

/// Settings of the synchroniser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncConfig {
    /// Frame that poses are given in.
    pub global_frame: String,
    /// Most time between a depth image and its colour image, nanoseconds.
    pub tolerance_nanos: i64,
    /// Most images that wait for their partner, and most frames that wait for their transform.
    pub max_waiting: usize,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self { global_frame: "odom".to_owned(), tolerance_nanos: 20_000_000, max_waiting: 32 }
    }
}

#[derive(Debug, Clone)]
struct Waiting<I> {
    stamp: StampNanos,
    frame_id: String,
    image: Arc<I>,
}

/// A depth image with its colour image.
#[derive(Debug, Clone)]
struct Pair {
    depth: Waiting<DepthImage>,
    color: Waiting<ColorImage>,
}

/// Why a pair is not a frame, or not yet.
enum Obstacle {
    /// Something may still come; the reason counts if it does not.
    Wait(DropReason),
    /// Nothing can help.
    Drop(DropReason),
}

/// Joins the streams of one camera.
#[derive(Debug)]
pub struct Synchronizer {
    config: SyncConfig,
    transforms: TransformBuffer,
    depth_camera: Option<PinholeCamera>,
    color_camera: Option<PinholeCamera>,
    /// Rays of the depth camera, made when colour has to be registered.
    rays: Option<(PinholeCamera, RayTable)>,
    colors: BTreeMap<StampNanos, Waiting<ColorImage>>,
    depths: VecDeque<Waiting<DepthImage>>,
    pairs: VecDeque<Pair>,
    newest_color: Option<StampNanos>,
    newest_depth: Option<StampNanos>,
    stats: SyncStats,
}

impl Synchronizer {
    /// A synchroniser that has heard nothing yet.
    pub fn new(config: SyncConfig) -> Self {
        Self {
            config,
            transforms: TransformBuffer::new(),
            depth_camera: None,
            color_camera: None,
            rays: None,
            colors: BTreeMap::new(),
            depths: VecDeque::new(),
            pairs: VecDeque::new(),
            newest_color: None,
            newest_depth: None,
            stats: SyncStats::default(),
        }
    }

    /// Takes one event; returns the frames that it completes, in the order of their depth images.
    pub fn push(&mut self, event: SensorEvent) -> Vec<RgbdFrame> {
        match event {
            SensorEvent::Color { stamp, frame_id, image } => {
                self.stats.color += 1;
                self.note_stamp(Stream::Color, stamp);
                self.colors.insert(stamp, Waiting { stamp, frame_id, image });
                while self.colors.len() > self.config.max_waiting.max(1) {
                    self.colors.pop_first();
                }
            }
            SensorEvent::Depth { stamp, frame_id, image } => {
                self.stats.depth += 1;
                self.note_stamp(Stream::Depth, stamp);
                self.depths.push_back(Waiting { stamp, frame_id, image });
            }
            SensorEvent::CameraInfo { stream, camera, .. } => {
                self.stats.camera_infos += 1;
                match stream {
                    Stream::Color => self.color_camera = Some(camera),
                    Stream::Depth => self.depth_camera = Some(camera),
                }
            }
            SensorEvent::Transform { stamp, parent, child, parent_from_child, is_static } => {
                self.stats.transforms += 1;
                let newest = self.transforms.newest(&child).filter(|_| !is_static);
                if newest.is_some_and(|newest| newest.saturating_sub(stamp) > CLOCK_JUMP_NANOS) {
                    self.clock_jumped();
                }
                if let Err(e) = self.transforms.insert(&parent, &child, stamp, parent_from_child, is_static) {
                    self.stats.transforms_refused += 1;
                    self.stats.last_refused_transform = Some(e.to_string());
                }
            }
        }
        self.match_images(false);
        self.release(false)
    }

    /// Ends the streams: returns what can still be completed; the rest is counted as dropped.
    pub fn flush(&mut self) -> Vec<RgbdFrame> {
        self.match_images(true);
        let frames = self.release(true);
        self.colors.clear();
        frames
    }

    /// What came, what left and what was dropped.
    pub fn stats(&self) -> &SyncStats {
        &self.stats
    }

    /// The transforms heard so far.
    pub fn transforms(&self) -> &TransformBuffer {
        &self.transforms
    }

    /// Remembers the newest stamp of a stream and notices when the clock was set back.
    fn note_stamp(&mut self, stream: Stream, stamp: StampNanos) {
        let newest = match stream {
            Stream::Color => self.newest_color,
            Stream::Depth => self.newest_depth,
        };
        if newest.is_some_and(|newest| newest.saturating_sub(stamp) > CLOCK_JUMP_NANOS) {
            self.clock_jumped();
        }
        let newest = match stream {
            Stream::Color => &mut self.newest_color,
            Stream::Depth => &mut self.newest_depth,
        };
        *newest = (*newest).max(Some(stamp));
    }

    /// Everything that moves belongs to the time before: forget it.
    fn clock_jumped(&mut self) {
        self.stats.clock_jumps += 1;
        self.transforms.clear();
        let waiting = self.depths.len() + self.pairs.len();
        self.stats.count(DropReason::ClockJump, waiting as u64);
        self.depths.clear();
        self.pairs.clear();
        self.colors.clear();
        self.newest_color = None;
        self.newest_depth = None;
    }

    /// Gives depth images their colour. One is sure of its nearest colour once a colour at or after its stamp has come,
    /// or `at_end`.
    fn match_images(&mut self, at_end: bool) {
        while let Some(depth) = self.depths.front() {
            let (stamp, tolerance) = (depth.stamp, self.config.tolerance_nanos.max(0));
            let before = self.colors.range(..=stamp).next_back().map(|(s, _)| *s);
            let after = self.colors.range(stamp..).next().map(|(s, _)| *s);
            let settled = self.newest_color.is_some_and(|newest| newest >= stamp) || at_end;
            if !settled && self.depths.len() <= self.config.max_waiting.max(1) {
                break;
            }
            let gap = |s: &StampNanos| s.abs_diff(stamp);
            // of two equally near ones the earlier
            let nearest =
                before.into_iter().chain(after).min_by_key(gap).filter(|s| gap(s) <= tolerance.unsigned_abs());
            let color = nearest.and_then(|s| self.colors.get(&s).cloned());
            let Some(depth) = self.depths.pop_front() else { break };
            match color {
                Some(color) => self.pairs.push_back(Pair { depth, color }),
                None => self.stats.count(DropReason::NoColor, 1),
            }
        }
        // colours that no depth image to come will want
        if let Some(oldest) = self.depths.front().map(|d| d.stamp).or(self.newest_depth) {
            let keep_from = oldest.saturating_sub(self.config.tolerance_nanos.max(0));
            self.colors = self.colors.split_off(&keep_from);
        }
    }

    /// Completes pairs from the front; those behind one that waits wait too, so that the order of time is kept.
    fn release(&mut self, at_end: bool) -> Vec<RgbdFrame> {
        let mut frames = Vec::new();
        while let Some(pair) = self.pairs.pop_front() {
            match self.complete(&pair) {
                Ok(frame) => {
                    self.stats.frames += 1;
                    self.stats.last_transform_error = None;
                    frames.push(frame);
                }
                Err(Obstacle::Drop(reason)) => self.stats.count(reason, 1),
                Err(Obstacle::Wait(reason)) if at_end || self.pairs.len() >= self.config.max_waiting.max(1) => {
                    self.stats.count(reason, 1);
                }
                Err(Obstacle::Wait(_)) => {
                    self.pairs.push_front(pair);
                    break;
                }
            }
        }
        frames
    }

    /// Finds camera and pose for a pair, and brings its colour into the depth image's view.
    fn complete(&mut self, pair: &Pair) -> Result<RgbdFrame, Obstacle> {
        let (depth, color) = (&pair.depth, &pair.color);
        let same_frame = depth.frame_id == color.frame_id;
        let known = self.depth_camera.or(self.color_camera.filter(|_| same_frame));
        let known = known.ok_or(Obstacle::Wait(DropReason::NoCameraInfo))?;
        let unfit = Obstacle::Drop(DropReason::CameraSize);
        let camera = fitted(&known, depth.image.width, depth.image.height).ok_or(unfit)?;
        let world_from_camera = self.look_up(None, depth)?;
        let picture = match self.color_camera.map(|c| fitted(&c, color.image.width, color.image.height)) {
            None if same_frame => Arc::clone(&color.image),
            None => return Err(Obstacle::Wait(DropReason::NoCameraInfo)),
            Some(None) => return Err(Obstacle::Drop(DropReason::CameraSize)),
            Some(Some(c)) if same_frame && same_view(&c, &camera) => Arc::clone(&color.image),
            Some(Some(color_camera)) => {
                let color_from_depth = self.look_up(Some(&color.frame_id), depth)?;
                self.stats.registered += 1;
                self.rays.take_if(|(made_for, _)| *made_for != camera);
                let (_, rays) = self.rays.get_or_insert_with(|| (camera, RayTable::new(&camera)));
                Arc::new(register_color(&depth.image, rays, &color.image, &color_camera, &color_from_depth))
            }
        };
        let depth_image = Arc::clone(&depth.image);
        Ok(RgbdFrame { stamp: depth.stamp, color: picture, depth: depth_image, camera, world_from_camera })
    }

    /// `target_from_depth` at the depth image's own stamp; the target is the global frame when none is given.
    fn look_up(&mut self, target: Option<&str>, depth: &Waiting<DepthImage>) -> Result<Isometry3<f64>, Obstacle> {
        let target = target.unwrap_or(&self.config.global_frame);
        self.transforms.lookup(target, &depth.frame_id, depth.stamp).map_err(|e| {
            self.stats.last_transform_error = Some(e.to_string());
            match e.may_resolve() {
                true => Obstacle::Wait(DropReason::NoTransform),
                false => Obstacle::Drop(DropReason::TransformTooLate),
            }
        })
    }
}

/// The camera for an image of this size, when both sides are scaled alike.
fn fitted(camera: &PinholeCamera, width: u32, height: u32) -> Option<PinholeCamera> {
    if (camera.width, camera.height) == (width, height) {
        return Some(*camera);
    }
    let (sx, sy) = (f64::from(width) / f64::from(camera.width), f64::from(height) / f64::from(camera.height));
    ((sx / sy - 1.0).abs() <= ASPECT_TOLERANCE).then(|| camera.scaled(width, height))
}

/// Whether two cameras at the same place show the same picture, sizes apart.
fn same_view(a: &PinholeCamera, b: &PinholeCamera) -> bool {
    let a = a.scaled(b.width, b.height);
    let limit = SAME_VIEW_SHARE * f64::from(b.width);
    [(a.fx, b.fx), (a.fy, b.fy), (a.cx, b.cx), (a.cy, b.cy)].iter().all(|(p, q)| (p - q).abs() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;
    use vantage_calibration::Distortion;

    const MS: i64 = 1_000_000;

    fn camera(width: u32, height: u32, focal: f64) -> PinholeCamera {
        let center = |side: u32| f64::from(side) / 2.0 - 0.5;
        PinholeCamera::new(width, height, focal, focal, center(width), center(height), Distortion::None).unwrap()
    }

    fn info(stream: Stream, camera: PinholeCamera) -> SensorEvent {
        SensorEvent::CameraInfo { stream, stamp: 0, frame_id: "optical".to_owned(), camera }
    }

    /// The red of every pixel tells the images apart.
    fn color_from(frame_id: &str, ms: i64, red: u8) -> SensorEvent {
        let image = ColorImage::new(8, 6, [red, 0, 0].repeat(48)).unwrap();
        SensorEvent::Color { stamp: ms * MS, frame_id: frame_id.to_owned(), image: Arc::new(image) }
    }

    fn color(ms: i64, red: u8) -> SensorEvent {
        color_from("optical", ms, red)
    }

    fn depth(ms: i64) -> SensorEvent {
        let image = DepthImage::new(8, 6, vec![1.0; 48]).unwrap();
        SensorEvent::Depth { stamp: ms * MS, frame_id: "optical".to_owned(), image: Arc::new(image) }
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
        assert!(sync.stats().last_transform_error.as_ref().unwrap().contains("odom <- optical ends"));
        let frames = sync.push(moved(100, 2.0));
        assert_eq!(frames.len(), 1);
        assert!((frames[0].world_from_camera.translation.vector - Vector3::x()).norm() < 1e-9);
        assert_eq!((sync.stats().frames, sync.stats().dropped_total()), (1, 0));
        assert!(sync.stats().last_transform_error.is_none());
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
        assert_eq!(sync.stats().dropped(DropReason::NoColor), 1);
    }

    #[test]
    fn flush_completes_what_it_can_and_counts_the_rest() {
        let mut sync = started();
        push_all(
            &mut sync,
            [moved(0, 0.0), moved(120, 0.0), color(95, 1), depth(100), color(200, 2), depth(200), depth(300)],
        );
        let frames = sync.flush();
        assert!(frames.is_empty() && sync.stats().frames == 1);
        assert_eq!(sync.stats().drops().collect::<Vec<_>>(), [(DropReason::NoColor, 1), (DropReason::NoTransform, 1)]);
    }

    #[test]
    fn waiting_is_bounded_and_what_never_came_is_named() {
        let mut sync = Synchronizer::new(SyncConfig { max_waiting: 4, ..SyncConfig::default() });
        push_all(&mut sync, (0..20).flat_map(|i| [color(33 * i, 1), depth(33 * i)]));
        assert_eq!(sync.stats().dropped(DropReason::NoCameraInfo), 16);
        sync.push(info(Stream::Depth, camera(8, 6, 8.0)));
        push_all(&mut sync, (20..30).flat_map(|i| [color(33 * i, 1), depth(33 * i)]));
        assert_eq!(sync.stats().dropped(DropReason::NoTransform), 10);
        assert!(sync.stats().last_transform_error.as_ref().unwrap().contains("odom"));
        push_all(&mut sync, (30..50).map(|i| depth(33 * i)));
        assert!(sync.depths.len() <= 4);
    }

    #[test]
    fn frames_from_before_the_first_transform_are_dropped_at_once() {
        let mut sync = started();
        push_all(&mut sync, [moved(500, 0.0), moved(600, 0.0), color(100, 1), depth(100)]);
        assert_eq!(sync.stats().dropped(DropReason::TransformTooLate), 1);
    }

    #[test]
    fn a_clock_set_back_empties_the_buffers_once_and_fusion_goes_on() {
        let mut sync = started();
        push_all(&mut sync, [moved(60_000, 9.0), color(60_100, 1), depth(60_100)]);
        let again = [moved(0, 1.0), color(50, 2), depth(50), moved(100, 1.0)];
        let frames = push_all(&mut sync, again);
        assert_eq!((frames.len(), sync.stats().clock_jumps), (1, 1));
        assert_eq!(sync.stats().dropped(DropReason::ClockJump), 1);
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
        assert_eq!(sync.stats().dropped(DropReason::CameraSize), 1);
    }

    #[test]
    fn colour_of_another_camera_is_carried_into_the_depth_view() {
        let mut sync = started();
        sync.push(info(Stream::Color, camera(8, 6, 8.0)));
        let events = [moved(0, 0.0), moved(100, 0.0), color_from("color_optical", 50, 7), depth(50)];
        assert!(push_all(&mut sync, events).is_empty());
        assert!(sync.stats().last_transform_error.as_ref().unwrap().contains("color_optical"));
        // one pixel (1 m / 8) to the right
        let frames = sync.push(SensorEvent::Transform {
            stamp: 0,
            parent: "optical".to_owned(),
            child: "color_optical".to_owned(),
            parent_from_child: Isometry3::translation(0.125, 0.0, 0.0),
            is_static: true,
        });
        assert_eq!(frames[0].color.data[..6], [0, 0, 0, 7, 0, 0]);
        assert_eq!(sync.stats().registered, 1);
    }
}
