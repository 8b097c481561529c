//! Lens models against OpenCV, run afresh: random lenses and points by a new seed each time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vantage_calibration::Distortion;
use vantage_tests::{peers_python, root, run_python};

/// Largest difference in normalised coordinates. Near the rim of a strong lens OpenCV's iteration stops a little before ours.
const TOLERANCE: f64 = 1.0e-9;
/// Random lenses beside those in use, and points of each.
const LENSES: &str = "60";
const POINTS: &str = "200";

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// Needs OpenCV: `cargo xtask test --peers`.
#[test]
#[ignore = "needs OpenCV; `cargo xtask test --peers` runs it"]
fn peers_points_are_bent_and_straightened_as_by_opencv() {
    let Some(peers) = peers_python() else { return };
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos().to_string();
    let arguments = [seed.as_str(), LENSES, POINTS].map(OsStr::new);
    let printed = run_python(&peers, &root().join("tests/python/opencv_distortion.py"), arguments);
    let found: Value = serde_json::from_str(printed.trim()).expect("one JSON object");
    let (mut bent, mut straightened, mut compared) = (0.0f64, 0.0f64, 0);
    for case in found["cases"].as_array().expect("a list") {
        let lens = Distortion::from_ros(case["model"].as_str().unwrap(), &numbers(&case["d"])).unwrap();
        let lists = ["points", "distorted", "undistorted"].map(|name| case[name].as_array().expect("a list"));
        for ((point, distorted), undistorted) in lists[0].iter().zip(lists[1]).zip(lists[2]) {
            let (p, d, u) = (numbers(point), numbers(distorted), numbers(undistorted));
            let [x, y] = lens.distort(p[0], p[1]);
            bent = bent.max((x - d[0]).abs()).max((y - d[1]).abs());
            let [x, y] = lens.undistort(d[0], d[1]).unwrap_or_else(|| panic!("seed {seed}: {lens:?} at {distorted}"));
            straightened = straightened.max((x - u[0]).abs()).max((y - u[1]).abs());
            compared += 1;
        }
    }
    eprintln!(
        "OpenCV {}, seed {seed}: {compared} points, bent within {bent:e}, straightened within {straightened:e}",
        found["opencv"].as_str().unwrap_or_default()
    );
    assert!(compared > 8_000, "only {compared} points came back");
    assert!(bent < TOLERANCE && straightened < TOLERANCE, "seed {seed}: {bent:e} {straightened:e}");
}
