//! Tokens `[views, tokens, width]` in, one vector a view out: a learned query attends to the tokens, then an MLP (the
//! MAP head of arXiv 2106.04560, appendix, used by SigLIP).

use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};

use super::config::SiglipVisionConfig;
use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::vision::parts::{Activation, Keys, attend, feed_forward};
use crate::weights::{Bias, WeightReader};

/// The attention pooling head.
#[derive(Module, Debug)]
pub(super) struct PoolingHead {
    probe: Param<Tensor<3>>,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm: Norm,
    up: Linear,
    down: Linear,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

impl PoolingHead {
    pub fn read(config: &SiglipVisionConfig, reader: &WeightReader) -> Self {
        let w = config.hidden_size;
        let attention = reader.enter("attention");
        // one matrix [3 w, w] of torch's MultiheadAttention, whose name is not that of a linear layer
        let weights = attention.param("in_proj_weight", [3 * w, w]);
        let biases = attention.param("in_proj_bias", [3 * w]);
        let part = |i: usize| {
            let weight = weights.val().narrow(0, i * w, w).transpose();
            let bias = biases.val().narrow(0, i * w, w);
            Linear::of_param(Param::from_tensor(weight), Some(Param::from_tensor(bias)))
        };
        let (query, key, value) = (part(0), part(1), part(2));
        Self {
            probe: reader.param("probe", [1, 1, w]),
            query,
            key,
            value,
            out: attention.linear("out_proj", w, w, Bias::Yes),
            norm: Norm::read(NormKind::Layer, "layernorm", w, config.layer_norm_eps, reader),
            up: reader.linear("mlp.fc1", w, config.intermediate_size, Bias::Yes),
            down: reader.linear("mlp.fc2", config.intermediate_size, w, Bias::Yes),
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        }
    }

    /// `tokens`: `[views, tokens, width]`; `hidden`: `[views, tokens]`, true for padding. Returns `[views, width]`.
    pub fn forward(&self, tokens: Tensor<3>, hidden: Option<&Tensor<2, Bool>>) -> Tensor<2> {
        let [views, _, width] = tokens.dims();
        let split = |t: Tensor<3>| {
            let [batch, count, _] = t.dims();
            t.reshape([batch, count, self.heads, width / self.heads]).swap_dims(1, 2)
        };
        let query = self.query.forward(self.probe.val()).expand([views, 1, width]);
        let (key, value) = (self.key.forward(tokens.clone()), self.value.forward(tokens));
        let keys = hidden.map_or(Keys::All, Keys::Visible);
        let mixed = attend(split(query), split(key), split(value), keys);
        let mixed = self.out.forward(mixed.swap_dims(1, 2).reshape([views, 1, width]));
        let y = feed_forward(self.norm.forward(mixed.clone()), None, &self.up, &self.down, self.activation);
        (mixed + y).reshape([views, width])
    }
}
