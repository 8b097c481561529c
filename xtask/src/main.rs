//! `cargo xtask`: the one door to set-up, demo, tests and the checks of CI.
//! In: a command line. Out: a prepared machine and the exit code of what was run.

mod apt;
mod checks;
mod layout;
mod peers;
mod process;
mod python;
mod ros;
mod run;
mod stamp;

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
    /// The checks of CI beside the tests: formatting, clippy with warnings denied, licences and sources
    Ci,
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let outcome = match command_line.command {
        Task::Setup { peers } => run::setup(peers),
        Task::Demo { arguments } => run::demo(&arguments),
        Task::Test { peers, filter } => run::test(peers, filter.as_deref()),
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
