//! `[.., width]` in, the same shape out: the nonlinearities of vision and text towers, under their Hugging Face names.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu};
use serde::{Deserialize, Serialize};

/// A nonlinearity, as `hidden_act` of a config.json names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Activation {
    /// `x Φ(x)` by the error function (arXiv 1606.08415).
    #[default]
    #[serde(rename = "gelu")]
    Gelu,
    /// GELU by its tanh approximation (arXiv 1606.08415, section 2).
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_new", alias = "gelu_fast")]
    GeluTanh,
    /// `x σ(1.702 x)`, as in CLIP.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// `x σ(x)` (swish); with a gate this is SwiGLU (arXiv 2002.05202).
    #[serde(rename = "silu", alias = "swish")]
    Silu,
    /// `max(x, 0)`.
    #[serde(rename = "relu")]
    Relu,
}

/// Slope of CLIP's sigmoid approximation of GELU.
const QUICK_GELU_SLOPE: f32 = 1.702;
/// `sqrt(2 / π)`, the scale inside GELU's tanh approximation.
const GELU_TANH_SCALE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
/// Weight of the cubic term inside GELU's tanh approximation.
const GELU_TANH_CUBIC: f32 = 0.044_715;

impl Activation {
    /// Applies it to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(x),
            Self::GeluTanh => {
                // the cube as a product: a power of a negative base is slow, and not a number on some backends
                let cubic = x.clone().square().mul(x.clone()).mul_scalar(GELU_TANH_CUBIC);
                let inner = cubic.add(x.clone()).mul_scalar(GELU_TANH_SCALE);
                x.mul(inner.tanh().add_scalar(1.0)).mul_scalar(0.5)
            }
            Self::QuickGelu => {
                let gate = sigmoid(x.clone().mul_scalar(QUICK_GELU_SLOPE));
                x.mul(gate)
            }
            Self::Silu => silu(x),
            Self::Relu => relu(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Values of `torch.nn.functional.gelu` (both forms), of `x * sigmoid(1.702 x)` and of `silu`, computed by hand in
    /// 64 bits at -3, -0.5, 0, 0.5 and 2.
    #[test]
    fn values_equal_the_formulas() {
        let x = [-3.0_f64, -0.5, 0.0, 0.5, 2.0];
        let sigmoid = |t: f64| 1.0 / (1.0 + (-t).exp());
        let tanh_gelu =
            |t: f64| 0.5 * t * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (t + 0.044_715 * t * t * t)).tanh());
        // x Φ(x), Φ from tables
        let exact = |t: f64| match t {
            -3.0 => -3.0 * 0.001_349_898_03,
            -0.5 => -0.5 * 0.308_537_538_73,
            0.5 => 0.5 * 0.691_462_461_27,
            2.0 => 2.0 * 0.977_249_868_05,
            _ => 0.0,
        };
        let formulas: [(Activation, &dyn Fn(f64) -> f64); 5] = [
            (Activation::Gelu, &exact),
            (Activation::GeluTanh, &tanh_gelu),
            (Activation::QuickGelu, &|t| t * sigmoid(1.702 * t)),
            (Activation::Silu, &|t| t * sigmoid(t)),
            (Activation::Relu, &|t| t.max(0.0)),
        ];
        for (activation, formula) in formulas {
            let given = activation.forward(Tensor::<1>::from_floats(x.map(|v| v as f32), &Device::flex()));
            let given = given.into_data().try_to_vec::<f32>().unwrap();
            for (x, given) in x.into_iter().zip(given) {
                assert!((f64::from(given) - formula(x)).abs() < 1e-6, "{activation:?}({x}) = {given}");
            }
        }
    }

    #[test]
    fn names_are_those_of_hugging_face() {
        for (name, activation) in [
            ("gelu", Activation::Gelu),
            ("gelu_pytorch_tanh", Activation::GeluTanh),
            ("quick_gelu", Activation::QuickGelu),
            ("silu", Activation::Silu),
        ] {
            assert_eq!(serde_json::from_str::<Activation>(&format!("{name:?}")).unwrap(), activation);
        }
        assert!(serde_json::from_str::<Activation>("\"mish\"").is_err());
    }
}
