//! Training that is interrupted after every step writes the curve of training that is not, and the same weights.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const NANO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/checkpoints/nano");
const STEPS: usize = 4;

fn train(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vantage-train")).args(arguments).output().unwrap()
}

fn ran(arguments: &[&str]) {
    let output = train(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The log without the seconds.
fn curve(run: &Path) -> Vec<String> {
    let log = fs::read_to_string(run.join("log.csv")).unwrap();
    let without_seconds = |line: &str| -> String {
        line.split(',').enumerate().filter(|(i, _)| *i != 1).map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
    };
    log.lines().map(without_seconds).collect()
}

fn resumes_to_the_same_curve(name: &str, arguments: &[&str], cache: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let steps = STEPS.to_string();
    let common = [&[name, "--cache", cache.to_str().unwrap(), "--steps", &steps], arguments].concat();
    ran(&[&common[..], &["--out", whole.to_str().unwrap()]].concat());
    for _ in 0..STEPS {
        // a limit that the first step passes
        ran(&[&common[..], &["--out", parts.to_str().unwrap(), "--minutes", "0"]].concat());
    }
    assert_eq!(curve(&whole), curve(&parts));
    assert_eq!(curve(&whole).len(), STEPS + 1);
    let weights = |run: &Path| fs::read(run.join("last/model/model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&parts), "{name}: other weights");

    let other = train(&[&common[..], &["--out", parts.to_str().unwrap(), "--seed", "99"]].concat());
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("--seed 1, not 99"), "{said}");
}

#[test]
fn supervised_training_resumes_exactly() {
    let cache = tempfile::tempdir().unwrap();
    let small = ["--rooms", "3", "--scenes", "2", "--questions", "2", "--max-tokens", "220", "--views", "2"];
    let validated = [&small[..], &["--validation-rooms", "1", "--validate-every", "2"]].concat();
    resumes_to_the_same_curve("sft", &validated, cache.path());
    let adapters = [&small[..], &["--init", NANO, "--lora-rank", "4", "--accumulate", "2", "--validation-rooms", "0"]];
    resumes_to_the_same_curve("sft", &adapters.concat(), cache.path());
    let frozen = [&small[..], &["--init", NANO, "--freeze-encoders", "--validation-rooms", "0"]].concat();
    resumes_to_the_same_curve("sft", &frozen, cache.path());
}

#[test]
fn reinforcement_resumes_exactly() {
    let cache = tempfile::tempdir().unwrap();
    let small = ["--rooms", "2", "--scenes", "2", "--questions", "2", "--group", "3", "--max-tokens", "200"];
    let all = [&small[..], &["--views", "2", "--init", NANO, "--epochs", "2", "--learning-rate", "0.001"]].concat();
    resumes_to_the_same_curve("grpo", &all, cache.path());
    let branching = [&all[..], &["--branches", "--beta", "0", "--adaptive"]].concat();
    resumes_to_the_same_curve("grpo", &branching, cache.path());
    let refined = [&all[..], &["--refine-views"]].concat();
    resumes_to_the_same_curve("grpo", &refined, cache.path());
}
