//! A room and what was seen of it in, a mix of questions of all tasks out.

use std::collections::BTreeMap;

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::facts::Facts;
use super::{Question, Task, TaskMix};
use super::{dense_caption, dialogue, grounding, object_caption, planning, qa, relations, situated};
use crate::rooms::Room;

/// The subtypes of each task, each with its share within the task.
pub(super) const SUBTYPES: [(Task, &str, u32); 33] = [
    (Task::Qa, "color", 4),
    (Task::Qa, "count", 3),
    (Task::Qa, "exists", 3),
    (Task::Qa, "support", 3),
    (Task::Qa, "nearer", 2),
    (Task::Qa, "size", 2),
    (Task::Qa, "between", 1),
    (Task::Qa, "next_to", 2),
    (Task::Qa, "side", 2),
    (Task::Situated, "what", 3),
    (Task::Situated, "how_many", 2),
    (Task::Situated, "is_side", 2),
    (Task::Situated, "turn", 2),
    (Task::Grounding, "attribute", 5),
    (Task::Grounding, "relation", 3),
    (Task::Grounding, "support", 3),
    (Task::Grounding, "superlative", 2),
    (Task::Grounding, "multiple", 3),
    (Task::Grounding, "none", 4),
    (Task::ObjectCaption, "by_box", 3),
    (Task::ObjectCaption, "by_name", 1),
    (Task::DenseCaption, "floor", 2),
    (Task::DenseCaption, "raised", 2),
    (Task::DenseCaption, "near", 2),
    (Task::Dialogue, "color", 2),
    (Task::Dialogue, "support", 2),
    (Task::Dialogue, "there", 2),
    (Task::Dialogue, "show", 2),
    (Task::Dialogue, "which", 2),
    (Task::Planning, "light", 5),
    (Task::Planning, "rest", 2),
    (Task::Planning, "tidy", 2),
    (Task::Planning, "bring", 1),
];

/// By `task/subtype`, how many times as often as by its share it is asked; 1 where it is not named.
pub type Emphasis = BTreeMap<String, f64>;

/// Largest factor of an emphasis that may be given.
const MAX_FACTOR: f64 = 1000.0;

/// `qa/count=4,situated/how_many=2.5` in, the emphasis out.
///
/// # Errors
/// Naming what is no kind of question, no factor, or given twice.
pub fn parse_emphasis(text: &str) -> Result<Emphasis, String> {
    let mut out = Emphasis::new();
    for part in text.split(',').map(str::trim) {
        let (kind, factor) = part.split_once('=').map_or((part, ""), |(kind, factor)| (kind.trim(), factor.trim()));
        let known = |(task, subtype, _): &(Task, &str, u32)| format!("{task}/{subtype}") == kind;
        if !SUBTYPES.iter().any(known) {
            let kinds: Vec<String> = SUBTYPES.iter().map(|(task, subtype, _)| format!("{task}/{subtype}")).collect();
            return Err(format!("`{kind}` is no kind of question: give some of {}", kinds.join(", ")));
        }
        let factor = factor.parse().ok().filter(|x| (0.0..=MAX_FACTOR).contains(x));
        let factor = factor.ok_or_else(|| format!("`{part}`: give KIND=X with X from 0 to {MAX_FACTOR}"))?;
        if out.insert(kind.to_owned(), factor).is_some() {
            return Err(format!("`{kind}` is given twice"));
        }
    }
    Ok(out)
}

/// Questions of one subtype that may still be asked.
struct Pool {
    task: Task,
    share: u32,
    left: Vec<Question>,
}

impl Pool {
    /// Its share of all questions times its emphasis.
    fn weight(&self, mix: &TaskMix, emphasis: &Emphasis) -> f64 {
        let of_task: u32 = SUBTYPES.iter().filter(|(task, ..)| *task == self.task).map(|(.., share)| share).sum();
        let factor = self.left.first().and_then(|question| emphasis.get(&question.kind())).copied().unwrap_or(1.0);
        f64::from(mix.share(self.task)) * f64::from(self.share) / f64::from(of_task.max(1)) * factor
    }
}

