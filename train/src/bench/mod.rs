//! `vantage-train bench`: a part of training or of the making of its data in, how fast it runs on this machine out.

mod frames;
mod rooms;
mod text;

use anyhow::Result;
use clap::{Args, Subcommand};

pub use frames::{FramesArgs, frames_per_second};

/// Arguments of `vantage-train bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Frames a second that the camera of procedural rooms renders, with noise.
    Frames(FramesArgs),
    /// How many rooms a second are furnished.
    Rooms(rooms::RoomsArgs),
    /// How long a training step and sampling take on a decoder of nano's size.
    Text(text::TextArgs),
}

/// Measures and prints to stdout.
///
/// # Errors
/// When an argument is out of range or stdout cannot be written.
pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Frames(args) => frames::run(args),
        What::Rooms(args) => rooms::run(args),
        What::Text(args) => text::run(args),
    }
}
