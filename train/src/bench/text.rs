//! The decoder's weights in a Hugging Face file in, the time of a training step and of sampling out: the two that training spends its
//! time on, in a form that other programs can be timed on with the same weights and the same texts.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Args;
use serde::Serialize;
use vantage_model::decoder::Decoder;
use vantage_model::weights::{Placement, WeightFiles, WeightReader};
use vantage_model::{BoxQuery, BranchSampling, InFocus, ModelConfig, generate_branches};
use vantage_node::sink::stdout;

use crate::run::Pools;
use crate::sft::grads::mean_and_clip;

/// Texts of a training step, and tokens of each.
const STEP_ROWS: usize = 32;
const STEP_TOKENS: usize = 128;
/// Tokens that all sampled texts share: a scene; tokens of a question; questions; answers to each.
const SHARED_TOKENS: usize = 300;
const QUESTION_TOKENS: usize = 20;
const QUESTIONS: usize = 4;
const GROUP: usize = 8;
/// Tokens of a sampled answer.
const ANSWER_TOKENS: usize = 96;
/// Words of the vocabulary.
const VOCABULARY: usize = 1024;
/// No word has it: no answer ends before its last token.
const NO_TOKEN: u32 = u32::MAX;
/// Largest global gradient norm of the step.
const MAX_NORM: f32 = 1.0;

/// Arguments of `vantage-train bench text`.
#[derive(Debug, Args)]
pub struct TextArgs {
    /// A safetensors file of a Qwen2 decoder of nano's size with 1024 words; `tests/python/bench_torch_training.py` writes one.
    #[arg(long)]
    pub weights: PathBuf,
    /// Times that everything is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Threads that share a step.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// One JSON object a line instead of text.
    #[arg(long)]
    pub json: bool,
}

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    ms: f64,
    /// Texts a second.
    per_s: f64,
    /// Mean cross-entropy of the step's texts before it: equal weights give equal ones.
    loss: f32,
    input: String,
    output: String,
}

/// Measures and prints both.
///
/// # Errors
/// When the weights do not fit, or a worker ended early.
pub fn run(args: &TextArgs) -> Result<()> {
    ensure!(args.runs > 0 && args.workers > 0, "--runs and --workers must be at least 1");
    let config = ModelConfig::nano(VOCABULARY, vec!["shell".to_owned()]).decoder;
    let read = |device: &Device| -> Result<Decoder> {
        let reader = WeightReader::new(WeightFiles::open_path(&args.weights)?, Placement::tensors(device.clone()));
        let decoder = Decoder::read(&config, &reader.enter("model"), &reader);
        reader.finish().with_context(|| format!("{}: it is no decoder of nano's size", args.weights.display()))?;
        Ok(decoder)
    };
    let (loss, step_ms) = step(&read(&Device::flex().autodiff())?, args)?;
    let sampling_ms = sampling(&read(&Device::flex())?, args);
    let rows = (QUESTIONS * GROUP) as f64;
    let lines = [
        Line {
            kind: "bench",
            name: "sft_step",
            ms: step_ms,
            per_s: STEP_ROWS as f64 * 1e3 / step_ms,
            loss,
            input: format!("{STEP_ROWS} texts of {STEP_TOKENS} tokens"),
            output: "forward, backward, clipping, AdamW".to_owned(),
        },
        Line {
            kind: "bench",
            name: "sampling",
            ms: sampling_ms,
            per_s: rows * 1e3 / sampling_ms,
            loss,
            input: format!("{QUESTIONS} questions of {QUESTION_TOKENS} tokens behind {SHARED_TOKENS} shared ones"),
            output: format!("{GROUP} answers each of {ANSWER_TOKENS} tokens"),
        },
    ];
    for line in &lines {
        if args.json {
            stdout::print(&serde_json::to_string(line)?)?;
        } else {
            stdout::print(&format!(
                "{:10} {:8.1} ms  {:7.1} texts/s  ({})",
                line.name, line.ms, line.per_s, line.input
            ))?;
        }
    }
    Ok(())
}

