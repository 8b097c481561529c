//! A world of exact shapes in, frames of it and distances to it out: what the map's tests are measured against.

use std::sync::Arc;

use nalgebra::{Isometry3, Point3, UnitQuaternion, Vector3};
use vantage_calibration::{Distortion, PinholeCamera};

use crate::frame::{CameraId, ColorImage, DepthImage, RgbdFrame};

/// The room's inside: x, y, z from 0 to these, metres.
pub(crate) const ROOM_M: [f64; 3] = [3.0, 2.6, 2.2];

/// A room with solid boxes in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// Corners of the boxes: least and largest.
    pub(crate) boxes: Vec<([f64; 3], [f64; 3])>,
}

impl World {
    /// Parameter of the first hit along a ray from inside the room, and the color there.
    fn cast(&self, from: &Point3<f64>, ray: &Vector3<f64>) -> (f64, [u8; 3]) {
        let (mut along, mut color) = (f64::INFINITY, [0; 3]);
        for k in 0..3 {
            let wall = if ray[k] > 0.0 { ROOM_M[k] } else { 0.0 };
            let t = (wall - from[k]) / ray[k];
            if ray[k] != 0.0 && t < along {
                (along, color) = (t, [[200, 60, 60], [60, 200, 60], [60, 60, 200]][k]);
            }
        }
        for (low, high) in &self.boxes {
            let (mut enter, mut leave) = (0.0f64, f64::INFINITY);
            for k in 0..3 {
                let (a, b) = ((low[k] - from[k]) / ray[k], (high[k] - from[k]) / ray[k]);
                (enter, leave) = (enter.max(a.min(b)), leave.min(a.max(b)));
            }
            if enter < leave && enter > 0.0 && enter < along {
                (along, color) = (enter, [230, 220, 40]);
            }
        }
        (along, color)
    }

    /// What a camera at `eye` that looks at `target` sees; `stamp` in nanoseconds.
    pub(crate) fn frame(&self, stamp: i64, eye: [f64; 3], target: [f64; 3], size: (u32, u32)) -> RgbdFrame {
        let (width, height) = size;
        let focal = 0.9 * f64::from(width);
        let center = |side: u32| 0.5 * (f64::from(side) - 1.0);
        let camera =
            PinholeCamera::new(width, height, focal, focal, center(width), center(height), Distortion::None).unwrap();
        let (eye, target) = (Point3::from(eye), Point3::from(target));
        let rotation = UnitQuaternion::face_towards(&(target - eye), &-Vector3::z());
        let pose = Isometry3::from_parts(eye.coords.into(), rotation);
        let (mut depth, mut color) = (Vec::new(), Vec::new());
        for v in 0..height {
            for u in 0..width {
                let (along, rgb) = self.cast(&eye, &(rotation * camera.ray(f64::from(u), f64::from(v))));
                depth.push(along as f32);
                color.extend(rgb);
            }
        }
        RgbdFrame {
            camera_id: CameraId::default(),
            stamp,
            color: Arc::new(ColorImage::new(width, height, color).unwrap()),
            depth: Arc::new(DepthImage::new(width, height, depth).unwrap()),
            camera,
            world_from_camera: pose,
        }
    }

    /// Distance of a point to the nearest surface, metres.
    pub(crate) fn distance_m(&self, p: [f32; 3]) -> f64 {
        let p = p.map(f64::from);
        let wall = (0..3).map(|k| p[k].abs().min((ROOM_M[k] - p[k]).abs())).fold(f64::INFINITY, f64::min);
        self.boxes.iter().fold(wall, |least, (low, high)| {
            let outside = (0..3).map(|k| (low[k] - p[k]).max(p[k] - high[k]).max(0.0).powi(2)).sum::<f64>().sqrt();
            let inside = (0..3).map(|k| (p[k] - low[k]).min(high[k] - p[k])).fold(f64::INFINITY, f64::min);
            least.min(if outside > 0.0 { outside } else { inside.abs() })
        })
    }
}

/// A room with a box of 0.6 x 0.5 x 0.5 m that stands in it.
pub(crate) fn furnished() -> World {
    World { boxes: vec![([1.1, 1.0, 0.0], [1.7, 1.5, 0.5])] }
}

/// Frames of a walk around the middle of the room.
pub(crate) fn walk(world: &World, count: usize, size: (u32, u32)) -> Vec<RgbdFrame> {
    (0..count)
        .map(|i| {
            let angle = std::f64::consts::TAU * i as f64 / count as f64;
            let eye = [1.45 + 1.1 * angle.cos(), 1.3 + 0.95 * angle.sin(), 1.4 + 0.2 * (2.0 * angle).sin()];
            world.frame(i as i64 * 33_000_000, eye, [1.4, 1.25, 0.4], size)
        })
        .collect()
}
