//! The rule between the crates. In: `cargo metadata` and the sources. Out: who depends on whom, and who may name ROS.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// For each crate, the crates of this workspace that it may use: calibration <- scene <- model <- train, node on all but train.
/// Training writes its rooms as recordings with the node's bag writer; nothing may depend on the last two.
const ALLOWED: &[(&str, &[&str])] = &[
    ("vantage-calibration", &[]),
    ("vantage-scene", &["vantage-calibration"]),
    ("vantage-model", &["vantage-calibration", "vantage-scene"]),
    ("vantage-node", &["vantage-calibration", "vantage-scene", "vantage-model"]),
    ("vantage-train", &["vantage-calibration", "vantage-scene", "vantage-model", "vantage-node"]),
    ("vantage-tests", &["vantage-calibration", "vantage-scene", "vantage-model", "vantage-node", "vantage-train"]),
    ("xtask", &[]),
];

/// The ROS 2 client library; put together here so that this file does not name it.
const ROS_CLIENT: &str = concat!("r", "2r");

/// The only folder whose sources may name it.
const ROS_SOURCES: &str = "node/src/ros";

fn metadata() -> Metadata {
    let manifest = vantage_tests::root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata runs")
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let metadata = metadata();
    let names: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let may_use = allowed.get(name).unwrap_or_else(|| panic!("{name} is a new crate: add its rule to ALLOWED"));
        for dependency in package.dependencies.iter().filter(|dependency| names.contains(&dependency.name.as_str())) {
            assert!(may_use.contains(&dependency.name.as_str()), "{name} must not depend on {}", dependency.name);
        }
    }
    assert_eq!(names.len(), ALLOWED.len(), "a crate of ALLOWED is gone: {names:?}");
}

#[test]
fn the_ros_client_is_an_optional_dependency_of_the_node_alone() {
    let uses =
        |package: &Package| package.dependencies.iter().any(|dependency| dependency.name.starts_with(ROS_CLIENT));
    let metadata = metadata();
    let users: Vec<_> = metadata.packages.iter().filter(|package| uses(package)).collect();
    assert_eq!(users.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["vantage-node"]);
    let client = users[0].dependencies.iter().find(|dependency| dependency.name == ROS_CLIENT).expect("named exactly");
    assert!(client.optional && client.kind == DependencyKind::Normal, "a build without ROS must not need it");
    assert!(
        !users[0].features.contains_key("default"),
        "the node's default features must stay empty: no ROS by default"
    );
}

#[test]
fn only_the_nodes_ros_folder_names_the_ros_client() {
    let root = vantage_tests::root();
    let ros = root.join(ROS_SOURCES);
    let mut sources = Vec::new();
    for package in metadata().packages {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path().to_path_buf();
        rust_sources(&folder, &mut sources);
    }
    let (inside, outside): (Vec<_>, Vec<_>) = sources.into_iter().partition(|path| path.starts_with(&ros));
    let naming = |paths: Vec<PathBuf>| -> Vec<PathBuf> {
        paths
            .into_iter()
            .filter(|path| names(&fs::read_to_string(path).expect("a source is text"), ROS_CLIENT))
            .collect()
    };
    assert!(outside.len() > 20, "only {} sources were found below {}", outside.len(), root.display());
    assert_eq!(naming(outside), Vec::<PathBuf>::new(), "{ROS_CLIENT} is named outside {ROS_SOURCES}");
    assert!(!naming(inside).is_empty(), "nothing under {ROS_SOURCES} uses ROS");
}

fn rust_sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            rust_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// True where `word` stands in the text as a word of its own.
fn names(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}
