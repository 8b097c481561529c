//! A source in, what it is and what lies beside its weights out.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{ImportError, at};
use crate::packed::MatrixType;
use crate::points::v3::CheckpointNames;
use crate::weights::{WeightFiles, read_bounded};

/// Largest file of settings, tokenizer or text that is copied, bytes.
const MAX_SETTINGS: u64 = 1 << 28;
/// What is copied besides the weights, where it is there.
const COPIED: [&str; 9] = [
    CONFIG,
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
    "README.md",
];
pub(super) const CONFIG: &str = "config.json";
/// What config.json calls a Point Transformer v3.
const PTV3: &str = "ptv3";

/// A source as it is imported.
pub(super) struct Described {
    pub(super) files: WeightFiles,
    pub(super) architecture: String,
    /// Names and bytes of what lies beside the weights.
    pub(super) settings: Vec<(&'static str, Vec<u8>)>,
}

/// Finds what a source is: by `model_type` of its config.json or, where it has none, by the names of its tensors, of which
/// Point Transformer v3's are known; its settings are then told by the shapes. Any other single file is `weights`.
pub(super) fn describe(source: &Path, files: WeightFiles) -> Result<Described, ImportError> {
    let mut settings = Vec::new();
    for file in COPIED.iter().filter(|file| source.join(file).is_file()) {
        let path = source.join(file);
        settings.push((*file, at(&path, read_bounded(&path, MAX_SETTINGS))?));
    }
    let path = if source.is_dir() { source.join(CONFIG) } else { source.to_owned() };
    let refused = |reason: String| ImportError::Config { path: path.clone(), reason };
    if let Some((_, bytes)) = settings.iter().find(|(file, _)| *file == CONFIG) {
        let config: Value = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        let name = config.get("model_type").and_then(Value::as_str);
        let architecture = name.ok_or_else(|| refused("it has no model_type".to_owned()))?.to_owned();
        return Ok(Described { files, architecture, settings });
    }
    if let Some(names) = CheckpointNames::find(&files) {
        let config = names.settings(&files).map_err(refused)?;
        let json = serde_json::to_value(&config).map_err(|e| refused(e.to_string()))?;
        settings.push((CONFIG, format!("{json:#}\n").into_bytes()));
        return Ok(Described { files: names.model(files), architecture: PTV3.to_owned(), settings });
    }
    if source.is_dir() {
        return Err(refused("it is not there, and the names of the tensors do not tell what the model is".to_owned()));
    }
    Ok(Described { files, architecture: "weights".to_owned(), settings })
}

/// The number type of most bytes.
pub(super) fn most_used(files: &WeightFiles) -> Option<MatrixType> {
    let mut bytes: BTreeMap<MatrixType, usize> = BTreeMap::new();
    for (_, tensor) in files.iter() {
        if let Some(kind) = MatrixType::of_stored(tensor.dtype) {
            *bytes.entry(kind).or_default() += tensor.bytes().len();
        }
    }
    bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(kind, _)| kind)
}
