//! Samples in, one training batch out: scenes turned by a random quarter turn, some of their views, and freshly written
//! questions with target tokens and the objects that each `<obj>` stands for.

use anyhow::{Context, Result};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vantage_model::{FocusBox, PointSample, TextBox, Tokenizer, ViewInput, points_given, prompt_tokens, target_tokens};
use vantage_scene::{Aabb, OrientedBox};

use super::sample::{SceneSample, ViewSample};
use crate::rooms::{Object, Room, RoomConfig, generate};
use crate::tasks::{Emphasis, Question, Task, TaskMix, emphasised_questions};

/// How far boxes in focus are off in training at most: centres along each axis, metres; extents, by their logarithm.
const PLACE_OFF_M: f32 = 0.08;
const EXTENT_OFF: f32 = 0.15;

/// How a batch is put together.
#[derive(Debug, Clone)]
pub struct BatchConfig {
    /// Scenes a batch.
    pub scenes: usize,
    /// Questions a scene.
    pub questions: usize,
    /// Views a scene.
    pub views: usize,
    /// Longest text in tokens, prompt included; longer ones are left out.
    pub max_tokens: usize,
    /// Share of each task.
    pub mix: TaskMix,
    /// What is asked more often than that.
    pub emphasis: Emphasis,
}

/// One scene of a batch.
#[derive(Debug, Clone)]
pub struct ScenePart {
    /// Turned points.
    pub points: PointSample,
    /// Turned bounds.
    pub bounds: Aabb,
    /// Turned views.
    pub views: Vec<ViewInput>,
    /// Points that each view sees.
    pub visible: Vec<Vec<u32>>,
    /// How many pixels each view spends on each point that it sees, up to a factor that all share.
    pub point_pixels: Vec<Vec<f32>>,
    /// For each view and object, the pixels that it shows of it as a share of the best keyframe's.
    pub pixel_shares: Vec<Vec<f32>>,
    /// Object of each point, -1 for none.
    pub point_object: Vec<i16>,
    /// True boxes, turned.
    pub boxes: Vec<OrientedBox>,
    /// The first tokens of each object's colour and class, as they stand within a sentence.
    pub words: Vec<[u32; 2]>,
    /// Class name of each object.
    pub classes: Vec<&'static str>,
}

impl ScenePart {
    /// For each point whether it belongs to `object`.
    pub fn points_of(&self, object: usize) -> impl Iterator<Item = bool> {
        self.point_object.iter().map(move |&own| usize::try_from(own) == Ok(object))
    }
}

/// One question of a batch.
#[derive(Debug, Clone)]
pub struct TextRow {
    /// Index of its scene in the batch.
    pub scene: usize,
    /// `task/subtype`.
    pub kind: String,
    /// Prompt and target, end mark included.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt: usize,
    /// The question's own tokens, for the text tower.
    pub words: Vec<u32>,
    /// For each box that the question gives, the scene's points in it.
    pub given: Vec<Vec<u32>>,
    /// The object of each `<obj>` of the target, in order; those of the prompt are given, not found.
    pub objects: Vec<usize>,
    /// Where each of them is, a little off, as what a model finds is; the numbers of the text say the same.
    pub places: Vec<FocusBox>,
    /// Objects that a good view shows.
    pub referents: Vec<usize>,
    /// Accepted answers, boxes left out; empty where the boxes are the answer.
    pub answers: Vec<String>,
    /// Objects whose boxes the answer has to give; `None` where no box is asked for.
    pub targets: Option<Vec<usize>>,
}

/// A training batch.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Scenes.
    pub scenes: Vec<ScenePart>,
    /// Questions, `questions` a scene, a scene's rows adjacent.
    pub rows: Vec<TextRow>,
    /// Questions a scene.
    pub questions: usize,
}

