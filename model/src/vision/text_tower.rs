//! Question tokens in, one vector a question out: a small bidirectional text transformer, pooled over the real tokens
//! (the text side of SigLIP, arXiv 2303.15343, with mean pooling).

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::parts::{Block, BlockConfig, Keys};
use crate::config::TextTowerConfig;
use crate::norm::{Norm, NormKind};

/// The text tower.
#[derive(Module, Debug)]
pub struct TextTower {
    embed_tokens: Embedding,
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
    max_tokens: usize,
}

/// Texts as the tower reads them.
#[derive(Debug, Clone)]
pub struct TextStates {
    /// Of each token, `[texts, tokens, width]`; those behind a text's end mean nothing.
    pub tokens: Tensor<3>,
    /// The mean over each text's own, `[texts, width]`.
    pub pooled: Tensor<2>,
    /// Tokens of each text.
    pub lengths: Vec<usize>,
}

impl TextTower {
    /// Random initial weights on `device`.
    pub fn new(config: &TextTowerConfig, vocab_size: usize, device: &Device) -> Self {
        let block = BlockConfig::new(config.width, config.heads, 2 * config.width);
        Self {
            embed_tokens: EmbeddingConfig::new(vocab_size, config.width)
                .with_initializer(Initializer::Normal { mean: 0.0, std: 0.05 })
                .init(device),
            position: Initializer::Normal { mean: 0.0, std: 0.02 }.init([config.max_tokens, config.width], device),
            blocks: (0..config.layers).map(|_| block.init(device)).collect(),
            norm: Norm::new(NormKind::Layer, config.width, block.norm_epsilon, device),
            max_tokens: config.max_tokens,
        }
    }

    /// `texts`: token ids of each question, at least one token each; of longer ones the last tokens, as a question comes after what leads to it.
    pub fn forward(&self, texts: &[Vec<u32>], device: &Device) -> TextStates {
        let longest = texts.iter().map(|t| t.len().min(self.max_tokens)).max().unwrap_or(0).max(1);
        let mut ids = Vec::with_capacity(texts.len() * longest);
        let mut hidden = Vec::with_capacity(texts.len() * longest);
        let mut share = Vec::with_capacity(texts.len() * longest);
        let mut lengths = Vec::with_capacity(texts.len());
        for text in texts {
            let real = text.len().min(longest);
            lengths.push(real);
            ids.extend(text[text.len() - real..].iter().map(|&id| id as i32));
            ids.extend(std::iter::repeat_n(0, longest - real));
            hidden.extend((0..longest).map(|i| i >= real));
            share.extend((0..longest).map(|i| if i < real { 1.0 / real as f32 } else { 0.0 }));
        }
        let shape = [texts.len(), longest];
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device);
        let hidden = Tensor::<2, Bool>::from_data(TensorData::new(hidden, shape), device);
        let share = Tensor::<2>::from_data(TensorData::new(share, shape), device);
        let mut x = self.embed_tokens.forward(ids) + self.position.val().narrow(0, 0, longest).unsqueeze::<3>();
        for block in &self.blocks {
            x = block.forward(x, Keys::Visible(&hidden), None);
        }
        let tokens = self.norm.forward(x);
        let width = tokens.dims()[2];
        let pooled = (tokens.clone() * share.unsqueeze_dim::<3>(2)).sum_dim(1).reshape([texts.len(), width]);
        TextStates { tokens, pooled, lengths }
    }
}
