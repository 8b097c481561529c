//! `vantage-train eval`: asks the model about rooms it was never trained on, through the path that a robot runs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vantage_model::{AskOptions, DeviceChoice, Reasoner, ViewStrategy};
use vantage_node::sink::stdout;
use vantage_scene::{proposals, shell_mask};

use super::baseline::{MajorityAnswer, random_proposal_iou};
use crate::dataset::make_scene;
use crate::metrics::exact_match;
use crate::rooms::{Difficulty, RecordConfig, RoomConfig, SensingArgs, generate};
use crate::sft::run::FIRST_TRAINING_SEED;
use crate::tasks::{Task, TaskMix, questions};

/// Questions asked of each room.
const QUESTIONS_PER_ROOM: usize = 10;
/// Distance at which the baseline's clusters are joined, metres.
const PROPOSAL_RADIUS_M: f32 = 0.12;
/// Fewest surface points of a baseline cluster.
const PROPOSAL_POINTS: usize = 20;
/// Rooms of different `--rooms-seed` never coincide below this many rooms.
const ROOMS_PER_SEED: u64 = 1 << 16;

/// Arguments of `vantage-train eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Model folder; the embedded model when left out.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Where the model runs: auto, cpu, cuda:N or wgpu.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Seed of the rooms; any number gives rooms outside the training set.
    #[arg(long, default_value_t = 0)]
    pub rooms_seed: u64,
    /// How hard the rooms are.
    #[arg(long, value_enum, default_value_t = Difficulty::Default)]
    pub difficulty: Difficulty,
    /// Questions in all.
    #[arg(long, default_value_t = 200)]
    pub count: usize,
    /// How views are chosen: `utility` or `uniform`.
    #[arg(long, default_value = "utility")]
    pub strategy: String,
    /// Let the model leave the output grammar: measures what it has learned of it, not what a robot gets.
    #[arg(long)]
    pub unguided: bool,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Also print every question with its answer (as JSON lines of type `sample`).
    #[arg(long)]
    pub samples: bool,
    /// How the rooms are seen.
    #[command(flatten)]
    pub sensing: SensingArgs,
}

