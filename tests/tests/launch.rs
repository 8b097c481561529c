//! The launch package fits the node. In: launch files, parameter file, RViz view, DDS profile, the node's own table. Out: every name in them exists.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
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
    let output = python()
        .arg(root().join("tests/python/read_launch.py"))
        .arg(root().join("launch/launch").join(file))
        .output()
        .expect("python3 runs (any version, nothing installed)");
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("read_launch.py prints JSON")
}

/// Any Python 3; its standard library is enough.
fn python() -> Command {
    Command::new(std::env::var_os("VANTAGE_PYTHON").unwrap_or_else(|| "python3".into()))
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The node's table: every `name: "…"` of its parameters, or of its topics.
fn declared(file: &str) -> BTreeSet<String> {
    let source = read(&format!("node/src/ros/{file}"));
    let found = source.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: BTreeSet<String> = found.map(str::to_owned).collect();
    assert!(names.len() > 3, "node/src/ros/{file} holds a table of `name: \"…\"`: {names:?}");
    names
}

/// The parameters that ROS itself gives every node.
fn parameters() -> BTreeSet<String> {
    let mut names = declared("params.rs");
    names.insert("use_sim_time".to_owned());
    names
}

/// `@vantage_bringup/config/x` as a path in this checkout.
fn in_package(file: &str) -> Option<PathBuf> {
    Some(root().join("launch").join(file.strip_prefix(&format!("@{PACKAGE}/"))?))
}

#[test]
fn launch_files_name_only_what_exists() {
    let (parameters, topics) = (parameters(), declared("topics.rs"));
    let programs = read("node/Cargo.toml");
    for file in LAUNCH_FILES {
        let launch = described(file);
        let undeclared: Vec<_> =
            texts(&launch["configurations"]).difference(&texts(&launch["arguments"])).cloned().collect();
        assert!(undeclared.is_empty(), "{file} uses arguments that it does not declare: {undeclared:?}");
        for path in texts(&launch["files"]) {
            let path = in_package(&path).unwrap_or_else(|| panic!("{file}: {path} is not of this package"));
            assert!(path.is_file(), "{file} names {}, which does not exist", path.display());
        }
        for node in launch["nodes"].as_array().expect("a list").iter().filter(|node| node["package"] == PACKAGE) {
            let program = format!("name = {}", node["executable"]);
            assert!(programs.contains(&program), "{file}: node/Cargo.toml has no program with {program}");
            for name in texts(&node["parameters"]) {
                assert!(parameters.contains(&name), "{file}: the node has no parameter {name}");
            }
            for name in texts(&node["remapped"]) {
                assert!(topics.contains(&name), "{file}: the node has no topic {name}");
            }
        }
    }
}

#[test]
fn the_live_file_starts_the_node_with_room_for_images() {
    let launch = described("vantage.launch.py");
    let node = &launch["nodes"][0];
    assert_eq!((&node["package"], &node["name"]), (&Value::from(PACKAGE), &Value::from("vantage")));
    assert_eq!(texts(&node["parameter_files"]), BTreeSet::from(["$(params_file)".to_owned()]));
    let profiles = ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"].map(str::to_owned);
    assert_eq!(texts(&launch["environment"]), BTreeSet::from(profiles));
    let inputs = ["color/camera_info", "color/image_raw", "depth/camera_info", "depth/image_raw"].map(str::to_owned);
    assert_eq!(texts(&node["remapped"]), BTreeSet::from(inputs), "a camera's four topics can be named");
}

#[test]
fn the_replay_file_runs_on_the_recordings_clock() {
    let launch = described("replay.launch.py");
    let included = &launch["includes"][0];
    assert_eq!(included["file"], format!("@{PACKAGE}/launch/vantage.launch.py"));
    assert_eq!(included["arguments"]["use_sim_time"], "true");
    let live = texts(&described("vantage.launch.py")["arguments"]);
    for argument in included["arguments"].as_object().expect("a map").keys() {
        assert!(live.contains(argument), "vantage.launch.py takes no argument {argument}");
    }
    let play = texts(&launch["processes"][0]);
    assert!(play.contains("play") && play.contains("$(bag)") && play.contains("--clock"), "{play:?}");
}

#[test]
fn the_parameter_file_describes_every_parameter_and_no_other() {
    let text = read("launch/config/vantage.yaml");
    let yaml: Value = serde_saphyr::from_str(&text).expect("vantage.yaml is YAML");
    let given = yaml["/**"]["ros__parameters"].as_object().expect("the node's parameters");
    let given: BTreeSet<String> = given.keys().cloned().collect();
    assert_eq!(given, parameters(), "left: launch/config/vantage.yaml, right: node/src/ros/params.rs");
    let mut before = "";
    for line in text.lines().map(str::trim) {
        let is_parameter = line.split(':').next().is_some_and(|name| given.contains(name));
        assert!(!is_parameter || before.starts_with('#'), "vantage.yaml: no comment above `{line}`");
        before = line;
    }
}

#[test]
fn the_rviz_view_shows_topics_of_the_node_in_its_frame() {
    let view: Value = serde_saphyr::from_str(&read("launch/rviz/vantage.rviz")).expect("vantage.rviz is YAML");
    let manager = &view["Visualization Manager"];
    let yaml: Value = serde_saphyr::from_str(&read("launch/config/vantage.yaml")).expect("vantage.yaml is YAML");
    let frame = &yaml["/**"]["ros__parameters"]["global_frame"];
    assert_eq!(&manager["Global Options"]["Fixed Frame"], frame);
    let topics = declared("topics.rs");
    let shown: Vec<&str> = manager["Displays"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|display| display["Topic"]["Value"].as_str())
        .collect();
    assert!(shown.len() >= 2, "points and boxes are shown: {shown:?}");
    for topic in shown {
        // `/vantage` is the node's name, which `~` stands for.
        let own = topic.replacen("/vantage/", "~/", 1);
        assert!(topics.contains(&own), "vantage.rviz shows {topic}, which the node does not publish");
    }
}

#[test]
fn the_package_installs_what_it_names() {
    let (package, build) = (read("launch/package.xml"), read("launch/CMakeLists.txt"));
    assert!(package.contains(&format!("<name>{PACKAGE}</name>")) && build.contains(&format!("project({PACKAGE}")));
    assert!(build.contains("install(DIRECTORY launch config rviz") && build.contains("RENAME vantage_node"));
    let profile = read("launch/config/fastdds_large_messages.xml");
    let well_formed = python()
        .args(["-c", "import sys, xml.dom.minidom; xml.dom.minidom.parseString(sys.argv[1])", &profile])
        .status()
        .expect("python3 runs");
    assert!(well_formed.success() && profile.contains("is_default_profile=\"true\""));
}
