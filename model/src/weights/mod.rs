//! Weight files in, placed weights out: named tensors are found, checked, converted and put where the model runs, one at a
//! time, so that a model is never held twice.

mod error;
mod files;
mod hashes;
mod header;
mod index;
mod manifest;
mod pytorch;
mod reader;
mod unique;

pub use error::WeightFilesError;
pub use files::{StoredTensor, WeightFiles};
pub use hashes::Digest;
pub(crate) use hashes::RunningDigest;
pub use index::read_bounded;
pub(crate) use index::{INDEX, SINGLE};
pub use manifest::{MANIFEST, MANIFEST_VERSION, Manifest, ManifestFile, ManifestPart};
pub(crate) use pytorch::STATE;
pub use reader::{Bias, Placed, Placement, WeightReader};
