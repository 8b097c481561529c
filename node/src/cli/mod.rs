//! The command line `vantage`.

mod bench;
mod calibrate;
mod demo;
mod model;
mod replay;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "vantage", version, about = "Fuses RGB-D recordings into a 3D scene and answers questions about it")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A procedural room, recorded, replayed and asked five questions, with the truth beside the answers.
    Demo(demo::DemoArgs),
    /// Measure how fast the parts are on this machine.
    Bench(bench::BenchArgs),
    /// Check the calibration of a recording, or estimate it from its motion.
    Calibrate(calibrate::CalibrateArgs),
    /// Import, inspect and verify model folders.
    Model(model::ModelArgs),
    /// Fuse a recording and answer questions about it.
    Replay(replay::ReplayArgs),
}

/// Runs the command line: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Replay(args) => replay::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
