//! Broken input ends in one clear error: exit 1, the file, topic and place named, nothing half-written.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vantage_tests::{program, python, root, run_python};

/// What a run must say, and where it must not leave anything.
struct Case<'a> {
    fault: &'a str,
    says: &'a [&'a str],
}

/// A tiny recording in `dir` with one thing wrong.
fn broken_bag(python: &Path, dir: &Path, storage: &str, fault: &str) -> PathBuf {
    let bag = dir.join("bag");
    let script = root().join("tests/python/broken_bag.py");
    run_python(python, &script, [bag.as_os_str(), storage.as_ref(), fault.as_ref()]);
    bag
}

/// Runs `vantage replay` and returns what it printed; the results' folder is `out` in `dir`.
fn replay(dir: &Path, bag: &Path, more: &[&str]) -> Option<Output> {
    let mut command = Command::new(program("vantage")?);
    command
        .arg("replay")
        .arg(bag)
        .args(["--ask", "Where is the chair?", "--json", "--out"])
        .arg(dir.join("out"))
        .args(more);
    Some(command.output().expect("vantage runs"))
}

/// Exit 1, nothing on stdout, no results, and every one of `says` in the error.
fn must_fail(dir: &Path, name: &str, output: &Output, says: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{name}: {error}");
    assert!(output.stdout.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    let said = error.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{name}: {error}"));
    for word in says {
        assert!(said.contains(word), "{name}: no `{word}` in `{said}`");
    }
    let left: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    let left: Vec<&PathBuf> = left.iter().filter(|p| !p.ends_with("bag")).collect();
    assert!(left.is_empty(), "{name} leaves {left:?}");
}

#[test]
fn broken_recordings_are_refused_by_file_topic_and_place() {
    let (Some(python), Some(_)) = (python(), program("vantage")) else { return };
    let depth = "/camera/depth/image_raw";
    let cases = [
        Case { fault: "no-depth", says: &["no depth image topic", "/camera/color/image_raw", "--depth-topic"] },
        Case { fault: "no-color", says: &["no color image topic", depth, "--color-topic"] },
        Case { fault: "no-info", says: &["no depth camera_info topic", "--depth-info-topic"] },
        Case { fault: "no-transform", says: &["no frame could be fused", "frame odom", "--global-frame"] },
        Case { fault: "short-image", says: &[depth, "data hold 3072 bytes", "need 6144"] },
        Case { fault: "small-step", says: &[depth, "step is 64 bytes", "needs 128"] },
        Case { fault: "unknown-encoding", says: &[depth, "yuv422_yuy2", "16UC1"] },
        Case { fault: "millimetres", says: &[depth, "32FC1", "millimetres"] },
        Case { fault: "huge-size", says: &[depth, "2147483648"] },
        Case { fault: "empty-image", says: &[depth, "data hold 0 bytes"] },
        Case { fault: "bad-png", says: &["/compressedDepth", "compressed image"] },
        Case { fault: "png-bomb", says: &["/compressedDepth", "exceeds limit"] },
        Case { fault: "bad-lens", says: &["/camera/depth/camera_info", "omnidirectional", "plumb_bob"] },
        Case { fault: "no-focal-length", says: &["/camera/depth/camera_info", "fx"] },
        Case { fault: "no-reading", says: &["4 frames came, but no surface", "--max-depth"] },
        Case { fault: "cut-message", says: &[depth, "sensor_msgs/msg/Image"] },
    ];
    for storage in ["mcap", "sqlite3"] {
        for case in &cases {
            let dir = tempfile::tempdir().unwrap();
            let bag = broken_bag(&python, dir.path(), storage, case.fault);
            let output = replay(dir.path(), &bag, &[]).unwrap();
            let name = format!("{} in {storage}", case.fault);
            let file = if storage == "mcap" { "bag.mcap" } else { "bag.db3" };
            let whole_recording = case.fault.starts_with("no-") && !case.fault.contains("focal");
            let place: &[&str] = match (whole_recording, storage) {
                (true, _) => &[],
                (false, "mcap") => &["chunk at byte 92", "log time 17000000"],
                (false, _) => &["message row "],
            };
            let says: Vec<&str> = case.says.iter().copied().chain([file]).chain(place.iter().copied()).collect();
            must_fail(dir.path(), &name, &output, &says);
        }
    }
}

#[test]
fn the_same_recording_without_a_fault_is_replayed() {
    let (Some(python), Some(_)) = (python(), program("vantage")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let bag = broken_bag(&python, dir.path(), "mcap", "none");
    let output = replay(dir.path(), &bag, &[]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dir.path().join("out/map.ply").exists() && dir.path().join("out/report.html").exists());
}

#[test]
fn a_folder_with_other_files_is_never_replaced() {
    let (Some(python), Some(vantage)) = (python(), program("vantage")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let bag = broken_bag(&python, dir.path(), "mcap", "none");
    // a folder of results that holds the recording itself, and one that holds a letter
    fs::write(dir.path().join("answers.jsonl"), "").unwrap();
    let output = Command::new(vantage).arg("replay").arg(&bag).arg("--out").arg(dir.path()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--out") && error.contains("bag"), "{error}");
    assert!(bag.join("bag.mcap").exists());
    // results alone are replaced
    fs::remove_file(dir.path().join("answers.jsonl")).unwrap();
    assert!(replay(dir.path(), &bag, &[]).unwrap().status.success());
    assert!(replay(dir.path(), &bag, &[]).unwrap().status.success());
}

#[test]
fn options_out_of_range_are_wrong_usage() {
    let Some(vantage) = program("vantage") else { return };
    for option in ["--voxel=0", "--voxel=nan", "--max-depth=-1", "--sync-tolerance=nan", "--views=0", "--max-tokens=0"]
    {
        let output = Command::new(&vantage).args(["replay", "bag", option]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option}: {error}");
        assert!(error.contains(option.split('=').next().unwrap()), "{option}: {error}");
    }
}

#[test]
fn truncated_recordings_are_refused_with_the_place() {
    let (Some(python), Some(_)) = (python(), program("vantage")) else { return };
    for (storage, file) in [("mcap", "bag.mcap"), ("sqlite3", "bag.db3")] {
        let dir = tempfile::tempdir().unwrap();
        let bag = broken_bag(&python, dir.path(), storage, "none");
        let whole = fs::read(bag.join(file)).unwrap();
        for share in [0.0, 0.1, 0.5, 0.9, 0.99] {
            let cut = (whole.len() as f64 * share) as usize;
            fs::write(bag.join(file), &whole[..cut]).unwrap();
            let output = replay(dir.path(), &bag, &[]).unwrap();
            must_fail(dir.path(), &format!("{storage} cut to {cut} of {}", whole.len()), &output, &[file]);
        }
    }
}

#[test]
fn a_missing_or_broken_checkpoint_is_refused_before_anything_is_fused() {
    let (Some(python), Some(_)) = (python(), program("vantage")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let bag = broken_bag(&python, dir.path(), "mcap", "none");
    let models = tempfile::tempdir().unwrap();
    let model = models.path().join("nano");
    let asked = |says: &[&str]| {
        let output = replay(dir.path(), &bag, &["--model", model.to_str().unwrap()]).unwrap();
        must_fail(dir.path(), &format!("{says:?}"), &output, says);
    };
    asked(&["nano", "config.json"]);
    fs::create_dir(&model).unwrap();
    let nano = root().join("model/checkpoints/nano");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(nano.join(file), model.join(file)).unwrap();
    }
    let weights = fs::read(nano.join("model.safetensors")).unwrap();
    fs::write(model.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    asked(&["model.safetensors"]);
    fs::write(model.join("model.safetensors"), &weights[..40]).unwrap();
    asked(&["model.safetensors"]);
    fs::remove_file(model.join("model.safetensors")).unwrap();
    asked(&["model.safetensors"]);
    fs::write(model.join("model.safetensors"), &weights).unwrap();
    fs::write(model.join("tokenizer.json"), "{}").unwrap();
    asked(&["tokenizer"]);
    let tokenizer = fs::read_to_string(nano.join("tokenizer.json")).unwrap();
    fs::write(model.join("tokenizer.json"), &tokenizer).unwrap();
    let config = fs::read_to_string(nano.join("config.json")).unwrap();
    fs::write(
        model.join("config.json"),
        config.replace("\"intermediate_size\": 384", "\"intermediate_size\": 1000000"),
    )
    .unwrap();
    asked(&["config.json", "asks for at least", "model.safetensors has only"]);
    fs::write(model.join("config.json"), "{\"d_model\": 3}").unwrap();
    asked(&["config.json"]);
}
