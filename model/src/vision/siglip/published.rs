//! Nothing in, the configurations of published SigLIP-2 checkpoints out (arXiv 2502.14786, table 1): for measurements where
//! there is no checkpoint. A checkpoint's own config.json says the same.

use super::config::{SiglipConfig, SiglipKind, SiglipTextConfig, SiglipVisionConfig};

/// Rows of the embedding table: the vocabulary of Gemma's tokenizer.
const VOCABULARY: usize = 256_000;
/// Gemma's padding token.
const PADDING: u32 = 0;

impl SiglipConfig {
    /// SigLIP-2 large, patches of 16 pixels, for squares of `image_size` pixels (256, 384 or 512).
    pub fn siglip2_large(image_size: usize) -> Self {
        Self::siglip2(image_size, 1024, 4096, 24)
    }

    /// SigLIP-2 so400m, patches of 16 pixels, for squares of `image_size` pixels (256, 384 or 512).
    pub fn siglip2_so400m(image_size: usize) -> Self {
        Self::siglip2(image_size, 1152, 4304, 27)
    }

    /// SigLIP-2 so400m with native aspect ratios: patches of 16 pixels, positions learned on a grid of 16 by 16.
    pub fn siglip2_so400m_naflex() -> Self {
        Self { model_type: SiglipKind::NaFlex, ..Self::siglip2_so400m(256) }
    }

    /// Both towers have the same width, layers and MLPs, and 16 heads.
    fn siglip2(image_size: usize, width: usize, mlp_width: usize, layers: usize) -> Self {
        Self {
            model_type: SiglipKind::Fixed,
            text_config: SiglipTextConfig {
                vocab_size: VOCABULARY,
                hidden_size: width,
                intermediate_size: mlp_width,
                num_hidden_layers: layers,
                num_attention_heads: 16,
                pad_token_id: Some(PADDING),
                ..SiglipTextConfig::default()
            },
            vision_config: SiglipVisionConfig {
                hidden_size: width,
                intermediate_size: mlp_width,
                num_hidden_layers: layers,
                num_attention_heads: 16,
                image_size,
                patch_size: 16,
                ..SiglipVisionConfig::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::MatrixType;
    use crate::vision::siglip::Siglip;
    use crate::weights::{Placement, WeightFiles, WeightReader};

    /// Parameters of all, and of the image tower alone. The reader has no files: what is asked for is counted, not made.
    fn parameters(config: &SiglipConfig) -> (u64, u64) {
        assert_eq!(config.check(), Ok(()));
        let reader = WeightReader::new(WeightFiles::default(), Placement::cpu(MatrixType::Int4));
        Siglip::read(config, &reader);
        let placed = reader.placed();
        let sum = |prefix: &str| placed.iter().filter(|t| t.name.starts_with(prefix)).map(|t| t.parameters).sum();
        (sum(""), sum("vision_model."))
    }

    /// Counted by transformers 5.24 over `SiglipModel` and `Siglip2Model` of these sizes.
    #[test]
    fn parameters_are_those_of_the_published_models() {
        assert_eq!(parameters(&SiglipConfig::siglip2_large(384)), (881_854_466, 316_283_904));
        assert_eq!(parameters(&SiglipConfig::siglip2_so400m(384)), (1_136_039_602, 428_256_704));
        assert_eq!(parameters(&SiglipConfig::siglip2_so400m_naflex()), (1_135_670_962, 427_888_064));
    }
}
