//! Hidden states at `<obj>` and point features in, a mask over the points and a metric box with a score out.
//!
//! Where a text has pointed before, a point's place seen from there speaks for it or against it, as the query asks.
//! Two rounds of attention over the points: the first finds the object, the second, drawn to the place found, outlines it.
//! The outline is a mask per point (as in query-based 3D segmentation, Mask3D, arXiv 2210.03105); its weighted mean and
//! spread are the box's first estimate, which a small MLP corrects.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{gelu, relu, sigmoid, softmax, softplus};
use burn::tensor::{Bool, Device, Tensor};

use crate::relations::POINT_RELATION_WIDTH;
use crate::transformer::HIDDEN_SCORE;

/// Extent of a uniformly filled interval over its standard deviation: sqrt(12).
const EXTENT_PER_DEVIATION: f32 = 3.464_101_6;
/// Smallest extent in metres that the first estimate may have.
const MIN_EXTENT_M: f32 = 0.05;
/// Channels in which a point's place relative to earlier boxes is weighed.
const RELATION_CHANNELS: usize = 24;
/// Keeps the square root of a variance differentiable at zero; square metres.
const VARIANCE_FLOOR_M2: f32 = 1.0e-5;

/// The points of a batch of scenes, padded to the largest.
#[derive(Debug, Clone)]
pub struct PaddedPoints {
    /// `[scenes, points, channels]`: features of the point encoder.
    pub features: Tensor<3>,
    /// `[scenes, points, input channels]`: what the point encoder was given: place in the bounds, colour, normal.
    pub inputs: Tensor<3>,
    /// `[scenes, points, position channels]`: position features, see [`crate::position`].
    pub places: Tensor<3>,
    /// `[scenes, points, 3]`: metres, relative to the scene's centre.
    pub metres: Tensor<3>,
    /// `[scenes, points]`: true where there is no point.
    pub hidden: Tensor<2, Bool>,
}

/// Boxes and masks of a batch of queries.
#[derive(Debug, Clone)]
pub struct BoxPrediction {
    /// `[scenes, queries, points]`: log of the first round's attention, normalised over the points.
    pub pointing: Tensor<3>,
    /// `[scenes, queries, points]`: mask logits; hidden points are far below zero.
    pub mask: Tensor<3>,
    /// `[scenes, queries, 3]`: metres, relative to the scene's centre.
    pub center: Tensor<3>,
    /// `[scenes, queries, 3]`: natural log of the full extents in metres along x, y, z.
    pub log_size: Tensor<3>,
    /// `[scenes, queries]`: logit of the expected overlap with the true box.
    pub score: Tensor<2>,
}

/// The box decoder.
#[derive(Module, Debug)]
pub struct BoxDecoder {
    query: Linear,
    key_feature: Linear,
    key_place: Linear,
    value: Linear,
    relation: Linear,
    relation_query: Linear,
    refine_up: Linear,
    refine_down: Linear,
    nearness: Linear,
    mask_scale: Param<Tensor<1>>,
    head_up: Linear,
    head_down: Linear,
}

impl BoxDecoder {
    /// `hidden_width`: channels of the text decoder; `point_width`: of the point features; `place_width`: of the position
    /// features; `width`: the box decoder's own.
    pub fn new(hidden_width: usize, point_width: usize, place_width: usize, width: usize, device: &Device) -> Self {
        let linear = |i: usize, o: usize| LinearConfig::new(i, o).init(device);
        Self {
            query: linear(hidden_width, width),
            key_feature: linear(point_width, width),
            key_place: linear(place_width, width),
            value: linear(point_width, width),
            relation: linear(POINT_RELATION_WIDTH, RELATION_CHANNELS),
            relation_query: LinearConfig::new(width, RELATION_CHANNELS)
                .with_initializer(Initializer::Zeros)
                .init(device),
            refine_up: linear(2 * width + 3, width),
            refine_down: linear(width, width),
            nearness: linear(width, 1),
            mask_scale: Initializer::Constant { value: 1.0 }.init([2], device),
            head_up: linear(2 * width + 6, width),
            head_down: LinearConfig::new(width, 7)
                .with_initializer(Initializer::Normal { mean: 0.0, std: 0.01 })
                .init(device),
        }
    }

