//! Normalised pixels `[views, channels, height, width]` in, depth `[views, height, width]` out.

use burn::module::Module;
use burn::tensor::Tensor;

use super::config::DepthAnythingConfig;
use super::head::Head;
use super::neck::Neck;
use crate::vision::VisionError;
use crate::vision::dinov2::Dinov2;
use crate::weights::WeightReader;

/// A whole checkpoint.
#[derive(Module, Debug)]
pub struct DepthAnything {
    /// The backbone, which is an encoder of its own: [`Dinov2::forward`].
    pub backbone: Dinov2,
    neck: Neck,
    head: Head,
    head_map: usize,
}

impl DepthAnything {
    /// The checkpoint at `reader`. `config` is one that passed its check.
    pub fn read(config: &DepthAnythingConfig, reader: &WeightReader) -> Self {
        Self {
            backbone: Dinov2::read(&config.backbone_config, &reader.enter("backbone")),
            neck: Neck::read(config, &reader.enter("neck")),
            head: Head::read(config, &reader.enter("head")),
            head_map: config.head_map().unwrap_or_default(),
        }
    }

    /// Depth `[views, height, width]` of normalised pixels `[views, 3, height, width]`, height and width cut to whole
    /// patches: metres or, of a relative model, inverse depth without a unit.
    ///
    /// # Errors
    /// [`VisionError`] when the pixels have another number of channels or are smaller than a patch, or when the config was not
    /// checked.
    pub fn forward(&self, pixels: &Tensor<4>) -> Result<Tensor<3>, VisionError> {
        let maps = self.feature_maps(pixels)?;
        let wrong = VisionError::FusedMap { index: self.head_map, maps: maps.len() };
        let map = maps.into_iter().nth(self.head_map).ok_or(wrong)?;
        Ok(self.head.forward(map, self.backbone.patches(pixels)))
    }

    /// The neck's fused maps `[views, fusion_hidden_size, h, w]`, coarse to fine.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn feature_maps(&self, pixels: &Tensor<4>) -> Result<Vec<Tensor<4>>, VisionError> {
        Ok(self.neck.forward(self.backbone.stages(pixels)?, self.backbone.patches(pixels)))
    }
}
