//! Points of the normalised image plane in, the same points as a lens bends them out, and back.
//!
//! The models are those of ROS `sensor_msgs/distortion_models.hpp` and OpenCV, coefficient by coefficient. All are written
//! here because the crate camera-intrinsic-model has no rational polynomial and does not say where a model stops being one
//! to one: beyond that radius a point far outside of the view would be folded back into the picture.

use serde::{Deserialize, Serialize};

use crate::positivity::positive_until;

/// Steps of Newton's method; from a start on the right side five are usual.
const NEWTON_STEPS: usize = 30;
/// An inversion is accepted when it maps back this closely, relative to 1 or the point, whichever is larger.
const INVERSE_TOLERANCE: f64 = 1.0e-12;
/// Squared radius up to which a model is looked at: 89.4 degrees from the axis.
const FAR: f64 = 1.0e4;
/// Halvings that find the largest radius: from [`FAR`] down to rounding.
const RADIUS_HALVINGS: usize = 64;
/// Squared angle that no pinhole ray reaches.
const QUARTER_TURN_SQUARED: f64 = std::f64::consts::FRAC_PI_2 * std::f64::consts::FRAC_PI_2;
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

/// The plumb-bob and the rational model: x N(s)/D(s) + tangential, with s the squared radius.
struct Brown {
    numerator: [f64; 4],
    denominator: [f64; 4],
    tangential: [f64; 2],
}

/// A distorted point, and how it moves with the point: d(xd, yd)/d(x, y) = ((a, b), (b, c)), symmetric for these models.
struct Bent {
    at: [f64; 2],
    a: f64,
    b: f64,
    c: f64,
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
            Self::PlumbBob(_) | Self::RationalPolynomial(_) => {
                let lens = self.brown();
                lens.grows_until(x * x + y * y) && lens.bend(x, y).determinant() > 0.0
            }
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

fn polynomial(c: &[f64; 4], s: f64) -> f64 {
    c[0] + s * (c[1] + s * (c[2] + s * c[3]))
}

fn slope(c: &[f64; 4], s: f64) -> f64 {
    c[1] + s * (2.0 * c[2] + s * 3.0 * c[3])
}

/// The largest value up to which `holds`, which must go from yes to no once; `None` when it holds at `end`.
fn largest(end: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    if holds(end) {
        return None;
    }
    let (mut yes, mut no) = (0.0, end);
    for _ in 0..RADIUS_HALVINGS {
        let middle = 0.5 * (yes + no);
        if holds(middle) { yes = middle } else { no = middle }
    }
    Some(yes)
}

impl Bent {
    fn determinant(&self) -> f64 {
        self.a * self.c - self.b * self.b
    }
}

impl Brown {
    fn bend(&self, x: f64, y: f64) -> Bent {
        let s = x * x + y * y;
        let [p1, p2] = self.tangential;
        let (n, d) = (polynomial(&self.numerator, s), polynomial(&self.denominator, s));
        let radial = n / d;
        // d radial / d s
        let growth = (slope(&self.numerator, s) - radial * slope(&self.denominator, s)) / d;
        Bent {
            at: [
                x * radial + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x),
                y * radial + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y,
            ],
            a: radial + 2.0 * x * x * growth + 2.0 * p1 * y + 6.0 * p2 * x,
            b: 2.0 * x * y * growth + 2.0 * p1 * x + 2.0 * p2 * y,
            c: radial + 2.0 * y * y * growth + 6.0 * p1 * y + 2.0 * p2 * x,
        }
    }

    /// Whether r N/D grows with r up to r^2 = `s`: its derivative is (N D + 2 s (N' D - N D')) / D^2, and D must not vanish.
    fn grows_until(&self, s: f64) -> bool {
        let (n, d) = (&self.numerator, &self.denominator);
        if d[1..].iter().all(|k| *k == 0.0) {
            return positive_until([1.0, 3.0 * n[1], 5.0 * n[2], 7.0 * n[3]], s);
        }
        let mut growth = [0.0; 7];
        for (i, n) in n.iter().enumerate() {
            for (j, d) in d.iter().enumerate() {
                growth[i + j] += n * d * (1.0 + 2.0 * (i as f64 - j as f64));
            }
        }
        positive_until(*d, s) && positive_until(growth, s)
    }

