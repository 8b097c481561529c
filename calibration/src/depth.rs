//! Depth readings in, corrected metres and their standard deviation out: what a depth sensor does to the truth.

use serde::{Deserialize, Serialize};

/// Furthest from 1 that a scale may be, as a factor: TUM's images, a fifth of a millimetre to the step, need 0.2.
const MAX_SCALE: f64 = 100.0;
/// Largest bias that is believed, metres.
const MAX_BIAS_M: f64 = 1.0;

/// How readings and true depths are related: true = `scale` * reading + `bias_m`, with some noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DepthModel {
    /// Multiplies readings.
    pub scale: f64,
    /// Added after that, metres.
    pub bias_m: f64,
    /// How much readings scatter.
    pub noise: DepthNoise,
}

/// The standard deviation of a depth z: sigma(z) = `base_m` + `linear` z + `quadratic_per_m` z^2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthNoise {
    /// At the camera, metres.
    pub base_m: f64,
    /// Grows with the depth.
    pub linear: f64,
    /// Grows with its square, 1/m.
    pub quadratic_per_m: f64,
}

/// Why a depth model was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {value}: {reason}")]
pub struct DepthModelError {
    /// Name of the field, such as `noise.base_m`.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl DepthNoise {
    /// Structured light, the first Kinect: 0.0012 + 0.0019 (z - 0.4)^2 metres (Nguyen, Izadi, Lovell 2012, Modeling Kinect
    /// Sensor Noise, equation 2), multiplied out.
    pub const STRUCTURED_LIGHT: Self =
        Self { base_m: 0.0012 + 0.0019 * 0.16, linear: -0.0019 * 0.8, quadratic_per_m: 0.0019 };

    /// Stereo: an error of the disparity of `disparity_px` pixels is one of z^2 / (focal * baseline) as many metres
    /// (z = focal * baseline / disparity, differentiated).
    pub fn stereo(focal_px: f64, baseline_m: f64, disparity_px: f64) -> Self {
        Self { base_m: 0.0, linear: 0.0, quadratic_per_m: disparity_px / (focal_px * baseline_m) }
    }

    /// Time of flight, roughly: the same at every depth.
    pub fn constant(sigma_m: f64) -> Self {
        Self { base_m: sigma_m, linear: 0.0, quadratic_per_m: 0.0 }
    }

    /// Whether sigma is above zero for every depth above zero.
    fn check(&self) -> Result<(), DepthModelError> {
        let Self { base_m, linear, quadratic_per_m } = *self;
        let fault = |field, value, reason| Err(DepthModelError { field, value, reason });
        for (field, value) in [("noise.base_m", base_m), ("noise.quadratic_per_m", quadratic_per_m)] {
            if !(value.is_finite() && value >= 0.0) {
                return fault(field, value, "it must be a finite number, not negative");
            }
        }
        if !linear.is_finite() {
            return fault("noise.linear", linear, "it must be a finite number");
        }
        // the lowest point of the parabola lies at base - linear^2 / (4 quadratic)
        if linear < 0.0 && linear * linear >= 4.0 * base_m * quadratic_per_m {
            return fault("noise.linear", linear, "the noise is not above zero at every depth");
        }
        if linear <= 0.0 && base_m == 0.0 && quadratic_per_m == 0.0 {
            return fault("noise.base_m", base_m, "the noise is zero at every depth; no sensor is exact");
        }
        Ok(())
    }
}

impl Default for DepthNoise {
    /// [`DepthNoise::STRUCTURED_LIGHT`]: between a good stereo camera and a poor one, and grows with depth as both do.
    fn default() -> Self {
        Self::STRUCTURED_LIGHT
    }
}

impl Default for DepthModel {
    /// Readings are taken as they are.
    fn default() -> Self {
        Self { scale: 1.0, bias_m: 0.0, noise: DepthNoise::default() }
    }
}

impl DepthModel {
    /// Checks a model that came from outside.
    ///
    /// # Errors
    /// [`DepthModelError`] naming the field.
    pub fn check(&self) -> Result<(), DepthModelError> {
        if !(self.scale >= 1.0 / MAX_SCALE && self.scale <= MAX_SCALE) {
            let reason = "it must be from 0.01 to 100; is the encoding right?";
            return Err(DepthModelError { field: "scale", value: self.scale, reason });
        }
        if !(-MAX_BIAS_M..=MAX_BIAS_M).contains(&self.bias_m) {
            let reason = "it must be from -1 to 1 m; is it in metres?";
            return Err(DepthModelError { field: "bias_m", value: self.bias_m, reason });
        }
        self.noise.check()
    }

