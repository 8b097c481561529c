//! A scene and questions about it in; sets of its views, drawn with the probability that the weights of the choice give them, and
//! the logarithm of that probability with its gradient, out.
//!
//! Views are taken one after the other, each with the softmax of the gains (Plackett and Luce), which is the greedy choice of gains
//! with Gumbel noise. Only the weights learn here: what the scores and relevance are made of stays as it is.

use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use vantage_model::{ModelConfig, Network, ViewWeights};

use super::choice::{Noise, Progress, ThingsShown};
use super::frozen::FrozenScene;
use super::loss::{Cosines, table, utility};
use crate::dataset::{ScenePart, TextRow};

/// A question about a scene, and what the choice of its views is made by.
#[derive(Debug, Clone)]
pub(crate) struct ScoredViews {
    scene: Arc<FrozenScene>,
    /// S_text, S_img and S_clip of each view, normalised over them.
    scores: [Vec<f32>; 3],
    /// Log-odds of each point that it is what the question is about.
    relevance: Vec<f32>,
}

impl ScoredViews {
    /// One for each of `rows`, at least one, which are about `part`, which has at least one view. `network` is without gradients.
    pub(crate) fn of(
        part: &ScenePart,
        rows: &[TextRow],
        network: &Network,
        config: &ModelConfig,
        device: &Device,
    ) -> Vec<Self> {
        let scene = Arc::new(FrozenScene::of(part, network, config, device));
        let words: Vec<Vec<u32>> = rows.iter().map(|row| row.words.clone()).collect();
        let given: Vec<Vec<Vec<u32>>> = rows.iter().map(|row| row.given.clone()).collect();
        let asked_for = network.embed_texts(&words, device);
        let points = scene.point_features(device);
        let looked_at = network.relevance.points(&points, &scene.sample, &scene.bounds, device);
        let relevance = network.relevance.forward(&asked_for.states, &looked_at, &given, device);
        let shape = [rows.len(), scene.views()];
        let scores = Cosines::new(network, &scene, &points, &asked_for, device).scores();
        let scores = scores.map(|score| numbers(score.expand(shape)));
        let of_row = |row: usize, values: &[f32], width: usize| values[row * width..(row + 1) * width].to_vec();
        let relevance = numbers(relevance);
        (0..rows.len())
            .map(|row| Self {
                scores: scores.each_ref().map(|score| of_row(row, score, scene.views())),
                relevance: of_row(row, &relevance, scene.points()),
                scene: Arc::clone(&scene),
            })
            .collect()
    }

    /// Draws `count` views, or all where there are no more, in the order in which they are taken.
    pub(crate) fn draw(&self, network: &Network, count: usize, rng: &mut ChaCha8Rng, device: &Device) -> Vec<usize> {
        let weights = network.view_head.weights();
        let (shown, utility) = self.on(&weights, device);
        let mut progress = Progress::new(utility, &shown, &weights, &self.scene);
        let mut noise = Noise(Some(rng));
        let mut out = Vec::new();
        for _ in 0..count.min(self.scene.views()) {
            let noisy = numbers(progress.gains()).into_iter().zip(noise.gumbel(self.scene.views())).map(|(a, b)| a + b);
            let Some((view, _)) = noisy.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else { break };
            progress.add(&self.one(view, device));
            out.push(view);
        }
        out
    }

    /// The logarithm of the probability that these views are drawn in this order.
    pub(crate) fn log_probability(&self, network: &Network, views: &[usize], device: &Device) -> Tensor<1> {
        let weights = network.view_head.weights();
        let (shown, utility) = self.on(&weights, device);
        let mut progress = Progress::new(utility, &shown, &weights, &self.scene);
        let mut sum = Tensor::<1>::zeros([1], device);
        for view in views {
            let chosen = self.one(*view, device);
            sum = sum + (log_softmax(progress.gains(), 1) * chosen.clone()).sum();
            progress.add(&chosen);
        }
        sum
    }

