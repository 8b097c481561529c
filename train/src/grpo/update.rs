//! Rewarded answers about one scene in, the loss whose gradient makes better ones likelier out.
//!
//! The expected reward of a policy that writes y and points with weights w is E[r(y, w)], and its gradient has two parts:
//! that of the odds of y, which GRPO estimates from samples, and that of r itself through the boxes, which the box decoder
//! computes from w. The second needs no estimate: it is the gradient of the share of attention that falls on the true object,
//! the expected hit of a point drawn from it, and of the overlap of the box with the true one. Where branches also leave an answer at
//! what it points at (`rollout.rs`), the first part reaches the pointing too, at the boxes of the answer beside the second.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use vantage_model::{FocusBox, ModelConfig, Network, PaddedPoints, SpecialTokens};

use super::loss::{GrpoConfig, GrpoStats, TokenLogProbs, grpo_loss};
use super::reading::{ReadScene, ReadTexts};
use super::rollout::{Choice, Draw, Rollout, opens, query_at};
use crate::dataset::{ScenePart, TextRow};
use crate::sft::{box_target, overlap_of};

/// Added to shares of a look before the logarithm, which none would not have.
const LEAST_SHARE: f32 = 1.0e-6;

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
    /// Answers to them.
    pub answers: &'a [Rollout],
    /// Tokens that were drawn in these, those that share an advantage together.
    pub draws: &'a [Vec<Draw>],
    /// Of the sampling.
    pub temperature: f32,
    /// Where the network is that reads.
    pub device: &'a Device,
}

