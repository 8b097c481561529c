//! `vantage-train views`: encodes rooms once, then learns to choose among their views; resumes where it stopped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use clap::Args;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vantage_model::{ModelConfig, Network, Tokenizer};

use super::frozen::{FrozenQuestion, FrozenScene, freeze};
use super::loss::view_losses;
use crate::dataset::{BatchConfig, SceneSample, load_or_make};
use crate::run::{
    AdapterArgs, Checkpoint, Pools, RunFolder, begin_or_resume, check_counts, check_time_and_rate, progress,
    read_or_fresh,
};
use crate::sft::grads::mean_and_clip;
use crate::sft::run::{FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED};
use crate::sft::schedule::Schedule;
use crate::tasks::{Emphasis, TaskMix};

/// Largest global gradient norm.
const MAX_GRADIENT_NORM: f32 = 1.0;
/// Steps of warm-up.
const WARMUP_STEPS: usize = 50;
/// Questions written about each room; each step takes some of them.
const QUESTIONS_PER_ROOM: usize = 32;
/// No text is too long to choose views for; the text tower cuts what it does not read.
const MAX_TOKENS: usize = 4096;

/// Arguments of `vantage-train views`.
#[derive(Debug, Args)]
pub struct ViewsArgs {
    /// Folder for checkpoints and the log; training resumes when it holds a checkpoint.
    #[arg(long)]
    pub out: PathBuf,
    /// Folder of the model to start from; a part that it lacks starts fresh.
    #[arg(long)]
    pub init: PathBuf,
    /// Folder of cached samples.
    #[arg(long, default_value = "out/samples")]
    pub cache: PathBuf,
    /// Rooms to train on.
    #[arg(long, default_value_t = 800)]
    pub rooms: usize,
    /// Times that each room to train on is encoded, each turned anew and with other questions.
    #[arg(long, default_value_t = 1)]
    pub turns: usize,
    /// Rooms that are not trained on and tell which model is the best; 0 keeps no best.
    #[arg(long, default_value_t = 32)]
    pub validation_rooms: usize,
    /// Steps in all.
    #[arg(long, default_value_t = 3000)]
    pub steps: usize,
    /// Scenes a step.
    #[arg(long, default_value_t = 4)]
    pub scenes: usize,
    /// Questions a scene.
    #[arg(long, default_value_t = 12)]
    pub questions: usize,
    /// Tasks with their shares, such as `qa=6,grounding=7`; or `all`, each by its own.
    #[arg(long, default_value = "all")]
    pub tasks: TaskMix,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    pub learning_rate: f64,
    /// Steps between validations.
    #[arg(long, default_value_t = 200)]
    pub validate_every: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that share a step's scenes; part of the run, as sums are rounded differently.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 200)]
    pub checkpoint_every: usize,
    /// Stop after this many minutes, with a checkpoint; run again to go on.
    #[arg(long)]
    pub minutes: Option<f64>,
}

impl ViewsArgs {
    fn check(&self) -> Result<()> {
        check_counts(&[
            ("rooms", self.rooms),
            ("turns", self.turns),
            ("steps", self.steps),
            ("scenes", self.scenes),
            ("questions", self.questions),
            ("validate-every", self.validate_every),
            ("workers", self.workers),
            ("checkpoint-every", self.checkpoint_every),
        ])?;
        check_time_and_rate(self.minutes, self.learning_rate)
    }

