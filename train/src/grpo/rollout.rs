//! One scene and questions about it in, a group of rewarded answers to each out, and how good the tokens were that were drawn.

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vantage_model::{
    BoxQuery, BranchSampling, BranchText, ModelConfig, Network, SpecialTokens, Tokenizer, first_looks,
    generate_branches, grammar, objects_in_focus, world_boxes,
};
use vantage_scene::OrientedBox;

use super::advantage::{LEAST_SPREAD, Spread, advantages};
use super::few::few_of;
use super::reading::ReadScene;
use crate::dataset::{ScenePart, TextRow};
use crate::metrics::match_boxes;
use crate::rewards::{Expected, RewardWeights, Rewards, Similarity, Written, reward};

/// Tokens of a step besides the likeliest that an answer may be left by.
const OTHERS: usize = 16;
/// Least and most share of a look that an object has that may be pointed at instead.
const LEAST_LOOK: f32 = 1.0e-3;
const MOST_LOOK: f32 = 0.5;

/// How groups are sampled.
#[derive(Debug, Clone, Copy)]
pub struct GroupConfig {
    /// Answers to each question.
    pub group: usize,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Of the sampling; the policy is softmax(logits / temperature).
    pub temperature: f32,
    /// Whether a group is the likeliest answer and others that leave it at one choice ([`branch_out`]).
    pub branches: bool,
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

/// What a policy draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// A token.
    Token(u32),
    /// The object of the room, by its index, that an `<obj>` points at: its odds are the share of the first look that falls on it.
    Object(usize),
}

/// A choice that was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Index of the answer in which it was drawn.
    pub answer: usize,
    /// The place of the token, or of the `<obj>`, among the answer's tokens.
    pub place: usize,
    /// What was drawn there; not what the answer has there, where another was tried.
    pub choice: Choice,
    /// Its log-probability then.
    pub log_prob: f32,
}

/// Answers to the questions of a scene, and what their rewards say of the tokens that were drawn.
#[derive(Debug, Clone, Default)]
pub struct Lesson {
    /// The answers, a question's adjacent.
    pub answers: Vec<Rollout>,
    /// Draws that share an advantage: all of an answer, or a single one.
    pub draws: Vec<Vec<Draw>>,
    /// How much better than expected each of them turned out.
    pub advantages: Vec<f32>,
    /// Of each question, by how much its best answer earned more than its usual one: the likeliest, or the mean of a group.
    pub gains: Vec<f64>,
    /// Those questions of which the rewards say nothing.
    pub degenerate: usize,
}

/// Samples `groups.group` answers to each of `rows`, which are questions about `scene`; what an answer earned beyond the others to the
/// same question is the advantage of all its tokens.
pub fn roll_out(asked: &Asked<'_>, groups: &GroupConfig, spread: Spread, seed: u64) -> Lesson {
    let rows: Vec<usize> = (0..asked.rows.len()).flat_map(|row| std::iter::repeat_n(row, groups.group)).collect();
    let answers = asked.answers(&rows, Vec::new(), 0, groups.temperature, seed);
    let totals: Vec<f64> = answers.iter().map(|a| a.rewards.total).collect();
    let group = groups.group.max(1);
    let advantages = advantages(&totals, group, spread);
    let gains = totals.chunks(group).map(|of_group| {
        let best = of_group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        best - of_group.iter().sum::<f64>() / of_group.len() as f64
    });
    let degenerate = advantages.degenerate();
    let mut lesson = Lesson { gains: gains.collect(), degenerate, ..Lesson::default() };
    for (i, answer) in answers.iter().enumerate().filter(|(i, _)| advantages.informative[i / group]) {
        lesson.draws.push(draws(i, &answer.text).collect());
        lesson.advantages.push(advantages.values[i]);
    }
    lesson.answers = answers;
    lesson
}