/// Counts of one question type.
#[derive(Debug, Default)]
struct Tally {
    count: usize,
    in_grammar: usize,
    answered: usize,
    right: usize,
    grounded: usize,
    at_25: usize,
    at_50: usize,
    random_25: usize,
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Record {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    question_type: Option<String>,
    count: usize,
    grammar: f64,
    exact_match: Option<f64>,
    majority_exact_match: Option<f64>,
    acc_25: Option<f64>,
    acc_50: Option<f64>,
    random_acc_25: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Sample<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    question: &'a str,
    expected: &'a [String],
    raw: &'a str,
    iou: Option<f64>,
}

/// Runs the evaluation and prints it to stdout.
///
/// # Errors
/// When the model cannot be loaded, a room cannot be fused, or a question fails.
pub fn run(args: &EvalArgs) -> Result<()> {
    ensure!(args.count > 0, "--count must be at least 1");
    let strategy = match args.strategy.as_str() {
        "utility" => ViewStrategy::Utility,
        "uniform" => ViewStrategy::UniformInTime,
        other => anyhow::bail!("--strategy {other}: it is `utility` or `uniform`"),
    };
    let device = args.device.open()?;
    let mut reasoner = match &args.model {
        Some(dir) => Reasoner::load(dir, &device)?,
        None => Reasoner::embedded(&device)?,
    };
    let first_seed = args.rooms_seed.wrapping_mul(ROOMS_PER_SEED) % FIRST_TRAINING_SEED;
    let mut majority = MajorityAnswer::default();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let bar = ProgressBar::new(args.count as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} questions {elapsed} (left {eta})") {
        bar.set_style(style);
    }
    let options = AskOptions { strategy, guided: !args.unguided, ..AskOptions::default() };
    let mut asked = 0;
    for room_index in 0.. {
        if asked == args.count {
            break;
        }
        ensure!(room_index < ROOMS_PER_SEED, "too few questions in {ROOMS_PER_SEED} rooms");
        let seed = first_seed + room_index;
        let room = generate(seed, &RoomConfig::of(args.difficulty));
        let (scene, seen) = make_scene(&room, &args.sensing.apply(RecordConfig::default()))?;
        let cloud = scene.surface();
        let clusters = proposals(&cloud, &shell_mask(&cloud), PROPOSAL_RADIUS_M, PROPOSAL_POINTS);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        reasoner.reset();
        let mix = TaskMix::default();
        for question in questions(&room, &seen, seed, QUESTIONS_PER_ROOM, &mix).into_iter().take(args.count - asked) {
            let bounds = scene.bounds().unwrap_or(vantage_scene::Aabb { min: [0.0; 3], max: [0.0; 3] });
            let prompt =
                question.prompt(&mut |i| vantage_model::TextBox::from_box(&room.objects[i].bbox, &bounds).to_string());
            let answer = reasoner.ask(&scene, &prompt, &options, &mut |_| ControlFlow::Continue(()))?;
            let kind = format!("{}/{}", question.task, question.subtype);
            let tally = tallies.entry(kind.clone()).or_default();
            tally.count += 1;
            tally.in_grammar += usize::from(answer.grammar_valid);
            let mut best = None;
            if question.task == Task::Grounding && question.subtype != "none" {
                let truth = room.objects[question.targets[0]].bbox;
                let iou = answer.boxes.first().map_or(0.0, |b| b.bbox.iou(&truth));
                best = Some(iou);
                tally.grounded += 1;
                tally.at_25 += usize::from(iou >= 0.25);
                tally.at_50 += usize::from(iou >= 0.5);
                tally.random_25 += usize::from(random_proposal_iou(&clusters, &truth, &mut rng) >= 0.25);
            } else {
                tally.answered += 1;
                tally.right += usize::from(answer.grammar_valid && exact_match(&answer.answer, &question.answers));
                if let Some(first) = question.answers.first() {
                    majority.add(&kind, first);
                }
            }
            if args.samples {
                let sample = Sample {
                    kind: "sample",
                    id: &question.id,
                    question: &prompt,
                    expected: &question.answers,
                    raw: &answer.raw,
                    iou: best,
                };
                stdout::print(&serde_json::to_string(&sample)?)?;
            }
            asked += 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut records: Vec<Record> =
        tallies.iter().map(|(kind, t)| record("eval_type", Some(kind.clone()), t, majority.right(kind))).collect();
    let mut all = Tally::default();
    for t in tallies.values() {
        all.count += t.count;
        all.in_grammar += t.in_grammar;
        all.answered += t.answered;
        all.right += t.right;
        all.grounded += t.grounded;
        all.at_25 += t.at_25;
        all.at_50 += t.at_50;
        all.random_25 += t.random_25;
    }
    records.push(record("eval", None, &all, majority.right_in_all()));
    print(&records, args.json)
}

fn record(kind: &'static str, question_type: Option<String>, t: &Tally, majority_right: usize) -> Record {
    let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
    Record {
        kind,
        question_type,
        count: t.count,
        grammar: share(t.in_grammar, t.count).unwrap_or(0.0),
        exact_match: share(t.right, t.answered),
        majority_exact_match: share(majority_right, t.answered),
        acc_25: share(t.at_25, t.grounded),
        acc_50: share(t.at_50, t.grounded),
        random_acc_25: share(t.random_25, t.grounded),
    }
}

fn print(records: &[Record], json: bool) -> Result<()> {
    if json {
        for record in records {
            stdout::print(&serde_json::to_string(record)?)?;
        }
        return Ok(());
    }
    let percent = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{:.1}", 100.0 * x));
    stdout::print(&format!(
        "{:<20} {:>6} {:>8} {:>12} {:>9} {:>9} {:>9} {:>16}",
        "type", "count", "grammar", "exact match", "majority", "acc@0.25", "acc@0.5", "random acc@0.25"
    ))?;
    for r in records {
        stdout::print(&format!(
            "{:<20} {:>6} {:>8} {:>12} {:>9} {:>9} {:>9} {:>16}",
            r.question_type.as_deref().unwrap_or("all"),
            r.count,
            percent(Some(r.grammar)),
            percent(r.exact_match),
            percent(r.majority_exact_match),
            percent(r.acc_25),
            percent(r.acc_50),
            percent(r.random_acc_25)
        ))?;
    }
    Ok(())
}
