//! `vantage bench model`: a size of the model in, its parameters, bytes, work and times on this machine out.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use vantage_model::DecoderConfig;
use vantage_model::measure::{self, DecoderWork};
use vantage_model::packed::MatrixType;
use vantage_model::weights::Placement;

use crate::sink::stdout;

/// Arguments of `vantage bench model`.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Sizes that are measured, with random weights.
    #[arg(long, value_enum, default_value = "decoder-42m")]
    config: Size,
    /// Number type of the matrices.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Dtype,
    /// Tokens of the prompt.
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
}

/// A number type of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F16,
    Bf16,
    Int8,
    Int4,
}

impl Dtype {
    fn matrices(self) -> MatrixType {
        match self {
            Self::F32 => MatrixType::F32,
            Self::F16 => MatrixType::F16,
            Self::Bf16 => MatrixType::Bf16,
            Self::Int8 => MatrixType::Int8,
            Self::Int4 => MatrixType::Int4,
        }
    }
}

impl Size {
    fn config(self) -> DecoderConfig {
        let (vocab_size, hidden_size, intermediate_size, num_hidden_layers, heads, key_heads, tied) = match self {
            Self::Decoder42m => (8192, 512, 1408, 12, 8, 4, true),
            Self::Decoder500m => (151_936, 896, 4864, 24, 14, 2, true),
            Self::Decoder3b => (151_936, 2048, 11_008, 36, 16, 2, true),
            Self::Decoder7b => (152_064, 3584, 18_944, 28, 28, 4, false),
        };
        DecoderConfig {
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
        }
    }
}

/// Runs `vantage bench model`.
pub(crate) fn run(args: &ModelArgs) -> Result<()> {
    let placement = Placement::cpu(args.dtype.matrices());
    let work = DecoderWork { prompt: args.prompt as usize, tokens: args.tokens as usize, runs: args.runs as usize };
    let bandwidth = measure::read_bandwidth();
    let report = measure::decoder(&args.config.config(), &placement, &work);
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
