//! What fitting depth to motion gave in, a verdict on its scale out.

use super::parallax::BASELINE_M;
use super::verdict::{Finding, Verdict, by_limits};

/// Deviation from 1 that is within the accuracy of depth cameras (2% at 2 m for stereo).
const SCALE_OK: f64 = 0.02;
/// Beyond this, objects are seen at wrong places.
const SCALE_WARN: f64 = 0.03;

/// A number and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error; NaN when the data do not tell.
    pub error: f64,
    /// Whether the data determine it; if not, the value is the neutral one that was assumed.
    pub determined: bool,
}

/// What the motion says about a depth stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthFit {
    /// Multiplies readings.
    pub scale: Estimate,
    /// Added to scaled readings, metres.
    pub bias_m: Estimate,
    /// Added to depth stamps to meet the poses, seconds.
    pub offset_s: Estimate,
    /// Typical distance from the surface relative to its depth (1.48 times the median).
    pub residual_share: f64,
    /// Pairs of images used.
    pub pairs: usize,
    /// Points used.
    pub points: usize,
}

/// Why the motion says nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// An image is not of the camera's size.
    #[error("depth image {index} has {got} values, the camera has {expected} pixels")]
    Size {
        /// Number of the image.
        index: usize,
        /// Its values.
        got: usize,
        /// The camera's pixels.
        expected: usize,
    },
    /// The camera hardly moved.
    #[error("no two depth images are {} to {} m apart by their poses; move the camera sideways", BASELINE_M.start(), BASELINE_M.end())]
    NoParallax,
    /// No surfaces agree at any scale.
    #[error("the depth images do not agree at any scale: are the poses those of this camera?")]
    NoOverlap,
}

impl DepthFit {
    /// In words, when the scale is not determined.
    pub fn why_undetermined(&self) -> String {
        format!(
            "scale {:.3} +- {:.3} from {} pairs of images, typical distance {:.2}%: not enough to rely on; move the camera sideways \
             for some seconds, before objects at several depths",
            self.scale.value,
            self.scale.error,
            self.pairs,
            100.0 * self.residual_share
        )
    }
}

/// The verdict on the scale of depth against motion.
pub fn judge_scale(fit: &Result<DepthFit, FitError>) -> Finding {
    const NAME: &str = "depth_scale";
    match fit {
        Err(error) => Finding::new(NAME, Verdict::Undecided, error.to_string()),
        Ok(fit) if !fit.scale.determined => Finding::new(NAME, Verdict::Undecided, fit.why_undetermined()),
        Ok(fit) => {
            let off = (fit.scale.value - 1.0).abs();
            let verdict = by_limits(off, SCALE_OK, SCALE_WARN);
            let mut message = format!(
                "depth must be multiplied by {:.4} +- {:.4} to agree with the transforms ({} pairs of images, typical distance {:.2}%)",
                fit.scale.value,
                fit.scale.error,
                fit.pairs,
                100.0 * fit.residual_share
            );
            if verdict != Verdict::Ok {
                message +=
                    "; `vantage calibrate depth` writes a rig file that corrects it, if the transforms are right";
            }
            Finding::new(NAME, verdict, message).measured(fit.scale.value, 1.0 + SCALE_OK, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(scale: f64, determined: bool) -> DepthFit {
        let estimate = |value: f64, determined| Estimate { value, error: 0.001, determined };
        DepthFit {
            scale: estimate(scale, determined),
            bias_m: estimate(0.0, false),
            offset_s: estimate(0.0, false),
            residual_share: 0.003,
            pairs: 40,
            points: 40_000,
        }
    }

    #[test]
    fn a_scale_is_judged_by_its_distance_from_one() {
        let verdict = |scale: f64| judge_scale(&Ok(fit(scale, true))).verdict;
        assert_eq!([1.01, 0.975, 1.05, 0.1].map(verdict), [Verdict::Ok, Verdict::Warn, Verdict::Fail, Verdict::Fail]);
    }

    #[test]
    fn what_is_not_determined_is_not_judged() {
        assert_eq!(judge_scale(&Ok(fit(1.4, false))).verdict, Verdict::Undecided);
        let still = judge_scale(&Err(FitError::NoParallax));
        assert!(still.verdict == Verdict::Undecided && still.message.contains("sideways"), "{still:?}");
    }
}
