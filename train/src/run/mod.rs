//! What every training command shares: a folder that can be resumed from, a log, and the bar that shows where it stands.

mod adapters;
pub mod curves;
mod folder;
mod learning;
pub mod mean;
mod numbered;
mod pools;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use vantage_model::{ModelConfig, Network, Tokenizer};

pub use adapters::AdapterArgs;
pub use folder::{Checkpoint, RUN_FORMAT_VERSION, RunFolder};
pub(crate) use folder::{read_model, read_or_fresh};
pub use learning::Learning;
pub(crate) use pools::Pools;

/// A progress bar of `length` `unit`s; invisible where the output is no terminal.
pub(crate) fn progress(length: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {prefix} {elapsed} (left {eta}) {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(unit.to_owned());
    bar
}

/// Most of anything that is counted: rooms, steps, scenes, questions, answers.
const MOST: usize = 1 << 24;

/// Refuses options, by name, that count nothing, or more than can be meant.
///
/// # Errors
/// Naming the first that does.
pub(crate) fn check_counts(options: &[(&str, usize)]) -> Result<()> {
    for (name, value) in options {
        ensure!(*value > 0, "--{name} must be at least 1");
        ensure!(*value <= MOST, "--{name} must be at most {MOST}");
    }
    Ok(())
}

/// Refuses a time, minutes, or a learning rate that none can be.
///
/// # Errors
/// Naming the option.
pub(crate) fn check_time_and_rate(minutes: Option<f64>, learning_rate: f64) -> Result<()> {
    ensure!(minutes.is_none_or(|m| m >= 0.0 && m.is_finite()), "--minutes must be a number of at least 0");
    ensure!(learning_rate > 0.0 && learning_rate <= 1.0, "--learning-rate must be above 0 and at most 1");
    Ok(())
}

/// A model in training: its sizes, its tokenizer, its weights.
pub(crate) type Model = (ModelConfig, Tokenizer, Network);

/// The network that a run begins or goes on with, adapted where that is asked for, its parameters numbered: that of the last
/// checkpoint where `resumes`, else what `begin` makes, which with adapters is also what they are added to.
///
/// # Errors
/// When a file cannot be read, or an option of the adapters is out of range.
pub(crate) fn begin_or_resume(
    folder: &RunFolder,
    resumes: bool,
    adapters: &AdapterArgs,
    begin: &dyn Fn() -> Result<Model>,
    device: &Device,
) -> Result<Model> {
    let has_adapters = adapters.lora_rank.is_some();
    let (config, tokenizer, network) =
        if resumes && !has_adapters { read_model(&folder.model(), device)? } else { begin()? };
    let mut network = numbered::numbered(adapters.adapt(network, &config.decoder)?);
    if resumes && has_adapters {
        adapters::load_apart(&mut network, &folder.apart())?;
    }
    Ok((config, tokenizer, network))
}
