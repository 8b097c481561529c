//! The fallback interface packages are the public ones. In: `interfaces/fallback`. Out: every field equals the definition that ROS 2 Jazzy ships.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use vantage_tests::root;

/// Type and name of every field, in order, as docs.ros.org lists them for Jazzy: what the node sends and what it must be able to read.
const PUBLIC: &[(&str, &[&str])] = &[
    ("tf2_msgs/msg/TFMessage", &["geometry_msgs/TransformStamped[] transforms"]),
    ("vision_msgs/msg/Detection3DArray", &["std_msgs/Header header", "vision_msgs/Detection3D[] detections"]),
    (
        "vision_msgs/msg/Detection3D",
        &["std_msgs/Header header", "ObjectHypothesisWithPose[] results", "BoundingBox3D bbox", "string id"],
    ),
    (
        "vision_msgs/msg/ObjectHypothesisWithPose",
        &["ObjectHypothesis hypothesis", "geometry_msgs/PoseWithCovariance pose"],
    ),
    ("vision_msgs/msg/ObjectHypothesis", &["string class_id", "float64 score"]),
    ("vision_msgs/msg/BoundingBox3D", &["geometry_msgs/Pose center", "geometry_msgs/Vector3 size"]),
    (
        "vision_msgs/msg/LabelInfo",
        &["std_msgs/Header header", "vision_msgs/VisionClass[] class_map", "float32 threshold"],
    ),
];

/// The lines that are fields: no comments, blanks or constants.
fn fields(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    code.filter(|line| !line.is_empty() && !line.contains('=')).map(str::to_owned).collect()
}

#[test]
fn fallback_definitions_equal_the_public_ones() {
    for (name, expected) in PUBLIC {
        let path = root().join("interfaces/fallback").join(format!("{name}.msg"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(fields(&text), *expected, "{name}");
    }
}

#[test]
fn every_definition_is_built() {
    for package in ["interfaces/fallback/tf2_msgs", "interfaces/fallback/vision_msgs", "interfaces/vantage_interfaces"]
    {
        let folder = root().join(package);
        let build = fs::read_to_string(folder.join("CMakeLists.txt")).expect("a package has a CMakeLists.txt");
        for kind in ["msg", "srv", "action"] {
            let Ok(list) = fs::read_dir(folder.join(kind)) else { continue };
            for file in list {
                let file = file.expect("a folder can be listed").file_name().into_string().expect("names are text");
                assert!(build.contains(&format!("\"{kind}/{file}\"")), "{package} does not build {kind}/{file}");
            }
        }
    }
}
