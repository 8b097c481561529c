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
    /// How many of the tokens that were not taken are told, at most, the likeliest of each step.
    pub others: usize,
}

impl BranchSampling {
    fn goes_on(&self, text: &BranchText) -> bool {
        !text.finished && text.tokens.len() < self.max_tokens
    }
}

/// A sampled text, whole or begun.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BranchText {
    /// Token ids, the end token included where the text came to its end.
    pub tokens: Vec<u32>,
    /// Log-probability of each token when it was drawn; 0 where the box decoder wrote it.
    pub log_probs: Vec<f32>,
    /// Whether each token was drawn: numbers of a box and `</obj>` are not.
    pub drawn: Vec<bool>,
    /// For each token, the likeliest of those that could have been drawn instead, each with its log-probability.
    pub others: Vec<Vec<(u32, f32)>>,
    /// Whether the end token came within the budget.
    pub finished: bool,
    /// Each `<obj>` that was read, in order.
    pub queries: Vec<BoxQuery>,
    /// What each of them pointed at, as the tokens behind it read it.
    pub objects: Vec<InFocus>,
}

impl BranchText {
    /// The text up to its token `place`, which was drawn, and then `other` instead of that; to be gone on with. `box_open` as it was
    /// sampled with.
    #[must_use]
    pub fn left_at(&self, place: usize, other: (u32, f32), box_open: u32) -> Self {
        let boxes = self.tokens.iter().take(place).filter(|token| **token == box_open).count();
        let mut begun = Self {
            tokens: self.tokens.iter().take(place).copied().collect(),
            log_probs: self.log_probs.iter().take(place).copied().collect(),
            drawn: self.drawn.iter().take(place).copied().collect(),
            others: self.others.iter().take(place).cloned().collect(),
            finished: false,
            queries: self.queries.iter().take(boxes).cloned().collect(),
            objects: self.objects.iter().take(boxes).cloned().collect(),
        };
        begun.push(other, true, Vec::new());
        begun
    }

    /// The text up to its `<obj>` at `place`, and `object`, which `query` points at there instead; to be gone on with. Not begun where
    /// the text is shorter.
    #[must_use]
    pub fn pointing_at(&self, place: usize, query: BoxQuery, object: InFocus) -> Self {
        let Some((&open, &log_prob)) = self.tokens.get(place).zip(self.log_probs.get(place)) else {
            return Self::default();
        };
        let mut begun = self.left_at(place, (open, log_prob), open);
        for &token in &object.written {
            begun.push((token, 0.0), false, Vec::new());
        }
        begun.queries.push(query);
        begun.objects.push(object);
        begun
    }

    fn push(&mut self, (token, log_prob): (u32, f32), drawn: bool, others: Vec<(u32, f32)>) {
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        self.drawn.push(drawn);
        self.others.push(others);
    }
}

/// Goes on with `texts`, one behind each of `prompts`, none of which is empty, after `scene`, which holds one scene and no text;
/// [`BranchText::default`] has not begun. `look_up` gives what each `<obj>` points at.
pub fn generate_branches(
    decoder: &Decoder,
    scene: &KvCache,
    prompts: &[Vec<u32>],
    mut texts: Vec<BranchText>,
    sampling: &BranchSampling,
    device: &Device,
    look_up: &LookUp<'_>,
) -> Vec<BranchText> {
    texts.resize(prompts.len(), BranchText::default());
    for text in &mut texts {
        text.finished |= text.tokens.last() == Some(&sampling.end);
    }
    // for each row of the batch, its text
    let mut writing: Vec<usize> = (0..prompts.len()).filter(|&row| sampling.goes_on(&texts[row])).collect();
    let length = |row: &usize| prompts[*row].len() + texts[*row].tokens.len();
    let longest = writing.iter().map(length).max().unwrap_or(0);
    let pads: Vec<usize> = writing.iter().map(|row| longest - length(row)).collect();
    let mut input: Vec<i32> = Vec::with_capacity(writing.len() * longest);
    for (&row, &pad) in writing.iter().zip(&pads) {
        input.extend(std::iter::repeat_n(0, pad));
        input.extend(prompts[row].iter().chain(&texts[row].tokens).map(|&t| t as i32));
    }
    let mut branches = Branches::new(scene, pads, longest + sampling.max_tokens);
    let mut rngs: Vec<ChaCha8Rng> = (0..prompts.len() as u64)
        .map(|row| {
            let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
            rng.set_stream(row);
            rng
        })
        .collect();
    // for each text, what the box decoder still has to write
    let mut due: Vec<VecDeque<u32>> = vec![VecDeque::new(); prompts.len()];
    let mut width = longest;
    while !writing.is_empty() && width > 0 {
        let rows = writing.len();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(std::mem::take(&mut input), [rows, width]), device);
        let added = focus(&texts, &writing, width, sampling.box_open, device);
        let hidden = decoder.read_branches(ids, added, &mut branches);
        let [_, tokens, d] = hidden.dims();
        let last = hidden.narrow(1, tokens - 1, 1).reshape([rows, d]);
        for row in point(&mut texts, &writing, &last, sampling, look_up, device) {
            due[row] = texts[row].objects.last().map_or_else(VecDeque::new, |object| object.written.clone().into());
        }
        let logits: Vec<f32> = decoder.logits(last).into_data().iter::<f32>().collect();
        let vocabulary = logits.len() / rows;
        for (&row, logits) in writing.iter().zip(logits.chunks(vocabulary.max(1))) {
            let text = &mut texts[row];
            if !sampling.goes_on(text) {
                continue;
            }
            match due[row].pop_front() {
                Some(token) => text.push((token, 0.0), false, Vec::new()),
                None => {
                    let (token, log_prob) = choose(logits, sampling.temperature, &mut rngs[row]);
                    let others = likeliest_others(logits, (token, log_prob), sampling);
                    text.push((token, log_prob), true, others);
                    text.finished = token == sampling.end;
                }
            }
        }
        let going: Vec<usize> = (0..rows).filter(|&i| sampling.goes_on(&texts[writing[i]])).collect();
        if going.is_empty() {
            break;
        }
        if (rows - going.len()) as f64 >= LEAVE_SHARE * rows as f64 {
            branches.select(&going, device);
            writing = going.iter().map(|&i| writing[i]).collect();
        }
        input = writing.iter().map(|&row| texts[row].tokens.last().map_or(0, |&t| t as i32)).collect();
        width = 1;
    }
    texts
}

