//! The launch package fits the node. In: launch files, parameter file, RViz view, DDS profile, the node's own table. Out: every name in them exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vantage_tests::root;

const PACKAGE: &str = "vantage_bringup";
const LAUNCH_FILES: &[&str] = &["vantage.launch.py", "replay.launch.py"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a launch file would start, as `tests/python/read_launch.py` sees it.
fn described(file: &str) -> Value {
    let python = std::env::var_os("VANTAGE_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let output = Command::new(python)
        .arg(root().join("tests/python/read_launch.py"))
        .arg(root().join("launch/launch").join(file))
        .output()
        .expect("python3 runs (any version, nothing installed)");
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("read_launch.py prints JSON")
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Every `key: "value"` of the node's table.
fn declared(source: &str, key: &str) -> BTreeSet<String> {
    let start = format!("{key}: \"");
    source.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}