impl Batch {
    /// The batch of training step `step`; a function of the samples, the seed and the step alone.
    ///
    /// # Errors
    /// When a text cannot be tokenised.
    pub fn make(
        samples: &[SceneSample],
        tokenizer: &Tokenizer,
        config: &BatchConfig,
        seed: u64,
        step: usize,
    ) -> Result<Self> {
        let mut scenes = Vec::with_capacity(config.scenes);
        let mut rows = Vec::with_capacity(config.scenes * config.questions);
        for slot in 0..config.scenes {
            let draw = step * config.scenes + slot;
            let (epoch, place) = (draw / samples.len(), draw % samples.len());
            let sample = &samples[shuffled(place, samples.len(), seed, epoch)];
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (draw as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let (part, texts) = part_and_rows(sample, tokenizer, config, &mut rng)?;
            scenes.push(part);
            rows.extend(texts.into_iter().map(|row| TextRow { scene: slot, ..row }));
        }
        Ok(Self { scenes, rows, questions: config.questions })
    }
}

/// `sample` turned by a random quarter turn, with some of its views, and questions about it as the first scene.
///
/// # Errors
/// When a text cannot be tokenised.
pub(crate) fn part_and_rows(
    sample: &SceneSample,
    tokenizer: &Tokenizer,
    config: &BatchConfig,
    rng: &mut ChaCha8Rng,
) -> Result<(ScenePart, Vec<TextRow>)> {
    let turns = rng.random_range(0..4usize);
    let room = turned(generate(sample.room_seed, &RoomConfig::default()), turns);
    let part = scene_part(sample, &room, tokenizer, turns, config.views, rng)?;
    let rows = scene_rows(&part, sample, &room, tokenizer, config, rng)?;
    Ok((part, rows))
}

impl Batch {
    /// The batch in at most `parts` parts of whole scenes.
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let scenes = self.scenes.len().div_ceil(parts.max(1)).max(1);
        self.scenes
            .chunks(scenes)
            .zip(self.rows.chunks(scenes * self.questions))
            .enumerate()
            .map(|(i, (part, rows))| Self {
                scenes: part.to_vec(),
                rows: rows.iter().map(|r| TextRow { scene: r.scene - i * scenes, ..r.clone() }).collect(),
                questions: self.questions,
            })
            .collect()
    }
}

/// The sample at `place` of `epoch`'s random order.
fn shuffled(place: usize, count: usize, seed: u64, epoch: usize) -> usize {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed.wrapping_add(epoch as u64)));
    order[place]
}

