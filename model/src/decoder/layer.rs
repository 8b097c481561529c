//! `[batch, tokens, width]` in, the same out: one Qwen2-style decoder layer (RMSNorm, grouped-query attention with
//! biases on q, k and v, SwiGLU), reading and extending a key-value cache.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::tensor::activation::{silu, softmax};
use burn::tensor::{Bool, Device, Tensor};

use super::rope::RotaryTable;
use crate::config::DecoderConfig;
use crate::transformer::HIDDEN_SCORE;

/// Keys and values of the tokens read so far: `[batch, kv_heads, tokens, head_width]` each.
#[derive(Debug, Clone, Default)]
pub struct LayerCache {
    kv: Option<(Tensor<4>, Tensor<4>)>,
}

impl LayerCache {
    /// Tokens held.
    pub fn tokens(&self) -> usize {
        self.kv.as_ref().map_or(0, |(k, _)| k.dims()[2])
    }

    /// The cache of every scene repeated for each of its `questions`: `[scenes * questions, ...]`, a scene's copies adjacent.
    pub fn repeat_each(&self, questions: usize) -> Self {
        let repeat = |t: &Tensor<4>| {
            let [b, h, n, d] = t.dims();
            t.clone().reshape([b, 1, h, n, d]).expand([b, questions, h, n, d]).reshape([b * questions, h, n, d])
        };
        Self { kv: self.kv.as_ref().map(|(k, v)| (repeat(k), repeat(v))) }
    }

    /// Appends and returns all keys and values, the old ones first.
    fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let all = match self.kv.take() {
            None => (k, v),
            Some((old_k, old_v)) => (Tensor::cat(vec![old_k, k], 2), Tensor::cat(vec![old_v, v], 2)),
        };
        self.kv = Some(all.clone());
        all
    }
}

/// One decoder layer.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    input_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: RmsNorm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    heads: usize,
    kv_heads: usize,
}

impl DecoderLayer {
    /// Random initial weights on `device`.
    pub fn new(config: &DecoderConfig, device: &Device) -> Self {
        let (d, h) = (config.hidden_size, config.head_width());
        let norm = || RmsNormConfig::new(d).with_epsilon(config.rms_norm_eps).init(device);
        let linear = |i: usize, o: usize, bias: bool| LinearConfig::new(i, o).with_bias(bias).init(device);
        let (q, kv) = (config.num_attention_heads * h, config.num_key_value_heads * h);
        Self {
            input_layernorm: norm(),
            q_proj: linear(d, q, true),
            k_proj: linear(d, kv, true),
            v_proj: linear(d, kv, true),
            o_proj: linear(q, d, false),
            post_attention_layernorm: norm(),
            gate_proj: linear(d, config.intermediate_size, false),
            up_proj: linear(d, config.intermediate_size, false),
            down_proj: linear(config.intermediate_size, d, false),
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
        }
    }

    /// `x`: `[batch, tokens, width]`; `hidden`: `[batch, tokens, cached + tokens]`, true where a key may not be read.
    pub fn forward(
        &self,
        x: Tensor<3>,
        rotary: &RotaryTable,
        hidden: Option<&Tensor<3, Bool>>,
        cache: &mut LayerCache,
    ) -> Tensor<3> {
        let x = x.clone() + self.attend(self.input_layernorm.forward(x), rotary, hidden, cache);
        let y = self.post_attention_layernorm.forward(x.clone());
        let gated = silu(self.gate_proj.forward(y.clone())) * self.up_proj.forward(y);
        x + self.down_proj.forward(gated)
    }

    fn attend(
        &self,
        x: Tensor<3>,
        rotary: &RotaryTable,
        hidden: Option<&Tensor<3, Bool>>,
        cache: &mut LayerCache,
    ) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let split = |t: Tensor<3>, heads: usize| {
            let width = t.dims()[2] / heads;
            t.reshape([batch, tokens, heads, width]).swap_dims(1, 2)
        };
        let q = rotary.rotate(split(self.q_proj.forward(x.clone()), self.heads));
        let k = rotary.rotate(split(self.k_proj.forward(x.clone()), self.kv_heads));
        let v = split(self.v_proj.forward(x), self.kv_heads);
        let (k, v) = cache.append(k, v);
        let head_width = q.dims()[3];
        let keys = k.dims()[2];
        // the query heads that share a key head stand one after another, so they fold into the row dimension
        let group = self.heads / self.kv_heads;
        let q = q.reshape([batch, self.kv_heads, group * tokens, head_width]);
        let mut scores = q.matmul(k.transpose()).mul_scalar((head_width as f32).powf(-0.5));
        if let Some(hidden) = hidden {
            let mask = hidden
                .clone()
                .reshape([batch, 1, 1, tokens, keys])
                .expand([batch, self.kv_heads, group, tokens, keys])
                .reshape([batch, self.kv_heads, group * tokens, keys]);
            scores = scores.mask_fill(mask, HIDDEN_SCORE);
        }
        let mixed = softmax(scores, 3).matmul(v);
        let mixed = mixed.reshape([batch, self.heads, tokens, head_width]).swap_dims(1, 2).reshape([
            batch,
            tokens,
            self.heads * head_width,
        ]);
        self.o_proj.forward(mixed)
    }
}
