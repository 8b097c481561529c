//! `vantage-train grpo`: makes a trained model better at what its answers are rewarded for; resumes where it stopped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsAccumulator};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use vantage_model::Encoders;

use super::advantage::Spread;
use super::loss::{GrpoConfig, Normalisation};
use super::rollout::GroupConfig;
use super::update::UpdateConfig;
use super::view_sets::{SETS, ViewSets};
use super::workers::{Rolled, Trainer, UpdateSums, Workers};
use crate::dataset::{Batch, BatchConfig, load_or_make};
use crate::rewards::{RewardWeights, Rewards, Similarity};
use crate::run::{
    AdapterArgs, Checkpoint, Learning, RunFolder, begin_or_resume, check_counts, check_time_and_rate, progress,
    read_or_fresh,
};
use crate::sft::grads::{mean_and_clip, scale};
use crate::sft::parallel::Workers as SupervisedWorkers;
use crate::sft::run::{FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED};
use crate::sft::schedule::Schedule;
use crate::tasks::{Emphasis, TaskMix};

/// Largest global gradient norm.
const MAX_GRADIENT_NORM: f32 = 1.0;
/// Steps of warm-up.
const WARMUP_STEPS: usize = 10;
/// What a run ends with whose gradient has no finite norm.
const NOT_A_NUMBER: &str = "the gradient is not a number; resume with a lower --learning-rate";
/// Most answers of a step.
const MOST_ANSWERS: usize = 1 << 20;
/// Keeps the draws of texts apart from those of batches.
const SAMPLING_STREAM: u64 = 0x6A09_E667_F3BC_C909;

/// How the sum over tokens is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NormaliseBy {
    /// Each answer by its length (GRPO).
    Answer,
    /// All tokens together (DAPO).
    Token,
    /// By the longest answer allowed (Dr. GRPO); advantages are then not divided by the deviation either.
    Constant,
}

