//! config.json in, checked sizes of the two towers out; a field that is left out has transformers' default.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::norm::NormKind;
use crate::vision::parts::{Activation, BlockConfig, limits};
use crate::weights::Bias;

/// Which of the two architectures a checkpoint is. The checkpoints of SigLIP-2 with a fixed resolution are
/// [`SiglipKind::Fixed`] too: only NaFlex differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiglipKind {
    /// Pixels of one size, convolved into patches (`SiglipModel`).
    #[serde(rename = "siglip")]
    Fixed,
    /// Sequences of patches of any grid (`Siglip2Model`, NaFlex).
    #[serde(rename = "siglip2")]
    NaFlex,
}

/// Sizes of the image tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiglipVisionConfig {
    /// Channels of a token.
    pub hidden_size: usize,
    /// Channels of an MLP's hidden layer.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Channels of a pixel.
    pub num_channels: usize,
    /// Pixels along a side, of the fixed resolution.
    #[serde(deserialize_with = "limits::side")]
    pub image_size: usize,
    /// Pixels along a side of a patch.
    #[serde(deserialize_with = "limits::side")]
    pub patch_size: usize,
    /// Patches of the square position grid, of NaFlex.
    pub num_patches: usize,
    /// The MLPs' nonlinearity.
    pub hidden_act: Activation,
    /// Added to the norms' variance.
    pub layer_norm_eps: f64,
    /// Whether the tower ends in the attention pooling head.
    pub vision_use_head: bool,
}

impl Default for SiglipVisionConfig {
    /// The defaults of `SiglipVisionConfig` and `Siglip2VisionConfig`.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            num_patches: 256,
            hidden_act: Activation::GeluTanh,
            layer_norm_eps: 1e-6,
            vision_use_head: true,
        }
    }
}

/// Sizes of the text tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiglipTextConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Channels of an MLP's hidden layer.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Tokens of a text.
    pub max_position_embeddings: usize,
    /// The MLPs' nonlinearity.
    pub hidden_act: Activation,
    /// Added to the norms' variance.
    pub layer_norm_eps: f64,
    /// Channels of the pooled output; those of a token when left out.
    pub projection_size: Option<usize>,
    /// The token that fills short texts.
    pub pad_token_id: Option<u32>,
}

impl Default for SiglipTextConfig {
    /// The defaults of `SiglipTextConfig` and `Siglip2TextConfig`.
    fn default() -> Self {
        Self {
            vocab_size: 32_000,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 64,
            hidden_act: Activation::GeluTanh,
            layer_norm_eps: 1e-6,
            projection_size: None,
            pad_token_id: Some(1),
        }
    }
}

/// config.json of a SigLIP checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiglipConfig {
    /// `siglip` or `siglip2`.
    pub model_type: SiglipKind,
    /// The text tower.
    #[serde(default)]
    pub text_config: SiglipTextConfig,
    /// The image tower.
    #[serde(default)]
    pub vision_config: SiglipVisionConfig,
}

