//! The engine around the scene and the model: sources, sinks and the command line. ROS itself is named in `ros/` alone.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod answerer;
pub mod cli;
pub mod engine;
pub mod live;
pub mod memory;
pub mod plot;
pub mod questions;
pub mod sink;
pub mod source;
pub mod suggest;
pub mod wire;
