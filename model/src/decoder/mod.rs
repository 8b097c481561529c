//! Scene tokens and text tokens in, hidden states and next-token logits out: the Qwen2.5 text decoder, at every size.
//!
//! Two ways to read. 3D-R1 ([`Decoder::read_scenes`], [`Decoder::read_text`]): the scene is a set, not a sequence; its tokens
//! carry their place in space as an embedding, share rotary position 0 and read each other in both directions, and the text
//! follows causally from position 1. The scene's keys and values therefore do not depend on the question, and one prefill
//! serves every question about the same scene. Plain Qwen2.5-VL ([`Decoder::read_sequence`]): everything is causal, and each
//! token has a time, a row and a column (M-RoPE).

mod attention;
mod branches;
mod cache;
mod layer;
mod packed;
mod rope;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor};

pub use branches::Branches;
pub use cache::{KvCache, LayerCache};
pub use layer::DecoderLayer;
pub use packed::PackedRow;
pub use rope::{Position3, RotaryTable};

use crate::config::DecoderConfig;
use crate::linear::{Embedding, Linear};
use crate::norm::{Norm, NormKind};
use crate::weights::{Bias, WeightReader};
use attention::Visible;

/// The text decoder. Without a head of its own the input embedding serves as one.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: Norm,
    lm_head: Option<Linear>,
    head_width: usize,
    rope_theta: f64,
    mrope_section: [usize; 3],
}

impl Decoder {
    /// Random initial weights on `device`.
    pub fn new(config: &DecoderConfig, device: &Device) -> Self {
        let (vocab, d) = (config.vocab_size, config.hidden_size);
        let embedding = Initializer::Normal { mean: 0.0, std: 0.05 }.init([vocab, d], device);
        Self {
            embed_tokens: Embedding::of_param(embedding),
            layers: (0..config.num_hidden_layers).map(|_| DecoderLayer::new(config, device)).collect(),
            norm: Norm::new(NormKind::Rms, d, config.rms_norm_eps, device),
            lm_head: (!config.tie_word_embeddings).then(|| Linear::new(d, vocab, false, device)),
            head_width: config.head_width(),
            rope_theta: config.rope_theta,
            mrope_section: config.sections(),
        }
    }

    /// In the names of Qwen2's checkpoints: `model` is where `embed_tokens`, `layers` and `norm` are, `head` where `lm_head` is.
    pub fn read(config: &DecoderConfig, model: &WeightReader, head: &WeightReader) -> Self {
        let (vocab, d) = (config.vocab_size, config.hidden_size);
        if config.tie_word_embeddings {
            // some checkpoints hold the shared table twice
            head.ignore("lm_head.weight");
        }
        Self {
            embed_tokens: model.embedding("embed_tokens", vocab, d),
            layers: (0..config.num_hidden_layers)
                .map(|i| DecoderLayer::read(config, &model.enter(format!("layers.{i}"))))
                .collect(),
            norm: Norm::read(NormKind::Rms, "norm", d, config.rms_norm_eps, model),
            lm_head: (!config.tie_word_embeddings).then(|| head.linear("lm_head", d, vocab, Bias::No)),
            head_width: config.head_width(),
            rope_theta: config.rope_theta,
            mrope_section: config.sections(),
        }
    }

    /// An empty cache for one row, with room for `capacity` tokens.
    pub fn cache(&self, capacity: usize) -> KvCache {
        KvCache::new(self.layers.len(), capacity)
    }

    /// The embeddings of `ids`: `[1, ids.len(), width]`.
    pub fn embed(&self, ids: &[u32], device: &Device) -> Tensor<3> {
        self.embed_tokens.rows(&[ids.to_vec()], device)
    }

    /// Reads the scenes. `tokens`: `[scenes, scene_tokens, width]`; `lengths[i]`: how many of scene i's tokens are real.
    /// `capacity`: tokens to set room aside for, scene included; 0 where gradients flow or rows are copied for several questions.
    pub fn read_scenes(&self, tokens: Tensor<3>, lengths: &[usize], capacity: usize) -> KvCache {
        let [scenes, count, _] = tokens.dims();
        let device = tokens.device();
        let mut cache = self.cache(capacity);
        cache.hidden = lengths.iter().map(|&n| (0..count).map(|i| i >= n).collect()).collect();
        let visible = if cache.hidden.iter().flatten().any(|hidden| *hidden) {
            let rows = cache.hidden.iter().flat_map(|row| std::iter::repeat_n(row, count).flatten().copied()).collect();
            Visible::masked(rows, [scenes, count, count], self.group(), &device)
        } else {
            Visible::All
        };
        let rotary = RotaryTable::new(&vec![0; count], self.head_width, self.rope_theta, &device);
        // of the last layer the text reads nothing but keys and values
        let Some((last, layers)) = self.layers.split_last() else { return cache };
        let rotary = rotary.cast(tokens.dtype());
        let x = self.through(layers, tokens, &rotary, &visible, None, &mut cache.layers);
        if let Some(kept) = cache.layers.last_mut() {
            last.store(x, &rotary, kept);
        }
        cache
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
        let visible = if cache.hidden.iter().flatten().any(|hidden| *hidden) {
            let mut rows = Vec::with_capacity(batch * tokens * (cached + tokens));
            for row in &cache.hidden {
                for t in 0..tokens {
                    rows.extend_from_slice(row);
                    rows.extend((0..tokens).map(|k| k > t));
                }
            }
            Visible::masked(rows, [batch, tokens, cached + tokens], self.group(), &device)
        } else {
            Visible::causal(tokens, cached, self.group(), &device)
        };
        let mut x = self.embed_tokens.forward(ids);
        if let Some(added) = added {
            x = x + added;
        }
        let x = self.run(x, rotary, &visible, None, &mut cache.layers);
        for row in &mut cache.hidden {
            row.extend(std::iter::repeat_n(false, tokens));
        }
        cache.text_tokens += tokens;
        self.norm.forward(x)
    }

