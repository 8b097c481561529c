//! What is learned of choosing views besides the relevance of points: the weights of a view's scores.

use burn::module::{Module, Param, ParamId};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use vantage_scene::{Diversity, UtilityWeights};

/// What w_t is pulled to, the best of 3D-R1's Table (arXiv 2507.23478).
pub const TEXT_WEIGHT_PRIOR: f32 = 0.3;

/// The learned part of the choice.
#[derive(Module, Debug)]
pub struct ViewHead {
    /// `[1, 4]`: w_t; the logit of w_c, of which w_clip is the rest to 1; and, before the softplus, the weights of what a view
    /// newly shows and of what others show too.
    raw: Param<Tensor<2>>,
}

/// The weights as tensors that carry gradients, `[1, 1]` each.
#[derive(Debug, Clone)]
pub struct ViewWeights {
    /// w_t.
    pub text: Tensor<2>,
    /// w_c.
    pub image: Tensor<2>,
    /// w_clip = 1 - w_c.
    pub clip: Tensor<2>,
    /// Of the relevance that is newly seen.
    pub new: Tensor<2>,
    /// Of what is seen already.
    pub seen: Tensor<2>,
}

impl ViewHead {
    /// The paper's weights, and [`Diversity::default`].
    pub fn new(device: &Device) -> Self {
        let (utility, diversity) = (UtilityWeights::default(), Diversity::default());
        let before_softplus = |x: f32| x.exp_m1().ln();
        let logit = (utility.image / utility.clip).ln();
        let raw = vec![utility.text, logit, before_softplus(diversity.new), before_softplus(diversity.seen)];
        Self { raw: Param::from_data(TensorData::new(raw, [1, 4]), device) }
    }

    /// The weights; w_c + w_clip = 1 by construction, the others that must not be negative are not.
    pub fn weights(&self) -> ViewWeights {
        let raw = |i: usize| self.raw.val().narrow(1, i, 1);
        // log(1 + exp(x)) without overflow
        let softplus = |x: Tensor<2>| x.clone().clamp_min(0.0) + (x.abs().neg().exp() + 1.0).log();
        let image = sigmoid(raw(1));
        ViewWeights {
            text: raw(0),
            clip: image.clone().neg() + 1.0,
            image,
            new: softplus(raw(2)),
            seen: softplus(raw(3)),
        }
    }

    /// The parameter that holds the weights.
    pub fn raw_id(&self) -> ParamId {
        self.raw.id
    }

    /// The weights as numbers.
    pub fn values(&self) -> (UtilityWeights, Diversity) {
        let weights = self.weights();
        let value = |x: Tensor<2>| x.into_scalar::<f32>();
        (
            UtilityWeights { text: value(weights.text), image: value(weights.image), clip: value(weights.clip) },
            Diversity { new: value(weights.new), seen: value(weights.seen) },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_head_has_the_papers_weights() {
        let (utility, diversity) = ViewHead::new(&Device::flex()).values();
        let paper = UtilityWeights::default();
        assert!((utility.text - paper.text).abs() < 1e-6 && (utility.image - paper.image).abs() < 1e-6);
        assert!((utility.image + utility.clip - 1.0).abs() < 1e-6);
        assert!((diversity.new - Diversity::default().new).abs() < 1e-4);
        assert!((diversity.seen - Diversity::default().seen).abs() < 1e-4);
    }
}
