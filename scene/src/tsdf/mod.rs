//! Frames in, a voxel-hashed signed distance map out (Curless and Levoy 1996; voxel hashing, Nießner et al. 2013).
//!
//! A frame writes the blocks within the truncation of what it reads; there every reading counts by the inverse square of its
//! noise. In all other blocks that it sees it takes back what it contradicts, so that moved objects vanish. Memory is
//! bounded: when it is used up, blocks that are far away and long unseen make room.

mod band;
mod block;
mod config;
mod file;
mod forget;
mod kernel;
mod mesh;
mod neighbours;
mod raycast;
mod readings;
mod sight;
mod store;
mod surface;
#[cfg(test)]
pub(crate) mod synthetic;
#[cfg(test)]
mod tests;
mod view;

use rayon::prelude::*;

pub use config::{TsdfConfig, TsdfError};
pub use file::{MAP_VERSION, MapFileError};
pub use raycast::Raycast;

use crate::bounding_box::Aabb;
use crate::frame::RgbdFrame;
use block::{Key, SIDE, Voxels};
use kernel::{Kernel, Outcome, Task};
use readings::{MIN_DEPTH_M, Readings};
use store::{Header, Request, Store};
use view::View;

/// What one frame did to the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntegrateReport {
    /// Blocks within the truncation of the frame's readings.
    pub blocks_touched: usize,
    /// Of these, blocks that were new.
    pub blocks_added: usize,
    /// Blocks refused because the map is full of blocks that this very frame needs.
    pub blocks_refused: usize,
    /// Blocks given up to make room, far and old ones first.
    pub blocks_evicted: usize,
    /// Blocks whose surface is gone: the frame saw through it.
    pub blocks_carved: usize,
    /// Blocks forgotten because they were not seen for long ([`TsdfConfig::decay_half_life_s`]).
    pub blocks_decayed: usize,
}

/// A truncated signed distance map.
#[derive(Debug, Clone)]
pub struct TsdfMap {
    config: TsdfConfig,
    store: Store,
    frames: u64,
    /// Room for the frame at hand, kept for the next.
    readings: Readings,
    tasks: Vec<Option<Task>>,
    /// Blocks in which surface vanished with the last frame: seen through, or decayed.
    cut: Vec<Key>,
}

impl TsdfMap {
    /// An empty map.
    ///
    /// # Errors
    /// [`TsdfError::Config`] naming the setting.
    pub fn new(config: TsdfConfig) -> Result<Self, TsdfError> {
        config.check()?;
        let store = Store::new(config.max_bytes);
        Ok(Self { config, store, frames: 0, readings: Readings::default(), tasks: Vec::new(), cut: Vec::new() })
    }

    /// The settings.
    pub fn config(&self) -> &TsdfConfig {
        &self.config
    }

    /// Grows by one with every fused frame.
    pub fn revision(&self) -> u64 {
        self.frames
    }

    /// Voxels that were observed.
    pub fn voxel_count(&self) -> usize {
        let used = self.store.headers.par_iter().zip(&self.store.voxels).filter(|(header, _)| header.used);
        used.map(|(_, voxels)| voxels.weight.iter().filter(|w| **w > 0).count()).sum()
    }

    /// Blocks of 8 x 8 x 8 voxels in use.
    pub fn block_count(&self) -> usize {
        self.store.len()
    }

    /// Memory of the map, bytes; never more than [`TsdfConfig::max_bytes`].
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// Bounds of the blocks in which the last frame saw through something that was taken for solid, and of those that were forgotten
    /// because they were not seen for long.
    pub fn cut_bounds(&self) -> impl Iterator<Item = Aabb> {
        let block_m = f64::from(self.config.voxel_size_m) * SIDE as f64;
        self.cut.iter().map(move |key| Aabb {
            min: key.map(|k| f64::from(k) * block_m),
            max: key.map(|k| (f64::from(k) + 1.0) * block_m),
        })
    }

    /// Whether anything within `bounds` lies behind a surface, with the weight that a surface needs. Bounds of more than 64 blocks' size along an axis are cut there.
    pub fn is_solid_within(&self, bounds: &Aabb) -> bool {
        let voxel_m = f64::from(self.config.voxel_size_m);
        let reach = (64 * SIDE) as i64;
        // voxels whose centres lie within; a number that is no coordinate becomes one far away, where there is nothing
        let low: [i64; 3] = bounds.min.map(|x| (x / voxel_m - 0.5).ceil().clamp(-2.0e9, 2.0e9) as i64);
        let high: [i64; 3] = std::array::from_fn(|k| {
            ((bounds.max[k] / voxel_m - 0.5).floor().clamp(-2.0e9, 2.0e9) as i64).min(low[k] + reach)
        });
        let least = self.least_surface_weight();
        let side = SIDE as i64;
        let blocks = |k: usize| low[k].div_euclid(side)..=high[k].div_euclid(side);
        blocks(0).any(|x| {
            blocks(1).any(|y| {
                blocks(2).any(|z| {
                    let key = [x, y, z];
                    let Some(voxels) = self.store.get(&key.map(|k| k as i32)) else { return false };
                    let within = |k: usize| {
                        let first = key[k] * side;
                        (low[k] - first).max(0) as usize..=(high[k] - first).min(side - 1) as usize
                    };
                    let is_solid = |i: usize| voxels.distance[i] < 0 && voxels.weight[i] >= least;
                    within(2).any(|c| within(1).any(|b| within(0).any(|a| is_solid(block::voxel_at(a, b, c)))))
                })
            })
        })
    }

