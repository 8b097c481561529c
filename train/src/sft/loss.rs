//! A batch in, one differentiable loss and its named parts out.

use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use vantage_model::{
    Encoders, FocusBox, ModelConfig, Network, PointSample, RELATION_WIDTH, SceneInput, SpecialTokens, TextEmbeddings,
    ViewInput, relation_features,
};
use vantage_scene::{Aabb, OrientedBox};

use super::packing::Packing;
use crate::dataset::{Batch, WELL_SHARE};
use crate::run::Learning;

/// Share of each part in the total. The mean over all tokens of a text is small, as few of them decide anything: at 1 boxes and masks
/// alone would steer what the decoder learns.
const WEIGHT_TEXT: f32 = 40.0;
const WEIGHT_POINT_CLASS: f32 = 0.5;
const WEIGHT_POINTING: f32 = 0.4;
const WEIGHT_MASK: f32 = 1.0;
const WEIGHT_BOX: f32 = 0.7;
const WEIGHT_SCORE: f32 = 0.1;
const WEIGHT_CONTRAST: f32 = 0.3;
const WEIGHT_NAMING: f32 = 0.5;
/// Weight of a label token in the reasoning, and in the answer. The numbers of a box and `</obj>` are no labels: the box decoder writes
/// them.
const TOKEN_THINK: f32 = 1.0;
const TOKEN_ANSWER: f32 = 2.0;
/// Weight of a shell point in the point classes' loss.
const SHELL_WEIGHT: f32 = 0.3;
/// Least extent that a box is asked to have, metres: the logarithm of none has no value.
const MIN_TARGET_M: f32 = 0.02;

/// The total and its parts, each before its weight.
pub struct Losses {
    /// What is differentiated.
    pub total: Tensor<1>,
    /// Next token.
    pub text: Tensor<1>,
    /// Point classes.
    pub point_class: Tensor<1>,
    /// Attention on the right points.
    pub pointing: Tensor<1>,
    /// Mask: cross-entropy and dice.
    pub mask: Tensor<1>,
    /// Box: L1 and overlap.
    pub boxes: Tensor<1>,
    /// Mean overlap of the axis-aligned boxes, not a loss.
    pub overlap: Tensor<1>,
    /// Views against questions and images against points.
    pub contrast: Tensor<1>,
    /// Colour and class of the object in focus, read straight from its token.
    pub naming: Tensor<1>,
}

impl Losses {
    /// As numbers, in the order of [`super::parallel::PART_NAMES`].
    pub(super) fn values(&self) -> super::parallel::Values {
        [
            &self.total,
            &self.text,
            &self.point_class,
            &self.pointing,
            &self.mask,
            &self.boxes,
            &self.overlap,
            &self.contrast,
            &self.naming,
        ]
        .map(|part| part.clone().into_scalar::<f32>())
    }
}

/// Runs the network on `batch`, of which it reads what `encoders` give. Where encoders do not learn, their own losses are zero.
pub fn losses(
    network: &Network,
    config: &ModelConfig,
    special: &SpecialTokens,
    batch: &Batch,
    learning: Learning,
    encoders: Encoders,
    device: &Device,
) -> Losses {
    let samples: Vec<&PointSample> = batch.scenes.iter().map(|s| &s.points).collect();
    let view_lists: Vec<Vec<&ViewInput>> = batch.scenes.iter().map(|s| s.views.iter().collect()).collect();
    let scenes: Vec<SceneInput<'_>> = batch
        .scenes
        .iter()
        .zip(&view_lists)
        .map(|(s, views)| SceneInput { points: &s.points, bounds: &s.bounds, views })
        .collect();
    let all_views: Vec<&ViewInput> = view_lists.iter().flatten().copied().collect();

    let (plan, points) = network.encode_points(&samples, config, device);
    let (image, depth) = network.encode_views(&all_views, config, device);
    let (tokens, lengths) = network.scene_tokens(&scenes, &plan, &points, Some((&image, &depth)), encoders, device);
    let packing = Packing::of(&batch.rows, batch.scenes.len());
    let mut cache = network.read_scenes(tokens, &lengths, 0).repeat_each(packing.rows_per_scene);

    let ids = TensorData::new(packing.ids(&batch.rows, special.pad), [packing.rows().len(), packing.tokens]);
    let ids = Tensor::<2, Int>::from_data(ids, device);
    let padded = network.padded_points(&scenes, &plan, &points, device);
    let queries = BoxQueries::of(batch, special, padded.features.dims()[1], device);
    let (objects, naming) = named_objects(network, batch, &queries, &padded);
    let objects = objects + relations(network, batch, &queries, device);
    let added = focus_tokens(objects, batch, &queries, &packing);
    let hidden = network.decoder.read_packed(ids, Some(added), packing.rows(), &mut cache);
    let width = hidden.dims()[2];
    let flat = hidden.reshape([packing.len(), width]);

    let text = text_loss(network, special, batch, flat.clone(), &packing, device);
    let (point_class, contrast) = if learning.freeze_encoders {
        (Tensor::zeros([1], device), Tensor::zeros([1], device))
    } else {
        let point_class = point_class_loss(network, config, batch, points.fine.clone(), device);
        (point_class, contrast_loss(network, batch, &points, &image, plan.fine_ranges(), device))
    };

    let boxes = box_losses(network, batch, &queries, &packing, flat, &padded, device);
    let total = text.clone() * WEIGHT_TEXT
        + point_class.clone() * WEIGHT_POINT_CLASS
        + boxes.pointing.clone() * WEIGHT_POINTING
        + boxes.mask.clone() * WEIGHT_MASK
        + boxes.boxes.clone() * WEIGHT_BOX
        + boxes.score * WEIGHT_SCORE
        + contrast.clone() * WEIGHT_CONTRAST
        + naming.clone() * WEIGHT_NAMING;
    Losses {
        total,
        text,
        point_class,
        pointing: boxes.pointing,
        mask: boxes.mask,
        boxes: boxes.boxes,
        overlap: boxes.overlap,
        contrast,
        naming,
    }
}

