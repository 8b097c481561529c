//! `cargo xtask`: the one door to set-up, demo, tests and the checks of CI.
//! In: a command line. Out: a prepared machine and the exit code of what was run.

mod apt;
mod bench;
mod checks;
mod layout;
mod parity;
mod peers;
mod process;
mod python;
mod ros;
mod run;
mod stamp;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Prepares this machine and runs Vantage, its tests and its checks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct CommandLine {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing and prepare ROS 2 under .ros/ (skipped where ROS 2 is sourced)
    Setup {
        /// Also install the heavy peers (Open3D) that `test --peers` compares with
        #[arg(long)]
        peers: bool,
    },
    /// Build Vantage and run `vantage demo` (no ROS needed); further arguments go to it
    Demo {
        /// Arguments of `vantage demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Set up, build everything with ROS 2, run every test
    Test {
        /// Install the heavy peers (Open3D) and run the tests that compare with them too
        #[arg(long)]
        peers: bool,
        /// Run only the tests whose name contains this
        filter: Option<String>,
    },
    /// Measure Vantage on this machine beside what others use for the same
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Ten thousand frames into a bounded map: fails when memory grows
    Soak {
        /// A folder of frames with color/, depth/ and trajectory.log; ../shared/data/livingroom1 when left out
        #[arg(long)]
        frames: Option<PathBuf>,
        /// One JSON object a line, the last one the summary
        #[arg(long)]
        json: bool,
    },
    /// Every stage of the model beside transformers and numpy, on small random models made for this run
    Parity {
        /// Of the random models
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Compare only this part; may be given several times
        #[arg(long = "part")]
        parts: Vec<String>,
        /// Run ours on wgpu, cuda or cuda:N instead, over the small cases of the repository (needs no torch)
        #[arg(long, conflicts_with_all = ["seed", "parts"])]
        device: Option<String>,
        /// One JSON object a line, the last one the summary
        #[arg(long)]
        json: bool,
    },
    /// The checks of CI beside the tests: formatting, clippy with warnings denied, licences and sources
    Ci,
}

#[derive(Subcommand)]
enum Bench {
    /// The text decoder, and torch's of the same size in the same run: the ratios of the times
    Model {
        /// One JSON object a line, the last one the summary
        #[arg(long)]
        json: bool,
    },
    /// Fusion and point clouds, and Open3D's on the same frames in the same run: the ratios of the times
    Scene {
        /// A folder of frames with color/, depth/ and trajectory.log; may be given several times
        #[arg(long)]
        frames: Vec<PathBuf>,
        /// One JSON object a line, the last one the summary
        #[arg(long)]
        json: bool,
    },
    /// A training step and sampling, and those of transformers on the same weights in the same run: the ratios of the times
    Train {
        /// One JSON object a line, the last one the summary
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let outcome = match command_line.command {
        Task::Setup { peers } => run::setup(peers),
        Task::Demo { arguments } => run::demo(&arguments),
        Task::Test { peers, filter } => run::test(peers, filter.as_deref()),
        Task::Bench { what: Bench::Scene { frames, json } } => bench::scene(&frames, json),
        Task::Soak { frames, json } => bench::soak(frames.as_deref(), json),
        Task::Bench { what: Bench::Model { json } } => bench::model(json),
        Task::Bench { what: Bench::Train { json } } => bench::train(json),
        Task::Parity { device: Some(device), json, .. } => parity::on_device(&device, json),
        Task::Parity { seed, parts, device: None, json } => parity::run(seed, &parts, json),
        Task::Ci => checks::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(process::exit_code_of(&error))
        }
    }
}
