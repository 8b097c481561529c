//! `vantage-train sft`: prepares samples, trains, writes checkpoints and a log, resumes where it stopped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::Device;
use clap::Args;
use vantage_model::{Encoders, ModelConfig, Network, Tokenizer, target_text};

use super::grads::mean_and_clip;
use super::parallel::{PART_NAMES, Workers};
use super::schedule::Schedule;
use crate::dataset::{Batch, BatchConfig, SceneSample, load_or_make};
use crate::rooms::{CLASS_NAMES, RoomConfig, generate};
use crate::run::{
    AdapterArgs, Checkpoint, Learning, Model, RunFolder, begin_or_resume, check_counts, check_time_and_rate, progress,
    read_or_fresh,
};
use crate::tasks::{Emphasis, Task, TaskMix, parse_emphasis, questions};

/// First seed of the training rooms; evaluation refuses seeds from here on, so that no room is on both sides.
pub const FIRST_TRAINING_SEED: u64 = 1 << 40;
/// First seed of the rooms that tell when to stop.
pub(crate) const FIRST_VALIDATION_SEED: u64 = 1 << 42;
/// Rooms whose questions the tokenizer is trained on.
const TOKENIZER_ROOMS: u64 = 400;
/// Largest global gradient norm.
const MAX_GRADIENT_NORM: f32 = 1.0;
/// Steps of warm-up, and the last learning rate as a share of the highest.
const WARMUP_STEPS: usize = 100;
const FLOOR_SHARE: f64 = 0.03;
/// Of the batches that validation draws: always the same.
const VALIDATION_SEED: u64 = 7;

/// Arguments of `vantage-train sft`.
#[derive(Debug, Args)]
pub struct SftArgs {
    /// Folder for checkpoints and the log; training resumes when it holds a checkpoint.
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
    /// Scenes a batch.
    #[arg(long, default_value_t = 4)]
    pub scenes: usize,
    /// Questions a scene and batch.
    #[arg(long, default_value_t = 10)]
    pub questions: usize,
    /// Batches a step: their gradients are added up before the weights move.
    #[arg(long, default_value_t = 1)]
    pub accumulate: usize,
    /// Views a scene.
    #[arg(long, default_value_t = 4)]
    pub views: usize,
    /// Longest text in tokens; longer ones are left out.
    #[arg(long, default_value_t = 280)]
    pub max_tokens: usize,
    /// Tasks with their shares, such as `qa=6,grounding=7`; or `all`, each by its own.
    #[arg(long, default_value = "all")]
    pub tasks: TaskMix,
    /// Kinds of questions with how many times as often they are asked, such as `qa/count=3,situated/how_many=2.5`.
    #[arg(long, value_parser = parse_emphasis)]
    pub emphasis: Option<Emphasis>,
    /// Highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    pub learning_rate: f64,
    /// Start from the weights of this model folder; parts that it lacks start fresh.
    #[arg(long)]
    pub init: Option<PathBuf>,
    /// Adapters instead of the whole decoder.
    #[command(flatten)]
    pub adapters: AdapterArgs,
    /// What learns.
    #[command(flatten)]
    pub learning: Learning,
    /// Encoders whose tokens the model learns to read, of points, image and depth; give `eval` the same.
    #[arg(long, default_value = "points,image,depth")]
    pub encoders: Encoders,
    /// Rooms that are not trained on and tell which model is the best; 0 keeps no best.
    #[arg(long, default_value_t = 16)]
    pub validation_rooms: usize,
    /// Steps between validations.
    #[arg(long, default_value_t = 200)]
    pub validate_every: usize,
    /// Stop when this many validations in a row were no better.
    #[arg(long)]
    pub patience: Option<usize>,
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

impl SftArgs {
    fn check(&self) -> Result<()> {
        check_counts(&[
            ("rooms", self.rooms),
            ("steps", self.steps),
            ("scenes", self.scenes),
            ("questions", self.questions),
            ("accumulate", self.accumulate),
            ("views", self.views),
            ("max-tokens", self.max_tokens),
            ("validate-every", self.validate_every),
            ("workers", self.workers),
            ("checkpoint-every", self.checkpoint_every),
        ])?;
        check_time_and_rate(self.minutes, self.learning_rate)?;
        ensure!(
            self.adapters.lora_rank.is_none() || self.init.is_some(),
            "--lora-rank needs --init: adapters are added to a model that was trained"
        );
        ensure!(
            !self.learning.freeze_encoders || self.init.is_some(),
            "--freeze-encoders needs --init: encoders that never learned see nothing"
        );
        for kind in self.emphasis.iter().flat_map(Emphasis::keys) {
            let is_asked = |task: &Task| kind.starts_with(&format!("{task}/"));
            ensure!(
                self.tasks.tasks().iter().any(is_asked),
                "--emphasis {kind}: its task is not asked; add it to --tasks, or leave it out"
            );
        }
        ensure!(self.patience.is_none() || self.validation_rooms > 0, "--patience needs --validation-rooms");
        Ok(())
    }

