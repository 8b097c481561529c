//! `vantage bench model`: a size of the model, or a model folder, in; its parameters, bytes, work and times on this machine out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use vantage_model::measure::{self, DecoderWork, SceneWork};
use vantage_model::qwen::{Message, Part, QwenVl, Reply, ReplyOptions, Role};
use vantage_model::r1::Encoder;
use vantage_model::weights::Placement;
use vantage_model::{DecoderConfig, DeviceChoice};
use vantage_scene::ColorImage;

use super::whole::{self, Whole};
use crate::cli::model::Dtype;
use crate::memory::{self, Conversation};
use crate::sink::stdout;

/// Arguments of `vantage bench model`.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Sizes that are measured, with random weights.
    #[arg(long, value_enum, default_value = "decoder-42m")]
    config: Size,
    /// A Qwen2.5-VL folder instead: it is loaded, and asked two questions about one picture.
    #[arg(long, conflicts_with_all = ["config", "prompt", "runs"])]
    model: Option<PathBuf>,
    /// The picture that a folder is asked about, PNG or JPEG; one of 640x480 is made up when left out.
    #[arg(long, requires = "model")]
    image: Option<PathBuf>,
    /// Most memory that a folder or `r1-7b` may take, GB; what the machine has available when left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    memory_limit: Option<u32>,
    /// Number type of the matrices; `nano` is in f32.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Dtype,
    /// Where `nano` or `r1-7b` runs: auto, cpu, cuda:N or wgpu.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Encoders of `r1-7b` that are switched on.
    #[arg(long, value_delimiter = ',', default_value = "points,own,image,depth")]
    encoders: Vec<Encoder>,
    /// Views that `nano` or `r1-7b` are shown.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64))]
    views: u32,
    /// Points of the scene that `nano` or `r1-7b` are shown, about.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    points: u32,
    /// Tokens of the prompt; of the question, where a scene comes before it.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=32_768))]
    prompt: u32,
    /// Tokens that are generated.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    tokens: u32,
    /// Times that the prompt is read.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A size of the text decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    /// 42 million parameters: 12 layers of width 512.
    #[value(name = "decoder-42m")]
    Decoder42m,
    /// 0.5 thousand million parameters: the sizes of Qwen2.5-0.5B.
    #[value(name = "decoder-500m")]
    Decoder500m,
    /// The text decoder of Qwen2.5-VL-3B.
    #[value(name = "decoder-3b")]
    Decoder3b,
    /// The text decoder of Qwen2.5-VL-7B.
    #[value(name = "decoder-7b")]
    Decoder7b,
    /// The embedded model, part by part.
    Nano,
    /// 3D-R1 of published parts at full size, part by part.
    #[value(name = "r1-7b")]
    R17b,
}

impl Size {
    /// Of a decoder alone; the others are whole models.
    fn decoder(self) -> Result<DecoderConfig, Whole> {
        let (vocab_size, hidden_size, intermediate_size, num_hidden_layers, heads, key_heads, tied) = match self {
            Self::Nano => return Err(Whole::Nano),
            Self::R17b => return Err(Whole::R1),
            Self::Decoder42m => (8192, 512, 1408, 12, 8, 4, true),
            Self::Decoder500m => (151_936, 896, 4864, 24, 14, 2, true),
            Self::Decoder3b => (151_936, 2048, 11_008, 36, 16, 2, true),
            Self::Decoder7b => (152_064, 3584, 18_944, 28, 28, 4, false),
        };
        Ok(DecoderConfig {
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: key_heads,
            rms_norm_eps: 1e-6,
            rope_theta: 1e6,
            tie_word_embeddings: tied,
            mrope_section: None,
        })
    }
}

/// Runs `vantage bench model`.
pub(crate) fn run(args: &ModelArgs) -> Result<()> {
    if let Some(dir) = &args.model {
        return folder(dir, args);
    }
    let limit = args.memory_limit.map(|gb| u64::from(gb) * 1_000_000_000);
    let config = match args.config.decoder() {
        Ok(config) => config,
        Err(whole) => {
            return whole::run(&whole::Request {
                whole,
                encoders: &args.encoders,
                amount: SceneWork {
                    views: args.views as usize,
                    points: args.points as usize,
                    question: args.prompt as usize,
                    tokens: args.tokens as usize,
                    runs: args.runs as usize,
                },
                dtype: args.dtype.matrices(),
                device: args.device,
                limit,
                json: args.json,
            });
        }
    };
    let placement = Placement::cpu(args.dtype.matrices());
    let work = DecoderWork { prompt: args.prompt as usize, tokens: args.tokens as usize, runs: args.runs as usize };
    let bandwidth = measure::read_bandwidth();
    let report = measure::decoder(&config, &placement, &work);
    let share = report.decode_bytes_per_s / bandwidth;
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    };
    let (config, dtype) = (name(&|| args.config.to_possible_value()), name(&|| args.dtype.to_possible_value()));
    if args.json {
        let mut line = serde_json::to_value(&report)?;
        line["type"] = json!("model");
        line["config"] = json!(config);
        line["part"] = json!("decoder");
        line["dtype"] = json!(dtype);
        line["device"] = json!("cpu");
        line["threads"] = json!(rayon::current_num_threads());
        line["prompt"] = json!(args.prompt);
        line["memory_bytes_per_s"] = json!(bandwidth);
        line["bandwidth_share"] = json!(share);
        return stdout::print(&line.to_string());
    }
    stdout::print(&format!(
        "{config} {dtype}: {:.1} M parameters, {:.2} GB; prompt of {} in {:.1} ms, {:.2} ms a token ({:.1} tokens/s), \
         {:.1} of {:.1} GB/s ({:.0}%)",
        report.parameters as f64 * 1e-6,
        report.bytes as f64 * 1e-9,
        args.prompt,
        report.prefill_ms,
        report.decode_ms,
        report.tokens_per_s,
        report.decode_bytes_per_s * 1e-9,
        bandwidth * 1e-9,
        share * 1e2,
    ))
}

