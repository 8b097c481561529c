//! Everything that can go wrong with a model, each naming the file, tensor or token at fault.

use std::path::PathBuf;

use crate::grammar::GrammarError;
use crate::qwen::QwenError;
use crate::weights::WeightFilesError;

/// Why a model could not be loaded, saved or asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model folder cannot be read or written.
    #[error("model file {path} cannot be read; a model folder holds config.json, model.safetensors and tokenizer.json")]
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
    /// A tensor of the weights is not usable.
    #[error("{origin}: weights (model.safetensors or its shards): {fault}")]
    Weights {
        /// The model folder.
        origin: String,
        /// What is wrong, naming the tensor.
        fault: WeightsFault,
    },
    /// A file of the weights is not usable.
    #[error(transparent)]
    WeightFiles(#[from] WeightFilesError),
    /// tokenizer.json is not usable.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// What is wrong, naming the token.
        reason: String,
    },
    /// A text left the output grammar.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A Qwen2.5-VL could not be loaded or asked.
    #[error(transparent)]
    Qwen(Box<QwenError>),
    /// Nothing was fused yet.
    #[error("the scene is empty: no depth was fused yet; check the depth topic, its unit and the transforms")]
    EmptyScene,
    /// The map could not be rendered.
    #[error("no views can be made of the map; ask without them (map_views)")]
    MapView(#[from] vantage_scene::ViewError),
    /// The question has no text.
    #[error("the question is empty")]
    EmptyQuestion,
    /// A question longer than the model reads.
    #[error("the question has {characters} characters, at most {limit} are read; ask shorter")]
    QuestionTooLong {
        /// Its length.
        characters: usize,
        /// The most.
        limit: usize,
    },
}

impl From<QwenError> for ModelError {
    fn from(error: QwenError) -> Self {
        match error {
            QwenError::Model(error) => error,
            error => Self::Qwen(Box::new(error)),
        }
    }
}

/// What is wrong with the tensors of a weight file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsFault {
    /// The header or its offsets do not fit the file.
    #[error("{reason} (the file has {bytes} bytes); it is truncated or damaged, copy it again")]
    Damaged {
        /// Size of the file.
        bytes: usize,
        /// What the reader said.
        reason: String,
    },
    /// Tensors that the config's model has and the file lacks.
    #[error("{} missing: {}", count(.0), list(.0))]
    Missing(Vec<String>),
    /// Tensors that the file has and the config's model lacks.
    #[error("{} with no place in the config's model: {}", count(.0), list(.0))]
    Extra(Vec<String>),
    /// A tensor of another shape.
    #[error("tensor {tensor} has shape {stored:?}, the config asks for {expected:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape in the file.
        stored: Vec<usize>,
        /// The shape in the model.
        expected: Vec<usize>,
    },
    /// A tensor of a number type that cannot be loaded into the model's.
    #[error("tensor {tensor} is {stored}, the model needs {expected}")]
    NumberType {
        /// The tensor.
        tensor: String,
        /// Its type in the file.
        stored: String,
        /// The types that can be read.
        expected: String,
    },
    /// A tensor with NaN or infinite values.
    #[error("tensor {tensor} holds values that are not finite, the first at index {index}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Row-major index of the first.
        index: usize,
    },
    /// Variances below zero.
    #[error("tensor {tensor} holds variances below 0, the first at index {index}; the checkpoint is damaged")]
    Negative {
        /// The tensor.
        tensor: String,
        /// Row-major index of the first.
        index: usize,
    },
    /// More than one thing is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<WeightsFault>),
    /// The tensors could not be moved between file and model.
    #[error("{0}")]
    Transfer(String),
}

/// Names listed in full when tensors are missing or too many.
const LISTED: usize = 10;

fn count(names: &[String]) -> String {
    format!("{} tensor{}", names.len(), if names.len() == 1 { "" } else { "s" })
}

fn list(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_tensors_are_cut_and_counted() {
        let names: Vec<String> = (0..13).map(|i| format!("layer{i}")).collect();
        let text = WeightsFault::Missing(names).to_string();
        assert!(text.starts_with("13 tensors missing: layer0, ") && text.ends_with("layer9 and 3 more"), "{text}");
        assert_eq!(
            WeightsFault::Extra(vec!["a".to_owned()]).to_string(),
            "1 tensor with no place in the config's model: a"
        );
    }
}
