//! A frame in, what the voxel loop reads out: for each pixel the depth to fuse, the depth that is surely free, and the
//! colour; and for each tile of pixels how far it sees.

use rayon::prelude::*;

use crate::frame::RgbdFrame;

/// Depths nearer than this are sensor artefacts, metres.
pub(super) const MIN_DEPTH_M: f32 = 0.1;
/// Pixels along a tile's side.
pub(super) const TILE: usize = 16;

/// One pixel of a depth image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Reading {
    /// Metres; 0 where there is nothing to fuse.
    pub(super) depth_m: f32,
    /// The least depth around the pixel, metres; 0 where one of its neighbours has no reading. Up to here space is free
    /// even if the pixel's ray passes a little beside its centre.
    pub(super) free_m: f32,
}

/// The pixels of one frame; buffers are used again for the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Row-major, and one more that says "nothing" for what lies outside of the image.
    pub(super) pixels: Vec<Reading>,
    /// Red, green and blue in the low 24 bits; as many as `pixels`.
    pub(super) colors: Vec<u32>,
    /// Largest `free_m` of each tile, row-major.
    tiles: Vec<f32>,
    tiles_across: usize,
}

impl Readings {
    /// Reads a frame; its colour image may have another size than its depth image.
    pub(super) fn read(&mut self, frame: &RgbdFrame, max_depth_m: f32) {
        let (width, height) = (frame.depth.width as usize, frame.depth.height as usize);
        (self.width, self.height) = (width, height);
        self.pixels.resize(width * height + 1, Reading::default());
        self.pixels[width * height] = Reading::default();
        self.colors.resize(width * height + 1, 0);
        self.tiles_across = width.div_ceil(TILE);
        self.tiles.clear();
        self.tiles.resize(self.tiles_across * height.div_ceil(TILE), 0.0);
        let band = TILE * width;
        let bands =
            self.pixels[..width * height].par_chunks_mut(band).zip(self.tiles.par_chunks_mut(self.tiles_across));
        let bands = bands.zip(self.colors[..width * height].par_chunks_mut(band)).enumerate();
        let arch = pulp::Arch::new();
        bands.for_each(|(i, ((pixels, tiles), colors))| {
            arch.dispatch(Band { frame, max_depth_m, first_row: i * TILE, pixels, tiles, colors });
        });
    }

    /// Index of the pixel that stands for everything outside of the image.
    pub(super) fn outside(&self) -> u32 {
        (self.width * self.height) as u32
    }

    /// How far any pixel of a rectangle of the image sees for sure, metres; 0 outside. Bounds are pixels, inclusive.
    pub(super) fn most_free_m(&self, left: f32, right: f32, top: f32, bottom: f32) -> f32 {
        let (right_most, bottom_most) = (self.width as f32 - 1.0, self.height as f32 - 1.0);
        if !(left <= right_most && right >= 0.0 && top <= bottom_most && bottom >= 0.0) {
            return 0.0;
        }
        let tile = |x: f32, most: f32| x.clamp(0.0, most) as usize / TILE;
        let columns = tile(left, right_most)..=tile(right, right_most);
        (tile(top, bottom_most)..=tile(bottom, bottom_most))
            .flat_map(|row| &self.tiles[row * self.tiles_across..][columns.clone()])
            .fold(0.0, |most, &x| if x > most { x } else { most })
    }
}

/// A row of tiles, as `pulp` reads it: compiled once for every set of vector instructions.
struct Band<'a> {
    frame: &'a RgbdFrame,
    max_depth_m: f32,
    first_row: usize,
    pixels: &'a mut [Reading],
    tiles: &'a mut [f32],
    colors: &'a mut [u32],
}

impl pulp::WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let width = self.frame.depth.width as usize;
        let mut column_least = vec![0.0; width];
        let rows = self.pixels.chunks_exact_mut(width).zip(self.colors.chunks_exact_mut(width));
        for (v, (pixels, colors)) in (self.first_row..).zip(rows) {
            read_depth_row(&self.frame.depth.data, v, self.max_depth_m, &mut column_least, pixels);
            read_color_row(self.frame, v, colors);
            for (tile, pixels) in self.tiles.iter_mut().zip(pixels.chunks(TILE)) {
                *tile = pixels.iter().fold(*tile, |most, p| if p.free_m > most { p.free_m } else { most });
            }
        }
    }
}

