//! Voxels of one block and a frame's readings in, updated voxels out: the inner loop of fusion.
//!
//! A layer of 64 voxels at a time: where they fall in the image, what was read there, what that makes of them. The first
//! and the last step are written so that the compiler vectorises them for the processor it runs on (`pulp`).

use super::block::{COLOR_ONE, DISTANCE_ONE, Key, LAYER, SIDE, Voxels, WEIGHT_ONE};
use super::config::TsdfConfig;
use super::readings::{MIN_DEPTH_M, Readings};
use super::view::View;

/// Least share of a reading in the average when it says for sure that a voxel taken for solid is free. What was moved away
/// so vanishes within 14 readings, however long it stood there.
const CARVE_SHARE: f32 = 0.05;
/// A voxel is surely free when it lies further in front of what was read than its side and this many deviations of the noise.
const CARVE_DEVIATIONS: f32 = 3.0;

/// Which readings a block takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// All: a surface was read within the band around the block.
    Band,
    /// Those that contradict what it holds: it lies in front of what was read.
    Carve,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// A voxel of it lies behind a surface.
    pub(super) solid: bool,
    /// The frame saw through what it took for solid.
    pub(super) cut: bool,
}

/// A frame prepared for the voxel loop.
pub(super) struct Kernel<'a> {
    readings: &'a Readings,
    view: View,
    /// The 64 voxels of a layer relative to its first, in the camera's frame; x and y times the focal lengths.
    layer: [[f32; LAYER]; 3],
    /// From a layer to the next, likewise.
    step: [f32; 3],
    config: TsdfConfig,
    max_weight: f32,
}

/// One block's update, as `pulp` calls it: compiled once for every set of vector instructions.
struct Update<'a, 'k> {
    kernel: &'a Kernel<'k>,
    key: &'a Key,
    task: Task,
    voxels: &'a mut Voxels,
}

impl pulp::WithSimd for Update<'_, '_> {
    type Output = Outcome;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Outcome {
        self.kernel.update_layers(self.key, self.task, self.voxels)
    }
}

impl<'a> Kernel<'a> {
    pub(super) fn new(readings: &'a Readings, view: View, config: TsdfConfig) -> Self {
        let [x, y, z] = view.steps();
        let focal = [view.fx, view.fy, 1.0];
        let layer = std::array::from_fn(|k| {
            std::array::from_fn(|i| focal[k] * (x[k] * (i % SIDE) as f32 + y[k] * (i / SIDE) as f32))
        });
        let step = std::array::from_fn(|k| focal[k] * z[k]);
        Self { readings, view, layer, step, config, max_weight: config.max_weight * WEIGHT_ONE }
    }

    /// Updates a block.
    pub(super) fn update(&self, arch: pulp::Arch, key: &Key, task: Task, voxels: &mut Voxels) -> Outcome {
        arch.dispatch(Update { kernel: self, key, task, voxels })
    }

    #[inline(always)]
    fn update_layers(&self, key: &Key, task: Task, voxels: &mut Voxels) -> Outcome {
        let first = self.view.first_voxel(key);
        let mut corner = [first[0] * self.view.fx, first[1] * self.view.fy, first[2]];
        let mut outcome = Outcome::default();
        let (distances, _) = voxels.distance.as_chunks_mut::<LAYER>();
        let (weights, _) = voxels.weight.as_chunks_mut::<LAYER>();
        let [red, green, blue] = &mut voxels.color;
        let colors = red.as_chunks_mut::<LAYER>().0.iter_mut();
        let colors = colors.zip(green.as_chunks_mut::<LAYER>().0).zip(blue.as_chunks_mut::<LAYER>().0);
        for ((distance, weight), ((red, green), blue)) in distances.iter_mut().zip(weights).zip(colors) {
            outcome.cut |= self.update_layer(&corner, task, distance, weight, [red, green, blue]);
            corner = std::array::from_fn(|k| corner[k] + self.step[k]);
            outcome.solid |= distance.iter().fold(0, |least, d| least.min(*d)) < 0;
        }
        outcome
    }

    /// Updates a layer. Returns whether the frame saw through what one of its voxels took for solid.
    #[inline(always)]
    fn update_layer(
        &self,
        corner: &[f32; 3],
        task: Task,
        distance: &mut [i16; LAYER],
        weight: &mut [u16; LAYER],
        color: [&mut [u16; LAYER]; 3],
    ) -> bool {
        let (mut pixel, mut z) = ([0u32; LAYER], [0.0f32; LAYER]);
        self.locate(corner, &mut pixel, &mut z);
        let (mut depth, mut free) = ([0.0f32; LAYER], [0.0f32; LAYER]);
        let mut anything = 0;
        for ((depth, free), &i) in depth.iter_mut().zip(&mut free).zip(&pixel) {
            let reading = self.readings.pixels.get(i as usize).copied().unwrap_or_default();
            (*depth, *free) = (reading.depth_m, reading.free_m);
            anything |= reading.depth_m.to_bits() | reading.free_m.to_bits();
        }
        if anything == 0 {
            return false;
        }
        let mut share = [0.0f32; LAYER];
        let (colored, cut) = self.average(task, [&depth, &free, &z], distance, weight, &mut share);
        if colored {
            let mut seen = [0u32; LAYER];
            for (to, &i) in seen.iter_mut().zip(&pixel) {
                *to = self.readings.colors.get(i as usize).copied().unwrap_or_default();
            }
            // a voxel without colour takes the first one as it is; what was read in front of the surface has weight, but no colour
            let [red, green, blue] = &color;
            for i in 0..LAYER {
                let first = (share[i] > 0.0) & ((red[i] | green[i] | blue[i]) == 0);
                share[i] = if first { 1.0 } else { share[i] };
            }
            for (channel, shift) in color.into_iter().zip([0, 8, 16]) {
                for i in 0..LAYER {
                    let (old, new) = (f32::from(channel[i]), (seen[i] >> shift & 0xFF) as f32 * COLOR_ONE);
                    channel[i] = rounded(old + share[i] * (new - old)) as u16;
                }
            }
        }
        cut
    }