    fn on(&self, weights: &ViewWeights, device: &Device) -> (ThingsShown, Tensor<2>) {
        let relevance = table(self.relevance.clone(), [1, self.scene.points()], device);
        let scores = self.scores.each_ref().map(|score| table(score.clone(), [1, self.scene.views()], device));
        (ThingsShown::new(relevance, &self.scene, device), utility(&scores, weights))
    }

    fn one(&self, view: usize, device: &Device) -> Tensor<2> {
        let one = (0..self.scene.views()).map(|v| f32::from(u8::from(v == view))).collect();
        table(one, [1, self.scene.views()], device)
    }
}

fn numbers(x: Tensor<2>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::super::loss::prior;
    use super::*;
    use burn::module::Module;
    use burn::optim::{AdamWConfig, GradientsParams};
    use rand::SeedableRng;

    /// Nothing is relevant; the first three views show an object each, the last one none, and pictures speak for the first.
    fn scored() -> ScoredViews {
        let scene = FrozenScene::made_up(4, 4, &mut ChaCha8Rng::seed_from_u64(3));
        let relevance = vec![-9.0; scene.points()];
        let flat = vec![0.0; scene.views()];
        ScoredViews { scene: Arc::new(scene), scores: [flat.clone(), flat, vec![1.5, -0.5, -0.5, -0.5]], relevance }
    }

    fn network(device: &Device) -> Network {
        Network::new(&ModelConfig::nano(30, vec!["shell".to_owned(), "box".to_owned()]), device)
    }

    #[test]
    fn probabilities_add_up_to_one_and_draws_follow_them() {
        let device = Device::flex();
        let (network, scored) = (network(&device), scored());
        let pairs: Vec<Vec<usize>> =
            (0..4).flat_map(|a| (0..4).filter(move |b| *b != a).map(move |b| vec![a, b])).collect();
        let probabilities: Vec<f32> =
            pairs.iter().map(|p| scored.log_probability(&network, p, &device).into_scalar::<f32>().exp()).collect();
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{probabilities:?}");
        assert!(probabilities.iter().filter(|p| **p > 0.05).count() > 2, "{probabilities:?}");
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let draws: Vec<Vec<usize>> = (0..2000).map(|_| scored.draw(&network, 2, &mut rng, &device)).collect();
        for (pair, probability) in pairs.iter().zip(&probabilities) {
            let share = draws.iter().filter(|d| *d == pair).count() as f32 / draws.len() as f32;
            // five deviations of 2000 draws
            assert!((share - probability).abs() < 0.056, "{pair:?}: {share} {probability}");
        }
        assert_eq!(scored.draw(&network, 9, &mut rng, &device).len(), 4);
    }

    #[test]
    fn what_is_rewarded_becomes_likelier() {
        let device = Device::flex().autodiff();
        let (mut network, scored) = (network(&device), scored());
        let clip = |network: &Network| network.view_head.valid().values().0.clip;
        let before = clip(&network);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut optimizer = AdamWConfig::new().with_weight_decay(0.0).init();
        for _ in 0..60 {
            let plain = network.valid();
            let draws: Vec<Vec<usize>> = (0..4).map(|_| scored.draw(&plain, 1, &mut rng, &Device::flex())).collect();
            let rewards: Vec<f32> = draws.iter().map(|d| f32::from(u8::from(d[0] == 0))).collect();
            let mean = rewards.iter().sum::<f32>() / 4.0;
            let losses = draws
                .iter()
                .zip(&rewards)
                .map(|(views, reward)| scored.log_probability(&network, views, &device).mul_scalar(mean - reward));
            let loss = Tensor::cat(losses.collect(), 0).sum() + prior(&network.view_head.weights());
            let grads = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(0.02, network, grads);
        }
        assert!(clip(&network) > before + 0.1, "{} {before}", clip(&network));
    }
}
