//! `vantage-train eval`: asks the model about rooms it was never trained on, through the path that a robot runs.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vantage_model::grammar::parse;
use vantage_model::{Answer, AskOptions, DeviceChoice, Encoders, Reasoner, TextBox, ViewStrategy};
use vantage_node::sink::stdout;
use vantage_scene::{OrientedBox, Scene, proposals, shell_mask};

use super::baseline::random_proposal_iou;
use super::disturb::{Disturbance, disturb};
use super::print::print;
use super::views::ViewsArgs;
use crate::dataset::{make_scene, scene_config};
use crate::metrics::accuracy_at;
use crate::rooms::{Difficulty, RecordConfig, Room, RoomConfig, SensingArgs, generate, record};
use crate::sft::run::FIRST_TRAINING_SEED;
use crate::tasks::{Question, QuestionScores, Said, Scores, Task, TaskMix, questions, score};

/// Questions asked of each room.
pub(super) const QUESTIONS_PER_ROOM: usize = 10;
/// Questions of one task asked of each room, where each task has its own number.
const QUESTIONS_PER_TASK: usize = 4;
/// Overlap from which a random proposal counts as right.
const RANDOM_OVERLAP: f64 = 0.25;
/// Largest factor of depth noise.
const MAX_NOISE: f64 = 1000.0;
/// Distance at which the baseline's clusters are joined, metres.
const PROPOSAL_RADIUS_M: f32 = 0.12;
/// Fewest surface points of a baseline cluster.
const PROPOSAL_POINTS: usize = 20;
/// Rooms of different `--rooms-seed` never coincide below this many rooms.
pub(super) const ROOMS_PER_SEED: u64 = 1 << 16;

/// Arguments of `vantage-train eval`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EvalArgs {
    /// What else to score.
    #[command(subcommand)]
    pub what: Option<EvalCommand>,
    /// Model folder; the embedded model when left out.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Another model folder: it is asked the same, and the differences are printed with intervals of their own.
    #[arg(long)]
    pub against: Option<PathBuf>,
    /// Where the model runs: auto, cpu, cuda:N or wgpu.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Seed of the rooms; any number gives rooms outside the training set.
    #[arg(long, default_value_t = 0)]
    pub rooms_seed: u64,
    /// How hard the rooms are.
    #[arg(long, value_enum, default_value_t = Difficulty::Default)]
    pub difficulty: Difficulty,
    /// Questions in all, or of each task with --per-task.
    #[arg(long, default_value_t = 200)]
    pub count: usize,
    /// Tasks, `all`, or with their shares: `qa=6,grounding=7`.
    #[arg(long, default_value = "all")]
    pub tasks: TaskMix,
    /// Ask --count questions of every task, whatever its share.
    #[arg(long)]
    pub per_task: bool,
    /// Encoders whose tokens the model reads of the scene, of points, image and depth.
    #[arg(long, default_value = "points,image,depth")]
    pub encoders: Encoders,
    /// Share of the frames left out before fusing, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub drop_views: f64,
    /// Depth noise added before fusing, as a multiple of a structured-light sensor's own.
    #[arg(long, default_value_t = 0.0, value_parser = factor)]
    pub depth_noise: f64,
    /// How views are chosen: utility, or blind to the question uniform, random, ring, coverage or all.
    #[arg(long, default_value = "utility")]
    pub strategy: ViewStrategy,
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

/// What else there is to score.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Compare ways of choosing views: what they show of what is asked about, what the answers are worth then, and their cost.
    Views(ViewsArgs),
}

/// Reads a number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| "give a number from 0 to 1".to_owned())
}

/// Reads a factor of noise.
fn factor(text: &str) -> Result<f64, String> {
    let usable = |x: &f64| (0.0..=MAX_NOISE).contains(x);
    text.parse().ok().filter(usable).ok_or_else(|| format!("give a number from 0 to {MAX_NOISE}"))
}

