//! The settings of a published Point Transformer v3 in, in the names of its constructor; checked before anything is made.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::points::SerializedOrder;

/// Most stages; a cube of 2^16 voxels cannot be halved more often.
const MAX_STAGES: usize = 16;
/// Largest of any size.
const MAX_SIZE: usize = 1 << 16;
/// Most blocks of a stage; published models have six at most.
const MAX_BLOCKS: usize = 1 << 6;

/// What config.json calls the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PtV3ModelType {
    /// Point Transformer v3.
    #[default]
    #[serde(rename = "ptv3")]
    PtV3,
}

/// Sizes and orders. What has one value in every published model is not a field: strides of 2, GELU, LayerNorm before
/// attention and MLP, BatchNorm of epsilon 1e-3 after the stem and in pooling, biases on queries, keys and values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PtV3Config {
    /// `ptv3`.
    #[serde(default)]
    pub model_type: PtV3ModelType,
    /// Numbers a point comes with: colour from -1 to 1 and normal.
    pub in_channels: usize,
    /// Curves that the blocks of a stage use in turn.
    pub order: Vec<SerializedOrder>,
    /// Encoder blocks of each stage, the finest first.
    pub enc_depths: Vec<usize>,
    /// Channels of each stage in the encoder.
    pub enc_channels: Vec<usize>,
    /// Heads of each stage in the encoder.
    pub enc_num_head: Vec<usize>,
    /// Points that attend to each other, of each stage, in encoder and decoder alike.
    pub enc_patch_size: Vec<usize>,
    /// Decoder blocks of each stage but the coarsest.
    pub dec_depths: Vec<usize>,
    /// Channels of each stage but the coarsest in the decoder.
    pub dec_channels: Vec<usize>,
    /// Heads of each stage but the coarsest in the decoder.
    pub dec_num_head: Vec<usize>,
    /// Hidden channels of an MLP over its channels.
    pub mlp_ratio: usize,
    /// Seed of the sequence in which a stage takes the curves: the reference draws it anew in every run, also when it is not
    /// training. None keeps the sequence of `order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle_seed: Option<u64>,
}

impl PtV3Config {
    /// Pointcept's `PT-v3m1` for semantic segmentation of ScanNet and ScanNet200, with flash attention and so without relative
    /// positions: 46 million parameters. Its models of other data sets have other patches, inputs or relative positions.
    pub fn base() -> Self {
        Self {
            model_type: PtV3ModelType::PtV3,
            in_channels: 6,
            order: SerializedOrder::ALL.to_vec(),
            enc_depths: vec![2, 2, 2, 6, 2],
            enc_channels: vec![32, 64, 128, 256, 512],
            enc_num_head: vec![2, 4, 8, 16, 32],
            enc_patch_size: vec![1024; 5],
            dec_depths: vec![2, 2, 2, 2],
            dec_channels: vec![64, 64, 128, 256],
            dec_num_head: vec![4, 4, 8, 16],
            mlp_ratio: 4,
            shuffle_seed: None,
        }
    }

    /// Reads and checks the bytes of a settings file; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn from_json(origin: &str, json: &[u8]) -> Result<Self, ModelError> {
        let config: Self = serde_json::from_slice(json)
            .map_err(|error| ModelError::Config { origin: origin.to_owned(), reason: error.to_string() })?;
        config.checked(origin)?;
        Ok(config)
    }

    /// As [`Self::check`]; `origin` names the config in errors.
    pub(super) fn checked(&self, origin: &str) -> Result<(), ModelError> {
        self.check().map_err(|reason| ModelError::Config { origin: origin.to_owned(), reason })
    }

    /// Whether the sizes fit together.
    ///
    /// # Errors
    /// What does not, naming the field.
    pub fn check(&self) -> Result<(), String> {
        let stages = self.enc_channels.len();
        if stages == 0 || stages > MAX_STAGES {
            return Err(format!("enc_channels has {stages} stages, it must have from 1 to {MAX_STAGES}"));
        }
        let lengths = [
            ("enc_depths", self.enc_depths.len(), stages),
            ("enc_num_head", self.enc_num_head.len(), stages),
            ("enc_patch_size", self.enc_patch_size.len(), stages),
            ("dec_depths", self.dec_depths.len(), stages - 1),
            ("dec_channels", self.dec_channels.len(), stages - 1),
            ("dec_num_head", self.dec_num_head.len(), stages - 1),
        ];
        for (name, length, expected) in lengths {
            if length != expected {
                return Err(format!("{name} has {length} entries, it must have {expected}"));
            }
        }
        if self.order.is_empty() || self.order.len() > MAX_STAGES {
            return Err(format!("order names {} curves, it must name from 1 to {MAX_STAGES}", self.order.len()));
        }
        let sizes = [("in_channels", self.in_channels), ("mlp_ratio", self.mlp_ratio)];
        let patches = self.enc_patch_size.iter().map(|&size| ("enc_patch_size", size));
        for (name, size) in sizes.into_iter().chain(patches) {
            if size == 0 || size > MAX_SIZE {
                return Err(format!("{name} is {size}, it must be from 1 to {MAX_SIZE}"));
            }
        }
        if let Some(depth) = self.enc_depths.iter().chain(&self.dec_depths).find(|depth| **depth > MAX_BLOCKS) {
            return Err(format!("enc_depths and dec_depths: {depth} blocks, at most {MAX_BLOCKS} are possible"));
        }
        let encoder = self.enc_channels.iter().zip(&self.enc_num_head).map(|pair| ("enc", pair));
        let decoder = self.dec_channels.iter().zip(&self.dec_num_head).map(|pair| ("dec", pair));
        for (part, (&channels, &heads)) in encoder.chain(decoder) {
            if channels == 0 || channels > MAX_SIZE || heads == 0 || !channels.is_multiple_of(heads) {
                return Err(format!(
                    "{part}_channels and {part}_num_head: {channels} channels do not split into {heads} heads"
                ));
            }
        }
        Ok(())
    }

    /// Channels of the features at the finest stage, after the decoder.
    pub fn fine_channels(&self) -> usize {
        self.dec_channels.first().or(self.enc_channels.first()).copied().unwrap_or(0)
    }

    /// Channels of the features at the coarsest stage.
    pub fn coarse_channels(&self) -> usize {
        self.enc_channels.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(PtV3Config::base().check(), Ok(()));
        type Spoil = fn(&mut PtV3Config);
        let bad: [(&str, Spoil); 7] = [
            ("enc_depths", |c| c.enc_depths.truncate(2)),
            ("dec_num_head", |c| c.dec_num_head.push(3)),
            ("enc_patch_size", |c| c.enc_patch_size[1] = 0),
            ("order", |c| c.order.clear()),
            ("enc_channels", |c| c.enc_channels[2] = 129),
            ("dec_channels", |c| c.dec_num_head[0] = 0),
            ("in_channels", |c| c.in_channels = 1 << 20),
        ];
        for (field, spoil) in bad {
            let mut config = PtV3Config::base();
            spoil(&mut config);
            let said = config.check().unwrap_err();
            assert!(said.contains(field), "{field}: {said}");
        }
        let text = serde_json::to_string(&PtV3Config::base()).unwrap();
        assert_eq!(PtV3Config::from_json("here", text.as_bytes()).unwrap(), PtV3Config::base());
        let said = PtV3Config::from_json("here", text.replace("z-trans", "y").as_bytes()).unwrap_err().to_string();
        assert!(said.starts_with("here") && said.contains("z-trans"), "{said}");
    }
}
