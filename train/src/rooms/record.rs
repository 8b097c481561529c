//! A room in, the frames of a walk through it out, with the noise and holes of a structured-light depth camera.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vantage_calibration::{Distortion, PinholeCamera, RayTable};
use vantage_scene::{CameraId, ColorImage, DepthImage, RgbdFrame};

use super::camera::{Rendering, render};
use super::layout::Room;
use super::walk::Walk;

/// Depth noise: deviation = BASE + GROWTH z^2 (metres), of the size that Nguyen et al. 2012 measured for the Kinect.
const NOISE_BASE_M: f32 = 0.001;
const NOISE_GROWTH_PER_M: f32 = 0.0012;
/// Depth range of the sensor, metres.
const RANGE_M: (f32, f32) = (0.3, 5.5);
/// Surfaces flatter to the ray than this cosine give no reading.
const GRAZING: f32 = 0.12;
/// Share of pixels without a reading for no reason.
const SPECKLE: f32 = 0.012;
/// Largest error of a colour channel.
const COLOR_NOISE: i32 = 7;
/// How a walk is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordConfig {
    /// Picture width, pixels.
    pub width: u32,
    /// Picture height, pixels.
    pub height: u32,
    /// Frames of the walk, once around.
    pub frames: usize,
    /// Frames a second.
    pub rate_hz: f64,
    /// Stamp of the first frame, nanoseconds.
    pub start_nanos: i64,
}

impl Default for RecordConfig {
    /// What training records: small and sparse.
    fn default() -> Self {
        Self { width: 160, height: 120, frames: 24, rate_hz: 2.0, start_nanos: 1_700_000_000_000_000_000 }
    }
}

/// A recorded walk.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The frames; the world is the room's frame.
    pub frames: Vec<RgbdFrame>,
    /// For each frame, how many pixels show each object.
    pub visible_pixels: Vec<Vec<u32>>,
    /// For each frame and object, the smallest rectangle around those pixels: left, top, right, bottom, the last two one
    /// beyond; zeros where none shows it.
    pub visible_bounds: Vec<Vec<[u32; 4]>>,
}

impl Recording {
    const EMPTY: Self = Self { frames: Vec::new(), visible_pixels: Vec::new(), visible_bounds: Vec::new() };
}

/// The camera: about 84 degrees wide.
fn camera(config: &RecordConfig) -> Option<PinholeCamera> {
    let focal = 0.55 * f64::from(config.width);
    let center = |side: u32| 0.5 * (f64::from(side) - 1.0);
    PinholeCamera::new(
        config.width,
        config.height,
        focal,
        focal,
        center(config.width),
        center(config.height),
        Distortion::None,
    )
    .ok()
}

/// Records a walk through `room`; equal rooms and settings give equal recordings. Empty for unusable picture sizes.
pub fn record(room: &Room, config: &RecordConfig) -> Recording {
    let mut rng = ChaCha8Rng::seed_from_u64(room.seed ^ 0x5EED_CA3E);
    let walk = Walk::plan(room, &mut rng);
    let noise_seed: u64 = rng.random();
    let Some(camera) = camera(config) else {
        return Recording::EMPTY;
    };
    let rays = RayTable::new(&camera);
    let shots: Vec<Option<_>> = (0..config.frames)
        .into_par_iter()
        .map(|i| {
            let world_from_camera = walk.room_from_camera(i as f64 / config.frames as f64);
            let rendering = render(room, &camera, &rays, &world_from_camera);
            let mut visible = vec![0u32; room.objects.len()];
            let mut bounds = vec![[u32::MAX, u32::MAX, 0, 0]; room.objects.len()];
            for (pixel, &object) in (0u32..).zip(&rendering.object) {
                if let Ok(object) = usize::try_from(object) {
                    let (x, y) = (pixel % config.width, pixel / config.width);
                    let [left, top, right, bottom] = bounds[object];
                    bounds[object] = [left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)];
                    visible[object] += 1;
                }
            }
            bounds.iter_mut().zip(&visible).filter(|(_, pixels)| **pixels == 0).for_each(|(b, _)| *b = [0; 4]);
            let mut rng = ChaCha8Rng::seed_from_u64(noise_seed.wrapping_add(i as u64));
            let (color, depth) = add_noise(&rendering, &mut rng);
            let frame = RgbdFrame {
                camera_id: CameraId::default(),
                stamp: config.start_nanos + (i as f64 * 1e9 / config.rate_hz) as i64,
                color: Arc::new(ColorImage::new(config.width, config.height, color).ok()?),
                depth: Arc::new(DepthImage::new(config.width, config.height, depth).ok()?),
                camera,
                world_from_camera,
            };
            Some((frame, visible, bounds))
        })
        .collect();
    let (frames, visible_pixels, visible_bounds) = shots.into_iter().flatten().collect();
    Recording { frames, visible_pixels, visible_bounds }
}

