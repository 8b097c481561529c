//! `vantage bench views`: made-up keyframes and questions in, the time of choosing views for a question out, by their number.
//!
//! What is timed is everything that a question costs beyond the encoding of its text: scores of all keyframes, relevance of all
//! points, and the choice, on one thread. Keyframes look around in a made-up scene: each sees the points of a window.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::Table;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vantage_model::measure::RelevanceWork;
use vantage_model::{DeviceChoice, Reasoner};
use vantage_scene::{
    Diversity, Goal, PointViews, QueryEmbeddings, Shown, Stop, UtilityWeights, ViewEmbeddings, ViewTable, VisibleSets,
    select_greedy,
};

use super::median;
use crate::sink::stdout;

/// A keyframe sees up to this many points.
const SEEN: usize = 500;
/// A question is about this many points.
const RELEVANT: usize = 60;
/// Points of a thing.
const THING: u32 = 30;
const VIEWS: usize = 6;
/// Tokens of a question.
const WORDS: usize = 24;

/// Arguments of `vantage bench views`.
#[derive(Debug, Args)]
pub(crate) struct ViewsArgs {
    /// Numbers of keyframes, between commas.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keyframes: Vec<u32>,
    /// Questions; the median counts.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    questions: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "bench")]
struct Measured {
    name: &'static str,
    keyframes: u32,
    /// Of one question, median.
    ms: f64,
    /// Longest of all questions.
    longest_ms: f64,
    questions: u32,
    /// Memory of what is kept of a keyframe for choosing; its pictures are not counted.
    bytes_per_keyframe: usize,
}

/// Runs the benchmark.
pub(crate) fn run(args: &ViewsArgs) -> Result<()> {
    let mut table = Table::new();
    table.set_header(["keyframes", "ms a question", "longest ms", "bytes a keyframe"]);
    let device = DeviceChoice::Cpu.open()?;
    let work = RelevanceWork::new(Reasoner::embedded(&device)?.config(), WORDS, &device);
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().context("starting a thread")?;
    for &keyframes in &args.keyframes {
        let measured = alone.install(|| measure(&work, keyframes, args.questions));
        if args.json {
            stdout::print(&serde_json::to_string(&measured)?)?;
        }
        table.add_row([
            measured.keyframes.to_string(),
            format!("{:.3}", measured.ms),
            format!("{:.3}", measured.longest_ms),
            measured.bytes_per_keyframe.to_string(),
        ]);
    }
    if args.json { Ok(()) } else { stdout::print(&table.to_string()) }
}

fn measure(work: &RelevanceWork, keyframes: u32, questions: u32) -> Measured {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(keyframes));
    let (points, width) = (work.points(), work.embedding_width());
    let mut sets = VisibleSets::new(points);
    let mut views = Vec::with_capacity(keyframes as usize);
    let (mut visible, mut pixels): (Vec<Vec<u32>>, Vec<Vec<f32>>) = (Vec::new(), Vec::new());
    for _ in 0..keyframes {
        let first = rng.random_range(0..points as u32);
        let seen: Vec<u32> = (0..rng.random_range(1..SEEN as u32)).map(|i| (first + i) % points as u32).collect();
        sets.push(&seen);
        pixels.push(seen.iter().map(|_| rng.random_range(0.05f32..4.0)).collect());
        visible.push(seen);
        let mut unit = || unit_vector(width, &mut rng);
        views.push(ViewEmbeddings { image: unit(), points: unit(), clip_image: unit() });
    }
    let table = ViewTable::new(&views, sets);
    drop(views);
    let point_views = PointViews::new(points, &visible, &pixels);
    let things: Vec<u32> = (0..points as u32).map(|i| i / THING).collect();
    drop((visible, pixels));
    let mut times: Vec<f64> = (0..questions)
        .map(|_| {
            let (text, clip_text) = (unit_vector(width, &mut rng), unit_vector(width, &mut rng));
            // what the model finds: some neighbours are what the question is about
            let first = rng.random_range(0..points);
            let found = |i: usize| (i + points - first) % points < RELEVANT;
            let start = Instant::now();
            let query = QueryEmbeddings { text: &text, clip_text: &clip_text };
            let scores = table.scores(&query, &UtilityWeights::default());
            let utilities: Vec<f32> = scores.iter().map(|s| s.utility).collect();
            // random weights find nothing
            let judged = work.probabilities();
            let values: Vec<f32> =
                judged.iter().enumerate().map(|(i, p)| if found(i) { 0.9 + 0.1 * p } else { -p }).collect();
            let stop = Stop { max_views: VIEWS, min_new: 0.0, min_views: 1 };
            let shown = Shown::new(&values, &things, &point_views);
            let picks = select_greedy(&utilities, table.sets(), Goal::Things(&shown), &Diversity::default(), &stop);
            black_box(picks);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let longest_ms = times.iter().copied().fold(0.0, f64::max);
    Measured {
        name: "select",
        keyframes,
        ms: median(&mut times),
        longest_ms,
        questions,
        bytes_per_keyframe: (table.bytes() + point_views.bytes()) / keyframes as usize,
    }
}

fn unit_vector(width: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let vector: Vec<f32> = (0..width).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.into_iter().map(|x| x / length).collect()
}
