//! Points of the normalised image plane in, the same points as a lens bends them out, and back.
//!
//! The models are those of ROS `sensor_msgs/distortion_models.hpp` and OpenCV, coefficient by coefficient. All are written
//! here because the crate camera-intrinsic-model has no rational polynomial and does not say where a model stops being one
//! to one: beyond that radius a point far outside of the view would be folded back into the picture.

use serde::{Deserialize, Serialize};

use crate::brown::{Brown, FAR};
use crate::equidistant::{QUARTER_TURN_SQUARED, angle_grows_until, bent_angle, straight_angle};
use crate::positivity::largest;

/// Steps of Newton's method; from a start on the right side five are usual.
pub(crate) const NEWTON_STEPS: usize = 30;
/// An inversion is accepted when it maps back this closely, relative to 1 or the point, whichever is larger.
pub(crate) const INVERSE_TOLERANCE: f64 = 1.0e-12;
/// Below this radius tangent and angle are the same to rounding.
const TINY_RADIUS: f64 = 1.0e-9;

/// Lens distortion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distortion {
    /// Straight lines stay straight.
    None,
    /// Brown-Conrady: k1, k2, p1, p2, k3 (Brown 1966; OpenCV's order).
    PlumbBob([f64; 5]),
    /// Brown-Conrady with a denominator: k1, k2, p1, p2, k3, k4, k5, k6 (OpenCV's `CALIB_RATIONAL_MODEL`).
    RationalPolynomial([f64; 8]),
    /// A polynomial in the angle from the axis: k1, k2, k3, k4 (Kannala and Brandt 2006; OpenCV's `fisheye`).
    Equidistant([f64; 4]),
}

impl Distortion {
    /// The coefficients, in ROS's order.
    pub fn coefficients(&self) -> &[f64] {
        match self {
            Self::None => &[],
            Self::PlumbBob(d) => d,
            Self::RationalPolynomial(d) => d,
            Self::Equidistant(d) => d,
        }
    }