    /// The pixel in which each voxel of a layer lies, and its depth. Voxels out of the image get the pixel of nothing.
    #[inline(always)]
    fn locate(&self, corner: &[f32; 3], pixel: &mut [u32; LAYER], z: &mut [f32; LAYER]) {
        let (cx, cy) = (self.view.cx - 0.5, self.view.cy - 0.5);
        let (width, height) = (self.readings.width as f32 - 0.5, self.readings.height as f32 - 0.5);
        let (across, outside) = (self.readings.width as u32, self.readings.outside());
        let [ox, oy, oz] = &self.layer;
        for i in 0..LAYER {
            let depth = corner[2] + oz[i];
            let inverse = 1.0 / depth;
            let u = (corner[0] + ox[i]) * inverse + cx;
            let v = (corner[1] + oy[i]) * inverse + cy;
            let inside = (depth >= MIN_DEPTH_M) & (u >= -0.5) & (v >= -0.5) & (u < width) & (v < height);
            let at = rounded(v).wrapping_mul(across).wrapping_add(rounded(u));
            pixel[i] = if inside { at.min(outside) } else { outside };
            z[i] = depth;
        }
    }

    /// Takes the readings (depths, what is surely free, depths of the voxels) into the running averages. `share` becomes what the
    /// newest colour is to count of the average. Returns whether any does, and whether a voxel taken for solid was seen through.
    #[inline(always)]
    fn average(
        &self,
        task: Task,
        [depth, free, z]: [&[f32; LAYER]; 3],
        distance: &mut [i16; LAYER],
        weight: &mut [u16; LAYER],
        share: &mut [f32; LAYER],
    ) -> (bool, bool) {
        let config = &self.config;
        let band = task == Task::Band;
        let (truncation, voxel) = (config.truncation_m, config.voxel_size_m);
        let to_steps = DISTANCE_ONE / truncation;
        let (mut colored, mut cut) = (0u32, 0u32);
        for i in 0..LAYER {
            let (depth, free, z) = (depth[i], free[i], z[i]);
            let (old, held) = (f32::from(distance[i]), f32::from(weight[i]));
            let ahead = depth - z;
            let behind_m = config.band_m(depth);
            let fused = band & (depth > 0.0) & (ahead > -behind_m);
            let contradicted = free - z > voxel + CARVE_DEVIATIONS * config.sigma_m(free);
            let carved = config.carving & contradicted & (old < 0.0);
            // from a voxel behind the surface on, a reading counts less: what lies there is hidden, not seen
            let faded = within(0.0, (behind_m + ahead) / larger(behind_m - voxel, 1.0e-6), 1.0);
            let counts = config.reading_weight(larger(depth, if fused { 0.0 } else { free })) * faded * WEIGHT_ONE;
            let counts = if fused | carved { larger(whole(counts), 1.0) } else { 0.0 };
            let part = counts / larger(held + counts, 1.0);
            let part = if carved { larger(part, CARVE_SHARE) } else { part };
            let new = if carved { DISTANCE_ONE } else { within(-DISTANCE_ONE, ahead * to_steps, DISTANCE_ONE) };
            distance[i] = rounded(old + part * (new - old)) as i16;
            weight[i] = rounded(smaller(held + counts, self.max_weight)) as u16;
            let colors = fused & (ahead < truncation);
            share[i] = if colors { part } else { 0.0 };
            colored |= u32::from(colors);
            cut |= u32::from(carved);
        }
        (colored != 0, cut != 0)
    }
}

// Rust's own minimum, maximum and conversions answer for NaN and overflow as well, which keeps loops over them from being vectorised.

/// 1.5 * 2^23: a number of less than 2^22 that is added to it is rounded to its whole part, which stands in the low bits.
const ROUNDING: f32 = 12_582_912.0;

/// The nearest whole number, its low 16 bits as a signed or unsigned number; meaningless beyond 2^22.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    (x + ROUNDING).to_bits() & 0x3F_FFFF
}

#[inline(always)]
fn whole(x: f32) -> f32 {
    (x + ROUNDING) - ROUNDING
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn within(low: f32, x: f32, high: f32) -> f32 {
    smaller(larger(x, low), high)
}
