//! A folder of reference models in, the largest differences of every stage out. The references are written by other programs
//! (`tests/python/parity_*.py`: transformers, numpy); nothing here knows how ours computes.

mod case;
mod decoder;
mod depth_anything;
mod ptv3;
mod qwen;
mod qwen_vision;
mod siglip;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use vantage_model::DeviceChoice;

pub use case::Case;

/// The `format_version` of case.json.
pub const CASE_FORMAT_VERSION: u64 = 1;

/// One compared stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What was compared, with the case's name.
    pub part: String,
    /// Largest absolute difference; infinite where something is not a number.
    pub max_abs_err: f64,
    /// Largest that is still right.
    pub tolerance: f64,
}

impl Line {
    /// Whether ours equals the reference.
    pub fn ok(&self) -> bool {
        self.max_abs_err <= self.tolerance
    }
}

/// Compares one case, a folder with case.json, with ours on `device`.
///
/// # Errors
/// When the case is incomplete or of an unknown part, or ours cannot be run on it.
pub fn compare(folder: &Path, device: DeviceChoice) -> Result<Vec<Line>> {
    let case = Case::read(folder, device)?;
    let lines = match case.part.as_str() {
        "decoder" => decoder::compare(&case),
        "depth_anything" => depth_anything::compare(&case),
        "ptv3" => ptv3::compare(&case),
        "qwen" => qwen::compare(&case),
        "qwen_vision" => qwen_vision::compare(&case),
        "siglip" => siglip::compare(&case),
        other => bail!("{}: unknown part `{other}`", folder.display()),
    };
    let lines = lines.with_context(|| format!("comparing {}", folder.display()))?;
    ensure!(!lines.is_empty(), "{}: nothing was compared", folder.display());
    Ok(lines)
}

/// All cases under `root`, sorted.
///
/// # Errors
/// When a folder cannot be read.
pub fn cases(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        if folder.join("case.json").is_file() {
            found.push(folder);
            continue;
        }
        let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