impl SiglipConfig {
    /// Reads and checks the bytes of a config.json that came from `origin`.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn from_json(origin: &str, json: &[u8]) -> Result<Self, ModelError> {
        let config: Self = serde_json::from_slice(json)
            .map_err(|e| ModelError::Config { origin: origin.to_owned(), reason: e.to_string() })?;
        config.check().map_err(|reason| ModelError::Config { origin: origin.to_owned(), reason })?;
        Ok(config)
    }

    /// Whether the sizes fit each other.
    ///
    /// # Errors
    /// The field that does not, and why.
    pub fn check(&self) -> Result<(), String> {
        let v = &self.vision_config;
        limits::channels("vision_config.hidden_size", v.hidden_size)?;
        limits::channels("vision_config.intermediate_size", v.intermediate_size)?;
        limits::layers("vision_config.num_hidden_layers", v.num_hidden_layers)?;
        limits::heads("vision_config", v.num_attention_heads, v.hidden_size)?;
        limits::channels("vision_config.num_channels", v.num_channels)?;
        limits::channels("vision_config.image_size", v.image_size)?;
        limits::channels("vision_config.patch_size", v.patch_size)?;
        limits::rows("vision_config.num_patches", v.num_patches)?;
        limits::epsilon("vision_config.layer_norm_eps", v.layer_norm_eps)?;
        match self.model_type {
            SiglipKind::Fixed if v.image_size < v.patch_size => {
                return Err(format!(
                    "vision_config.image_size {} is less than a patch of {}",
                    v.image_size, v.patch_size
                ));
            }
            SiglipKind::NaFlex if v.num_patches.isqrt().pow(2) != v.num_patches => {
                return Err(format!("vision_config.num_patches {} is no square", v.num_patches));
            }
            _ => {}
        }
        let t = &self.text_config;
        limits::rows("text_config.vocab_size", t.vocab_size)?;
        limits::channels("text_config.hidden_size", t.hidden_size)?;
        limits::channels("text_config.intermediate_size", t.intermediate_size)?;
        limits::layers("text_config.num_hidden_layers", t.num_hidden_layers)?;
        limits::heads("text_config", t.num_attention_heads, t.hidden_size)?;
        limits::channels("text_config.max_position_embeddings", t.max_position_embeddings)?;
        limits::epsilon("text_config.layer_norm_eps", t.layer_norm_eps)?;
        limits::channels("text_config.projection_size", t.projection())
    }

    /// Patches along a side of the learned position grid.
    pub fn grid(&self) -> usize {
        match self.model_type {
            SiglipKind::Fixed => self.vision_config.image_size / self.vision_config.patch_size,
            SiglipKind::NaFlex => self.vision_config.num_patches.isqrt(),
        }
    }
}

impl SiglipVisionConfig {
    pub(super) fn block(&self) -> BlockConfig {
        BlockConfig {
            width: self.hidden_size,
            heads: self.num_attention_heads,
            mlp_width: self.intermediate_size,
            norm: NormKind::Layer,
            norm_epsilon: self.layer_norm_eps,
            qkv_bias: Bias::Yes,
            activation: self.hidden_act,
            mlp_bias: Bias::Yes,
        }
    }
}

impl SiglipTextConfig {
    /// Channels of the pooled output.
    pub fn projection(&self) -> usize {
        self.projection_size.unwrap_or(self.hidden_size)
    }

    pub(super) fn block(&self) -> BlockConfig {
        BlockConfig {
            width: self.hidden_size,
            heads: self.num_attention_heads,
            mlp_width: self.intermediate_size,
            norm: NormKind::Layer,
            norm_epsilon: self.layer_norm_eps,
            qkv_bias: Bias::Yes,
            activation: self.hidden_act,
            mlp_bias: Bias::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> String {
        SiglipConfig::from_json("here", json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_the_published_default() {
        let config = SiglipConfig::from_json("here", br#"{"model_type": "siglip", "unknown": 3}"#).unwrap();
        assert_eq!((config.grid(), config.text_config.projection()), (14, 768));
        let config = SiglipConfig::from_json("here", br#"{"model_type": "siglip2"}"#).unwrap();
        assert_eq!(config.grid(), 16);
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        assert!(fault(r#"{"model_type": "clip"}"#).contains("clip"));
        assert!(fault(r#"{"model_type": "siglip", "vision_config": {"hidden_size": 0}}"#).contains("hidden_size is 0"));
        let heads = r#"{"model_type": "siglip", "text_config": {"num_attention_heads": 7}}"#;
        assert!(fault(heads).contains("text_config.num_attention_heads 7 does not divide"));
        let patches = r#"{"model_type": "siglip2", "vision_config": {"num_patches": 250}}"#;
        assert!(fault(patches).contains("num_patches 250 is no square"));
        let sides = r#"{"model_type": "siglip", "vision_config": {"image_size": [224, 256]}}"#;
        assert!(fault(sides).contains("[224, 256] differ"));
    }
}
