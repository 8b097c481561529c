//! A frozen scene and questions about it in, the loss of choosing views out.
//!
//! Three parts: whether each point is what a question is about; whether each view shows it (the contrastive losses of the
//! scores); and how well the views show it that a relaxed choice takes.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use vantage_model::{Network, PointFeatures, TEXT_WEIGHT_PRIOR, TextEmbeddings, ViewWeights};

use super::choice::{Noise, Progress, ThingsShown, choose_relaxed, missed};
use super::frozen::{FrozenQuestion, FrozenScene};

/// How much all points of what is asked about weigh beside all others: there are few.
const POSITIVE_SHARE: f32 = 0.3;
/// A view shows the referent in the contrastive losses from this quality on.
const GOOD_QUALITY: f32 = 0.8;
/// Weights of the parts.
const WEIGHT_CONTRAST: f32 = 0.5;
const WEIGHT_CHOICE: f32 = 1.0;
/// Of (w_t - 0.3)^2.
const WEIGHT_PRIOR: f32 = 0.1;

/// The total and its parts.
pub(super) struct ViewLosses {
    /// What is differentiated.
    pub(super) total: Tensor<1>,
    /// Relevance of points, the contrastive losses, one minus the quality of the choice.
    pub(super) parts: [Tensor<1>; 3],
}

/// Cross-entropy of log-odds `x` and targets of 0 and 1, weighted.
fn cross_entropy(x: Tensor<2>, target: Tensor<2>, weight: Tensor<2>) -> Tensor<1> {
    let sum = weight.clone().sum().clamp_min(1.0);
    let loss = x.clone().clamp_min(0.0) - x.clone() * target + (x.abs().neg().exp() + 1.0).log();
    (loss * weight).sum() / sum
}

/// Mean 0 and deviation 1 along each row; nearly equal values are all nearly 0.
fn standardised(x: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let deviation = (centred.clone().square().mean_dim(1) + 1.0e-6).sqrt();
    centred / deviation
}

/// The loss of `questions`, at least one, about `scene`, which has at least one view. Noise of the choice comes from `rng`;
/// without one the likeliest view is chosen each time.
pub(super) fn view_losses(
    network: &Network,
    scene: &FrozenScene,
    questions: &[FrozenQuestion],
    device: &Device,
    rng: Option<&mut ChaCha8Rng>,
) -> ViewLosses {
    let (n, p, v) = (questions.len(), scene.points(), scene.views());
    let words: Vec<Vec<u32>> = questions.iter().map(|q| q.words.clone()).collect();
    let asked_for = network.embed_texts(&words, device);
    let points = scene.point_features(device);

    let [own, weight] = relevance_targets(scene, questions).map(|data| table(data, [n, p], device));
    let given: Vec<Vec<Vec<u32>>> = questions.iter().map(|q| q.given.clone()).collect();
    let looked_at = network.relevance.points(&points, &scene.sample, &scene.bounds, device);
    let logits = network.relevance.forward(&asked_for.states, &looked_at, &given, device);
    let relevance_loss = cross_entropy(logits.clone(), own, weight);

    let cosines = Cosines::new(network, scene, &points, &asked_for, device);
    let quality: Vec<f32> = questions
        .iter()
        .flat_map(|q| (0..v).map(move |view| (q, view)))
        .map(|(q, view)| scene.quality(view, q))
        .collect();
    let asked: Vec<f32> = questions.iter().map(|q| f32::from(u8::from(!q.referents.is_empty()))).collect();
    let good = quality.iter().map(|q| f32::from(u8::from(*q >= GOOD_QUALITY))).collect();
    let (asked, good) = (table(asked, [n, 1], device), table(good, [n, v], device));
    let quality = table(quality, [n, v], device);
    let contrast_loss = contrast_loss(network, &cosines, good, asked.clone().expand([n, v]));

    let weights = network.view_head.weights();
    let shown = ThingsShown::new(logits, scene, device);
    let utility = utility(&cosines.scores(), &weights);
    let chosen = choose_relaxed(Progress::new(utility, &shown, &weights, scene), &mut Noise(rng));
    let missed = missed(&chosen, &quality);
    let choice_loss = (missed * asked.clone()).sum() / asked.sum().clamp_min(1.0);

    let total = relevance_loss.clone()
        + contrast_loss.clone() * WEIGHT_CONTRAST
        + choice_loss.clone() * WEIGHT_CHOICE
        + prior(&weights);
    ViewLosses { total, parts: [relevance_loss, contrast_loss, choice_loss] }
}

