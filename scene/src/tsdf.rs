//! Frames in, a voxel-hashed signed distance map out (Curless and Levoy 1996; voxel hashing, Nießner et al. 2013).

use std::collections::hash_map::Entry;

use nalgebra::Point3;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::cloud::PointCloud;
use crate::frame::RgbdFrame;

/// Voxels along a block's side.
pub(crate) const BLOCK_SIDE: usize = 8;
const BLOCK_VOXELS: usize = BLOCK_SIDE * BLOCK_SIDE * BLOCK_SIDE;
/// Weight at which a voxel's average stops growing stiffer.
const MAX_WEIGHT: f32 = 100.0;
/// A voxel takes part in the surface from this weight on: one reading at 3.5 m, or two at 5 m.
const MIN_SURFACE_WEIGHT: f32 = 0.08;
/// Depths nearer than this are sensor artefacts, metres.
const MIN_DEPTH_M: f32 = 0.1;
/// Coordinates of blocks stay within this, so that keys cannot overflow whatever a pose says.
const MAX_BLOCK_COORDINATE: f64 = 1.0e6;

/// Settings of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TsdfConfig {
    /// Side of a voxel, metres.
    pub voxel_size_m: f32,
    /// Distance from the surface that is kept, metres.
    pub truncation_m: f32,
    /// Depths beyond this are not fused, metres.
    pub max_depth_m: f32,
    /// Most blocks of 8x8x8 voxels, 8 kB each; new ones beyond are refused and counted.
    pub max_blocks: usize,
}

impl Default for TsdfConfig {
    fn default() -> Self {
        Self { voxel_size_m: 0.02, truncation_m: 0.08, max_depth_m: 4.0, max_blocks: 65_536 }
    }
}

/// Why a map or a frame was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TsdfError {
    /// A setting is not usable.
    #[error("map setting {field} is {value}: {reason}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The camera does not fit the depth image.
    #[error(
        "camera is {camera_width}x{camera_height} but the depth image is {width}x{height}; check the depth camera_info topic"
    )]
    CameraSize {
        /// Width in the camera's calibration.
        camera_width: u32,
        /// Height in the camera's calibration.
        camera_height: u32,
        /// Width of the depth image.
        width: u32,
        /// Height of the depth image.
        height: u32,
    },
    /// The pose is not finite.
    #[error("the camera's pose at stamp {stamp} is not finite; check the transforms")]
    Pose {
        /// Stamp of the frame.
        stamp: i64,
    },
}

/// What one frame did to the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntegrateReport {
    /// Blocks that the frame touched.
    pub blocks_touched: usize,
    /// Blocks that were new.
    pub blocks_added: usize,
    /// Blocks refused because the map is full.
    pub blocks_refused: usize,
}

#[derive(Debug, Clone, Copy)]
struct Voxel {
    /// Signed distance over the truncation, -1 to 1; positive in front of the surface.
    distance: f32,
    weight: f32,
    /// Running mean of red, green, blue in 1/256 steps.
    color: [u16; 3],
}

const EMPTY: Voxel = Voxel { distance: 1.0, weight: 0.0, color: [0; 3] };

#[derive(Debug, Clone)]
struct Block {
    key: [i32; 3],
    /// Number of the last frame that touched it.
    touched: u64,
    voxels: Box<[Voxel]>,
}

/// A truncated signed distance map.
#[derive(Debug, Clone)]
pub struct TsdfMap {
    config: TsdfConfig,
    index: FxHashMap<[i32; 3], u32>,
    blocks: Vec<Block>,
    frames: u64,
}

