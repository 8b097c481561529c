//! One scene and questions about it in, a group of sampled and rewarded answers to each out.

use burn::tensor::Device;
use vantage_model::{
    BoxQuery, BranchSampling, BranchText, ModelConfig, Network, PointSample, SceneInput, SpecialTokens, Tokenizer,
    ViewInput, generate_branches, grammar, objects_in_focus, world_boxes,
};
use vantage_scene::OrientedBox;

use crate::dataset::{ScenePart, TextRow};
use crate::metrics::match_boxes;
use crate::rewards::{Expected, RewardWeights, Rewards, Similarity, Written, reward};

/// How groups are sampled.
#[derive(Debug, Clone, Copy)]
pub struct GroupConfig {
    /// Answers to each question.
    pub group: usize,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Of the sampling; the policy is softmax(logits / temperature).
    pub temperature: f32,
}

/// A sampled answer.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Index of its question among the scene's rows.
    pub row: usize,
    /// What was written.
    pub text: BranchText,
    /// What it earned.
    pub rewards: Rewards,
    /// Which `<obj>` of the text stands for which object of the room: those of the answer that were matched with a true
    /// box, and, where no box overlaps any, the first of the answer with the first true one.
    pub grounded: Vec<(usize, usize)>,
}

/// What rolling out needs besides the scene.
pub struct Policy<'a> {
    /// Without gradients.
    pub network: &'a Network,
    /// Its sizes.
    pub config: &'a ModelConfig,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Where it runs.
    pub device: &'a Device,
}

/// Samples `groups.group` answers to each of `rows`, which are questions about `scene`, a group's answers adjacent.
pub fn roll_out(
    policy: &Policy<'_>,
    scene: &ScenePart,
    rows: &[TextRow],
    groups: &GroupConfig,
    weights: &RewardWeights,
    similarity: Option<&Similarity>,
    seed: u64,
) -> Vec<Rollout> {
    let Policy { network, config, tokenizer, device, .. } = *policy;
    let special: &SpecialTokens = tokenizer.special();
    let views: Vec<&ViewInput> = scene.views.iter().collect();
    let input = [SceneInput { points: &scene.points, bounds: &scene.bounds, views: &views }];
    let samples: [&PointSample; 1] = [&scene.points];
    let (plan, points) = network.encode_points(&samples, config, device);
    let features = (!views.is_empty()).then(|| network.encode_views(&views, config, device));
    let features = features.as_ref().map(|(image, depth)| (image, depth));
    let (tokens, lengths) = network.scene_tokens(&input, &plan, &points, features, device);
    let padded = network.padded_points(&input, &plan, &points, device);
    let read = network.read_scenes(tokens, &lengths, 0);
    let prompts: Vec<Vec<u32>> =
        rows.iter().flat_map(|row| std::iter::repeat_n(row.tokens[..row.prompt].to_vec(), groups.group)).collect();
    let sampling = BranchSampling {
        max_tokens: groups.max_tokens,
        temperature: groups.temperature,
        seed,
        end: special.end,
        box_open: special.box_open,
    };
    let texts = generate_branches(&network.decoder, &read, &prompts, &sampling, device, &|queries| {
        objects_in_focus(network, queries, &padded, &scene.bounds, tokenizer)
    });

    // the answers' boxes of all texts at once
    let parsed: Vec<Option<grammar::Parsed>> = texts.iter().map(|text| parsed(tokenizer, text)).collect();
    let of_answers: Vec<std::ops::Range<usize>> = texts
        .iter()
        .zip(&parsed)
        .map(|(text, parsed)| {
            let boxes = parsed.as_ref().map_or(0, |p| p.answer_boxes().len());
            text.queries.len().saturating_sub(boxes)..text.queries.len()
        })
        .collect();
    let queries: Vec<BoxQuery> = texts
        .iter()
        .zip(&of_answers)
        .flat_map(|(text, of_answer)| text.queries[of_answer.clone()].iter().cloned())
        .collect();
    let mut boxes = world_boxes(network, &scene.bounds, &scene.points, &padded, &queries).into_iter();
    let mut out = Vec::with_capacity(texts.len());
    for (i, ((text, parsed), of_answer)) in texts.into_iter().zip(parsed).zip(of_answers).enumerate() {
        let row = i / groups.group.max(1);
        let found: Vec<OrientedBox> = boxes.by_ref().take(of_answer.len()).map(|(bbox, _)| bbox).collect();
        let targets = rows[row].targets.as_deref();
        let truth: Vec<OrientedBox> = targets.unwrap_or(&[]).iter().map(|&o| scene.boxes[o]).collect();
        let answer = parsed.as_ref().map(grammar::Parsed::answer_text);
        let expected = Expected { answers: &rows[row].answers, boxes: targets.map(|_| truth.as_slice()) };
        let written = Written {
            answer: answer.as_deref(),
            boxes: &found,
            tokens: text.tokens.len(),
            most_tokens: groups.max_tokens,
        };
        let rewards = reward(&expected, &written, weights, similarity);
        let mut grounded: Vec<(usize, usize)> = match_boxes(&found, &truth)
            .pairs
            .iter()
            .map(|&(box_, object, _)| (of_answer.start + box_, targets.map_or(0, |t| t[object])))
            .collect();
        if let (true, false, Some(&object)) = (grounded.is_empty(), found.is_empty(), targets.and_then(|t| t.first())) {
            grounded.push((of_answer.start, object));
        }
        out.push(Rollout { row, text, rewards, grounded });
    }
    out
}

/// The text as users get it; `None` when it left the grammar or did not come to its end.
fn parsed(tokenizer: &Tokenizer, text: &BranchText) -> Option<grammar::Parsed> {
    let written = text.finished.then(|| text.tokens.split_last())??.1;
    grammar::parse(&tokenizer.decode(written).ok()?).ok()
}