/// A word of a text that is the same everywhere.
fn word(row: usize, place: usize) -> u32 {
    ((row * 104_729 + place * 7919 + 13) % VOCABULARY) as u32
}

fn ids(rows: std::ops::Range<usize>, places: std::ops::Range<usize>, device: &Device) -> Tensor<2, Int> {
    let shape = [rows.len(), places.len()];
    let flat: Vec<i32> = rows.flat_map(|r| places.clone().map(move |t| word(r, t) as i32)).collect();
    Tensor::from_data(TensorData::new(flat, shape), device)
}

/// Mean cross-entropy of each token but the first of `rows`.
fn cross_entropy(decoder: &Decoder, rows: std::ops::Range<usize>, device: &Device) -> Tensor<1> {
    let count = rows.len() * (STEP_TOKENS - 1);
    let hidden = decoder.read_text(ids(rows.clone(), 0..STEP_TOKENS - 1, device), None, &mut decoder.cache(0));
    let width = hidden.dims()[2];
    let labels = ids(rows, 1..STEP_TOKENS, device).reshape([count, 1]);
    log_softmax(decoder.logits(hidden.reshape([count, width])), 1).gather(1, labels).mean().neg()
}

/// The loss before, and the median time of a step.
fn step(decoder: &Decoder, args: &TextArgs) -> Result<(f32, f64)> {
    let device = Device::flex().autodiff();
    let pools = Pools::new(args.workers)?;
    let part = STEP_ROWS.div_ceil(args.workers);
    let parts: Vec<std::ops::Range<usize>> =
        (0..STEP_ROWS).step_by(part).map(|first| first..(first + part).min(STEP_ROWS)).collect();
    let mut network = decoder.clone().unfreeze();
    let mut optimizer = AdamWConfig::new().init();
    let (mut first, mut times) = (None, Vec::with_capacity(args.runs));
    // the first step allocates
    for run in 0..=args.runs {
        let start = Instant::now();
        let results = pools.share(&parts, &|_, rows| {
            let own = network.clone().fork(&device);
            let loss = cross_entropy(&own, rows.clone(), &device);
            let value = loss.clone().into_scalar::<f32>();
            (GradientsParams::from_grads(loss.backward(), &own), value)
        })?;
        let mut accumulator = GradientsAccumulator::new();
        let mut mean = 0.0;
        let count = results.len();
        for (grads, value) in results {
            accumulator.accumulate(&network, grads);
            mean += value / count as f32;
        }
        let mut grads = accumulator.grads();
        mean_and_clip(&network, &mut grads, count, MAX_NORM);
        network = optimizer.step(1e-4, network, grads);
        first.get_or_insert(mean);
        if run > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok((first.unwrap_or_default(), median(&mut times)))
}

/// The median time of sampling all answers, the reading of what they share included.
fn sampling(decoder: &Decoder, args: &TextArgs) -> f64 {
    let device = Device::flex();
    // no token is `<obj>`
    let nowhere = |queries: &[BoxQuery]| vec![InFocus::default(); queries.len()];
    let prompts: Vec<Vec<u32>> = (0..QUESTIONS)
        .flat_map(|q| {
            let question: Vec<u32> = (0..QUESTION_TOKENS).map(|t| word(q, SHARED_TOKENS + t)).collect();
            std::iter::repeat_n(question, GROUP)
        })
        .collect();
    let shared: Vec<u32> = (0..SHARED_TOKENS).map(|t| word(0, t)).collect();
    let mut times = Vec::with_capacity(args.runs);
    for run in 0..=args.runs {
        let start = Instant::now();
        let scene = decoder.read_scenes(decoder.embed(&shared, &device), &[SHARED_TOKENS], 0);
        let sampling = BranchSampling {
            max_tokens: ANSWER_TOKENS,
            temperature: 1.0,
            seed: run as u64,
            end: NO_TOKEN,
            box_open: NO_TOKEN,
            others: 0,
        };
        std::hint::black_box(generate_branches(decoder, &scene, &prompts, Vec::new(), &sampling, &device, &nowhere));
        if run > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    median(&mut times)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
