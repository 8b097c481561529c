//! The equidistant lens: the angle of a ray from the axis in, the distorted radius out, and back.

use crate::distortion::{INVERSE_TOLERANCE, NEWTON_STEPS};
use crate::positivity::positive_until;

/// Squared angle that no pinhole ray reaches.
pub(crate) const QUARTER_TURN_SQUARED: f64 = std::f64::consts::FRAC_PI_2 * std::f64::consts::FRAC_PI_2;

/// The equidistant model's polynomial: the distorted radius of a ray at `angle` from the axis.
pub(crate) fn bent_angle(k: &[f64; 4], angle: f64) -> f64 {
    let t = angle * angle;
    angle * (1.0 + t * (k[0] + t * (k[1] + t * (k[2] + t * k[3]))))
}

/// Whether the distorted radius grows with the angle up to angle^2 = `t`.
pub(crate) fn angle_grows_until(k: &[f64; 4], t: f64) -> bool {
    positive_until([1.0, 3.0 * k[0], 5.0 * k[1], 7.0 * k[2], 9.0 * k[3]], t)
}

/// The angle whose distorted radius is `rd`, by Newton's method kept within a bracket; `None` when no angle below a quarter
/// turn, up to which the radius grows, has it.
pub(crate) fn straight_angle(k: &[f64; 4], rd: f64) -> Option<f64> {
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
