//! `vantage-train sft`: prepares samples, trains, writes checkpoints and a log, resumes where it stopped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use vantage_model::checkpoint::{self, CheckpointFiles};
use vantage_model::{ModelConfig, Network, Tokenizer, target_text};

use super::grads::mean_and_clip;
use super::parallel::{PART_NAMES, Workers};
use super::schedule::Schedule;
use crate::dataset::{Batch, BatchConfig, load_or_make};
use crate::rooms::{CLASS_NAMES, RoomConfig, generate};
use crate::tasks::{TaskMix, questions};

/// First seed of the training rooms; evaluation refuses seeds from here on, so that no room is on both sides.
pub const FIRST_TRAINING_SEED: u64 = 1 << 40;
/// Rooms whose questions the tokenizer is trained on.
const TOKENIZER_ROOMS: u64 = 400;
/// Largest global gradient norm.
const MAX_GRADIENT_NORM: f32 = 1.0;
/// Version of state.json.
const STATE_FORMAT_VERSION: u32 = 1;

/// Arguments of `vantage-train sft`.
#[derive(Debug, Args)]
pub struct SftArgs {
    /// Folder for checkpoints and the log; training resumes when it holds a state.
    #[arg(long)]
    pub out: PathBuf,
    /// Folder of cached samples.
    #[arg(long, default_value = "out/samples")]
    pub cache: PathBuf,
    /// Rooms to train on.
    #[arg(long, default_value_t = 2400)]
    pub rooms: usize,
    /// Steps in all.
    #[arg(long, default_value_t = 4000)]
    pub steps: usize,
    /// Scenes a step.
    #[arg(long, default_value_t = 4)]
    pub scenes: usize,
    /// Questions a scene and step.
    #[arg(long, default_value_t = 10)]
    pub questions: usize,
    /// Views a scene.
    #[arg(long, default_value_t = 4)]
    pub views: usize,
    /// Longest text in tokens; longer ones are left out.
    #[arg(long, default_value_t = 280)]
    pub max_tokens: usize,
    /// Tasks with their shares, such as `qa=6,grounding=7`; or `all`, each by its own.
    #[arg(long, default_value = "all")]
    pub tasks: TaskMix,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    pub learning_rate: f64,
    /// Start from the weights of this model folder; parts that it lacks start fresh.
    #[arg(long)]
    pub init: Option<PathBuf>,
    /// Seed of weights and batches.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that share a batch's scenes; part of the run, as sums are rounded differently.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 100)]
    pub checkpoint_every: usize,
    /// Stop after this many minutes, with a checkpoint; run again to go on.
    #[arg(long)]
    pub minutes: Option<f64>,
}

/// Where a run stands; state.json beside the weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format_version: u32,
    /// Steps done.
    step: usize,
    seed: u64,
    rooms: usize,
    scenes: usize,
    questions: usize,
    views: usize,
    /// Seconds of training so far, over all runs.
    seconds: f64,
}

/// Trains; the model folder is `out/model`.
///
/// # Errors
/// When a folder cannot be written, a checkpoint cannot be read, or the loss stops being a number.
pub fn run(args: &SftArgs) -> Result<()> {
    let model_dir = args.out.join("model");
    fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let device = Device::flex().autodiff();
    device.seed(args.seed);
    let mut state = read_state(&args.out)?;
    let (config, tokenizer, mut network) = match &state {
        Some(_) => resume_model(&model_dir, &device)?,
        None => match &args.init {
            Some(dir) => model_from(dir, &device)?,
            None => fresh_model(args, &device)?,
        },
    };
    let mut optimizer = AdamWConfig::new().with_beta_2(0.98).with_weight_decay(0.05).init();
    if state.is_some() {
        let path = args.out.join("optimizer");
        optimizer = optimizer.load(&path).with_context(|| format!("reading {}", path.display()))?;
    }
    let mut state = state.take().unwrap_or(State {
        format_version: STATE_FORMAT_VERSION,
        step: 0,
        seed: args.seed,
        rooms: args.rooms,
        scenes: args.scenes,
        questions: args.questions,
        views: args.views,
        seconds: 0.0,
    });
    eprintln!(
        "{}: {} parameters, starting at step {} of {}",
        config.name,
        network.num_params(),
        state.step,
        args.steps
    );

    let bar = progress(args.rooms as u64, "rooms");
    let samples = load_or_make(FIRST_TRAINING_SEED, args.rooms, &config, &args.cache, &|| bar.inc(1))?;
    bar.finish_and_clear();

    let schedule = Schedule { peak: args.learning_rate, floor_share: 0.03, warmup: 100, steps: args.steps };
    let batch_config = BatchConfig {
        scenes: args.scenes,
        questions: args.questions,
        views: args.views,
        max_tokens: args.max_tokens,
        mix: args.tasks,
    };
    let bar = progress(args.steps as u64, "steps");
    bar.set_position(state.step as u64);
    let mut log =
        fs::OpenOptions::new().create(true).append(true).open(args.out.join("log.csv")).context("opening log.csv")?;
    if state.step == 0 {
        writeln!(log, "step,seconds,rate,norm,{}", PART_NAMES.join(","))?;
    }
    let workers = Workers::new(args.workers)?;
    let start = Instant::now();
    let first = state.step;
    let seconds_before = state.seconds;
    // one batch ahead, made while the network works
    std::thread::scope(|scope| -> Result<()> {
        let (sender, batches) = sync_channel(2);
        let (samples, tokenizer_ref) = (&samples, &tokenizer);
        let steps = args.steps;
        scope.spawn(move || {
            for step in first..steps {
                if sender.send(Batch::make(samples, tokenizer_ref, &batch_config, args.seed, step)).is_err() {
                    return;
                }
            }
        });
        for step in first..args.steps {
            let batch = batches.recv().context("the batch maker stopped")??;
            let (mut grads, parts, values) =
                workers.gradients(&network, &config, tokenizer.special(), &batch, &device)?;
            let norm = mean_and_clip(&network, &mut grads, parts, MAX_GRADIENT_NORM);
            ensure!(norm.is_finite(), "step {step}: the gradient is not a number; resume with a lower --learning-rate");
            let rate = schedule.rate(step);
            network = optimizer.step(rate, network, grads);
            state.step = step + 1;
            state.seconds = seconds_before + start.elapsed().as_secs_f64();
            let line = values.map(|v| format!("{v:.4}")).join(",");
            writeln!(log, "{},{:.1},{rate:.6},{norm:.3},{line}", state.step, state.seconds)?;
            bar.set_position(state.step as u64);
            bar.set_message(line);
            let out_of_time = args.minutes.is_some_and(|m| start.elapsed().as_secs_f64() > 60.0 * m);
            if state.step % args.checkpoint_every == 0 || state.step == args.steps || out_of_time {
                save(&args.out, &model_dir, &config, &tokenizer, &network, &optimizer, &state)?;
            }
            if out_of_time {
                break;
            }
        }
        Ok(())
    })?;
    bar.finish();
    eprintln!("step {} of {}; the model is in {}", state.step, args.steps, model_dir.display());
    Ok(())
}