    /// `queries`: `[scenes, queries, hidden_width]`, the hidden states at `<obj>`. `relations`: `[scenes, queries, points,
    /// POINT_RELATION_WIDTH]`, each point's place relative to the boxes that were pointed at before; `None` where none was.
    /// `excluded`: `[scenes, queries, points]`, true where a point is not to be found by the first round, which then finds what of the
    /// others it would; `pointing` is of all points nevertheless.
    pub fn forward(
        &self,
        queries: Tensor<3>,
        relations: Option<Tensor<4>>,
        excluded: Option<Tensor<3, Bool>>,
        points: &PaddedPoints,
    ) -> BoxPrediction {
        let [scenes, count, _] = queries.dims();
        let total = points.features.dims()[1];
        let keys = self.key_feature.forward(points.features.clone()) + self.key_place.forward(points.places.clone());
        let keys = keys.transpose();
        let values = self.value.forward(points.features.clone());
        let hidden = points.hidden.clone().reshape([scenes, 1, total]).expand([scenes, count, total]);
        let q = self.query.forward(queries);
        let width = q.dims()[2];
        let scale = (width as f32).powf(-0.5);

        let mut scores = q.clone().matmul(keys.clone()).mul_scalar(scale);
        if let Some(relations) = relations {
            let weights = self.relation_query.forward(q.clone()).unsqueeze_dim::<4>(3);
            scores = scores + relu(self.relation.forward(relations)).matmul(weights).reshape([scenes, count, total]);
        }
        let scores = scores.mask_fill(hidden.clone(), HIDDEN_SCORE);
        let looked_at = match excluded {
            Some(excluded) => scores.clone().mask_fill(excluded, HIDDEN_SCORE),
            None => scores.clone(),
        };
        let attention = softmax(looked_at, 2);
        let pointing = scores.clone() - log_sum_exp(scores);
        let found = attention.clone().matmul(points.metres.clone());
        let context = attention.matmul(values.clone());
        let refined = self
            .refine_down
            .forward(gelu(self.refine_up.forward(Tensor::cat(vec![q.clone(), context, found.clone()], 2))));
        let q = q + refined;

        // squared distance of every point to the place found: |p|^2 + |f|^2 - 2 p.f
        let p2 = points.metres.clone().square().sum_dim(2).reshape([scenes, 1, total]);
        let f2 = found.clone().square().sum_dim(2);
        let cross = found.clone().matmul(points.metres.clone().transpose());
        let distance2 = p2 + f2 - cross.mul_scalar(2.0);
        let nearness = softplus(self.nearness.forward(q.clone()), 1.0);
        let logits = q.clone().matmul(keys).mul_scalar(scale) - distance2 * nearness;
        let scale_bias = self.mask_scale.val();
        let mask =
            logits * scale_bias.clone().narrow(0, 0, 1).unsqueeze::<3>() + scale_bias.narrow(0, 1, 1).unsqueeze::<3>();
        let mask = mask.mask_fill(hidden, HIDDEN_SCORE);

        let share = sigmoid(mask.clone());
        let share = share.clone() / (share.sum_dim(2) + 1.0e-4);
        let mean = share.clone().matmul(points.metres.clone());
        let mean_square = share.clone().matmul(points.metres.clone().square());
        let deviation = ((mean_square - mean.clone().square()).clamp_min(0.0) + VARIANCE_FLOOR_M2).sqrt();
        let context = share.matmul(values);
        let first_size = (deviation.clone().mul_scalar(EXTENT_PER_DEVIATION) + MIN_EXTENT_M).log();
        let correction = self
            .head_down
            .forward(gelu(self.head_up.forward(Tensor::cat(vec![q, context, mean.clone(), first_size.clone()], 2))));
        BoxPrediction {
            pointing,
            mask,
            center: mean + correction.clone().narrow(2, 0, 3),
            log_size: first_size + correction.clone().narrow(2, 3, 3),
            score: correction.narrow(2, 6, 1).reshape([scenes, count]),
        }
    }
}

/// log(sum(exp(x))) over the last axis, kept as length 1; stable for the large negative scores of hidden points.
fn log_sum_exp(x: Tensor<3>) -> Tensor<3> {
    let top = x.clone().max_dim(2).detach();
    (x - top.clone()).exp().sum_dim(2).log() + top
}
