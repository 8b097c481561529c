//! Frames in, a bounded set of views that together show the scene, each with the cells of space that it sees, out.
//!
//! A frame is kept when its camera has moved and it shows enough that few others show. A blurred one gives its place to a
//! sharper one of the same view that follows at once. Beyond the bounds the view goes that shows least by itself.

use std::collections::BTreeMap;

use nalgebra::Isometry3;

use crate::coverage::{Coverage, Sole};
use crate::frame::{CameraId, RgbdFrame};
use crate::sharpness::{UsualSharpness, sharpness};
use crate::visibility::{CellKey, visible_cells};

/// A cell is well seen when this many keyframes see it: one from either side of what hides it.
const WELL_SEEN: u32 = 2;
/// After this many times the motion that makes a candidate, a frame is kept whatever it shows.
const LARGE_MOTION: f64 = 3.0;
/// An image is blurred when it has less than this share of its camera's usual sharpness.
const BLURRED_SHARE: f64 = 0.6;
/// A picture this much sharper than a blurred keyframe takes its place.
const SHARPER: f64 = 1.2;
/// A blurred keyframe waits this many frames for a sharper one: a third of a second at 30 Hz.
const SHARPER_WITHIN: u32 = 10;

/// When a frame becomes a keyframe, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyframeConfig {
    /// Moved at least this far since the camera's last keyframe, metres, or...
    pub translation_m: f64,
    /// ...turned at least this much, radians.
    pub rotation_rad: f64,
    /// At least this share of the cells that it sees is seen by fewer than two keyframes.
    pub new_surface_share: f64,
    /// Side of a cell, metres.
    pub visibility_cell_m: f64,
    /// Readings beyond this show nothing, metres.
    pub visibility_range_m: f64,
    /// Most keyframes.
    pub max_keyframes: usize,
    /// Most memory of their images, bytes.
    pub max_bytes: usize,
}

impl Default for KeyframeConfig {
    fn default() -> Self {
        Self {
            translation_m: 0.3,
            rotation_rad: 0.35,
            new_surface_share: 0.1,
            visibility_cell_m: 0.1,
            visibility_range_m: 4.0,
            max_keyframes: 200,
            // 200 of 640x480 take 430 MB
            max_bytes: 512 << 20,
        }
    }
}

/// A stored view.
#[derive(Debug, Clone)]
pub struct Keyframe {
    /// Grows by one with every keyframe, never used twice.
    pub id: u32,
    /// The frame.
    pub frame: RgbdFrame,
    cells: Vec<CellKey>,
    /// Of its cells, those that no other keyframe sees.
    sole_cells: u32,
}

impl Keyframe {
    /// Cells of side [`KeyframeConfig::visibility_cell_m`] whose surface it sees, sorted.
    pub fn visible_cells(&self) -> &[CellKey] {
        &self.cells
    }

    fn bytes(&self) -> usize {
        image_bytes(&self.frame)
    }
}

/// Memory of a frame's images.
fn image_bytes(frame: &RgbdFrame) -> usize {
    frame.color.bytes() + frame.depth.bytes()
}

/// A keyframe that a sharper picture of the same view may replace.
#[derive(Debug, Clone, Copy)]
struct Blurred {
    id: u32,
    sharpness: f64,
    frames_left: u32,
}

/// One camera's way through the scene.
#[derive(Debug, Clone, Default)]
struct Way {
    usual: UsualSharpness,
    /// Pose of its last keyframe.
    last: Option<Isometry3<f64>>,
    blurred: Option<Blurred>,
}

/// The keyframes of a scene.
#[derive(Debug, Clone)]
pub struct KeyframeStore {
    config: KeyframeConfig,
    /// By id.
    keyframes: Vec<Keyframe>,
    coverage: Coverage,
    ways: BTreeMap<CameraId, Way>,
    bytes: usize,
    next_id: u32,
}

impl KeyframeStore {
    /// An empty store.
    pub fn new(config: KeyframeConfig) -> Self {
        Self {
            config,
            keyframes: Vec::new(),
            coverage: Coverage::default(),
            ways: BTreeMap::new(),
            bytes: 0,
            next_id: 0,
        }
    }

    /// Stores the frame when it is worth it, and returns its id then. It may take the place of a blurred one, and another
    /// may leave for it.
    pub fn offer(&mut self, frame: &RgbdFrame) -> Option<u32> {
        let sharp = sharpness(&frame.color);
        let config = self.config;
        let way = self.ways.entry(frame.camera_id).or_default();
        let is_blurred = way.usual.median().is_some_and(|usual| sharp < BLURRED_SHARE * usual);
        way.usual.remember(sharp);
        let motion = way.last.map_or(f64::INFINITY, |last| config.motion(&last, &frame.world_from_camera));
        if motion < 1.0 {
            let blurred = way.blurred.as_mut().filter(|blurred| blurred.frames_left > 0)?;
            blurred.frames_left -= 1;
            if sharp < SHARPER * blurred.sharpness {
                return None;
            }
            let Blurred { id: replaced, frames_left, .. } = *blurred;
            if image_bytes(frame) > config.max_bytes {
                return None;
            }
            // first, so that at the bounds it makes the room and no other keyframe has to leave
            self.remove(replaced);
            let id = self.store(frame, visible_cells(frame, config.visibility_cell_m, config.visibility_range_m))?;
            self.settle(frame, is_blurred.then_some(Blurred { id, sharpness: sharp, frames_left }));
            return Some(id);
        }
        let cells = visible_cells(frame, config.visibility_cell_m, config.visibility_range_m);
        if motion < LARGE_MOTION && self.new_share(&cells) < config.new_surface_share {
            return None;
        }
        let id = self.store(frame, cells)?;
        self.settle(frame, is_blurred.then_some(Blurred { id, sharpness: sharp, frames_left: SHARPER_WITHIN }));
        Some(id)
    }