/// One row of depths; `column_least` is room for a row.
#[inline(always)]
fn read_depth_row(depth: &[f32], v: usize, max_depth_m: f32, column_least: &mut [f32], out: &mut [Reading]) {
    let width = out.len();
    let row = &depth[v * width..][..width];
    let above = if v > 0 { &depth[(v - 1) * width..][..width] } else { row };
    let below = depth.get((v + 1) * width..).and_then(|rest| rest.get(..width)).unwrap_or(row);
    let least = |a: f32, b: f32| if b < a { b } else { a };
    for (((to, &a), &b), &c) in column_least.iter_mut().zip(above).zip(row).zip(below) {
        *to = least(least(a, b), c);
    }
    let last = width - 1;
    let reading = |z: f32, free: f32| Reading {
        depth_m: if (z >= MIN_DEPTH_M) & (z <= max_depth_m) { z } else { 0.0 },
        free_m: if free >= MIN_DEPTH_M { free } else { 0.0 },
    };
    // the ends of the row have one neighbour, all between them two
    for u in [0, last] {
        let beside = least(column_least[u.saturating_sub(1)], column_least[(u + 1).min(last)]);
        out[u] = reading(row[u], least(beside, column_least[u]));
    }
    if width > 2 {
        let between = out[1..last].iter_mut().zip(&row[1..last]).zip(column_least.windows(3));
        for ((to, &z), near) in between {
            *to = reading(z, least(least(near[0], near[1]), near[2]));
        }
    }
}

/// The colours that belong to one row of depths.
#[inline(always)]
fn read_color_row(frame: &RgbdFrame, v: usize, out: &mut [u32]) {
    let color = &*frame.color;
    let (width, height) = (color.width as usize, color.height as usize);
    let pack = |rgb: &[u8]| u32::from(rgb[0]) | u32::from(rgb[1]) << 8 | u32::from(rgb[2]) << 16;
    let row = v * height / frame.depth.height as usize;
    let row = &color.data[3 * row * width..][..3 * width];
    if width == out.len() {
        for (to, rgb) in out.iter_mut().zip(row.chunks_exact(3)) {
            *to = pack(rgb);
        }
    } else {
        let across = out.len();
        for (u, to) in out.iter_mut().enumerate() {
            *to = pack(&row[3 * (u * width / across)..][..3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, ColorImage, DepthImage};
    use nalgebra::Isometry3;
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};

    #[test]
    fn a_pixel_is_free_up_to_the_least_of_its_neighbours() {
        let (width, height) = (40usize, 35usize);
        let mut depth = vec![3.0; width * height];
        depth[5 * width + 5] = 1.0;
        depth[20 * width + 30] = 0.0;
        depth[34 * width + 39] = 9.0;
        let color: Vec<u8> = (0..20 * 10 * 3).map(|i| (i % 251) as u8).collect();
        let camera = PinholeCamera::new(width as u32, height as u32, 30.0, 30.0, 20.0, 17.0, Distortion::None).unwrap();
        let frame = RgbdFrame {
            camera_id: CameraId::default(),
            stamp: 0,
            color: Arc::new(ColorImage::new(20, 10, color.clone()).unwrap()),
            depth: Arc::new(DepthImage::new(width as u32, height as u32, depth.clone()).unwrap()),
            camera,
            world_from_camera: Isometry3::identity(),
        };
        let mut readings = Readings::default();
        readings.read(&frame, 4.0);
        for v in 0..height {
            for u in 0..width {
                let near = (v.saturating_sub(1)..=(v + 1).min(height - 1))
                    .flat_map(|y| (u.saturating_sub(1)..=(u + 1).min(width - 1)).map(move |x| (x, y)));
                let least = near.map(|(x, y)| depth[y * width + x]).fold(f32::INFINITY, f32::min);
                let pixel = readings.pixels[v * width + u];
                assert_eq!(pixel.free_m, least, "{u} {v}");
                let z = depth[v * width + u];
                assert_eq!(pixel.depth_m, if z > 4.0 { 0.0 } else { z }, "{u} {v}");
            }
        }
        let at = 3 * ((30 * 10 / 35) * 20 + 33 * 20 / 40);
        let expected = u32::from(color[at]) | u32::from(color[at + 1]) << 8 | u32::from(color[at + 2]) << 16;
        assert_eq!(readings.colors[30 * width + 33], expected);
        assert_eq!(readings.most_free_m(39.0, 39.0, 34.0, 60.0), 3.0);
        assert_eq!(readings.most_free_m(40.0, 90.0, 0.0, 3.0), 0.0);
        assert_eq!(readings.most_free_m(f32::NAN, 1.0, 0.0, 3.0), 0.0);
    }
}