/// Adds colour noise; depth noise, quantisation to millimetres and holes.
fn add_noise(rendering: &Rendering, rng: &mut ChaCha8Rng) -> (Vec<u8>, Vec<f32>) {
    let color = rendering
        .color
        .iter()
        .flatten()
        .map(|&c| (i32::from(c) + rng.random_range(-COLOR_NOISE..=COLOR_NOISE)).clamp(0, 255) as u8)
        .collect();
    let depth = rendering
        .depth
        .iter()
        .zip(&rendering.facing)
        .map(|(&z, &facing)| {
            let hole = rng.random::<f32>() < SPECKLE || facing < GRAZING || !(RANGE_M.0..=RANGE_M.1).contains(&z);
            // four uniform numbers make a bell of deviation 1
            let bell = (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 3.0f32.sqrt();
            if hole {
                0.0
            } else {
                ((z + bell * (NOISE_BASE_M + NOISE_GROWTH_PER_M * z * z)) * 1000.0).round() / 1000.0
            }
        })
        .collect();
    (color, depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::layout::{RoomConfig, generate};
    use nalgebra::Point3;

    #[test]
    fn recordings_repeat_and_depth_is_that_of_the_floor() {
        let room = generate(3, &RoomConfig::default());
        let config = RecordConfig { frames: 4, ..RecordConfig::default() };
        let (a, b) = (record(&room, &config), record(&room, &config));
        assert_eq!(a.frames.len(), 4);
        for (x, y) in a.frames.iter().zip(&b.frames) {
            assert_eq!((&x.color, &x.depth), (&y.color, &y.depth));
        }
    }

    #[test]
    fn every_reading_lies_on_a_surface_of_the_room() {
        let room = generate(8, &RoomConfig { rooms: (1, 1), ..RoomConfig::default() });
        let recording = record(&room, &RecordConfig { frames: 3, ..RecordConfig::default() });
        let (mut near, mut all) = (0u32, 0u32);
        for frame in &recording.frames {
            for (i, &z) in frame.depth.data.iter().enumerate().filter(|(_, z)| **z > 0.0) {
                let (u, v) = ((i % 160) as f64, (i / 160) as f64);
                let p = frame.world_from_camera * Point3::from(frame.camera.ray(u, v) * f64::from(z));
                let wall = (0..3).map(|k| p[k].abs().min((room.size[k] - p[k]).abs())).fold(f64::INFINITY, f64::min);
                let object = crate::rooms::object_at(&room, [p.x as f32, p.y as f32, p.z as f32], 0.1);
                all += 1;
                near += u32::from(wall < 0.1 || object.is_some());
            }
        }
        assert!(f64::from(near) > 0.995 * f64::from(all), "{near} of {all}");
    }

    #[test]
    fn pixels_of_an_object_lie_within_its_projected_box() {
        let room = generate(21, &RoomConfig::default());
        let config = RecordConfig { frames: 6, ..RecordConfig::default() };
        let recording = record(&room, &config);
        for ((frame, visible), bounds) in
            recording.frames.iter().zip(&recording.visible_pixels).zip(&recording.visible_bounds)
        {
            let rendering = render(&room, &frame.camera, &RayTable::new(&frame.camera), &frame.world_from_camera);
            for object in &room.objects {
                let corners: Vec<_> = object
                    .bbox
                    .corners()
                    .iter()
                    .map(|c| frame.world_from_camera.inverse() * Point3::from(*c))
                    .collect();
                let own = bounds[object.id];
                let inside = |i: usize| {
                    let (x, y) = (i as u32 % 160, i as u32 / 160);
                    (own[0]..own[2]).contains(&x) && (own[1]..own[3]).contains(&y)
                };
                let shown = rendering.object.iter().enumerate().filter(|(_, o)| **o == object.id as i32);
                assert_eq!(shown.filter(|(i, _)| inside(*i)).count() as u32, visible[object.id], "{}", object.class);
                if visible[object.id] == 0 || corners.iter().any(|p| p.z < 0.05) {
                    continue;
                }
                let pixels: Vec<_> = corners.iter().filter_map(|p| frame.camera.project(p)).collect();
                let left = pixels.iter().map(|p| p.x).fold(f64::INFINITY, f64::min);
                let right = pixels.iter().map(|p| p.x).fold(f64::NEG_INFINITY, f64::max);
                for (i, _) in rendering.object.iter().enumerate().filter(|(_, o)| **o == object.id as i32) {
                    let u = (i % 160) as f64;
                    assert!(u > left - 1.5 && u < right + 1.5, "{}: pixel {u} outside {left}..{right}", object.class);
                }
            }
        }
    }
}
