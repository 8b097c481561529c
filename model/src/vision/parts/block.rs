//! `[batch, tokens, width]` in, the same shape out: the pre-norm transformer block of vision and text towers (ViT,
//! arXiv 2010.11929), bidirectional attention and an MLP, each with a residual.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::activation::Activation;
use super::attention::{Keys, attend};
use super::rotary::Rotary;
use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::weights::{Bias, WeightReader};

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
    /// Whether q, k and v have biases.
    pub qkv_bias: Bias,
    /// The MLP's nonlinearity.
    pub activation: Activation,
    /// Whether the MLP has biases.
    pub mlp_bias: Bias,
}

/// What a checkpoint calls the tensors of a block, below the block's own name.
#[derive(Debug, Clone, Copy)]
pub struct BlockNames {
    /// Norm before attention.
    pub norm_attention: &'static str,
    /// Queries, keys and values.
    pub projections: Projections,
    /// The attention's output projection.
    pub out: &'static str,
    /// Norm before the MLP.
    pub norm_mlp: &'static str,
    /// The gate that multiplies the MLP's hidden layer, where there is one (with [`Activation::Silu`], SwiGLU).
    pub gate: Option<&'static str>,
    /// Into the MLP's hidden layer.
    pub up: &'static str,
    /// Out of it.
    pub down: &'static str,
    /// Learned scales of what attention and MLP add (LayerScale, arXiv 2103.17239), where there are some.
    pub scales: Option<[&'static str; 2]>,
}

/// How queries, keys and values are stored.
#[derive(Debug, Clone, Copy)]
pub enum Projections {
    /// One matrix, queries first, values last.
    Fused(&'static str),
    /// One matrix for each of q, k and v.
    Separate([&'static str; 3]),
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
    /// Layer norm, exact GELU, biases everywhere: the original ViT.
    pub fn new(width: usize, heads: usize, mlp_width: usize) -> Self {
        Self {
            width,
            heads,
            mlp_width,
            norm: NormKind::Layer,
            norm_epsilon: 1e-5,
            qkv_bias: Bias::Yes,
            activation: Activation::Gelu,
            mlp_bias: Bias::Yes,
        }
    }

    /// Random initial weights on `device`: fused q, k and v, no gate, no scales.
    pub fn init(&self, device: &Device) -> Block {
        let w = self.width;
        let linear = |i: usize, o: usize, bias: Bias| Linear::new(i, o, bias == Bias::Yes, device);
        let norm = || Norm::new(self.norm, w, self.norm_epsilon, device);
        Block {
            norm_attention: norm(),
            qkv: linear(w, 3 * w, self.qkv_bias),
            key_value: None,
            out: linear(w, w, Bias::Yes),
            scale_attention: None,
            norm_mlp: norm(),
            gate: None,
            up: linear(w, self.mlp_width, self.mlp_bias),
            down: linear(self.mlp_width, w, self.mlp_bias),
            scale_mlp: None,
            heads: self.heads,
            activation: self.activation,
        }
    }

    /// The block at `reader`, whose tensors are called `names`.
    pub fn read(&self, names: &BlockNames, reader: &WeightReader) -> Block {
        let w = self.width;
        let norm = |name: &str| Norm::read(self.norm, name, w, self.norm_epsilon, reader);
        let (qkv, key_value) = match names.projections {
            Projections::Fused(name) => (reader.linear(name, w, 3 * w, self.qkv_bias), None),
            Projections::Separate([query, key, value]) => {
                let one = |name: &str| reader.linear(name, w, w, self.qkv_bias);
                (one(query), Some((one(key), one(value))))
            }
        };
        let scale = |i: usize| names.scales.map(|scales| reader.param(scales[i], [w]));
        Block {
            norm_attention: norm(names.norm_attention),
            qkv,
            key_value,
            out: reader.linear(names.out, w, w, Bias::Yes),
            scale_attention: scale(0),
            norm_mlp: norm(names.norm_mlp),
            gate: names.gate.map(|name| reader.linear(name, w, self.mlp_width, self.mlp_bias)),
            up: reader.linear(names.up, w, self.mlp_width, self.mlp_bias),
            down: reader.linear(names.down, self.mlp_width, w, self.mlp_bias),
            scale_mlp: scale(1),
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

/// Runs `x` `[batch, tokens, width]` through `blocks`, and shows `seen` what goes into the first and what comes out of each.
pub fn through(
    blocks: &[Block],
    x: Tensor<3>,
    keys: Keys<'_>,
    rotary: Option<&Rotary>,
    seen: &mut dyn FnMut(&Tensor<3>),
) -> Tensor<3> {
    seen(&x);
    blocks.iter().fold(x, |x, block| {
        let x = block.forward(x, keys, rotary);
        seen(&x);
        x
    })
}

/// `x` `[batch, tokens, width]` times a learned scale per channel, if there is one.
fn scaled(x: Tensor<3>, scale: Option<&Param<Tensor<1>>>) -> Tensor<3> {
    match scale {
        Some(scale) => x * scale.val().unsqueeze(),
        None => x,
    }
}

/// The MLP of a block: `down(act(up x))`, with a gate `down(act(gate x) * up x)` (arXiv 2002.05202).
pub(crate) fn feed_forward(
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::store::ModuleSnapshot;
    use burn::tensor::{Bool, Distribution, TensorData};

    /// The committed nano checkpoint has these names.
    #[test]
    fn stored_names_are_flat() {
        let block = BlockConfig::new(8, 2, 16).init(&Device::flex());
        let mut names: Vec<String> = block.collect(None, None, false).into_iter().map(|t| t.name).collect();
        names.sort();
        let norm = ["beta", "gamma"];
        let linear = ["bias", "weight"];
        let expected: Vec<String> = [
            ("down", linear),
            ("norm_attention", norm),
            ("norm_mlp", norm),
            ("out", linear),
            ("qkv", linear),
            ("up", linear),
        ]
        .iter()
        .flat_map(|(part, fields)| fields.map(|field| format!("{part}.{field}")))
        .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn padding_and_other_segments_do_not_reach_a_token() {
        let device = Device::flex();
        let block = BlockConfig::new(8, 2, 16).init(&device);
        let x = Tensor::<3>::random([1, 6, 8], Distribution::Normal(0.0, 1.0), &device);
        let first = |x: Tensor<3>, keys: Keys<'_>| block.forward(x, keys, None).narrow(1, 0, 4);
        let changed = Tensor::cat(vec![x.clone().narrow(1, 0, 4), x.clone().narrow(1, 4, 2).flip([2])], 1);
        let hidden = Tensor::<2, Bool>::from_data(TensorData::new((0..6).map(|i| i >= 4).collect(), [1, 6]), &device);
        let segments = crate::vision::parts::Segments::new(&[0, 4, 6]).unwrap();
        let differs =
            |keys: Keys<'_>| (first(x.clone(), keys) - first(changed.clone(), keys)).abs().max().into_scalar::<f32>();
        assert_eq!(differs(Keys::Visible(&hidden)), 0.0);
        assert_eq!(differs(Keys::Segments(&segments)), 0.0);
        assert!(differs(Keys::All) > 1e-3);
    }
}
