//! Recordings written by an independent writer replay: every storage and image form, the contract's lines, equal bytes twice.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vantage_tests::{peers_python, program, python, root, run_python, shared};

/// Of the 211 frames every tenth is enough here.
const EVERY: &str = "10";
/// Frames that this leaves.
const FRAMES: usize = 22;
const QUESTION: &str = "Where is the sofa?";

/// livingroom1 as a recording in `dir`, made by the shared writer.
fn bag(python: &Path, dir: &Path, name: &str, options: &[&str]) -> Option<PathBuf> {
    let (maker, frames) = (shared("tools/make_bag.py")?, shared("data/livingroom1")?);
    let place = dir.join(name);
    let arguments = [frames.as_os_str(), place.as_os_str()].into_iter().chain(options.iter().map(OsStr::new));
    run_python(python, &maker, arguments);
    Some(place)
}

/// What `vantage replay --json` prints.
fn replay(bag: &Path, more: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new(program("vantage")?)
        .arg("replay")
        .arg(bag)
        .args(["--ask", QUESTION, "--json"])
        .args(more)
        .output()
        .expect("vantage runs");
    assert!(output.status.success(), "{}: {}", bag.display(), String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
        .iter()
        .map(|x| x.as_f64().expect("a number"))
        .collect()
}

#[test]
fn every_storage_and_image_form_gives_the_same_map() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let forms: [&[&str]; 5] = [
        &["--storage", "mcap", "--images", "compressed"],
        &["--storage", "mcap", "--images", "raw"],
        &["--storage", "sqlite3", "--images", "compressed"],
        &["--storage", "sqlite3", "--images", "raw"],
        &["--storage", "mcap", "--images", "raw", "--depth-encoding", "32FC1"],
    ];
    let mut scenes = Vec::new();
    for (i, form) in forms.iter().enumerate() {
        let options: Vec<&str> = form.iter().copied().chain(["--every", EVERY]).collect();
        let Some(bag) = bag(&python, dir.path(), &format!("form{i}"), &options) else { return };
        let Some(printed) = replay(&bag, &[]) else { return };
        let lines = lines(&printed);
        assert_eq!(of_type(&lines, "frame").len(), FRAMES, "{form:?}");
        scenes.push((form, of_type(&lines, "scene")[0].clone()));
    }
    for (form, scene) in &scenes {
        assert_eq!(*scene, scenes[0].1, "{form:?}");
    }
}

#[test]
fn the_lines_are_those_of_the_contract_and_twice_the_same() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(bag) = bag(&python, dir.path(), "bag", &["--every", EVERY]) else { return };
    let Some(printed) = replay(&bag, &[]) else { return };
    assert_eq!(Some(&printed), replay(&bag, &[]).as_ref(), "the same recording, question and model");
    let lines = lines(&printed);
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(kinds.len(), FRAMES + 2);
    assert_eq!(kinds[FRAMES..], ["scene", "answer"]);

    let scene = &lines[FRAMES];
    for count in ["points", "voxels", "keyframes"] {
        assert!(scene[count].as_u64().is_some_and(|n| n > 0), "{scene}");
    }
    let (min, max) = (numbers(&scene["bounds"]["min"]), numbers(&scene["bounds"]["max"]));
    assert!(min.len() == 3 && max.len() == 3 && min.iter().zip(&max).all(|(a, b)| a < b), "{scene}");

    let answer = &lines[FRAMES + 1];
    assert_eq!(answer["question"], QUESTION);
    assert!(answer["answer"].is_string() && answer["reasoning"].is_string(), "{answer}");
    let views = answer["views"].as_array().expect("a list");
    assert!(!views.is_empty() && views.iter().all(|v| v["keyframe"].is_u64() && v["utility"].is_f64()), "{answer}");
    for found in answer["boxes"].as_array().expect("a list") {
        assert!(found["id"].is_string() && found["label"].is_string() && found["yaw"].is_number(), "{found}");
        assert!(found["score"].as_f64().is_some_and(|s| (0.0..=1.0).contains(&s)), "{found}");
        assert_eq!((numbers(&found["center"]).len(), numbers(&found["size"]).len()), (3, 3));
    }
    let latency = answer["latency_ms"].as_object().expect("an object");
    assert_eq!(latency.keys().collect::<Vec<_>>(), ["encode", "first_token", "select", "total"]);

    let timed = replay(&bag, &["--timing"]).unwrap();
    let timed = self::lines(&timed);
    assert!(timed[FRAMES + 1]["latency_ms"]["total"].as_f64().is_some_and(|ms| ms > 0.0));
}

