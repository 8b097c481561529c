//! Token ids in, one vector a text out: the text tower of SigLIP, bidirectional, pooled at the last position.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::LAYER;
use super::config::SiglipTextConfig;
use crate::linear::{Embedding, Linear};
use crate::norm::{Norm, NormKind};
use crate::vision::VisionError;
use crate::vision::parts::{Block, Keys, through};
use crate::weights::{Bias, WeightReader};

/// Texts of one length.
#[derive(Debug, Clone)]
pub struct TextBatch {
    ids: Vec<Vec<u32>>,
    hidden: Option<Vec<bool>>,
}

impl TextBatch {
    /// Texts filled up with the padding token to all positions of the tower, and cut there. Nothing is hidden: SigLIP is
    /// trained to read the padding, and pools at the last position even where that is padding.
    pub fn padded(texts: &[Vec<u32>], config: &SiglipTextConfig) -> Self {
        let pad = config.pad_token_id.unwrap_or(1);
        let fill = |text: &Vec<u32>| {
            let mut ids: Vec<u32> = text.iter().copied().take(config.max_position_embeddings).collect();
            ids.resize(config.max_position_embeddings, pad);
            ids
        };
        Self { ids: texts.iter().map(fill).collect(), hidden: None }
    }

    /// Texts as they are, with the tokens to read (`attention_mask`), if some are not. Shorter ones are an error of
    /// [`SiglipText::forward`].
    pub fn masked(ids: Vec<Vec<u32>>, read: Option<&[Vec<bool>]>) -> Self {
        let hidden = read.map(|rows| rows.iter().flatten().map(|read| !read).collect());
        Self { ids, hidden }
    }
}

/// The text tower.
#[derive(Module, Debug)]
pub struct SiglipText {
    tokens: Embedding,
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Linear,
    max_tokens: usize,
    vocabulary: usize,
}

impl SiglipText {
    /// The tower at `reader` (`text_model` of a whole checkpoint).
    pub fn read(config: &SiglipTextConfig, reader: &WeightReader) -> Self {
        let w = config.hidden_size;
        let block = config.block();
        let embeddings = reader.enter("embeddings");
        reader.ignore("embeddings.position_ids");
        Self {
            tokens: embeddings.embedding("token_embedding", config.vocab_size, w),
            position: embeddings.param("position_embedding.weight", [config.max_position_embeddings, w]),
            blocks: (0..config.num_hidden_layers)
                .map(|i| block.read(&LAYER, &reader.enter(format!("encoder.layers.{i}"))))
                .collect(),
            norm: Norm::read(NormKind::Layer, "final_layer_norm", w, config.layer_norm_eps, reader),
            head: reader.linear("head", w, config.projection(), Bias::Yes),
            max_tokens: config.max_position_embeddings,
            vocabulary: config.vocab_size,
        }
    }

    /// Returns `[texts, projection]`.
    ///
    /// # Errors
    /// [`VisionError`] when there is no text, the lengths differ or are beyond the tower's positions, or an id is
    /// beyond its table.
    pub fn forward(&self, batch: &TextBatch, device: &Device) -> Result<Tensor<2>, VisionError> {
        self.forward_observed(batch, device, &mut |_| {})
    }

    /// [`Self::forward`] that shows `seen` the embedded tokens, each layer's output and the normed last one,
    /// `[texts, tokens, width]`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_observed(
        &self,
        batch: &TextBatch,
        device: &Device,
        seen: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<2>, VisionError> {
        let length = batch.ids.first().map_or(0, Vec::len);
        let limit = self.max_tokens;
        if length == 0 || length > limit {
            return Err(VisionError::TextLength { tokens: length, limit });
        }
        if let Some(other) = batch.ids.iter().find(|ids| ids.len() != length) {
            return Err(VisionError::TextLength { tokens: other.len(), limit: length });
        }
        let vocabulary = self.vocabulary;
        if let Some(&id) = batch.ids.iter().flatten().find(|&&id| id as usize >= vocabulary) {
            return Err(VisionError::Token { id, vocabulary });
        }
        let shape = [batch.ids.len(), length];
        let hidden = match &batch.hidden {
            Some(hidden) if hidden.len() != shape[0] * shape[1] => {
                return Err(VisionError::TextLength { tokens: hidden.len(), limit: shape[0] * shape[1] });
            }
            Some(hidden) => Some(Tensor::<2, Bool>::from_data(TensorData::new(hidden.clone(), shape), device)),
            None => None,
        };
        let x = self.tokens.rows(&batch.ids, device) + self.position.val().narrow(0, 0, length).unsqueeze::<3>();
        let keys = hidden.as_ref().map_or(Keys::All, Keys::Visible);
        let x = self.norm.forward(through(&self.blocks, x, keys, None, seen));
        seen(&x);
        let [texts, _, width] = x.dims();
        Ok(self.head.forward(x.narrow(1, length - 1, 1).reshape([texts, width])))
    }
}
