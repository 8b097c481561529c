//! A room in, the frames of a walk through it out, as a robot's camera would see and place them.

use std::sync::Arc;

use nalgebra::Isometry3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vantage_calibration::{Distortion, PinholeCamera, RayTable};
use vantage_scene::{CameraId, ColorImage, DepthImage, RgbdFrame};

use super::appearance::{Appearance, Look};
use super::camera::{Rendering, Shown, render};
use super::layout::Room;
use super::pose_noise::{PoseNoise, reported};
use super::sensor::{self, Sensor};
use super::walk::Walk;

/// Largest error of a colour channel.
const COLOR_NOISE: i32 = 7;
/// Keeps the numbers of the poses' noise apart from those of other uses of a seed.
const POSE_STREAM: u64 = 0x90_5E;

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
    /// What measures depth.
    pub sensor: Sensor,
    /// Patterns and light.
    pub appearance: Appearance,
    /// How far the reported poses are off.
    pub pose_noise: PoseNoise,
}

impl Default for RecordConfig {
    /// What training records: small and sparse.
    fn default() -> Self {
        Self {
            width: 160,
            height: 120,
            frames: 24,
            rate_hz: 2.0,
            start_nanos: 1_700_000_000_000_000_000,
            sensor: Sensor::default(),
            appearance: Appearance::default(),
            pose_noise: PoseNoise::default(),
        }
    }
}

/// A recorded walk.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The frames; the world is the room's frame, and their poses are those that are reported.
    pub frames: Vec<RgbdFrame>,
    /// For each frame, the camera's true pose in the room.
    pub true_poses: Vec<Isometry3<f64>>,
    /// For each frame, how many pixels show each object.
    pub visible_pixels: Vec<Vec<u32>>,
    /// For each frame and object, the smallest rectangle around those pixels: left, top, right, bottom, the last two one
    /// beyond; zeros where none shows it.
    pub visible_bounds: Vec<Vec<[u32; 4]>>,
}

impl Recording {
    const EMPTY: Self =
        Self { frames: Vec::new(), true_poses: Vec::new(), visible_pixels: Vec::new(), visible_bounds: Vec::new() };
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
    let look = Look::new(room, config.appearance);
    let true_poses: Vec<Isometry3<f64>> =
        (0..config.frames).map(|i| walk.room_from_camera(i as f64 / config.frames as f64)).collect();
    let poses = reported(&true_poses, config.pose_noise, room.seed ^ POSE_STREAM);
    let shots: Vec<Option<_>> = true_poses
        .par_iter()
        .zip(&poses)
        .enumerate()
        .map(|(i, (room_from_camera, reported_pose))| {
            let shown = Shown { look: &look, light: look.light.exposed(i) };
            let rendering = render(room, shown, &camera, &rays, room_from_camera);
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
            let color = noisy_color(&rendering, &mut rng);
            let depth = sensor::read(config.sensor, &rendering, camera.width, camera.fx, &mut rng);
            let frame = RgbdFrame {
                camera_id: CameraId::default(),
                stamp: config.start_nanos + (i as f64 * 1e9 / config.rate_hz) as i64,
                color: Arc::new(ColorImage::new(config.width, config.height, color).ok()?),
                depth: Arc::new(DepthImage::new(config.width, config.height, depth).ok()?),
                camera,
                world_from_camera: *reported_pose,
            };
            Some((frame, *room_from_camera, visible, bounds))
        })
        .collect();
    let (frames, true_poses, visible_pixels, visible_bounds) = shots.into_iter().flatten().collect();
    Recording { frames, true_poses, visible_pixels, visible_bounds }
}

/// Red, green, blue a pixel, each off by up to [`COLOR_NOISE`].
fn noisy_color(rendering: &Rendering, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let noisy = |c: &u8| (i32::from(*c) + rng.random_range(-COLOR_NOISE..=COLOR_NOISE)).clamp(0, 255) as u8;
    rendering.color.iter().flatten().map(noisy).collect()
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
        let look = Look::new(&room, Appearance::PLAIN);
        let shown = Shown { look: &look, light: look.light };
        for ((frame, visible), bounds) in
            recording.frames.iter().zip(&recording.visible_pixels).zip(&recording.visible_bounds)
        {
            let rendering =
                render(&room, shown, &frame.camera, &RayTable::new(&frame.camera), &frame.world_from_camera);
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

    #[test]
    fn noisy_poses_leave_the_pictures_as_they_are() {
        let room = generate(5, &RoomConfig::default());
        let config = RecordConfig { frames: 5, ..RecordConfig::default() };
        let noise = PoseNoise { position_m: 0.1, rotation_rad: 0.05 };
        let (exact, off) = (record(&room, &config), record(&room, &RecordConfig { pose_noise: noise, ..config }));
        assert_eq!((&exact.true_poses, &exact.visible_pixels), (&off.true_poses, &off.visible_pixels));
        for ((a, b), truth) in exact.frames.iter().zip(&off.frames).zip(&exact.true_poses) {
            assert_eq!((&a.color, &a.depth, a.world_from_camera), (&b.color, &b.depth, *truth));
            let gap = (b.world_from_camera.translation.vector - truth.translation.vector).norm();
            assert!(gap > 1e-4 && gap < 1.0, "{gap}");
        }
    }
}
