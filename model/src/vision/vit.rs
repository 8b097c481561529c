//! Pixels `[views, channels, height, width]` in, patch tokens and one pooled vector a view out: a vision transformer
//! (arXiv 2010.11929) with learned positions and a 2x2-style patch merger as in Qwen2.5-VL (arXiv 2502.13923).

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

use super::parts::{Block, BlockConfig, Keys, patches_from_pixels};
use crate::config::VisionConfig;
use crate::norm::{Norm, NormKind};

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
    blocks: Vec<Block>,
    norm: Norm,
    merge_up: Linear,
    merge_down: Linear,
    patch_size: usize,
    merge: usize,
}

impl Vit {
    /// Random initial weights on `device`; merged tokens have `out_width` channels.
    pub fn new(config: &VisionConfig, out_width: usize, device: &Device) -> Self {
        let (across, down) = config.patches();
        let block = BlockConfig::new(config.width, config.heads, 2 * config.width);
        let merged_width = config.width * config.merge * config.merge;
        Self {
            patch_embed: LinearConfig::new(config.in_channels * config.patch_size * config.patch_size, config.width)
                .init(device),
            position: Initializer::Normal { mean: 0.0, std: 0.02 }.init([across * down, config.width], device),
            blocks: (0..config.layers).map(|_| block.init(device)).collect(),
            norm: Norm::new(NormKind::Layer, config.width, block.norm_epsilon, device),
            merge_up: LinearConfig::new(merged_width, merged_width / 2).init(device),
            merge_down: LinearConfig::new(merged_width / 2, out_width).init(device),
            patch_size: config.patch_size,
            merge: config.merge,
        }
    }

    /// `pixels`: `[views, channels, height, width]`, height and width as configured.
    pub fn forward(&self, pixels: Tensor<4>) -> ViewFeatures {
        let [views, _, height, width] = pixels.dims();
        let (down, across) = (height / self.patch_size, width / self.patch_size);
        let patches = patches_from_pixels(pixels, self.patch_size);
        let mut x = self.patch_embed.forward(patches) + self.position.val().unsqueeze::<3>();
        for block in &self.blocks {
            x = block.forward(x, Keys::All, None);
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
