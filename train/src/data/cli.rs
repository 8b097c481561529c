//! `vantage-train data`: arguments in, the command that they name run.

use anyhow::Result;
use clap::Subcommand;

use super::engine::{self, GenerateArgs};

/// What to do with questions about scenes.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Write questions about scenes with chains of thought, filtered; resumes by itself.
    Generate(Box<GenerateArgs>),
}

/// Runs `command`.
///
/// # Errors
/// Those of the command.
pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Generate(args) => engine::run(args),
    }
}
