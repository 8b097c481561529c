//! `vantage-train bench`: how fast training data are made.

mod frames;

use anyhow::Result;
use clap::{Args, Subcommand};

pub use frames::{FramesArgs, frames_per_second};

/// Arguments of `vantage-train bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Frames a second that the camera of procedural rooms renders, with noise.
    Frames(FramesArgs),
}

/// Measures and prints to stdout.
///
/// # Errors
/// When an argument is out of range or stdout cannot be written.
pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Frames(args) => frames::run(args),
    }
}
