//! `vantage model`: model folders in; imported ones, their contents and what is wrong with them out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use vantage_model::import::import_merged;
use vantage_model::packed::MatrixType;
use vantage_model::points::v3::{PtV3, PtV3Config};
use vantage_model::vision::depth_anything::{DepthAnything, DepthAnythingConfig, DepthPreprocessor};
use vantage_model::vision::siglip::{Siglip, SiglipConfig, SiglipPreprocessor};
use vantage_model::weights::{Placement, WeightFiles, WeightReader};
use vantage_model::{DeviceChoice, Reasoner};

use crate::answerer::{Architecture, largest_type, load_qwen};
use crate::sink::stdout;

/// The settings of a model folder.
const CONFIG: &str = "config.json";
/// Those of its pictures.
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Arguments of `vantage model`.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a model folder of a public checkpoint: sharded, in the number type asked for, with a digest of every file.
    Import {
        /// A Hugging Face model folder, or one file of weights (.safetensors, .pth, .bin).
        source: PathBuf,
        /// A LoRA folder of PEFT that is merged into the source.
        #[arg(long)]
        adapter: Option<PathBuf>,
        /// The new folder.
        #[arg(long)]
        out: PathBuf,
        /// Number type of the matrices; that of the source when left out. 8 and 4 bits for Qwen2.5-VL only.
        #[arg(long, value_enum)]
        dtype: Option<Dtype>,
        /// Name of the model; that of the new folder when left out.
        #[arg(long)]
        name: Option<String>,
    },
    /// What a model folder holds: parameters, bytes and number types of each part.
    Inspect {
        /// The folder.
        folder: PathBuf,
        /// One JSON object a line, the last one the whole model.
        #[arg(long)]
        json: bool,
    },
    /// Digests, names, shapes, values, tokenizer and settings of a model folder: fails with what is wrong.
    Verify {
        /// The folder.
        folder: PathBuf,
    },
}

/// A number type of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    F32,
    F16,
    Bf16,
    Int8,
    Int4,
}

impl Dtype {
    /// As the model has it.
    pub(crate) fn matrices(self) -> MatrixType {
        match self {
            Self::F32 => MatrixType::F32,
            Self::F16 => MatrixType::F16,
            Self::Bf16 => MatrixType::Bf16,
            Self::Int8 => MatrixType::Int8,
            Self::Int4 => MatrixType::Int4,
        }
    }
}

/// Runs `vantage model`.
pub(crate) fn run(args: &ModelArgs) -> Result<()> {
    match &args.what {
        What::Import { source, adapter, out, dtype, name } => {
            run_import(source, adapter.as_deref(), out, *dtype, name.as_deref())
        }
        What::Inspect { folder, json } => inspect(folder, *json),
        What::Verify { folder } => verify(folder),
    }
}

