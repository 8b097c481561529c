//! The committed reference cases (`tests/fixtures/parity`) against ours.

use std::collections::BTreeSet;
use std::path::Path;

use vantage_model::DeviceChoice;
use vantage_tests::parity;

/// Parts that must have a case.
const PARTS: &[&str] = &["decoder", "depth_anything", "ptv3", "qwen", "qwen_vision", "siglip"];

#[test]
fn every_stage_equals_its_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parity");
    let mut parts = BTreeSet::new();
    let mut wrong = Vec::new();
    for folder in parity::cases(&root).unwrap() {
        parts.insert(parity::Case::read(&folder, DeviceChoice::Cpu).unwrap().part);
        let lines = parity::compare(&folder, DeviceChoice::Cpu).unwrap();
        wrong.extend(lines.into_iter().filter(|line| !line.ok()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(parts.iter().map(String::as_str).collect::<Vec<_>>(), PARTS);
}

#[test]
fn a_wrong_result_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parity/decoder");
    let folder = parity::cases(&root).unwrap().remove(0);
    let case = parity::Case::read(&folder, DeviceChoice::Cpu).unwrap();
    let (shape, mut values) = case.values("logits").unwrap();
    assert!(case.line_of("logits", &shape, &values, 0.0).unwrap().ok());
    values[3] += 1e-3;
    assert!(!case.line_of("logits", &shape, &values, 1e-4).unwrap().ok());
    values[3] = f64::NAN;
    assert!(!case.line_of("logits", &shape, &values, 1e-4).unwrap().ok());
    assert!(case.line_of("logits", &[1, 2], &values, 1e-4).is_err());
}
