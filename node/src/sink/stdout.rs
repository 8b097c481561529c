//! Results for another program or a terminal out.

use std::io::{ErrorKind, Write, stdout};

use anyhow::{Context, Result};

/// Prints `text` and an end of line; a reader that went away (`| head`) is no failure.
///
/// # Errors
/// When stdout cannot be written, for example to a full disk.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("writing to stdout"),
        _ => Ok(()),
    }
}