/// Arguments of `vantage-train grpo`.
#[derive(Debug, Args)]
pub struct GrpoArgs {
    /// Folder for checkpoints and the log; training resumes when it holds a checkpoint.
    #[arg(long)]
    pub out: PathBuf,
    /// Folder of the model to start from, which is the reference too.
    #[arg(long)]
    pub init: PathBuf,
    /// Folder of cached samples.
    #[arg(long, default_value = "out/samples")]
    pub cache: PathBuf,
    /// Rooms to train on.
    #[arg(long, default_value_t = 1500)]
    pub rooms: usize,
    /// Place of the first of them among the training rooms: others than supervised training saw.
    #[arg(long, default_value_t = 0)]
    pub first_room: usize,
    /// Steps in all.
    #[arg(long, default_value_t = 400)]
    pub steps: usize,
    /// Scenes a step.
    #[arg(long, default_value_t = 4)]
    pub scenes: usize,
    /// Questions a scene.
    #[arg(long, default_value_t = 4)]
    pub questions: usize,
    /// Answers a question.
    #[arg(long, default_value_t = 8)]
    pub group: usize,
    /// Views a scene.
    #[arg(long, default_value_t = 4)]
    pub views: usize,
    /// Draw a question's views as the model would choose them, twice, and learn the weights of the choice from which set's answers
    /// earned more; else a scene's views are drawn at random.
    #[arg(long)]
    pub refine_views: bool,
    /// Most tokens of an answer, and of a question with its worked answer; longer ones are left out.
    #[arg(long, default_value_t = 200)]
    pub max_tokens: usize,
    /// Tasks with their shares, such as `qa=6,grounding=7`; or `all`, each by its own.
    #[arg(long, default_value = "all")]
    pub tasks: TaskMix,
    /// Instead of drawing whole answers: the likeliest one, and `--group` less one that leave it at one choice and take the likeliest again
    /// behind it: at its likeliest other tokens and objects, and at a few that stand for the rest. What they earn more or less is that
    /// choice's doing.
    #[arg(long)]
    pub branches: bool,
    /// Temperature of the sampling.
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f32,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-4)]
    pub learning_rate: f64,
    /// Weight of the divergence from the reference; with 0 the reference is not asked, and a step is shorter.
    #[arg(long, default_value_t = 0.02)]
    pub beta: f32,
    /// How far the ratio may fall below 1.
    #[arg(long, default_value_t = 0.2)]
    pub clip_low: f32,
    /// How far it may rise above 1; 0.28 is DAPO's clip-higher.
    #[arg(long, default_value_t = 0.2)]
    pub clip_high: f32,
    /// By what the sum over tokens is divided.
    #[arg(long, value_enum, default_value = "answer")]
    pub normalise: NormaliseBy,
    /// Updates made of the same answers.
    #[arg(long, default_value_t = 1)]
    pub epochs: usize,
    /// Weights of the rewards, as `format=1,perception=1,semantic=1`; also exact, and the penalties overlong and missed.
    #[arg(long, default_value = "format=1,perception=1,semantic=1")]
    pub rewards: RewardWeights,
    /// Weight of the perception reward's own gradient through the boxes; 0 leaves it out.
    #[arg(long, default_value_t = 0.5)]
    pub grounding: f32,
    /// Weight of the supervised loss of the same questions, each gradient bounded on its own before: it keeps what the rewards do
    /// not see; 0 leaves it out.
    #[arg(long, default_value_t = 0.0)]
    pub anchor: f32,
    /// Sample further scenes, up to this many times as many, until half of the groups have rewards that differ (DAPO's dynamic
    /// sampling); 1 samples none.
    #[arg(long, default_value_t = 1)]
    pub dynamic: usize,
    /// Ask more of the kinds of questions whose groups held a better answer than the usual one, and less of those that are mastered or
    /// out of reach.
    #[arg(long)]
    pub adaptive: bool,
    /// Adapters instead of the whole decoder.
    #[command(flatten)]
    pub adapters: AdapterArgs,
    /// What learns by --anchor; rewards never move the encoders.
    #[command(flatten)]
    pub learning: Learning,
    /// Seed of batches and answers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that share the scenes; part of the run, as sums are rounded differently.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 20)]
    pub checkpoint_every: usize,
    /// Stop after this many minutes, with a checkpoint; run again to go on.
    #[arg(long)]
    pub minutes: Option<f64>,
}

impl GrpoArgs {
    fn check(&self) -> Result<()> {
        check_counts(&[
            ("rooms", self.rooms),
            ("steps", self.steps),
            ("scenes", self.scenes),
            ("questions", self.questions),
            ("group", self.group),
            ("max-tokens", self.max_tokens),
            ("epochs", self.epochs),
            ("dynamic", self.dynamic),
            ("workers", self.workers),
            ("checkpoint-every", self.checkpoint_every),
        ])?;
        ensure!(
            !(self.learning.freeze_encoders && self.refine_views),
            "--freeze-encoders and --refine-views exclude each other: what chooses views is frozen too"
        );
        ensure!(self.group > 1, "--group must be at least 2: an answer is compared with others to the same question");
        ensure!(!(self.branches && self.refine_views), "--branches and --refine-views exclude each other");
        ensure!(
            !self.branches || self.temperature == 1.0,
            "--branches leaves an answer by the odds at temperature 1; leave --temperature out"
        );
        ensure!(
            !self.branches || self.normalise != NormaliseBy::Constant,
            "--branches weighs single tokens and --normalise constant divides by the longest answer; leave one out"
        );
        ensure!(self.temperature > 0.0 && self.temperature.is_finite(), "--temperature must be above 0");
        check_time_and_rate(self.minutes, self.learning_rate)?;
        let training_rooms = (FIRST_VALIDATION_SEED - FIRST_TRAINING_SEED) as usize;
        ensure!(
            self.first_room <= training_rooms - self.rooms,
            "--first-room must be at most {}: behind are the rooms of validation",
            training_rooms - self.rooms
        );
        let together = self.scenes.saturating_mul(self.questions).saturating_mul(self.group);
        ensure!(together <= MOST_ANSWERS, "--scenes times --questions times --group must be at most {MOST_ANSWERS}");
        for (name, value) in
            [("beta", self.beta), ("grounding", self.grounding), ("anchor", self.anchor), ("clip-high", self.clip_high)]
        {
            ensure!(value >= 0.0 && value.is_finite(), "--{name} must be a number of at least 0");
        }
        ensure!((0.0..1.0).contains(&self.clip_low), "--clip-low must be from 0 to below 1");
        Ok(())
    }

