//! Intrinsics in, projections and rays out: pinhole cameras with the plumb_bob lens model of ROS `sensor_msgs/CameraInfo`.

use nalgebra::{Point3, Vector2, Vector3};
use serde::{Deserialize, Serialize};

/// Largest width or height accepted, pixels.
pub const MAX_IMAGE_SIDE: u32 = 8_192;
/// Fixed-point steps that invert the lens model; the error is far below a thousandth of a pixel for lenses in use.
const UNDISTORT_STEPS: usize = 20;

/// Lens distortion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distortion {
    /// Straight lines stay straight.
    None,
    /// Brown-Conrady: k1, k2, p1, p2, k3 (Brown 1966; OpenCV's order).
    PlumbBob([f64; 5]),
}

/// A pinhole camera; pixel centres lie at integers, as in ROS.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinholeCamera {
    /// Image width, pixels.
    pub width: u32,
    /// Image height, pixels.
    pub height: u32,
    /// Focal length along x, pixels.
    pub fx: f64,
    /// Focal length along y, pixels.
    pub fy: f64,
    /// Principal point, column.
    pub cx: f64,
    /// Principal point, row.
    pub cy: f64,
    /// Lens distortion.
    pub distortion: Distortion,
}

/// Why a camera was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CameraError {
    /// The image size is zero or absurd.
    #[error("camera size {width}x{height}: each side must be from 1 to {MAX_IMAGE_SIDE} pixels")]
    Size {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// A parameter is not usable.
    #[error("camera parameter {field} is {value}: {reason}")]
    Parameter {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl PinholeCamera {
    /// Checks and builds a camera.
    ///
    /// # Errors
    /// [`CameraError`] for zero or absurd sizes, focal lengths that are not positive, values that are not finite.
    pub fn new(
        width: u32,
        height: u32,
        fx: f64,
        fy: f64,
        cx: f64,
        cy: f64,
        distortion: Distortion,
    ) -> Result<Self, CameraError> {
        let camera = Self { width, height, fx, fy, cx, cy, distortion };
        camera.check()?;
        Ok(camera)
    }

    /// Checks a camera that came from outside, for example from a file.
    ///
    /// # Errors
    /// As [`PinholeCamera::new`].
    pub fn check(&self) -> Result<(), CameraError> {
        let (width, height) = (self.width, self.height);
        if !(1..=MAX_IMAGE_SIDE).contains(&width) || !(1..=MAX_IMAGE_SIDE).contains(&height) {
            return Err(CameraError::Size { width, height });
        }
        let coefficients = match self.distortion {
            Distortion::None => [0.0; 5],
            Distortion::PlumbBob(d) => d,
        };
        let names = ["k1", "k2", "p1", "p2", "k3"];
        let all = [("fx", self.fx), ("fy", self.fy), ("cx", self.cx), ("cy", self.cy)]
            .into_iter()
            .chain(names.into_iter().zip(coefficients));
        for (field, value) in all {
            if !value.is_finite() {
                return Err(CameraError::Parameter { field, value, reason: "it must be a finite number" });
            }
        }
        for (field, value) in [("fx", self.fx), ("fy", self.fy)] {
            if value <= 0.0 {
                return Err(CameraError::Parameter {
                    field,
                    value,
                    reason: "a focal length must be positive; is the camera_info calibrated?",
                });
            }
        }
        Ok(())
    }

    /// Pixel of a point in the camera's optical frame; `None` at or behind the camera plane.
    pub fn project(&self, p_camera: &Point3<f64>) -> Option<Vector2<f64>> {
        if p_camera.z <= 0.0 {
            return None;
        }
        let (x, y) = self.distort(p_camera.x / p_camera.z, p_camera.y / p_camera.z);
        Some(Vector2::new(self.fx * x + self.cx, self.fy * y + self.cy))
    }

    /// Direction of a pixel with z = 1, lens distortion undone.
    pub fn ray(&self, u: f64, v: f64) -> Vector3<f64> {
        let (xd, yd) = ((u - self.cx) / self.fx, (v - self.cy) / self.fy);
        let Distortion::PlumbBob([k1, k2, p1, p2, k3]) = self.distortion else {
            return Vector3::new(xd, yd, 1.0);
        };
        let (mut x, mut y) = (xd, yd);
        for _ in 0..UNDISTORT_STEPS {
            let r2 = x * x + y * y;
            let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
            let dx = 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x);
            let dy = p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y;
            x = (xd - dx) / radial;
            y = (yd - dy) / radial;
        }
        Vector3::new(x, y, 1.0)
    }

    /// The same view resampled to another size, pixel areas aligned.
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        let (sx, sy) = (f64::from(width) / f64::from(self.width), f64::from(height) / f64::from(self.height));
        Self {
            width,
            height,
            fx: self.fx * sx,
            fy: self.fy * sy,
            cx: (self.cx + 0.5) * sx - 0.5,
            cy: (self.cy + 0.5) * sy - 0.5,
            distortion: self.distortion,
        }
    }

    fn distort(&self, x: f64, y: f64) -> (f64, f64) {
        let Distortion::PlumbBob([k1, k2, p1, p2, k3]) = self.distortion else { return (x, y) };
        let r2 = x * x + y * y;
        let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        (
            x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        )
    }
}

/// The rays of all pixels of one camera, computed once.
#[derive(Debug, Clone, PartialEq)]
pub struct RayTable {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// x/z and y/z of each pixel's ray, row-major.
    pub rays: Vec<[f32; 2]>,
}

impl RayTable {
    /// Rays of `camera`.
    pub fn new(camera: &PinholeCamera) -> Self {
        let pixels = (0..camera.height).flat_map(|v| (0..camera.width).map(move |u| (u, v)));
        let rays = pixels
            .map(|(u, v)| {
                let ray = camera.ray(f64::from(u), f64::from(v));
                [ray.x as f32, ray.y as f32]
            })
            .collect();
        Self { width: camera.width, height: camera.height, rays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lens() -> PinholeCamera {
        let d = Distortion::PlumbBob([-0.2, 0.05, 0.001, -0.002, 0.01]);
        PinholeCamera::new(640, 480, 525.0, 520.0, 319.5, 239.5, d).unwrap()
    }

    proptest! {
        #[test]
        fn a_ray_projects_back_to_its_pixel(u in 0.0..639.0f64, v in 0.0..479.0f64, z in 0.3..8.0f64) {
            let camera = lens();
            let pixel = camera.project(&Point3::from(camera.ray(u, v) * z)).unwrap();
            prop_assert!((pixel - Vector2::new(u, v)).norm() < 1e-6);
        }
    }

    #[test]
    fn scaling_keeps_the_field_of_view() {
        let camera = lens();
        let half = camera.scaled(320, 240);
        let edge = |c: &PinholeCamera| c.ray(-0.5, -0.5);
        assert!((edge(&camera) - edge(&half)).norm() < 1e-9);
    }

    #[test]
    fn unusable_cameras_are_refused_by_name() {
        let new = |w, fx| PinholeCamera::new(w, 480, fx, 1.0, 0.0, 0.0, Distortion::None);
        assert!(matches!(new(0, 1.0), Err(CameraError::Size { .. })));
        assert!(new(640, 0.0).unwrap_err().to_string().contains("fx"));
        assert!(new(640, f64::NAN).is_err());
    }

    #[test]
    fn the_table_holds_each_pixels_ray() {
        let camera = lens();
        let table = RayTable::new(&camera);
        let ray = camera.ray(100.0, 50.0);
        assert_eq!(table.rays[50 * 640 + 100], [ray.x as f32, ray.y as f32]);
    }
}
