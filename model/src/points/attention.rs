//! `[points, channels]` in, the same out: a Point Transformer v3 block (conditional position encoding by a sparse
//! convolution, attention within serialised patches, MLP).

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::plan::Patches;
use super::sparse_conv::{ConvIndex, NEIGHBOURS, sparse_conv};
use crate::transformer::HIDDEN_SCORE;

/// Attention scores held at a time: 64 MiB of them.
const MOST_SCORES: usize = 1 << 24;

/// One block.
#[derive(Module, Debug)]
pub(crate) struct PointBlock {
    /// The 3x3x3 submanifold convolution, as one matrix over the gathered neighbours.
    conv: Linear,
    conv_out: Linear,
    norm_conv: LayerNorm,
    norm_attention: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm_mlp: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

/// Rows of `table` as an index tensor.
pub(crate) fn index(rows: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len()]), device)
}

impl PointBlock {
    pub(crate) fn new(channels: usize, heads: usize, mlp_ratio: usize, device: &Device) -> Self {
        let linear = |i: usize, o: usize| LinearConfig::new(i, o).init(device);
        let norm = || LayerNormConfig::new(channels).init(device);
        Self {
            conv: linear(NEIGHBOURS * channels, channels),
            conv_out: linear(channels, channels),
            norm_conv: norm(),
            norm_attention: norm(),
            qkv: linear(channels, 3 * channels),
            out: linear(channels, channels),
            norm_mlp: norm(),
            up: linear(channels, mlp_ratio * channels),
            down: linear(mlp_ratio * channels, channels),
            heads,
        }
    }

    /// `x`: `[points, channels]`.
    pub(crate) fn forward(&self, x: Tensor<2>, conv: &ConvIndex, patches: &Patches) -> Tensor<2> {
        let device = x.device();
        let bias = self.conv.bias.as_ref().map(Param::val);
        let convolved = sparse_conv(x.clone(), self.conv.weight.val(), bias, conv);
        let near = self.norm_conv.forward(self.conv_out.forward(convolved));
        let x = x + near;
        let x = x.clone() + self.attend(self.norm_attention.forward(x), patches, &device);
        let y = self.down.forward(gelu(self.up.forward(self.norm_mlp.forward(x.clone()))));
        x + y
    }

    fn attend(&self, x: Tensor<2>, patches: &Patches, device: &Device) -> Tensor<2> {
        self.out.forward(attend_in_patches(self.qkv.forward(x), self.heads, patches, device))
    }
}

/// Attention within patches. `qkv`: `[points, 3 * channels]`; returns `[points, channels]`.
pub(super) fn attend_in_patches(qkv: Tensor<2>, heads: usize, patches: &Patches, device: &Device) -> Tensor<2> {
    let channels = qkv.dims()[1] / 3;
    let slots = patches.index.len();
    let size = patches.size.max(1);
    let (count, head_width) = (slots / size, channels / heads);
    let qkv = qkv
        .select(0, index(&patches.index, device))
        .reshape([count, size, 3, heads, head_width])
        .permute([2, 0, 3, 1, 4]);
    let part = |i: usize| -> Tensor<4> { qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0) };
    let (q, k, v) = (part(0), part(1), part(2));
    let hidden = (!patches.hidden.is_empty())
        .then(|| Tensor::<2, Bool>::from_data(TensorData::new(patches.hidden.clone(), [count, size]), device));
    // some patches at a time, so that the scores of a large cloud are not all held at once
    let at_once = (MOST_SCORES / (heads * size * size)).max(1);
    let mut mixed = Vec::with_capacity(count.div_ceil(at_once));
    for first in (0..count).step_by(at_once) {
        let some = at_once.min(count - first);
        let of = |t: &Tensor<4>| t.clone().narrow(0, first, some);
        let mut scores = of(&q).matmul(of(&k).transpose()).mul_scalar((head_width as f32).powf(-0.5));
        if let Some(hidden) = &hidden {
            let hidden = hidden.clone().narrow(0, first, some).reshape([some, 1, 1, size]);
            scores = scores.clone().mask_fill(hidden.expand(scores.shape()), HIDDEN_SCORE);
        }
        mixed.push(softmax(scores, 3).matmul(of(&v)).swap_dims(1, 2).reshape([some * size, channels]));
    }
    let mixed = if mixed.len() == 1 { mixed.remove(0) } else { Tensor::cat(mixed, 0) };
    mixed.select(0, index(&patches.slot, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(x: Tensor<2>) -> Vec<Vec<f32>> {
        let width = x.dims()[1];
        x.into_data().iter::<f32>().collect::<Vec<f32>>().chunks(width).map(<[f32]>::to_vec).collect()
    }

    /// Softmax attention of one row over `keys`, one head.
    fn naive(query: &[f32], keys: &[&[f32]], values: &[&[f32]]) -> Vec<f32> {
        let scale = (query.len() as f32).sqrt();
        let scores: Vec<f32> =
            keys.iter().map(|k| (query.iter().zip(*k).map(|(a, b)| a * b).sum::<f32>() / scale).exp()).collect();
        let total: f32 = scores.iter().sum();
        (0..query.len()).map(|c| scores.iter().zip(values).map(|(s, v)| s * v[c]).sum::<f32>() / total).collect()
    }

    #[test]
    fn points_attend_to_their_patch_alone() {
        let device = Device::flex();
        let (channels, heads) = (6, 2);
        let block = PointBlock::new(channels, heads, 2, &device);
        let values: Vec<f32> = (0..7 * channels).map(|i| ((i * 17 % 23) as f32 - 11.0) / 6.0).collect();
        let x = Tensor::<2>::from_data(TensorData::new(values, [7, channels]), &device);
        // a full patch, one that borrows point 3 from it, and one of a scene of two points
        let members: [&[usize]; 3] = [&[2, 0, 3], &[3, 1, 4], &[6, 5]];
        let patches = Patches {
            index: vec![2, 0, 3, 3, 1, 4, 6, 5, 6],
            hidden: vec![false, false, false, false, false, false, false, false, true],
            slot: vec![1, 4, 0, 2, 5, 7, 6],
            size: 3,
        };
        let patch_of = [0, 1, 0, 0, 1, 2, 2];
        let got = numbers(block.attend(x.clone(), &patches, &device));
        let qkv = numbers(block.qkv.forward(x));
        let mut mixed = Vec::new();
        for i in 0..7 {
            for h in 0..heads {
                let part = |row: usize, which: usize| &qkv[row][which * channels + h * 3..][..3];
                let patch = members[patch_of[i]];
                let keys: Vec<&[f32]> = patch.iter().map(|&j| part(j, 1)).collect();
                let values: Vec<&[f32]> = patch.iter().map(|&j| part(j, 2)).collect();
                mixed.extend(naive(part(i, 0), &keys, &values));
            }
        }
        let expected = numbers(block.out.forward(Tensor::from_data(TensorData::new(mixed, [7, channels]), &device)));
        for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
            assert!((got - expected).abs() < 1e-5);
        }
    }
}
