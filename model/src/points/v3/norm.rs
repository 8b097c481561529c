//! `[points, channels]` in, the same shape out: a batch norm with the statistics that training left behind.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::error::WeightsFault;
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
        let [weight, bias, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|name| at.numbers(name, &[channels]));
        if let Some(index) = variance.as_ref().and_then(|variance| variance.iter().position(|x| *x < 0.0)) {
            at.refuse("running_var", |tensor| WeightsFault::Negative { tensor, index });
        }
        let scale: Option<Vec<f32>> = weight
            .zip(variance)
            .map(|(weight, variance)| weight.iter().zip(variance).map(|(w, v)| w / (v + EPSILON).sqrt()).collect());
        let shift = scale.as_ref().zip(bias.zip(mean)).map(|(scale, (bias, mean))| {
            bias.iter().zip(mean).zip(scale).map(|((bias, mean), scale)| bias - mean * scale).collect()
        });
        Self { scale: at.placed_as(scale, [channels], DType::F32), shift: at.placed_as(shift, [channels], DType::F32) }
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        (x.cast(DType::F32) * self.scale.val().unsqueeze::<2>() + self.shift.val().unsqueeze::<2>()).cast(dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::MatrixType;
    use crate::weights::{Placement, WeightFiles};
    use burn::tensor::TensorData;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    /// A batch norm of two channels with that variance.
    fn reader(variance: [f32; 2]) -> WeightReader {
        let stored =
            [[2.0f32, -1.0], [0.5, 0.25], [1.0, -3.0], variance].map(|pair| pair.map(f32::to_le_bytes).concat());
        let names = ["n.weight", "n.bias", "n.running_mean", "n.running_var"];
        let view = |bytes| TensorView::new(Dtype::F32, vec![2], bytes).unwrap();
        let file = safetensors::serialize(names.into_iter().zip(&stored).map(|(n, b)| (n, view(b))), None).unwrap();
        WeightReader::new(WeightFiles::from_bytes("here", file).unwrap(), Placement::cpu(MatrixType::F32))
    }

    #[test]
    fn it_is_the_norm_by_the_kept_statistics() {
        let reader = reader([3.0, 0.0]);
        let norm = BatchNorm::read("n", 2, &reader);
        reader.finish().unwrap();
        let x = Tensor::from_data(TensorData::new(vec![4.0f32, -2.0], [1, 2]), reader.device());
        let got: Vec<f32> = norm.forward(x).into_data().iter::<f32>().collect();
        let expected = [3.0 / 3.001f32.sqrt() * 2.0 + 0.5, 0.25 - 1.0 / 0.001f32.sqrt()];
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-4), "{got:?} {expected:?}");
    }

    #[test]
    fn a_variance_that_is_none_is_refused_by_name() {
        for (variance, says) in
            [([1.0, -0.5], "below 0"), ([1.0, f32::NAN], "not finite"), ([1.0, f32::INFINITY], "not finite")]
        {
            let reader = reader(variance);
            BatchNorm::read("n", 2, &reader);
            let error = reader.finish().unwrap_err().to_string();
            assert!(error.contains("n.running_var") && error.contains(says) && error.contains("index 1"), "{error}");
        }
    }
}