/// Weighted cross-entropy of the target tokens.
fn text_loss(
    network: &Network,
    special: &SpecialTokens,
    batch: &Batch,
    flat: Tensor<2>,
    packing: &Packing,
    device: &Device,
) -> Tensor<1> {
    let (mut index, mut labels, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (r, row) in batch.rows.iter().enumerate() {
        let (mut in_box, mut in_answer) = (false, false);
        for t in row.prompt..row.tokens.len() {
            let label = row.tokens[t];
            if in_box {
                in_box = label != special.box_close;
                continue;
            }
            in_box = label == special.box_open;
            in_answer |= label == special.answer_open;
            index.push(packing.at(r, t - 1) as i32);
            labels.push(label as i32);
            weights.push(if in_answer { TOKEN_ANSWER } else { TOKEN_THINK });
        }
    }
    let count = index.len();
    let sum: f32 = weights.iter().sum();
    let hidden = flat.select(0, Tensor::<1, Int>::from_data(TensorData::new(index, [count]), device));
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [count, 1]), device);
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), device);
    let log_p = log_softmax(network.decoder.logits(hidden), 1).gather(1, labels).reshape([count]);
    (log_p * weights).sum().mul_scalar(-1.0 / sum)
}

fn point_class_loss(
    network: &Network,
    config: &ModelConfig,
    batch: &Batch,
    fine: Tensor<2>,
    device: &Device,
) -> Tensor<1> {
    let (mut labels, mut weights) = (Vec::new(), Vec::new());
    for scene in &batch.scenes {
        for &object in &scene.point_object {
            let class = usize::try_from(object)
                .ok()
                .and_then(|o| config.point_classes.iter().position(|c| c == scene.classes[o]));
            labels.push(class.unwrap_or(0) as i32);
            weights.push(if class.is_some() { 1.0 } else { SHELL_WEIGHT });
        }
    }
    let count = labels.len();
    let sum: f32 = weights.iter().sum();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [count, 1]), device);
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), device);
    let log_p = log_softmax(network.point_classifier.forward(fine), 1).gather(1, labels).reshape([count]);
    (log_p * weights).sum().mul_scalar(-1.0 / sum.max(1.0))
}

/// log(1 + exp(-x)) summed with weights, `sign` +1 for pairs that belong together and -1 for others (SigLIP's loss).
fn sigmoid_pairs(logits: Tensor<2>, sign: Tensor<2>, weight: Tensor<2>) -> Tensor<1> {
    let sum = weight.clone().sum().clamp_min(1.0);
    let x = logits * sign;
    // -log sigmoid(x) = max(-x, 0) + log(1 + exp(-|x|))
    let loss = x.clone().neg().clamp_min(0.0) + (x.abs().neg().exp() + 1.0).log();
    (loss * weight).sum() / sum
}

