//! Everything that can go wrong with a model, each naming the file, tensor or token at fault.

use std::path::PathBuf;

use crate::grammar::GrammarError;

/// Why a model could not be loaded, saved or asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model folder cannot be read or written.
    #[error("model file {path}: {source}; a model folder holds config.json, model.safetensors and tokenizer.json")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// config.json is not usable.
    #[error("{origin}: config.json: {reason}")]
    Config {
        /// The model folder.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// model.safetensors is not usable.
    #[error("{origin}: model.safetensors: {reason}")]
    Weights {
        /// The model folder.
        origin: String,
        /// What is wrong, naming the tensor.
        reason: String,
    },
    /// tokenizer.json is not usable.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// What is wrong, naming the token.
        reason: String,
    },
    /// A text left the output grammar.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// Nothing was fused yet.
    #[error("the scene is empty: no depth was fused yet; check the depth topic, its unit and the transforms")]
    EmptyScene,
    /// The question has no text.
    #[error("the question is empty")]
    EmptyQuestion,
}