    /// Name of the i-th coefficient.
    pub(crate) fn coefficient_name(&self, i: usize) -> &'static str {
        let names: &[&'static str] = match self {
            Self::Equidistant(_) => &["k1", "k2", "k3", "k4"],
            _ => &["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"],
        };
        names.get(i).copied().unwrap_or("k")
    }

    /// Whether the lens bends nothing.
    pub fn is_straight(&self) -> bool {
        // an equidistant lens bends even with zeros
        !matches!(self, Self::Equidistant(_)) && self.coefficients().iter().all(|k| *k == 0.0)
    }

    /// Where the lens puts the point (x/z, y/z): the model's formula as it stands, also beyond [`Distortion::max_radius`],
    /// where it means nothing.
    pub fn distort(&self, x: f64, y: f64) -> [f64; 2] {
        match self {
            Self::None => [x, y],
            Self::PlumbBob(_) | Self::RationalPolynomial(_) => self.brown().bend(x, y).at,
            Self::Equidistant(k) => {
                let r = x.hypot(y);
                if r < TINY_RADIUS {
                    return [x, y];
                }
                let scale = bent_angle(k, r.atan()) / r;
                [x * scale, y * scale]
            }
        }
    }

    /// The point (x/z, y/z) that the lens puts at (`xd`, `yd`), to 1e-12; `None` when no point within
    /// [`Distortion::max_radius`] goes there.
    pub fn undistort(&self, xd: f64, yd: f64) -> Option<[f64; 2]> {
        if !(xd.is_finite() && yd.is_finite()) {
            return None;
        }
        match self {
            Self::None => Some([xd, yd]),
            Self::PlumbBob(_) | Self::RationalPolynomial(_) => self.brown().straighten(xd, yd),
            Self::Equidistant(k) => {
                let rd = xd.hypot(yd);
                if rd < TINY_RADIUS {
                    return Some([xd, yd]);
                }
                let angle = straight_angle(k, rd)?;
                let scale = angle.tan() / rd;
                Some([xd * scale, yd * scale])
            }
        }
    }

    /// Distance from the centre of the undistorted plane (the tangent of the angle from the axis) at which the distorted
    /// radius stops growing, so that the model is one to one within; infinite for a model that grows for ever.
    ///
    /// Costs some microseconds: ask once, not for every point ([`crate::Projector`] does).
    pub fn max_radius(&self) -> f64 {
        match self {
            Self::None => f64::INFINITY,
            Self::PlumbBob(_) | Self::RationalPolynomial(_) => {
                let lens = self.brown();
                largest(FAR, |s| lens.grows_until(s)).map_or(f64::INFINITY, f64::sqrt)
            }
            Self::Equidistant(k) => {
                largest(QUARTER_TURN_SQUARED, |t| angle_grows_until(k, t)).map_or(f64::INFINITY, |t| t.sqrt().tan())
            }
        }
    }

    /// Whether the model is one to one from the centre out to (x, y): what [`Distortion::max_radius`] says for a single
    /// point, at a fraction of the cost.
    pub fn reaches(&self, x: f64, y: f64) -> bool {
        match self {
            Self::None => true,
            Self::PlumbBob(_) | Self::RationalPolynomial(_) => self.brown().reaches(x, y),
            Self::Equidistant(k) => {
                let angle = x.hypot(y).atan();
                angle_grows_until(k, angle * angle)
            }
        }
    }

    fn brown(&self) -> Brown {
        let [k1, k2, p1, p2, k3, k4, k5, k6] = match *self {
            Self::PlumbBob([k1, k2, p1, p2, k3]) => [k1, k2, p1, p2, k3, 0.0, 0.0, 0.0],
            Self::RationalPolynomial(d) => d,
            Self::None | Self::Equidistant(_) => [0.0; 8],
        };
        Brown { numerator: [1.0, k1, k2, k3], denominator: [1.0, k4, k5, k6], tangential: [p1, p2] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lenses in use: a webcam, TUM's Kinect, an Azure Kinect's colour and depth, a fisheye.
    fn lenses() -> [Distortion; 5] {
        [
            Distortion::PlumbBob([-0.2, 0.05, 0.001, -0.002, 0.01]),
            Distortion::PlumbBob([0.2624, -0.9531, -0.0054, 0.0026, 1.1633]),
            Distortion::RationalPolynomial([0.330, -2.489, -0.000162, -0.000129, 1.454, 0.209, -2.303, 1.375]),
            Distortion::RationalPolynomial([16.1704, 8.44953, 5.9e-5, -1.5e-5, 0.324469, 16.4805, 13.9441, 1.99604]),
            Distortion::Equidistant([-0.0186, -0.0127, 0.0172, -0.0083]),
        ]
    }

    proptest! {
        #[test]
        fn straightening_undoes_bending(lens in 0..5usize, x in -0.7..0.7f64, y in -0.6..0.6f64) {
            let lens = lenses()[lens];
            prop_assume!(lens.reaches(x, y));
            let [xd, yd] = lens.distort(x, y);
            let [x2, y2] = lens.undistort(xd, yd).expect("the point is within reach");
            // near the edge of what the model reaches, an error of the bent point is magnified
            prop_assert!((x2 - x).hypot(y2 - y) < 1e-9);
            let [xd2, yd2] = lens.distort(x2, y2);
            prop_assert!((xd2 - xd).hypot(yd2 - yd) < 2e-12);
        }

        /// Whatever the coefficients: an answer is right, and within the radius up to which the model is one to one.
        #[test]
        fn an_answer_is_never_a_fold(
            d in prop::array::uniform8(-3.0..3.0f64), model in 0..3, xd in -3.0..3.0f64, yd in -3.0..3.0f64
        ) {
            let lens = match model {
                0 => Distortion::PlumbBob([d[0], d[1], 0.01 * d[2], 0.01 * d[3], d[4]]),
                1 => Distortion::RationalPolynomial([d[0], d[1], 0.01 * d[2], 0.01 * d[3], d[4], d[5], d[6], d[7]]),
                _ => Distortion::Equidistant([d[0], d[1], d[2], d[3]]),
            };
            if let Some([x, y]) = lens.undistort(xd, yd) {
                let back = lens.distort(x, y);
                prop_assert!((back[0] - xd).hypot(back[1] - yd) < 1e-11);
                prop_assert!(x.hypot(y) <= lens.max_radius() * (1.0 + 1e-12));
            }
        }

        /// Against walking outwards in small steps.
        #[test]
        fn the_largest_radius_is_where_a_walk_outwards_first_turns_back(
            k1 in -1.5..0.5f64, k2 in -0.5..1.0f64, k3 in -0.5..0.5f64, k4 in -0.3..0.3f64
        ) {
            for lens in [
                Distortion::PlumbBob([k1, k2, 0.0, 0.0, k3]),
                Distortion::RationalPolynomial([k1, k2, 0.0, 0.0, k3, k4, 0.1, 0.0]),
                Distortion::Equidistant([0.3 * k1, 0.3 * k2, 0.1 * k3, 0.0]),
            ] {
                let radius = |i: i32| f64::from(i) * 1e-3;
                let turn = (1..4000).find(|i| {
                    let bent = |i| lens.distort(radius(i), 0.0)[0];
                    bent(*i) <= bent(*i - 1)
                });
                let limit = lens.max_radius();
                match turn {
                    Some(i) => prop_assert!(limit <= radius(i) + 1e-9, "{lens:?}: {limit} but {}", radius(i)),
                    // a dip narrower than a step may hide from the walk, not from the polynomial
                    None => prop_assert!(limit > 0.0),
                }
                // up to the limit it does grow
                let r = 0.999 * limit.min(4.0);
                prop_assert!(lens.reaches(r, 0.0));
                let (near, far) = (lens.distort(0.999 * r, 0.0)[0], lens.distort(r, 0.0)[0]);
                prop_assert!(near < far, "{lens:?}");
            }
        }
    }

    #[test]
    fn a_point_far_outside_is_not_folded_back() {
        // r (1 - r^2) grows until r = 1/sqrt(3), and comes back to 0.3 at r = 0.79
        let lens = Distortion::PlumbBob([-1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((lens.max_radius() - 1.0 / 3.0f64.sqrt()).abs() < 1e-12);
        assert!(lens.reaches(0.57, 0.0) && !lens.reaches(0.58, 0.0) && !lens.reaches(5.0, 0.0));
        // beyond the largest distorted radius, 0.3849, nothing lies
        assert!(lens.undistort(0.384, 0.0).is_some() && lens.undistort(0.0, 0.386).is_none());
        let [x, _] = lens.undistort(0.3, 0.0).unwrap();
        assert!(x < 0.4);
    }

    #[test]
    fn the_fisheye_ends_at_a_quarter_turn_or_before() {
        let ideal = Distortion::Equidistant([0.0; 4]);
        assert_eq!(ideal.max_radius(), f64::INFINITY);
        let [x, y] = ideal.undistort(0.0, 1.0).unwrap();
        assert!(x == 0.0 && (y - 1.0f64.tan()).abs() < 1e-12);
        assert!(ideal.undistort(1.58, 0.0).is_none());
        // angle (1 - angle^2) turns back at 1/sqrt(3) rad
        let short = Distortion::Equidistant([-1.0, 0.0, 0.0, 0.0]);
        assert!((short.max_radius() - (1.0 / 3.0f64.sqrt()).tan()).abs() < 1e-9);
        assert!(short.undistort(0.4, 0.0).is_none());
    }

    #[test]
    fn a_denominator_that_vanishes_ends_the_view() {
        // r / (1 - r^2) grows without end as r goes to 1
        let lens = Distortion::RationalPolynomial([0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0]);
        assert!((lens.max_radius() - 1.0).abs() < 1e-9);
        let [x, _] = lens.undistort(20.0, 0.0).unwrap();
        assert!(x < 1.0 && (x / (1.0 - x * x) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_finite_has_no_answer() {
        for lens in lenses() {
            assert!(lens.undistort(f64::NAN, 0.0).is_none() && lens.undistort(0.0, f64::INFINITY).is_none());
            assert!(!lens.reaches(f64::NAN, 0.0));
        }
        let broken = Distortion::PlumbBob([f64::NAN, 0.0, 0.0, 0.0, 0.0]);
        assert!(broken.undistort(0.1, 0.1).is_none() && broken.max_radius() == 0.0);
    }

    #[test]
    fn straight_lenses_are_told() {
        assert!(Distortion::None.is_straight() && Distortion::PlumbBob([0.0; 5]).is_straight());
        assert!(!Distortion::Equidistant([0.0; 4]).is_straight());
        assert!(!Distortion::PlumbBob([0.0, 0.0, 1e-3, 0.0, 0.0]).is_straight());
    }
}