    /// The keyframes, oldest first.
    pub fn keyframes(&self) -> &[Keyframe] {
        &self.keyframes
    }

    /// Memory of all images, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets cells that hold no surface any more, as when something was moved away. A keyframe that sees nothing any more
    /// stays until the bounds are reached, and then goes first.
    pub fn retain_cells(&mut self, is_surface: impl Fn(CellKey) -> bool) {
        for i in 0..self.keyframes.len() {
            let Some(keyframe) = self.keyframes.get_mut(i) else { break };
            let id = keyframe.id;
            let (kept, gone) = std::mem::take(&mut keyframe.cells).into_iter().partition(|cell| is_surface(*cell));
            keyframe.cells = kept;
            self.unsee(id, &gone);
        }
    }

    /// Remembers where the camera was when its last keyframe was taken.
    fn settle(&mut self, frame: &RgbdFrame, blurred: Option<Blurred>) {
        let way = self.ways.entry(frame.camera_id).or_default();
        way.last = Some(frame.world_from_camera);
        way.blurred = blurred;
    }

    /// Share of the cells that are not well seen yet; nothing seen is nothing new.
    fn new_share(&self, cells: &[CellKey]) -> f64 {
        let new = cells.iter().filter(|cell| self.coverage.count(**cell) < WELL_SEEN).count();
        new as f64 / cells.len().max(1) as f64
    }

    /// Adds a keyframe and keeps the bounds; `None` when it alone is beyond them, or when the ids are used up.
    fn store(&mut self, frame: &RgbdFrame, cells: Vec<CellKey>) -> Option<u32> {
        if image_bytes(frame) > self.config.max_bytes {
            return None;
        }
        let id = self.next_id;
        self.next_id = id.checked_add(1)?;
        let changes: Vec<Sole> = cells.iter().filter_map(|cell| self.coverage.see(*cell, id)).collect();
        let keyframe = Keyframe { id, frame: frame.clone(), cells, sole_cells: 0 };
        self.bytes += keyframe.bytes();
        self.keyframes.push(keyframe);
        self.account(changes);
        while self.keyframes.len() > self.config.max_keyframes.max(1) || self.bytes > self.config.max_bytes {
            // the one just stored is the reason, and stays
            let others = self.keyframes.iter().filter(|keyframe| keyframe.id != id);
            let least = others.min_by_key(|k| (k.sole_cells, !k.cells.is_empty(), k.id)).map(|k| k.id);
            let Some(least) = least else { break };
            self.remove(least);
        }
        Some(id)
    }

    fn remove(&mut self, id: u32) {
        let Ok(at) = self.keyframes.binary_search_by_key(&id, |keyframe| keyframe.id) else { return };
        let keyframe = self.keyframes.remove(at);
        self.bytes = self.bytes.saturating_sub(keyframe.bytes());
        self.unsee(id, &keyframe.cells);
    }

    fn unsee(&mut self, id: u32, cells: &[CellKey]) {
        let changes: Vec<Sole> = cells.iter().filter_map(|cell| self.coverage.unsee(*cell, id)).collect();
        self.account(changes);
    }

    /// Keeps each keyframe's number of cells that it alone sees.
    fn account(&mut self, changes: Vec<Sole>) {
        for change in changes {
            let (Sole::Gained(id) | Sole::Lost(id)) = change;
            let Ok(at) = self.keyframes.binary_search_by_key(&id, |keyframe| keyframe.id) else { continue };
            let Some(keyframe) = self.keyframes.get_mut(at) else { continue };
            keyframe.sole_cells = match change {
                Sole::Gained(_) => keyframe.sole_cells.saturating_add(1),
                Sole::Lost(_) => keyframe.sole_cells.saturating_sub(1),
            };
        }
    }
}

impl KeyframeConfig {
    /// How far one pose is from another, as a share of what makes a candidate: below 1 it is the same view.
    fn motion(&self, from: &Isometry3<f64>, to: &Isometry3<f64>) -> f64 {
        let step = from.inverse() * to;
        let share = |moved: f64, enough: f64| if enough > 0.0 { moved / enough } else { f64::INFINITY };
        share(step.translation.vector.norm(), self.translation_m).max(share(step.rotation.angle(), self.rotation_rad))
    }
}
