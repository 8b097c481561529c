//! A batch of scenes with questions in, rolled out and then turned into gradients out: the scenes are shared out over worker
//! threads, each with its own copy of the weights' leaves.

use anyhow::Result;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use vantage_model::{ModelConfig, Network, Tokenizer};

use super::advantage::{Spread, advantages};
use super::rollout::{GroupConfig, Policy, Rollout, roll_out};
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
    /// Some answers to a scene's questions, as a network on `device` reads them.
    fn answered<'a>(&'a self, rolled: &'a Rolled, answers: &'a [&'a Rollout], device: &'a Device) -> AnsweredScene<'a> {
        AnsweredScene {
            config: self.config,
            special: self.tokenizer.special(),
            scene: &rolled.scene,
            rows: &rolled.rows,
            answers,
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
    /// The answers, a group's adjacent.
    pub answers: Vec<Rollout>,
    /// One for each answer.
    pub advantages: Vec<f32>,
    /// For each answer, whether its group's rewards differ.
    pub informative: Vec<bool>,
    /// Log-probabilities of the informative answers' tokens under the reference, `[answers, longest]`.
    reference: Vec<f32>,
}

impl Rolled {
    /// Answers that teach something.
    fn informative(&self) -> (Vec<&Rollout>, Vec<f32>) {
        let kept = self.answers.iter().zip(&self.advantages).zip(&self.informative).filter(|(_, kept)| **kept);
        kept.map(|((answer, advantage), _)| (answer, *advantage)).unzip()
    }

    /// Groups with equal rewards.
    pub fn degenerate(&self, group: usize) -> usize {
        self.informative.iter().step_by(group.max(1)).filter(|informative| !**informative).count()
    }
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
            let answers = roll_out(&policy, scene, rows, &trainer.groups, &trainer.weights, trainer.similarity, seed);
            let totals: Vec<f64> = answers.iter().map(|a| a.rewards.total).collect();
            let group = trainer.groups.group.max(1);
            let advantages = advantages(&totals, group, trainer.spread);
            let informative = answers.iter().enumerate().map(|(a, _)| advantages.informative[a / group]).collect();
            let mut rolled = Rolled {
                scene: (*scene).clone(),
                rows: rows.clone(),
                answers,
                advantages: advantages.values,
                informative,
                reference: Vec::new(),
            };
            let (kept, _) = rolled.informative();
            let answered = trainer.answered(&rolled, &kept, trainer.device);
            let reference = if kept.is_empty() { Vec::new() } else { answered.reference_log_probs(trainer.reference) };
            rolled.reference = reference;
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
        let telling: Vec<&Rolled> = rolled.iter().filter(|r| r.informative.iter().any(|kept| *kept)).collect();
        let results = self.pools.share(&telling, &|_, rolled| {
            let own = network.clone().fork(trainer.autodiff);
            let (answers, advantages) = rolled.informative();
            let answered = trainer.answered(rolled, &answers, trainer.autodiff);
            let update = answered.update(&own, &advantages, rolled.reference.clone(), &trainer.update);
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
