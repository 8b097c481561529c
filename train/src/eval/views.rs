//! `vantage-train eval views`: how well each way of choosing views shows what is asked about, what the answers are worth then,
//! and what it costs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use nalgebra::Point3;
use serde_json::json;
use vantage_model::{AskOptions, DeviceChoice, Reasoner, TextBox, ViewId, ViewStrategy};
use vantage_node::sink::stdout;
use vantage_scene::{RgbdFrame, Scene};

use super::run::{Asked, QUESTIONS_PER_ROOM, ROOMS_PER_SEED, first_room};
use crate::dataset::{WELL_SHARE, fuse_recording, keyframe_pixels, least_pixels};
use crate::rooms::{Difficulty, RecordConfig, Recording, Room, RoomConfig, generate, object_at, record};
use crate::run::progress;
use crate::tasks::{Question, TaskMix, estimate, questions};

/// Numbers of views.
const COUNTS: [usize; 4] = [1, 2, 4, 6];

/// Arguments of `vantage-train eval views`.
#[derive(Debug, Args)]
pub struct ViewsArgs {
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
    /// Questions, each put with the views of every strategy.
    #[arg(long, default_value_t = 200)]
    pub count: usize,
    /// Tasks, `all`, or with their shares: `qa=6,grounding=7`.
    #[arg(long, default_value = "all")]
    pub tasks: TaskMix,
    /// Also compare the learned choice among keyframes and views of the map, as `learned+map`.
    #[arg(long)]
    pub map_views: bool,
    /// Choose only: no answers, which is much faster.
    #[arg(long)]
    pub no_answers: bool,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// The learned choice among keyframes and views of the map.
const WITH_MAP: &str = "learned+map";
/// Of a view of the map every so many pixels, along and across, are looked up in the room.
const LOOKED_UP: usize = 4;
/// A pixel shows the object whose surface is within this, metres.
const OBJECT_WITHIN_M: f64 = 0.1;

/// A strategy with a number of views; `None` is the model's own.
type Way = (&'static str, Option<usize>);

/// All that are compared, in the order they are printed.
fn ways(args: &ViewsArgs) -> Vec<Way> {
    let mut ways: Vec<Way> = vec![("learned", None)];
    for strategy in ["learned", "uniform", "coverage", "random", "ring", "oracle"] {
        ways.extend(COUNTS.map(|count| (strategy, Some(count))));
    }
    ways.push(("all", None));
    if args.map_views {
        ways.push((WITH_MAP, None));
        ways.extend(COUNTS.map(|count| (WITH_MAP, Some(count))));
    }
    ways
}

/// What one question showed of one way: each value with its room.
#[derive(Debug, Default)]
struct Column {
    views: Vec<(u64, f64)>,
    visibility: Vec<(u64, f64)>,
    exact_match: Vec<(u64, f64)>,
    acc_25: Vec<(u64, f64)>,
    encode_ms: Vec<(u64, f64)>,
    select_ms: Vec<(u64, f64)>,
}

/// Runs the comparison and prints it to stdout.
///
/// # Errors
/// When the model cannot be loaded, a room cannot be fused, or a question fails.
pub fn run(args: &ViewsArgs) -> Result<()> {
    ensure!(args.count > 0, "--count must be at least 1");
    let device = args.device.open()?;
    let mut reasoner = match &args.model {
        Some(dir) => Reasoner::load(dir, &device)?,
        None => Reasoner::embedded(&device)?,
    };
    let mut columns: BTreeMap<Way, Column> = BTreeMap::new();
    let mut keyframes = 0usize;
    let mut left = args.count;
    let bar = progress(args.count as u64, "questions");
    for seed in (0..ROOMS_PER_SEED).map(|i| first_room(args.rooms_seed) + i) {
        if left == 0 {
            break;
        }
        let room = generate(seed, &RoomConfig::of(args.difficulty));
        let config = RecordConfig::default();
        let recording = record(&room, &config);
        let (scene, seen) = fuse_recording(&recording, room.objects.len(), &config)?;
        let truth = Truth::of(&scene, &recording, &config);
        keyframes = keyframes.max(scene.keyframes().len());
        reasoner.reset();
        let asked = questions(&room, &seen, seed, QUESTIONS_PER_ROOM, &args.tasks);
        let asked = asked.iter().filter(|q| q.referents.iter().any(|&o| truth.is_shown(o)));
        for question in asked.take(left) {
            let mut put = Put { room: &room, scene: &scene, question, truth: &truth, reasoner: &mut reasoner };
            put.all(args, &mut columns)?;
            left -= 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    ensure!(left == 0, "too few questions about what can be seen in {ROOMS_PER_SEED} rooms");
    print(args, &columns, keyframes)
}

/// What the keyframes truly show.
struct Truth {
    /// For each keyframe, the pixels of each object.
    pixels: BTreeMap<u32, Vec<u32>>,
    /// For each object, the most pixels of any.
    best: Vec<u32>,
    least: u32,
}

impl Truth {
    fn of(scene: &Scene, recording: &Recording, config: &RecordConfig) -> Self {
        let ids = scene.keyframes().iter().map(|k| k.id);
        let pixels: BTreeMap<u32, Vec<u32>> = ids.zip(keyframe_pixels(scene, recording)).collect();
        let objects = pixels.values().next().map_or(0, Vec::len);
        let best = (0..objects).map(|o| pixels.values().map(|p: &Vec<u32>| p[o]).max().unwrap_or(0)).collect();
        Self { pixels, best, least: least_pixels(config) }
    }

    /// Whether any keyframe shows the object.
    fn is_shown(&self, object: usize) -> bool {
        self.best.get(object).is_some_and(|best| *best >= self.least)
    }

    /// `pixels`: those of each object in some view.
    fn shows_well(&self, pixels: &[u32], object: usize) -> bool {
        let pixels = pixels.get(object).copied().unwrap_or(0);
        self.is_shown(object)
            && pixels >= self.least
            && f64::from(pixels) >= f64::from(WELL_SHARE) * f64::from(self.best[object])
    }

    /// Share of what the question is about, and any keyframe shows, that one of the views shows well; of each `shown`, the
    /// pixels of each object.
    fn visibility(&self, question: &Question, shown: &[Vec<u32>]) -> f64 {
        let objects: Vec<usize> = question.referents.iter().copied().filter(|&o| self.is_shown(o)).collect();
        let well = objects.iter().filter(|&&o| shown.iter().any(|pixels| self.shows_well(pixels, o))).count();
        well as f64 / objects.len().max(1) as f64
    }

    /// The keyframes that show most of it: one after the other that which shows most objects well that none did, of equals the
    /// one with most of their pixels.
    fn oracle(&self, question: &Question, count: usize) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::new();
        while chosen.len() < count.min(self.pixels.len()) {
            let worth = |&k: &u32| {
                let with: Vec<Vec<u32>> =
                    chosen.iter().chain([&k]).filter_map(|k| self.pixels.get(k).cloned()).collect();
                let pixels: u32 = question.referents.iter().filter_map(|&o| self.pixels.get(&k)?.get(o).copied()).sum();
                ((self.visibility(question, &with) * 1e6) as u64, pixels, std::cmp::Reverse(k))
            };
            let free = self.pixels.keys().copied().filter(|k| !chosen.contains(k));
            let Some(best) = free.max_by_key(worth) else { break };
            chosen.push(best);
        }
        chosen
    }
}

/// The pixels of each object in a view of the map, as many as if its picture had the size of a recording's.
fn pixels_of_map(room: &Room, frame: &RgbdFrame) -> Vec<u32> {
    let (width, height) = (frame.depth.width as usize, frame.depth.height as usize);
    let mut counts = vec![0u32; room.objects.len()];
    let mut looked_up = 0usize;
    for v in (0..height).step_by(LOOKED_UP) {
        for u in (0..width).step_by(LOOKED_UP) {
            looked_up += 1;
            let z = f64::from(frame.depth.data[v * width + u]);
            if z <= 0.0 {
                continue;
            }
            let p = frame.world_from_camera * Point3::from(frame.camera.ray(u as f64, v as f64) * z);
            if let Some(object) = object_at(room, [p.x as f32, p.y as f32, p.z as f32], OBJECT_WITHIN_M) {
                counts[object] += 1;
            }
        }
    }
    let config = RecordConfig::default();
    let scale = f64::from(config.width * config.height) / looked_up.max(1) as f64;
    counts.iter().map(|&count| (f64::from(count) * scale).round() as u32).collect()
}

/// One question, put with the views of every way.
struct Put<'a> {
    room: &'a Room,
    scene: &'a Scene,
    question: &'a Question,
    truth: &'a Truth,
    reasoner: &'a mut Reasoner,
}

/// What an answer was worth: exact match and hit, where the question has them, and the time of encoding.
#[derive(Debug, Clone, Copy)]
struct Worth {
    exact_match: Option<f64>,
    acc_25: Option<f64>,
    encode_ms: f64,
}

impl Put<'_> {
    fn all(&mut self, args: &ViewsArgs, columns: &mut BTreeMap<Way, Column>) -> Result<()> {
        let bounds = self.scene.bounds().context("nothing was fused")?;
        let objects = &self.room.objects;
        let prompt = self.question.prompt(&mut |i| {
            objects.get(i).map_or_else(String::new, |o| TextBox::from_box(&o.bbox, &bounds).to_string())
        });
        // what is encoded once a map is no cost of a question
        self.reasoner.select_views(self.scene, &prompt, &AskOptions::default())?;
        // equal views give equal answers
        let mut known: BTreeMap<Vec<u32>, Worth> = BTreeMap::new();
        for way in ways(args) {
            let (strategy, max_views) = way;
            let strategy = match strategy {
                "uniform" => ViewStrategy::UniformInTime,
                "coverage" => ViewStrategy::Coverage,
                "random" => ViewStrategy::Random(self.room.seed),
                "ring" => ViewStrategy::Ring,
                "all" => ViewStrategy::All,
                "oracle" => ViewStrategy::Given(self.truth.oracle(self.question, max_views.unwrap_or(0))),
                _ => ViewStrategy::Utility,
            };
            let map_views = way.0 == WITH_MAP;
            let options = AskOptions { strategy, max_views, map_views, ..AskOptions::default() };
            let (choice, latency) = self.reasoner.select_views(self.scene, &prompt, &options)?;
            let mut ids: Vec<u32> = choice.chosen.iter().filter_map(|view| view.view.keyframe()).collect();
            ids.sort_unstable();
            let shown: Vec<Vec<u32>> = choice
                .chosen
                .iter()
                .filter_map(|view| match view.view {
                    ViewId::Keyframe(id) => self.truth.pixels.get(&id).cloned(),
                    ViewId::Map(at) => choice.map_views.get(at).map(|view| pixels_of_map(self.room, &view.frame)),
                })
                .collect();
            let room = self.room.seed;
            let column = columns.entry(way).or_default();
            column.views.push((room, choice.chosen.len() as f64));
            column.visibility.push((room, self.truth.visibility(self.question, &shown)));
            column.select_ms.push((room, latency.select_ms));
            if args.no_answers {
                continue;
            }
            let worth = match known.get(&ids) {
                Some(worth) if ids.len() == choice.chosen.len() => *worth,
                _ => {
                    let worth = self.answer(&prompt, &options)?;
                    known.insert(ids, worth);
                    worth
                }
            };
            column.exact_match.extend(worth.exact_match.map(|x| (room, x)));
            column.acc_25.extend(worth.acc_25.map(|x| (room, x)));
            column.encode_ms.push((room, worth.encode_ms));
        }
        Ok(())
    }

    fn answer(&mut self, prompt: &str, options: &AskOptions) -> Result<Worth> {
        let asked = Asked { room: self.room, scene: self.scene, question: self.question, prompt, options };
        let (answer, scored) = asked.of(self.reasoner)?;
        let value = |wanted: &str| scored.values.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        Ok(Worth { exact_match: value("exact_match"), acc_25: value("acc_25"), encode_ms: answer.latency.encode_ms })
    }
}

fn print(args: &ViewsArgs, columns: &BTreeMap<Way, Column>, keyframes: usize) -> Result<()> {
    let mean = |values: &[(u64, f64)]| estimate(values).map(|e| e.value);
    if !args.json {
        stdout::print(&format!(
            "{:<10} {:>8} {:>6} {:>12} {:>12} {:>9} {:>10} {:>10}",
            "strategy", "k", "views", "visibility %", "exact match", "acc@0.25", "encode ms", "select ms"
        ))?;
    }
    for way in ways(args) {
        let Some(column) = columns.get(&way) else { continue };
        let k = match way {
            (_, Some(count)) => count.to_string(),
            ("all", None) => keyframes.to_string(),
            _ => "adaptive".to_owned(),
        };
        if args.json {
            let interval = |values: &[(u64, f64)]| estimate(values).and_then(|e| e.interval);
            let line = json!({
                "type": "views", "strategy": way.0, "k": k, "mean_views": mean(&column.views),
                "visibility": mean(&column.visibility), "exact_match": mean(&column.exact_match),
                "acc_25": mean(&column.acc_25), "encode_ms": mean(&column.encode_ms),
                "select_ms": mean(&column.select_ms), "visibility_interval": interval(&column.visibility),
                "exact_match_interval": interval(&column.exact_match), "acc_25_interval": interval(&column.acc_25),
            });
            stdout::print(&serde_json::to_string(&line)?)?;
        } else {
            let shown = |values: &[(u64, f64)], scale: f64, places: usize| {
                mean(values).map_or_else(|| "-".to_owned(), |x| format!("{:.places$}", scale * x))
            };
            stdout::print(&format!(
                "{:<10} {k:>8} {:>6} {:>12} {:>12} {:>9} {:>10} {:>10}",
                way.0,
                shown(&column.views, 1.0, 2),
                shown(&column.visibility, 100.0, 1),
                shown(&column.exact_match, 100.0, 1),
                shown(&column.acc_25, 100.0, 1),
                shown(&column.encode_ms, 1.0, 2),
                shown(&column.select_ms, 1.0, 2)
            ))?;
        }
    }
    if args.json {
        let line = json!({"type": "views_summary", "questions": args.count, "most_keyframes": keyframes});
        stdout::print(&serde_json::to_string(&line)?)?;
    }
    Ok(())
}