#[test]
fn the_results_folder_is_whole() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(bag) = bag(&python, dir.path(), "bag", &["--every", EVERY]) else { return };
    let out = dir.path().join("results");
    let Some(printed) = replay(&bag, &["--out", out.to_str().unwrap()]) else { return };
    assert_eq!(fs::read(out.join("answers.jsonl")).unwrap(), printed);
    let points = of_type(&lines(&printed), "scene")[0]["points"].as_u64().unwrap();
    let ply = fs::read(out.join("map.ply")).unwrap();
    let head = String::from_utf8_lossy(&ply[..200]).into_owned();
    assert!(head.starts_with("ply\n") && head.contains(&format!("element vertex {points}\n")), "{head}");
    let mesh = fs::read(out.join("mesh.ply")).unwrap();
    let head = String::from_utf8_lossy(&mesh[..400]).into_owned();
    assert!(head.contains("element face ") && !head.contains("element face 0\n"), "{head}");
    let pictures =
        fs::read_dir(&out).unwrap().filter(|e| e.as_ref().unwrap().path().extension() == Some(OsStr::new("png")));
    let answer = &lines(&printed)[FRAMES + 1];
    assert_eq!(pictures.count(), answer["views"].as_array().unwrap().len());
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains(QUESTION) && report.contains(".png"));
    let sheet = fs::read_to_string(out.join("question1_candidates.svg")).unwrap();
    let keyframes = of_type(&lines(&printed), "scene")[0]["keyframes"].as_u64().unwrap() as usize;
    assert_eq!(drawn_and_chosen(&sheet), (keyframes, answer["views"].as_array().unwrap().len()));
}

/// Views of a contact sheet, and those of them that are marked as chosen.
fn drawn_and_chosen(sheet: &str) -> (usize, usize) {
    assert!(sheet.starts_with("<svg ") && sheet.contains(QUESTION), "{}", &sheet[..300]);
    (sheet.matches("<image ").count(), sheet.matches("<circle ").count())
}

#[test]
fn views_of_the_map_are_candidates_where_they_are_asked_for() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(bag) = bag(&python, dir.path(), "bag", &["--every", EVERY]) else { return };
    let out = dir.path().join("results");
    let asked = ["--map-views", "--views", "30", "--out", out.to_str().unwrap()];
    let Some(printed) = replay(&bag, &asked) else { return };
    let lines = lines(&printed);
    let keyframes = of_type(&lines, "scene")[0]["keyframes"].as_u64().unwrap() as usize;
    let views = of_type(&lines, "answer")[0]["views"].as_array().unwrap();
    let names: Vec<&str> = views.iter().filter_map(|v| v["map_view"].as_str()).collect();
    // all that there are were asked for: those of the map have no keyframe, and each is there once
    assert!(views.iter().all(|v| v["keyframe"].is_null() != v["map_view"].is_null()), "{views:?}");
    assert_eq!(views.len(), keyframes + names.len());
    for name in ["map above", "map corner 1", "map corner 4", "map around 1"] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{names:?}");
    }
    let sheet = fs::read_to_string(out.join("question1_candidates.svg")).unwrap();
    assert_eq!(drawn_and_chosen(&sheet), (views.len(), views.len()));
    assert!(names.iter().all(|name| sheet.contains(name)), "{names:?}");
    assert!(out.join("report.html").is_file());
}

/// Needs Open3D: `cargo xtask test --peers`.
#[test]
#[ignore = "needs Open3D; `cargo xtask test --peers` runs it"]
fn peers_the_fused_points_lie_on_the_surface_that_open3d_fuses() {
    let (Some(python), Some(peers)) = (python(), peers_python()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (Some(bag), Some(frames)) = (bag(&python, dir.path(), "bag", &[]), shared("data/livingroom1")) else { return };
    let out = dir.path().join("results");
    // the peer fuses voxels of 2 cm
    if replay(&bag, &["--voxel", "0.02", "--out", out.to_str().unwrap()]).is_none() {
        return;
    }
    let ply = out.join("map.ply");
    let mesh = out.join("mesh.ply");
    let arguments = [frames.as_os_str(), ply.as_os_str(), mesh.as_os_str()];
    let compared = run_python(&peers, &root().join("tests/python/compare_open3d.py"), arguments);
    eprintln!("{compared}");
    let compared: Value = serde_json::from_str(compared.lines().last().unwrap()).unwrap();
    let metres = |name: &str| compared[name].as_f64().unwrap_or_else(|| panic!("{compared}"));
    assert!(metres("ours_to_theirs_median_m") <= 0.005, "{compared}");
    assert!(metres("ours_to_theirs_p95_m") <= 0.015, "{compared}");
    assert!(metres("theirs_to_ours_median_m") <= 0.005, "{compared}");
}
