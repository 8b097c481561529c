//! Questions about scenes with all their views in; each question with several sets of views, drawn as the model would choose them,
//! out; and, once these are answered and rewarded, the gradient of the reward with respect to the weights of the choice.
//!
//! A set's advantage is what its answers earned beyond those with the question's other sets (REINFORCE with a leave-one-out
//! baseline: Kool et al. 2019), times the gradient of the logarithm of its probability.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vantage_model::{ModelConfig, Network};

use super::workers::Rolled;
use crate::dataset::{Batch, ScenePart, TextRow};
use crate::views::{ScoredViews, prior};

/// Sets of views for each question.
pub const SETS: usize = 2;

/// The sets that a step's questions are answered with.
#[derive(Default)]
pub struct ViewSets {
    questions: Vec<Drawn>,
}

struct Drawn {
    scored: ScoredViews,
    sets: Vec<Vec<usize>>,
}

/// A step's gradient for the weights of the choice.
pub struct ViewGradient {
    /// Of nothing but these.
    pub grads: GradientsParams,
    /// Mean distance of a set's rewards from those of the question's other sets.
    pub spread: f32,
}

impl ViewSets {
    /// Draws sets of `count` views for every question of `batch`, whose scenes have all their views: the batch in which each
    /// question stands alone with each of its sets, a question's adjacent. `network` is without gradients.
    pub fn draw(
        &mut self,
        batch: &Batch,
        network: &Network,
        config: &ModelConfig,
        count: usize,
        seed: u64,
        device: &Device,
    ) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut out = Batch { scenes: Vec::new(), rows: Vec::new(), questions: 1 };
        for (place, scene) in batch.scenes.iter().enumerate().filter(|(_, scene)| !scene.views.is_empty()) {
            let rows: Vec<TextRow> = batch.rows.iter().filter(|row| row.scene == place).cloned().collect();
            if rows.is_empty() {
                continue;
            }
            for (row, scored) in rows.iter().zip(ScoredViews::of(scene, &rows, network, config, device)) {
                let sets: Vec<Vec<usize>> = (0..SETS).map(|_| scored.draw(network, count, &mut rng, device)).collect();
                for set in &sets {
                    out.rows.push(TextRow { scene: out.scenes.len(), ..row.clone() });
                    out.scenes.push(with_views(scene, set));
                }
                self.questions.push(Drawn { scored, sets });
            }
        }
        out
    }

    /// The gradient that `rolled`, the answers to all batches drawn, in order, gives; `None` where no two sets of a question
    /// differ in what they earned.
    pub fn gradient(&self, network: &Network, rolled: &[Rolled], device: &Device) -> Option<ViewGradient> {
        let rewards: Vec<f32> = rolled.iter().map(mean_reward).collect();
        let mut loss = prior(&network.view_head.weights());
        let (mut spread, mut any) = (0.0, false);
        let count = (self.questions.len() * SETS).max(1) as f32;
        for (drawn, rewards) in self.questions.iter().zip(rewards.chunks(SETS)) {
            for (set, advantage) in drawn.sets.iter().zip(leave_one_out(rewards)) {
                spread += advantage.abs() / count;
                if advantage != 0.0 && !set.is_empty() {
                    let log_probability: Tensor<1> = drawn.scored.log_probability(network, set, device);
                    loss = loss - log_probability.mul_scalar(advantage / count);
                    any = true;
                }
            }
        }
        any.then(|| ViewGradient { grads: GradientsParams::from_grads(loss.backward(), network), spread })
    }
}

/// `scene` with these of its views, in this order.
fn with_views(scene: &ScenePart, views: &[usize]) -> ScenePart {
    ScenePart {
        views: views.iter().map(|&v| scene.views[v].clone()).collect(),
        visible: views.iter().map(|&v| scene.visible[v].clone()).collect(),
        point_pixels: views.iter().map(|&v| scene.point_pixels[v].clone()).collect(),
        pixel_shares: views.iter().map(|&v| scene.pixel_shares[v].clone()).collect(),
        points: scene.points.clone(),
        bounds: scene.bounds,
        point_object: scene.point_object.clone(),
        boxes: scene.boxes.clone(),
        words: scene.words.clone(),
        classes: scene.classes.clone(),
    }
}

fn mean_reward(rolled: &Rolled) -> f32 {
    let sum: f64 = rolled.lesson.answers.iter().map(|answer| answer.rewards.total).sum();
    (sum / rolled.lesson.answers.len().max(1) as f64) as f32
}

/// Each reward less the mean of the others.
fn leave_one_out(rewards: &[f32]) -> impl Iterator<Item = f32> {
    let sum: f32 = rewards.iter().sum();
    let others = (rewards.len() - 1).max(1) as f32;
    rewards.iter().map(move |reward| reward - (sum - reward) / others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_compared_with_the_others() {
        let close = |rewards: &[f32], expected: &[f32]| {
            let found: Vec<f32> = leave_one_out(rewards).collect();
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        close(&[1.0, 0.25], &[0.75, -0.75]);
        close(&[3.0, 0.0, 0.0], &[3.0, -1.5, -1.5]);
        close(&[2.0, 2.0], &[0.0, 0.0]);
    }
}
