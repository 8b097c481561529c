//! A folder of a training run: the last checkpoint, whole or not there, the best model, and a log that goes on where the
//! checkpoint ends.
//!
//! `last/` holds the model, the optimizer and `state.json`, and, where adapters are trained, the weights with these apart;
//! `best/` a model alone; `log.csv` a line a step. A checkpoint is
//! written beside `last/` and takes its place by renaming, so that a run killed at any moment resumes from a whole one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vantage_model::checkpoint::{self, CheckpointFiles};
use vantage_model::{ModelConfig, Network, Tokenizer};

use super::Model;
use super::adapters::save_apart;
use crate::tasks::Headroom;

/// Version of state.json.
pub const RUN_FORMAT_VERSION: u32 = 3;

const LAST: &str = "last";
const BEST: &str = "best";
const PARTIAL: &str = "partial";
const REPLACED: &str = "replaced";
const MODEL: &str = "model";
const OPTIMIZER: &str = "optimizer";
const APART: &str = "apart.safetensors";
const STATE: &str = "state.json";

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// [`RUN_FORMAT_VERSION`].
    pub format_version: u32,
    /// Steps done.
    pub step: usize,
    /// Seconds of training so far, over all runs.
    pub seconds: f64,
    /// Best score so far, and the step it was reached at.
    pub best: Option<(f64, usize)>,
    /// The settings that decide the curve, by option; a run goes on with the same alone.
    pub settings: BTreeMap<String, String>,
    /// What groups of answers held so far; empty but for GRPO.
    #[serde(default)]
    pub headroom: Headroom,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl Checkpoint {
    /// Of a run that has not begun.
    pub fn begin(settings: BTreeMap<String, String>) -> Self {
        Self {
            format_version: RUN_FORMAT_VERSION,
            step: 0,
            seconds: 0.0,
            best: None,
            settings,
            headroom: Headroom::default(),
        }
    }
}

impl RunFolder {
    /// The log's name in the folder.
    pub(super) const LOG: &str = "log.csv";

    /// Makes the folder where it is not there yet, and mends what a killed run left.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        let folder = Self { path: path.to_owned() };
        let (last, replaced) = (folder.path.join(LAST), folder.path.join(REPLACED));
        // killed between the two renames: the old one is whole
        if !last.exists() && replaced.exists() {
            fs::rename(&replaced, &last).with_context(|| format!("renaming {}", replaced.display()))?;
        }
        Ok(folder)
    }

    /// The model of the last checkpoint.
    pub fn model(&self) -> PathBuf {
        self.path.join(LAST).join(MODEL)
    }

    /// The last checkpoint's weights with the adapters apart; there where adapters are trained.
    pub fn apart(&self) -> PathBuf {
        self.path.join(LAST).join(APART)
    }

    /// The best model.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.path.join(Self::LOG)
    }

    /// Another file or folder of the run.
    pub fn entry(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The last checkpoint, if there is one.
    ///
    /// # Errors
    /// When it is damaged, of another version, or was made with other settings: the first that differs is named.
    pub fn checkpoint(&self, settings: &BTreeMap<String, String>) -> Result<Option<Checkpoint>> {
        let path = self.path.join(LAST).join(STATE);
        if !path.exists() {
            let old = self.path.join(STATE);
            ensure!(
                !old.exists(),
                "{} is of an older version of this command; give another --out (its model can be the --init)",
                old.display()
            );
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let state: Checkpoint = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; remove its folder to start anew", path.display()))?;
        ensure!(
            state.format_version == RUN_FORMAT_VERSION,
            "{}: format_version {} is not {RUN_FORMAT_VERSION}; give another --out (its model can be the --init)",
            path.display(),
            state.format_version
        );
        for (name, value) in settings {
            match state.settings.get(name) {
                Some(before) if before == value => {}
                Some(before) => bail!(
                    "{}: the run was begun with --{name} {before}, not {value}; go on with that, or give another --out",
                    self.path.display()
                ),
                None => bail!("{}: the run was begun without --{name}; give another --out", self.path.display()),
            }
        }
        if let Some(name) = state.settings.keys().find(|name| !settings.contains_key(*name)) {
            bail!("{}: the run was begun with --{name}; give another --out", self.path.display());
        }
        Ok(Some(state))
    }

    /// The optimizer as the last checkpoint has it.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load_optimizer(&self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let path = self.path.join(LAST).join(OPTIMIZER);
        optimizer.load(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Replaces the last checkpoint.
    ///
    /// # Errors
    /// When something cannot be written; the checkpoint before it is then still there.
    pub fn save(
        &self,
        config: &ModelConfig,
        tokenizer: &Tokenizer,
        network: &Network,
        optimizer: &ModuleOptimizer,
        has_adapters: bool,
        state: &Checkpoint,
    ) -> Result<()> {
        let partial = self.path.join(PARTIAL);
        remove(&partial)?;
        fs::create_dir_all(&partial).with_context(|| format!("making {}", partial.display()))?;
        let weights = network.valid();
        if has_adapters {
            save_apart(&weights, &partial.join(APART))?;
        }
        checkpoint::save(&weights.materialize(), config, tokenizer, &partial.join(MODEL))?;
        let path = partial.join(OPTIMIZER);
        optimizer.save(&path).with_context(|| format!("writing {}", path.display()))?;
        write_whole(&partial.join(STATE), serde_json::to_string_pretty(state)?.as_bytes())?;
        let (last, replaced) = (self.path.join(LAST), self.path.join(REPLACED));
        remove(&replaced)?;
        if last.exists() {
            fs::rename(&last, &replaced).with_context(|| format!("renaming {}", last.display()))?;
        }
        fs::rename(&partial, &last).with_context(|| format!("renaming {}", partial.display()))?;
        remove(&replaced)
    }

    /// Replaces the best model.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn save_best(&self, config: &ModelConfig, tokenizer: &Tokenizer, network: &Network) -> Result<()> {
        Ok(checkpoint::save(&network.valid().materialize(), config, tokenizer, &self.best())?)
    }

    /// The log, to be appended to: lines of steps after `step`, which a killed run wrote beyond its checkpoint, are taken out.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open_log(&self, header: &str, step: usize) -> Result<File> {
        let path = self.log();
        let mut kept = vec![header.to_owned()];
        if step > 0 && path.exists() {
            let file = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
            for line in BufReader::new(file).lines().skip(1) {
                let line = line.with_context(|| format!("reading {}", path.display()))?;
                let of = line.split(',').next().and_then(|n| n.parse::<usize>().ok());
                if of.is_some_and(|of| of <= step) {
                    kept.push(line);
                }
            }
        }
        let partial = self.path.join("log.partial");
        write_whole(&partial, (kept.join("\n") + "\n").as_bytes())?;
        fs::rename(&partial, &path).with_context(|| format!("renaming {}", partial.display()))?;
        fs::OpenOptions::new().append(true).open(&path).with_context(|| format!("opening {}", path.display()))
    }
}