    /// What decides the curve.
    fn settings(&self) -> BTreeMap<String, String> {
        [
            ("init", self.init.display().to_string()),
            ("rooms", self.rooms.to_string()),
            ("turns", self.turns.to_string()),
            ("steps", self.steps.to_string()),
            ("scenes", self.scenes.to_string()),
            ("questions", self.questions.to_string()),
            ("tasks", self.tasks.to_string()),
            ("learning-rate", self.learning_rate.to_string()),
            ("seed", self.seed.to_string()),
            ("workers", self.workers.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// A scene with its questions.
type Asked = (FrozenScene, Vec<FrozenQuestion>);

/// Trains; the model folder is `out/last/model`, the best by validation `out/best`.
///
/// # Errors
/// When an argument is out of range, a folder cannot be written, a checkpoint cannot be read, or the loss stops being a
/// number.
pub fn run(args: &ViewsArgs) -> Result<()> {
    args.check()?;
    let folder = RunFolder::open(&args.out)?;
    let (device, autodiff) = (Device::flex(), Device::flex().autodiff());
    let settings = args.settings();
    let checkpoint = folder.checkpoint(&settings)?;
    let none = AdapterArgs::none();
    let begin = || read_or_fresh(&args.init, &autodiff);
    let (config, tokenizer, mut network) = begin_or_resume(&folder, checkpoint.is_some(), &none, &begin, &autodiff)?;
    let optimizer = AdamWConfig::new().with_beta_2(0.98).with_weight_decay(0.01).init();
    let mut optimizer = if checkpoint.is_some() { folder.load_optimizer(optimizer)? } else { optimizer };
    let mut state = checkpoint.unwrap_or_else(|| Checkpoint::begin(settings));
    eprintln!("{}: starting at step {} of {}", config.name, state.step, args.steps);

    network = network.with_only_view_choice_trainable();
    let plain = network.valid();
    let encoder = Encoder { args, network: &plain, config: &config, tokenizer: &tokenizer, device: &device };
    let scenes = encoder.rooms(FIRST_TRAINING_SEED, args.rooms, args.turns)?;
    let held_out = encoder.rooms(FIRST_VALIDATION_SEED, args.validation_rooms, 1)?;

    let pools = Pools::new(args.workers)?;
    let schedule = Schedule { peak: args.learning_rate, floor_share: 0.05, warmup: WARMUP_STEPS, steps: args.steps };
    let mut log = folder.open_log(LOG_HEADER, state.step)?;
    let bar = progress(args.steps as u64, "steps");
    bar.set_position(state.step as u64);
    let start = Instant::now();
    let before = state.seconds;
    for step in state.step..args.steps {
        let drawn = draw(&scenes, args, step);
        let results = pools.share(&drawn, &|_, (scene, questions, seed)| {
            let own = network.clone().fork(&autodiff);
            let mut rng = ChaCha8Rng::seed_from_u64(*seed);
            let losses = view_losses(&own, scene, questions, &autodiff, Some(&mut rng));
            let parts = losses.parts.map(|part| part.into_scalar::<f32>());
            (GradientsParams::from_grads(losses.total.backward(), &own), parts)
        })?;
        let mut accumulator = GradientsAccumulator::new();
        let count = results.len();
        let mut mean = [0.0f32; 3];
        for (grads, parts) in results {
            accumulator.accumulate(&network, grads);
            mean.iter_mut().zip(parts).for_each(|(mean, part)| *mean += part / count as f32);
        }
        let mut grads = accumulator.grads();
        let norm = mean_and_clip(&network, &mut grads, count, MAX_GRADIENT_NORM);
        ensure!(norm.is_finite(), "step {step}: the gradient is not a number; resume with a lower --learning-rate");
        let rate = schedule.rate(step);
        network = optimizer.step(rate, network, grads);
        state.step = step + 1;
        state.seconds = before + start.elapsed().as_secs_f64();
        let is_last = state.step == args.steps;
        let mut validated = String::new();
        if !held_out.is_empty() && (state.step % args.validate_every == 0 || is_last) {
            let missed = validate(&pools, &network.valid(), &held_out, &device)?;
            validated = format!("{missed:.4}");
            if state.best.is_none_or(|(best, _)| missed < best) {
                state.best = Some((missed, state.step));
                folder.save_best(&config, &tokenizer, &network)?;
            }
        }
        // for the log alone: no part of the graph
        let (utility, diversity) = network.view_head.valid().values();
        let weights = [utility.text, utility.image, utility.clip, diversity.new, diversity.seen];
        let line = mean.iter().chain(&weights).map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(",");
        writeln!(log, "{},{:.1},{rate:.6},{norm:.3},{line},{validated}", state.step, state.seconds)?;
        bar.set_position(state.step as u64);
        bar.set_message(line);
        let out_of_time = args.minutes.is_some_and(|m| start.elapsed().as_secs_f64() > 60.0 * m);
        if state.step % args.checkpoint_every == 0 || is_last || out_of_time {
            folder.save(&config, &tokenizer, &network, &optimizer, false, &state)?;
        }
        if out_of_time {
            break;
        }
    }
    bar.finish();
    eprintln!("step {} of {}; the model is in {}", state.step, args.steps, folder.model().display());
    Ok(())
}

/// Columns of log.csv; `missed` and `validation` are one minus how well the chosen views show what is asked about.
const LOG_HEADER: &str =
    "step,seconds,rate,norm,relevance,contrast,missed,w_text,w_image,w_clip,w_new,w_seen,validation";

/// What rooms are encoded with.
struct Encoder<'a> {
    args: &'a ViewsArgs,
    network: &'a Network,
    config: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    device: &'a Device,
}

impl Encoder<'_> {
    /// Rooms from `first_seed`, each encoded `turns` times; those where no view shows anything are left out.
    fn rooms(&self, first_seed: u64, count: usize, turns: usize) -> Result<Vec<Asked>> {
        let bar = progress(count as u64, "rooms");
        let samples = load_or_make(first_seed, count, self.config, &self.args.cache, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let batch = BatchConfig {
            scenes: 1,
            questions: QUESTIONS_PER_ROOM,
            views: usize::MAX,
            max_tokens: MAX_TOKENS,
            mix: self.args.tasks,
            emphasis: Emphasis::new(),
        };
        let bar = progress((count * turns) as u64, "rooms encoded");
        let pools = Pools::new(self.args.workers)?;
        let turned: Vec<(&SceneSample, u64)> =
            samples.iter().flat_map(|sample| (0..turns as u64).map(move |turn| (sample, turn))).collect();
        let frozen = pools.share(&turned, &|_, (sample, turn): &(&SceneSample, u64)| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.args.seed ^ sample.room_seed);
            rng.set_stream(*turn);
            bar.inc(1);
            freeze(sample, self.network, self.config, self.tokenizer, &batch, self.device, &mut rng)
        })?;
        bar.finish_and_clear();
        let frozen = frozen.into_iter().collect::<Result<Vec<Asked>>>().context("encoding the rooms")?;
        Ok(frozen.into_iter().filter(|(scene, _)| scene.views() > 0 && scene.points() > 0).collect())
    }
}

/// The scenes of a step, some questions about each, and the seed of its noise.
fn draw<'a>(scenes: &'a [Asked], args: &ViewsArgs, step: usize) -> Vec<(&'a FrozenScene, Vec<FrozenQuestion>, u64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed.wrapping_add((step as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    (0..args.scenes.min(scenes.len()))
        .map(|_| {
            let (scene, questions) = &scenes[rng.random_range(0..scenes.len())];
            let mut order: Vec<usize> = (0..questions.len()).collect();
            order.shuffle(&mut rng);
            let some = order.into_iter().take(args.questions).map(|i| questions[i].clone()).collect();
            (scene, some, rng.random())
        })
        .collect()
}

/// One minus how well the likeliest views show what is asked about, the mean over `scenes`.
fn validate(pools: &Pools, network: &Network, scenes: &[Asked], device: &Device) -> Result<f64> {
    let missed = pools.share(scenes, &|_, (scene, questions): &Asked| {
        let [.., missed] = view_losses(network, scene, questions, device, None).parts;
        f64::from(missed.into_scalar::<f32>())
    })?;
    Ok(missed.iter().sum::<f64>() / missed.len().max(1) as f64)
}