    /// Fuses one frame.
    ///
    /// # Errors
    /// [`TsdfError`] when the camera does not fit the image or the pose is not usable; the map is then unchanged.
    pub fn integrate(&mut self, frame: &RgbdFrame) -> Result<IntegrateReport, TsdfError> {
        let (depth, camera) = (&frame.depth, &frame.camera);
        if (camera.width, camera.height) != (depth.width, depth.height) {
            return Err(TsdfError::CameraSize {
                camera_width: camera.width,
                camera_height: camera.height,
                width: depth.width,
                height: depth.height,
            });
        }
        if !camera.distortion.is_straight() {
            return Err(TsdfError::Lens);
        }
        frame.check().map_err(|source| TsdfError::Image { stamp: frame.stamp, source })?;
        let unusable = TsdfError::Pose { stamp: frame.stamp };
        let pose = frame.world_from_camera;
        if !pose.translation.vector.iter().chain(pose.rotation.coords.iter()).all(|x| x.is_finite()) {
            return Err(unusable);
        }
        self.readings.read(frame, self.config.max_depth_m);
        let keys = band::band_blocks(&self.readings, camera, &pose, &self.config).ok_or(unusable)?;
        self.frames += 1;
        let view = View::new(camera, &pose, self.config.voxel_size_m);
        let mut report = self.take_in(&keys, frame.stamp, view.origin);
        self.plan(&view);
        self.update(view, frame.stamp, &mut report);
        if let Some(half_life_s) = self.config.decay_half_life_s {
            let gone = forget::decay(&mut self.store, frame.stamp, half_life_s, self.config.min_surface_weight());
            report.blocks_decayed = gone.len();
            self.cut.extend(gone);
        }
        Ok(report)
    }

    /// Finds or makes the blocks of the frame's band and marks them with the frame's number.
    fn take_in(&mut self, keys: &[Key], stamp: i64, camera: [f64; 3]) -> IntegrateReport {
        let mut report = IntegrateReport { blocks_touched: keys.len(), ..IntegrateReport::default() };
        let mut missing = 0usize;
        for key in keys {
            match self.store.index_of(key) {
                Some(i) => self.store.headers[i as usize].frame = self.frames,
                None => missing += 1,
            }
        }
        let short = missing.saturating_sub(self.store.room());
        if short > 0 {
            report.blocks_evicted = forget::evict(&mut self.store, short, self.frames, stamp, camera, &self.config);
        }
        if missing > 0 {
            for key in keys {
                match self.store.request(*key) {
                    Request::Found(_) => {}
                    Request::Added(i) => {
                        self.store.headers[i as usize].frame = self.frames;
                        report.blocks_added += 1;
                    }
                    Request::Full => report.blocks_refused += 1,
                }
            }
        }
        report.blocks_touched -= report.blocks_refused;
        report
    }

    /// What the frame can tell each block.
    fn plan(&mut self, view: &View) {
        let steps = view.steps();
        let (readings, frame, config) = (&self.readings, self.frames, &self.config);
        let (width, height) = (readings.width as f32, readings.height as f32);
        let task = |header: &Header| {
            if header.frame == frame && header.used {
                return Some(Task::Band);
            }
            if !header.solid || !config.carving {
                return None;
            }
            let [z, left, right, top, bottom] = view.extent(&header.key, &steps, MIN_DEPTH_M, width, height)?;
            (readings.most_free_m(left, right, top, bottom) > z + config.voxel_size_m).then_some(Task::Carve)
        };
        self.store.headers.par_iter().with_min_len(512).map(task).collect_into_vec(&mut self.tasks);
    }

    /// Updates the planned blocks; those that hold no surface any more are forgotten.
    fn update(&mut self, view: View, stamp: i64, report: &mut IntegrateReport) {
        let kernel = Kernel::new(&self.readings, view, self.config);
        let arch = pulp::Arch::new();
        let blocks = self.store.headers.iter_mut().zip(&mut self.store.voxels).zip(&self.tasks);
        let mut planned: Vec<(&mut Header, &mut Box<Voxels>, Task, Outcome)> = blocks
            .filter_map(|((header, voxels), task)| task.map(|task| (header, voxels, task, Outcome::default())))
            .collect();
        planned.par_iter_mut().with_min_len(16).for_each(|(header, voxels, task, outcome)| {
            *outcome = kernel.update(arch, &header.key, *task, voxels);
            header.solid = outcome.solid;
            header.seen_nanos = stamp;
            header.decayed_nanos = stamp;
        });
        self.cut.clear();
        self.cut.extend(planned.iter().filter(|(.., outcome)| outcome.cut).map(|(header, ..)| header.key));
        for (i, task) in (0u32..).zip(&self.tasks) {
            if *task == Some(Task::Carve) && !self.store.headers[i as usize].solid {
                self.store.release(i);
                report.blocks_carved += 1;
            }
        }
    }
}
