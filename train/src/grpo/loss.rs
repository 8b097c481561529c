//! Log-probabilities of sampled tokens under three policies in, the loss out: the clipped ratio of PPO (arXiv 1707.06347) with a
//! group's advantages, and the divergence from a frozen reference.

use burn::tensor::Tensor;

/// By what the sum over tokens is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalisation {
    /// Each answer by its own length, then by the number of answers (GRPO).
    #[default]
    Answer,
    /// All tokens of the batch together by their number (DAPO): long answers weigh more.
    Token,
    /// By the number of answers times the longest answer allowed (Dr. GRPO): the length of an answer gives no weight.
    Constant {
        /// Tokens of the longest answer allowed.
        longest: usize,
    },
}

/// How the loss is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrpoConfig {
    /// How far the ratio may fall below 1 before it is clipped.
    pub clip_low: f32,
    /// How far it may rise above 1; DAPO takes more than below ("clip-higher"), so that rare tokens can become likely.
    pub clip_high: f32,
    /// Weight of the divergence from the reference.
    pub beta: f32,
    /// By what the sum over tokens is divided.
    pub normalisation: Normalisation,
}

impl Default for GrpoConfig {
    /// Clipping of PPO, and beta as in 3D-R1 (arXiv 2507.23478).
    fn default() -> Self {
        Self { clip_low: 0.2, clip_high: 0.2, beta: 0.02, normalisation: Normalisation::Answer }
    }
}

/// Log-probabilities of the sampled tokens, `[answers, tokens]` each; what lies behind an answer's end does not count.
#[derive(Debug, Clone)]
pub struct TokenLogProbs {
    /// Under the policy that is trained; gradients flow here.
    pub policy: Tensor<2>,
    /// Under the policy that sampled them.
    pub sampled: Tensor<2>,
    /// Under the frozen reference.
    pub reference: Tensor<2>,
    /// 1 where a token belongs to its answer, 0 behind it.
    pub mask: Tensor<2>,
}

/// What happened in a loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrpoStats {
    /// Share of tokens whose ratio was clipped, where that changed the loss.
    pub clipped: f32,
    /// Mean divergence of a token from the reference, nats.
    pub divergence: f32,
    /// Mean ratio of a token.
    pub ratio: f32,
}

