//! A camera in, how far its picture reaches to each side out, and from how far away a box fits into that.

use nalgebra::{UnitQuaternion, Vector3};
use vantage_calibration::PinholeCamera;

use super::error::ViewError;

/// No side is taken to reach further than this tangent of the angle from the optical axis: 80 degrees.
const MAX_TANGENT: f64 = 5.67;
/// A side reaches at least this far, or the optical axis is as good as outside of the picture.
const MIN_TANGENT: f64 = 1.0e-3;
/// Places along a side at which a bent lens is asked.
const BORDER_STEPS: u32 = 32;
/// Every corner of a box lies at least this far before the camera, metres.
const CLEARANCE_M: f64 = 0.05;

/// A rectangle of the straight picture plane (x/z, y/z) that the picture holds whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Field {
    left: f64,
    right: f64,
    up: f64,
    down: f64,
}

impl Field {
    /// Of a straight lens the whole picture; of a bent one the rectangle between the nearest points of its borders.
    ///
    /// # Errors
    /// [`ViewError`] for unusable cameras, and those whose optical axis lies outside of the picture.
    pub(super) fn new(camera: &PinholeCamera) -> Result<Self, ViewError> {
        camera.check()?;
        let limit = MAX_TANGENT.min(camera.distortion.max_radius() * std::f64::consts::FRAC_1_SQRT_2);
        let (width, height) = (f64::from(camera.width), f64::from(camera.height));
        let along = |side: f64| (0..=BORDER_STEPS).map(move |i| side * f64::from(i) / f64::from(BORDER_STEPS) - 0.5);
        // a border that the lens has no ray for lies beyond the limit
        let nearest = |least: f64, tangent: f64| if tangent.is_finite() { least.min(tangent) } else { least };
        let field = Self {
            left: along(height).map(|v| -camera.ray(-0.5, v).x).fold(limit, nearest),
            right: along(height).map(|v| camera.ray(width - 0.5, v).x).fold(limit, nearest),
            up: along(width).map(|u| -camera.ray(u, -0.5).y).fold(limit, nearest),
            down: along(width).map(|u| camera.ray(u, height - 0.5).y).fold(limit, nearest),
        };
        let reason = "the optical axis must lie inside the picture; check the camera's principal point";
        for (field, side) in [("left", field.left), ("right", field.right), ("up", field.up), ("down", field.down)] {
            ViewError::check(field, side, [MIN_TANGENT, MAX_TANGENT], reason)?;
        }
        Ok(field)
    }

    /// True when it is wider than high.
    pub(super) fn is_wide(&self) -> bool {
        self.left.min(self.right) >= self.up.min(self.down)
    }

    /// Least distance at which a camera that is turned by `world_from_camera` and looks at a box's centre sees all of its
    /// corners within `fill` of the way from the optical axis to the picture's sides; `half` are the box's half extents, metres.
    pub(super) fn distance(&self, world_from_camera: &UnitQuaternion<f64>, half: [f64; 3], fill: f64) -> f64 {
        let corners = (0..8usize)
            .map(|i| Vector3::from(std::array::from_fn(|k| if i >> k & 1 == 0 { -half[k] } else { half[k] })));
        let camera_from_world = world_from_camera.inverse();
        corners.fold(0.0, |least: f64, corner| {
            let p = camera_from_world * corner;
            let (x, y) = (if p.x < 0.0 { self.left } else { self.right }, if p.y < 0.0 { self.up } else { self.down });
            // its depth is the camera's distance + p.z
            let depth = (p.x.abs() / (fill * x)).max(p.y.abs() / (fill * y)).max(CLEARANCE_M);
            least.max(depth - p.z)
        })
    }
}