#[derive(Debug, Serialize)]
struct Sample<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    task: Task,
    subtype: &'a str,
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
    if let Some(EvalCommand::Views(args)) = &args.what {
        return super::views::run(args);
    }
    ensure!(args.count > 0, "--count must be at least 1");
    let device = args.device.open()?;
    let mut reasoner = match &args.model {
        Some(dir) => Reasoner::load(dir, &device)?,
        None => Reasoner::embedded(&device)?,
    };
    let mut base = args.against.as_ref().map(|dir| Reasoner::load(dir, &device)).transpose()?;
    let mut base_scores = Scores::default();
    let options = AskOptions {
        strategy: args.strategy.clone(),
        guided: !args.unguided,
        encoders: args.encoders,
        ..AskOptions::default()
    };
    let mut scores = Scores::default();
    let mut left = Left::new(args);
    let bar = ProgressBar::new(left.all() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} questions {elapsed} (left {eta})") {
        bar.set_style(style);
    }
    let first_seed = first_room(args.rooms_seed);
    for room_index in 0.. {
        if left.all() == 0 {
            break;
        }
        ensure!(room_index < ROOMS_PER_SEED, "too few questions in {ROOMS_PER_SEED} rooms");
        let seed = first_seed + room_index;
        let room = generate(seed, &RoomConfig::of(args.difficulty));
        let (scene, seen) = observed(&room, args)?;
        let cloud = scene.surface();
        let clusters = proposals(&cloud, &shell_mask(&cloud), PROPOSAL_RADIUS_M, PROPOSAL_POINTS);
        let bounds = scene.bounds().with_context(|| format!("room {seed}: nothing was fused"))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        reasoner.reset();
        base.iter_mut().for_each(Reasoner::reset);
        for question in left.questions(&room, &seen, args) {
            let mut write_box = |i: usize| {
                room.objects.get(i).map_or_else(String::new, |o| TextBox::from_box(&o.bbox, &bounds).to_string())
            };
            let prompt = question.prompt(&mut write_box);
            let asked = Asked { room: &room, scene: &scene, question: &question, prompt: &prompt, options: &options };
            let (answer, scored) = asked.of(&mut reasoner)?;
            let iou = scored.values.iter().find(|(name, _)| *name == "iou").map(|(_, iou)| *iou);
            let mut baseline = Vec::new();
            if let (Some(_), Some(truth)) = (iou, question.boxes(&room).first()) {
                let random = random_proposal_iou(&clusters, truth, &mut rng);
                baseline.extend(accuracy_at(&[random], RANDOM_OVERLAP).map(|x| ("random_acc_25", x)));
            }
            if args.samples {
                let sample = Sample {
                    kind: "sample",
                    id: &question.id,
                    task: question.task,
                    subtype: question.subtype,
                    question: &prompt,
                    expected: &question.answers,
                    raw: &answer.raw,
                    iou,
                };
                stdout::print(&serde_json::to_string(&sample)?)?;
            }
            if let Some(base) = &mut base {
                base_scores.add(&question, seed, asked.of(base)?.1, &[]);
            }
            scores.add(&question, seed, scored, &baseline);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if base.is_none() {
        return print(&scores.report(), &[], args.json);
    }
    let (report, gains) = scores.report_against(base_scores);
    print(&report, &gains, args.json)
}

/// A question about a room, as it is put to a model.
pub(super) struct Asked<'a> {
    pub(super) room: &'a Room,
    pub(super) scene: &'a Scene,
    pub(super) question: &'a Question,
    pub(super) prompt: &'a str,
    pub(super) options: &'a AskOptions,
}

impl Asked<'_> {
    /// What the model answers, and its scores.
    pub(super) fn of(&self, reasoner: &mut Reasoner) -> Result<(Answer, QuestionScores)> {
        let answer = reasoner.ask(self.scene, self.prompt, self.options, &mut |_| ControlFlow::Continue(()))?;
        let parsed = if answer.grammar_valid { parse(&answer.raw).ok() } else { None };
        let boxes: Vec<OrientedBox> = answer.boxes.iter().map(|b| b.bbox).collect();
        let sureness: Vec<f64> = answer.boxes.iter().map(|b| f64::from(b.score)).collect();
        let said = Said { parsed: parsed.as_ref(), boxes: &boxes, sureness: &sureness };
        let scored = score(self.question, self.room, &said);
        Ok((answer, scored))
    }
}

/// The first of a seed's rooms, none of which is trained on.
pub(super) fn first_room(rooms_seed: u64) -> u64 {
    rooms_seed.wrapping_mul(ROOMS_PER_SEED) % FIRST_TRAINING_SEED
}

/// The room's map as it is recorded and disturbed, and which objects the whole walk shows well: what is asked does not depend
/// on the disturbance.
fn observed(room: &Room, args: &EvalArgs) -> Result<(Scene, Vec<bool>)> {
    let config = args.sensing.apply(RecordConfig::default());
    let disturbance = Disturbance { drop_views: args.drop_views, depth_noise: args.depth_noise };
    let (scene, seen) = make_scene(room, &config)?;
    if disturbance.is_none() {
        return Ok((scene, seen));
    }
    let mut scene = Scene::new(scene_config())?;
    for frame in disturb(&record(room, &config).frames, &disturbance, room.seed)? {
        scene.fuse(&frame)?;
    }
    Ok((scene, seen))
}

/// How many questions are still to be asked: in all, or of each task.
struct Left {
    in_all: usize,
    by_task: Vec<(Task, usize)>,
}

impl Left {
    fn new(args: &EvalArgs) -> Self {
        if args.per_task {
            Self { in_all: 0, by_task: args.tasks.tasks().into_iter().map(|t| (t, args.count)).collect() }
        } else {
            Self { in_all: args.count, by_task: Vec::new() }
        }
    }

    fn all(&self) -> usize {
        self.in_all + self.by_task.iter().map(|(_, n)| n).sum::<usize>()
    }

    /// The next room's questions.
    fn questions(&mut self, room: &Room, seen: &[bool], args: &EvalArgs) -> Vec<Question> {
        let mut out = questions(room, seen, room.seed, QUESTIONS_PER_ROOM.min(self.in_all), &args.tasks);
        self.in_all -= out.len();
        for (task, left) in self.by_task.iter_mut().filter(|(_, left)| *left > 0) {
            let mut own = questions(room, seen, room.seed, QUESTIONS_PER_TASK.min(*left), &TaskMix::only(*task));
            *left -= own.len();
            own.iter_mut().for_each(|q| q.id = format!("{}-{task}", q.id));
            out.append(&mut own);
        }
        out
    }
}
