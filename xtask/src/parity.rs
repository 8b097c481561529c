//! `cargo xtask parity`. In: a seed. Out: every stage of the model beside transformers' and numpy's, on small random models made
//! for this run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::Layout;
use crate::run::cargo;
use crate::{apt, peers, process};

/// Writes the reference cases.
const REFERENCE: &str = "tests/python/parity.py";

/// Cases that are kept in the repository.
const KEPT: &str = "tests/fixtures/parity";

/// The kept cases with ours on a GPU, or on what stands for one; `device` is `wgpu`, `cuda` or `cuda:N`.
pub(crate) fn on_device(device: &str, json: bool) -> Result<()> {
    let layout = Layout::find()?;
    let family = device.split(':').next().unwrap_or_default();
    match family {
        "wgpu" => apt::ensure(&layout, &[apt::BUILD, apt::VULKAN])?,
        "cuda" => apt::ensure(&layout, &[apt::BUILD])?,
        _ => bail!("--device {device}: it is wgpu, cuda or cuda:N; without it everything runs on the CPU"),
    }
    let feature = format!("vantage-tests/{family}");
    process::foreground(cargo(&layout, "build").args(["--bin", "parity", "--features", &feature]))?;
    let mut compare = Command::new(layout.built("parity"));
    compare.arg(layout.root.join(KEPT)).arg(format!("--device={device}")).args(json.then_some("--json"));
    process::foreground(&mut compare)
}

/// Makes the cases in a folder of their own, compares, and clears away.
pub(crate) fn run(seed: u64, parts: &[String], json: bool) -> Result<()> {
    let layout = Layout::find()?;
    apt::ensure(&layout, &[apt::BUILD])?;
    let python = peers::prepare_reference(&layout)?;
    let out = std::env::temp_dir().join(format!("vantage-parity-{}", std::process::id()));
    let compared = compare(&layout, python, &out, seed, parts, json);
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
    }
    compared
}

fn compare(layout: &Layout, python: PathBuf, out: &Path, seed: u64, parts: &[String], json: bool) -> Result<()> {
    let mut reference = Command::new(python);
    reference.arg(layout.root.join(REFERENCE)).arg(out).args(["--seed", &seed.to_string()]);
    for part in parts {
        reference.args(["--part", part]);
    }
    process::foreground(&mut reference)?;
    process::foreground(cargo(layout, "build").args(["--bin", "parity"]))?;
    process::foreground(Command::new(layout.built("parity")).arg(out).args(json.then_some("--json")))
}
