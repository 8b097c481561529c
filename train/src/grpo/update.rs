//! Rewarded answers about one scene in, the loss whose gradient makes better ones likelier out.
//!
//! The expected reward of a policy that writes y and points with weights w is E[r(y, w)], and its gradient has two parts:
//! that of the odds of y, which GRPO estimates from samples, and that of r itself through the boxes, which the box decoder
//! computes from w. The second needs no estimate: it is the gradient of the share of attention that falls on the true object,
//! the expected hit of a point drawn from it, and of the overlap of the box with the true one.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use vantage_model::decoder::{Branches, KvCache};
use vantage_model::{
    ModelConfig, Network, PaddedPoints, PointFeatures, PointSample, SceneInput, SpecialTokens, ViewFeatures, ViewInput,
    scene_center,
};

use super::loss::{GrpoConfig, GrpoStats, TokenLogProbs, grpo_loss};
use super::rollout::Rollout;
use crate::dataset::{ScenePart, TextRow};
use crate::sft::{box_target, overlap_of};

/// What the loss is made of.
#[derive(Debug, Clone, Copy)]
pub struct UpdateConfig {
    /// Clipping, divergence, normalisation.
    pub grpo: GrpoConfig,
    /// Weight of the reward's own gradient through the boxes.
    pub grounding: f32,
}

/// The loss of some answers about one scene.
pub struct Update {
    /// What is differentiated.
    pub loss: Tensor<1>,
    /// What happened in it.
    pub stats: GrpoStats,
    /// Mean overlap of the answers' boxes with the true ones, axis-aligned; `None` where no answer has a box to compare.
    pub overlap: Option<f32>,
}

/// A scene as a network has read it.
struct ReadScene {
    kv: KvCache,
    padded: PaddedPoints,
}

/// Hidden states of all tokens of the answers, and where they stand.
struct ReadTexts {
    /// `[answers * tokens, d_model]`.
    hidden: Tensor<2>,
    /// Tokens a row of `hidden`.
    tokens: usize,
    /// Tokens of the longest prompt, at which all texts begin.
    prompt: usize,
}

/// Answers to questions about one scene, and what they are read with.
pub struct AnsweredScene<'a> {
    /// Sizes of the networks.
    pub config: &'a ModelConfig,
    /// Their marks.
    pub special: &'a SpecialTokens,
    /// The scene.
    pub scene: &'a ScenePart,
    /// Its questions.
    pub rows: &'a [TextRow],
    /// Answers to some of them.
    pub answers: &'a [&'a Rollout],
    /// Of the sampling.
    pub temperature: f32,
    /// Where the network is that reads.
    pub device: &'a Device,
}

