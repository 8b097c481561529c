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
        // at the root itself the step is nothing: `newton` is then `low`, and must not be bisected away from
        let next = if (low..=high).contains(&newton) { newton } else { 0.5 * (low + high) };
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

    /// Newton's method arrives exactly; a lens whose radius falls again beyond its edge has another root there.
    #[test]
    fn a_root_that_is_met_exactly_is_kept() {
        let k =
            [-0.227_041_699_700_610_78, 0.175_319_867_712_334_5, 0.074_962_663_343_580_43, -0.225_703_570_748_497_62];
        let rd = (-0.598_810_381_410_606_9f64).hypot(0.404_319_992_155_391_4);
        let angle = straight_angle(&k, rd).unwrap();
        assert!((angle - 0.794_338_923_755_981_5).abs() < 1e-12, "{angle}");
        for i in 1..2000 {
            let angle = 0.9 * f64::from(i) / 2000.0;
            let found = straight_angle(&k, bent_angle(&k, angle)).unwrap();
            assert!((found - angle).abs() < 1e-9, "{angle}: {found}");
        }
    }
}