fn contrast_loss(
    network: &Network,
    batch: &Batch,
    points: &vantage_model::PointFeatures,
    image: &vantage_model::ViewFeatures,
    ranges: &[std::ops::Range<usize>],
    device: &Device,
) -> Tensor<1> {
    let words: Vec<Vec<u32>> = batch.rows.iter().map(|r| r.words.clone()).collect();
    let TextEmbeddings { text, clip_text, .. } = network.embed_texts(&words, device);
    let (image, clip_image) = network.embed_images(image);
    let visible: Vec<Vec<u32>> = batch
        .scenes
        .iter()
        .zip(ranges)
        .flat_map(|(s, range)| s.visible.iter().map(|v| v.iter().map(|&i| i + range.start as u32).collect()))
        .collect();
    let views_3d = network.embed_view_points(points, &visible, device);
    let owners: Vec<(usize, usize)> =
        batch.scenes.iter().enumerate().flat_map(|(s, scene)| (0..scene.views.len()).map(move |v| (s, v))).collect();

    let (mut sign, mut weight) = (Vec::new(), Vec::new());
    for row in &batch.rows {
        for &(s, v) in &owners {
            let scene = &batch.scenes[s];
            let shown = |&o: &usize| scene.pixel_shares[v][o] >= WELL_SHARE;
            let good = s == row.scene && row.referents.iter().any(shown);
            sign.push(if good { 1.0 } else { -1.0 });
            weight.push(if s == row.scene && !row.referents.is_empty() { 1.0 } else { 0.0 });
        }
    }
    let (n, v) = (batch.rows.len(), owners.len());
    let sign = Tensor::<2>::from_data(TensorData::new(sign, [n, v]), device);
    let weight = Tensor::<2>::from_data(TensorData::new(weight, [n, v]), device);
    let contrast = network.contrast.val();
    let logits = |row: usize, cosines: Tensor<2>| {
        let scale_bias = contrast.clone().narrow(0, row, 1);
        cosines * scale_bias.clone().narrow(1, 0, 1).exp() + scale_bias.narrow(1, 1, 1)
    };
    let to_points = sigmoid_pairs(logits(0, text.matmul(views_3d.clone().transpose())), sign.clone(), weight.clone());
    let to_images = sigmoid_pairs(logits(1, clip_text.matmul(clip_image.transpose())), sign, weight);
    let eye = Tensor::<2>::eye(v, device);
    let sign = eye.clone().mul_scalar(2.0) - 1.0;
    // one pair belongs together against v - 1 that do not: weigh both sides alike
    let weight = eye.mul_scalar(v as f32 - 2.0) + 1.0;
    let image_points = sigmoid_pairs(logits(2, image.matmul(views_3d.transpose())), sign, weight);
    to_points + to_images + image_points * 0.5
}

/// An `<obj>` of a batch.
#[derive(Clone, Copy)]
struct Mention {
    /// Its text.
    row: usize,
    /// Its place in the text.
    token: usize,
    /// How many stand before it in the text.
    nth: usize,
    /// The object that it stands for.
    object: usize,
}

/// The `<obj>` of a batch.
struct BoxQueries {
    /// Those of each scene.
    at: Vec<Vec<Mention>>,
    /// Queries of the scene with the most, at least one.
    count: usize,
    /// `[scenes, count, points]`: 1 where a point belongs to the query's object.
    own: Tensor<3>,
}

impl BoxQueries {
    fn of(batch: &Batch, special: &SpecialTokens, points: usize, device: &Device) -> Self {
        let mut at = vec![Vec::new(); batch.scenes.len()];
        for (r, row) in batch.rows.iter().enumerate() {
            let opens = (row.prompt..row.tokens.len()).filter(|&t| row.tokens[t] == special.box_open);
            for (nth, (token, &object)) in opens.zip(&row.objects).enumerate() {
                at[row.scene].push(Mention { row: r, token, nth, object });
            }
        }
        let count = at.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut own = vec![0.0f32; batch.scenes.len() * count * points];
        for (s, scene) in batch.scenes.iter().enumerate() {
            for (q, &Mention { object, .. }) in at[s].iter().enumerate() {
                let base = (s * count + q) * points;
                for (slot, is_own) in own[base..].iter_mut().zip(scene.points_of(object)) {
                    *slot = f32::from(is_own);
                }
            }
        }
        let own = Tensor::from_data(TensorData::new(own, [batch.scenes.len(), count, points]), device);
        Self { at, count, own }
    }
}