/// At most `count` different questions about `room`, in random order, tasks by `mix`. `seen[i]`: whether object i was
/// observed well; classes with an instance that was not are not asked about, so that no answer rests on what the robot
/// cannot know. Equal arguments give equal questions.
///
/// Boxes of several objects come by x, then y of their centres in the frame of `room`: hand in the room as it is written.
pub fn questions(room: &Room, seen: &[bool], seed: u64, count: usize, mix: &TaskMix) -> Vec<Question> {
    emphasised_questions(room, seen, seed, count, mix, &Emphasis::new())
}

/// As [`questions`], some kinds more often than others; kinds of which a room gives none leave their share to all others.
pub fn emphasised_questions(
    room: &Room,
    seen: &[bool],
    seed: u64,
    count: usize,
    mix: &TaskMix,
    emphasis: &Emphasis,
) -> Vec<Question> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let facts = Facts::new(room, seen);
    let mut pools: Vec<Pool> = mix.tasks().into_iter().flat_map(|task| pools_of(task, &facts, &mut rng)).collect();
    let mut out: Vec<Question> = Vec::with_capacity(count);
    while out.len() < count {
        pools.retain(|p| !p.left.is_empty());
        let pool = if emphasis.is_empty() {
            let tasks: Vec<Task> = mix.tasks().into_iter().filter(|t| pools.iter().any(|p| p.task == *t)).collect();
            let Some(task) = draw(&tasks, |t| mix.share(*t), &mut rng).copied() else { break };
            let of_task: Vec<usize> = (0..pools.len()).filter(|&i| pools[i].task == task).collect();
            draw(&of_task, |&i| pools[i].share, &mut rng).copied()
        } else {
            let weights = pools.iter().map(|p| p.weight(mix, emphasis));
            WeightedIndex::new(weights).ok().map(|choice| choice.sample(&mut rng))
        };
        let Some(pool) = pool else { break };
        out.extend(pools[pool].left.pop());
    }
    for (i, question) in out.iter_mut().enumerate() {
        question.id = format!("{}-{i}", room.seed);
    }
    out
}

fn pools_of(task: Task, facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Pool> {
    let all = match task {
        Task::Qa => [qa::all(facts, rng), relations::all(facts, rng)].concat(),
        Task::Situated => situated::all(facts, rng),
        Task::Grounding => grounding::all(facts, rng),
        Task::ObjectCaption => object_caption::all(facts, rng),
        Task::DenseCaption => dense_caption::all(facts, rng),
        Task::Dialogue => dialogue::all(facts, rng),
        Task::Planning => planning::all(facts, rng),
    };
    let mut by_subtype: BTreeMap<&'static str, Vec<Question>> = BTreeMap::new();
    for question in all {
        by_subtype.entry(question.subtype).or_default().push(question);
    }
    by_subtype
        .into_iter()
        .map(|(subtype, mut left)| {
            left.shuffle(rng);
            let share = SUBTYPES.iter().find(|(t, s, _)| *t == task && *s == subtype).map_or(1, |(_, _, share)| *share);
            Pool { task, share, left }
        })
        .collect()
}

/// One of `items` by its share.
fn draw<'a, T>(items: &'a [T], share: impl Fn(&T) -> u32, rng: &mut ChaCha8Rng) -> Option<&'a T> {
    let total: u32 = items.iter().map(&share).sum();
    if total == 0 {
        return None;
    }
    let mut left = rng.random_range(0..total);
    items.iter().find(|item| {
        let own = share(item);
        let chosen = left < own;
        left = left.saturating_sub(own);
        chosen
    })
}

/// At most `count` of `items`, drawn at random.
pub(super) fn a_few<T>(mut items: Vec<T>, count: usize, rng: &mut ChaCha8Rng) -> Vec<T> {
    items.shuffle(rng);
    items.truncate(count);
    items
}