/// The likeliest tokens but the one that was taken, `sampling.others` at most, each with its log-probability.
fn likeliest_others(logits: &[f32], (taken, log_prob): (u32, f32), sampling: &BranchSampling) -> Vec<(u32, f32)> {
    if sampling.others == 0 {
        return Vec::new();
    }
    let divisor = if sampling.temperature > 0.0 { sampling.temperature } else { 1.0 };
    let mut others: Vec<usize> = (0..logits.len()).filter(|&token| token != taken as usize).collect();
    let falling = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if others.len() > sampling.others {
        others.select_nth_unstable_by(sampling.others, falling);
        others.truncate(sampling.others);
    }
    others.sort_by(falling);
    let less = |token: usize| (logits[token] - logits[taken as usize]) / divisor;
    others.into_iter().map(|token| (token as u32, log_prob + less(token))).collect()
}

/// What is added to the last `width` tokens of each row: the object in focus, which is that of the nearest `<obj>` before the token.
/// `None` while no row has one.
fn focus(texts: &[BranchText], writing: &[usize], width: usize, box_open: u32, device: &Device) -> Option<Tensor<3>> {
    let d = writing.iter().find_map(|&row| texts[row].objects.last()).map(|object| object.token.len())?;
    let mut added = vec![0.0f32; writing.len() * width * d];
    for (of_row, &row) in added.chunks_mut(width * d).zip(writing) {
        let text = &texts[row];
        let begun = text.tokens.len().min(width);
        // the object in focus of the first of them that is read now
        let read = &text.tokens[..text.tokens.len() - begun];
        let mut objects = read.iter().filter(|token| **token == box_open).count();
        for (out, token) in of_row.chunks_mut(d).skip(width - begun).zip(&text.tokens[text.tokens.len() - begun..]) {
            if let Some(object) = objects.checked_sub(1).and_then(|last| text.objects.get(last)) {
                out.copy_from_slice(&object.token);
            }
            objects += usize::from(*token == box_open);
        }
    }
    Some(Tensor::from_data(TensorData::new(added, [writing.len(), width, d]), device))
}