    /// What decides the curve.
    fn settings(&self) -> BTreeMap<String, String> {
        let own = [
            ("rooms", self.rooms.to_string()),
            ("steps", self.steps.to_string()),
            ("scenes", self.scenes.to_string()),
            ("questions", self.questions.to_string()),
            ("accumulate", self.accumulate.to_string()),
            ("views", self.views.to_string()),
            ("max-tokens", self.max_tokens.to_string()),
            ("tasks", self.tasks.to_string()),
            ("learning-rate", self.learning_rate.to_string()),
            ("seed", self.seed.to_string()),
            ("workers", self.workers.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let init = self.init.iter().map(|dir| ("init".to_owned(), dir.display().to_string()));
        let some = (self.encoders != Encoders::default()).then(|| ("encoders".to_owned(), self.encoders.to_string()));
        let emphasis = self.emphasis.iter().map(|emphasis| {
            let kinds: Vec<String> = emphasis.iter().map(|(kind, factor)| format!("{kind}={factor}")).collect();
            ("emphasis".to_owned(), kinds.join(","))
        });
        own.into_iter()
            .chain(init)
            .chain(some)
            .chain(emphasis)
            .chain(self.adapters.settings())
            .chain(self.learning.setting())
            .collect()
    }
}

/// Trains; the model folder is `out/last/model`, the best by validation `out/best`.
///
/// # Errors
/// When an argument is out of range, a folder cannot be written, a checkpoint cannot be read, or the loss stops being a
/// number.
pub fn run(args: &SftArgs) -> Result<()> {
    args.check()?;
    let folder = RunFolder::open(&args.out)?;
    let device = Device::flex().autodiff();
    device.seed(args.seed);
    let settings = args.settings();
    let checkpoint = folder.checkpoint(&settings)?;
    let begin = || match &args.init {
        Some(dir) => read_or_fresh(dir, &device),
        None => fresh_model(args, &device),
    };
    let (config, tokenizer, mut network) =
        begin_or_resume(&folder, checkpoint.is_some(), &args.adapters, &begin, &device)?;
    network = args.learning.of(network);
    let mut optimizer = AdamWConfig::new().with_beta_2(0.98).with_weight_decay(0.05).init();
    if checkpoint.is_some() {
        optimizer = folder.load_optimizer(optimizer)?;
    }
    let mut state = checkpoint.unwrap_or_else(|| Checkpoint::begin(settings));
    let (name, weights) = (&config.name, network.num_params());
    eprintln!("{name}: {weights} parameters, starting at step {} of {}", state.step, args.steps);

    let bar = progress((args.rooms + args.validation_rooms) as u64, "rooms");
    let samples = load_or_make(FIRST_TRAINING_SEED, args.rooms, &config, &args.cache, &|| bar.inc(1))?;
    let held_out = load_or_make(FIRST_VALIDATION_SEED, args.validation_rooms, &config, &args.cache, &|| bar.inc(1))?;
    bar.finish_and_clear();

    let batch_config = BatchConfig {
        scenes: args.scenes,
        questions: args.questions,
        views: args.views,
        max_tokens: args.max_tokens,
        mix: args.tasks,
        emphasis: args.emphasis.clone().unwrap_or_default(),
    };
    let unemphasised = BatchConfig { emphasis: Emphasis::new(), ..batch_config.clone() };
    let validation = validation_batches(&held_out, &tokenizer, &unemphasised)?;
    let schedule =
        Schedule { peak: args.learning_rate, floor_share: FLOOR_SHARE, warmup: WARMUP_STEPS, steps: args.steps };
    let bar = progress(args.steps as u64, "steps");
    bar.set_position(state.step as u64);
    let mut log =
        folder.open_log(&format!("step,seconds,rate,norm,{},validation", PART_NAMES.join(",")), state.step)?;
    let workers = Workers::new(args.workers, args.learning, args.encoders)?;
    let start = Instant::now();
    let (first, before) = (state.step, state.seconds);
    // one step's batches ahead, made while the network works
    std::thread::scope(|scope| -> Result<()> {
        let (sender, steps_batches) = sync_channel(2);
        let (samples, tokenizer_ref) = (&samples, &tokenizer);
        scope.spawn(move || {
            for step in first..args.steps {
                let draws = step * args.accumulate..(step + 1) * args.accumulate;
                let batches: Result<Vec<Batch>> =
                    draws.map(|draw| Batch::make(samples, tokenizer_ref, &batch_config, args.seed, draw)).collect();
                if sender.send(batches).is_err() {
                    return;
                }
            }
        });
        for step in first..args.steps {
            let batches = steps_batches.recv().context("the batch maker stopped")??;
            let special = tokenizer.special();
            let (mut grads, parts, values) = workers.gradients(&network, &config, special, &batches, &device)?;
            let norm = mean_and_clip(&network, &mut grads, parts, MAX_GRADIENT_NORM);
            ensure!(norm.is_finite(), "step {step}: the gradient is not a number; resume with a lower --learning-rate");
            let rate = schedule.rate(step);
            network = optimizer.step(rate, network, grads);
            state.step = step + 1;
            state.seconds = before + start.elapsed().as_secs_f64();
            let is_last = state.step == args.steps;
            let mut validated = String::new();
            if !validation.is_empty() && (state.step % args.validate_every == 0 || is_last) {
                let plain = Device::flex();
                let loss = f64::from(workers.values(&network.valid(), &config, special, &validation, &plain)?[0]);
                validated = format!("{loss:.4}");
                if state.best.is_none_or(|(best, _)| loss < best) {
                    state.best = Some((loss, state.step));
                    folder.save_best(&config, &tokenizer, &network)?;
                }
            }
            let line = values.map(|v| format!("{v:.4}")).join(",");
            writeln!(log, "{},{:.1},{rate:.6},{norm:.3},{line},{validated}", state.step, state.seconds)?;
            bar.set_position(state.step as u64);
            bar.set_message(line);
            let out_of_time = args.minutes.is_some_and(|m| start.elapsed().as_secs_f64() > 60.0 * m);
            let out_of_patience = args.patience.zip(state.best).is_some_and(|(patience, (_, at))| {
                state.step >= at + patience * args.validate_every && !validated.is_empty()
            });
            if state.step % args.checkpoint_every == 0 || is_last || out_of_time || out_of_patience {
                let has_adapters = args.adapters.lora_rank.is_some();
                folder.save(&config, &tokenizer, &network, &optimizer, has_adapters, &state)?;
            }
            if out_of_time {
                break;
            }
            if out_of_patience {
                eprintln!("no better for {} validations: stopped early", args.patience.unwrap_or_default());
                break;
            }
        }
        Ok(())
    })?;
    bar.finish();
    eprintln!("step {} of {}; the model is in {}", state.step, args.steps, folder.model().display());
    Ok(())
}

/// Batches that cover the held-out rooms once.
fn validation_batches(samples: &[SceneSample], tokenizer: &Tokenizer, config: &BatchConfig) -> Result<Vec<Batch>> {
    let count = samples.len().div_ceil(config.scenes);
    (0..count).map(|draw| Batch::make(samples, tokenizer, config, VALIDATION_SEED, draw)).collect()
}

fn fresh_model(args: &SftArgs, device: &Device) -> Result<Model> {
    let tokenizer = train_tokenizer()?;
    let mut classes = vec!["shell".to_owned()];
    classes.extend(CLASS_NAMES.iter().map(|c| (*c).to_owned()));
    let mut config = ModelConfig::nano(tokenizer.vocab_size(), classes);
    config.default_views = args.views;
    let network = Network::new(&config, device);
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
