//! `[batch, tokens, width]` in, the same shape out: the pre-norm bidirectional transformer block that the image encoder,
//! the depth encoder and the text tower share (ViT, arXiv 2010.11929).

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Bool, Device, Tensor};

/// Added to the scores of hidden keys before the softmax; finite, so that a row with no visible key stays a number.
pub(crate) const HIDDEN_SCORE: f32 = -1.0e9;

/// Sizes of one [`TransformerBlock`].
#[derive(Debug, Clone, Copy)]
pub struct TransformerBlockConfig {
    /// Channels of a token.
    pub width: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Channels of the MLP's hidden layer.
    pub mlp_width: usize,
}

/// Pre-norm attention and MLP, each with a residual.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    norm_attention: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm_mlp: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl TransformerBlockConfig {
    /// Random initial weights on `device`.
    pub fn init(&self, device: &Device) -> TransformerBlock {
        let w = self.width;
        TransformerBlock {
            norm_attention: LayerNormConfig::new(w).init(device),
            qkv: LinearConfig::new(w, 3 * w).init(device),
            out: LinearConfig::new(w, w).init(device),
            norm_mlp: LayerNormConfig::new(w).init(device),
            up: LinearConfig::new(w, self.mlp_width).init(device),
            down: LinearConfig::new(self.mlp_width, w).init(device),
            heads: self.heads,
        }
    }
}

impl TransformerBlock {
    /// `x`: `[batch, tokens, width]`; `hidden`: `[batch, tokens]`, true where a token is padding that no one may read.
    pub fn forward(&self, x: Tensor<3>, hidden: Option<&Tensor<2, Bool>>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let head_width = width / self.heads;
        let qkv = self
            .qkv
            .forward(self.norm_attention.forward(x.clone()))
            .reshape([batch, tokens, 3, self.heads, head_width])
            .permute([2, 0, 3, 1, 4]);
        let part = |i: usize| -> Tensor<4> { qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0) };
        let (q, k, v) = (part(0), part(1), part(2));
        let mut scores = q.matmul(k.transpose()).mul_scalar((head_width as f32).powf(-0.5));
        if let Some(hidden) = hidden {
            let mask = hidden.clone().reshape([batch, 1, 1, tokens]).expand(scores.shape());
            scores = scores.mask_fill(mask, HIDDEN_SCORE);
        }
        let mixed = softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([batch, tokens, width]);
        let x = x + self.out.forward(mixed);
        let y = self.down.forward(gelu(self.up.forward(self.norm_mlp.forward(x.clone()))));
        x + y
    }
}
