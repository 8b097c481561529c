//! What the system tests share: where the project, its programs and the shared data are, and how a missing thing is said.

pub mod parity;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// A file or folder beside the project in `../shared`, such as `data/livingroom1`; None (said loudly) where it is missing.
///
/// # Panics
/// Under `CI=true`, where a skipped test counts as failed.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = root().parent()?.join("shared").join(path);
    if found.exists() {
        return Some(found);
    }
    skip(&format!("{} is missing", found.display()));
    None
}

/// A program of this workspace, lying where cargo built it beside the running test; None (said loudly) where it is missing.
///
/// # Panics
/// Under `CI=true`, where a skipped test counts as failed.
pub fn program(name: &str) -> Option<PathBuf> {
    // …/debug/deps/test-0123 -> …/debug/name
    let found = env::current_exe().ok()?.parent()?.parent()?.join(name);
    if found.exists() {
        return Some(found);
    }
    skip(&format!("{} is not built; `cargo xtask test` builds it", found.display()));
    None
}

/// The Python with rclpy, rosbags, numpy and pillow that `cargo xtask` prepared; None (said loudly) where it is missing.
///
/// # Panics
/// Under `CI=true`, where a skipped test counts as failed.
pub fn python() -> Option<PathBuf> {
    python_of("VANTAGE_PYTHON", "cargo xtask test")
}

/// The Python with the heavy peers (Open3D); None (said loudly) where it is missing.
///
/// # Panics
/// Under `CI=true`, where a skipped test counts as failed.
pub fn peers_python() -> Option<PathBuf> {
    python_of("VANTAGE_PEERS_PYTHON", "cargo xtask test --peers")
}

/// The Python with a chat endpoint and a small model (llama-cpp-python, SmolLM2); None (said loudly) where it is missing.
///
/// # Panics
/// Under `CI=true`, where a skipped test counts as failed.
pub fn endpoint_python() -> Option<PathBuf> {
    python_of("VANTAGE_ENDPOINT_PYTHON", "cargo xtask test --peers")
}

fn python_of(variable: &str, command: &str) -> Option<PathBuf> {
    let found = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    if found.is_none() {
        skip(&format!("{variable} names no Python; `{command}` sets it"));
    }
    found
}

/// Says why a test does not run.
///
/// # Panics
/// Under `CI=true`, where a skipped test counts as failed.
pub fn skip(why: &str) {
    assert!(!env::var("CI").is_ok_and(|ci| ci == "true"), "cannot run under CI=true: {why}");
    eprintln!("\n!!! SKIPPED: {why}\n");
}

/// Runs a Python script and returns what it printed.
///
/// # Panics
/// When it fails, with what it said.
pub fn run_python<'a>(python: &Path, script: &Path, arguments: impl IntoIterator<Item = &'a OsStr>) -> String {
    let output = Command::new(python).arg(script).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
