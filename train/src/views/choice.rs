//! Relevance of points in, the views that a robot would choose out, with gradients.
//!
//! A choice has none: one by Gumbel-softmax (Jang et al., arXiv 1611.01144) stands in for it, straight through, so that gradients
//! reach relevance and the weights.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vantage_model::{LEAST_PROBABILITY, ViewWeights};
use vantage_scene::AGAIN;

use super::frozen::FrozenScene;
use super::loss::table;

/// Views chosen one after the other.
const CHOSEN: usize = 3;
/// Temperature of the relaxed choice.
const TEMPERATURE: f32 = 0.5;
/// What takes a chosen view out of the next choice.
const OUT: f32 = 1.0e4;
/// Of a thing that no view shows, what the best view spends on it: its square is still a number above 0.
const LEAST_PIXELS: f32 = 1.0e-12;
/// What a point counts at least, so that where nothing is relevant the scene is shown.
const LEAST_VALUE: f32 = 1.0e-4;

/// How well each view shows each thing that a question is about: what [`vantage_scene::Shown`] is, with gradients.
pub(super) struct ThingsShown {
    /// What each thing weighs, `[questions, things, 1]`; a question's add up to 1.
    weights: Tensor<3>,
    /// Of the pixels that the best view spends on a thing, the share that each does, `[questions, things, views]`.
    shares: Tensor<3>,
}

impl ThingsShown {
    /// `logits`: `[questions, points]`, log-odds that a point is what the question is about.
    pub(super) fn new(logits: Tensor<2>, scene: &FrozenScene, device: &Device) -> Self {
        let ([n, p], v) = (logits.dims(), scene.views());
        let things = scene.things.iter().max().map_or(0, |last| *last as usize + 1);
        let counted = 1.0 / (1.0 - LEAST_PROBABILITY);
        // the rest stands for what is shown where nothing is relevant
        let values = ((sigmoid(logits) - LEAST_PROBABILITY) * counted).clamp_min(LEAST_VALUE);
        let mut of_thing = vec![0.0f32; p * things];
        scene.things.iter().enumerate().for_each(|(i, thing)| of_thing[i * things + *thing as usize] = 1.0);
        let of_thing = table(of_thing, [p, things], device);
        let sums = values.clone().matmul(of_thing.clone());
        let squares = values.clone().square().matmul(of_thing.clone());
        let worth = squares / sums;
        let weights = worth.clone() / worth.sum_dim(1);
        let pixels = by_view_and_point(&scene.visible, |view, k| scene.point_pixels[view][k], [v, p], device);
        let spent = (values.reshape([n, 1, p]) * pixels.reshape([1, v, p])).reshape([n * v, p]).matmul(of_thing);
        let spent = spent.reshape([n, v, things]).swap_dims(1, 2);
        let best = spent.clone().max_dim(2).clamp_min(LEAST_PIXELS);
        Self { weights: weights.reshape([n, things, 1]), shares: spent / best }
    }

    /// The sum of `shares`, `[questions, things, views]`, weighted: `[questions, views]`.
    fn weighed(&self, shares: Tensor<3>) -> Tensor<2> {
        let [n, _, v] = shares.dims();
        (shares * self.weights.clone()).sum_dim(1).reshape([n, v])
    }
}

/// A number for each point that a view sees, by the view and the point's place in its list; 0 elsewhere. `[views, points]`.
fn by_view_and_point(
    visible: &[Vec<u32>],
    value: impl Fn(usize, usize) -> f32,
    shape: [usize; 2],
    device: &Device,
) -> Tensor<2> {
    let mut out = vec![0.0f32; shape[0] * shape[1]];
    for (view, (row, list)) in out.chunks_mut(shape[1].max(1)).zip(visible).enumerate() {
        list.iter().enumerate().for_each(|(k, &i)| row[i as usize] = value(view, k));
    }
    table(out, shape, device)
}

/// A choice in the making. Its gains are those of [`vantage_scene::select_greedy`].
pub(super) struct Progress<'a> {
    /// `[questions, views]`.
    utility: Tensor<2>,
    shown: &'a ThingsShown,
    weights: &'a ViewWeights,
    /// 1 where a view sees a point, `[views, points]`.
    sees: Tensor<2>,
    /// Points that each view sees, `[1, views]`.
    sizes: Tensor<2>,
    /// What each view shows at all, `[questions, views]`.
    at_all: Tensor<2>,
    /// The best that a chosen view shows of each thing, `[questions, things, 1]`.
    best: Tensor<3>,
    /// 1 where a chosen view sees a point, `[questions, points]`.
    covered: Tensor<2>,
    /// 1 where a view is chosen, `[questions, views]`.
    taken: Tensor<2>,
}

impl<'a> Progress<'a> {
    /// Nothing is chosen. `utility`: `[questions, views]`.
    pub(super) fn new(
        utility: Tensor<2>,
        shown: &'a ThingsShown,
        weights: &'a ViewWeights,
        scene: &FrozenScene,
    ) -> Self {
        let device = &utility.device();
        let ([n, v], p) = (utility.dims(), scene.points());
        let things = shown.shares.dims()[1];
        let sees = by_view_and_point(&scene.visible, |_, _| 1.0, [v, p], device);
        Self {
            utility,
            shown,
            weights,
            sizes: sees.clone().sum_dim(1).clamp_min(1.0).transpose(),
            sees,
            at_all: shown.weighed(shown.shares.clone()),
            best: Tensor::zeros([n, things, 1], device),
            covered: Tensor::zeros([n, p], device),
            taken: Tensor::zeros([n, v], device),
        }
    }

