//! Hidden states at `<obj>` in, what each points at out: the token that keeps the object in focus, and its box in the world.

use std::sync::Arc;

use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Tensor, TensorData};
use vantage_scene::{Aabb, OrientedBox};

use crate::box_decoder::{BoxPrediction, PaddedPoints};
use crate::grammar::TextBox;
use crate::grounding::{RawBox, refine_on_map};
use crate::network::Network;
use crate::points::PointSample;
use crate::relations::{FocusBox, RELATION_WIDTH, relation_features};
use crate::tokenizer::Tokenizer;

/// How much an object's outline is sharpened before its points are pooled.
const MASK_SHARPNESS: f32 = 4.0;

/// An `<obj>` of a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoxQuery {
    /// The hidden state there, `d_model` numbers.
    pub state: Vec<f32>,
    /// The boxes that the text pointed at before, in order.
    pub earlier: Vec<FocusBox>,
    /// Whether each point of the scene may be found; all may where there is none. It makes a text point elsewhere than it would.
    pub among: Option<Arc<[bool]>>,
}

/// What an `<obj>` points at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InFocus {
    /// What is added to the tokens behind it, `d_model` numbers.
    pub token: Vec<f32>,
    /// Where it is.
    pub bbox: FocusBox,
    /// What is written behind the `<obj>`: the numbers of the box and `</obj>`. The decoder goes on behind them; where there are
    /// none, at the `<obj>`.
    pub written: Vec<u32>,
}

/// The objects that `queries` of one scene point at, as the decoder reads them and the text of `tokenizer` has them.
/// `padded`: the points of that scene, which lie within `bounds`.
pub fn objects_in_focus(
    network: &Network,
    queries: &[BoxQuery],
    padded: &PaddedPoints,
    bounds: &Aabb,
    tokenizer: &Tokenizer,
) -> Vec<InFocus> {
    let count = queries.len();
    if count == 0 {
        return Vec::new();
    }
    let prediction = predict(network, queries, padded);
    // the points that are rather on the object than not; all count a little, so that there is always one
    let inside = sigmoid(prediction.mask.mul_scalar(MASK_SHARPNESS));
    let share = inside.clone() / (inside.sum_dim(2) + 1.0e-6);
    let objects = network.object_tokens(share, padded);
    let width = objects.dims()[2];
    let centers = rows(prediction.center.reshape([count, 3]));
    let sizes = rows(prediction.log_size.exp().reshape([count, 3]));
    let of = |numbers: &[f32]| std::array::from_fn(|k| numbers[k]);
    let boxes: Vec<FocusBox> =
        centers.iter().zip(&sizes).map(|(center, size)| FocusBox { center: of(center), size: of(size) }).collect();
    let mut features = Vec::with_capacity(count * RELATION_WIDTH);
    for (query, bbox) in queries.iter().zip(&boxes) {
        let all: Vec<FocusBox> = query.earlier.iter().chain([bbox]).copied().collect();
        relation_features(&all, &mut features);
    }
    let features = Tensor::<2>::from_data(TensorData::new(features, [count, RELATION_WIDTH]), &objects.device());
    let tokens = rows(objects.reshape([count, width]) + network.relation_tokens(features));
    let written = |bbox: &FocusBox| tokenizer.box_tokens(&TextBox::from_box(&bbox.in_world(bounds), bounds)).to_vec();
    tokens.into_iter().zip(boxes).map(|(token, bbox)| InFocus { token, written: written(&bbox), bbox }).collect()
}

/// What the box decoder makes of `queries` of one scene.
fn predict(network: &Network, queries: &[BoxQuery], padded: &PaddedPoints) -> BoxPrediction {
    let states: Vec<f32> = queries.iter().flat_map(|query| query.state.iter().copied()).collect();
    let earlier: Vec<&[FocusBox]> = queries.iter().map(|query| query.earlier.as_slice()).collect();
    let shape = [1, queries.len(), states.len() / queries.len().max(1)];
    let device = padded.metres.device();
    let states = Tensor::<3>::from_data(TensorData::new(states, shape), &device);
    let total = padded.metres.dims()[1];
    let excluded = queries.iter().any(|query| query.among.is_some()).then(|| {
        let mut excluded = vec![false; queries.len() * total];
        for (query, row) in queries.iter().zip(excluded.chunks_mut(total.max(1))) {
            for (out, &among) in row.iter_mut().zip(query.among.iter().flat_map(|among| among.iter())) {
                *out = !among;
            }
        }
        Tensor::<3, Bool>::from_data(TensorData::new(excluded, [1, queries.len(), total]), &device)
    });
    network.boxes(states, &earlier, excluded, padded)
}

/// For each of `queries` of one scene the share of its first look that falls on each point, summing to one.
pub fn first_looks(network: &Network, queries: &[BoxQuery], padded: &PaddedPoints) -> Vec<Vec<f32>> {
    if queries.is_empty() {
        return Vec::new();
    }
    rows(predict(network, queries, padded).pointing.exp().reshape([queries.len() as i32, -1]))
}

/// World boxes and scores, 0 to 1, of `queries`, in order; refined on the points of the scene, which `sample`, `bounds` and
/// `padded` describe alike.
pub fn world_boxes(
    network: &Network,
    bounds: &Aabb,
    sample: &PointSample,
    padded: &PaddedPoints,
    queries: &[BoxQuery],
) -> Vec<(OrientedBox, f32)> {
    let count = queries.len();
    if count == 0 {
        return Vec::new();
    }
    let prediction = predict(network, queries, padded);
    let mask = sigmoid(prediction.mask).reshape([count as i32, -1]);
    let masks = rows(mask);
    let centers = rows(prediction.center.reshape([count, 3]));
    let sizes = rows(prediction.log_size.exp().reshape([count, 3]));
    let scores = rows(sigmoid(prediction.score).reshape([count, 1]));
    (0..count)
        .map(|i| {
            let of = |numbers: &[f32]| std::array::from_fn(|k| numbers[k]);
            let regressed = FocusBox { center: of(&centers[i]), size: of(&sizes[i]) }.in_world(bounds);
            let raw = RawBox { regressed, mask: &masks[i], score: scores[i][0] };
            (refine_on_map(&raw, &sample.positions, sample.grid_m), raw.score)
        })
        .collect()
}

/// The rows of a matrix as vectors.
pub(crate) fn rows(x: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, width] = x.dims();
    let flat: Vec<f32> = x.into_data().iter::<f32>().collect();
    flat.chunks(width.max(1)).map(<[f32]>::to_vec).collect()
}
