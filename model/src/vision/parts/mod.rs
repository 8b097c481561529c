//! Patches in, tokens out: the parts that every vision transformer of this crate is made of (nano's encoders, SigLIP,
//! DINOv2, Qwen2.5-VL's tower), so that attention, norms and resampling exist once.

mod activation;
mod attention;
mod block;
mod levels;
pub(crate) mod limits;
mod patches;
mod picture_config;
mod resample;
mod resize;
mod rotary;
mod segments;

pub use activation::Activation;
pub use attention::{Keys, attend};
pub(crate) use block::feed_forward;
pub use block::{Block, BlockConfig, BlockNames, Projections, through};
pub(crate) use levels::Levels;
pub use patches::patches_from_pixels;
pub(crate) use picture_config::{PictureConfig, PictureReader, TargetSize};
pub use resample::{Axis, Filter, resize_grid};
pub(crate) use resize::{PixelSize, resize_bytes};
pub use rotary::Rotary;
pub use segments::{Segments, SegmentsError};