/// The model in the folder `dir`, on `device`.
///
/// # Errors
/// When a file is missing or damaged.
pub(crate) fn read_model(dir: &Path, device: &Device) -> Result<Model> {
    let files = CheckpointFiles::read(dir)?;
    let (config, tokenizer, mut network) = fresh(&files, device)?;
    checkpoint::apply(&mut network, &files)?;
    Ok((config, tokenizer, network))
}

/// The model in the folder `dir`, with fresh weights where it has none, which is said.
///
/// # Errors
/// When a file is missing or damaged.
pub(crate) fn read_or_fresh(dir: &Path, device: &Device) -> Result<Model> {
    let files = CheckpointFiles::read(dir)?;
    let (config, tokenizer, mut network) = fresh(&files, device)?;
    let missing = checkpoint::apply_part(&mut network, &files)?;
    if !missing.is_empty() {
        eprintln!("{}: without {}; they start fresh", dir.display(), missing.join(", "));
    }
    Ok((config, tokenizer, network))
}

/// What `files` describe, with random weights.
fn fresh(files: &CheckpointFiles<'_>, device: &Device) -> Result<Model> {
    let config = ModelConfig::from_json(&files.config, &files.origin)?;
    config.check_file_size(files.weights.len(), &files.origin)?;
    let tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
    tokenizer.check_vocab(config.decoder.vocab_size)?;
    let network = Network::new(&config, device);
    Ok((config, tokenizer, network))
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(())
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rate: &str) -> BTreeMap<String, String> {
        [("learning-rate", rate), ("seed", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn written(folder: &RunFolder, step: usize) -> Checkpoint {
        let begun = Checkpoint::begin(settings("0.1"));
        let state = Checkpoint { step, seconds: 1.5, best: Some((0.25, 1)), ..begun };
        let last = folder.path.join(LAST);
        fs::create_dir_all(&last).unwrap();
        fs::write(last.join(STATE), serde_json::to_string(&state).unwrap()).unwrap();
        state
    }

    #[test]
    fn a_run_goes_on_with_the_same_settings_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(&dir.path().join("run")).unwrap();
        assert_eq!(folder.checkpoint(&settings("0.1")).unwrap(), None);
        let state = written(&folder, 3);
        assert_eq!(folder.checkpoint(&settings("0.1")).unwrap(), Some(state));
        let path = folder.path.join(LAST).join(STATE);
        let older = r#"{"format_version":2,"step":3,"seconds":1.5,"best":null,"settings":{}}"#;
        let now = fs::read_to_string(&path).unwrap();
        fs::write(&path, older).unwrap();
        let refused = folder.checkpoint(&settings("0.1")).unwrap_err().to_string();
        assert!(refused.contains("format_version 2 is not 3"), "{refused}");
        fs::write(&path, now).unwrap();
        let other = folder.checkpoint(&settings("0.2")).unwrap_err().to_string();
        assert!(other.contains("--learning-rate 0.1, not 0.2"), "{other}");
        let mut fewer = settings("0.1");
        fewer.remove("seed");
        assert!(folder.checkpoint(&fewer).unwrap_err().to_string().contains("--seed"));
        fs::write(folder.path.join(LAST).join(STATE), "{").unwrap();
        assert!(folder.checkpoint(&settings("0.1")).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_run_killed_between_two_checkpoints_has_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(dir.path()).unwrap();
        let state = written(&folder, 5);
        fs::rename(dir.path().join(LAST), dir.path().join(REPLACED)).unwrap();
        let folder = RunFolder::open(dir.path()).unwrap();
        assert_eq!(folder.checkpoint(&settings("0.1")).unwrap(), Some(state));
    }

    #[test]
    fn the_log_ends_where_the_checkpoint_does() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(dir.path()).unwrap();
        let mut log = folder.open_log("step,loss", 0).unwrap();
        for step in 1..=5 {
            writeln!(log, "{step},{}", 10 - step).unwrap();
        }
        write!(log, "6,").unwrap();
        let mut log = folder.open_log("step,loss", 3).unwrap();
        writeln!(log, "4,6.5").unwrap();
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), "step,loss\n1,9\n2,8\n3,7\n4,6.5\n");
        folder.open_log("step,loss", 0).unwrap();
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), "step,loss\n");
    }
}