impl TsdfMap {
    /// An empty map.
    ///
    /// # Errors
    /// [`TsdfError::Config`] naming the setting.
    pub fn new(config: TsdfConfig) -> Result<Self, TsdfError> {
        let positive = [
            ("voxel_size_m", config.voxel_size_m),
            ("truncation_m", config.truncation_m),
            ("max_depth_m", config.max_depth_m),
        ];
        for (field, value) in positive {
            if !(value.is_finite() && (1.0e-3..=100.0).contains(&value)) {
                return Err(TsdfError::Config {
                    field,
                    value: f64::from(value),
                    reason: "it must be from 0.001 to 100 m",
                });
            }
        }
        if config.truncation_m < config.voxel_size_m {
            let value = f64::from(config.truncation_m);
            return Err(TsdfError::Config { field: "truncation_m", value, reason: "it must be at least one voxel" });
        }
        if config.max_blocks == 0 {
            return Err(TsdfError::Config { field: "max_blocks", value: 0.0, reason: "it must be at least 1" });
        }
        Ok(Self { config, index: FxHashMap::default(), blocks: Vec::new(), frames: 0 })
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
        self.blocks.par_iter().map(|b| b.voxels.iter().filter(|v| v.weight > 0.0).count()).sum()
    }

    /// Fuses one frame.
    ///
    /// # Errors
    /// [`TsdfError`] when the camera does not fit the image or the pose is not finite; the map is then unchanged.
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
        let t = frame.world_from_camera;
        if !t.translation.vector.iter().chain(t.rotation.coords.iter()).all(|x| x.is_finite()) {
            return Err(TsdfError::Pose { stamp: frame.stamp });
        }
        self.frames += 1;
        let report = self.touch_blocks(frame);
        let view = View::new(frame, &self.config);
        let (now, side) = (self.frames, self.config.voxel_size_m);
        self.blocks.par_iter_mut().filter(|b| b.touched == now).for_each(|block| view.update(block, side));
        Ok(report)
    }

    /// Allocates and marks the blocks within the truncation of any depth reading.
    fn touch_blocks(&mut self, frame: &RgbdFrame) -> IntegrateReport {
        let mut report = IntegrateReport::default();
        let block_m = self.config.voxel_size_m * BLOCK_SIDE as f32;
        let (depth, camera) = (&frame.depth, &frame.camera);
        // neighbouring pixels may be at most half a block apart at the largest depth
        let stride = ((0.5 * block_m * camera.fx.min(camera.fy) as f32 / self.config.max_depth_m) as usize).clamp(1, 8);
        let rotation = frame.world_from_camera.rotation.to_rotation_matrix();
        let origin = frame.world_from_camera.translation.vector;
        let steps = (2.0 * self.config.truncation_m / (0.5 * block_m)).ceil().max(1.0) as usize;
        let mut last = [i32::MIN; 3];
        for v in (0..depth.height as usize).step_by(stride) {
            for u in (0..depth.width as usize).step_by(stride) {
                let z = depth.data[v * depth.width as usize + u];
                if !(MIN_DEPTH_M..=self.config.max_depth_m).contains(&z) {
                    continue;
                }
                let ray = rotation * camera.ray(u as f64, v as f64);
                for i in 0..=steps {
                    let along = f64::from(z + self.config.truncation_m * (2.0 * i as f32 / steps as f32 - 1.0));
                    let p = (origin + ray * along) / f64::from(block_m);
                    if p.iter().any(|x| x.abs() > MAX_BLOCK_COORDINATE) {
                        continue;
                    }
                    let key = [p.x.floor() as i32, p.y.floor() as i32, p.z.floor() as i32];
                    if key != last {
                        last = key;
                        self.touch(key, &mut report);
                    }
                }
            }
        }
        report
    }

    fn touch(&mut self, key: [i32; 3], report: &mut IntegrateReport) {
        match self.index.entry(key) {
            Entry::Occupied(entry) => {
                let block = &mut self.blocks[*entry.get() as usize];
                if block.touched != self.frames {
                    block.touched = self.frames;
                    report.blocks_touched += 1;
                }
            }
            Entry::Vacant(_) if self.blocks.len() >= self.config.max_blocks => report.blocks_refused += 1,
            Entry::Vacant(entry) => {
                entry.insert(self.blocks.len() as u32);
                self.blocks.push(Block {
                    key,
                    touched: self.frames,
                    voxels: vec![EMPTY; BLOCK_VOXELS].into_boxed_slice(),
                });
                report.blocks_added += 1;
                report.blocks_touched += 1;
            }
        }
    }

    /// One point where the distance changes sign between neighbouring voxels, interpolated; blocks in order of their keys,
    /// so that equal maps give equal clouds.
    pub fn surface_points(&self) -> PointCloud {
        let mut order: Vec<&Block> = self.blocks.iter().collect();
        order.par_sort_unstable_by_key(|b| b.key);
        let parts: Vec<PointCloud> = order.par_iter().map(|block| self.block_surface(block)).collect();
        let mut all = PointCloud::default();
        for part in parts {
            all.positions.extend(part.positions);
            all.colors.extend(part.colors);
            all.normals.extend(part.normals);
        }
        all
    }

    fn block_surface(&self, block: &Block) -> PointCloud {
        let mut out = PointCloud::default();
        let side = self.config.voxel_size_m;
        for i in 0..BLOCK_VOXELS {
            let voxel = &block.voxels[i];
            if voxel.weight < MIN_SURFACE_WEIGHT || voxel.distance.abs() >= 1.0 {
                continue;
            }
            let at = [(i % 8) as i32, (i / 8 % 8) as i32, (i / 64) as i32];
            for axis in 0..3 {
                let mut next = at;
                next[axis] += 1;
                let Some(other) = self.voxel_near(block, next) else { continue };
                if other.weight < MIN_SURFACE_WEIGHT
                    || other.distance.abs() >= 1.0
                    || (voxel.distance > 0.0) == (other.distance > 0.0)
                {
                    continue;
                }
                let share = voxel.distance / (voxel.distance - other.distance);
                let position = std::array::from_fn(|k| {
                    let cell = block.key[k] as f32 * BLOCK_SIDE as f32 + at[k] as f32 + 0.5;
                    (cell + if k == axis { share } else { 0.0 }) * side
                });
                let color = std::array::from_fn(|c| {
                    let mix = f32::from(voxel.color[c]) * (1.0 - share) + f32::from(other.color[c]) * share;
                    (mix / 256.0).round().clamp(0.0, 255.0) as u8
                });
                out.positions.push(position);
                out.colors.push(color);
                out.normals.push(self.gradient(block, at));
            }
        }
        out
    }

    /// Unit direction of growing distance at a voxel, from the neighbours that were observed; zero when there is none.
    fn gradient(&self, block: &Block, at: [i32; 3]) -> [f32; 3] {
        let distance = |p: [i32; 3]| self.voxel_near(block, p).filter(|v| v.weight > 0.0).map(|v| v.distance);
        let own = distance(at).unwrap_or(0.0);
        let gradient: [f32; 3] = std::array::from_fn(|k| {
            let step = |by: i32| {
                let mut p = at;
                p[k] += by;
                distance(p)
            };
            match (step(-1), step(1)) {
                (Some(low), Some(high)) => 0.5 * (high - low),
                (Some(low), None) => own - low,
                (None, Some(high)) => high - own,
                (None, None) => 0.0,
            }
        });
        let length = gradient.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 { gradient.map(|x| x / length) } else { gradient }
    }

    /// The voxel at `at`, counted from `block`'s corner; may lie in a neighbouring block.
    fn voxel_near<'a>(&'a self, block: &'a Block, at: [i32; 3]) -> Option<&'a Voxel> {
        let cell = |p: [i32; 3]| (p[0] + 8 * (p[1] + 8 * p[2])) as usize;
        if at.iter().all(|x| (0..8).contains(x)) {
            return block.voxels.get(cell(at));
        }
        let key = std::array::from_fn(|k| block.key[k] + at[k].div_euclid(8));
        let other = &self.blocks[*self.index.get(&key)? as usize];
        other.voxels.get(cell(at.map(|x| x.rem_euclid(8))))
    }
}