    /// Corrects readings in place. What is no reading (zero, negative, not finite), or becomes none, is 0 afterwards.
    pub fn correct(&self, depth_m: &mut [f32]) {
        let (scale, bias) = (self.scale as f32, self.bias_m as f32);
        for z in depth_m {
            let corrected = scale * *z + bias;
            *z = if *z > 0.0 && corrected > 0.0 && corrected.is_finite() { corrected } else { 0.0 };
        }
    }

    /// Standard deviation at a (corrected) depth, metres.
    pub fn sigma_m(&self, z: f32) -> f32 {
        let n = &self.noise;
        n.base_m as f32 + z * (n.linear as f32 + z * n.quadratic_per_m as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readings_are_scaled_and_shifted_and_none_stays_none() {
        let model = DepthModel { scale: 1.02, bias_m: -0.01, ..DepthModel::default() };
        let mut z = [1.0, 0.0, f32::NAN, 0.005, -1.0, f32::INFINITY, f32::MAX];
        model.correct(&mut z);
        assert!((z[0] - 1.01).abs() < 1e-6);
        assert_eq!(z[1..], [0.0; 6]);
        let mut same = [0.3, 2.5];
        DepthModel::default().correct(&mut same);
        assert_eq!(same, [0.3, 2.5]);
    }

    #[test]
    fn noise_is_the_published_one() {
        let sigma = |noise, z| DepthModel { noise, ..DepthModel::default() }.sigma_m(z);
        for (z, metres) in [(0.4, 0.0012), (1.0, 0.001_884), (3.0, 0.014_044)] {
            assert!((sigma(DepthNoise::STRUCTURED_LIGHT, z) - metres).abs() < 1e-6, "{z}");
        }
        // disparities of 38.29 / 2 px and a tenth more or less at f = 382.9 px and 50 mm
        let (focal, baseline) = (382.9, 0.05);
        let depth = |disparity: f64| focal * baseline / disparity;
        let apart = (depth(9.5) - depth(9.7)) / 2.0;
        assert!((f64::from(sigma(DepthNoise::stereo(focal, baseline, 0.1), depth(9.6) as f32)) - apart).abs() < 1e-5);
        assert_eq!(sigma(DepthNoise::constant(0.005), 3.0), 0.005);
    }

    #[test]
    fn unusable_models_are_refused_by_field() {
        let good = DepthModel::default();
        let noise = |base_m, linear, quadratic_per_m| DepthModel {
            noise: DepthNoise { base_m, linear, quadratic_per_m },
            ..good
        };
        assert_eq!(good.check(), Ok(()));
        for (model, field) in [
            (DepthModel { scale: 0.0, ..good }, "scale"),
            (DepthModel { scale: f64::NAN, ..good }, "scale"),
            (DepthModel { bias_m: 15.0, ..good }, "bias_m"),
            (DepthModel { bias_m: f64::NAN, ..good }, "bias_m"),
            (noise(0.0, 0.0, 0.0), "noise.base_m"),
            (noise(f64::INFINITY, 0.0, 0.0), "noise.base_m"),
            (noise(0.001, -0.01, 0.001), "noise.linear"),
            (noise(0.001, 0.0, -1.0), "noise.quadratic_per_m"),
        ] {
            assert_eq!(model.check().unwrap_err().field, field, "{model:?}");
        }
    }

    proptest! {
        #[test]
        fn a_checked_model_has_noise_at_every_depth(
            base_m in 0.0..0.1f64, linear in -0.1..0.1f64, quadratic_per_m in 0.0..0.1f64, z in 0.01..20.0f32
        ) {
            let model = DepthModel { noise: DepthNoise { base_m, linear, quadratic_per_m }, ..DepthModel::default() };
            // near the limit rounding to f32 may touch zero
            prop_assume!(4.0 * base_m * quadratic_per_m - linear * linear * f64::from(linear < 0.0) > 1e-7);
            prop_assert!(model.check().is_ok() && model.sigma_m(z) > 0.0);
        }
    }
}
