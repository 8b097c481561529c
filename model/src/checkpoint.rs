//! A model folder in the Hugging Face manner in, checked files and loaded weights out; and the way back.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use crate::error::ModelError;
use crate::tokenizer::Tokenizer;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// Names listed in full when tensors are missing or too many.
const LISTED: usize = 10;

/// The bytes of a model folder.
#[derive(Debug, Clone)]
pub struct CheckpointFiles<'a> {
    /// Where they came from, for messages.
    pub origin: String,
    /// config.json.
    pub config: Cow<'a, [u8]>,
    /// model.safetensors.
    pub weights: Cow<'a, [u8]>,
    /// tokenizer.json.
    pub tokenizer: Cow<'a, [u8]>,
}

impl<'a> CheckpointFiles<'a> {
    /// Files that are in memory.
    pub fn from_bytes(origin: &str, config: &'a [u8], weights: &'a [u8], tokenizer: &'a [u8]) -> Self {
        Self { origin: origin.to_owned(), config: config.into(), weights: weights.into(), tokenizer: tokenizer.into() }
    }

    /// Reads the three files of `dir`.
    ///
    /// # Errors
    /// [`ModelError::File`] naming the one that is missing.
    pub fn read(dir: &Path) -> Result<CheckpointFiles<'static>, ModelError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map(Cow::Owned).map_err(|source| ModelError::File { path, source })
        };
        Ok(CheckpointFiles {
            origin: dir.display().to_string(),
            config: read(CONFIG)?,
            weights: read(WEIGHTS)?,
            tokenizer: read(TOKENIZER)?,
        })
    }
}

/// Loads the weights into `module`. The header, every tensor's name, shape and type, and every value are checked first.
///
/// # Errors
/// [`ModelError::Weights`] naming the tensor.
pub fn apply<M: Module>(module: &mut M, files: &CheckpointFiles<'_>) -> Result<(), ModelError> {
    let fault = |reason: String| ModelError::Weights { origin: files.origin.clone(), reason };
    let stored = SafeTensors::deserialize(&files.weights)
        .map_err(|e| fault(format!("{e} (the file has {} bytes); it is truncated or damaged", files.weights.len())))?;
    let expected = module.collect(None, None, false);
    let mut missing = Vec::new();
    for tensor in &expected {
        let Ok(view) = stored.tensor(&tensor.name) else {
            missing.push(tensor.name.clone());
            continue;
        };
        let shape: Vec<usize> = tensor.shape.iter().copied().collect();
        if view.shape() != shape.as_slice() {
            return Err(fault(format!("tensor {} has shape {:?}, the config asks for {shape:?}", tensor.name, view.shape())));
        }
        if view.dtype() != Dtype::F32 {
            return Err(fault(format!("tensor {} is {:?}, this version reads F32", tensor.name, view.dtype())));
        }
        let finite = view.data().chunks_exact(4).all(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite());
        if !finite {
            return Err(fault(format!("tensor {} holds values that are not finite", tensor.name)));
        }
    }
    if !missing.is_empty() {
        return Err(fault(format!("{} are missing: {}", count(&missing), list(&missing))));
    }
    let extra: Vec<String> = stored
        .names()
        .into_iter()
        .filter(|name| !expected.iter().any(|t| t.name.as_str() == *name))
        .map(ToString::to_string)
        .collect();
    if !extra.is_empty() {
        return Err(fault(format!("{} have no place in the config's model: {}", count(&extra), list(&extra))));
    }
    drop(expected);
    let mut store = SafetensorsStore::from_bytes(Some(files.weights.to_vec()));
    module.load_from(&mut store).map_err(|e| fault(e.to_string()))?;
    Ok(())
}

fn count(names: &[String]) -> String {
    format!("{} tensor{}", names.len(), if names.len() == 1 { "" } else { "s" })
}

fn list(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let shown = names.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Writes a model folder: first beside it, then renamed, so that no half-written folder is ever seen.
///
/// # Errors
/// [`ModelError`] naming the file.
pub fn save<M: Module>(module: &M, config: &impl Serialize, tokenizer: &Tokenizer, dir: &Path) -> Result<(), ModelError> {
    let partial = dir.with_extension("partial");
    let old = dir.with_extension("old");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ModelError::File { path, source }
    };
    for leftover in [&partial, &old] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(io(leftover))?;
        }
    }
    fs::create_dir_all(&partial).map_err(io(&partial))?;
    let json = serde_json::to_string_pretty(config)
        .map_err(|e| ModelError::Config { origin: dir.display().to_string(), reason: e.to_string() })?;
    fs::write(partial.join(CONFIG), json + "\n").map_err(io(&partial.join(CONFIG)))?;
    tokenizer.save(&partial.join(TOKENIZER))?;
    let mut store = SafetensorsStore::from_file(partial.join(WEIGHTS));
    module
        .save_into(&mut store)
        .map_err(|e| ModelError::Weights { origin: partial.display().to_string(), reason: e.to_string() })?;
    if dir.exists() {
        fs::rename(dir, &old).map_err(io(dir))?;
    }
    fs::rename(&partial, dir).map_err(io(&partial))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(io(&old))?;
    }
    Ok(())
}
