//! Sensor events in, frames with colour, depth, camera and pose of one moment out.
//!
//! A depth image takes the colour image nearest in time, then waits in a bounded queue until the camera is known and the
//! transform at its own stamp has come. What is given up is counted under its reason.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

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

/// What can be done with a pair now.
enum Outcome {
    Ready(Box<RgbdFrame>),
    /// Something may still come; the reason counts if it does not.
    Wait(DropReason),
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
                    self.stats.last_transform_error = Some(e.to_string());
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
            let nearest = before.into_iter().chain(after).min_by_key(gap).filter(|s| gap(s) <= tolerance.unsigned_abs());
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
                Outcome::Ready(frame) => {
                    self.stats.frames += 1;
                    frames.push(*frame);
                }
                Outcome::Drop(reason) => self.stats.count(reason, 1),
                Outcome::Wait(reason) if at_end || self.pairs.len() >= self.config.max_waiting.max(1) => {
                    self.stats.count(reason, 1);
                }
                Outcome::Wait(_) => {
                    self.pairs.push_front(pair);
                    break;
                }
            }
        }
        frames
    }

    /// Finds camera and pose for a pair.
    fn complete(&mut self, pair: &Pair) -> Outcome {
        let (depth, color) = (&pair.depth, &pair.color);
        let same_frame = depth.frame_id == color.frame_id;
        let known = self.depth_camera.or(self.color_camera.filter(|_| same_frame));
        let Some(known) = known else { return Outcome::Wait(DropReason::NoCameraInfo) };
        let Some(camera) = fitted(&known, depth.image.width, depth.image.height) else {
            return Outcome::Drop(DropReason::CameraSize);
        };
        let world_from_camera = match self.transforms.lookup(&self.config.global_frame, &depth.frame_id, depth.stamp) {
            Ok(pose) => pose,
            Err(e) => {
                self.stats.last_transform_error = Some(e.to_string());
                return match e.may_resolve() {
                    true => Outcome::Wait(DropReason::NoTransform),
                    false => Outcome::Drop(DropReason::TransformTooLate),
                };
            }
        };
        let color_camera = self.color_camera.and_then(|c| fitted(&c, color.image.width, color.image.height));
        let aligned = same_frame && color_camera.is_none_or(|c| same_view(&c, &camera));
        let image = match (aligned, color_camera) {
            (true, _) => Arc::clone(&color.image),
            (false, None) => {
                let reason = if self.color_camera.is_some() { DropReason::CameraSize } else { DropReason::NoCameraInfo };
                return if reason == DropReason::CameraSize { Outcome::Drop(reason) } else { Outcome::Wait(reason) };
            }
            (false, Some(color_camera)) => {
                let color_from_depth = match self.transforms.lookup(&color.frame_id, &depth.frame_id, depth.stamp) {
                    Ok(motion) => motion,
                    Err(e) => {
                        self.stats.last_transform_error = Some(e.to_string());
                        return Outcome::Wait(DropReason::NoTransform);
                    }
                };
                self.stats.registered += 1;
                if self.rays.as_ref().is_none_or(|(c, _)| *c != camera) {
                    self.rays = None;
                }
                let (_, rays) = self.rays.get_or_insert_with(|| (camera, RayTable::new(&camera)));
                Arc::new(register_color(&depth.image, rays, &color.image, &color_camera, &color_from_depth))
            }
        };
        let frame = RgbdFrame { stamp: depth.stamp, color: image, depth: Arc::clone(&depth.image), camera, world_from_camera };
        Outcome::Ready(Box::new(frame))
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
