//! `vantage-train data check` as a program: its lines, its exit code, and what it says of folders that leak.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::frames::{arkit_pictures, sens};
use super::{copied, fixtures};

fn check(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vantage-train"));
    command.args(["data", "check"]).arg(dir).args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of a type.
fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[test]
fn whole_datasets_are_counted_by_split_and_type() {
    let dir = copied();
    arkit_pictures(dir.path());
    fs::write(dir.path().join("scannet/scans/scene0000_00/scene0000_00.sens"), sens()).unwrap();
    let output = check(dir.path(), &["--json", "--strict"]);
    let lines = lines(&output);
    let (findings, datasets) = (of(&lines, "finding"), of(&lines, "dataset"));
    assert!(output.status.success(), "{findings:#?} {}", String::from_utf8_lossy(&output.stderr));
    assert!(findings.iter().all(|f| f["severity"] == "note"), "{findings:#?}");
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["type"], &summary["errors"], &summary["datasets"]),
        (&"summary".into(), &0.into(), &10.into())
    );
    let count = |dataset: &str, split: &str, field: &str| {
        let found = datasets.iter().find(|d| d["dataset"] == dataset && d["split"] == split);
        found.unwrap_or_else(|| panic!("no {dataset} {split} in {datasets:#?}"))[field].clone()
    };
    assert_eq!(count("ScanNet", "train", "objects"), 2);
    assert_eq!((count("ScanNet", "train", "frames"), count("ScanNet", "train", "lost_frames")), (3.into(), 1.into()));
    assert_eq!(count("ScanRefer", "train", "types"), serde_json::json!({"grounding": 2}));
    // nr3d.csv has no split of its own: ScanNet's lists give it
    assert_eq!((count("Nr3D", "train", "questions"), count("Nr3D", "val", "questions")), (1.into(), 1.into()));
    assert_eq!(count("ScanQA", "test_wo_obj", "types"), serde_json::json!({"qa": 1}));
    assert_eq!(count("SQA3D", "test", "types"), serde_json::json!({"situated": 1}));
    assert_eq!(count("3D-LLM", "train", "types"), serde_json::json!({"dialogue": 2, "planning": 1, "qa": 1}));
    assert_eq!(count("Scene-30K", "train", "questions"), 2);
    assert_eq!(
        (count("ARKitScenes", "train", "objects"), count("ARKitScenes", "train", "frames")),
        (2.into(), 1.into())
    );
    assert_eq!((count("records", "train", "questions"), count("rooms", "all", "questions")), (2.into(), 2.into()));
    assert_eq!(summary["questions"], 22);
}

#[test]
fn tables_end_with_the_counts() {
    let output = check(&fixtures().join("scanqa"), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // without scans: a warning a file, and no error
    assert!(output.status.success() && text.ends_with("0 errors, 3 warnings, 0 notes\n"), "{text}");
    assert!(text.contains("ScanQA       train              1        0        0          2  qa 2\n"), "{text}");
    assert!(!check(&fixtures().join("scanqa"), &["--strict"]).status.success(), "warnings fail when strict");
}

#[test]
fn leaks_and_missing_splits_fail() {
    let dir = copied();
    let path = dir.path().join("scanqa/ScanQA_v1.0_val.json");
    let train = fs::read_to_string(dir.path().join("scanqa/ScanQA_v1.0_train.json")).unwrap();
    fs::write(&path, train).unwrap();
    fs::remove_file(dir.path().join("scanrefer/ScanRefer_filtered_val.json")).unwrap();
    fs::remove_file(dir.path().join("sqa3d/v1_balanced_questions_val_scannetv2.json")).unwrap();
    let output = check(dir.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let findings = of(&lines, "finding");
    let has = |severity: &str, file: &str, field: &str, what: &str| {
        let fits = |f: &&&Value| {
            f["severity"] == severity
                && f["file"].as_str().unwrap().ends_with(file)
                && f["field"] == field
                && f["what"].as_str().unwrap().contains(what)
        };
        assert!(findings.iter().any(|f| fits(&f)), "no {severity} {file} {field} {what} in {findings:#?}");
    };
    has("error", "ScanQA_v1.0_val.json", "id", "is train-scene0000-0, as in split train");
    has("error", "ScanQA_v1.0_val.json", "question", "is asked about scene0000_00 in split train too");
    has("error", "ScanQA_v1.0_val.json", "scene", "scene0000_00 is in split train");
    has("error", "v1_balanced_questions_val_scannetv2.json", "", "is missing; its annotations are there");
    has("warning", "", "", "has ScanRefer without its split val");
    has("warning", "", "", "has SQA3D without its split val");
    has("warning", "ScanQA_v1.0_val.json", "scene", "1 rooms of ScanQA val are in ScanRefer train");
}

#[test]
fn folders_without_a_dataset_and_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("other.json"), "{}").unwrap();
    let output = check(dir.path(), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("holds no dataset that is known") && text.contains("other.json: is of no dataset"), "{text}");
    assert_eq!(check(&dir.path().join("none"), &[]).status.code(), Some(1));
    assert_eq!(check(dir.path(), &["--what"]).status.code(), Some(2));
}