/// Questions of equal length; a folder is asked one after the other.
const QUESTIONS: [&str; 2] = ["what is the chair made of?", "how many tables are there?"];
/// Tokens that a picture and a question take, at most.
const PROMPT_ROOM: usize = 4096;
/// Sides of the picture that is made up.
const MADE_UP: (u32, u32) = (640, 480);

/// Loads a model folder and asks it twice about one picture.
fn folder(dir: &Path, args: &ModelArgs) -> Result<()> {
    let picture = match &args.image {
        Some(path) => read_picture(path)?,
        None => made_up(),
    };
    let placement = Placement::cpu(args.dtype.matrices());
    let size = [picture.width, picture.height];
    let conversation = Conversation { tokens: PROMPT_ROOM + args.tokens as usize, picture: size };
    memory::plan(dir, &placement, conversation, args.memory_limit.map(|gb| u64::from(gb) * 1_000_000_000))?;
    let start = Instant::now();
    let mut model = QwenVl::load(dir, placement)?;
    let load_s = start.elapsed().as_secs_f64();
    let weights: u64 = model.placed().iter().map(|p| p.bytes).sum();
    let parameters: u64 = model.placed().iter().map(|p| p.parameters).sum();
    let options = ReplyOptions { max_tokens: args.tokens as usize, ..ReplyOptions::default() };
    let mut ask = |question: &str| -> Result<(Reply, f64)> {
        let parts = vec![Part::Image, Part::Text(question.to_owned())];
        let start = Instant::now();
        let messages = [Message { role: Role::User, parts }];
        let reply = model.reply(&messages, &[&picture], &options, &mut |_| ControlFlow::Continue(()))?;
        Ok((reply, start.elapsed().as_secs_f64() * 1e3))
    };
    let mut lines = Vec::new();
    for question in QUESTIONS {
        let (reply, total_ms) = ask(question)?;
        let first_ms = reply.first_token_ms.unwrap_or(total_ms);
        let later = reply.tokens.len().saturating_sub(1);
        lines.push(json!({
            "type": "reply", "question": question, "prompt_tokens": reply.prompt_tokens, "reused_tokens": reply.reused_tokens,
            "tokens": reply.tokens.len(), "first_token_ms": first_ms, "total_ms": total_ms,
            "tokens_per_s": if later > 0 { later as f64 / (total_ms - first_ms) * 1e3 } else { 0.0 },
        }));
    }
    let peak = peak_resident_bytes();
    let first = |i: usize| lines.get(i).and_then(|line| line["first_token_ms"].as_f64()).unwrap_or(f64::NAN);
    let share = first(1) / first(0);
    if args.json {
        for line in &lines {
            stdout::print(&line.to_string())?;
        }
        let dtype = args.dtype.to_possible_value().map(|v| v.get_name().to_owned());
        let summary = json!({
            "type": "folder", "parameters": parameters, "weight_bytes": weights, "peak_resident_bytes": peak, "load_s": load_s,
            "second_first_token_share": share, "dtype": dtype, "device": "cpu", "threads": rayon::current_num_threads(),
        });
        return stdout::print(&summary.to_string());
    }
    stdout::print(&format!(
        "{:.2} thousand million parameters, {:.2} GB of weights, loaded in {load_s:.1} s",
        parameters as f64 * 1e-9,
        weights as f64 * 1e-9
    ))?;
    for line in &lines {
        let number = |field: &str| line[field].as_f64().unwrap_or(f64::NAN);
        stdout::print(&format!(
            "{} prompt tokens, {} of them read before: first token after {:.0} ms, then {:.2} tokens/s",
            line["prompt_tokens"],
            line["reused_tokens"],
            number("first_token_ms"),
            number("tokens_per_s")
        ))?;
    }
    let peak = peak.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 * 1e-9));
    stdout::print(&format!("second first token at {:.0}% of the first; most memory {peak}", share * 1e2))
}

fn read_picture(path: &Path) -> Result<ColorImage> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let picture = image::load_from_memory(&bytes).with_context(|| format!("{}: no PNG or JPEG", path.display()))?;
    let rgb = picture.to_rgb8();
    ensure!(rgb.width() > 0 && rgb.height() > 0, "{}: it has no pixels", path.display());
    Ok(ColorImage { width: rgb.width(), height: rgb.height(), data: rgb.into_raw() })
}

/// Slopes of colour: the time does not depend on what is seen.
fn made_up() -> ColorImage {
    let (width, height) = MADE_UP;
    let pixel = |x: u32, y: u32| [x * 255 / width, y * 255 / height, (x + y) % 256].map(|v| v as u8);
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    ColorImage { width, height, data }
}

/// The most memory that this process has had resident, mapped weights included, as Linux counts it.
pub(super) fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
