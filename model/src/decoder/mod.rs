//! Scene tokens and text tokens in, hidden states and next-token logits out: a Qwen2-style text decoder.
//!
//! The scene is a set, not a sequence: its tokens carry their place in space as an embedding, share rotary position 0 and
//! read each other in both directions; the text follows causally from position 1. The scene's keys and values therefore do
//! not depend on the question, and one prefill serves every question about the same scene.

mod layer;
mod rope;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

pub use layer::{DecoderLayer, LayerCache};
pub use rope::RotaryTable;

use crate::config::DecoderConfig;

/// Keys and values of all layers, and which of the cached tokens are padding.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    /// For each batch row, true where a cached token may not be read.
    hidden: Vec<Vec<bool>>,
    /// Text tokens read so far (all rows alike); the next one stands at this rotary position + 1.
    text_tokens: usize,
}

impl KvCache {
    /// Tokens cached a row, padding included.
    pub fn tokens(&self) -> usize {
        self.layers.first().map_or(0, LayerCache::tokens)
    }

    /// Each row repeated for `questions` questions on the same scene, the copies adjacent.
    pub fn repeat_each(&self, questions: usize) -> Self {
        Self {
            layers: self.layers.iter().map(|l| l.repeat_each(questions)).collect(),
            hidden: self.hidden.iter().flat_map(|row| std::iter::repeat_n(row.clone(), questions)).collect(),
            text_tokens: self.text_tokens,
        }
    }
}

/// The text decoder; input embedding and output head are tied.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    head_width: usize,
    rope_theta: f64,
}

impl Decoder {
    /// Random initial weights on `device`.
    pub fn new(config: &DecoderConfig, device: &Device) -> Self {
        let embedding = EmbeddingConfig::new(config.vocab_size, config.hidden_size)
            .with_initializer(burn::nn::Initializer::Normal { mean: 0.0, std: 0.05 });
        Self {
            embed_tokens: embedding.init(device),
            layers: (0..config.num_hidden_layers).map(|_| DecoderLayer::new(config, device)).collect(),
            norm: RmsNormConfig::new(config.hidden_size).with_epsilon(config.rms_norm_eps).init(device),
            head_width: config.head_width(),
            rope_theta: config.rope_theta,
        }
    }

    /// Reads the scenes. `tokens`: `[scenes, scene_tokens, width]`; `lengths[i]`: how many of scene i's tokens are real.
    pub fn read_scenes(&self, tokens: Tensor<3>, lengths: &[usize]) -> KvCache {
        let [scenes, count, _] = tokens.dims();
        let device = tokens.device();
        let hidden: Vec<Vec<bool>> = lengths.iter().map(|&n| (0..count).map(|i| i >= n).collect()).collect();
        let mask = hidden.iter().any(|row| row.iter().any(|h| *h)).then(|| {
            let flat: Vec<bool> = hidden.iter().flatten().copied().collect();
            let row = Tensor::<2, Bool>::from_data(TensorData::new(flat, [scenes, count]), &device);
            row.reshape([scenes, 1, count]).expand([scenes, count, count])
        });
        let rotary = RotaryTable::new(&vec![0; count], self.head_width, self.rope_theta, &device);
        let mut layers = vec![LayerCache::default(); self.layers.len()];
        let mut x = tokens;
        for (layer, cache) in self.layers.iter().zip(&mut layers) {
            x = layer.forward(x, &rotary, mask.as_ref(), cache);
        }
        KvCache { layers, hidden, text_tokens: 0 }
    }

    /// Reads text after what `cache` holds, causally. `ids`: `[batch, tokens]`. Returns hidden states `[batch, tokens, width]`
    /// after the last norm. `added`, `[batch, tokens, width]`, goes onto the tokens' embeddings. Padding at a row's end is
    /// harmless: nothing real follows it.
    pub fn read_text(&self, ids: Tensor<2, Int>, added: Option<Tensor<3>>, cache: &mut KvCache) -> Tensor<3> {
        let [batch, tokens] = ids.dims();
        let device = ids.device();
        let cached = cache.tokens();
        let positions: Vec<usize> = (1..=tokens).map(|i| cache.text_tokens + i).collect();
        let rotary = RotaryTable::new(&positions, self.head_width, self.rope_theta, &device);
        let any_hidden = cache.hidden.iter().any(|row| row.iter().any(|h| *h));
        let mask = (tokens > 1 || any_hidden).then(|| {
            let mut flat = Vec::with_capacity(batch * tokens * (cached + tokens));
            for row in &cache.hidden {
                for t in 0..tokens {
                    flat.extend_from_slice(row);
                    flat.extend((0..tokens).map(|k| k > t));
                }
            }
            Tensor::<3, Bool>::from_data(TensorData::new(flat, [batch, tokens, cached + tokens]), &device)
        });
        let mut x = self.embed_tokens.forward(ids);
        if let Some(added) = added {
            x = x + added;
        }
        for (layer, layer_cache) in self.layers.iter().zip(&mut cache.layers) {
            x = layer.forward(x, &rotary, mask.as_ref(), layer_cache);
        }
        for row in &mut cache.hidden {
            row.extend(std::iter::repeat_n(false, tokens));
        }
        cache.text_tokens += tokens;
        self.norm.forward(x)
    }

    /// Next-token logits `[rows, vocab]` of hidden states `[rows, width]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.embed_tokens.weight.val().transpose())
    }
}
