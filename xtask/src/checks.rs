//! The checks of CI beside the tests, cheapest first. In: the workspace. Out: success, or the exit code of the check that failed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::process::{self, Step};
use crate::run;

/// The version of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// Formatting, clippy with warnings denied, licences, bans, sources.
pub(crate) fn run() -> Result<()> {
    let layout = Layout::find()?;
    process::foreground(run::cargo(&layout, "fmt").args(["--all", "--check"]))?;
    let ros = run::prepare(&layout)?;
    let clippy = ["--workspace", "--all-targets", "--features", run::ROS_FEATURE, "--", "-D", "warnings"];
    process::foreground(ros.apply(run::cargo(&layout, "clippy").args(clippy)))?;
    let deny = cargo_deny(&layout)?;
    let mut check = Command::new(deny);
    check.current_dir(&layout.root).args(["--locked", "check", "licenses", "bans", "sources"]);
    process::foreground(&mut check)
}

/// cargo-deny's path, compiled once into the store.
fn cargo_deny(layout: &Layout) -> Result<PathBuf> {
    let folder = layout.store.join("tools");
    let program = folder.join("bin/cargo-deny");
    let right = process::output(Command::new(&program).arg("--version")).is_ok_and(|text| text.ends_with(CARGO_DENY));
    if !right {
        let step = Step::begin(&format!("compiling cargo-deny {CARGO_DENY}"), &layout.logs(), "cargo-deny")?;
        let mut install = run::cargo(layout, "install");
        install.args(["cargo-deny", "--locked", "--force", "--version", CARGO_DENY, "--root"]).arg(&folder);
        // Built in a folder of its own that cargo removes afterwards.
        step.run(install.env_remove("CARGO_TARGET_DIR"))?;
        step.done();
    }
    Ok(program)
}