/// Writes the likeliest answer to each of `rows`, and beside it `groups.group - 1` at most that leave it at one choice, a token or what
/// an `<obj>` points at, and take the likeliest tokens again behind it. So it is known what that choice alone is worth.
///
/// With p the odds of a step's choices, a the likeliest and R(b) what the answer earns that takes b, the gradient of the expected reward
/// of leaving at most one step is the sum over steps of sum_b p(b) (R(b) - R(a)) grad log p(b). Each way out, a step with a choice, is one
/// term of it, and what is behind it follows from it: writing the same one twice would tell nothing new. `few_of` chooses different
/// ones with weights w for which the sum of w (R(b) - R(a)) grad log p(b) over the chosen is that gradient without bias; w times the
/// gain, times the mean number of draws of a question, is the advantage, as the loss is a mean over draws. Of a step, the 16 likeliest
/// other tokens count.
///
/// An `<obj>` is a step too: which object it points at decides what is said of it and what is pointed at next, and no token does. What
/// an answer has there is the object with more than half of the first look; less than a thousandth of it is no way out.
pub fn branch_out(asked: &Asked<'_>, groups: &GroupConfig, seed: u64) -> Lesson {
    let rows: Vec<usize> = (0..asked.rows.len()).collect();
    let answers = asked.answers(&rows, Vec::new(), OTHERS, 0.0, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut left, mut weights) = (Vec::new(), Vec::new());
    for (i, elsewhere) in asked.elsewhere(&answers).into_iter().enumerate() {
        let text = &answers[i].text;
        let ways: Vec<Draw> = draws(i, text)
            .flat_map(|step| {
                let others = text.others[step.place].iter();
                others.map(move |&(token, log_prob)| Draw { choice: Choice::Token(token), log_prob, ..step })
            })
            .chain(elsewhere)
            .collect();
        let odds: Vec<f64> = ways.iter().map(|way| f64::from(way.log_prob).exp()).collect();
        for (way, weight) in few_of(&odds, groups.group.saturating_sub(1), &mut rng) {
            left.push(ways[way]);
            weights.push(weight);
        }
    }
    let begun = asked.begun(&answers, &left);
    let rows: Vec<usize> = left.iter().map(|way| answers[way.answer].row).collect();
    let others = asked.answers(&rows, begun, 0, 0.0, seed);
    let mut lesson = Lesson { gains: vec![0.0; answers.len()], ..Lesson::default() };
    let mut told = vec![false; answers.len()];
    let mean_draws = left.len() as f64 / answers.len().max(1) as f64;
    for ((way, other), weight) in left.into_iter().zip(&others).zip(weights) {
        let gain = other.rewards.total - answers[way.answer].rewards.total;
        let tells = gain.is_finite() && gain.abs() >= LEAST_SPREAD;
        told[way.answer] |= tells;
        lesson.gains[way.answer] = lesson.gains[way.answer].max(gain);
        lesson.draws.push(vec![way]);
        lesson.advantages.push(if tells { (mean_draws * weight * gain) as f32 } else { 0.0 });
    }
    lesson.degenerate = told.iter().filter(|told| !**told).count();
    lesson.answers = answers;
    lesson
}

/// The tokens of `text`, the answer of index `answer`, that were drawn.
pub(super) fn draws(answer: usize, text: &BranchText) -> impl Iterator<Item = Draw> {
    let all = text.tokens.iter().zip(&text.log_probs).zip(&text.drawn).enumerate();
    all.filter(|(_, (_, drawn))| **drawn).map(move |(place, ((&token, &log_prob), _))| Draw {
        answer,
        place,
        choice: Choice::Token(token),
        log_prob,
    })
}

/// The places of the `<obj>` of `text` whose hidden states were read, in order.
pub(super) fn opens(text: &BranchText, box_open: u32) -> impl Iterator<Item = usize> {
    let all = text.tokens.iter().enumerate().filter(move |(_, token)| **token == box_open);
    all.map(|(place, _)| place).take(text.queries.len())
}

/// What `text` points with at the `<obj>` at `place`.
pub(super) fn query_at(text: &BranchText, place: usize, box_open: u32) -> Option<&BoxQuery> {
    opens(text, box_open).position(|open| open == place).and_then(|nth| text.queries.get(nth))
}

/// A scene that the policy has read, and questions about it.
pub struct Asked<'a> {
    policy: &'a Policy<'a>,
    scene: &'a ScenePart,
    rows: &'a [TextRow],
    /// Most tokens of an answer.
    max_tokens: usize,
    weights: &'a RewardWeights,
    similarity: Option<&'a Similarity>,
    read: ReadScene,
}