impl AnsweredScene<'_> {
    /// Most draws that share an advantage.
    fn most(&self) -> usize {
        self.draws.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// `value` of every draw, `[draws that share an advantage, most]`; 0 where there is none.
    fn of_draws(&self, value: impl Fn(&Draw) -> f32) -> Tensor<2> {
        let most = self.most();
        let mut flat = vec![0.0; self.draws.len() * most];
        for (i, together) in self.draws.iter().enumerate() {
            for (slot, draw) in flat[i * most..].iter_mut().zip(together) {
                *slot = value(draw);
            }
        }
        Tensor::from_data(TensorData::new(flat, [self.draws.len(), most]), self.device)
    }

    /// Log-probabilities of what was drawn, as [`Self::of_draws`] has it.
    fn log_probs(&self, network: &Network, texts: &ReadTexts, padded: &PaddedPoints) -> Tensor<2> {
        let most = self.most();
        let (mut tokens, mut objects) = (Vec::new(), Vec::new());
        for (i, together) in self.draws.iter().enumerate() {
            for (k, draw) in together.iter().enumerate() {
                let at = texts.starts[draw.answer].unwrap_or(0) + draw.place;
                match draw.choice {
                    Choice::Token(token) => tokens.push((i * most + k, at.saturating_sub(1), token)),
                    Choice::Object(object) => objects.push((i * most + k, at, draw, object)),
                }
            }
        }
        // where there is no draw stands what is added last
        let mut place = vec![(tokens.len() + objects.len()) as i32; self.draws.len() * most];
        for (i, slot) in tokens.iter().map(|t| t.0).chain(objects.iter().map(|o| o.0)).enumerate() {
            place[slot] = i as i32;
        }
        let hidden = |at: Vec<i32>| {
            let count = at.len();
            texts.hidden.clone().select(0, Tensor::<1, Int>::from_data(TensorData::new(at, [count]), self.device))
        };
        let mut log_p = Vec::new();
        if !tokens.is_empty() {
            let states = hidden(tokens.iter().map(|t| t.1 as i32).collect());
            log_p.push(self.token_log_probs(network, states, tokens.iter().map(|t| t.2)));
        }
        if !objects.is_empty() {
            let states = hidden(objects.iter().map(|o| o.1 as i32).collect());
            log_p.push(self.object_log_probs(network, states, objects.iter().map(|o| (o.2, o.3)), padded));
        }
        log_p.push(Tensor::zeros([1], self.device));
        let log_p = Tensor::cat(log_p, 0);
        let place = Tensor::<1, Int>::from_data(TensorData::new(place, [self.draws.len() * most]), self.device);
        log_p.select(0, place).reshape([self.draws.len(), most])
    }

    /// `[tokens]`, of `chosen` behind the hidden states `[tokens, d_model]`.
    fn token_log_probs(&self, network: &Network, states: Tensor<2>, chosen: impl Iterator<Item = u32>) -> Tensor<1> {
        let count = states.dims()[0];
        let chosen = TensorData::new(chosen.map(|token| token as i32).collect(), [count, 1]);
        let chosen = Tensor::<2, Int>::from_data(chosen, self.device);
        let logits = network.decoder.logits(states).div_scalar(self.temperature);
        log_softmax(logits, 1).gather(1, chosen).reshape([count])
    }

    /// `[draws]`: logs of the share of the first look that falls on each object, at the `<obj>` with the hidden states `[draws, d_model]`.
    fn object_log_probs<'d>(
        &self,
        network: &Network,
        states: Tensor<2>,
        draws: impl Iterator<Item = (&'d Draw, usize)>,
        padded: &PaddedPoints,
    ) -> Tensor<1> {
        let count = states.dims()[0];
        let (mut earlier, mut own) = (Vec::new(), Vec::new());
        for (draw, object) in draws {
            let query = query_at(&self.answers[draw.answer].text, draw.place, self.special.box_open);
            earlier.push(query.map_or(&[][..], |query| &query.earlier));
            own.extend(self.scene.points_of(object).map(f32::from));
        }
        let prediction = network.boxes(states.unsqueeze_dim(0), &earlier, None, padded);
        let own = TensorData::new(own, [1, count, padded.features.dims()[1]]);
        let share = (prediction.pointing.exp() * Tensor::<3>::from_data(own, self.device)).sum_dim(2);
        (share.reshape([count]) + LEAST_SHARE).log()
    }

    /// Log-probabilities of the draws under `network`, `[draws that share an advantage, most]` row by row, without gradients.
    pub fn reference_log_probs(&self, network: &Network) -> Vec<f32> {
        if self.draws.is_empty() {
            return Vec::new();
        }
        let scene = ReadScene::of(network, self.config, self.scene, self.device);
        let texts = self.read(network, &scene.kv);
        self.log_probs(network, &texts, &scene.padded).into_data().iter::<f32>().collect()
    }

    /// The loss of what was drawn, at least one token, with `advantages`, one for those that share one, and `reference` from
    /// [`Self::reference_log_probs`]; without one, the policy that sampled the answers is the reference. `network` carries gradients.
    pub fn update(
        &self,
        network: &Network,
        advantages: &[f32],
        reference: Option<Vec<f32>>,
        config: &UpdateConfig,
    ) -> Update {
        let scene = ReadScene::of(network, self.config, self.scene, self.device);
        let texts = self.read(network, &scene.kv);
        let sampled = self.of_draws(|draw| draw.log_prob);
        let table = |flat: Vec<f32>| Tensor::from_data(TensorData::new(flat, sampled.dims()), self.device);
        let log_probs = TokenLogProbs {
            policy: self.log_probs(network, &texts, &scene.padded),
            reference: reference.map_or_else(|| sampled.clone(), table),
            sampled,
            mask: self.of_draws(|_| 1.0),
        };
        let advantages = Tensor::<1>::from_data(TensorData::new(advantages.to_vec(), [advantages.len()]), self.device);
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
        let points = padded.features.dims()[1];
        let (mut at, mut center, mut log_size, mut own) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut earlier: Vec<&[FocusBox]> = Vec::new();
        for (answer, start) in self.answers.iter().zip(&texts.starts) {
            let Some(start) = start else { continue };
            let opens: Vec<usize> = opens(&answer.text, self.special.box_open).collect();
            for &(nth, object) in &answer.grounded {
                let Some(&t) = opens.get(nth) else { continue };
                at.push((start + t) as i32);
                earlier.push(answer.text.queries.get(nth).map_or(&[][..], |query| &query.earlier));
                let (c, s) = box_target(&scene.boxes[object], &scene.bounds);
                center.extend(c);
                log_size.extend(s);
                own.extend(scene.points_of(object).map(f32::from));
            }
        }
        let count = at.len();
        if count == 0 {
            return None;
        }
        let of = |data: Vec<f32>, last: usize| Tensor::<3>::from_data(TensorData::new(data, [1, count, last]), device);
        let at = Tensor::<1, Int>::from_data(TensorData::new(at, [count]), device);
        let d = texts.hidden.dims()[1];
        let prediction =
            network.boxes(texts.hidden.clone().select(0, at).reshape([1, count, d]), &earlier, None, padded);
        let hit = (prediction.pointing.exp() * of(own, points)).sum_dim(2).reshape([1, count]);
        let overlap = overlap_of(prediction.center, prediction.log_size, of(center, 3), of(log_size, 3));
        let mean = overlap.clone().detach().mean().into_scalar::<f32>();
        let expected = (hit + overlap).mul_scalar(0.5);
        Some((expected.mean().neg().add_scalar(1.0), mean))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rollout::draws;
    use super::*;
    use crate::grpo::Normalisation;
    use crate::redraw::Redraw;
    use crate::rewards::Rewards;
    use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
    use burn::optim::GradientsParams;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeMap;
    use vantage_model::points::PointEncoderConfig;
    use vantage_model::{BoxQuery, BranchText, DecoderConfig, InFocus, PointSample};
    use vantage_scene::{Aabb, OrientedBox};

    const WORDS: usize = 24;
    const POINTS: usize = 20;
    const ROOM: Aabb = Aabb { min: [0.0, 0.0, 0.0], max: [4.0, 3.0, 2.5] };
    const SPECIAL: SpecialTokens = SpecialTokens {
        pad: 0,
        end: 1,
        scene: 2,
        think_open: 3,
        think_close: 4,
        answer_open: 5,
        answer_close: 6,
        box_open: 7,
        box_close: 8,
    };

    /// What an answer pointed at before: the second question's, once.
    const EARLIER: FocusBox = FocusBox { center: [0.5, -0.3, 0.1], size: [0.4, 0.6, 0.5] };

    fn tiny() -> ModelConfig {
        let nano = ModelConfig::nano(WORDS, vec!["shell".to_owned(), "box".to_owned()]);
        ModelConfig {
            decoder: DecoderConfig {
                hidden_size: 16,
                intermediate_size: 24,
                num_hidden_layers: 2,
                ..nano.decoder.clone()
            },
            points: PointEncoderConfig {
                channels: vec![8, 12],
                depths: vec![1, 1],
                heads: vec![1, 2],
                ..nano.points.clone()
            },
            box_width: 12,
            ..nano
        }
    }

    /// A scene of two boxes and two questions about it.
    fn scene(rng: &mut ChaCha8Rng) -> (ScenePart, Vec<TextRow>) {
        let positions: Vec<[f32; 3]> =
            (0..POINTS).map(|_| [0, 1, 2].map(|k| rng.random_range(0.1..ROOM.max[k] as f32))).collect();
        let features = positions.iter().map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        let solid = |center: [f64; 3]| OrientedBox { center, size: [0.6, 0.5, 0.7], yaw: 0.0 };
        let part = ScenePart {
            points: PointSample { positions, features, grid_m: 0.07 },
            bounds: ROOM,
            views: Vec::new(),
            visible: Vec::new(),
            point_pixels: Vec::new(),
            pixel_shares: Vec::new(),
            point_object: (0..POINTS).map(|i| (i % 3) as i16 - 1).collect(),
            boxes: vec![solid([1.0, 1.0, 0.5]), solid([3.0, 2.0, 0.5])],
            words: vec![[10, 11], [12, 13]],
            classes: vec!["box", "box"],
        };
        let row = |prompt: &[u32]| TextRow {
            scene: 0,
            kind: String::new(),
            tokens: prompt.to_vec(),
            prompt: prompt.len(),
            words: prompt.to_vec(),
            given: Vec::new(),
            objects: Vec::new(),
            referents: vec![0],
            answers: Vec::new(),
            targets: Some(vec![0]),
            places: Vec::new(),
        };
        (part, vec![row(&[2, 10, 11, 12]), row(&[2, 13, 14])])
    }

    /// An answer of random words; one with a box has it third, and a word behind it that was not drawn.
    fn rollout(row: usize, length: usize, has_box: bool, width: usize, rng: &mut ChaCha8Rng) -> Rollout {
        let mut tokens: Vec<u32> = (0..length).map(|_| rng.random_range(9..WORDS as u32)).collect();
        if has_box {
            tokens[2] = SPECIAL.box_open;
        }
        let vector = |rng: &mut ChaCha8Rng| (0..width).map(|_| rng.random_range(-0.5..0.5)).collect::<Vec<f32>>();
        let text = BranchText {
            tokens,
            log_probs: vec![0.0; length],
            drawn: (0..length).map(|t| !(has_box && t == 3)).collect(),
            others: vec![Vec::new(); length],
            finished: true,
            queries: if has_box {
                vec![BoxQuery { state: Vec::new(), earlier: vec![EARLIER; row], among: None }]
            } else {
                Vec::new()
            },
            objects: if has_box {
                vec![InFocus { token: vector(rng), bbox: EARLIER, written: Vec::new() }]
            } else {
                Vec::new()
            },
        };
        Rollout { row, text, rewards: Rewards::default(), grounded: if has_box { vec![(0, row)] } else { Vec::new() } }
    }

    type Directions = BTreeMap<ParamId, Vec<f32>>;

    /// The gradients as plain numbers.
    struct Read<'a>(&'a GradientsParams, Directions);

    impl ModuleVisitor for Read<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.0.get::<D>(param.id) {
                self.1.insert(param.id, grad.into_data().iter::<f32>().collect());
            }
        }
    }

    /// Moves parameters by a multiple of a direction.
    struct Move<'a>(&'a Directions, f32);

    impl ModuleMapper for Move<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, value, mapper) = param.consume();
            let value = match self.0.get(&id) {
                Some(direction) => {
                    let step =
                        Tensor::<D>::from_data(TensorData::new(direction.clone(), value.dims()), &value.device());
                    value + step * self.1
                }
                None => value,
            };
            Param::from_mapped_value(id, value, mapper)
        }
    }

    #[test]
    fn gradients_of_a_whole_network_equal_finite_differences() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let config = tiny();
        let (device, autodiff) = (Device::flex(), Device::flex().autodiff());
        let with_gradients = Network::new(&config, &autodiff).map(&mut Redraw::seeded(12));
        let network = with_gradients.valid();
        let (part, rows) = scene(&mut rng);
        let width = config.decoder.hidden_size;
        let rollouts: Vec<Rollout> = [(0, 7, true), (0, 4, false), (1, 6, true), (1, 5, true)]
            .map(|(row, length, has_box)| rollout(row, length, has_box, width, &mut rng))
            .into();
        fn answered<'a>(
            config: &'a ModelConfig,
            (scene, rows): (&'a ScenePart, &'a [TextRow]),
            (answers, draws): (&'a [Rollout], &'a [Vec<Draw>]),
            device: &'a Device,
        ) -> AnsweredScene<'a> {
            AnsweredScene { config, special: &SPECIAL, scene, rows, answers, draws, temperature: 0.8, device }
        }
        let mut drawn: Vec<Vec<Draw>> =
            rollouts.iter().enumerate().map(|(i, rollout)| draws(i, &rollout.text).collect()).collect();
        // and what an answer has not, where it was left
        drawn.push(vec![Draw { answer: 2, place: 4, choice: Choice::Token(17), log_prob: 0.0 }]);
        // and what it might have pointed at, once with and once without boxes before
        for (answer, object) in [(0, 1), (2, 0)] {
            drawn.push(vec![Draw { answer, place: 2, choice: Choice::Object(object), log_prob: 0.0 }]);
        }
        let own = answered(&config, (&part, &rows), (&rollouts, &drawn), &device).reference_log_probs(&network);
        let most = own.len() / drawn.len();
        // ratios well within the bounds or well beyond, as there are corners at these
        for (i, together) in drawn.iter_mut().enumerate() {
            for (k, draw) in together.iter_mut().enumerate() {
                let off = [0.08, -0.06, 0.5, -0.5][(i + k) % 4] + rng.random_range(-0.02..0.02);
                draw.log_prob = own[i * most + k] + off;
            }
        }
        let reference: Vec<f32> = own.iter().map(|p| p + rng.random_range(-0.6..0.6)).collect();
        let advantages = [1.2, -0.9, 0.7, -1.1, 0.8, 0.9, -0.6];
        let grpo = GrpoConfig { beta: 0.3, normalisation: Normalisation::Token, ..GrpoConfig::default() };
        let update = UpdateConfig { grpo, grounding: 0.5 };

        let whole = answered(&config, (&part, &rows), (&rollouts, &drawn), &autodiff);
        let loss = whole.update(&with_gradients, &advantages, Some(reference.clone()), &update).loss;
        let grads = GradientsParams::from_grads(loss.backward(), &with_gradients);
        let mut read = Read(&grads, Directions::new());
        with_gradients.visit(&mut read);
        let gradient = read.1;
        let norm = |of: &Directions| of.values().flatten().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();

        let plain = answered(&config, (&part, &rows), (&rollouts, &drawn), &device);
        let loss_at = |direction: &Directions, step: f64| {
            let moved = network.clone().map(&mut Move(direction, step as f32));
            f64::from(plain.update(&moved, &advantages, Some(reference.clone()), &update).loss.into_scalar::<f32>())
        };
        // the slope along a gradient is its norm
        let slope = |of: &Directions| {
            let length = norm(of);
            let unit: Directions =
                of.iter().map(|(id, x)| (*id, x.iter().map(|x| (f64::from(*x) / length) as f32).collect())).collect();
            const STEP: f64 = 5e-3;
            let central = |step: f64| (loss_at(&unit, step) - loss_at(&unit, -step)) / (2.0 * step);
            // what a step's square spoils is taken out (Richardson)
            (4.0 * central(STEP) - central(2.0 * STEP)) / 3.0
        };
        let total = norm(&gradient);
        assert!((slope(&gradient) / total - 1.0).abs() < 1e-3, "{} {total}", slope(&gradient));
        for (id, values) in &gradient {
            let alone: Directions = [(*id, values.clone())].into();
            let own = norm(&alone);
            if own > 0.0 {
                assert!((slope(&alone) - own).abs() < 1e-3 * total, "{id}: {} {own} of {total}", slope(&alone));
            }
        }
        // the decoder, the projections and the box decoder learn, the encoders do not
        assert!(gradient.len() > 25, "{} tensors have a gradient", gradient.len());
    }
}
