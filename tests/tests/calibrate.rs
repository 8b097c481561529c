//! `vantage calibrate` on real recordings: a good one passes, and of each that is miscalibrated in one thing just that is named.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;
use vantage_tests::{program, python, root, run_python, shared};

/// Recordings made once for all tests: the living room, seven seconds, and a Python.
struct Made {
    dir: TempDir,
    python: PathBuf,
}

static MADE: LazyLock<Option<Made>> = LazyLock::new(|| {
    let made = Made { dir: tempfile::tempdir().unwrap(), python: python()? };
    program("vantage")?;
    made.bag("good", &[])?;
    Some(made)
});

impl Made {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A recording by the maker that shares nothing with this project.
    fn bag(&self, name: &str, more: &[&str]) -> Option<PathBuf> {
        let (script, frames) = (shared("tools/make_bag.py")?, shared("data/livingroom1")?);
        let path = self.path(name);
        let arguments = [frames.as_os_str(), path.as_os_str()].into_iter().chain(more.iter().map(OsStr::new));
        run_python(&self.python, &script, arguments);
        Some(path)
    }

    /// The good recording with one thing wrong.
    fn miscalibrated(&self, fault: &str) -> PathBuf {
        self.miscalibrated_as(fault, fault)
    }

    /// The same under another name, as tests run side by side.
    fn miscalibrated_as(&self, fault: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        let script = root().join("tests/python/miscalibrated_bag.py");
        run_python(&self.python, &script, [self.path("good").as_os_str(), path.as_os_str(), fault.as_ref()]);
        path
    }
}

fn calibrate(command: &str, bag: &Path, more: &[&OsStr]) -> Output {
    let program = program("vantage").unwrap();
    Command::new(program).args(["calibrate", command]).arg(bag).args(more).output().expect("vantage runs")
}

/// The lines of `check --json`, the last of which is the summary; the exit code must agree with it.
fn check(bag: &Path) -> Vec<Value> {
    let output = calibrate("check", bag, &["--json".as_ref()]);
    let error = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|l| serde_json::from_str(l).expect(l)).collect();
    let summary = lines.last().unwrap_or_else(|| panic!("{}: {error}", bag.display()));
    assert_eq!(summary["type"], "calibration");
    assert_eq!(summary["checks"].as_u64().unwrap() as usize, lines.len() - 1);
    assert_eq!(output.status.code(), Some(i32::from(summary["verdict"] == "fail")), "{error}");
    lines
}

fn finding<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    lines.iter().find(|l| l["name"] == name).unwrap_or_else(|| panic!("no check is called {name}"))
}