/// Looks up what the rows point at whose last token, just read, is `<obj>`, and that go on; returns their texts.
fn point(
    texts: &mut [BranchText],
    writing: &[usize],
    last: &Tensor<2>,
    sampling: &BranchSampling,
    look_up: &LookUp<'_>,
    device: &Device,
) -> Vec<usize> {
    let pointing = |row: usize| sampling.goes_on(&texts[row]) && texts[row].tokens.last() == Some(&sampling.box_open);
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
            among: None,
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
        BranchSampling { max_tokens: 30, temperature, seed, end: END, box_open: BOX_OPEN, others: 0 }
    }

    #[test]
    fn texts_written_side_by_side_are_those_written_alone() {
        let (decoder, cache, device) = small();
        let prompts: Vec<Vec<u32>> = (0..8).map(|i| (0..1 + i % 4).map(|k| 3 + (i + k) % 9).collect()).collect();
        // an untrained decoder writes few tokens: one that it does write stands for `<obj>`
        let plain = BranchSampling { box_open: u32::MAX, ..sampling(0.0, 0) };
        let first = generate_branches(&decoder, &cache, &prompts, Vec::new(), &plain, &device, &look_up);
        let box_open = first.iter().flat_map(|t| &t.tokens).copied().find(|&t| t != END).unwrap();
        let options = BranchSampling { box_open, ..plain };
        let together = generate_branches(&decoder, &cache, &prompts, Vec::new(), &options, &device, &look_up);
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
        let all = generate_branches(&decoder, &cache, &prompts, Vec::new(), &sampling(4.0, 7), &device, &look_up);
        let few = generate_branches(&decoder, &cache, &prompts[..3], Vec::new(), &sampling(4.0, 7), &device, &look_up);
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
        let texts = generate_branches(&decoder, &cache, &prompts, Vec::new(), &sampling(1.0, 7), &device, &look_up);
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
    fn a_begun_text_goes_on_as_if_it_had_been_written() {
        let (decoder, cache, device) = small();
        let prompts: Vec<Vec<u32>> = (0..8).map(|i| (0..1 + i % 4).map(|k| 3 + (i + k) % 9).collect()).collect();
        // an untrained decoder writes few tokens: one that it does write stands for `<obj>`
        let plain = BranchSampling { box_open: u32::MAX, ..sampling(0.0, 0) };
        let first = generate_branches(&decoder, &cache, &prompts, Vec::new(), &plain, &device, &look_up);
        let written = |t: &u32| ![END, 5, 6].contains(t);
        let box_open = first.iter().flat_map(|text| &text.tokens).copied().find(written).unwrap();
        let options = BranchSampling { box_open, others: 2, ..plain };
        let whole = generate_branches(&decoder, &cache, &prompts, Vec::new(), &options, &device, &look_up);
        // all beginnings of all texts side by side, of very different lengths
        let mut cases = Vec::new();
        for (i, text) in whole.iter().enumerate() {
            for place in (0..text.tokens.len()).filter(|&t| text.drawn[t]) {
                cases.push((i, text.left_at(place, (text.tokens[place], text.log_probs[place]), box_open)));
            }
            // and those that end behind a box, pointed at as it was
            let opens = (0..text.tokens.len()).filter(|&t| text.drawn[t] && text.tokens[t] == box_open);
            for ((place, query), object) in opens.zip(&text.queries).zip(&text.objects) {
                if place + object.written.len() < text.tokens.len() {
                    cases.push((i, text.pointing_at(place, query.clone(), object.clone())));
                }
            }
        }
        let of_cases: Vec<Vec<u32>> = cases.iter().map(|(i, _)| prompts[*i].clone()).collect();
        let begun: Vec<BranchText> = cases.iter().map(|(_, text)| text.clone()).collect();
        let with_objects = begun.iter().filter(|text| !text.objects.is_empty()).count();
        let at_box = begun.iter().filter(|text| text.tokens.last() == Some(&box_open)).count();
        let behind_box = begun.iter().filter(|text| text.drawn.last() == Some(&false)).count();
        assert!(with_objects > 3 && at_box > 3 && behind_box > 3, "{with_objects} {at_box} {behind_box}");
        let on = generate_branches(&decoder, &cache, &of_cases, begun, &options, &device, &look_up);
        for ((i, begun), text) in cases.iter().zip(&on) {
            let whole = &whole[*i];
            assert_eq!((&text.tokens, &text.drawn, text.finished), (&whole.tokens, &whole.drawn, whole.finished));
            assert_eq!(text.others.len(), text.tokens.len());
            assert!(text.log_probs.iter().zip(&whole.log_probs).all(|(a, b)| (a - b).abs() < 1e-3));
            assert_eq!((text.queries.len(), text.objects.len()), (whole.queries.len(), whole.objects.len()));
            for (a, b) in text.queries.iter().zip(&whole.queries) {
                assert_eq!(a.earlier, b.earlier);
                assert!(a.state.iter().zip(&b.state).all(|(a, b)| (a - b).abs() < 1e-3));
            }
            assert!(begun.tokens.len() <= text.tokens.len());
        }
        // what has come to its end stays as it is
        let end = BranchText::default().left_at(0, (END, -0.5), box_open);
        let same = generate_branches(&decoder, &cache, &prompts[..1], vec![end.clone()], &options, &device, &look_up);
        assert_eq!(same, [BranchText { finished: true, ..end }]);
    }

    #[test]
    fn the_odds_of_what_was_not_taken_are_of_the_same_distribution() {
        let (decoder, cache, device) = small();
        let prompts = vec![vec![3, 4, 5]; 3];
        let all = BranchSampling { others: 100, ..sampling(0.0, 9) };
        let few = BranchSampling { others: 3, ..all };
        let whole = generate_branches(&decoder, &cache, &prompts, Vec::new(), &all, &device, &look_up);
        let short = generate_branches(&decoder, &cache, &prompts, Vec::new(), &few, &device, &look_up);
        for (text, few) in whole.iter().zip(&short) {
            assert_eq!(text.tokens, few.tokens);
            for t in 0..text.tokens.len() {
                if !text.drawn[t] {
                    assert!(text.others[t].is_empty());
                    continue;
                }
                let sum: f32 = text.others[t].iter().map(|(_, p)| p.exp()).sum();
                assert!((sum + text.log_probs[t].exp() - 1.0).abs() < 1e-4, "{sum}");
                assert_eq!(text.others[t].len(), 11);
                assert!(text.others[t].iter().all(|(token, p)| *token != text.tokens[t] && *p <= text.log_probs[t]));
                assert_eq!(few.others[t], text.others[t][..3]);
            }
        }
    }
}