/// `-min(rho A, clip(rho, 1 - low, 1 + high) A) + beta k3`, averaged as the configuration says, with `rho = exp(policy - sampled)` and
/// the estimator `k3 = exp(reference - policy) - (reference - policy) - 1` of the divergence (Schulman 2020, "Approximating KL
/// divergence"; never negative, and unbiased). `advantages`: `[answers]`. Returns a loss of one element.
pub fn grpo_loss(log_probs: &TokenLogProbs, advantages: &Tensor<1>, config: &GrpoConfig) -> (Tensor<1>, GrpoStats) {
    let TokenLogProbs { policy, sampled, reference, mask } = log_probs;
    let [answers, _] = policy.dims();
    // what lies behind an answer may be anything, also not finite, and its gradient too
    let behind = mask.clone().equal_elem(0.0);
    let unmoved = policy.clone().detach();
    let sampled = sampled.clone().mask_where(behind.clone(), unmoved.clone());
    let reference = reference.clone().mask_where(behind.clone(), unmoved);
    let advantage = advantages.clone().reshape([answers, 1]);
    let ratio = (policy.clone() - sampled).exp();
    let plain = ratio.clone() * advantage.clone();
    let clipped = ratio.clone().clamp(1.0 - config.clip_low, 1.0 + config.clip_high) * advantage;
    let is_clipped = clipped.clone().lower(plain.clone()).float();
    let gain = plain.min_pair(clipped);
    let away = reference - policy.clone();
    let divergence = away.clone().exp() - away - 1.0;
    let kept = |x: Tensor<2>| x.mask_fill(behind.clone(), 0.0);
    let per_token = kept(divergence.clone().mul_scalar(config.beta) - gain);
    let loss = match config.normalisation {
        Normalisation::Answer => {
            let lengths = mask.clone().sum_dim(1).clamp_min(1.0);
            (per_token.sum_dim(1) / lengths).mean()
        }
        Normalisation::Token => per_token.sum() / mask.clone().sum().clamp_min(1.0),
        Normalisation::Constant { longest } => per_token.sum() / (answers * longest.max(1)) as f32,
    };
    let tokens = mask.clone().sum().clamp_min(1.0);
    let mean = |x: Tensor<2>| (kept(x).sum() / tokens.clone()).detach().into_scalar::<f32>();
    let stats = GrpoStats { clipped: mean(is_clipped), divergence: mean(divergence), ratio: mean(ratio) };
    (loss, stats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpo::{Spread, advantages};
    use burn::tensor::activation::log_softmax;
    use burn::tensor::{Device, Int, TensorData};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde::Deserialize;

    const ANSWERS: usize = 4;
    const TOKENS: usize = 5;
    const WORDS: usize = 7;

    /// A policy that is nothing but a table of logits, `[answers, tokens, words]`, and what was sampled from it.
    struct Toy {
        logits: Vec<f32>,
        chosen: Vec<i32>,
        sampled: Vec<f32>,
        reference: Vec<f32>,
        mask: Vec<f32>,
        advantages: Vec<f32>,
    }

    impl Toy {
        fn new(seed: u64, rewards: &[f64; ANSWERS]) -> Self {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut numbers =
                |n: usize, low: f32, high: f32| -> Vec<f32> { (0..n).map(|_| rng.random_range(low..high)).collect() };
            let logits = numbers(ANSWERS * TOKENS * WORDS, -1.0, 1.0);
            let (near, far) = (numbers(ANSWERS * TOKENS, -0.4, 0.4), numbers(ANSWERS * TOKENS, -0.6, 0.6));
            let chosen: Vec<i32> = (0..ANSWERS * TOKENS).map(|i| (i * 3 % WORDS) as i32).collect();
            // answers of 5, 2, 4 and 3 tokens
            let mask: Vec<f32> =
                [5, 2, 4, 3].iter().flat_map(|&n| (0..TOKENS).map(move |t| if t < n { 1.0 } else { 0.0 })).collect();
            let mut toy =
                Self { logits, chosen, sampled: Vec::new(), reference: Vec::new(), mask, advantages: Vec::new() };
            let own: Vec<f32> = toy.policy(&toy.logits, &Device::flex()).into_data().iter::<f32>().collect();
            toy.sampled = own.iter().zip(near).map(|(p, d)| p + d).collect();
            toy.reference = own.iter().zip(far).map(|(p, d)| p + d).collect();
            toy.advantages = advantages(rewards, ANSWERS, Spread::Deviation).values;
            toy
        }

        fn policy(&self, logits: &[f32], device: &Device) -> Tensor<2> {
            let logits = Tensor::<3>::from_data(TensorData::new(logits.to_vec(), [ANSWERS, TOKENS, WORDS]), device);
            self.chosen_of(logits)
        }

        fn chosen_of(&self, logits: Tensor<3>) -> Tensor<2> {
            let device = logits.device();
            let chosen =
                Tensor::<3, Int>::from_data(TensorData::new(self.chosen.clone(), [ANSWERS, TOKENS, 1]), &device);
            log_softmax(logits, 2).gather(2, chosen).reshape([ANSWERS, TOKENS])
        }

        fn loss(&self, policy: Tensor<2>, config: &GrpoConfig) -> (Tensor<1>, GrpoStats) {
            let device = policy.device();
            let table = |x: &[f32]| Tensor::<2>::from_data(TensorData::new(x.to_vec(), [ANSWERS, TOKENS]), &device);
            let log_probs = TokenLogProbs {
                policy,
                sampled: table(&self.sampled),
                reference: table(&self.reference),
                mask: table(&self.mask),
            };
            let advantages = Tensor::<1>::from_data(TensorData::new(self.advantages.clone(), [ANSWERS]), &device);
            grpo_loss(&log_probs, &advantages, config)
        }

        /// The loss and its gradient by the logits.
        fn gradient(&self, config: &GrpoConfig) -> (f32, Vec<f32>) {
            let device = Device::flex().autodiff();
            let shape = [ANSWERS, TOKENS, WORDS];
            let logits = Tensor::<3>::from_data(TensorData::new(self.logits.clone(), shape), &device).require_grad();
            let (loss, _) = self.loss(self.chosen_of(logits.clone()), config);
            let value = loss.clone().into_scalar::<f32>();
            let grads = loss.backward();
            (value, logits.grad(&grads).unwrap().into_data().iter::<f32>().collect())
        }
    }

    const VARIANTS: [Normalisation; 3] =
        [Normalisation::Answer, Normalisation::Token, Normalisation::Constant { longest: 6 }];

    #[test]
    fn gradients_equal_finite_differences() {
        for (seed, normalisation) in (0..).zip(VARIANTS) {
            let toy = Toy::new(seed, &[1.0, 0.2, 0.0, 0.6]);
            let config = GrpoConfig { beta: 0.3, clip_high: 0.25, normalisation, ..GrpoConfig::default() };
            let (_, gradient) = toy.gradient(&config);
            let moved = |i: usize, step: f32| {
                let mut logits = toy.logits.clone();
                logits[i] += step;
                toy.policy(&logits, &Device::flex())
            };
            let at = |i: usize, step: f32| f64::from(toy.loss(moved(i, step), &config).0.into_scalar::<f32>());
            // where the ratio crosses a bound the loss has a corner
            let side = |i: usize, step: f32| {
                let policy: Vec<f32> = moved(i, step).into_data().iter::<f32>().collect();
                let ratio = (policy[i / WORDS] - toy.sampled[i / WORDS]).exp();
                (ratio < 1.0 - config.clip_low, ratio > 1.0 + config.clip_high)
            };
            const STEP: f32 = 2e-2;
            let (mut largest, mut worst, mut compared) = (0.0f64, 0.0f64, 0);
            for (i, given) in gradient.iter().enumerate() {
                if side(i, 2.0 * STEP) != side(i, -2.0 * STEP) {
                    continue;
                }
                let slope = |step: f32| (at(i, step) - at(i, -step)) / f64::from(2.0 * step);
                // what a step's square spoils is taken out (Richardson)
                let difference = (4.0 * slope(STEP) - slope(2.0 * STEP)) / 3.0;
                worst = worst.max((difference - f64::from(*given)).abs());
                largest = largest.max(difference.abs());
                compared += 1;
            }
            assert!(compared > gradient.len() / 2, "{compared} compared");
            assert!(worst < 1e-3 * largest, "{normalisation:?}: {worst} of {largest}");
        }
    }

    #[test]
    fn with_equal_rewards_only_the_divergence_pulls() {
        let toy = Toy::new(3, &[0.4; ANSWERS]);
        let strong = toy.gradient(&GrpoConfig { beta: 1.0, ..GrpoConfig::default() }).1;
        let weak = toy.gradient(&GrpoConfig { beta: 0.5, ..GrpoConfig::default() }).1;
        let none = toy.gradient(&GrpoConfig { beta: 0.0, ..GrpoConfig::default() }).1;
        assert!(none.iter().all(|g| *g == 0.0));
        assert!(strong.iter().zip(&weak).all(|(a, b)| (a - 2.0 * b).abs() < 1e-6));
        assert!(strong.iter().any(|g| g.abs() > 1e-3));
    }

    #[test]
    fn what_lies_behind_an_answer_counts_for_nothing() {
        let mut toy = Toy::new(4, &[1.0, 0.0, 0.5, 0.0]);
        let config = GrpoConfig::default();
        let before = toy.gradient(&config);
        for (i, mask) in toy.mask.iter().enumerate() {
            if *mask == 0.0 {
                toy.sampled[i] = f32::NEG_INFINITY;
                toy.reference[i] = 40.0;
            }
        }
        let after = toy.gradient(&config);
        assert_eq!(before.0, after.0);
        let hidden = |i: usize| toy.mask[i / WORDS] == 0.0;
        assert!((0..before.1.len()).all(|i| if hidden(i) { after.1[i] == 0.0 } else { after.1[i] == before.1[i] }));
    }

    #[test]
    fn a_policy_that_has_not_moved_has_a_ratio_of_one_and_nothing_is_clipped() {
        let mut toy = Toy::new(5, &[1.0, 0.0, 0.5, 0.0]);
        let own: Vec<f32> = toy.policy(&toy.logits, &Device::flex()).into_data().iter::<f32>().collect();
        toy.sampled.clone_from(&own);
        toy.reference = own;
        let stats = toy.loss(toy.policy(&toy.logits, &Device::flex()), &GrpoConfig::default()).1;
        assert_eq!((stats.clipped, stats.divergence), (0.0, 0.0));
        assert!((stats.ratio - 1.0).abs() < 1e-6);
        // far up with a gain, and far down with a loss: both are clipped
        let moved: Vec<f32> =
            (0..ANSWERS * TOKENS).map(|i| if toy.advantages[i / TOKENS] > 0.0 { 0.5 } else { -0.5 }).collect();
        for (sampled, moved) in toy.sampled.iter_mut().zip(moved) {
            *sampled -= moved;
        }
        let stats = toy.loss(toy.policy(&toy.logits, &Device::flex()), &GrpoConfig::default()).1;
        assert_eq!(stats.clipped, 1.0);
    }

    /// What `tests/python/grpo_reference.py` wrote.
    #[derive(Deserialize)]
    struct Reference {
        logits: Vec<f32>,
        chosen: Vec<i32>,
        sampled: Vec<f32>,
        reference: Vec<f32>,
        mask: Vec<f32>,
        rewards: Vec<f64>,
        group: usize,
        shape: [usize; 3],
        cases: Vec<ReferenceCase>,
    }

    #[derive(Deserialize)]
    struct ReferenceCase {
        normalisation: String,
        deviation: bool,
        clip_low: f32,
        clip_high: f32,
        beta: f32,
        loss: f32,
        gradient: Vec<f32>,
    }

    #[test]
    fn loss_and_gradient_equal_those_of_torch() {
        let reference: Reference = serde_json::from_str(include_str!("../../tests/fixtures/grpo.json")).unwrap();
        assert_eq!(reference.shape, [ANSWERS, TOKENS, WORDS]);
        for case in &reference.cases {
            let spread = if case.deviation { Spread::Deviation } else { Spread::None };
            let toy = Toy {
                logits: reference.logits.clone(),
                chosen: reference.chosen.clone(),
                sampled: reference.sampled.clone(),
                reference: reference.reference.clone(),
                mask: reference.mask.clone(),
                advantages: advantages(&reference.rewards, reference.group, spread).values,
            };
            let normalisation = match case.normalisation.as_str() {
                "answer" => Normalisation::Answer,
                "token" => Normalisation::Token,
                _ => Normalisation::Constant { longest: 6 },
            };
            let config =
                GrpoConfig { clip_low: case.clip_low, clip_high: case.clip_high, beta: case.beta, normalisation };
            let (loss, gradient) = toy.gradient(&config);
            assert!((loss - case.loss).abs() < 1e-5, "{normalisation:?}: {loss} {}", case.loss);
            assert_eq!(gradient.len(), case.gradient.len());
            for (ours, theirs) in gradient.iter().zip(&case.gradient) {
                assert!((ours - theirs).abs() < 1e-5, "{normalisation:?}: {ours} {theirs}");
            }
        }
        assert!(reference.cases.len() >= 6);
    }
}
