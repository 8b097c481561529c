//! Hidden states at `<obj>` in, what each points at out: the token that keeps the object in focus, and its box in the world.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use vantage_scene::{Aabb, OrientedBox};

use crate::box_decoder::PaddedPoints;
use crate::grounding::{RawBox, refine_on_map};
use crate::network::Network;
use crate::points::PointSample;
use crate::position::scene_center;

/// How much an object's outline is sharpened before its points are pooled.
const MASK_SHARPNESS: f32 = 4.0;

/// The objects that hidden states at `<obj>` of one scene, `[states, d_model]`, point at, as the decoder reads them: `[states,
/// d_model]`. `padded`: the points of that scene.
pub fn objects_in_focus(network: &Network, states: Tensor<2>, padded: &PaddedPoints) -> Tensor<2> {
    let [count, width] = states.dims();
    let mask = network.boxes(states.reshape([1, count, width]), padded).mask;
    // the points that are rather on the object than not; all count a little, so that there is always one
    let inside = sigmoid(mask.mul_scalar(MASK_SHARPNESS));
    let share = inside.clone() / (inside.sum_dim(2) + 1.0e-6);
    network.object_tokens(share, padded).reshape([count, width])
}

/// World boxes and scores, 0 to 1, of hidden states at `<obj>`, each of `d_model` numbers, in order; refined on the points of the
/// scene, which `sample`, `bounds` and `padded` describe alike.
pub fn world_boxes(
    network: &Network,
    bounds: &Aabb,
    sample: &PointSample,
    padded: &PaddedPoints,
    states: &[Vec<f32>],
    device: &Device,
) -> Vec<(OrientedBox, f32)> {
    let count = states.len();
    let Some(width) = states.first().map(Vec::len) else { return Vec::new() };
    let queries = Tensor::<3>::from_data(TensorData::new(states.concat(), [1, count, width]), device);
    let prediction = network.boxes(queries, padded);
    let mask = sigmoid(prediction.mask).reshape([count as i32, -1]);
    let masks = rows(mask);
    let centers = rows(prediction.center.reshape([count, 3]));
    let sizes = rows(prediction.log_size.exp().reshape([count, 3]));
    let scores = rows(sigmoid(prediction.score).reshape([count, 1]));
    let origin = scene_center(bounds);
    (0..count)
        .map(|i| {
            let regressed = OrientedBox {
                center: std::array::from_fn(|k| origin[k] + f64::from(centers[i][k])),
                size: std::array::from_fn(|k| f64::from(sizes[i][k])),
                yaw: 0.0,
            };
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
