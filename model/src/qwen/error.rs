//! Everything that can be wrong with a Qwen2.5-VL folder or a question to it, each naming the file, field or token.

use std::path::{Path, PathBuf};

use crate::error::ModelError;
use crate::grammar::TokenFilterError;
use crate::vision::qwen::{Grid, QwenVisionError};
use crate::weights::read_bounded;

/// Why a Qwen2.5-VL model could not be loaded or asked.
#[derive(Debug, thiserror::Error)]
pub enum QwenError {
    /// A file of the model folder cannot be read.
    #[error("model file {path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A JSON file of the model folder cannot be used.
    #[error("{file}: {reason}")]
    Config {
        /// The file.
        file: String,
        /// What is wrong, naming the field.
        reason: String,
    },
    /// tokenizer.json cannot be used, or does not fit the model.
    #[error("{file}: {reason}")]
    Tokenizer {
        /// The file.
        file: String,
        /// What is wrong, naming the token.
        reason: String,
    },
    /// The chat template cannot be compiled or rendered.
    #[error("{file}{}: {reason}", at_line(.line))]
    Template {
        /// The file.
        file: String,
        /// The line of the template at fault, from 1, where the renderer knows it.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// The model computed something that is no number.
    #[error(
        "the model's scores for token {token} of the reply are not finite; its weights, or the levels of preprocessor_config.json \
         (image_mean, image_std, rescale_factor), are too large: `vantage model verify` the folder, or import it again"
    )]
    NotFinite {
        /// Which token of the reply, from 0.
        token: usize,
    },
    /// The prompt does not hold a placeholder for each picture, or too many.
    #[error("the prompt has {placeholders} image placeholder(s) for {given} image(s); give each image part one image")]
    PlaceholderCount {
        /// Placeholders in the prompt.
        placeholders: usize,
        /// Pictures given.
        given: usize,
    },
    /// A patch grid that the patch merger cannot divide.
    #[error("image {index}: a grid of {grid} patches cannot be merged {merge} by {merge}")]
    Grid {
        /// Which of them, from 0.
        index: usize,
        /// Its patches.
        grid: Grid,
        /// Side of the square that is merged.
        merge: usize,
    },
    /// A picture, or the settings of the vision tower.
    #[error(transparent)]
    Vision(#[from] QwenVisionError),
    /// A prompt longer than the model can read.
    #[error("the prompt has {tokens} tokens, the model reads at most {limit}; give fewer or smaller pictures")]
    PromptTooLong {
        /// Tokens of the prompt, picture tokens included.
        tokens: usize,
        /// `max_position_embeddings`.
        limit: usize,
    },
    /// The text cannot be kept in the grammar.
    #[error(transparent)]
    Grammar(#[from] TokenFilterError),
    /// A part of the model that is not specific to Qwen.
    #[error(transparent)]
    Model(#[from] ModelError),
}

fn at_line(line: &Option<usize>) -> String {
    line.map(|n| format!(", line {n}")).unwrap_or_default()
}

/// Reads a file of the model folder, of at most `limit` bytes.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, QwenError> {
    let fault = |source| QwenError::File { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(fault)?.len();
    if bytes > limit {
        let reason = format!("it has {bytes} bytes, more than the {limit} of any such file; is it the right one?");
        return Err(QwenError::Config { file: path.display().to_string(), reason });
    }
    read_bounded(path, limit).map_err(fault)
}