/// The pull of w_t to the paper's best.
pub(crate) fn prior(weights: &ViewWeights) -> Tensor<1> {
    (weights.text.clone() - TEXT_WEIGHT_PRIOR).square().sum().mul_scalar(WEIGHT_PRIOR)
}

/// A table of numbers, row by row.
pub(super) fn table(data: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(data, shape), device)
}

/// For each question and point, whether the point belongs to what is asked about, and its weight: every object that does weighs
/// alike, however few its points, and nothing is to be learned of what the question gives.
fn relevance_targets(scene: &FrozenScene, questions: &[FrozenQuestion]) -> [Vec<f32>; 2] {
    let total = questions.len() * scene.points();
    let (mut own, mut weight) = (Vec::with_capacity(total), Vec::with_capacity(total));
    for question in questions {
        let asked = |o: i16| usize::try_from(o).ok().filter(|o| question.referents.contains(o));
        let mut points_of: BTreeMap<usize, usize> = BTreeMap::new();
        scene.point_object.iter().filter_map(|o| asked(*o)).for_each(|o| *points_of.entry(o).or_default() += 1);
        let (objects, positives) = (points_of.len().max(1) as f32, points_of.values().sum::<usize>());
        let negatives = (scene.points() - positives).max(1) as f32;
        let given: BTreeSet<usize> = question.given.iter().flatten().map(|&i| i as usize).collect();
        for (i, &object) in scene.point_object.iter().enumerate() {
            let of_own = asked(object).and_then(|o| points_of.get(&o));
            own.push(f32::from(u8::from(of_own.is_some())));
            weight.push(match of_own {
                _ if given.contains(&i) => 0.0,
                Some(count) => POSITIVE_SHARE / (objects * *count as f32),
                None => (1.0 - POSITIVE_SHARE) / negatives,
            });
        }
    }
    [own, weight]
}

/// What the scores are made of.
pub(super) struct Cosines {
    /// Of questions and what views see in 3D, `[questions, views]`.
    to_points: Tensor<2>,
    /// Of questions and pictures, `[questions, views]`.
    to_images: Tensor<2>,
    /// Of pictures and what views see in 3D, `[views, views]`.
    images_to_points: Tensor<2>,
}

impl Cosines {
    pub(super) fn new(
        network: &Network,
        scene: &FrozenScene,
        points: &PointFeatures,
        asked_for: &TextEmbeddings,
        device: &Device,
    ) -> Self {
        let (image, clip_image) = network.embed_images(&scene.view_features(device));
        let views_3d = network.embed_view_points(points, &scene.visible, device);
        Self {
            to_points: asked_for.text.clone().matmul(views_3d.clone().transpose()),
            to_images: asked_for.clip_text.clone().matmul(clip_image.transpose()),
            images_to_points: image.matmul(views_3d.transpose()),
        }
    }

    /// S_text, S_img and S_clip over the candidates: `[questions, views]`, of S_img `[1, views]`.
    pub(super) fn scores(&self) -> [Tensor<2>; 3] {
        [self.to_points.clone(), self.images_to_points.clone().mean_dim(0), self.to_images.clone()].map(standardised)
    }
}

/// U(v) of `scores` as [`Cosines::scores`] gives them, `[questions, views]`.
pub(super) fn utility(scores: &[Tensor<2>; 3], weights: &ViewWeights) -> Tensor<2> {
    let [text, image, clip] = scores.clone();
    text * weights.text.clone() + image * weights.image.clone() + clip * weights.clip.clone()
}

