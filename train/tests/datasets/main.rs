//! Loaders of published datasets: samples in their layouts (tests/fixtures/datasets) in, exact questions, boxes and faults out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod damage;
mod exact;
mod faults;
mod frames;

use std::fs;
use std::path::{Path, PathBuf};

use vantage_train::data::loaders::{Dataset, Findings, Loaded, Scenes, load_questions, scannet, split_of};

/// The samples.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets")
}

/// A copy of the samples to spoil.
fn copied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixtures(), dir.path());
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &place) } else { fs::copy(&path, &place).map(drop).unwrap() }
    }
}

/// The samples' scans.
fn scans(dir: &Path) -> Scenes {
    let (mut scenes, mut findings) = (Scenes::default(), Findings::new());
    for name in ["scene0000_00", "scene0001_00", "scene0002_00"] {
        let folder = dir.join("scannet/scans").join(name);
        scenes.add(scannet::load_scene(&folder, &mut findings).expect("a scan"));
    }
    scenes
}

fn load(dataset: Dataset, path: &Path, scenes: &Scenes) -> (Vec<Loaded>, Findings) {
    let mut findings = Findings::new();
    let loaded = load_questions(dataset, path, split_of(path), scenes, &mut findings);
    (loaded, findings)
}

fn texts(findings: &Findings) -> Vec<String> {
    findings.list().iter().map(ToString::to_string).collect()
}
