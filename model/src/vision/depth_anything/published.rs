//! Nothing in, the configurations of the published Depth-Anything-V2 models out (arXiv 2406.09414): for measurements where there
//! is no checkpoint. A checkpoint's own config.json says the same.

use super::config::{DepthAnythingConfig, DepthKind};
use crate::vision::dinov2::Dinov2Config;

/// Pixels along a side of the pictures that the backbones' positions were learned for.
const IMAGE_SIZE: usize = 518;

impl DepthAnythingConfig {
    /// Depth-Anything-V2-Small, over ViT-S.
    pub fn small() -> Self {
        Self::published(384, 6, 12, [3, 6, 9, 12], [48, 96, 192, 384], 64)
    }

    /// Depth-Anything-V2-Base, over ViT-B.
    pub fn base() -> Self {
        Self::published(768, 12, 12, [3, 6, 9, 12], [96, 192, 384, 768], 128)
    }

    /// Depth-Anything-V2-Large, over ViT-L.
    pub fn large() -> Self {
        Self::published(1024, 16, 24, [5, 12, 18, 24], [256, 512, 1024, 1024], 256)
    }

    /// The same with the head in metres up to `max_depth`: 20 of the models for rooms, 80 of those for streets.
    #[must_use]
    pub fn metric(self, max_depth: f64) -> Self {
        Self { depth_estimation_type: DepthKind::Metric, max_depth: Some(max_depth), ..self }
    }

    fn published(
        width: usize,
        heads: usize,
        layers: usize,
        stages: [i64; 4],
        neck_widths: [usize; 4],
        fused_width: usize,
    ) -> Self {
        Self {
            backbone_config: Dinov2Config {
                hidden_size: width,
                num_hidden_layers: layers,
                num_attention_heads: heads,
                image_size: IMAGE_SIZE,
                out_indices: Some(stages.to_vec()),
                ..Dinov2Config::default()
            },
            patch_size: 14,
            reassemble_hidden_size: width,
            reassemble_factors: vec![4.0, 2.0, 1.0, 0.5],
            neck_hidden_sizes: neck_widths.to_vec(),
            fusion_hidden_size: fused_width,
            head_in_index: -1,
            head_hidden_size: 32,
            depth_estimation_type: DepthKind::Relative,
            max_depth: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::MatrixType;
    use crate::vision::depth_anything::DepthAnything;
    use crate::weights::{Placement, WeightFiles, WeightReader};

    /// The reader has no files: what is asked for is counted, not made.
    fn parameters(config: &DepthAnythingConfig) -> u64 {
        assert_eq!(config.check(), Ok(()));
        let reader = WeightReader::new(WeightFiles::default(), Placement::cpu(MatrixType::Int4));
        DepthAnything::read(config, &reader);
        reader.placed().iter().map(|tensor| tensor.parameters).sum()
    }

    /// Counted by transformers 5.24 over `DepthAnythingForDepthEstimation` of these sizes, less the mask token of `width`,
    /// which only pretraining uses. The authors give 24.8, 97.5 and 335.3 million.
    #[test]
    fn parameters_are_those_of_the_published_models() {
        assert_eq!(parameters(&DepthAnythingConfig::small()), 24_785_089 - 384);
        assert_eq!(parameters(&DepthAnythingConfig::base()), 97_470_785 - 768);
        assert_eq!(parameters(&DepthAnythingConfig::large().metric(20.0)), 335_315_649 - 1024);
    }
}
