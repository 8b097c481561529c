//! `vantage replay`: a recording and questions in; JSON lines or a table, and a folder of pictures, out.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use vantage_calibration::Rig;
use vantage_model::{Answer, AskOptions, DeviceChoice, ViewStrategy, check_question};
use vantage_scene::Scene;

use crate::answerer::{Answerer, Mode};
use crate::engine::{DEFAULT_MAX_DEPTH_M, DEFAULT_VOXEL_M, EngineConfig, FusionSettings, Replay, fuse_recording};
use crate::questions::{self, Known};
use crate::sink::folder::OutFolder;
use crate::sink::json::Line;
use crate::sink::{stdout, table};
use crate::source::{BagSource, TopicRequest};
use crate::suggest::suggested_view;

/// What fusion and asking have in common for replay and demo.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Model folder; the embedded nano when left out.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Where the model runs: auto, cpu, cuda:N or wgpu.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// How questions are answered; as the model is made for when left out: r1 for this project's own, lift for a Qwen2.5-VL.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// One JSON object a line on stdout instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fill in latency_ms in --json. Without it they are null, so that equal replays print equal bytes.
    #[arg(long)]
    pub(crate) timing: bool,
    /// Folder for answers.jsonl, the map as map.ply (points) and mesh.ply, the chosen views as PNG with the boxes drawn in, and report.html.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Side of a map voxel, metres.
    #[arg(long, default_value_t = DEFAULT_VOXEL_M, value_parser = |text: &str| number(text, 0.002, 0.5))]
    pub(crate) voxel: f32,
    /// Depths beyond this are not fused, metres.
    #[arg(long, default_value_t = DEFAULT_MAX_DEPTH_M, value_parser = |text: &str| number(text, 0.2, 30.0))]
    pub(crate) max_depth: f32,
    /// Most memory of the map, MB; when it is used up, what is far away and long unseen makes room.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) map_mb: u32,
    /// Frame that everything is fused in.
    #[arg(long, default_value = "odom")]
    pub(crate) global_frame: String,
    /// Largest time between a colour and a depth image, seconds.
    #[arg(long, default_value_t = 0.02, value_parser = |text: &str| number(text, 0.0, 10.0))]
    pub(crate) sync_tolerance: f32,
    /// Views given to the model; its own number when left out.
    #[arg(long)]
    pub(crate) views: Option<NonZeroUsize>,
    /// Milliseconds that encoding and reading the views may take, by what a view took last: fewer are chosen where more would take longer. What is chosen then depends on the machine.
    #[arg(long, value_name = "MS")]
    pub(crate) view_budget: Option<u32>,
    /// How views are chosen: utility, or blind to the question uniform, random, ring, coverage or all.
    #[arg(long, default_value = "utility")]
    pub(crate) strategy: ViewStrategy,
    /// Choose among views of the map too, rendered from above, from its upper corners and from around what the question is about. Not in mode lift, nor with a strategy that is blind to the question.
    #[arg(long)]
    pub(crate) map_views: bool,
    /// Most tokens of an answer; in mode lift, of what is said about each view.
    #[arg(long, default_value_t = 320, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_tokens: u32,
}

/// Arguments of `vantage replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A rosbag2 folder, an .mcap or a .db3 file.
    bag: PathBuf,
    /// A question; may be given several times.
    #[arg(long = "ask")]
    ask: Vec<String>,
    /// Questions with known answers, JSON lines.
    #[arg(long)]
    questions: Option<PathBuf>,
    /// Topic of the color images; found by type and name when left out.
    #[arg(long)]
    color_topic: Option<String>,
    /// Topic of the depth images.
    #[arg(long)]
    depth_topic: Option<String>,
    /// Topic of the depth images' camera_info.
    #[arg(long)]
    depth_info_topic: Option<String>,
    /// Topic of the color images' camera_info.
    #[arg(long)]
    color_info_topic: Option<String>,
    /// Name of a camera, whose topics are NAME/color/image_raw, NAME/depth/image_raw and so on; may be given several times.
    #[arg(long = "camera", value_name = "NAME", conflicts_with_all = ["color_topic", "depth_topic", "depth_info_topic", "color_info_topic"])]
    cameras: Vec<String>,
    /// Rig file with the cameras' corrections, and with calibration that the recording lacks.
    #[arg(long, value_name = "FILE")]
    rig: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// A number of the command line between two bounds.
fn number(text: &str, min: f32, max: f32) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(format!("it must be from {min} to {max}")) }
}

impl Settings {
    fn engine(&self) -> EngineConfig {
        let settings = FusionSettings {
            global_frame: self.global_frame.clone(),
            sync_tolerance_s: f64::from(self.sync_tolerance),
            voxel_size_m: self.voxel,
            max_depth_m: self.max_depth,
            max_map_bytes: (self.map_mb as usize) << 20,
            ..FusionSettings::default()
        };
        settings.engine()
    }