/// The token of each query's object, `[scenes, count, d_model]`, and how badly it names the object's colour and class: the
/// cross-entropy of the two words where the decoder's own output layer reads the token as it is.
///
/// Without it the text alone teaches the token what to carry, by a few words in a hundred, and training stays for long where
/// colours are guessed.
fn named_objects(
    network: &Network,
    batch: &Batch,
    queries: &BoxQueries,
    padded: &vantage_model::PaddedPoints,
) -> (Tensor<3>, Tensor<1>) {
    let own = queries.own.clone();
    let device = own.device();
    let objects = network.object_tokens(own.clone() / (own.sum_dim(2) + 1.0e-6), padded);
    let [scenes, count, width] = objects.dims();
    let (mut index, mut labels) = (Vec::new(), Vec::new());
    for (s, (scene, of_scene)) in batch.scenes.iter().zip(&queries.at).enumerate() {
        for (q, &Mention { object, .. }) in of_scene.iter().enumerate() {
            // what no point shows cannot be named
            if scene.point_object.contains(&(object as i16)) {
                index.push((s * count + q) as i32);
                labels.extend(scene.words[object].map(|word| word as i32));
            }
        }
    }
    let named = index.len();
    if named == 0 {
        return (objects, Tensor::zeros([1], &device));
    }
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [named]), &device);
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [named, 2]), &device);
    let seen = objects.clone().reshape([scenes * count, width]).select(0, index);
    let naming = log_softmax(network.decoder.logits(seen), 1).gather(1, labels).mean().neg();
    (objects, naming)
}

/// How each query's object lies to those that its text pointed at before, `[scenes, count, d_model]`.
fn relations(network: &Network, batch: &Batch, queries: &BoxQueries, device: &Device) -> Tensor<3> {
    let (scenes, count) = (batch.scenes.len(), queries.count);
    let mut features = Vec::with_capacity(scenes * count * RELATION_WIDTH);
    for of_scene in &queries.at {
        for query in of_scene {
            relation_features(&batch.rows[query.row].places[..=query.nth], &mut features);
        }
        features.resize(features.len() + (count - of_scene.len()) * RELATION_WIDTH, 0.0);
    }
    let features = Tensor::<2>::from_data(TensorData::new(features, [scenes * count, RELATION_WIDTH]), device);
    let tokens = network.relation_tokens(features);
    let width = tokens.dims()[1];
    tokens.reshape([scenes, count, width])
}

/// `[rows, tokens, d_model]` of the packed rows: the object in focus of each token, the true one of the last `<obj>` before it;
/// zero without.
fn focus_tokens(objects: Tensor<3>, batch: &Batch, queries: &BoxQueries, packing: &Packing) -> Tensor<3> {
    let device = objects.device();
    let [scenes, count, width] = objects.dims();
    let table = Tensor::cat(vec![objects.reshape([scenes * count, width]), Tensor::zeros([1, width], &device)], 0);
    let none = (scenes * count) as i32;
    let mut index = vec![none; packing.len()];
    for (s, of_scene) in queries.at.iter().enumerate() {
        // in the order of the text: a later box takes the focus from an earlier one
        for (q, &Mention { row, token, .. }) in of_scene.iter().enumerate() {
            for t in token + 1..batch.rows[row].tokens.len().saturating_sub(1) {
                index[packing.at(row, t)] = (s * count + q) as i32;
            }
        }
    }
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [packing.len()]), &device);
    table.select(0, index).reshape([packing.rows().len(), packing.tokens, width])
}

struct BoxLosses {
    pointing: Tensor<1>,
    mask: Tensor<1>,
    boxes: Tensor<1>,
    overlap: Tensor<1>,
    score: Tensor<1>,
}

