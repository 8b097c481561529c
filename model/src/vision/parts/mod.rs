//! Patches in, tokens out: the parts that every vision transformer of this crate is made of (nano's encoders, SigLIP,
//! DINOv2, Qwen2.5-VL's tower), so that attention, norms and resampling exist once.

mod activation;
mod attention;
mod block;
pub(crate) mod limits;
mod norm;
mod patches;
mod resample;
mod rotary;
mod segments;

pub use activation::Activation;
pub use attention::{Keys, attend};
pub(crate) use block::feed_forward;
pub use block::{Block, BlockConfig, BlockNames, Projections, through};
pub use norm::{Norm, NormKind};
pub use patches::patches_from_pixels;
pub use resample::{Axis, Filter, resize_grid};
pub use rotary::Rotary;
pub use segments::{Segments, SegmentsError};
