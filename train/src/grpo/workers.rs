//! A batch of scenes with questions in, rolled out and then turned into gradients out: the scenes are shared out over worker
//! threads, each with its own copy of the weights' leaves.

use anyhow::Result;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use vantage_model::{ModelConfig, Network, Tokenizer};

use super::advantage::Spread;
use super::rollout::{Asked, GroupConfig, Lesson, Policy, branch_out, roll_out};
use super::update::{AnsweredScene, UpdateConfig};
use crate::dataset::{Batch, ScenePart, TextRow};
use crate::rewards::{RewardWeights, Similarity};
use crate::run::Pools;

/// What stays the same over a run.
pub struct Trainer<'a> {
    /// The frozen policy that the divergence is measured from, without gradients.
    pub reference: &'a Network,
    /// Sizes of both.
    pub config: &'a ModelConfig,
    /// Their tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Device without gradients.
    pub device: &'a Device,
    /// Device with gradients.
    pub autodiff: &'a Device,
    /// How groups are sampled.
    pub groups: GroupConfig,
    /// What is rewarded.
    pub weights: RewardWeights,
    /// Compares texts.
    pub similarity: Option<&'a Similarity>,
    /// How rewards become advantages.
    pub spread: Spread,
    /// How the loss is made.
    pub update: UpdateConfig,
}

impl Trainer<'_> {
    /// The answers to a scene's questions that teach something, as a network on `device` reads them.
    fn answered<'a>(&'a self, rolled: &'a Rolled, device: &'a Device) -> AnsweredScene<'a> {
        AnsweredScene {
            config: self.config,
            special: self.tokenizer.special(),
            scene: &rolled.scene,
            rows: &rolled.rows,
            answers: &rolled.lesson.answers,
            draws: &rolled.lesson.draws,
            temperature: self.groups.temperature,
            device,
        }
    }
}

/// A scene whose questions were answered.
pub struct Rolled {
    /// The scene.
    pub scene: ScenePart,
    /// Its questions.
    pub rows: Vec<TextRow>,
    /// The answers and what they teach.
    pub lesson: Lesson,
    /// Log-probabilities of the draws under the reference, row by row as [`AnsweredScene::reference_log_probs`] gives them; `None` where
    /// the divergence has no weight.
    reference: Option<Vec<f32>>,
}

/// Sums over the scenes of an update.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateSums {
    /// Scenes that had something to teach.
    pub scenes: usize,
    /// Losses.
    pub loss: f32,
    /// Shares of clipped tokens.
    pub clipped: f32,
    /// Divergences a token.
    pub divergence: f32,
    /// Ratios a token.
    pub ratio: f32,
    /// Overlaps, and scenes that have one.
    pub overlap: (f32, usize),
}

/// The worker threads.
pub struct Workers {
    pools: Pools,
}

impl Workers {
    /// `count` workers, at least one.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(count: usize) -> Result<Self> {
        Ok(Self { pools: Pools::new(count)? })
    }

    /// Answers all questions of `batch` in groups. `network` is without gradients.
    ///
    /// # Errors
    /// When a worker's thread ended early.
    pub fn roll_out(&self, trainer: &Trainer<'_>, network: &Network, batch: &Batch, seed: u64) -> Result<Vec<Rolled>> {
        let scenes: Vec<(&ScenePart, Vec<TextRow>)> = batch
            .scenes
            .iter()
            .enumerate()
            .map(|(s, scene)| (scene, batch.rows.iter().filter(|r| r.scene == s).cloned().collect()))
            .collect();
        self.pools.share(&scenes, &|i, (scene, rows)| {
            let Trainer { config, tokenizer, device, .. } = *trainer;
            let policy = Policy { network, config, tokenizer, device };
            let seed = seed.wrapping_add(i as u64);
            let groups = &trainer.groups;
            let asked = Asked::new(&policy, (scene, rows), groups.max_tokens, &trainer.weights, trainer.similarity);
            let lesson = if groups.branches {
                branch_out(&asked, groups, seed)
            } else {
                roll_out(&asked, groups, trainer.spread, seed)
            };
            let mut rolled = Rolled { scene: (*scene).clone(), rows: rows.clone(), lesson, reference: None };
            let has_reference = trainer.update.grpo.beta > 0.0;
            rolled.reference =
                has_reference.then(|| trainer.answered(&rolled, device).reference_log_probs(trainer.reference));
            rolled
        })
    }

    /// Sums of the scenes' gradients, and what happened in them; `None` where no group teaches anything.
    ///
    /// # Errors
    /// When a worker's thread ended early.
    pub fn gradients(
        &self,
        trainer: &Trainer<'_>,
        network: &Network,
        rolled: &[Rolled],
    ) -> Result<Option<(GradientsParams, UpdateSums)>> {
        let tells = |rolled: &&Rolled| rolled.lesson.degenerate < rolled.lesson.gains.len();
        let telling: Vec<&Rolled> = rolled.iter().filter(tells).collect();
        let results = self.pools.share(&telling, &|_, rolled| {
            let own = network.clone().fork(trainer.autodiff);
            let answered = trainer.answered(rolled, trainer.autodiff);
            let reference = rolled.reference.clone();
            let update = answered.update(&own, &rolled.lesson.advantages, reference, &trainer.update);
            let loss = update.loss.clone().into_scalar::<f32>();
            (GradientsParams::from_grads(update.loss.backward(), &own), loss, update.stats, update.overlap)
        })?;
        let mut sums = UpdateSums::default();
        let mut accumulator = GradientsAccumulator::new();
        for (grads, loss, stats, overlap) in results {
            accumulator.accumulate(network, grads);
            sums.scenes += 1;
            sums.loss += loss;
            sums.clipped += stats.clipped;
            sums.divergence += stats.divergence;
            sums.ratio += stats.ratio;
            if let Some(overlap) = overlap {
                sums.overlap = (sums.overlap.0 + overlap, sums.overlap.1 + 1);
            }
        }
        Ok((sums.scenes > 0).then(|| (accumulator.grads(), sums)))
    }
}
