//! One scene that was read and many prompts in, one sampled text a prompt out, all written side by side: what reinforcement
//! learning and the scoring of many questions on one scene need.

use std::collections::VecDeque;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::decoder::{Branches, Decoder, KvCache};
use crate::generate::{LookUp, choose};
use crate::pointing::{BoxQuery, InFocus, rows};

/// Texts that are done leave the batch once they are this share of it.
const LEAVE_SHARE: f64 = 0.2;

/// How texts are sampled.
#[derive(Debug, Clone, Copy)]
pub struct BranchSampling {
    /// Most tokens of a text, the end token included.
    pub max_tokens: usize,
    /// 0 takes the likeliest token; above, samples from softmax(logits / temperature).
    pub temperature: f32,
    /// Of the draws; each row has a stream of its own.
    pub seed: u64,
    /// Token that ends a text.
    pub end: u32,
    /// Token `<obj>`, whose hidden state points at an object.
    pub box_open: u32,
}

/// How a text begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// Tokens that are taken instead of drawn, in order; what the box decoder writes comes between them by itself.
    pub tokens: Vec<u32>,
    /// The token that may not come behind them: one draw from the odds of the others, at temperature 1.
    pub other_than: Option<u32>,
}

/// A sampled text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BranchText {
    /// Token ids, the end token included where the text came to its end.
    pub tokens: Vec<u32>,
    /// Log-probability of each token when it was drawn; 0 where the box decoder wrote it.
    pub log_probs: Vec<f32>,
    /// Whether each token was drawn: numbers of a box and `</obj>` are not.
    pub drawn: Vec<bool>,
    /// Whether the end token came within the budget.
    pub finished: bool,
    /// Each `<obj>` that was read, in order.
    pub queries: Vec<BoxQuery>,
    /// What each of them pointed at, as the tokens behind it read it.
    pub objects: Vec<InFocus>,
}

/// Writes one text behind each of `prompts`, none of which is empty, after `scene`, which holds one scene and no text.
/// `scripts`: how each of them begins; those that it does not reach begin freely. `look_up` gives what each `<obj>` points at.
pub fn generate_branches(
    decoder: &Decoder,
    scene: &KvCache,
    prompts: &[Vec<u32>],
    scripts: &[Script],
    sampling: &BranchSampling,
    device: &Device,
    look_up: &LookUp<'_>,
) -> Vec<BranchText> {
    let mut texts = vec![BranchText::default(); prompts.len()];
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    if longest == 0 || sampling.max_tokens == 0 {
        return texts;
    }
    let pads: Vec<usize> = prompts.iter().map(|p| longest - p.len()).collect();
    let mut input: Vec<i32> = Vec::with_capacity(prompts.len() * longest);
    for (prompt, &pad) in prompts.iter().zip(&pads) {
        input.extend(std::iter::repeat_n(0, pad));
        input.extend(prompt.iter().map(|&t| t as i32));
    }
    let mut branches = Branches::new(scene, pads, longest + sampling.max_tokens);
    let mut rngs: Vec<ChaCha8Rng> = (0..prompts.len() as u64)
        .map(|row| {
            let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
            rng.set_stream(row);
            rng
        })
        .collect();
    // for each row of the batch, its text
    let mut writing: Vec<usize> = (0..prompts.len()).collect();
    // for each text, what the box decoder still has to write
    let mut due: Vec<VecDeque<u32>> = vec![VecDeque::new(); prompts.len()];
    // for each text, how many of its tokens were drawn
    let mut drawn = vec![0; prompts.len()];
    let mut width = longest;
    loop {
        let rows = writing.len();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(std::mem::take(&mut input), [rows, width]), device);
        let added = focus(&texts, &writing, device);
        let hidden = decoder.read_branches(ids, added, &mut branches);
        let [_, tokens, d] = hidden.dims();
        let last = hidden.narrow(1, tokens - 1, 1).reshape([rows, d]);
        for row in point(&mut texts, &writing, &last, sampling.box_open, look_up, device) {
            due[row] = texts[row].objects.last().map_or_else(VecDeque::new, |object| object.written.clone().into());
        }
        let logits: Vec<f32> = decoder.logits(last).into_data().iter::<f32>().collect();
        let vocabulary = logits.len() / rows;
        for (&row, logits) in writing.iter().zip(logits.chunks(vocabulary.max(1))) {
            let text = &mut texts[row];
            if text.finished {
                continue;
            }
            let written = due[row].pop_front();
            let script = scripts.get(row).filter(|script| drawn[row] <= script.tokens.len());
            let (token, log_prob) = match (written, script) {
                (Some(token), _) => (token, 0.0),
                (None, Some(script)) => follow(script, drawn[row], logits, sampling.temperature, &mut rngs[row]),
                (None, None) => choose(logits, sampling.temperature, &mut rngs[row]),
            };
            text.tokens.push(token);
            text.log_probs.push(log_prob);
            text.drawn.push(written.is_none());
            drawn[row] += usize::from(written.is_none());
            text.finished = token == sampling.end;
        }
        let going: Vec<usize> = (0..rows).filter(|&i| !texts[writing[i]].finished).collect();
        let budget_spent = branches.tokens() + 1 >= longest + sampling.max_tokens;
        if going.is_empty() || budget_spent {
            return texts;
        }
        if (rows - going.len()) as f64 >= LEAVE_SHARE * rows as f64 {
            branches.select(&going, device);
            writing = going.iter().map(|&i| writing[i]).collect();
        }
        input = writing.iter().map(|&row| texts[row].tokens.last().map_or(0, |&t| t as i32)).collect();
        width = 1;
    }
}

