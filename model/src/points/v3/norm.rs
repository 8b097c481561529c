//! `[points, channels]` in, the same shape out: a batch norm with the statistics that training left behind.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::weights::WeightReader;

/// `bn_layer` of the reference.
const EPSILON: f32 = 1e-3;

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias`, as one factor and one summand a channel.
#[derive(Module, Debug)]
pub(super) struct BatchNorm {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
}

impl BatchNorm {
    /// Under `name`: weight, bias, running_mean and running_var of `channels`.
    pub(super) fn read(name: &str, channels: usize, reader: &WeightReader) -> Self {
        let at = reader.enter(name);
        at.ignore("num_batches_tracked");
        let number = |name: &str| at.param(name, [channels]).val().cast(DType::F32);
        let (weight, bias) = (number("weight"), number("bias"));
        let (mean, variance) = (number("running_mean"), number("running_var"));
        let scale = weight / (variance.clamp_min(0.0) + EPSILON).sqrt();
        let shift = bias - mean * scale.clone();
        Self { scale: Param::from_tensor(scale), shift: Param::from_tensor(shift) }
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        (x.cast(DType::F32) * self.scale.val().unsqueeze::<2>() + self.shift.val().unsqueeze::<2>()).cast(dtype)
    }
}