    fn straighten(&self, xd: f64, yd: f64) -> Option<[f64; 2]> {
        let valid = |found: [f64; 2]| {
            let unfolded = self.grows_until(found[0] * found[0] + found[1] * found[1])
                && self.bend(found[0], found[1]).determinant() > 0.0;
            unfolded.then_some(found)
        };
        // nearly always right at once; where the lens bends a lot, the radial part alone gives a start on the right side
        self.newton([xd, yd], [xd, yd]).and_then(valid).or_else(|| {
            let start = self.radial_start(xd, yd)?;
            self.newton(start, [xd, yd]).and_then(valid)
        })
    }

    /// Newton's method with the analytic Jacobian.
    fn newton(&self, start: [f64; 2], target: [f64; 2]) -> Option<[f64; 2]> {
        let [mut x, mut y] = start;
        for _ in 0..NEWTON_STEPS {
            let bent = self.bend(x, y);
            let (ex, ey) = (bent.at[0] - target[0], bent.at[1] - target[1]);
            let det = bent.determinant();
            let (dx, dy) = ((bent.c * ex - bent.b * ey) / det, (bent.a * ey - bent.b * ex) / det);
            (x, y) = (x - dx, y - dy);
            if dx.abs() + dy.abs() <= f64::EPSILON * (1.0 + x.abs() + y.abs()) {
                break;
            }
            if !(x.is_finite() && y.is_finite()) {
                return None;
            }
        }
        let [bx, by] = self.bend(x, y).at;
        let near = (bx - target[0]).abs().max((by - target[1]).abs());
        (near <= INVERSE_TOLERANCE * (1.0 + target[0].abs() + target[1].abs())).then_some([x, y])
    }

    /// The point in the direction of (`xd`, `yd`) whose radial distortion alone goes there, by bisection.
    fn radial_start(&self, xd: f64, yd: f64) -> Option<[f64; 2]> {
        let rd = xd.hypot(yd);
        let mut far = largest(FAR, |s| self.grows_until(s)).unwrap_or(FAR).sqrt();
        let mut near = 0.0;
        for _ in 0..RADIUS_HALVINGS {
            let r = 0.5 * (near + far);
            let s = r * r;
            let bent = r * polynomial(&self.numerator, s) / polynomial(&self.denominator, s);
            if bent < rd { near = r } else { far = r }
        }
        (rd > 0.0).then(|| [xd / rd * near, yd / rd * near])
    }
}

/// The equidistant model's polynomial: the distorted radius of a ray at `angle` from the axis.
fn bent_angle(k: &[f64; 4], angle: f64) -> f64 {
    let t = angle * angle;
    angle * (1.0 + t * (k[0] + t * (k[1] + t * (k[2] + t * k[3]))))
}

/// Whether the distorted radius grows with the angle up to angle^2 = `t`.
fn angle_grows_until(k: &[f64; 4], t: f64) -> bool {
    positive_until([1.0, 3.0 * k[0], 5.0 * k[1], 7.0 * k[2], 9.0 * k[3]], t)
}

/// The angle whose distorted radius is `rd`, by Newton's method kept within a bracket; `None` when no angle below a quarter
/// turn, up to which the radius grows, has it.
fn straight_angle(k: &[f64; 4], rd: f64) -> Option<f64> {
    let mut angle = rd.min(1.5);
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..2 * NEWTON_STEPS {
        let t = angle * angle;
        // where the radius no longer grows the answer lies nearer, whatever the value there
        if !angle_grows_until(k, t) || bent_angle(k, angle) > rd {
            high = angle;
        } else {
            low = angle;
        }
        let slope = 1.0 + t * (3.0 * k[0] + t * (5.0 * k[1] + t * (7.0 * k[2] + t * 9.0 * k[3])));
        let newton = angle - (bent_angle(k, angle) - rd) / slope;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let step = (next - angle).abs();
        angle = next;
        if step <= 4.0 * f64::EPSILON * angle {
            break;
        }
    }
    let found = (bent_angle(k, angle) - rd).abs() <= INVERSE_TOLERANCE * (1.0 + rd);
    (found && angle < std::f64::consts::FRAC_PI_2 && angle_grows_until(k, angle * angle)).then_some(angle)
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
