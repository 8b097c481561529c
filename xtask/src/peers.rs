//! Heavy peers that `test --peers` compares with. In: pinned requirements. Out: a Python of its own that has them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::process::Step;
use crate::{apt, python, stamp};

/// Open3D fuses the same frames; its map is what ours is measured against.
const REQUIREMENTS: &str = include_str!("peers-requirements.txt");

/// Installs the peers once and returns their Python.
pub(crate) fn prepare(layout: &Layout) -> Result<PathBuf> {
    apt::ensure(layout, &[apt::PEERS])?;
    let interpreter = python::find().context("no Python 3.11 to 3.13 with venv for the peers")?;
    let executable = interpreter.executable.to_string_lossy();
    let name = stamp::name_of([REQUIREMENTS.as_bytes(), executable.as_bytes()]);
    let folder = layout.store.join(format!("peers-{name}"));
    let python = folder.join("venv/bin/python");
    stamp::once(&folder, || install(layout, &interpreter.executable, &folder, &python))?;
    Ok(python)
}

fn install(layout: &Layout, interpreter: &Path, folder: &Path, python: &Path) -> Result<()> {
    let step = Step::begin("installing the heavy peers (Open3D)", &layout.logs(), "peers")?;
    python::make_venv(interpreter, &folder.join("venv"), REQUIREMENTS, false, &step)?;
    step.run(Command::new(python).args(["-c", "import open3d; print(open3d.__version__)"]))?;
    step.done();
    Ok(())
}