impl<'a> Asked<'a> {
    /// Reads `scene`; answers to `rows` will have `max_tokens` at most.
    pub fn new(
        policy: &'a Policy<'a>,
        (scene, rows): (&'a ScenePart, &'a [TextRow]),
        max_tokens: usize,
        weights: &'a RewardWeights,
        similarity: Option<&'a Similarity>,
    ) -> Self {
        let read = ReadScene::of(policy.network, policy.config, scene, policy.device);
        Self { policy, scene, rows, max_tokens, weights, similarity, read }
    }

    /// For each of `answers`, what its `<obj>` might have pointed at instead: the objects of the room that a thousandth of its first look
    /// falls on, but for one that holds more than half of it, which is what the answer has; where none does, the answer has a blend.
    fn elsewhere(&self, answers: &[Rollout]) -> Vec<Vec<Draw>> {
        let queries: Vec<BoxQuery> = answers.iter().flat_map(|answer| answer.text.queries.iter().cloned()).collect();
        let mut looks = first_looks(self.policy.network, &queries, &self.read.padded).into_iter();
        let box_open = self.policy.tokenizer.special().box_open;
        let others = |(answer, text): (usize, &BranchText)| {
            let mut out = Vec::new();
            for ((place, look), object) in opens(text, box_open).zip(looks.by_ref()).zip(&text.objects) {
                // what lies behind the last token that may be written teaches nothing
                if place + object.written.len() + 1 >= self.max_tokens {
                    continue;
                }
                let mut odds = vec![0.0f32; self.scene.boxes.len()];
                for (&object, share) in self.scene.point_object.iter().zip(look) {
                    if let Some(of_object) = usize::try_from(object).ok().and_then(|o| odds.get_mut(o)) {
                        *of_object += share;
                    }
                }
                let others = odds.iter().enumerate().filter(|(_, p)| (LEAST_LOOK..=MOST_LOOK).contains(*p));
                out.extend(others.map(|(o, p)| Draw { answer, place, choice: Choice::Object(o), log_prob: p.ln() }));
            }
            out
        };
        answers.iter().map(|answer| &answer.text).enumerate().map(others).collect()
    }

    /// The texts of `answers` up to where each of `left` leaves them, and with what is chosen there.
    fn begun(&self, answers: &[Rollout], left: &[Draw]) -> Vec<BranchText> {
        let Self { policy: Policy { network, tokenizer, .. }, scene, read: ReadScene { padded, .. }, .. } = self;
        let box_open = tokenizer.special().box_open;
        let elsewhere = left.iter().filter_map(|way| match way.choice {
            Choice::Token(_) => None,
            Choice::Object(object) => {
                let query = query_at(&answers[way.answer].text, way.place, box_open)?;
                Some(BoxQuery { among: Some(scene.points_of(object).collect()), ..query.clone() })
            }
        });
        let elsewhere: Vec<BoxQuery> = elsewhere.collect();
        let objects = objects_in_focus(network, &elsewhere, padded, &scene.bounds, tokenizer);
        let mut elsewhere = elsewhere.into_iter().zip(objects);
        let begun = |way: &Draw| {
            let text = &answers[way.answer].text;
            match way.choice {
                Choice::Token(token) => text.left_at(way.place, (token, way.log_prob), box_open),
                Choice::Object(_) => match elsewhere.next() {
                    Some((query, object)) => text.pointing_at(way.place, query, object),
                    None => BranchText::default(),
                },
            }
        };
        left.iter().map(begun).collect()
    }