fn box_losses(
    network: &Network,
    batch: &Batch,
    queries: &BoxQueries,
    packing: &Packing,
    flat: Tensor<2>,
    padded: &vantage_model::PaddedPoints,
    device: &Device,
) -> BoxLosses {
    let (scenes, count) = (batch.scenes.len(), queries.count);
    let own = queries.own.clone();
    let points = padded.features.dims()[1];
    let (rows, width) = (flat.dims()[0], flat.dims()[1]);
    let mut index = Vec::with_capacity(scenes * count);
    let mut real = Vec::with_capacity(scenes * count);
    let (mut center, mut log_size) = (Vec::new(), Vec::new());
    let mut earlier: Vec<&[FocusBox]> = Vec::with_capacity(scenes * count);
    for (s, scene) in batch.scenes.iter().enumerate() {
        for q in 0..count {
            let Some(&Mention { row, token, nth, object }) = queries.at[s].get(q) else {
                earlier.push(&[][..]);
                index.push(rows as i32);
                real.push(0.0);
                center.extend([0.0f32; 3]);
                log_size.extend([0.0f32; 3]);
                continue;
            };
            index.push(packing.at(row, token) as i32);
            earlier.push(&batch.rows[row].places[..nth]);
            real.push(1.0);
            let (c, s) = box_target(&scene.boxes[object], &scene.bounds);
            center.extend(c);
            log_size.extend(s);
        }
    }
    let table = Tensor::cat(vec![flat, Tensor::zeros([1, width], device)], 0);
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [scenes * count]), device);
    let prediction = network.boxes(table.select(0, index).reshape([scenes, count, width]), &earlier, None, padded);
    let tensor3 =
        |data: Vec<f32>, last: usize| Tensor::<3>::from_data(TensorData::new(data, [scenes, count, last]), device);
    let (center, log_size) = (tensor3(center, 3), tensor3(log_size, 3));
    let real = Tensor::<2>::from_data(TensorData::new(real, [scenes, count]), device);
    let total = real.clone().sum().clamp_min(1.0);
    let mean = |per_query: Tensor<2>| (per_query * real.clone()).sum() / total.clone();
    let per_query = |x: Tensor<3>| x.reshape([scenes, count]);

    // the share of attention that falls on the object
    let on_object = per_query((prediction.pointing.exp() * own.clone()).sum_dim(2));
    let pointing = mean((on_object + 1.0e-4).log().neg());

    let probability = sigmoid(prediction.mask.clone());
    let visible = padded.hidden.clone().bool_not().float().reshape([scenes, 1, points]);
    let x = prediction.mask.clamp(-30.0, 30.0);
    let cross_entropy = x.clone().clamp_min(0.0) - x.clone() * own.clone() + (x.abs().neg().exp() + 1.0).log();
    // object points are few: the two sides are averaged apart
    let outside = visible.expand([scenes, count, points]) - own.clone();
    let side = |part: Tensor<3>| per_query((cross_entropy.clone() * part.clone()).sum_dim(2) / (part.sum_dim(2) + 1.0));
    let both = per_query((probability.clone() * own.clone()).sum_dim(2));
    let dice = (both * 2.0 + 1.0) / (per_query(probability.sum_dim(2)) + per_query(own.clone().sum_dim(2)) + 1.0);
    let mask = mean(side(own.clone()) * 0.5 + side(outside) + (dice.neg() + 1.0));

    let l1 = per_query((prediction.center.clone() - center.clone()).abs().sum_dim(2))
        + per_query((prediction.log_size.clone() - log_size.clone()).abs().sum_dim(2)) * 0.5;
    let overlap = overlap_of(prediction.center, prediction.log_size, center, log_size);
    let boxes = mean(l1 + overlap.clone().neg() + 1.0);
    let s = prediction.score;
    let score =
        mean(s.clone().clamp_min(0.0) - s.clone() * overlap.clone().detach() + (s.abs().neg().exp() + 1.0).log());
    BoxLosses { pointing, mask, boxes, overlap: mean(overlap), score }
}

/// What the box decoder is to give for `bbox` in the scene of `bounds`: centre relative to the scene's, metres, and natural logs of the
/// extents of the axis-aligned bounds, none taken as below [`MIN_TARGET_M`].
pub(crate) fn box_target(bbox: &OrientedBox, bounds: &Aabb) -> ([f32; 3], [f32; 3]) {
    let FocusBox { center, size } = FocusBox::of(bbox, bounds);
    (center, size.map(|x| x.max(MIN_TARGET_M).ln()))
}

/// Intersection over union of axis-aligned boxes: centres and natural logs of extents, `[a, b, 3]` each; `[a, b]`.
pub(crate) fn overlap_of(
    center: Tensor<3>,
    log_size: Tensor<3>,
    true_center: Tensor<3>,
    true_log_size: Tensor<3>,
) -> Tensor<2> {
    let (size, true_size) = (log_size.clamp(-5.0, 3.0).exp(), true_log_size.exp());
    let half = |s: &Tensor<3>| s.clone() * 0.5;
    let high = (center.clone() + half(&size)).min_pair(true_center.clone() + half(&true_size));
    let low = (center - half(&size)).max_pair(true_center - half(&true_size));
    let common = product((high - low).clamp_min(0.0));
    common.clone() / (product(size) + product(true_size) - common + 1.0e-6)
}

/// The product over the last axis of length 3.
fn product(x: Tensor<3>) -> Tensor<2> {
    let [a, b, _] = x.dims();
    let part = |i: usize| x.clone().narrow(2, i, 1);
    (part(0) * part(1) * part(2)).reshape([a, b])
}
