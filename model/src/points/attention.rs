//! `[points, channels]` in, the same out: a Point Transformer v3 block (conditional position encoding by a sparse
//! convolution, attention within serialised patches, MLP).

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::plan::{NEIGHBOURS, Patches};
use crate::transformer::HIDDEN_SCORE;

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

    /// `x`: `[points, channels]`; `neighbours`: `[points * 27]` rows, the number of points for none.
    pub(crate) fn forward(&self, x: Tensor<2>, neighbours: &Tensor<1, Int>, patches: &Patches) -> Tensor<2> {
        let [points, channels] = x.dims();
        let device = x.device();
        let with_none = Tensor::cat(vec![x.clone(), Tensor::zeros([1, channels], &device)], 0);
        let gathered = with_none.select(0, neighbours.clone()).reshape([points, NEIGHBOURS * channels]);
        let x = x + self.norm_conv.forward(self.conv_out.forward(self.conv.forward(gathered)));
        let x = x.clone() + self.attend(self.norm_attention.forward(x), patches, &device);
        let y = self.down.forward(gelu(self.up.forward(self.norm_mlp.forward(x.clone()))));
        x + y
    }

    fn attend(&self, x: Tensor<2>, patches: &Patches, device: &Device) -> Tensor<2> {
        let channels = x.dims()[1];
        let slots = patches.index.len();
        let size = patches.size.max(1);
        let (count, head_width) = (slots / size, channels / self.heads);
        let qkv = self
            .qkv
            .forward(x)
            .select(0, index(&patches.index, device))
            .reshape([count, size, 3, self.heads, head_width])
            .permute([2, 0, 3, 1, 4]);
        let part = |i: usize| -> Tensor<4> { qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0) };
        let (q, k, v) = (part(0), part(1), part(2));
        let mut scores = q.matmul(k.transpose()).mul_scalar((head_width as f32).powf(-0.5));
        if !patches.hidden.is_empty() {
            let hidden = Tensor::<2, Bool>::from_data(TensorData::new(patches.hidden.clone(), [count, size]), device);
            scores = scores.clone().mask_fill(hidden.reshape([count, 1, 1, size]).expand(scores.shape()), HIDDEN_SCORE);
        }
        let mixed = softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([slots, channels]);
        self.out.forward(mixed.select(0, index(&patches.slot, device)))
    }
}
