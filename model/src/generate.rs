//! A cache that holds a scene, and a prompt, in; text tokens and the hidden states at `<obj>` out.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::decoder::{Decoder, KvCache};
use crate::grammar::Guide;
use crate::pointing::{BoxQuery, InFocus};

/// How the next token is chosen and when to stop.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// No token is begun after this.
    pub deadline: Option<Instant>,
    /// 0 takes the likeliest token; above, samples from softmax(logits / temperature).
    pub temperature: f32,
    /// Seed of the sampling.
    pub seed: u64,
    /// Token that ends the text.
    pub end: u32,
    /// Token `<obj>`, whose hidden state the box decoder reads.
    pub box_open: u32,
}

/// Each `<obj>` in, what it points at out; as many.
pub type LookUp<'a> = dyn Fn(&[BoxQuery]) -> Vec<InFocus> + 'a;

/// What takes part in the generation besides the decoder.
pub struct Aids<'a> {
    /// Gives what each `<obj>` points at.
    pub look_up: &'a LookUp<'a>,
    /// Keeps the text in the grammar.
    pub guide: Option<Guide<'a>>,
    /// Sees each token as it is chosen, and may stop the text there.
    pub on_token: &'a mut dyn FnMut(u32) -> ControlFlow<()>,
}

/// What was generated.
#[derive(Debug, Clone, Default)]
pub struct Generated {
    /// Token ids, without the end token.
    pub tokens: Vec<u32>,
    /// Each `<obj>`, in order.
    pub queries: Vec<BoxQuery>,
    /// True when the end token came before the token budget was spent or the text was stopped.
    pub finished: bool,
}

/// Continues `prompt` after what `cache` holds (batch 1).
pub fn generate(
    decoder: &Decoder,
    cache: &mut KvCache,
    prompt: &[u32],
    sampling: &Sampling,
    device: &Device,
    mut aids: Aids<'_>,
) -> Generated {
    let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
    let mut out = Generated::default();
    let mut input: Vec<u32> = prompt.to_vec();
    // the object in focus, added to every token behind its `<obj>`
    let mut object: Option<InFocus> = None;
    let mut earlier = Vec::new();
    loop {
        let ids: Vec<i32> = input.iter().map(|&i| i as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, input.len()]), device);
        let added = object
            .as_ref()
            .map(|o| Tensor::<3>::from_data(TensorData::new(o.token.clone(), [1, 1, o.token.len()]), device));
        let hidden = decoder.read_text(ids, added, cache);
        let [_, tokens, width] = hidden.dims();
        let last = hidden.narrow(1, tokens - 1, 1).reshape([1, width]);
        // what the box decoder writes next
        let mut written: Vec<u32> = Vec::new();
        if out.tokens.last() == Some(&sampling.box_open) {
            let state = last.clone().into_data().iter::<f32>().collect();
            let query = BoxQuery { state, earlier: earlier.clone(), among: None };
            object = (aids.look_up)(std::slice::from_ref(&query)).pop();
            earlier.extend(object.as_ref().map(|o| o.bbox));
            out.queries.push(query);
            written = object.as_ref().map_or_else(Vec::new, |o| o.written.clone());
        }
        let is_late = sampling.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if out.tokens.len() == sampling.max_tokens || is_late {
            return out;
        }
        written.truncate(sampling.max_tokens - out.tokens.len());
        if !written.is_empty() {
            input = written;
            for &token in &input {
                if out.take(token, &mut aids).is_break() {
                    return out;
                }
            }
            continue;
        }
        let mut logits: Vec<f32> = decoder.logits(last).into_data().iter::<f32>().collect();
        if let Some(guide) = &aids.guide {
            let left = sampling.max_tokens - out.tokens.len();
            for (token, logit) in logits.iter_mut().enumerate() {
                if !guide.allows(token as u32, left) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        let (next, _) = choose(&logits, sampling.temperature, &mut rng);
        if next == sampling.end {
            out.finished = true;
            return out;
        }
        if out.take(next, &mut aids).is_break() {
            return out;
        }
        input = vec![next];
    }
}

impl Generated {
    fn take(&mut self, token: u32, aids: &mut Aids<'_>) -> ControlFlow<()> {
        if let Some(guide) = &mut aids.guide {
            guide.advance(token);
        }
        self.tokens.push(token);
        (aids.on_token)(token)
    }
}

/// The index of the largest logit (the first of equals), or a draw from softmax(logits / temperature); and its log-probability
/// there, at temperature 0 under softmax(logits).
pub(crate) fn choose(logits: &[f32], temperature: f32, rng: &mut ChaCha8Rng) -> (u32, f32) {
    let mut best = 0;
    for (i, &x) in logits.iter().enumerate() {
        if x > logits[best] {
            best = i;
        }
    }
    let Some(&top) = logits.get(best) else { return (0, 0.0) };
    let divisor = if temperature > 0.0 { temperature } else { 1.0 };
    let weights: Vec<f32> = logits.iter().map(|&x| ((x - top) / divisor).exp()).collect();
    let whole: f64 = weights.iter().copied().map(f64::from).sum();
    let chosen = if temperature > 0.0 {
        let mut draw = rng.random::<f64>() * whole;
        weights.iter().position(|&w| {
            draw -= f64::from(w);
            draw < 0.0
        })
    } else {
        None
    };
    let chosen = chosen.unwrap_or(best);
    (chosen as u32, (f64::from((logits[chosen] - top) / divisor) - whole.ln()) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choosing_is_greedy_at_zero_and_follows_the_odds_above() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(choose(&[0.0, 2.0, 2.0, 1.0], 0.0, &mut rng).0, 1);
        let draws: Vec<(u32, f32)> = (0..4000).map(|_| choose(&[0.0, (3.0f32).ln()], 1.0, &mut rng)).collect();
        let ones = draws.iter().filter(|(token, _)| *token == 1).count();
        assert!((2850..3150).contains(&ones), "{ones} of 4000, expected about 3000");
        for (token, log_p) in draws {
            let odds: f32 = if token == 1 { 0.75 } else { 0.25 };
            assert!((log_p - odds.ln()).abs() < 1e-6);
        }
    }
}
