//! Bounds of the scene, or of a region of it, and a camera in, poses where the robot has not been out: from above, from the
//! upper corners, from around.
//!
//! Poses are those of optical frames: x right, y down, z forward.

use nalgebra::{Isometry3, Point3, UnitQuaternion, Vector3};
use vantage_calibration::PinholeCamera;

use super::error::ViewError;
use super::field::Field;
use crate::bounding_box::Aabb;

/// Coordinates of bounds are at most this, metres.
const MAX_COORDINATE_M: f64 = 1.0e5;
/// Bounds extend at least this far along one axis, metres.
const MIN_EXTENT_M: f64 = 1.0e-3;
/// From above, the bounds take this share of the picture.
const TOP_DOWN_FILL: f64 = 0.95;
/// Corner poses stand this share of the half extents within the walls, so as not to look along them.
const CORNER_INSET: f64 = 0.05;
/// Most poses of an orbit.
const MAX_ORBIT: usize = 1024;
/// Steepest elevation of an orbit, radians: below the pole, where the poses would be one.
const MAX_ELEVATION: f64 = 1.5;
/// Smallest share of the picture that a region may be asked to fill.
const MIN_FILL: f64 = 0.01;
/// A direction whose horizontal part is a smaller share than this is taken for vertical.
const VERTICAL: f64 = 1.0e-6;

/// A ring of poses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orbit {
    /// Number of poses, evenly spaced, from the side of positive x counter-clockwise; at most 1024, and none gives none.
    pub count: usize,
    /// How high above the region's centre they stand, as seen from there, radians: -1.5 to 1.5.
    pub elevation_rad: f64,
    /// Share of the way from the optical axis to the picture's sides that the region reaches, from the pose that shows it
    /// largest: 0.01 to 1.
    pub fill: f64,
}

/// The pose of a camera at `eye` that looks at `target`, upright; one that looks straight up or down has north (positive y)
/// at the top of a picture of the floor. `None` where the two are the same, or not finite.
pub fn looking_at(eye: [f64; 3], target: [f64; 3]) -> Option<Isometry3<f64>> {
    let ahead = Vector3::from(target) - Vector3::from(eye);
    let length = ahead.norm();
    if !(length > 0.0 && length.is_finite()) {
        return None;
    }
    let down = if ahead.xy().norm() > VERTICAL * length { -Vector3::z() } else { -Vector3::y() };
    Some(Isometry3::from_parts(Point3::from(eye).coords.into(), UnitQuaternion::face_towards(&ahead, &down)))
}

/// One pose above the middle of `bounds`, looking straight down, with all of them in the picture and their longer side along
/// its wider one.
///
/// A ceiling is to be taken out by [`super::Splatting::hides_backs`]: it was seen from below, so its surface faces down, away
/// from here. That needs no height of it and leaves the tops of all that stands in the room.
///
/// # Errors
/// [`ViewError`] for unusable cameras, and bounds that are not finite, turned around, a point, or beyond 100 km.
pub fn top_down(bounds: &Aabb, camera: &PinholeCamera) -> Result<Isometry3<f64>, ViewError> {
    let Extent { center, half } = Extent::new(bounds)?;
    let field = Field::new(camera)?;
    let is_long_x = half[0] >= half[1];
    let down = if is_long_x == field.is_wide() { -Vector3::y() } else { -Vector3::x() };
    let rotation = UnitQuaternion::face_towards(&-Vector3::z(), &down);
    let height = field.distance(&rotation, half, TOP_DOWN_FILL);
    Ok(Isometry3::from_parts((Vector3::from(center) + height * Vector3::z()).into(), rotation))
}

