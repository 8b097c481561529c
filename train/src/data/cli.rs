//! `vantage-train data`: what can be done with datasets.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::check::{self, CheckArgs};
use super::engine::{self, GenerateArgs};

/// Arguments of `vantage-train data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Say which datasets lie in a folder, what is missing, misshapen or leaking, and count their questions.
    Check(CheckArgs),
    /// Write questions about scenes with chains of thought, filtered; the same command goes on where it ended.
    Generate(Box<GenerateArgs>),
}

/// Runs it.
///
/// # Errors
/// As the command says.
pub fn run(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Check(args) => check::run(args),
        DataCommand::Generate(args) => engine::run(args),
    }
}
