//! Voxels with their features in, point features out: Point Transformer v3 (arXiv 2312.10035) as Pointcept publishes it
//! (`PT-v3m1`), for its checkpoints. Inference alone; the small one that this project trains is [`super::PointEncoder`].

mod block;
mod checkpoint;
mod config;
mod error;
mod model;
mod norm;
mod plan;

pub(crate) use checkpoint::CheckpointNames;
pub use config::{PtV3Config, PtV3ModelType};
pub use error::{PtV3ForwardError, PtV3InputError};
pub use model::{PtV3, PtV3Features};
pub use plan::{PtV3Input, PtV3Plan};
