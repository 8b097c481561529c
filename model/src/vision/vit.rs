//! Pixels `[views, channels, height, width]` in, patch tokens and one pooled vector a view out: a vision transformer
//! (arXiv 2010.11929) with learned positions and a 2x2-style patch merger as in Qwen2.5-VL (arXiv 2502.13923).

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

use crate::config::VisionConfig;
use crate::transformer::{TransformerBlock, TransformerBlockConfig};

/// What one pass over some views gives.
#[derive(Debug, Clone)]
pub struct ViewFeatures {
    /// `[views, merged tokens, out_width]`, row-major over the merged grid.
    pub tokens: Tensor<3>,
    /// `[views, width]`: mean of the last layer's patches.
    pub pooled: Tensor<2>,
}

/// A vision transformer with a patch merger.
#[derive(Module, Debug)]
pub struct Vit {
    patch_embed: Linear,
    position: Param<Tensor<2>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    merge_up: Linear,
    merge_down: Linear,
    patch_size: usize,
    merge: usize,
}

impl Vit {
    /// Random initial weights on `device`; merged tokens have `out_width` channels.
    pub fn new(config: &VisionConfig, out_width: usize, device: &Device) -> Self {
        let (across, down) = config.patches();
        let block = TransformerBlockConfig { width: config.width, heads: config.heads, mlp_width: 2 * config.width };
        let merged_width = config.width * config.merge * config.merge;
        Self {
            patch_embed: LinearConfig::new(config.in_channels * config.patch_size * config.patch_size, config.width)
                .init(device),
            position: Initializer::Normal { mean: 0.0, std: 0.02 }.init([across * down, config.width], device),
            blocks: (0..config.layers).map(|_| block.init(device)).collect(),
            norm: LayerNormConfig::new(config.width).init(device),
            merge_up: LinearConfig::new(merged_width, merged_width / 2).init(device),
            merge_down: LinearConfig::new(merged_width / 2, out_width).init(device),
            patch_size: config.patch_size,
            merge: config.merge,
        }
    }

    /// `pixels`: `[views, channels, height, width]`, height and width as configured.
    pub fn forward(&self, pixels: Tensor<4>) -> ViewFeatures {
        let [views, channels, height, width] = pixels.dims();
        let p = self.patch_size;
        let (down, across) = (height / p, width / p);
        let patches = pixels.reshape([views, channels, down, p, across, p]).permute([0, 2, 4, 1, 3, 5]).reshape([
            views,
            down * across,
            channels * p * p,
        ]);
        let mut x = self.patch_embed.forward(patches) + self.position.val().unsqueeze::<3>();
        for block in &self.blocks {
            x = block.forward(x, None);
        }
        let x = self.norm.forward(x);
        let channels = x.dims()[2];
        let pooled = x.clone().mean_dim(1).reshape([views, channels]);
        let m = self.merge;
        let merged = x.reshape([views, down / m, m, across / m, m, channels]).permute([0, 1, 3, 2, 4, 5]).reshape([
            views,
            (down / m) * (across / m),
            m * m * channels,
        ]);
        let tokens = self.merge_down.forward(gelu(self.merge_up.forward(merged)));
        ViewFeatures { tokens, pooled }
    }
}