fn progress(length: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {prefix} {elapsed} (left {eta}) {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(unit.to_owned());
    bar
}

fn fresh_model(args: &SftArgs, device: &Device) -> Result<(ModelConfig, Tokenizer, Network)> {
    let tokenizer = train_tokenizer()?;
    let mut classes = vec!["shell".to_owned()];
    classes.extend(CLASS_NAMES.iter().map(|c| (*c).to_owned()));
    let mut config = ModelConfig::nano(tokenizer.vocab_size(), classes);
    config.default_views = args.views;
    let network = Network::new(&config, device);
    Ok((config, tokenizer, network))
}

/// The model in `dir` with fresh weights where it has none.
fn model_from(dir: &Path, device: &Device) -> Result<(ModelConfig, Tokenizer, Network)> {
    let files = CheckpointFiles::read(dir)?;
    let config = ModelConfig::from_json(&files.config, &files.origin)?;
    let tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
    let mut network = Network::new(&config, device);
    let fresh = checkpoint::apply_part(&mut network, &files)?;
    if !fresh.is_empty() {
        eprintln!("{}: without {}; they start fresh", dir.display(), fresh.join(", "));
    }
    Ok((config, tokenizer, network))
}

fn resume_model(dir: &Path, device: &Device) -> Result<(ModelConfig, Tokenizer, Network)> {
    let files = CheckpointFiles::read(dir)?;
    let config = ModelConfig::from_json(&files.config, &files.origin)?;
    let tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
    let mut network = Network::new(&config, device);
    checkpoint::apply(&mut network, &files)?;
    Ok((config, tokenizer, network))
}

/// A tokenizer over the texts of some rooms that are neither trained on nor evaluated.
fn train_tokenizer() -> Result<Tokenizer> {
    const FIRST_SEED: u64 = 1 << 41;
    let corpus = (0..TOKENIZER_ROOMS).flat_map(|i| {
        let room = generate(FIRST_SEED + i, &RoomConfig::default());
        let seen = vec![true; room.objects.len()];
        let blank = |_: usize| " ".to_owned();
        questions(&room, &seen, FIRST_SEED + i, 30, &TaskMix::default())
            .into_iter()
            .flat_map(|q| {
                let (think, answer) = q.target(&mut { blank });
                [q.prompt(&mut { blank }), target_text(&think, &answer)]
            })
            .collect::<Vec<_>>()
    });
    const VOCABULARY: usize = 1024;
    Ok(Tokenizer::train_bpe(corpus, VOCABULARY)?)
}

fn read_state(out: &Path) -> Result<Option<State>> {
    let path = out.join("state.json");
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let state: State = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; remove it to start anew", path.display()))?;
    ensure!(
        state.format_version == STATE_FORMAT_VERSION,
        "{}: format_version {} is not {STATE_FORMAT_VERSION}",
        path.display(),
        state.format_version
    );
    Ok(Some(state))
}

fn save(
    out: &Path,
    model_dir: &Path,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    network: &Network,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<()> {
    checkpoint::save(&network.valid(), config, tokenizer, model_dir)?;
    let path = out.join("optimizer");
    optimizer.save(&path).with_context(|| format!("writing {}", path.display()))?;
    let partial = out.join("state.partial");
    fs::write(&partial, serde_json::to_string_pretty(state)?).context("writing the state")?;
    fs::rename(&partial, out.join("state.json")).context("renaming the state")?;
    Ok(())
}
