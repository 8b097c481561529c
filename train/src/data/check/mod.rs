//! `vantage-train data check`: a folder in, which datasets lie there, what is wrong with them and how much they hold
//! out.

mod layout;
mod leaks;
mod read;
mod report;
mod tally;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;

use super::loaders::{Findings, Severity};
use tally::Tally;

/// Arguments of `vantage-train data check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder to look into, with those below it.
    pub dir: PathBuf,
    /// Fail on warnings too.
    #[arg(long)]
    pub strict: bool,
    /// One JSON object a line instead of tables: `finding`, `dataset`, and last `summary`.
    #[arg(long)]
    pub json: bool,
}

/// Everything that is wrong with the datasets in a folder; prints nothing but the progress.
pub fn check_folder(dir: &Path) -> Findings {
    checked(dir).1
}

fn checked(dir: &Path) -> (Tally, Findings) {
    let mut findings = Findings::new();
    let layout = layout::walk(dir, &mut findings);
    let tally = read::all(dir, &layout, &mut findings);
    (tally, findings)
}

/// Checks and prints to stdout.
///
/// # Errors
/// When there are errors, with `--strict` also warnings, and when the folder cannot be read.
pub(super) fn run(args: &CheckArgs) -> Result<()> {
    ensure!(args.dir.is_dir(), "{}: is no folder", args.dir.display());
    let (tally, findings) = checked(&args.dir);
    report::print(&tally, &findings, args.json)?;
    let (errors, warnings) = (findings.count(Severity::Error), findings.count(Severity::Warning));
    ensure!(
        errors == 0 && !(args.strict && warnings > 0),
        "{}: {errors} errors and {warnings} warnings",
        args.dir.display()
    );
    Ok(())
}
