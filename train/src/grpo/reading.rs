//! A scene and answers about it in, the scene in the decoder's cache and the answers' hidden states out.

use std::collections::BTreeSet;

use burn::tensor::{Device, Int, Tensor, TensorData};
use vantage_model::decoder::{Branches, KvCache};
use vantage_model::{
    Encoders, ModelConfig, Network, PaddedPoints, PointFeatures, PointSample, SceneInput, ViewFeatures, ViewInput,
};

use super::rollout::Rollout;
use super::update::AnsweredScene;
use crate::dataset::ScenePart;

/// Groups of answers of like length that are read together: a few long answers then do not pad all others.
const LENGTHS: usize = 4;

/// A scene as a network has read it.
pub(super) struct ReadScene {
    /// What the decoder keeps of it.
    pub kv: KvCache,
    /// Its points, for the box decoder.
    pub padded: PaddedPoints,
}

impl ReadScene {
    /// Encodes and reads `scene`; gradients flow into the projections and the decoder, not into the encoders.
    pub fn of(network: &Network, config: &ModelConfig, scene: &ScenePart, device: &Device) -> Self {
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
        let (tokens, lengths) = network.scene_tokens(&input, &plan, &points, features, Encoders::default(), device);
        let padded = network.padded_points(&input, &plan, &points, device);
        Self { kv: network.read_scenes(tokens, &lengths, 0), padded }
    }
}

/// Hidden states of all tokens of the answers, and where they stand.
pub(super) struct ReadTexts {
    /// `[tokens, d_model]`.
    pub hidden: Tensor<2>,
    /// For each answer that was read, the row of its first token.
    pub starts: Vec<Option<usize>>,
}

impl AnsweredScene<'_> {
    /// Reads the answers in which a token was drawn behind their prompts, those of like length together.
    pub(super) fn read(&self, network: &Network, kv: &KvCache) -> ReadTexts {
        let drawn_in: BTreeSet<usize> = self.draws.iter().flatten().map(|draw| draw.answer).collect();
        let mut order: Vec<usize> = drawn_in.into_iter().collect();
        order.sort_by_key(|&i| self.answers[i].text.tokens.len());
        let mut starts = vec![None; self.answers.len()];
        let (mut read, mut rows) = (Vec::new(), 0);
        for together in order.chunks(order.len().div_ceil(LENGTHS).max(1)) {
            let answers: Vec<&Rollout> = together.iter().map(|&i| &self.answers[i]).collect();
            let (hidden, first) = self.read_together(network, kv, &answers);
            let [_, tokens, d] = hidden.dims();
            for (row, &i) in together.iter().enumerate() {
                starts[i] = Some(rows + row * tokens + first);
            }
            rows += together.len() * tokens;
            read.push(hidden.reshape([together.len() * tokens, d]));
        }
        ReadTexts { hidden: Tensor::cat(read, 0), starts }
    }

    /// Reads `answers`, with the objects in focus as they were when the text was written: `[answers, tokens, d_model]`, and the token at
    /// which all of them begin.
    fn read_together(&self, network: &Network, kv: &KvCache, answers: &[&Rollout]) -> (Tensor<3>, usize) {
        let prompt = answers.iter().map(|a| self.rows[a.row].prompt).max().unwrap_or(0);
        let longest = answers.iter().map(|a| a.text.tokens.len()).max().unwrap_or(0);
        // the last token is never read
        let tokens = prompt + longest.saturating_sub(1);
        let width = answers.iter().flat_map(|a| a.text.objects.first()).map(|o| o.token.len()).next().unwrap_or(1);
        let mut ids = vec![self.special.pad as i32; answers.len() * tokens];
        // row 0: nothing in focus
        let mut objects = vec![0.0f32; width];
        let mut focus = vec![0i32; answers.len() * tokens];
        for (i, answer) in answers.iter().enumerate() {
            let own = &self.rows[answer.row].tokens[..self.rows[answer.row].prompt];
            let start = i * tokens + prompt;
            for (slot, &token) in ids[start - own.len()..start].iter_mut().zip(own) {
                *slot = token as i32;
            }
            let before = (objects.len() / width) as i32 - 1;
            objects.extend(answer.text.objects.iter().flat_map(|o| &o.token));
            let mut seen = 0;
            for (t, &token) in answer.text.tokens[..answer.text.tokens.len().saturating_sub(1)].iter().enumerate() {
                ids[start + t] = token as i32;
                focus[start + t] = if seen > 0 { before + seen } else { 0 };
                seen += i32::from(token == self.special.box_open);
            }
        }
        let count = answers.len() * tokens;
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [answers.len(), tokens]), self.device);
        let added = (objects.len() > width).then(|| {
            let shape = [objects.len() / width, width];
            let table = Tensor::<2>::from_data(TensorData::new(objects, shape), self.device);
            let focus = Tensor::<1, Int>::from_data(TensorData::new(focus, [count]), self.device);
            table.select(0, focus).reshape([answers.len(), tokens, width])
        });
        let pads = answers.iter().map(|a| prompt - self.rows[a.row].prompt).collect();
        let mut branches = Branches::new(kv, pads, 0);
        (network.decoder.read_branches(ids, added, &mut branches), prompt)
    }
}
