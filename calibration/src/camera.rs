//! Intrinsics in, projections and rays out: pinhole cameras with the lens models of ROS `sensor_msgs/CameraInfo`.

use nalgebra::{Point3, Vector2, Vector3};
use serde::{Deserialize, Serialize};

use crate::distortion::Distortion;

/// Largest width or height accepted, pixels.
pub const MAX_IMAGE_SIDE: u32 = 8_192;

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
    /// The lens model has no name that is known.
    #[error(
        "lens model `{model}` is not known; plumb_bob, rational_polynomial and equidistant are, and an empty name without coefficients"
    )]
    LensModel {
        /// The name given.
        model: String,
    },
    /// Coefficients are missing.
    #[error("lens model {model} has {got} coefficients, it needs at least {least}")]
    TooFewCoefficients {
        /// The model.
        model: String,
        /// Coefficients given.
        got: usize,
        /// Coefficients needed.
        least: usize,
    },
    /// There are coefficients that the model does not have here (thin prism and tilt in OpenCV).
    #[error(
        "lens model {model}: coefficient {index} is {value}, but only the first {known} are supported; it must be 0"
    )]
    FurtherCoefficient {
        /// The model.
        model: String,
        /// Coefficients that the model has.
        known: usize,
        /// Place of the first that is not zero, from 0.
        index: usize,
        /// Its value.
        value: f64,
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
        let lens = self.distortion.coefficients().iter().enumerate();
        let all = [("fx", self.fx), ("fy", self.fy), ("cx", self.cx), ("cy", self.cy)]
            .into_iter()
            .chain(lens.map(|(i, k)| (self.distortion.coefficient_name(i), *k)));
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

    /// Pixel of a point in the camera's optical frame; `None` at or behind the camera plane, and where the lens model would
    /// fold the point back into the picture ([`Distortion::max_radius`]).
    ///
    /// For many points with a bent lens a [`Projector`] is faster.
    pub fn project(&self, p_camera: &Point3<f64>) -> Option<Vector2<f64>> {
        let (x, y) = on_plane(p_camera)?;
        self.distortion.reaches(x, y).then(|| self.pixel(self.distortion.distort(x, y)))
    }

    /// Direction of a pixel with z = 1, lens distortion undone; x and y are NaN where the lens model puts no ray.
    pub fn ray(&self, u: f64, v: f64) -> Vector3<f64> {
        let found = self.distortion.undistort((u - self.cx) / self.fx, (v - self.cy) / self.fy);
        let [x, y] = found.unwrap_or([f64::NAN; 2]);
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

    fn pixel(&self, distorted: [f64; 2]) -> Vector2<f64> {
        Vector2::new(self.fx * distorted[0] + self.cx, self.fy * distorted[1] + self.cy)
    }
}

/// x/z and y/z of a point before the camera.
fn on_plane(p_camera: &Point3<f64>) -> Option<(f64, f64)> {
    (p_camera.z > 0.0).then(|| (p_camera.x / p_camera.z, p_camera.y / p_camera.z))
}

/// A camera made ready to project many points: the limit of its lens model is found once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projector {
    camera: PinholeCamera,
    max_radius_squared: f64,
}

impl Projector {
    /// Prepares `camera`.
    pub fn new(camera: &PinholeCamera) -> Self {
        let max_radius = camera.distortion.max_radius();
        Self { camera: *camera, max_radius_squared: max_radius * max_radius }
    }

    /// The camera.
    pub fn camera(&self) -> &PinholeCamera {
        &self.camera
    }

    /// As [`PinholeCamera::project`], the limit being the circle of [`Distortion::max_radius`].
    pub fn project(&self, p_camera: &Point3<f64>) -> Option<Vector2<f64>> {
        let (x, y) = on_plane(p_camera)?;
        let within = x * x + y * y <= self.max_radius_squared;
        within.then(|| self.camera.pixel(self.camera.distortion.distort(x, y)))
    }
}

/// The rays of all pixels of one camera, computed once.
#[derive(Debug, Clone, PartialEq)]
pub struct RayTable {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// x/z and y/z of each pixel's ray, row-major; NaN where the lens model puts no ray, which counts as no reading.
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

    fn fisheye() -> PinholeCamera {
        let d = Distortion::Equidistant([-0.0186, -0.0127, 0.0172, -0.0083]);
        PinholeCamera::new(640, 480, 345.0, 346.0, 323.0, 242.0, d).unwrap()
    }

    proptest! {
        #[test]
        fn a_ray_projects_back_to_its_pixel(u in 0.0..639.0f64, v in 0.0..479.0f64, z in 0.3..8.0f64) {
            for camera in [lens(), fisheye()] {
                let point = Point3::from(camera.ray(u, v) * z);
                let pixel = camera.project(&point).unwrap();
                prop_assert!((pixel - Vector2::new(u, v)).norm() < 1e-9);
                prop_assert_eq!(Projector::new(&camera).project(&point), Some(pixel));
            }
        }

        /// A point outside of the view never lands inside: what projects into the picture is on the ray of its pixel.
        #[test]
        fn nothing_is_folded_into_the_picture(x in -20.0..20.0f64, y in -20.0..20.0f64) {
            let strong = Distortion::PlumbBob([-0.35, 0.05, 0.0, 0.0, 0.0]);
            let camera = PinholeCamera::new(640, 480, 400.0, 400.0, 319.5, 239.5, strong).unwrap();
            let point = Point3::new(x, y, 1.0);
            prop_assert_eq!(camera.project(&point), Projector::new(&camera).project(&point));
            if let Some(pixel) = camera.project(&point) {
                prop_assert!((camera.ray(pixel.x, pixel.y) - point.coords).norm() < 1e-6);
            }
        }
    }

    #[test]
    fn a_pixel_that_no_ray_reaches_has_none() {
        // the distorted radius ends at 0.385 * 400 = 154 pixels from the centre
        let short = Distortion::PlumbBob([-1.0, 0.0, 0.0, 0.0, 0.0]);
        let camera = PinholeCamera::new(640, 480, 400.0, 400.0, 319.5, 239.5, short).unwrap();
        let table = RayTable::new(&camera);
        assert!(table.rays[0][0].is_nan() && table.rays[0][1].is_nan());
        assert!(table.rays[240 * 640 + 320].iter().all(|x| x.abs() < 0.01));
        let seen = table.rays.iter().filter(|r| !r[0].is_nan()).count() as f64;
        let disc = std::f64::consts::PI * 153.96f64.powi(2);
        assert!((seen / disc - 1.0).abs() < 0.01, "{seen} of {disc}");
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