/// Whether each view shows what is asked about (`good`, where `asked` is 1), and which picture belongs to what is seen in 3D.
fn contrast_loss(network: &Network, cosines: &Cosines, good: Tensor<2>, asked: Tensor<2>) -> Tensor<1> {
    let contrast = network.contrast.val();
    let scaled = |row: usize, cosines: &Tensor<2>| {
        let scale_bias = contrast.clone().narrow(0, row, 1);
        cosines.clone() * scale_bias.clone().narrow(1, 0, 1).exp() + scale_bias.narrow(1, 1, 1)
    };
    let views = good.dims()[1];
    let eye = Tensor::<2>::eye(views, &good.device());
    // one pair belongs together against all but one that do not
    let eye_weight = eye.clone().mul_scalar(views as f32 - 2.0) + 1.0;
    cross_entropy(scaled(0, &cosines.to_points), good.clone(), asked.clone())
        + cross_entropy(scaled(1, &cosines.to_images), good, asked)
        + cross_entropy(scaled(2, &cosines.images_to_points), eye, eye_weight) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redraw::Redraw;
    use burn::module::Module;
    use burn::optim::{AdamWConfig, GradientsParams};
    use rand::SeedableRng;
    use vantage_model::{ModelConfig, TextTowerConfig};

    const WORDS: usize = 30;

    fn question(word: u32, referents: &[usize]) -> FrozenQuestion {
        FrozenQuestion { words: vec![word, 3], given: Vec::new(), referents: referents.to_vec() }
    }

    #[test]
    fn gradients_reach_the_weights_and_they_move_to_better_views() {
        let device = Device::flex().autodiff();
        let mut config = ModelConfig::nano(WORDS, vec!["shell".to_owned(), "box".to_owned()]);
        config.text_tower = TextTowerConfig { width: 24, layers: 1, heads: 2, max_tokens: 8 };
        let network = Network::new(&config, &device);
        // the weights of the choice begin as they do in training
        let view_head = network.view_head.clone();
        let mut network = network.map(&mut Redraw::seeded(5));
        network.view_head = view_head;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let scene = FrozenScene::made_up(config.points.fine_channels(), config.image.width, &mut rng);
        let questions = [question(10, &[0]), question(11, &[1]), question(12, &[2]), question(13, &[])];
        let before = network.view_head.values();
        let missed = |network: &Network| {
            let [.., missed] = view_losses(&network.valid(), &scene, &questions, &Device::flex(), None).parts;
            missed.into_scalar::<f32>()
        };
        let at_first = missed(&network);
        let mut optimizer = AdamWConfig::new().with_weight_decay(0.0).init();
        let mut reached = [false; 4];
        for _ in 0..150 {
            let losses = view_losses(&network, &scene, &questions, &device, Some(&mut rng));
            let grads = GradientsParams::from_grads(losses.total.backward(), &network);
            let raw = grads.get::<2>(network.view_head.raw_id()).unwrap();
            let raw: Vec<f32> = raw.into_data().iter::<f32>().collect();
            assert!(raw.iter().all(|g| g.is_finite()));
            reached.iter_mut().zip(&raw).for_each(|(reached, g)| *reached |= g.abs() > 1e-6);
            network = optimizer.step(3e-3, network, grads);
        }
        assert_eq!(reached, [true; 4]);
        // a third of one view in four at first, then each question's own view first of all
        let in_the_end = missed(&network);
        assert!(at_first > 0.2 && in_the_end < 0.05, "{at_first} {in_the_end}");
        let (utility, diversity) = network.view_head.values();
        assert!((utility.image + utility.clip - 1.0).abs() < 1e-6);
        assert!((utility.text - before.0.text).abs() > 1e-3 && (utility.clip - before.0.clip).abs() > 1e-3);
        let moved = (diversity.new - before.1.new).abs();
        // it is large already, and decides as soon as relevance is known
        assert!(moved > 1e-5 && diversity.seen >= 0.0, "{moved} {diversity:?}");
    }

    #[test]
    fn what_asks_for_nothing_has_no_part_in_the_choice() {
        let device = Device::flex();
        let config = ModelConfig::nano(WORDS, vec!["shell".to_owned(), "box".to_owned()]);
        let network = Network::new(&config, &device);
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let scene = FrozenScene::made_up(config.points.fine_channels(), config.image.width, &mut rng);
        let losses = view_losses(&network, &scene, &[question(10, &[])], &device, None);
        let [relevance, _, missed] = losses.parts.map(|part| part.into_scalar::<f32>());
        assert_eq!(missed, 0.0);
        assert!(relevance > 0.0 && losses.total.into_scalar::<f32>().is_finite());
    }
}
