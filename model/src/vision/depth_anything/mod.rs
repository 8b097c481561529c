//! Pictures in, depth out: Depth-Anything-V2 (arXiv 2406.09414), a DINOv2 backbone under a DPT neck and head (arXiv 2103.13413), as
//! `DepthAnythingForDepthEstimation` of transformers computes it.

mod config;
mod conv;
mod head;
mod model;
mod neck;
mod preprocess;
mod published;

pub use config::{DepthAnythingConfig, DepthKind};
pub use model::DepthAnything;
pub use preprocess::DepthPreprocessor;
