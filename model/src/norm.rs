//! `[.., width]` in, the same shape out: layer norm (arXiv 1607.06450) or RMS norm (arXiv 1910.07467), statistics in f32.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::layer_norm;
use burn::tensor::{DType, Device, Tensor};

use crate::weights::WeightReader;

/// Which norm a block uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Mean and variance removed, then scaled and shifted.
    Layer,
    /// Divided by the root of the mean square, then scaled.
    Rms,
}

/// A norm over the last dimension. A layer norm has a shift, an RMS norm has none.
#[derive(Module, Debug)]
pub struct Norm {
    gamma: Param<Tensor<1>>,
    beta: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

impl Norm {
    /// The identity scale and no shift, on `device`.
    pub fn new(kind: NormKind, width: usize, epsilon: f64, device: &Device) -> Self {
        let beta = match kind {
            NormKind::Layer => Some(Initializer::Zeros.init([width], device)),
            NormKind::Rms => None,
        };
        Self { gamma: Initializer::Ones.init([width], device), beta, epsilon }
    }

    /// The norm `name` at `reader`: `<name>.weight`, and `<name>.bias` of a layer norm.
    pub fn read(kind: NormKind, name: &str, width: usize, epsilon: f64, reader: &WeightReader) -> Self {
        let at = reader.enter(name);
        let beta = (kind == NormKind::Layer).then(|| at.param("bias", [width]));
        Self { gamma: at.param("weight", [width]), beta, epsilon }
    }

    /// `x`: `[.., width]`. Types narrower than 32 bits are widened for the statistics.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let dtype = x.dtype();
        let wide = x.cast(DType::F32);
        let gamma = self.gamma.val();
        match &self.beta {
            Some(beta) => {
                layer_norm(wide, gamma.cast(DType::F32), Some(beta.val().cast(DType::F32)), self.epsilon).cast(dtype)
            }
            None => {
                let mean_square = wide.clone().square().mean_dim(D - 1);
                let normed = wide.div(mean_square.add_scalar(self.epsilon).sqrt()).cast(dtype);
                // the reference scales after it has narrowed
                normed.mul(gamma.cast(dtype).unsqueeze())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_norms_follow_their_formulas() {
        let device = Device::flex();
        let x = [1.0_f32, -2.0, 4.0, 0.5];
        let row = Tensor::<2>::from_floats([x], &device);
        let norm =
            |kind| Norm::new(kind, 4, 1e-5, &device).forward(row.clone()).into_data().try_to_vec::<f32>().unwrap();
        let mean = x.iter().sum::<f32>() / 4.0;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 4.0;
        let square = x.iter().map(|v| v * v).sum::<f32>() / 4.0;
        for (i, (layer, rms)) in norm(NormKind::Layer).into_iter().zip(norm(NormKind::Rms)).enumerate() {
            assert!((layer - (x[i] - mean) / (variance + 1e-5).sqrt()).abs() < 1e-6, "layer norm at {i}: {layer}");
            assert!((rms - x[i] / (square + 1e-5).sqrt()).abs() < 1e-6, "rms norm at {i}: {rms}");
        }
    }

    #[test]
    fn half_precision_stays_half_precision() {
        let device = Device::flex();
        for kind in [NormKind::Layer, NormKind::Rms] {
            let x = Tensor::<2>::from_floats([[300.0_f32, -400.0, 500.0, 100.0]], &device).cast(DType::F16);
            let y = Norm::new(kind, 4, 1e-6, &device).forward(x);
            assert_eq!(y.dtype(), DType::F16);
            let values = y.cast(DType::F32).into_data().try_to_vec::<f32>().unwrap();
            assert!(values.iter().all(|v| v.is_finite() && v.abs() < 2.0), "{kind:?}: squares overflowed: {values:?}");
        }
    }
}
