//! `[points, channels]` in, the same out: a block of the published Point Transformer v3 (xCPE, attention within patches, MLP).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;

use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::points::attention::attend_in_patches;
use crate::points::plan::Patches;
use crate::points::sparse_conv::{ConvIndex, sparse_conv};
use crate::weights::{Bias, WeightReader};

/// Of torch's `LayerNorm`.
const EPSILON: f64 = 1e-5;

/// A submanifold convolution as spconv stores it: `[out, side, side, side, in]`, the first side along x.
#[derive(Module, Debug)]
pub(super) struct SparseConv {
    /// `[side^3 * in, out]`, by offset.
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl SparseConv {
    pub(super) fn read(reader: &WeightReader, side: usize, from: usize, to: usize, bias: Bias) -> Self {
        let read = side.pow(3) * from;
        let stored = reader.numbers("weight", &[to, side, side, side, from]);
        let weight = reader.placed_param(stored.map(|stored| transposed(&stored, read)), [read, to]);
        let bias = (bias == Bias::Yes).then(|| reader.param("bias", [to]));
        Self { weight, bias }
    }

    pub(super) fn forward(&self, x: Tensor<2>, index: &ConvIndex) -> Tensor<2> {
        sparse_conv(x, self.weight.val(), self.bias.as_ref().map(Param::val), index)
    }
}

/// Rows of `columns` numbers in, the columns one after another out.
fn transposed(rows: &[f32], columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len());
    for column in 0..columns {
        out.extend(rows.iter().skip(column).step_by(columns));
    }
    out
}

/// One block.
#[derive(Module, Debug)]
pub(super) struct Block {
    conv: SparseConv,
    conv_out: Linear,
    conv_norm: Norm,
    norm_attention: Norm,
    qkv: Linear,
    proj: Linear,
    norm_mlp: Norm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Block {
    /// In the names of Pointcept's checkpoints.
    pub(super) fn read(reader: &WeightReader, channels: usize, heads: usize, mlp_ratio: usize) -> Self {
        let (cpe, attention, mlp) = (reader.enter("cpe"), reader.enter("attn"), reader.enter("mlp.0"));
        let norm = |name: &str| Norm::read(NormKind::Layer, name, channels, EPSILON, reader);
        Self {
            conv: SparseConv::read(&cpe.enter("0"), 3, channels, channels, Bias::Yes),
            conv_out: cpe.linear("1", channels, channels, Bias::Yes),
            conv_norm: norm("cpe.2"),
            norm_attention: norm("norm1.0"),
            qkv: attention.linear("qkv", channels, 3 * channels, Bias::Yes),
            proj: attention.linear("proj", channels, channels, Bias::Yes),
            norm_mlp: norm("norm2.0"),
            up: mlp.linear("fc1", channels, mlp_ratio * channels, Bias::Yes),
            down: mlp.linear("fc2", mlp_ratio * channels, channels, Bias::Yes),
            heads,
        }
    }

    /// `x`: `[points, channels]`; `convolved`: what the position encoding reads, `x` itself but for the first block of a
    /// decoder stage.
    pub(super) fn forward(&self, x: Tensor<2>, convolved: Tensor<2>, conv: &ConvIndex, patches: &Patches) -> Tensor<2> {
        let device = x.device();
        let near = self.conv_norm.forward(self.conv_out.forward(self.conv.forward(convolved, conv)));
        let x = x + near;
        let qkv = self.qkv.forward(self.norm_attention.forward(x.clone()));
        let x = x + self.proj.forward(attend_in_patches(qkv, self.heads, patches, &device));
        let y = self.up.forward(self.norm_mlp.forward(x.clone()));
        x + self.down.forward(gelu(y))
    }
}
