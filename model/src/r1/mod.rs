//! Views and points in, scene tokens and text out: 3D-R1 (arXiv 2507.23478) of published parts at full size. Any subset of the
//! encoders can be switched on.
//!
//! The projections from SigLIP, Depth-Anything and Point Transformer into the decoder are 3D-R1's own and published nowhere as
//! weights: until they are trained this network is measured and trained, and says nothing of use.

mod config;
mod network;

pub use config::{Encoder, R1Config, UnknownEncoder, ViewEncoder};
pub use network::{R1Error, R1Network, R1Views};
