//! What can be wrong with the files of a model, each naming the file and the tensor.

use std::path::PathBuf;

/// Why the weight files of a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightFilesError {
    /// A file cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds no weights.
    #[error("{dir}: no model.safetensors and no model.safetensors.index.json; give the folder of a model")]
    None {
        /// The folder.
        dir: PathBuf,
    },
    /// The header of a weight file does not fit it.
    #[error("{path}: {reason} (the file has {bytes} bytes); it is truncated or damaged, copy it again")]
    Header {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// What is wrong.
        reason: String,
    },
    /// The index of shards is not usable.
    #[error("{path}: {reason}")]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong, naming shard and tensor.
        reason: String,
    },
    /// A PyTorch file cannot be read.
    #[error("{path}: not a readable PyTorch file of tensors: {reason}")]
    PyTorch {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// vantage.json is not usable.
    #[error("{path}: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that vantage.json names is not there.
    #[error("{path}: missing, although vantage.json names it; import the model again")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is not as long as vantage.json says.
    #[error(
        "{path}: has {found} bytes, vantage.json says {expected}; it is truncated or not the imported file, copy it again"
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A file's bytes are not those that vantage.json was written for.
    #[error("{path}: sha256 is {found}, vantage.json says {expected}; the file was changed or damaged, copy it again")]
    Hash {
        /// The file.
        path: PathBuf,
        /// The digest it should have, hexadecimal.
        expected: String,
        /// The digest it has.
        found: String,
    },
}
