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
/// `look_up` gives what each `<obj>` points at.
pub fn generate_branches(
    decoder: &Decoder,
    scene: &KvCache,
    prompts: &[Vec<u32>],
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
            let (token, log_prob) = match written {
                Some(token) => (token, 0.0),
                None => choose(logits, sampling.temperature, &mut rngs[row]),
            };
            text.tokens.push(token);
            text.log_probs.push(log_prob);
            text.drawn.push(written.is_none());
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
        let first = generate_branches(&decoder, &cache, &prompts, &plain, &device, &look_up);
        let box_open = first.iter().flat_map(|t| &t.tokens).copied().find(|&t| t != END).unwrap();
        let options = BranchSampling { box_open, ..plain };
        let together = generate_branches(&decoder, &cache, &prompts, &options, &device, &look_up);
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
        let all = generate_branches(&decoder, &cache, &prompts, &sampling(1.0, 7), &device, &look_up);
        let few = generate_branches(&decoder, &cache, &prompts[..3], &sampling(1.0, 7), &device, &look_up);
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
        let texts = generate_branches(&decoder, &cache, &prompts, &sampling(1.0, 7), &device, &look_up);
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
}