/// `config.questions` rows about one scene; repeats some when the room gives fewer.
fn scene_rows(
    part: &ScenePart,
    sample: &SceneSample,
    room: &Room,
    tokenizer: &Tokenizer,
    config: &BatchConfig,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<TextRow>> {
    let mut rows = Vec::with_capacity(config.questions);
    let most = 2 * config.questions;
    for question in emphasised_questions(room, &sample.seen, rng.random(), most, &config.mix, &config.emphasis) {
        let row = text_row(&question, part, tokenizer, rng)?;
        if row.tokens.len() <= config.max_tokens && rows.len() < config.questions {
            rows.push(row);
        }
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "room {} gives no question of at most {} tokens",
        sample.room_seed,
        config.max_tokens
    );
    let given = rows.len();
    while rows.len() < config.questions {
        rows.push(rows[rows.len() % given].clone());
    }
    Ok(rows)
}

fn text_row(question: &Question, part: &ScenePart, tokenizer: &Tokenizer, rng: &mut ChaCha8Rng) -> Result<TextRow> {
    let written = |i: usize| part.boxes.get(i).map(|b| TextBox::from_box(b, &part.bounds).to_string());
    let prompt_text = question.prompt(&mut |i| written(i).unwrap_or_default());
    let (mut objects, mut places) = (Vec::new(), Vec::new());
    let (think, answer) = question.target(&mut |i| {
        let place = about(&part.boxes[i], &part.bounds, rng);
        objects.push(i);
        places.push(place);
        TextBox::from_box(&place.in_world(&part.bounds), &part.bounds).to_string()
    });
    let mut tokens = prompt_tokens(tokenizer, &prompt_text)?;
    let prompt = tokens.len();
    let words = tokenizer.encode(&prompt_text)?;
    tokens.extend(target_tokens(tokenizer, &think, &answer)?);
    // where nothing is to be found, the answer has to give no box
    let boxes_asked = question.task == Task::Grounding || !question.targets.is_empty();
    // and is rewarded for that alone: where "none" counted as words too, it would be worth more than any box
    let answers = if boxes_asked { Vec::new() } else { question.answers.clone() };
    Ok(TextRow {
        scene: 0,
        kind: question.kind(),
        tokens,
        prompt,
        words,
        given: points_given(&prompt_text, &part.bounds, &part.points.positions),
        objects,
        places,
        referents: question.referents.clone(),
        answers,
        targets: boxes_asked.then(|| question.targets.clone()),
    })
}

/// Where `bbox` is in the scene of `bounds`, a little off, as what a model finds is.
fn about(bbox: &OrientedBox, bounds: &Aabb, rng: &mut ChaCha8Rng) -> FocusBox {
    let FocusBox { center, size } = FocusBox::of(bbox, bounds);
    let mut off = |most: f32| rng.random_range(-most..most);
    FocusBox { center: center.map(|x| x + off(PLACE_OFF_M)), size: size.map(|x| x * off(EXTENT_OFF).exp()) }
}

/// `room` is turned already.
fn scene_part(
    sample: &SceneSample,
    room: &Room,
    tokenizer: &Tokenizer,
    turns: usize,
    views: usize,
    rng: &mut ChaCha8Rng,
) -> Result<ScenePart> {
    let word = |text: &str| -> Result<u32> {
        let tokens = tokenizer.encode(&format!(" {text}"))?;
        tokens.first().copied().with_context(|| format!("`{text}` has no token"))
    };
    let words = room.objects.iter().map(|o| Ok([word(o.color)?, word(o.class)?])).collect::<Result<_>>()?;
    let turn = |p: [f32; 3]| quarter_turns(p, turns);
    let corners = [sample.bounds.min, sample.bounds.max].map(|c| quarter_turns(c, turns));
    let bounds = Aabb {
        min: std::array::from_fn(|k| corners[0][k].min(corners[1][k])),
        max: std::array::from_fn(|k| corners[0][k].max(corners[1][k])),
    };
    let positions: Vec<[f32; 3]> = sample.positions.iter().map(|&p| turn(p)).collect();
    let features = sample
        .features
        .iter()
        .map(|f| {
            let place = quarter_turns([f[0], f[1], f[2]], turns);
            let normal = quarter_turns([f[6], f[7], f[8]], turns);
            [place[0], place[1], place[2], f[3], f[4], f[5], normal[0], normal[1], normal[2]]
        })
        .collect();
    let mut order: Vec<usize> = (0..sample.views.len()).collect();
    order.shuffle(rng);
    order.truncate(views);
    Ok(ScenePart {
        words,
        points: PointSample { positions, features, grid_m: sample.grid_m },
        bounds,
        views: order
            .iter()
            .map(|&v| {
                let view = &sample.views[v];
                ViewInput {
                    image: view.image.clone(),
                    depth: view.depth.clone(),
                    token_positions: view.token_positions.iter().map(|&p| turn(p)).collect(),
                }
            })
            .collect(),
        visible: order.iter().map(|&v| sample.views[v].visible.clone()).collect(),
        point_pixels: order.iter().map(|&v| sample.views[v].point_pixels.clone()).collect(),
        pixel_shares: order.iter().map(|&v| pixel_shares(&sample.views[v], sample)).collect(),
        point_object: sample.point_object.clone(),
        boxes: room.objects.iter().map(|o| o.bbox).collect(),
        classes: room.objects.iter().map(|o| o.class).collect(),
    })
}

fn pixel_shares(view: &ViewSample, sample: &SceneSample) -> Vec<f32> {
    let share = |(&own, &best): (&u32, &u32)| own as f32 / best.max(1) as f32;
    view.object_pixels.iter().zip(&sample.best_object_pixels).map(share).collect()
}

/// The room's boxes turned as the sample is, so that questions about places and orders are about what is written. The parts,
/// which no question reads, stay.
fn turned(mut room: Room, turns: usize) -> Room {
    let turn = |o: &mut Object| {
        o.bbox.center = quarter_turns(o.bbox.center, turns);
        o.bbox.yaw += turns as f64 * std::f64::consts::FRAC_PI_2;
    };
    room.objects.iter_mut().for_each(turn);
    for region in &mut room.regions {
        let corners = [region.min, region.max].map(|[x, y]| quarter_turns([x, y, 0.0], turns));
        region.min = std::array::from_fn(|k| corners[0][k].min(corners[1][k]));
        region.max = std::array::from_fn(|k| corners[0][k].max(corners[1][k]));
    }
    room
}

/// `p` turned about the z axis by `turns` quarter turns, counter-clockwise.
fn quarter_turns<T: Copy + std::ops::Neg<Output = T>>(p: [T; 3], turns: usize) -> [T; 3] {
    match turns % 4 {
        0 => p,
        1 => [-p[1], p[0], p[2]],
        2 => [-p[0], -p[1], p[2]],
        _ => [p[1], -p[0], p[2]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_quarter_turns_are_none() {
        let mut p = [1.0, 2.0, 3.0];
        for _ in 0..4 {
            p = quarter_turns(p, 1);
        }
        assert_eq!(p, [1.0, 2.0, 3.0]);
        assert_eq!(quarter_turns([1.0, 0.0, 0.0], 1), [-0.0, 1.0, 0.0]);
    }

    #[test]
    fn an_epoch_visits_every_sample_once() {
        let mut seen: Vec<usize> = (0..50).map(|i| shuffled(i, 50, 7, 3)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }
}