/// Four poses in the upper corners of `bounds`, a twentieth of the way within, looking at the centre; counter-clockwise from the
/// corner of least x and y.
///
/// # Errors
/// As [`top_down`], and for bounds that have no corners beside each other: those flat along x or y.
pub fn corners(bounds: &Aabb) -> Result<[Isometry3<f64>; 4], ViewError> {
    let Extent { center, half } = Extent::new(bounds)?;
    if half[0].min(half[1]) < 0.5 * MIN_EXTENT_M {
        let reason = "views from the corners need at least a millimetre along x and y";
        return Err(ViewError::Bounds { min: bounds.min, max: bounds.max, reason });
    }
    let mut poses = [Isometry3::identity(); 4];
    for (pose, side) in poses.iter_mut().zip([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) {
        let signs = [side[0], side[1], 1.0];
        let eye = std::array::from_fn(|k| center[k] + signs[k] * (1.0 - CORNER_INSET) * half[k]);
        *pose = looking_at(eye, center).ok_or(ViewError::Pose)?;
    }
    Ok(poses)
}

/// Poses on a circle around `region`, all of them looking at its centre with all of it in the picture. All stand equally far
/// away: so that the one that shows it largest fills [`Orbit::fill`].
///
/// # Errors
/// As [`top_down`], and for settings out of range.
pub fn orbit(region: &Aabb, camera: &PinholeCamera, orbit: &Orbit) -> Result<Vec<Isometry3<f64>>, ViewError> {
    let Extent { center, half } = Extent::new(region)?;
    let field = Field::new(camera)?;
    let range = [-MAX_ELEVATION, MAX_ELEVATION];
    ViewError::check("elevation_rad", orbit.elevation_rad, range, "it must be from -1.5 to 1.5 rad")?;
    ViewError::check("fill", orbit.fill, [MIN_FILL, 1.0], "it must be from 0.01 to 1")?;
    ViewError::check("count", orbit.count as f64, [0.0, MAX_ORBIT as f64], "it must be at most 1024")?;
    let (up, out) = orbit.elevation_rad.sin_cos();
    let rotations: Vec<(Vector3<f64>, UnitQuaternion<f64>)> = (0..orbit.count)
        .map(|i| {
            let (sin, cos) = (std::f64::consts::TAU * i as f64 / orbit.count as f64).sin_cos();
            let towards = Vector3::new(out * cos, out * sin, up);
            (towards, UnitQuaternion::face_towards(&-towards, &-Vector3::z()))
        })
        .collect();
    let distance = rotations.iter().map(|(_, r)| field.distance(r, half, orbit.fill)).fold(0.0, f64::max);
    let center = Vector3::from(center);
    let poses =
        rotations.into_iter().map(|(towards, r)| Isometry3::from_parts((center + distance * towards).into(), r));
    Ok(poses.collect())
}

/// Checked bounds.
struct Extent {
    center: [f64; 3],
    half: [f64; 3],
}

impl Extent {
    fn new(bounds: &Aabb) -> Result<Self, ViewError> {
        let refuse = |reason| Err(ViewError::Bounds { min: bounds.min, max: bounds.max, reason });
        if !bounds.min.iter().chain(&bounds.max).all(|x| x.abs() <= MAX_COORDINATE_M) {
            return refuse("they must be finite and within 100 km of the origin");
        }
        let half: [f64; 3] = std::array::from_fn(|k| 0.5 * (bounds.max[k] - bounds.min[k]));
        if half.iter().any(|h| *h < 0.0) {
            return refuse("the least corner lies beyond the largest");
        }
        if half.iter().all(|h| *h < 0.5 * MIN_EXTENT_M) {
            return refuse("there is nothing in them; they must extend at least a millimetre");
        }
        Ok(Self { center: std::array::from_fn(|k| 0.5 * (bounds.min[k] + bounds.max[k])), half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vantage_calibration::Distortion;

    const LENSES: [Distortion; 4] = [
        Distortion::None,
        Distortion::PlumbBob([-0.2, 0.05, 0.001, -0.002, 0.01]),
        Distortion::RationalPolynomial([0.4, -0.1, 0.0005, -0.0003, 0.01, 0.7, -0.05, 0.02]),
        Distortion::Equidistant([-0.0186, -0.0127, 0.0172, -0.0083]),
    ];

    fn camera(lens: usize) -> PinholeCamera {
        PinholeCamera::new(160, 120, 130.0, 128.0, 70.0, 65.0, LENSES[lens]).unwrap()
    }

    fn bounds() -> impl Strategy<Value = Aabb> {
        let low = prop::array::uniform3(-20.0..20.0f64);
        let size = prop::array::uniform3(prop_oneof![Just(0.0), 0.01..12.0f64]);
        (low, size)
            .prop_filter("not a point", |(_, size)| size.iter().any(|s| *s > 0.0))
            .prop_map(|(min, size)| Aabb { min, max: std::array::from_fn(|k| min[k] + size[k]) })
    }

    /// The pixels of a box's corners; `None` for one behind the camera.
    fn pixels(bounds: &Aabb, camera: &PinholeCamera, pose: &Isometry3<f64>) -> Vec<Option<[f64; 2]>> {
        let corner = |i: usize| std::array::from_fn(|k| if i >> k & 1 == 0 { bounds.min[k] } else { bounds.max[k] });
        (0..8).map(|i| camera.project(&(pose.inverse() * Point3::from(corner(i)))).map(Into::into)).collect()
    }

    fn is_inside([u, v]: [f64; 2]) -> bool {
        (-0.5 - 1e-6..159.5 + 1e-6).contains(&u) && (-0.5 - 1e-6..119.5 + 1e-6).contains(&v)
    }

    /// Distance of the optical axis from the bounds' centre.
    fn aside(bounds: &Aabb, pose: &Isometry3<f64>) -> f64 {
        let center: [f64; 3] = std::array::from_fn(|k| 0.5 * (bounds.min[k] + bounds.max[k]));
        let p = pose.inverse() * Point3::from(center);
        if p.z > 0.0 { p.x.hypot(p.y) } else { f64::INFINITY }
    }

    proptest! {
        #[test]
        fn from_above_all_is_in_the_picture(bounds in bounds(), lens in 0..4usize) {
            let camera = camera(lens);
            let pose = top_down(&bounds, &camera).unwrap();
            prop_assert!(aside(&bounds, &pose) < 1e-9 && pose.translation.z > bounds.max[2]);
            prop_assert!((pose * Vector3::z() + Vector3::z()).norm() < 1e-12);
            prop_assert!(pixels(&bounds, &camera, &pose).into_iter().all(|p| p.is_some_and(is_inside)));
        }

        #[test]
        fn around_a_region_it_fills_the_share_asked_for(
            bounds in bounds(), lens in 0..4usize, count in 1..9usize, elevation_rad in -1.5..1.5f64, fill in 0.1..1.0f64,
        ) {
            let camera = camera(lens);
            let poses = orbit(&bounds, &camera, &Orbit { count, elevation_rad, fill }).unwrap();
            prop_assert_eq!(poses.len(), count);
            let mut most = 0.0f64;
            for pose in &poses {
                prop_assert!(aside(&bounds, pose) < 1e-6);
                prop_assert!((pose * Vector3::x()).z.abs() < 1e-9, "upright");
                for pixel in pixels(&bounds, &camera, pose) {
                    prop_assert!(pixel.is_some_and(is_inside));
                    let [u, v] = pixel.unwrap();
                    let share = |x: f64, center: f64, side: f64| {
                        (x - center) / if x < center { -0.5 - center } else { side - 0.5 - center }
                    };
                    most = most.max(share(u, camera.cx, 160.0)).max(share(v, camera.cy, 120.0));
                }
            }
            let thin = bounds.min.iter().zip(bounds.max).filter(|(a, b)| (*b - **a) < 0.1).count();
            if lens == 0 && thin == 0 {
                prop_assert!((most - fill).abs() < 1e-6, "{} for {}", most, fill);
            }
        }

        #[test]
        fn from_the_corners_the_centre_is_ahead(min in prop::array::uniform3(-20.0..20.0f64), size in prop::array::uniform3(0.1..12.0f64)) {
            let bounds = Aabb { min, max: std::array::from_fn(|k| min[k] + size[k]) };
            for (i, pose) in corners(&bounds).unwrap().iter().enumerate() {
                prop_assert!(aside(&bounds, pose) < 1e-9 && (pose * Vector3::x()).z.abs() < 1e-9);
                let eye = pose.translation.vector;
                let is_high = [i == 1 || i == 2, i >= 2, true];
                for k in 0..3 {
                    let corner = if is_high[k] { bounds.max[k] } else { bounds.min[k] };
                    prop_assert!((eye[k] - corner).abs() <= 0.026 * size[k]);
                }
            }
        }
    }

    #[test]
    fn views_from_above_have_north_up_and_the_long_side_along_the_wide_one() {
        let camera = camera(0);
        let wide = Aabb { min: [0.0; 3], max: [6.0, 3.0, 2.0] };
        let pose = top_down(&wide, &camera).unwrap();
        assert!((pose * Vector3::x() - Vector3::x()).norm() < 1e-12, "east is right");
        let high = top_down(&Aabb { min: [0.0; 3], max: [3.0, 6.0, 2.0] }, &camera).unwrap();
        assert!((pose.translation.z - high.translation.z).abs() < 0.4, "neither stands higher for its side");
        assert!(looking_at([1.0; 3], [1.0, 1.0, 0.0]).unwrap().rotation.angle_to(&pose.rotation) < 1e-9);
    }

    #[test]
    fn bounds_without_a_view_are_refused() {
        let good = Aabb { min: [0.0; 3], max: [1.0; 3] };
        let nan = f64::NAN;
        let ring = Orbit { count: 4, elevation_rad: 0.5, fill: 0.8 };
        for (min, max) in [
            ([0.0; 3], [0.0; 3]),
            ([1.0; 3], [0.0; 3]),
            ([nan; 3], [1.0; 3]),
            ([0.0; 3], [1.0, nan, 1.0]),
            ([0.0; 3], [f64::INFINITY; 3]),
            ([f64::MIN; 3], [f64::MAX; 3]),
        ] {
            let bad = Aabb { min, max };
            for error in [
                top_down(&bad, &camera(0)).map(|_| ()),
                corners(&bad).map(|_| ()),
                orbit(&bad, &camera(0), &ring).map(|_| ()),
            ] {
                assert!(matches!(error, Err(ViewError::Bounds { .. })), "{bad:?}");
            }
        }
        let flat = Aabb { min: [0.0; 3], max: [0.0, 1.0, 1.0] };
        assert!(corners(&flat).is_err() && corners(&Aabb { max: [1.0, 1.0, 0.0], ..good }).is_ok());
        assert!(orbit(&good, &camera(0), &Orbit { count: 0, ..ring }).unwrap().is_empty());
        for bad in [
            Orbit { count: 2000, ..ring },
            Orbit { elevation_rad: nan, ..ring },
            Orbit { fill: 0.0, ..ring },
            Orbit { fill: 1.5, ..ring },
        ] {
            assert!(matches!(orbit(&good, &camera(0), &bad), Err(ViewError::Setting { .. })), "{bad:?}");
        }
        let aside = PinholeCamera { cx: 500.0, ..camera(0) };
        assert!(top_down(&good, &aside).is_err() && orbit(&good, &aside, &ring).is_err());
        assert!(looking_at([nan; 3], [0.0; 3]).is_none() && looking_at([1.0; 3], [1.0; 3]).is_none());
    }
}