fn failed(lines: &[Value]) -> Vec<&str> {
    lines.last().unwrap()["failed"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect()
}

#[test]
fn a_good_recording_passes() {
    let Some(made) = MADE.as_ref() else { return };
    let lines = check(&made.path("good"));
    assert_eq!(lines.last().unwrap()["verdict"], "ok", "{lines:#?}");
    let value = |name: &str| finding(&lines, name)["value"].as_f64().unwrap();
    assert!(value("depth_to_color") < 0.5, "{}", value("depth_to_color"));
    assert!(value("time_color_depth").abs() < 5.0, "{}", value("time_color_depth"));
    assert!((value("depth_scale") - 1.0).abs() < 0.01, "{}", value("depth_scale"));
}

#[test]
fn color_that_is_late_is_found_to_ten_milliseconds() {
    let Some(made) = MADE.as_ref() else { return };
    let Some(bag) = made.bag("late", &["--color-offset-ms", "100"]) else { return };
    let lines = check(&bag);
    for name in ["time_color_depth", "time_color_tf"] {
        let found = finding(&lines, name);
        assert_eq!(found["verdict"], "fail", "{found}");
        assert!((found["value"].as_f64().unwrap() - 100.0).abs() < 10.0, "{found}");
    }
    assert_eq!(finding(&lines, "time_depth_tf")["verdict"], "ok");
    assert_eq!(finding(&lines, "depth_to_color")["verdict"], "ok", "the right images are compared");
}

#[test]
fn each_fault_is_named_by_its_check() {
    let Some(made) = MADE.as_ref() else { return };
    // fault, checks that must fail, what the first must say
    let cases: [(&str, &[&str], &str); 7] = [
        ("scaled", &["depth_scale"], "multiplied by 0.9"),
        ("metres", &["depth_unit"], "read as millimetres"),
        ("tenths", &["depth_unit", "depth_scale"], "tenths of a millimetre"),
        ("shifted", &["depth_to_color"], "of depth"),
        ("no-static", &["transforms"], "/tf_static"),
        ("small-info", &["camera_info_depth"], "320x240"),
        ("backwards", &["stamps_depth"], "backwards"),
    ];
    for (fault, names, says) in cases {
        let lines = check(&made.miscalibrated(fault));
        assert_eq!(failed(&lines).iter().filter(|f| names.contains(f)).count(), names.len(), "{fault}: {lines:#?}");
        assert!(failed(&lines).iter().all(|f| names.contains(f)), "{fault} is also said to be {:?}", failed(&lines));
        let message = finding(&lines, names[0])["message"].as_str().unwrap();
        assert!(message.contains(says), "{fault}: {message}");
        let value = finding(&lines, names[0])["value"].as_f64();
        match fault {
            "scaled" => assert!((value.unwrap() * 1.05 - 1.0).abs() < 0.01, "{value:?}"),
            "shifted" => assert!((value.unwrap() - 6.0).abs() < 0.7, "{value:?}"),
            _ => {}
        }
    }
}

#[test]
fn recordings_that_show_nothing_are_no_reason_to_panic() {
    let Some(made) = MADE.as_ref() else { return };
    for (fault, verdict) in [("one-frame", "undecided"), ("no-image", "fail"), ("nan-poses", "fail")] {
        let lines = check(&made.miscalibrated(fault));
        assert_eq!(lines.last().unwrap()["verdict"], verdict, "{fault}: {lines:#?}");
        for name in ["depth_scale", "time_depth_tf"] {
            assert_eq!(finding(&lines, name)["verdict"], "undecided", "{fault}");
        }
    }
    // a picture that cannot be drawn is an error, but the verdicts are there
    let sheet = made.path("nothing.png");
    let output = calibrate("check", &made.path("no-image"), &["--out".as_ref(), sheet.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("overall: fail"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to draw"));
    assert!(!sheet.exists());
    // a float in millimetres is refused by the replay, but is a finding here
    let bag = made.path("millimetres");
    let script = root().join("tests/python/broken_bag.py");
    run_python(&made.python, &script, [bag.as_os_str(), "mcap".as_ref(), "millimetres".as_ref()]);
    let lines = check(&bag);
    assert_eq!(finding(&lines, "depth_unit")["verdict"], "fail");
    assert!(finding(&lines, "depth_unit")["message"].as_str().unwrap().contains("32FC1"));
}

#[test]
fn the_pictures_are_whole_and_stand_alone() {
    let Some(made) = MADE.as_ref() else { return };
    let (html, png) = (made.path("page.html"), made.path("sheet.png"));
    for out in [&html, &png] {
        let output = calibrate("check", &made.path("good"), &["--out".as_ref(), out.as_os_str()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("overall: ok"));
    }
    let page = fs::read_to_string(html).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 6, "three images, before and after");
    assert_eq!(page.matches("<svg").count(), 3, "two of motion, one of depth");
    // the pictures themselves may spell anything
    let words: String = page.split("base64,").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest)).collect();
    assert!(!words.contains("http") && !words.contains("<script") && !words.contains("NaN"));
    assert!(fs::read(png).unwrap().starts_with(b"\x89PNG"));
    let wrong = calibrate("check", &made.path("good"), &["--out".as_ref(), "page.pdf".as_ref()]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn depth_is_calibrated_from_motion_into_a_rig_file() {
    let Some(made) = MADE.as_ref() else { return };
    let bag = made.miscalibrated_as("scaled", "scaled_for_rig");
    let rig = made.path("rig.yaml");
    let output = calibrate("depth", &bag, &["--json".as_ref(), "--out".as_ref(), rig.as_os_str()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let scale: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&scale["name"], &scale["determined"]), (&Value::from("depth_scale"), &Value::from(true)));
    assert!((scale["value"].as_f64().unwrap() * 1.05 - 1.0).abs() < 0.01, "{scale}");
    assert!(scale["error"].as_f64().unwrap() < 0.005, "{scale}");
    let written: Value = serde_saphyr::from_str(&fs::read_to_string(rig).unwrap()).unwrap();
    assert_eq!(written["cameras"][0]["depth"]["model"]["scale"], scale["value"]);
    assert_eq!(written["cameras"][0]["link_frame"], "camera_link");
    assert_eq!(written["cameras"][0]["name"], "camera", "as --camera would name it");
    let nowhere = calibrate("depth", &bag, &["--json".as_ref(), "--out".as_ref(), "/no/such/folder/rig.yaml".as_ref()]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&nowhere.stdout), text, "the estimates are there all the same");
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/no/such/folder"));
    let still = calibrate("depth", &made.miscalibrated_as("one-frame", "one_frame_for_rig"), &[]);
    assert_eq!(still.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&still.stderr).contains("move the camera"));
}