    fn ask_options(&self) -> AskOptions {
        AskOptions {
            max_views: self.views.map(NonZeroUsize::get),
            view_budget: self.view_budget.map(|ms| Duration::from_millis(ms.into())),
            max_tokens: self.max_tokens as usize,
            strategy: self.strategy.clone(),
            map_views: self.map_views,
            ..AskOptions::default()
        }
    }
}

/// Runs `vantage replay`.
pub(crate) fn run(args: &ReplayArgs) -> Result<()> {
    let mut asked: Vec<(String, Option<Known>)> = args.ask.iter().map(|q| (q.clone(), None)).collect();
    if let Some(path) = &args.questions {
        asked.extend(questions::read(path)?.into_iter().map(|k| (k.question.clone(), Some(k))));
    }
    let request = TopicRequest {
        color: args.color_topic.clone(),
        depth: args.depth_topic.clone(),
        depth_info: args.depth_info_topic.clone(),
        color_info: args.color_info_topic.clone(),
        cameras: args.cameras.clone(),
        rig: args.rig.as_deref().map(Rig::load).transpose()?,
    };
    replay(&args.bag, &request, &asked, &args.settings)
}

/// Fuses `bag`, asks, and prints.
pub(crate) fn replay(
    bag: &std::path::Path,
    request: &TopicRequest,
    asked: &[(String, Option<Known>)],
    settings: &Settings,
) -> Result<()> {
    ensure!(
        !settings.map_views || settings.strategy == ViewStrategy::Utility,
        "--map-views goes with --strategy utility: the others are blind to the question"
    );
    for (place, (question, _)) in asked.iter().enumerate() {
        check_question(question).with_context(|| format!("question {} of {}", place + 1, asked.len()))?;
    }
    // the model first: a missing checkpoint is said before minutes of fusing
    let mut answerer = if asked.is_empty() {
        None
    } else {
        Some(Answerer::load(settings.model.as_deref(), settings.mode, settings.device)?)
    };
    let mut out = settings.out.as_deref().map(OutFolder::create).transpose()?;
    let mut source = BagSource::open(bag, request)?;
    let bar = match source.depth_message_count() {
        Some(count) => ProgressBar::new(count),
        None => ProgressBar::new_spinner(),
    };
    if let Ok(style) = ProgressStyle::with_template("fusing {bar:30} {pos}/{len} frames {elapsed}") {
        bar.set_style(style);
    }
    let mut lines = Vec::new();
    let Replay { scene, stats, fuse_ms } = fuse_recording(&mut source, &settings.engine(), &mut |frame, report| {
        bar.inc(1);
        if settings.json {
            lines.push(Line::frame(frame, report).to_json()?);
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    tracing::info!(
        "{} frames fused in {:.0} ms, {:.1} ms a frame",
        stats.frames(),
        fuse_ms,
        fuse_ms / stats.frames().max(1) as f64
    );
    lines.push(Line::scene(&scene).to_json()?);

    let mut answers: Vec<Answer> = Vec::with_capacity(asked.len());
    for (question, known) in asked {
        let Some(answerer) = &mut answerer else { break };
        let answer = answerer
            .ask(&scene, question, &settings.ask_options(), &mut |_| ControlFlow::Continue(()))
            .with_context(|| format!("asking `{question}`"))?;
        let suggested = suggested_view(&scene, &answer).unwrap_or_else(|error| {
            tracing::warn!("no view is suggested: {error}");
            None
        });
        if let Some(view) = &suggested {
            let [x, y, _] = view.position;
            tracing::info!(
                "what `{question}` is about was hardly seen; look from ({x:.2}, {y:.2}) to {:.0} degrees",
                view.yaw.to_degrees()
            );
        }
        lines.push(Line::answer(&answer, suggested.as_ref(), settings.timing).to_json()?);
        if let Some(known) = known {
            let truth =
                Line::Truth { question, answers: &known.answers, boxes: known.boxes.clone(), iou: known.iou(&answer) };
            lines.push(truth.to_json()?);
        }
        if let Some(out) = &mut out {
            out.add_answer(&scene, &answer)?;
        }
        answers.push(answer);
    }
    if let Some(out) = out {
        let place = out.finish(&scene, &lines)?;
        tracing::info!("written to {}", place.display());
    }
    let text = if settings.json {
        lines.join("\n")
    } else {
        let known: Vec<Option<Known>> = asked.iter().map(|(_, k)| k.clone()).collect();
        summary(&scene, stats.frames(), &answers, &known)
    };
    stdout::print(&text)
}

/// What was fused, in a line, and the answers as a table.
fn summary(scene: &Scene, frames: u64, answers: &[Answer], known: &[Option<Known>]) -> String {
    let bounds = scene.bounds().map_or_else(String::new, |b| {
        let length = |k: usize| b.max[k] - b.min[k];
        format!(", {:.2} x {:.2} x {:.2} m", length(0), length(1), length(2))
    });
    let fused = format!(
        "{frames} frames, {} surface points, {} keyframes{bounds}",
        scene.surface().len(),
        scene.keyframes().len()
    );
    if answers.is_empty() { fused } else { format!("{fused}\n{}", table::answers(answers, known)) }
}