    /// Writes and rewards an answer to each of `rows`, indices of questions, each as it is `begun`; `others` as in [`BranchSampling`].
    fn answers(
        &self,
        rows: &[usize],
        begun: Vec<BranchText>,
        others: usize,
        temperature: f32,
        seed: u64,
    ) -> Vec<Rollout> {
        let Self { policy, scene, read: ReadScene { kv, padded }, .. } = self;
        let Policy { network, tokenizer, device, .. } = **policy;
        let special: &SpecialTokens = tokenizer.special();
        let prompt = |row: &TextRow| row.tokens[..row.prompt].to_vec();
        let prompts: Vec<Vec<u32>> = rows.iter().map(|&row| prompt(&self.rows[row])).collect();
        let sampling = BranchSampling {
            max_tokens: self.max_tokens,
            temperature,
            seed,
            end: special.end,
            box_open: special.box_open,
            others,
        };
        let texts = generate_branches(&network.decoder, kv, &prompts, begun, &sampling, device, &|queries| {
            objects_in_focus(network, queries, padded, &scene.bounds, tokenizer)
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
        let mut boxes = world_boxes(network, &scene.bounds, &scene.points, padded, &queries).into_iter();
        let all = texts.into_iter().zip(parsed).zip(of_answers).zip(rows);
        all.map(|(((text, parsed), of_answer), &row)| {
            let found: Vec<OrientedBox> = boxes.by_ref().take(of_answer.len()).map(|(bbox, _)| bbox).collect();
            self.rewarded(row, text, parsed.as_ref(), &found, of_answer.start)
        })
        .collect()
    }

    /// `text` with its rewards; `found` are the boxes of its answer, which are those of its `<obj>` from `first` on.
    fn rewarded(
        &self,
        row: usize,
        text: BranchText,
        parsed: Option<&grammar::Parsed>,
        found: &[OrientedBox],
        first: usize,
    ) -> Rollout {
        let targets = self.rows[row].targets.as_deref();
        let truth: Vec<OrientedBox> = targets.unwrap_or(&[]).iter().map(|&o| self.scene.boxes[o]).collect();
        let answer = parsed.map(grammar::Parsed::answer_text);
        let expected = Expected { answers: &self.rows[row].answers, boxes: targets.map(|_| truth.as_slice()) };
        let written = Written {
            answer: answer.as_deref(),
            boxes: found,
            tokens: text.tokens.len(),
            most_tokens: self.max_tokens,
        };
        let rewards = reward(&expected, &written, self.weights, self.similarity);
        let mut grounded: Vec<(usize, usize)> = match_boxes(found, &truth)
            .pairs
            .iter()
            .map(|&(box_, object, _)| (first + box_, targets.map_or(0, |t| t[object])))
            .collect();
        if let (true, false, Some(&object)) = (grounded.is_empty(), found.is_empty(), targets.and_then(|t| t.first())) {
            grounded.push((first, object));
        }
        Rollout { row, text, rewards, grounded }
    }
}

/// The text as users get it; `None` when it left the grammar or did not come to its end.
fn parsed(tokenizer: &Tokenizer, text: &BranchText) -> Option<grammar::Parsed> {
    let written = text.finished.then(|| text.tokens.split_last())??.1;
    grammar::parse(&tokenizer.decode(written).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::update::AnsweredScene;
    use super::*;
    use crate::dataset::{Batch, BatchConfig, load_or_make};
    use crate::run::read_or_fresh;
    use crate::tasks::{Emphasis, TaskMix};

    const HOT: f32 = 2.0;

    /// The built-in model, and a batch of one room.
    fn nano() -> (ModelConfig, Tokenizer, Network, Batch) {
        let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/checkpoints/nano"));
        let (config, tokenizer, network) = read_or_fresh(dir, &Device::flex()).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let samples = load_or_make(7, 1, &config, cache.path(), &|| ()).unwrap();
        let mix: TaskMix = "qa=1,situated=1,grounding=1".parse().unwrap();
        let batch_config =
            BatchConfig { scenes: 1, questions: 4, views: 2, max_tokens: 220, mix, emphasis: Emphasis::new() };
        let batch = Batch::make(&samples, &tokenizer, &batch_config, 3, 0).unwrap();
        (config, tokenizer, network, batch)
    }

    #[test]
    fn a_lesson_has_the_odds_of_what_was_drawn() {
        let (config, tokenizer, network, batch) = nano();
        let device = Device::flex();
        let policy = Policy { network: &network, config: &config, tokenizer: &tokenizer, device: &device };
        let weights: RewardWeights = "format=0.5,perception=1,semantic=0,exact=1".parse().unwrap();
        let asked = Asked::new(&policy, (&batch.scenes[0], &batch.rows), 220, &weights, None);
        let groups = GroupConfig { group: 4, max_tokens: 220, temperature: 1.0, branches: false };
        // hot enough that some leave the grammar and are worth less
        let plain = roll_out(&asked, &GroupConfig { temperature: HOT, ..groups }, Spread::Deviation, 5);
        let branches = branch_out(&asked, &GroupConfig { branches: true, ..groups }, 5);
        assert_eq!((plain.answers.len(), branches.answers.len()), (16, 4));
        assert_eq!(branches.draws.len(), 4 * 3);
        let mut elsewhere = 0;
        for (draws, advantage) in branches.draws.iter().zip(&branches.advantages) {
            let [draw] = draws[..] else { panic!("{draws:?}") };
            let text = &branches.answers[draw.answer].text;
            assert!(text.drawn[draw.place]);
            match draw.choice {
                Choice::Token(token) => {
                    assert!(text.tokens[draw.place] != token);
                    assert!(draw.log_prob.exp() + text.log_probs[draw.place].exp() < 1.0 + 1e-4);
                }
                Choice::Object(_) => {
                    assert_eq!(text.tokens[draw.place], tokenizer.special().box_open);
                    assert!(draw.log_prob.exp() <= 0.5);
                    elsewhere += 1;
                }
            }
            assert!(advantage.is_finite());
        }
        assert!(elsewhere > 0);
        // what is pointed at instead is nearer to the object that was chosen than what the answer pointed at
        let elsewhere: Vec<Draw> = asked.elsewhere(&branches.answers).into_iter().flatten().collect();
        let begun = asked.begun(&branches.answers, &elsewhere);
        let scene = &batch.scenes[0];
        let (mut nearer, mut moved) = (0, 0);
        for (draw, begun) in elsewhere.iter().zip(&begun) {
            let Choice::Object(object) = draw.choice else { panic!("{draw:?}") };
            let whole = &branches.answers[draw.answer].text;
            assert!(begun.tokens.starts_with(&whole.tokens[..=draw.place]));
            assert_eq!(begun.tokens.last(), Some(&tokenizer.special().box_close));
            let far = |text: &BranchText| {
                let there = text.objects[begun.objects.len() - 1].bbox.in_world(&scene.bounds).center;
                (0..3).map(|k| (there[k] - scene.boxes[object].center[k]).powi(2)).sum::<f64>().sqrt()
            };
            // what the answer has there already is as near as it gets
            if far(whole) > 0.5 {
                moved += 1;
                nearer += usize::from(far(begun) < 0.8 * far(whole));
            }
        }
        assert!(moved > 5 && 10 * nearer >= 9 * moved, "{nearer} of {moved}");
        // the same texts read at once, as the update reads them, give the same odds
        for (lesson, temperature) in [(&plain, HOT), (&branches, 1.0)] {
            let answered = AnsweredScene {
                config: &config,
                special: tokenizer.special(),
                scene: &batch.scenes[0],
                rows: &batch.rows,
                answers: &lesson.answers,
                draws: &lesson.draws,
                temperature,
                device: &device,
            };
            let again = answered.reference_log_probs(&network);
            let most = lesson.draws.iter().map(Vec::len).max().unwrap();
            let mut compared = 0;
            for (draws, again) in lesson.draws.iter().zip(again.chunks(most)) {
                for (draw, again) in draws.iter().zip(again) {
                    assert!((draw.log_prob - again).abs() < 2e-3, "{draw:?} {again}");
                    compared += 1;
                }
            }
            assert!(compared >= 12, "{compared}");
        }
        // an answer that every branch would equal teaches nothing
        let nothing = RewardWeights { format: 0.0, perception: 0.0, exact: 0.0, ..weights };
        let asked = Asked::new(&policy, (&batch.scenes[0], &batch.rows), 220, &nothing, None);
        let lesson = branch_out(&asked, &groups, 5);
        assert_eq!((lesson.degenerate, lesson.gains.len()), (4, 4));
        assert!(lesson.advantages.iter().all(|a| *a == 0.0));
    }
}
