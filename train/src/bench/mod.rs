//! `vantage-train bench`: a part of training or of the making of its data in, how fast it runs on this machine out.

mod rooms;
mod text;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Arguments of `vantage-train bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How many rooms a second are furnished.
    Rooms(rooms::RoomsArgs),
    /// How long a training step and sampling take on a decoder of nano's size.
    Text(text::TextArgs),
}

/// Runs the benchmark and prints it to stdout.
///
/// # Errors
/// When an argument is out of range or stdout cannot be written.
pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Rooms(args) => rooms::run(args),
        What::Text(args) => text::run(args),
    }
}