    /// What decides the curve.
    fn settings(&self) -> BTreeMap<String, String> {
        let w = &self.rewards;
        let rewards = format!(
            "format={},perception={},semantic={},exact={},overlong={},missed={}",
            w.format, w.perception, w.semantic, w.exact, w.overlong, w.missed
        );
        let own = [
            ("init", self.init.display().to_string()),
            ("rooms", self.rooms.to_string()),
            ("first-room", self.first_room.to_string()),
            ("steps", self.steps.to_string()),
            ("scenes", self.scenes.to_string()),
            ("questions", self.questions.to_string()),
            ("group", self.group.to_string()),
            ("views", self.views.to_string()),
            ("refine-views", self.refine_views.to_string()),
            ("max-tokens", self.max_tokens.to_string()),
            ("tasks", self.tasks.to_string()),
            ("branches", self.branches.to_string()),
            ("temperature", self.temperature.to_string()),
            ("learning-rate", self.learning_rate.to_string()),
            ("beta", self.beta.to_string()),
            ("clip-low", self.clip_low.to_string()),
            ("clip-high", self.clip_high.to_string()),
            ("normalise", format!("{:?}", self.normalise).to_lowercase()),
            ("epochs", self.epochs.to_string()),
            ("rewards", rewards),
            ("grounding", self.grounding.to_string()),
            ("anchor", self.anchor.to_string()),
            ("dynamic", self.dynamic.to_string()),
            ("adaptive", self.adaptive.to_string()),
            ("seed", self.seed.to_string()),
            ("workers", self.workers.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        own.into_iter().chain(self.adapters.settings()).chain(self.learning.setting()).collect()
    }

    fn update(&self) -> UpdateConfig {
        let normalisation = match self.normalise {
            NormaliseBy::Answer => Normalisation::Answer,
            NormaliseBy::Token => Normalisation::Token,
            NormaliseBy::Constant => Normalisation::Constant { longest: self.max_tokens },
        };
        let grpo = GrpoConfig { clip_low: self.clip_low, clip_high: self.clip_high, beta: self.beta, normalisation };
        UpdateConfig { grpo, grounding: self.grounding }
    }
}

/// Trains; the model folder is `out/last/model`.
///
/// # Errors
/// When an argument is out of range, a folder cannot be written, a checkpoint cannot be read, or the loss stops being a
/// number.
pub fn run(args: &GrpoArgs) -> Result<()> {
    args.check()?;
    let folder = RunFolder::open(&args.out)?;
    let settings = args.settings();
    let (device, autodiff) = (Device::flex(), Device::flex().autodiff());
    let optimizer = AdamWConfig::new().with_beta_2(0.98).with_weight_decay(0.0).init();
    let checkpoint = folder.checkpoint(&settings)?;
    let (config, tokenizer, mut network) = begin_or_resume(
        &folder,
        checkpoint.is_some(),
        &args.adapters,
        &|| read_or_fresh(&args.init, &autodiff),
        &autodiff,
    )?;
    network = args.learning.of(network);
    let mut optimizer = if checkpoint.is_some() { folder.load_optimizer(optimizer)? } else { optimizer };
    // the policy as it began: where adapters are trained, the same weights with these switched off
    let (_, _, reference) = read_or_fresh(&args.init, &device)?;
    let mut state = checkpoint.unwrap_or_else(|| Checkpoint::begin(settings));
    eprintln!("{}: starting at step {} of {}", config.name, state.step, args.steps);
    let bar = progress(args.rooms as u64, "rooms");
    let first_seed = FIRST_TRAINING_SEED + args.first_room as u64;
    let samples = load_or_make(first_seed, args.rooms, &config, &args.cache, &|| bar.inc(1))?;
    bar.finish_and_clear();

    let similarity = Similarity::new(reference.clone(), tokenizer.clone(), device.clone());
    let trainer = Trainer {
        reference: &reference,
        config: &config,
        tokenizer: &tokenizer,
        device: &device,
        autodiff: &autodiff,
        groups: GroupConfig {
            group: args.group,
            max_tokens: args.max_tokens,
            temperature: args.temperature,
            branches: args.branches,
        },
        weights: args.rewards,
        similarity: (args.rewards.semantic > 0.0).then_some(&similarity),
        spread: if args.normalise == NormaliseBy::Constant { Spread::None } else { Spread::Deviation },
        update: args.update(),
    };
    let mut batch_config = BatchConfig {
        scenes: args.scenes,
        questions: args.questions,
        views: if args.refine_views { usize::MAX } else { args.views },
        max_tokens: args.max_tokens,
        mix: args.tasks,
        emphasis: Emphasis::new(),
    };
    let schedule = Schedule { peak: args.learning_rate, floor_share: 0.1, warmup: WARMUP_STEPS, steps: args.steps };
    let workers = Workers::new(args.workers)?;
    let supervised = (args.anchor > 0.0)
        .then(|| SupervisedWorkers::new(args.workers, args.learning, Encoders::default()))
        .transpose()?;
    let mut log = folder.open_log(LOG_HEADER, state.step)?;
    let bar = progress(args.steps as u64, "steps");
    bar.set_position(state.step as u64);
    let start = Instant::now();
    let before = state.seconds;
    for step in state.step..args.steps {
        let policy = network.valid();
        let (mut batches, mut rolled): (Vec<Batch>, Vec<Rolled>) = Default::default();
        let mut view_sets = ViewSets::default();
        let sets = if args.refine_views { SETS } else { 1 };
        if args.adaptive {
            batch_config.emphasis = state.headroom.emphasis();
        }
        for round in 0..args.dynamic {
            let draw = step * args.dynamic + round;
            let mut batch = Batch::make(&samples, &tokenizer, &batch_config, args.seed, draw)?;
            let seed = args.seed ^ (draw as u64 + 1).wrapping_mul(SAMPLING_STREAM);
            if args.refine_views {
                batch = view_sets.draw(&batch, &policy, &config, args.views, seed, &device);
            }
            rolled.extend(workers.roll_out(&trainer, &policy, &batch, seed)?);
            batches.push(batch);
            let (all, degenerate) = groups_of(&rolled);
            if 2 * (all - degenerate) >= args.scenes * args.questions * sets {
                break;
            }
        }
        for rolled in &rolled {
            for (row, gain) in rolled.rows.iter().zip(&rolled.lesson.gains) {
                state.headroom.observe(&row.kind, *gain);
            }
        }
        let rate = schedule.rate(step);
        let (mut done, mut anchored, mut view_spread) = (None, 0.0, 0.0);
        for epoch in 0..args.epochs {
            let mut gradients = GradientsAccumulator::new();
            let mut any = supervised.is_some();
            // the sets were drawn by the weights as they are before the first update
            if let (0, Some(mut views)) = (epoch, view_sets.gradient(&network, &rolled, &autodiff)) {
                let norm = mean_and_clip(&network, &mut views.grads, 1, MAX_GRADIENT_NORM);
                ensure!(norm.is_finite(), "step {step}: {NOT_A_NUMBER}");
                gradients.accumulate(&network, views.grads);
                view_spread = views.spread;
                any = true;
            }
            if let Some((mut grads, sums)) = workers.gradients(&trainer, &network, &rolled)? {
                let norm = mean_and_clip(&network, &mut grads, sums.scenes, MAX_GRADIENT_NORM);
                ensure!(norm.is_finite(), "step {step}: {NOT_A_NUMBER}");
                gradients.accumulate(&network, grads);
                done = Some((norm, sums));
                any = true;
            }
            if let Some(supervised) = &supervised {
                let special = tokenizer.special();
                let (mut grads, parts, values) =
                    supervised.gradients(&network, &config, special, &batches, &autodiff)?;
                let norm = mean_and_clip(&network, &mut grads, parts, MAX_GRADIENT_NORM);
                ensure!(norm.is_finite(), "step {step}: {NOT_A_NUMBER}");
                scale(&network, &mut grads, args.anchor);
                gradients.accumulate(&network, grads);
                anchored = values[0];
            }
            if !any {
                break;
            }
            network = optimizer.step(rate, network, gradients.grads());
        }
        state.step = step + 1;
        state.seconds = before + start.elapsed().as_secs_f64();
        let line = format!("{},{anchored:.4},{view_spread:.4}", log_line(&rolled, done));
        writeln!(log, "{},{:.1},{rate:.7},{line}", state.step, state.seconds)?;
        bar.set_position(state.step as u64);
        bar.set_message(line);
        let out_of_time = args.minutes.is_some_and(|m| start.elapsed().as_secs_f64() > 60.0 * m);
        if state.step % args.checkpoint_every == 0 || state.step == args.steps || out_of_time {
            folder.save(&config, &tokenizer, &network, &optimizer, args.adapters.lora_rank.is_some(), &state)?;
        }
        if out_of_time {
            break;
        }
    }
    bar.finish();
    eprint!("{}", state.headroom.table());
    eprintln!("step {} of {}; the model is in {}", state.step, args.steps, folder.model().display());
    Ok(())
}

/// Columns of log.csv.
const LOG_HEADER: &str = "step,seconds,rate,norm,loss,reward,format,perception,semantic,exact,overlong,missed,tokens,\
                          groups,degenerate,clipped,divergence,ratio,overlap,anchor,view_spread";

/// Groups, and those with equal rewards.
fn groups_of(rolled: &[Rolled]) -> (usize, usize) {
    let lessons = || rolled.iter().map(|r| &r.lesson);
    (lessons().map(|l| l.gains.len()).sum(), lessons().map(|l| l.degenerate).sum())
}

fn log_line(rolled: &[Rolled], done: Option<(f32, UpdateSums)>) -> String {
    let rewards: Vec<&Rewards> = rolled.iter().flat_map(|r| &r.lesson.answers).map(|a| &a.rewards).collect();
    let mean = |of: &dyn Fn(&Rewards) -> Option<f64>| {
        let values: Vec<f64> = rewards.iter().filter_map(|r| of(r)).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let tokens: usize = rolled.iter().flat_map(|r| &r.lesson.answers).map(|a| a.text.tokens.len()).sum();
    let (all, degenerate) = groups_of(rolled);
    let (norm, sums) = done.unwrap_or_default();
    let scenes = sums.scenes.max(1) as f32;
    let rewards_line = [
        mean(&|r| Some(r.total)),
        mean(&|r| Some(r.format)),
        mean(&|r| r.perception),
        mean(&|r| r.semantic),
        mean(&|r| r.exact),
        mean(&|r| Some(r.overlong)),
        mean(&|r| Some(r.missed)),
    ]
    .map(|v| format!("{v:.4}"))
    .join(",");
    format!(
        "{norm:.4},{:.5},{rewards_line},{:.1},{all},{degenerate},{:.4},{:.5},{:.4},{:.4}",
        sums.loss / scenes,
        tokens as f64 / rewards.len().max(1) as f64,
        sums.clipped / scenes,
        sums.divergence / scenes,
        sums.ratio / scenes,
        sums.overlap.0 / sums.overlap.1.max(1) as f32
    )
}