    /// What each view would add, `[questions, views]`; far below all others for those that are chosen.
    pub(super) fn gains(&self) -> Tensor<2> {
        let new = self.shown.weighed((self.shown.shares.clone() - self.best.clone()).clamp_min(0.0));
        let seen = self.covered.clone().matmul(self.sees.clone().transpose()) / self.sizes.clone();
        let shows = new + self.at_all.clone() * AGAIN;
        let gains = self.utility.clone() + shows * self.weights.new.clone() - seen * self.weights.seen.clone();
        gains - self.taken.clone().mul_scalar(OUT)
    }

    /// Takes a view for each question: `chosen`, `[questions, views]`, is 1 there.
    pub(super) fn add(&mut self, chosen: &Tensor<2>) {
        let [n, v] = chosen.dims();
        self.taken = self.taken.clone() + chosen.clone().detach();
        let shows = (self.shown.shares.clone() * chosen.clone().reshape([n, 1, v])).sum_dim(2);
        self.best = self.best.clone() + (shows - self.best.clone()).clamp_min(0.0);
        let hidden = self.covered.clone().neg() + 1.0;
        self.covered = hidden * chosen.clone().matmul(self.sees.clone()) + self.covered.clone();
    }
}

/// The views taken one after the other; of each round `[questions, views]`, 1 at the chosen one, with the gradient of a softmax.
pub(super) fn choose_relaxed(mut progress: Progress<'_>, noise: &mut Noise<'_>) -> Vec<Tensor<2>> {
    let [n, v] = progress.utility.dims();
    let mut out = Vec::new();
    for _ in 0..CHOSEN.min(v) {
        let gains = progress.gains() + table(noise.gumbel(n * v), [n, v], &progress.utility.device());
        let soft = softmax(gains.div_scalar(TEMPERATURE), 1);
        let fixed = soft.clone().detach();
        let hard = fixed.clone().greater_equal(fixed.clone().max_dim(1).expand([n, v])).float();
        let chosen = hard + soft - fixed;
        progress.add(&chosen);
        out.push(chosen);
    }
    out
}

/// How much of what is asked about the first views of `chosen` miss, the mean over the first, the first two and so on,
/// `[questions, 1]`. `quality`: how well each view shows it, `[questions, views]`.
pub(super) fn missed(chosen: &[Tensor<2>], quality: &Tensor<2>) -> Tensor<2> {
    let none = Tensor::<2>::ones([quality.dims()[0], 1], &quality.device());
    let (mut missing, mut sum) = (none.clone(), none.zeros_like());
    for view in chosen {
        missing = missing * ((view.clone() * quality.clone()).sum_dim(1).neg() + 1.0);
        sum = sum + missing.clone();
    }
    sum.div_scalar(chosen.len().max(1) as f32)
}

/// Draws of the standard Gumbel distribution; zeros without a generator.
pub(super) struct Noise<'a>(pub(super) Option<&'a mut ChaCha8Rng>);

impl Noise<'_> {
    pub(super) fn gumbel(&mut self, count: usize) -> Vec<f32> {
        let Some(rng) = &mut self.0 else { return vec![0.0; count] };
        // from above 0 to below 1
        (0..count).map(|_| -(-rng.random_range(1.0e-6f32..0.999_999).ln()).ln()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use vantage_model::{ModelConfig, Network};
    use vantage_scene::{Goal, PointViews, Shown, Stop, VisibleSets, select_greedy};

    #[test]
    fn without_noise_the_choice_is_the_robots() {
        let device = Device::flex();
        let config = ModelConfig::nano(30, vec!["shell".to_owned(), "box".to_owned()]);
        let network = Network::new(&config, &device);
        let (weights, (_, diversity)) = (network.view_head.weights(), network.view_head.values());
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for round in 0..20 {
            let mut scene = FrozenScene::made_up(4, 4, &mut rng);
            let (points, views) = (scene.points(), 7);
            scene.visible = (0..views).map(|_| (0..points as u32).filter(|_| rng.random_bool(0.4)).collect()).collect();
            scene.point_pixels =
                scene.visible.iter().map(|list| list.iter().map(|_| rng.random_range(0.1..2.0)).collect()).collect();
            let logits: Vec<f32> = (0..points).map(|_| rng.random_range(-6.0..4.0)).collect();
            let utility: Vec<f32> = (0..views).map(|_| rng.random_range(-2.0..2.0)).collect();

            let shown = ThingsShown::new(table(logits.clone(), [1, points], &device), &scene, &device);
            let utilities = table(utility.clone(), [1, views], &device);
            let progress = Progress::new(utilities, &shown, &weights, &scene);
            let relaxed: Vec<usize> = choose_relaxed(progress, &mut Noise(None))
                .into_iter()
                .map(|chosen| chosen.argmax(1).into_scalar::<i32>() as usize)
                .collect();

            let values: Vec<f32> = logits
                .iter()
                .map(|x| (1.0 / (1.0 + (-x).exp()) - LEAST_PROBABILITY) / (1.0 - LEAST_PROBABILITY))
                .collect();
            let lists = PointViews::new(points, &scene.visible, &scene.point_pixels);
            let mut sets = VisibleSets::new(points);
            scene.visible.iter().for_each(|list| sets.push(list));
            let goal = Shown::new(&values, &scene.things, &lists);
            let stop = Stop { max_views: CHOSEN, min_new: 0.0, min_views: 1 };
            let greedy = select_greedy(&utility, &sets, Goal::Things(&goal), &diversity, &stop);
            let greedy: Vec<usize> = greedy.iter().map(|pick| pick.view).collect();
            assert_eq!(relaxed, greedy, "round {round}");
        }
    }
}
