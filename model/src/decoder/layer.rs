//! `[batch, tokens, width]` in, the same out: one Qwen2-style decoder layer (RMSNorm, grouped-query attention with
//! biases on q, k and v, SwiGLU), reading and extending a key-value cache.

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{DType, Device, Tensor};

use super::attention::{Visible, attend, attend_branches};
use super::cache::LayerCache;
use super::rope::RotaryTable;
use crate::config::DecoderConfig;
use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::weights::{Bias, WeightReader};

/// One decoder layer.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    input_layernorm: Norm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: Norm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    heads: usize,
    kv_heads: usize,
}

impl DecoderLayer {
    /// Random initial weights on `device`.
    pub fn new(config: &DecoderConfig, device: &Device) -> Self {
        let d = config.hidden_size;
        let norm = || Norm::new(NormKind::Rms, d, config.rms_norm_eps, device);
        let linear = |i: usize, o: usize, bias: bool| Linear::new(i, o, bias, device);
        let (q, kv) = (config.query_width(), config.key_width());
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

    /// In the names of Qwen2's checkpoints, under `layers.<i>`.
    pub fn read(config: &DecoderConfig, reader: &WeightReader) -> Self {
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        let (q, kv) = (config.query_width(), config.key_width());
        let (attention, mlp) = (reader.enter("self_attn"), reader.enter("mlp"));
        let norm = |name: &str| Norm::read(NormKind::Rms, name, d, config.rms_norm_eps, reader);
        Self {
            input_layernorm: norm("input_layernorm"),
            q_proj: attention.linear("q_proj", d, q, Bias::Yes),
            k_proj: attention.linear("k_proj", d, kv, Bias::Yes),
            v_proj: attention.linear("v_proj", d, kv, Bias::Yes),
            o_proj: attention.linear("o_proj", q, d, Bias::No),
            post_attention_layernorm: norm("post_attention_layernorm"),
            gate_proj: mlp.linear("gate_proj", d, inner, Bias::No),
            up_proj: mlp.linear("up_proj", d, inner, Bias::No),
            down_proj: mlp.linear("down_proj", inner, d, Bias::No),
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
        }
    }

    /// Query heads that share a key head.
    pub(super) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// `x`: `[batch, tokens, width]`. With `scene`, the rows branch from the one row that it holds, and `cache` holds what follows.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rotary: &RotaryTable,
        visible: &Visible,
        scene: Option<&LayerCache>,
        cache: &mut LayerCache,
    ) -> Tensor<3> {
        let mixed = self.mix(self.input_layernorm.forward(x.clone()), rotary, visible, scene, cache);
        let x = x + mixed;
        let y = self.post_attention_layernorm.forward(x.clone());
        let gate = self.gate_proj.forward(y.clone());
        let dtype = gate.dtype();
        let gated = silu(gate.cast(DType::F32)).cast(dtype) * self.up_proj.forward(y);
        x + self.down_proj.forward(gated)
    }

    fn mix(
        &self,
        x: Tensor<3>,
        rotary: &RotaryTable,
        visible: &Visible,
        scene: Option<&LayerCache>,
        cache: &mut LayerCache,
    ) -> Tensor<3> {
        let q = rotary.rotate(split(self.q_proj.forward(x.clone()), self.heads));
        let (k, v) = self.append(x, rotary, cache);
        let mixed = match scene.and_then(LayerCache::held) {
            Some((scene_k, scene_v)) => attend_branches(q, (&scene_k, &scene_v), (k, v), visible),
            None => attend(q, k, v, visible),
        };
        self.o_proj.forward(mixed)
    }

    /// As [`Self::forward`] where nothing reads what comes out: the keys and values alone.
    pub(super) fn store(&self, x: Tensor<3>, rotary: &RotaryTable, cache: &mut LayerCache) {
        self.append(self.input_layernorm.forward(x), rotary, cache);
    }

    /// Adds the keys and values of `x` to `cache`; all that it then holds.
    fn append(&self, x: Tensor<3>, rotary: &RotaryTable, cache: &mut LayerCache) -> (Tensor<4>, Tensor<4>) {
        let k = rotary.rotate(split(self.k_proj.forward(x.clone()), self.kv_heads));
        let v = split(self.v_proj.forward(x), self.kv_heads);
        cache.append(k, v)
    }
}

/// `[batch, tokens, heads * width]` to `[batch, heads, tokens, width]`.
fn split(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
}