    /// Reads rows of several texts each after what `cache` holds: a text sees what is cached and itself alone, from position 1.
    /// `rows`: one a batch row, the lengths of its texts in order, which together are at most the tokens of `ids`; what lies
    /// behind them is padding. `cache` holds no text yet, and is of no use for more. `ids` and `added` as in
    /// [`Self::read_text`].
    pub fn read_packed(
        &self,
        ids: Tensor<2, Int>,
        added: Option<Tensor<3>>,
        rows: &[PackedRow],
        cache: &mut KvCache,
    ) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let device = ids.device();
        let positions = packed::positions(rows, tokens);
        let rotary = RotaryTable::by_row(&positions, rows.len(), self.head_width, self.rope_theta, &device);
        let visible = packed::visible(rows, tokens, cache, self.group(), &device);
        let mut x = self.embed_tokens.forward(ids);
        if let Some(added) = added {
            x = x + added;
        }
        let x = self.run(x, rotary, &visible, None, &mut cache.layers);
        self.norm.forward(x)
    }

    /// Reads text on each of the `branches`. `ids` and `added` as in [`Self::read_text`], one row a branch, the padding that the
    /// branches were made with at the rows' starts. Returns hidden states `[branches, tokens, width]` after the last norm.
    pub fn read_branches(&self, ids: Tensor<2, Int>, added: Option<Tensor<3>>, branches: &mut Branches) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let device = ids.device();
        let rotary = RotaryTable::by_row(
            &branches.positions(tokens),
            branches.rows(),
            self.head_width,
            self.rope_theta,
            &device,
        );
        let visible = branches.visible(tokens, self.group(), &device);
        let mut x = self.embed_tokens.forward(ids);
        if let Some(added) = added {
            x = x + added;
        }
        let x = self.run(x, rotary, &visible, Some(&branches.scene), &mut branches.text);
        self.norm.forward(x)
    }

    /// Reads embedded tokens after what `cache` holds, causally, `chunk` tokens at a time so that memory does not grow with the
    /// square of their number. `x`: `[1, tokens, width]`, `positions`: one a token. Returns hidden states `[1, tokens, width]` after
    /// the last norm, or only the last chunk's where `all` is false. Before each chunk `go_on` is asked; where it says no, reading ends and `None` is returned, with
    /// the cache holding the chunks that were read.
    pub fn read_sequence(
        &self,
        x: Tensor<3>,
        positions: &[Position3],
        cache: &mut KvCache,
        chunk: usize,
        all: bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<Tensor<3>> {
        let device = x.device();
        let count = positions.len().min(x.dims()[1]);
        let mut read = Vec::new();
        for (i, positions) in positions[..count].chunks(chunk.max(1)).enumerate() {
            if !go_on() {
                return None;
            }
            let tokens = positions.len();
            let part = x.clone().narrow(1, i * chunk.max(1), tokens);
            let rotary =
                RotaryTable::multimodal(positions, self.mrope_section, self.head_width, self.rope_theta, &device);
            let visible = Visible::causal(tokens, cache.tokens(), self.group(), &device);
            let part = self.run(part, rotary, &visible, None, &mut cache.layers);
            for row in &mut cache.hidden {
                row.extend(std::iter::repeat_n(false, tokens));
            }
            cache.text_tokens += tokens;
            if !all {
                read.clear();
            }
            read.push(part);
        }
        let joined = if read.len() == 1 { read.remove(0) } else { Tensor::cat(read, 1) };
        Some(self.norm.forward(joined))
    }

    /// Next-token logits `[rows, vocab]` of hidden states `[rows, width]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => self.embed_tokens.scores(hidden),
        }
    }

    fn group(&self) -> usize {
        self.layers.first().map_or(1, DecoderLayer::group)
    }

    /// All layers, without the last norm.
    fn run(
        &self,
        x: Tensor<3>,
        rotary: RotaryTable,
        visible: &Visible,
        scene: Option<&[LayerCache]>,
        cache: &mut [LayerCache],
    ) -> Tensor<3> {
        let rotary = rotary.cast(x.dtype());
        self.through(&self.layers, x, &rotary, visible, scene, cache)
    }

    /// Through the first layers, which `layers` are.
    fn through(
        &self,
        layers: &[DecoderLayer],
        mut x: Tensor<3>,
        rotary: &RotaryTable,
        visible: &Visible,
        scene: Option<&[LayerCache]>,
        cache: &mut [LayerCache],
    ) -> Tensor<3> {
        let through = move || {
            for (i, (layer, layer_cache)) in layers.iter().zip(cache).enumerate() {
                x = layer.forward(x, rotary, visible, scene.and_then(|s| s.get(i)), layer_cache);
            }
            x
        };
        if self.embed_tokens.is_packed() {
            // on one of the pool's own threads, which works along instead of sleeping through every product
            rayon::scope(move |_| through())
        } else {
            through()
        }
    }
}