/// A frame prepared for the voxel loop.
struct View<'a> {
    frame: &'a RgbdFrame,
    rotation: [[f32; 3]; 3],
    origin: [f64; 3],
    truncation: f32,
    max_depth: f32,
    distorted: bool,
}

impl<'a> View<'a> {
    fn new(frame: &'a RgbdFrame, config: &TsdfConfig) -> Self {
        let r = frame.world_from_camera.rotation.inverse().to_rotation_matrix();
        Self {
            frame,
            rotation: std::array::from_fn(|i| std::array::from_fn(|j| r[(i, j)] as f32)),
            origin: frame.world_from_camera.translation.vector.into(),
            truncation: config.truncation_m,
            max_depth: config.max_depth_m,
            distorted: frame.camera.distortion != vantage_calibration::Distortion::None,
        }
    }

    fn update(&self, block: &mut Block, side: f32) {
        // the block's first voxel centre, relative to the camera: small numbers, so f32 is enough from here on
        let first: [f32; 3] = std::array::from_fn(|k| {
            ((f64::from(block.key[k]) * BLOCK_SIDE as f64 + 0.5) * f64::from(side) - self.origin[k]) as f32
        });
        let r = &self.rotation;
        let camera = &self.frame.camera;
        let (fx, fy, cx, cy) = (camera.fx as f32, camera.fy as f32, camera.cx as f32 + 0.5, camera.cy as f32 + 0.5);
        let (width, height) = (camera.width as usize, camera.height as usize);
        let color = &self.frame.color;
        let (color_w, color_h) = (color.width as usize, color.height as usize);
        for z in 0..BLOCK_SIDE {
            for y in 0..BLOCK_SIDE {
                let (dy, dz) = (first[1] + y as f32 * side, first[2] + z as f32 * side);
                for x in 0..BLOCK_SIDE {
                    let dx = first[0] + x as f32 * side;
                    let p: [f32; 3] = std::array::from_fn(|i| r[i][0] * dx + r[i][1] * dy + r[i][2] * dz);
                    if p[2] < MIN_DEPTH_M {
                        continue;
                    }
                    let (u, v) = if self.distorted {
                        let point = Point3::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
                        let Some(pixel) = camera.project(&point) else { continue };
                        (pixel.x as f32 + 0.5, pixel.y as f32 + 0.5)
                    } else {
                        (fx * p[0] / p[2] + cx, fy * p[1] / p[2] + cy)
                    };
                    if !(u >= 0.0 && v >= 0.0) {
                        continue;
                    }
                    let (u, v) = (u as usize, v as usize);
                    if u >= width || v >= height {
                        continue;
                    }
                    let depth = self.frame.depth.data[v * width + u];
                    if !(MIN_DEPTH_M..=self.max_depth).contains(&depth) {
                        continue;
                    }
                    let distance = depth - p[2];
                    if distance < -self.truncation {
                        continue;
                    }
                    // a depth camera's noise grows with the square of the distance
                    let weight = 1.0 / (depth * depth).max(0.25);
                    let voxel = &mut block.voxels[x + 8 * (y + 8 * z)];
                    let sum = voxel.weight + weight;
                    let keep = voxel.weight / sum;
                    voxel.distance = voxel.distance * keep + (distance / self.truncation).min(1.0) * (1.0 - keep);
                    if distance < self.truncation {
                        let at = 3 * ((v * color_h / height) * color_w + u * color_w / width);
                        for (mean, &c) in voxel.color.iter_mut().zip(&color.data[at..at + 3]) {
                            *mean = (f32::from(*mean) * keep + f32::from(c) * 256.0 * (1.0 - keep)) as u16;
                        }
                    }
                    voxel.weight = sum.min(MAX_WEIGHT);
                }
            }
        }
    }
}
