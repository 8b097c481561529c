//! Logits in, the next token out: greedy or drawn, in the order of steps that Hugging Face's generation uses: repetition
//! penalty, temperature, the k likeliest, the likeliest that sum to p.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerConfig {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Only this many likeliest tokens are drawn; 0 draws from all.
    pub top_k: usize,
    /// Only the likeliest tokens whose odds sum to this are drawn (arXiv 1904.09751); 1 draws from all.
    pub top_p: f32,
    /// Divides positive and multiplies negative logits of tokens that are there already (arXiv 1909.05858); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Of the draws.
    pub seed: u64,
}

impl SamplerConfig {
    /// The likeliest token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// Chooses tokens.
#[derive(Debug)]
pub struct Sampler {
    config: SamplerConfig,
    rng: ChaCha8Rng,
    /// Whether a token stands in the text so far, by id.
    seen: Vec<bool>,
}

impl Sampler {
    /// Equal configs and logits give equal tokens.
    pub fn new(config: SamplerConfig) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(config.seed), config, seen: Vec::new() }
    }

    /// Tells that `tokens` stand in the text, the prompt included.
    pub fn note(&mut self, tokens: &[u32]) {
        for &token in tokens {
            let token = token as usize;
            if token >= self.seen.len() {
                self.seen.resize(token + 1, false);
            }
            self.seen[token] = true;
        }
    }

    /// The next token; of equal logits the first. What is minus infinity is never chosen while anything else is there.
    pub fn choose(&mut self, logits: &mut [f32]) -> u32 {
        let penalty = self.config.repetition_penalty;
        if penalty != 1.0 {
            for (logit, _) in logits.iter_mut().zip(&self.seen).filter(|(_, seen)| **seen) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
        let best = largest(logits);
        let token = if self.config.temperature > 0.0 { self.draw(logits, best) } else { best };
        self.note(&[token as u32]);
        token as u32
    }

    fn draw(&mut self, logits: &[f32], best: usize) -> usize {
        let Some(&top) = logits.get(best) else { return best };
        let scale = f64::from(self.config.temperature);
        let mut odds: Vec<(usize, f64)> = logits
            .iter()
            .enumerate()
            .map(|(i, &x)| (i, (f64::from(x - top) / scale).exp()))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        if self.config.top_k > 0 || self.config.top_p < 1.0 {
            odds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            if self.config.top_k > 0 {
                odds.truncate(self.config.top_k);
            }
            let whole: f64 = odds.iter().map(|(_, w)| w).sum();
            let mut before = 0.0;
            // a token stays when those before it do not yet sum to p
            odds.retain(|(_, w)| {
                let stays = before < f64::from(self.config.top_p) * whole;
                before += w;
                stays
            });
        }
        let mut left = self.rng.random::<f64>() * odds.iter().map(|(_, w)| w).sum::<f64>();
        for &(token, weight) in &odds {
            left -= weight;
            if left < 0.0 {
                return token;
            }
        }
        best
    }
}

/// Index of the largest; the first of equals, 0 of none.
fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &x) in values.iter().enumerate() {
        if x > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(config: SamplerConfig, logits: &[f32], times: usize) -> Vec<usize> {
        let mut counts = vec![0; logits.len()];
        for seed in 0..times {
            let mut sampler = Sampler::new(SamplerConfig { seed: seed as u64, ..config.clone() });
            counts[sampler.choose(&mut logits.to_vec()) as usize] += 1;
        }
        counts
    }

    fn warm() -> SamplerConfig {
        SamplerConfig { temperature: 1.0, ..SamplerConfig::greedy() }
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(drawn(SamplerConfig::greedy(), &[0.0, 2.0, 2.0, f32::NEG_INFINITY], 3), [0, 3, 0, 0]);
    }

    #[test]
    fn draws_follow_the_odds() {
        let counts = drawn(warm(), &[0.0, 3.0f32.ln(), f32::NEG_INFINITY], 4000);
        assert!((2850..3150).contains(&counts[1]) && counts[2] == 0, "{counts:?}");
        let cold = drawn(SamplerConfig { temperature: 0.5, ..warm() }, &[0.0, 3.0f32.ln()], 4000);
        assert!((3450..3750).contains(&cold[1]), "{cold:?}, expected 9 of 10");
    }

    #[test]
    fn only_the_likeliest_are_drawn() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
        let k = drawn(SamplerConfig { top_k: 2, ..warm() }, &logits, 2000);
        assert!(k[0] > 0 && k[1] > 0 && k[2] + k[3] == 0, "{k:?}");
        // 0.5 does not reach 0.6, so the next is in too
        let p = drawn(SamplerConfig { top_p: 0.6, ..warm() }, &logits, 2000);
        assert!(p[0] > 0 && p[1] > 0 && p[2] + p[3] == 0, "{p:?}");
        let first = drawn(SamplerConfig { top_p: 1e-6, ..warm() }, &logits, 200);
        assert_eq!(first[0], 200);
    }

    #[test]
    fn what_was_said_is_less_likely_to_be_said_again() {
        let mut sampler = Sampler::new(SamplerConfig { repetition_penalty: 2.0, ..SamplerConfig::greedy() });
        sampler.note(&[0]);
        assert_eq!(sampler.choose(&mut [3.0, 2.0, -1.0]), 1);
        // 1 is noted by itself; both are halved, and a negative logit sinks
        assert_eq!(sampler.choose(&mut [3.0, 2.0, 1.6]), 2);
        assert_eq!(sampler.choose(&mut [-1.0, -3.0, -1.5]), 0);
    }
}