impl AnsweredScene<'_> {
    /// Encodes and reads the scene; gradients flow into the projections and the decoder, not into the encoders.
    fn read_scene(&self, network: &Network) -> ReadScene {
        let Self { config, scene, device, .. } = *self;
        let views: Vec<&ViewInput> = scene.views.iter().collect();
        let input = [SceneInput { points: &scene.points, bounds: &scene.bounds, views: &views }];
        let samples: [&PointSample; 1] = [&scene.points];
        let (plan, points) = network.encode_points(&samples, config, device);
        let points = PointFeatures { fine: points.fine.detach(), coarse: points.coarse.detach() };
        let fixed = |f: ViewFeatures| ViewFeatures { tokens: f.tokens.detach(), pooled: f.pooled.detach() };
        let features = (!views.is_empty()).then(|| {
            let (image, depth) = network.encode_views(&views, config, device);
            (fixed(image), fixed(depth))
        });
        let features = features.as_ref().map(|(image, depth)| (image, depth));
        let (tokens, lengths) = network.scene_tokens(&input, &plan, &points, features, device);
        let padded = network.padded_points(&input, &plan, &points, device);
        ReadScene { kv: network.read_scenes(tokens, &lengths, 0), padded }
    }

    /// Tokens of the longest prompt and the longest answer.
    fn lengths(&self) -> (usize, usize) {
        let prompt = self.answers.iter().map(|a| self.rows[a.row].prompt).max().unwrap_or(0);
        let answer = self.answers.iter().map(|a| a.text.tokens.len()).max().unwrap_or(0);
        (prompt, answer)
    }

    /// Reads all answers behind their prompts, with the objects in focus as they were when the text was written.
    fn read(&self, network: &Network, kv: &KvCache) -> ReadTexts {
        let (prompt, longest) = self.lengths();
        // the last token is never read
        let tokens = prompt + longest.saturating_sub(1);
        let width = self.answers.iter().flat_map(|a| a.text.objects.first()).map(Vec::len).next().unwrap_or(1);
        let mut ids = vec![self.special.pad as i32; self.answers.len() * tokens];
        // row 0: nothing in focus
        let mut objects = vec![0.0f32; width];
        let mut focus = vec![0i32; self.answers.len() * tokens];
        for (i, answer) in self.answers.iter().enumerate() {
            let own = &self.rows[answer.row].tokens[..self.rows[answer.row].prompt];
            let start = i * tokens + prompt;
            for (slot, &token) in ids[start - own.len()..start].iter_mut().zip(own) {
                *slot = token as i32;
            }
            let before = (objects.len() / width) as i32 - 1;
            objects.extend(answer.text.objects.iter().flatten());
            let mut seen = 0;
            for (t, &token) in answer.text.tokens[..answer.text.tokens.len().saturating_sub(1)].iter().enumerate() {
                ids[start + t] = token as i32;
                focus[start + t] = if seen > 0 { before + seen } else { 0 };
                seen += i32::from(token == self.special.box_open);
            }
        }
        let count = self.answers.len() * tokens;
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [self.answers.len(), tokens]), self.device);
        let added = (objects.len() > width).then(|| {
            let shape = [objects.len() / width, width];
            let table = Tensor::<2>::from_data(TensorData::new(objects, shape), self.device);
            let focus = Tensor::<1, Int>::from_data(TensorData::new(focus, [count]), self.device);
            table.select(0, focus).reshape([self.answers.len(), tokens, width])
        });
        let pads = self.answers.iter().map(|a| prompt - self.rows[a.row].prompt).collect();
        let mut branches = Branches::new(kv, pads, 0);
        let hidden = network.decoder.read_branches(ids, added, &mut branches);
        let d = hidden.dims()[2];
        ReadTexts { hidden: hidden.reshape([count, d]), tokens, prompt }
    }

    /// Log-probabilities of the answers' tokens, `[answers, longest]`; 0 behind an answer's end.
    fn log_probs(&self, network: &Network, texts: &ReadTexts) -> Tensor<2> {
        let (_, longest) = self.lengths();
        let (mut at, mut chosen) = (Vec::new(), Vec::new());
        let real: usize = self.answers.iter().map(|a| a.text.tokens.len()).sum();
        // tokens behind an end take what is added last
        let mut place = vec![real as i32; self.answers.len() * longest];
        for (i, answer) in self.answers.iter().enumerate() {
            for (t, &token) in answer.text.tokens.iter().enumerate() {
                place[i * longest + t] = at.len() as i32;
                at.push((i * texts.tokens + texts.prompt + t - 1) as i32);
                chosen.push(token as i32);
            }
        }
        let at = Tensor::<1, Int>::from_data(TensorData::new(at, [real]), self.device);
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [real, 1]), self.device);
        let logits = network.decoder.logits(texts.hidden.clone().select(0, at)).div_scalar(self.temperature);
        let log_p = log_softmax(logits, 1).gather(1, chosen).reshape([real]);
        let log_p = Tensor::cat(vec![log_p, Tensor::zeros([1], self.device)], 0);
        let place = Tensor::<1, Int>::from_data(TensorData::new(place, [self.answers.len() * longest]), self.device);
        log_p.select(0, place).reshape([self.answers.len(), longest])
    }

    /// Log-probabilities of the answers' tokens under `network`, `[answers, longest]` row by row, without gradients.
    pub fn reference_log_probs(&self, network: &Network) -> Vec<f32> {
        let texts = self.read(network, &self.read_scene(network).kv);
        self.log_probs(network, &texts).into_data().iter::<f32>().collect()
    }

    /// The loss of the answers with their `advantages`, one each, and `reference` from [`Self::reference_log_probs`]. `network`
    /// carries gradients.
    pub fn update(&self, network: &Network, advantages: &[f32], reference: Vec<f32>, config: &UpdateConfig) -> Update {
        let (answers, device) = (self.answers, self.device);
        let (_, longest) = self.lengths();
        let table = |flat: Vec<f32>| Tensor::<2>::from_data(TensorData::new(flat, [answers.len(), longest]), device);
        let in_rows = |value: &dyn Fn(&Rollout, usize) -> f32| {
            table(answers.iter().flat_map(|a| (0..longest).map(move |t| (a, t))).map(|(a, t)| value(a, t)).collect())
        };
        let scene = self.read_scene(network);
        let texts = self.read(network, &scene.kv);
        let log_probs = TokenLogProbs {
            policy: self.log_probs(network, &texts),
            sampled: in_rows(&|a, t| a.text.log_probs.get(t).copied().unwrap_or(0.0)),
            reference: table(reference),
            mask: in_rows(&|a, t| if t < a.text.tokens.len() { 1.0 } else { 0.0 }),
        };
        let advantages = Tensor::<1>::from_data(TensorData::new(advantages.to_vec(), [advantages.len()]), device);
        let (mut loss, stats) = grpo_loss(&log_probs, &advantages, &config.grpo);
        let mut overlap = None;
        if config.grounding > 0.0
            && let Some((grounding, mean)) = self.grounding_loss(network, &texts, &scene.padded)
        {
            loss = loss + grounding.mul_scalar(config.grounding);
            overlap = Some(mean);
        }
        Update { loss, stats, overlap }
    }

    /// One minus half the expected hit and half the overlap, averaged over the boxes that stand for an object; and the mean overlap.
    fn grounding_loss(&self, network: &Network, texts: &ReadTexts, padded: &PaddedPoints) -> Option<(Tensor<1>, f32)> {
        let Self { scene, device, .. } = *self;
        let origin = scene_center(&scene.bounds);
        let points = padded.features.dims()[1];
        let (mut at, mut center, mut log_size, mut own) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, answer) in self.answers.iter().enumerate() {
            let opens: Vec<usize> =
                (0..answer.text.tokens.len()).filter(|&t| answer.text.tokens[t] == self.special.box_open).collect();
            for &(nth, object) in &answer.grounded {
                let Some(&t) = opens.get(nth) else { continue };
                at.push((i * texts.tokens + texts.prompt + t) as i32);
                let (c, s) = box_target(&scene.boxes[object], &origin);
                center.extend(c);
                log_size.extend(s);
                own.extend(scene.point_object.iter().map(|&o| if o == object as i16 { 1.0f32 } else { 0.0 }));
            }
        }
        let count = at.len();
        if count == 0 {
            return None;
        }
        let of = |data: Vec<f32>, last: usize| Tensor::<3>::from_data(TensorData::new(data, [1, count, last]), device);
        let at = Tensor::<1, Int>::from_data(TensorData::new(at, [count]), device);
        let d = texts.hidden.dims()[1];
        let prediction = network.boxes(texts.hidden.clone().select(0, at).reshape([1, count, d]), padded);
        let hit = (prediction.pointing.exp() * of(own, points)).sum_dim(2).reshape([1, count]);
        let overlap = overlap_of(prediction.center, prediction.log_size, of(center, 3), of(log_size, 3));
        let mean = overlap.clone().detach().mean().into_scalar::<f32>();
        let expected = (hit + overlap).mul_scalar(0.5);
        Some((expected.mean().neg().add_scalar(1.0), mean))
    }
}
