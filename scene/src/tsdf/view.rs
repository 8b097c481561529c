//! A camera and its pose in, the arithmetic of blocks seen from it out: f64 up to the camera's place, f32 from there on.

use nalgebra::Isometry3;
use vantage_calibration::PinholeCamera;

use super::block::{Key, SIDE};

/// A pinhole camera at a pose, prepared for blocks of one voxel size.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Rows of camera_from_world.
    rotation: [[f32; 3]; 3],
    /// The camera's place, metres.
    pub(super) origin: [f64; 3],
    pub(super) voxel_m: f32,
    pub(super) fx: f32,
    pub(super) fy: f32,
    /// Principal point, shifted by half a pixel so that the whole part of u is the column.
    pub(super) cx: f32,
    pub(super) cy: f32,
}

impl View {
    /// `camera` without lens distortion.
    pub(super) fn new(camera: &PinholeCamera, world_from_camera: &Isometry3<f64>, voxel_m: f32) -> Self {
        let r = world_from_camera.rotation.inverse().to_rotation_matrix();
        Self {
            rotation: std::array::from_fn(|i| std::array::from_fn(|j| r[(i, j)] as f32)),
            origin: world_from_camera.translation.vector.into(),
            voxel_m,
            fx: camera.fx as f32,
            fy: camera.fy as f32,
            cx: camera.cx as f32 + 0.5,
            cy: camera.cy as f32 + 0.5,
        }
    }

    /// Centre of a block's first voxel in the camera's frame.
    pub(super) fn first_voxel(&self, key: &Key) -> [f32; 3] {
        let from_camera: [f32; 3] = std::array::from_fn(|k| {
            ((f64::from(key[k]) * SIDE as f64 + 0.5) * f64::from(self.voxel_m) - self.origin[k]) as f32
        });
        self.turned(from_camera)
    }

    /// A direction of the world in the camera's frame.
    pub(super) fn turned(&self, v: [f32; 3]) -> [f32; 3] {
        self.rotation.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
    }

    /// Steps from a voxel to its neighbours along x, y and z, in the camera's frame.
    pub(super) fn steps(&self) -> [[f32; 3]; 3] {
        std::array::from_fn(|axis| {
            let mut step = [0.0; 3];
            step[axis] = self.voxel_m;
            self.turned(step)
        })
    }

    /// Where a block's voxel centres lie in the image: least depth, then left, right, top and bottom in pixels. `None` for
    /// blocks that reach closer than `near_m` or lie outside of a `width` x `height` image.
    pub(super) fn extent(
        &self,
        key: &Key,
        steps: &[[f32; 3]; 3],
        near_m: f32,
        width: f32,
        height: f32,
    ) -> Option<[f32; 5]> {
        let first = self.first_voxel(key);
        let far = (SIDE - 1) as f32;
        // the ball around all voxel centres is enough to tell most blocks that are out of sight
        let middle: [f32; 3] =
            std::array::from_fn(|k| first[k] + 0.5 * far * (steps[0][k] + steps[1][k] + steps[2][k]));
        let radius = 0.5 * far * self.voxel_m * 3.0f32.sqrt();
        if middle[2] + radius < near_m {
            return None;
        }
        let beside = |across: f32, focal: f32, low: f32, high: f32| {
            // distance from the plane through the camera and the image's edge
            let low_edge = focal * across - low * middle[2];
            let high_edge = high * middle[2] - focal * across;
            low_edge < -radius * focal.hypot(low) || high_edge < -radius * focal.hypot(high)
        };
        if beside(middle[0], self.fx, -self.cx, width - self.cx)
            || beside(middle[1], self.fy, -self.cy, height - self.cy)
        {
            return None;
        }
        let mut extent = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY];
        for corner in 0..8 {
            let share: [f32; 3] = std::array::from_fn(|axis| if corner & (1 << axis) == 0 { 0.0 } else { far });
            let p: [f32; 3] = std::array::from_fn(|k| {
                first[k] + share[0] * steps[0][k] + share[1] * steps[1][k] + share[2] * steps[2][k]
            });
            if p[2] < near_m {
                return None;
            }
            let (u, v) = (self.fx * p[0] / p[2] + self.cx, self.fy * p[1] / p[2] + self.cy);
            extent = [extent[0].min(p[2]), extent[1].min(u), extent[2].max(u), extent[3].min(v), extent[4].max(v)];
        }
        Some(extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Point3, Vector3};
    use proptest::prelude::*;
    use vantage_calibration::Distortion;

    proptest! {
        /// Every voxel centre of a block that is in the image lies within the extent; blocks called out of sight have none.
        #[test]
        fn extents_hold_all_voxels(t in prop::array::uniform3(-2.0..2.0f64), r in prop::array::uniform3(-3.0..3.0f64), key in prop::array::uniform3(-12i32..12)) {
            let camera = PinholeCamera::new(64, 48, 50.0, 55.0, 31.0, 22.0, Distortion::None).unwrap();
            let pose = Isometry3::new(Vector3::from(t), Vector3::from(r));
            let view = View::new(&camera, &pose, 0.05);
            let steps = view.steps();
            let extent = view.extent(&key, &steps, 0.1, 64.0, 48.0);
            let mut too_near = false;
            let mut inside = false;
            for i in 0..512 {
                let at = [i % 8, i / 8 % 8, i / 64];
                let world: [f64; 3] = std::array::from_fn(|k| (f64::from(key[k]) * 8.0 + f64::from(at[k]) + 0.5) * f64::from(0.05f32));
                let p = pose.inverse() * Point3::from(world);
                too_near |= p.z < 0.1001;
                let Some(pixel) = camera.project(&p) else { continue };
                let (u, v) = (pixel.x as f32 + 0.5, pixel.y as f32 + 0.5);
                inside |= p.z > 0.1001 && u > 0.01 && v > 0.01 && u < 63.99 && v < 47.99;
                if let Some([z, left, right, top, bottom]) = extent {
                    prop_assert!(p.z as f32 > z - 1e-4);
                    prop_assert!(u > left - 0.01 && u < right + 0.01 && v > top - 0.01 && v < bottom + 0.01);
                }
            }
            prop_assert!(extent.is_some() || too_near || !inside);
        }
    }
}
