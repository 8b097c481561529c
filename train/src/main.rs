//! `vantage-train`: procedural rooms, training and evaluation.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vantage_train::{bench, data, eval, grpo, rooms, run, sft, views};

#[derive(Debug, Parser)]
#[command(name = "vantage-train", version, about = "Makes training data, trains and evaluates Vantage's model")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a furnished room by seed: a bag, its ground truth and questions with answers.
    Rooms(rooms::export::RoomsArgs),
    /// Datasets: write questions about scenes, check those in a folder.
    Data(data::cli::DataArgs),
    /// Train all parameters on procedural rooms; resumes by itself.
    Sft(sft::SftArgs),
    /// Make a trained model better at what its answers are rewarded for (GRPO); resumes by itself.
    Grpo(grpo::GrpoArgs),
    /// Learn which views tell most about a question, on a trained model; resumes by itself.
    Views(views::ViewsArgs),
    /// Write the mean of the weights of models that were trained on from the same one.
    Mean(run::mean::MeanArgs),
    /// Draw the logs of runs into one picture.
    Curves(run::curves::CurvesArgs),
    /// Score a model on rooms it was never trained on.
    Eval(eval::EvalArgs),
    /// Measure how fast training runs and its data are made.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    let result = match Cli::parse().command {
        Command::Rooms(args) => rooms::export::run(&args),
        Command::Data(args) => data::cli::run(&args),
        Command::Sft(args) => sft::run(&args),
        Command::Grpo(args) => grpo::run(&args),
        Command::Views(args) => views::run(&args),
        Command::Mean(args) => run::mean::run(&args),
        Command::Curves(args) => run::curves::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
