//! A fused cloud in, point features out: Point Transformer v3 (arXiv 2312.10035) over serialised sparse voxels.

mod attention;
mod config;
mod encoder;
mod plan;
mod sample;
mod serialize;
mod sparse_conv;
pub mod v3;

pub use config::{PointEncoderConfig, PointSampleConfig};
pub use encoder::{PointEncoder, PointFeatures};
pub use plan::PointPlan;
pub(crate) use sample::INPUT_WIDTH;
pub use sample::PointSample;
pub use serialize::{SerializedOrder, hilbert_code, z_order_code};