/// The token of `script` behind `drawn` drawn ones, at most all of its own, and its log-probability.
fn follow(script: &Script, drawn: usize, logits: &[f32], temperature: f32, rng: &mut ChaCha8Rng) -> (u32, f32) {
    let divisor = if temperature > 0.0 { temperature } else { 1.0 };
    match (script.tokens.get(drawn), script.other_than) {
        (Some(&token), _) => (token, log_probability(logits, token, divisor)),
        (None, Some(other_than)) => {
            let mut others = logits.to_vec();
            if let Some(logit) = others.get_mut(other_than as usize) {
                *logit = f32::NEG_INFINITY;
            }
            let (token, _) = choose(&others, 1.0, rng);
            (token, log_probability(logits, token, 1.0))
        }
        (None, None) => choose(logits, temperature, rng),
    }
}

/// Of `token` under softmax(logits / divisor).
fn log_probability(logits: &[f32], token: u32, divisor: f32) -> f32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let whole: f64 = logits.iter().map(|x| f64::from((x - top) / divisor).exp()).sum();
    let own = logits.get(token as usize).map_or(f64::NEG_INFINITY, |x| f64::from((x - top) / divisor));
    (own - whole.ln()) as f32
}

/// What is added to the next token of each row: the object in focus. `None` while no row has one.
fn focus(texts: &[BranchText], writing: &[usize], device: &Device) -> Option<Tensor<3>> {
    let width = writing.iter().find_map(|&row| texts[row].objects.last()).map(|o| o.token.len())?;
    let mut added = vec![0.0f32; writing.len() * width];
    for (out, &row) in added.chunks_mut(width).zip(writing) {
        if let Some(object) = texts[row].objects.last() {
            out.copy_from_slice(&object.token);
        }
    }
    Some(Tensor::from_data(TensorData::new(added, [writing.len(), 1, width]), device))
}