fn run_import(
    source: &Path,
    adapter: Option<&Path>,
    out: &Path,
    dtype: Option<Dtype>,
    name: Option<&str>,
) -> Result<()> {
    let folder_name = || out.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.map_or_else(folder_name, str::to_owned);
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")?;
    // hidden by itself where stderr is no terminal
    let bar = ProgressBar::new(0).with_style(style);
    let manifest = import_merged(source, adapter, out, &name, dtype.map(Dtype::matrices), &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    stdout::print(&format!("{}: {} files, {:.2} GB", out.display(), manifest.files.len(), bytes as f64 * 1e-9))
}

/// Numbers and bytes of tensors of one number type.
#[derive(Debug, Default, Clone, Copy)]
struct Share {
    tensors: usize,
    parameters: u64,
    bytes: u64,
}

fn inspect(folder: &Path, json: bool) -> Result<()> {
    let files = WeightFiles::open(folder)?;
    let mut parts: BTreeMap<(String, String), Share> = BTreeMap::new();
    let mut whole = Share::default();
    for (name, tensor) in files.iter() {
        let dtype = tensor.dtype.to_string();
        // 4-bit codes are two a byte; their scales are no parameters
        let parameters = match name {
            _ if name.ends_with(".scales") => 0,
            _ if name.ends_with(".codes") => codes(&files, name, tensor.len()),
            _ => tensor.len() as u64,
        };
        for share in [parts.entry((part(name), dtype)).or_default(), &mut whole] {
            share.tensors += 1;
            share.parameters += parameters;
            share.bytes += tensor.bytes().len() as u64;
        }
    }
    let line = |kind: &str, name: &str, dtype: &str, share: Share| -> Result<()> {
        if json {
            return stdout::print(
                &json!({"type": kind, "name": name, "dtype": dtype, "tensors": share.tensors, "parameters": share.parameters,
                        "bytes": share.bytes})
                .to_string(),
            );
        }
        stdout::print(&format!(
            "{name:32} {dtype:5} {:5} tensors {:9.3} M parameters {:9.3} MB",
            share.tensors,
            share.parameters as f64 * 1e-6,
            share.bytes as f64 * 1e-6
        ))
    };
    for ((name, dtype), share) in &parts {
        line("part", name, dtype, *share)?;
    }
    line("model", &Architecture::of(folder)?.to_string(), "", whole)
}

/// Weights that codes stand for: 8 bits each where a group has 32 bytes, else 4.
fn codes(files: &WeightFiles, name: &str, bytes: usize) -> u64 {
    const GROUP: u64 = vantage_model::packed::GROUP as u64;
    let scales = name.strip_suffix("codes").and_then(|stem| files.get(&format!("{stem}scales")));
    scales.map_or(bytes as u64, |scales| scales.len() as u64 * GROUP)
}

/// The part of a model that a tensor belongs to: its name up to the first number, at most two words.
fn part(name: &str) -> String {
    let words = name.split('.').take_while(|word| word.parse::<u32>().is_err()).take(2);
    words.collect::<Vec<_>>().join(".")
}

fn verify(folder: &Path) -> Result<()> {
    let architecture = Architecture::of(folder)?;
    match &architecture {
        Architecture::Vantage => {
            let loaded = Reasoner::load(folder, &DeviceChoice::Cpu.open()?);
            drop(loaded.with_context(|| format!("verifying {}", folder.display()))?);
        }
        Architecture::Qwen25Vl => drop(load_qwen(folder, DeviceChoice::Cpu)?),
        Architecture::Other(other) => verify_encoder(folder, other)?,
    }
    stdout::print(&format!("{}: a good {architecture} model", folder.display()))
}

/// The bytes of a file of `folder`, and its path for errors.
fn file(folder: &Path, name: &str) -> Result<(Vec<u8>, String)> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok((bytes, path.display().to_string()))
}

/// An encoder by itself: its settings, those of its pictures, and every tensor.
fn verify_encoder(folder: &Path, model_type: &str) -> Result<()> {
    let origin = folder.display().to_string();
    match model_type {
        "siglip" | "siglip2" => {
            let config = SiglipConfig::from_json(&origin, &file(folder, CONFIG)?.0)?;
            let (json, path) = file(folder, PREPROCESSOR)?;
            SiglipPreprocessor::from_json(&json, &path, &config)?;
            read_all(folder, |reader| drop(Siglip::read(&config, reader)))
        }
        "depth_anything" => {
            let config = DepthAnythingConfig::from_json(&origin, &file(folder, CONFIG)?.0)?;
            let (json, path) = file(folder, PREPROCESSOR)?;
            DepthPreprocessor::from_json(&json, &path)?;
            read_all(folder, |reader| drop(DepthAnything::read(&config, reader)))
        }
        "ptv3" => {
            let config = PtV3Config::from_json(&origin, &file(folder, CONFIG)?.0)?;
            drop(PtV3::load(folder, &config, Placement::cpu(largest_type(folder)?))?);
            Ok(())
        }
        other => bail!(
            "{origin}: config.json: model_type is `{other}`; whole models of qwen2_5_vl, siglip, siglip2, depth_anything, ptv3 and \
             of this project's own can be verified"
        ),
    }
}

/// Reads a model by `read`, which must ask for every tensor of the folder.
fn read_all(folder: &Path, read: impl FnOnce(&WeightReader)) -> Result<()> {
    let placement = Placement::cpu(largest_type(folder)?);
    let reader = WeightReader::new(WeightFiles::open(folder)?, placement);
    read(&reader);
    Ok(reader.finish()?)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_are_named_by_their_first_words() {
        let names = ["model.layers.0.mlp.up_proj.weight", "visual.blocks.3.norm1.weight", "lm_head.weight"];
        assert_eq!(names.map(part), ["model.layers", "visual.blocks", "lm_head.weight"]);
    }
}
