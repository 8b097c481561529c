//! What every training command shares: a folder that can be resumed from, a log, and the bar that shows where it stands.

mod folder;

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use folder::read_model;
pub use folder::{Checkpoint, RUN_FORMAT_VERSION, RunFolder};

/// A progress bar of `length` `unit`s; invisible where the output is no terminal.
pub(crate) fn progress(length: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {prefix} {elapsed} (left {eta}) {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(unit.to_owned());
    bar
}
