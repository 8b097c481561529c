//! `[batch, tokens, width]` in, the same shape out: the pre-norm transformer block of vision and text towers (ViT,
//! arXiv 2010.11929), bidirectional attention and an MLP, each with a residual.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::activation::Activation;
use super::attention::{Keys, attend};
use super::norm::{Norm, NormKind};
use super::rotary::Rotary;

/// How queries, keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projections {
    /// One matrix `[width, 3 * width]`, queries first, values last.
    Fused,
    /// One matrix for each.
    Separate,
}

/// Sizes and kinds of a [`Block`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockConfig {
    /// Channels of a token.
    pub width: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Channels of the MLP's hidden layer.
    pub mlp_width: usize,
    /// The two norms.
    pub norm: NormKind,
    /// Added to the norms' variance.
    pub norm_epsilon: f64,
    /// How q, k and v are stored.
    pub projections: Projections,
    /// Whether q, k and v have biases.
    pub qkv_bias: bool,
    /// The MLP's nonlinearity.
    pub activation: Activation,
    /// Whether a gate multiplies the MLP's hidden layer (with [`Activation::Silu`], SwiGLU).
    pub gated: bool,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
    /// Initial scale of what each half adds (LayerScale, arXiv 2103.17239).
    pub layer_scale: Option<f64>,
}

/// Pre-norm attention and MLP, each with a residual. The fields are flat, so that a stored block has one level of names.
#[derive(Module, Debug)]
pub struct Block {
    norm_attention: Norm,
    /// q, k and v in one, or q alone where `key_value` holds the others.
    qkv: Linear,
    key_value: Option<(Linear, Linear)>,
    out: Linear,
    scale_attention: Option<Param<Tensor<1>>>,
    norm_mlp: Norm,
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    scale_mlp: Option<Param<Tensor<1>>>,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

impl BlockConfig {
    /// Layer norm, fused q, k and v, exact GELU, biases everywhere: the original ViT.
    pub fn new(width: usize, heads: usize, mlp_width: usize) -> Self {
        Self {
            width,
            heads,
            mlp_width,
            norm: NormKind::Layer,
            norm_epsilon: 1e-5,
            projections: Projections::Fused,
            qkv_bias: true,
            activation: Activation::Gelu,
            gated: false,
            mlp_bias: true,
            layer_scale: None,
        }
    }

    /// Random initial weights on `device`.
    pub fn init(&self, device: &Device) -> Block {
        let w = self.width;
        let linear = |i: usize, o: usize, bias: bool| LinearConfig::new(i, o).with_bias(bias).init(device);
        let norm = || Norm::new(self.norm, w, self.norm_epsilon, device);
        let scale = || self.layer_scale.map(|value| Initializer::Constant { value }.init([w], device));
        let (qkv, key_value) = match self.projections {
            Projections::Fused => (linear(w, 3 * w, self.qkv_bias), None),
            Projections::Separate => {
                let one = || linear(w, w, self.qkv_bias);
                (one(), Some((one(), one())))
            }
        };
        Block {
            norm_attention: norm(),
            qkv,
            key_value,
            out: linear(w, w, true),
            scale_attention: scale(),
            norm_mlp: norm(),
            gate: self.gated.then(|| linear(w, self.mlp_width, self.mlp_bias)),
            up: linear(w, self.mlp_width, self.mlp_bias),
            down: linear(self.mlp_width, w, self.mlp_bias),
            scale_mlp: scale(),
            heads: self.heads,
            activation: self.activation,
        }
    }
}

impl Block {
    /// `x`: `[batch, tokens, width]`; `keys`: what a token may read; `rotary`: how queries and keys are turned.
    pub fn forward(&self, x: Tensor<3>, keys: Keys<'_>, rotary: Option<&Rotary>) -> Tensor<3> {
        let mixed = self.mix(self.norm_attention.forward(x.clone()), keys, rotary);
        let x = x + scaled(mixed, self.scale_attention.as_ref());
        let y = self.norm_mlp.forward(x.clone());
        let y = feed_forward(y, self.gate.as_ref(), &self.up, &self.down, self.activation);
        x + scaled(y, self.scale_mlp.as_ref())
    }

    fn mix(&self, x: Tensor<3>, keys: Keys<'_>, rotary: Option<&Rotary>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let head_width = width / self.heads;
        let split = |t: Tensor<3>| t.reshape([batch, tokens, self.heads, head_width]).swap_dims(1, 2);
        let (q, k, v) = match &self.key_value {
            Some((key, value)) => (self.qkv.forward(x.clone()), key.forward(x.clone()), value.forward(x)),
            None => {
                let qkv = self.qkv.forward(x);
                let part = |i: usize| qkv.clone().narrow(2, i * width, width);
                (part(0), part(1), part(2))
            }
        };
        let (mut q, mut k) = (split(q), split(k));
        if let Some(rotary) = rotary {
            (q, k) = (rotary.rotate(q), rotary.rotate(k));
        }
        let mixed = attend(q, k, split(v), keys);
        self.out.forward(mixed.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

/// `x` `[batch, tokens, width]` times a learned scale per channel, if there is one.
fn scaled(x: Tensor<3>, scale: Option<&Param<Tensor<1>>>) -> Tensor<3> {
    match scale {
        Some(scale) => x * scale.val().unsqueeze(),
        None => x,
    }
}

/// The MLP of a block: `down(act(up x))`, with a gate `down(act(gate x) * up x)` (arXiv 2002.05202).
pub(super) fn feed_forward(
    x: Tensor<3>,
    gate: Option<&Linear>,
    up: &Linear,
    down: &Linear,
    activation: Activation,
) -> Tensor<3> {
    let hidden = match gate {
        Some(gate) => activation.forward(gate.forward(x.clone())) * up.forward(x),
        None => activation.forward(up.forward(x)),
    };
    down.forward(hidden)
}