/// Looks up what the rows point at whose last token, just read, is `<obj>`; returns their texts.
fn point(
    texts: &mut [BranchText],
    writing: &[usize],
    last: &Tensor<2>,
    box_open: u32,
    look_up: &LookUp<'_>,
    device: &Device,
) -> Vec<usize> {
    let pointing = |row: usize| !texts[row].finished && texts[row].tokens.last() == Some(&box_open);
    let at: Vec<usize> = (0..writing.len()).filter(|&i| pointing(writing[i])).collect();
    if at.is_empty() {
        return Vec::new();
    }
    let index: Vec<i32> = at.iter().map(|&i| i as i32).collect();
    let states = last.clone().select(0, Tensor::from_data(TensorData::new(index, [at.len()]), device));
    let queries: Vec<BoxQuery> = rows(states)
        .into_iter()
        .zip(&at)
        .map(|(state, &i)| BoxQuery {
            state,
            earlier: texts[writing[i]].objects.iter().map(|object| object.bbox).collect(),
        })
        .collect();
    let objects = look_up(&queries);
    for ((&i, query), object) in at.iter().zip(queries).zip(objects) {
        texts[writing[i]].queries.push(query);
        texts[writing[i]].objects.push(object);
    }
    at.into_iter().map(|i| writing[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DecoderConfig;
    use crate::generate::{Aids, Sampling, generate};
    use crate::relations::FocusBox;
    use crate::weights::{Placement, WeightReader};
    use std::ops::ControlFlow;

    const END: u32 = 1;
    const BOX_OPEN: u32 = 2;

    fn small() -> (Decoder, KvCache, Device) {
        let device = Device::flex();
        let config = DecoderConfig::tiny(12);
        // the same weights whatever other tests draw
        let reader = WeightReader::synthetic(Placement::tensors(device.clone()), 11);
        let decoder = Decoder::read(&config, &reader.enter("model"), &reader);
        let scene: Vec<f32> = (0..5 * 32).map(|i| (i as f32 * 0.7).sin()).collect();
        let scene = Tensor::<3>::from_data(TensorData::new(scene, [1, 5, 32]), &device);
        let cache = decoder.read_scenes(scene, &[5], 0);
        (decoder, cache, device)
    }

    /// Half of the state, a place that tells how many boxes there were, and three tokens to write.
    fn look_up(queries: &[BoxQuery]) -> Vec<InFocus> {
        let half = |query: &BoxQuery| query.state.iter().map(|x| 0.5 * x).collect();
        let bbox = |query: &BoxQuery| FocusBox { center: [query.earlier.len() as f32; 3], size: [1.0; 3] };
        let written = vec![5, 6, 5];
        let object = |query| InFocus { token: half(query), bbox: bbox(query), written: written.clone() };
        queries.iter().map(object).collect()
    }

    fn sampling(temperature: f32, seed: u64) -> BranchSampling {
        BranchSampling { max_tokens: 30, temperature, seed, end: END, box_open: BOX_OPEN }
    }

    #[test]
    fn texts_written_side_by_side_are_those_written_alone() {
        let (decoder, cache, device) = small();
        let prompts: Vec<Vec<u32>> = (0..8).map(|i| (0..1 + i % 4).map(|k| 3 + (i + k) % 9).collect()).collect();
        // an untrained decoder writes few tokens: one that it does write stands for `<obj>`
        let plain = BranchSampling { box_open: u32::MAX, ..sampling(0.0, 0) };
        let first = generate_branches(&decoder, &cache, &prompts, &[], &plain, &device, &look_up);
        let box_open = first.iter().flat_map(|t| &t.tokens).copied().find(|&t| t != END).unwrap();
        let options = BranchSampling { box_open, ..plain };
        let together = generate_branches(&decoder, &cache, &prompts, &[], &options, &device, &look_up);
        let mut compared = 0;
        for (prompt, text) in prompts.iter().zip(&together) {
            let options = Sampling { max_tokens: 30, deadline: None, temperature: 0.0, seed: 0, end: END, box_open };
            let aids = Aids { look_up: &look_up, guide: None, on_token: &mut |_| ControlFlow::Continue(()) };
            let alone = generate(&decoder, &mut cache.clone(), prompt, &options, &device, aids);
            let written = text.tokens.strip_suffix(&[END]).unwrap_or(&text.tokens);
            assert_eq!(written, alone.tokens);
            assert_eq!(text.log_probs.len(), text.tokens.len());
            assert_eq!(text.objects.len(), text.queries.len());
            for (together, alone) in text.queries.iter().zip(&alone.queries) {
                assert_eq!(together.earlier, alone.earlier);
                for (a, b) in together.state.iter().zip(&alone.state) {
                    assert!((a - b).abs() < 1e-4);
                    compared += 1;
                }
            }
        }
        assert!(compared > 0);
    }

    #[test]
    fn a_row_draws_the_same_whoever_stands_beside_it() {
        let (decoder, cache, device) = small();
        let prompts = vec![vec![3, 4, 5]; 12];
        let all = generate_branches(&decoder, &cache, &prompts, &[], &sampling(4.0, 7), &device, &look_up);
        let few = generate_branches(&decoder, &cache, &prompts[..3], &[], &sampling(4.0, 7), &device, &look_up);
        assert_eq!(
            all.iter().take(3).map(|t| &t.tokens).collect::<Vec<_>>(),
            few.iter().map(|t| &t.tokens).collect::<Vec<_>>()
        );
        let lengths: std::collections::BTreeSet<usize> = all.iter().map(|t| t.tokens.len()).collect();
        assert!(lengths.len() > 3, "{lengths:?}");
        assert!(all.iter().any(|t| t.finished) && all.iter().all(|t| t.tokens.len() <= 30));
        assert!(all.iter().any(|t| !t.objects.is_empty()));
    }

    #[test]
    fn what_the_box_decoder_writes_is_not_drawn() {
        let (decoder, cache, device) = small();
        let prompts = vec![vec![3, 4, 5]; 12];
        let texts = generate_branches(&decoder, &cache, &prompts, &[], &sampling(1.0, 7), &device, &look_up);
        let mut whole = 0;
        for text in &texts {
            for (t, _) in text.tokens.iter().enumerate().filter(|(t, token)| **token == BOX_OPEN && text.drawn[*t]) {
                let end = text.tokens.len().min(t + 4);
                assert_eq!(text.tokens[t + 1..end], [5, 6, 5][..end - t - 1]);
                assert!(text.drawn[t + 1..end].iter().all(|drawn| !drawn));
                assert!(text.log_probs[t + 1..end].iter().all(|p| *p == 0.0));
                whole += usize::from(end == t + 4);
            }
            let written = text.drawn.iter().filter(|drawn| !**drawn).count();
            assert!(written <= 3 * text.objects.len() && text.drawn.len() == text.tokens.len());
        }
        assert!(whole > 0);
    }

    #[test]
    fn a_script_is_followed_and_then_left() {
        let (decoder, cache, device) = small();
        let prompts = vec![vec![3, 4, 5]; 40];
        let greedy = sampling(0.0, 9);
        let trunk = generate_branches(&decoder, &cache, &prompts[..1], &[], &greedy, &device, &look_up).remove(0);
        let of_trunk: Vec<(u32, f32)> = (0..trunk.tokens.len())
            .filter(|&t| trunk.drawn[t])
            .map(|t| (trunk.tokens[t], trunk.log_probs[t]))
            .collect();
        let steps = of_trunk.len().min(6);
        let scripts: Vec<Script> = (0..40)
            .map(|i| Script {
                tokens: of_trunk[..i % steps].iter().map(|(token, _)| *token).collect(),
                other_than: Some(of_trunk[i % steps].0),
            })
            .collect();
        let texts = generate_branches(&decoder, &cache, &prompts, &scripts, &greedy, &device, &look_up);
        for (i, text) in texts.iter().enumerate() {
            let drawn: Vec<usize> = (0..text.tokens.len()).filter(|&t| text.drawn[t]).collect();
            for (&t, (token, log_prob)) in drawn.iter().zip(&of_trunk[..i % steps]) {
                assert_eq!(text.tokens[t], *token);
                assert!((text.log_probs[t] - log_prob).abs() < 1e-4);
            }
            let left = drawn[i % steps];
            assert_ne!(text.tokens[left], of_trunk[i % steps].0);
            let both = text.log_probs[left].exp() + of_trunk[i % steps].1.exp();
            assert!(both < 1.0 + 1e-4, "odds of both are of one distribution: {both}");
        }
        let others: std::collections::BTreeSet<u32> = texts.iter().step_by(steps).map(|t| t.tokens[0]).collect();
        assert!(others.len() > 1, "drawn, not the second likeliest alone");
    }
}
