//! Lens models against OpenCV's own bending and straightening of points, as tests/python/opencv_distortion.py wrote them
//! (`opencv_distortion.py 1 8 24`, OpenCV 5.0.0). `cargo xtask test --peers` compares afresh, with other lenses and points.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use vantage_calibration::Distortion;

/// Largest difference in normalised coordinates; rounding is a hundred times less.
const TOLERANCE: f64 = 1.0e-12;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn distance(ours: [f64; 2], theirs: &Value) -> f64 {
    let theirs = numbers(theirs);
    (ours[0] - theirs[0]).abs().max((ours[1] - theirs[1]).abs())
}

#[test]
fn points_are_bent_and_straightened_as_by_opencv() {
    let fixture: Value = serde_json::from_str(include_str!("opencv_distortion.json")).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    let (mut bent, mut straightened, mut compared) = (0.0f64, 0.0f64, 0);
    for case in cases {
        let lens = Distortion::from_ros(case["model"].as_str().unwrap(), &numbers(&case["d"])).unwrap();
        let lists = ["points", "distorted", "undistorted"].map(|name| case[name].as_array().unwrap());
        for ((point, distorted), undistorted) in lists[0].iter().zip(lists[1]).zip(lists[2]) {
            let (p, d) = (numbers(point), numbers(distorted));
            assert!(lens.reaches(p[0], p[1]), "{lens:?} {point}");
            bent = bent.max(distance(lens.distort(p[0], p[1]), distorted));
            straightened = straightened.max(distance(lens.undistort(d[0], d[1]).unwrap(), undistorted));
            compared += 1;
        }
    }
    eprintln!(
        "{compared} points of {} lenses: bent within {bent:e}, straightened within {straightened:e}",
        cases.len()
    );
    assert!(compared > 300 && cases.len() == 14);
    assert!(bent < TOLERANCE && straightened < TOLERANCE, "{bent:e} {straightened:e}");
}
