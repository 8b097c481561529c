//! `[views, channels, height, width]` in and out: a convolution whose kernel comes from a checkpoint.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::{conv_transpose2d, conv2d, interpolate};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions};

use crate::weights::{Bias, WeightReader};

/// A convolution that keeps the size (odd kernel, half of it as padding), or divides it by its stride.
#[derive(Module, Debug)]
pub(super) struct Conv {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
}

impl Conv {
    /// The convolution `name` at `reader` with a kernel of `side`.
    pub fn read(
        name: &str,
        inputs: usize,
        outputs: usize,
        side: usize,
        stride: usize,
        bias: Bias,
        reader: &WeightReader,
    ) -> Self {
        let at = reader.enter(name);
        let bias = (bias == Bias::Yes).then(|| at.param("bias", [outputs]));
        Self { weight: at.param("weight", [outputs, inputs, side, side]), bias, stride, padding: side / 2 }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// A transposed convolution whose stride is its kernel's side: every pixel becomes a square.
#[derive(Module, Debug)]
pub(super) struct Enlarge {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    factor: usize,
}

impl Enlarge {
    pub fn read(name: &str, channels: usize, factor: usize, reader: &WeightReader) -> Self {
        let at = reader.enter(name);
        Self {
            weight: at.param("weight", [channels, channels, factor, factor]),
            bias: at.param("bias", [channels]),
            factor,
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvTransposeOptions::new([self.factor; 2], [0, 0], [0, 0], [1, 1], 1);
        conv_transpose2d(x, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// Bilinear, with or without the corners of input and output aligned.
pub(super) fn bilinear(x: Tensor<4>, size: [usize; 2], align_corners: bool) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_output_size(size);
    interpolate(x, options.with_align_corners(align_corners))
}
