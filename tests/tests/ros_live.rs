//! The node on a real ROS 2 graph: an rclpy process plays a recording, asks, and gets points, boxes and an answer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use vantage_tests::{program, python, root, run_python, shared};

/// How long anything may take before the test gives up.
const LIMIT: Duration = Duration::from_secs(120);
/// The live map may lack frames that the replay has; its bounds agree within this, metres.
const BOUNDS_TOLERANCE_M: f64 = 0.1;

/// The node, ended by its process id when dropped.
struct Node {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Node {
    fn start(domain: u32, arguments: &[&str]) -> Option<Self> {
        let mut child = Command::new(program("vantage_node")?)
            .args(["--ros-args"])
            .args(arguments)
            .env("ROS_DOMAIN_ID", domain.to_string())
            .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
            .stderr(Stdio::piped())
            .spawn()
            .expect("vantage_node starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (log, lines) = (Arc::clone(&said), BufReader::new(child.stderr.take().unwrap()));
        let reader = thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *log.lock().unwrap() += &(line + "\n");
            }
        });
        Some(Self { child, said, reader: Some(reader) })
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn wait_until_it_says(&mut self, text: &str) {
        let start = Instant::now();
        while !self.said().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < LIMIT, "no `{text}` ({ended:?}) in:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // all that it said is read before it is looked at
                if let Some(reader) = self.reader.take() {
                    reader.join().expect("the reader ends with the pipe");
                }
                return status;
            }
            assert!(start.elapsed() < LIMIT, "still running:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A domain of this process alone, so that runs beside each other do not meet; `offset` tells its tests apart.
fn domain(offset: u32) -> u32 {
    1 + (std::process::id() % 25) * 4 + offset
}

/// Every third frame of livingroom1.
fn recording(python: &Path, dir: &Path) -> Option<std::path::PathBuf> {
    let bag = dir.join("bag");
    let every = ["--every", "3"].map(std::ffi::OsStr::new);
    let (maker, frames) = (shared("tools/make_bag.py")?, shared("data/livingroom1")?);
    run_python(python, &maker, [frames.as_os_str(), bag.as_os_str()].into_iter().chain(every));
    Some(bag)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value}")).iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn a_live_camera_is_fused_and_a_question_is_answered() {
    let (Some(python), Some(vantage)) = (python(), program("vantage")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(bag) = recording(&python, dir.path()) else { return };
    let domain = domain(0);
    let remapped = [
        "color/image_raw:=/camera/color/image_raw",
        "color/camera_info:=/camera/color/camera_info",
        "depth/image_raw:=/camera/aligned_depth_to_color/image_raw",
        "depth/camera_info:=/camera/aligned_depth_to_color/camera_info",
    ];
    let mut arguments =
        vec!["-p", "image_transport:=compressed", "-p", "qos_input:=reliable", "-p", "publish_points_period:=0.5"];
    arguments.extend(remapped.iter().flat_map(|rule| ["-r", rule]));
    let Some(mut node) = Node::start(domain, &arguments) else { return };
    node.wait_until_it_says("ready: ask on /vantage/question");

    let question = "Where is the sofa?";
    let (scene, looked_for) = replayed(&vantage, &bag, &["Where is the toilet?", "Where is the bookshelf?"]);
    assert!(!looked_for.is_empty(), "the replay is sure of everything; ask for what is not there");
    let then = looked_for.iter().flat_map(|(question, _)| ["--then", question]);
    let peer = Command::new(&python)
        .arg(root().join("tests/python/live_peer.py"))
        .arg(&bag)
        .args([question, "--rate", "15"])
        .args(then)
        .env("ROS_DOMAIN_ID", domain.to_string())
        .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        .output()
        .expect("the peer runs");
    let errors = String::from_utf8_lossy(&peer.stderr);
    assert!(peer.status.success(), "{errors}\nthe node said:\n{}", node.said());
    let text = String::from_utf8_lossy(&peer.stdout);
    let got: Value =
        serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {text}"));
    eprintln!("{got}\nthe node said:\n{}", node.said());

    let stamps = got["stamps"].as_array().unwrap();
    let newest = stamps.last().unwrap();
    assert_eq!(stamps.len(), 71);
    let answer = &got["answer"];
    assert_eq!((&answer["question"], &answer["frame"], &answer["stamp"]), (&question.into(), &"odom".into(), newest));
    assert_eq!((&answer["error_text"], &answer["model"]), (&"".into(), &"nano".into()));
    assert!(!answer["answer"].as_str().unwrap().is_empty() && !numbers(&answer["keyframes"]).is_empty());
    assert!(got["refused"].as_str().unwrap().contains("question"), "{}", got["refused"]);

    let confidence = answer["confidence"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&confidence), "{confidence}");
    // the views that the answer looked at, and as many as are asked for, with their pictures
    let (views, two) = (&got["views"], &got["two_views"]);
    assert_eq!((&views["success"], &views["keyframes"]), (&true.into(), &answer["keyframes"]), "{views}");
    assert_eq!((numbers(&two["keyframes"]).len(), &views["frame"]), (2, &"odom".into()), "{two}");
    for (told, pictures) in [(views, 0), (two, 2)] {
        let count = numbers(&told["keyframes"]).len();
        assert!(told["scores"].as_array().unwrap().iter().all(|s| numbers(s).len() == count), "{told}");
        assert!(told["stamps"].as_array().unwrap().iter().all(|s| stamps.contains(s)), "{told}");
        let turns: Vec<Vec<f64>> = told["turns"].as_array().unwrap().iter().map(numbers).collect();
        let is_unit = |q: &Vec<f64>| (q.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6;
        assert!(turns.len() == count && turns.iter().all(is_unit), "{told}");
        let jpegs = told["pictures"].as_array().unwrap();
        assert_eq!(jpegs.len(), pictures);
        assert!(jpegs.iter().all(|p| p[1] == "ffd8" && p[2].as_u64() > Some(1000)), "{told}");
    }
    let none = &got["no_views"];
    assert!(none["success"] == false && none["message"].as_str().unwrap().contains("question"), "{none}");

    let detections = &got["detections"];
    assert_eq!((&detections["frame"], &detections["stamp"]), (&"odom".into(), newest));
    assert_eq!(detections["boxes"], answer["boxes"]);
    let boxes = detections["boxes"].as_array().unwrap();
    assert_eq!(got["markers"].as_u64().unwrap() as usize, 1 + 2 * boxes.len());
    for found in boxes {
        assert!(found["pose_is_center"] == true && found["frame"] == "odom" && found["stamp"] == *newest, "{found}");
        assert!(numbers(&found["size"]).iter().all(|x| *x > 0.0), "{found}");
    }

    // what is hardly seen comes with a place to look from, as in the replay, upright on the map's floor; what is seen with none
    assert_eq!(got["suggested_first"] == 0, confidence >= 0.5, "{got}");
    let suggested = got["suggested"].as_array().unwrap();
    assert_eq!(suggested.len(), looked_for.len());
    for (suggested, (question, replayed)) in suggested.iter().zip(&looked_for) {
        assert!(suggested["confidence"].as_f64() < Some(0.5), "{question}: {suggested}");
        assert_eq!((&suggested["frame"], &suggested["stamp"]), (&"odom".into(), newest), "{question}");
        let (live, replayed) = (numbers(&suggested["position"]), numbers(&replayed["position"]));
        assert!(
            (live[2] - replayed[2]).abs() <= BOUNDS_TOLERANCE_M,
            "{question}: live {live:?}, replayed {replayed:?}"
        );
        let turn = numbers(&suggested["turn"]);
        assert!(turn[..2] == [0.0; 2] && (turn[2].hypot(turn[3]) - 1.0).abs() < 1e-6, "{question}: {turn:?}");
    }

    // the same recording replayed: the cloud's bounds are the map's
    let points = &got["points"];
    assert_eq!((&points["frame"], &points["stamp"]), (&"odom".into(), newest));
    assert_eq!(points["fields"], serde_json::json!(["x", "y", "z", "rgb"]));
    for side in ["min", "max"] {
        let (live, map) = (numbers(&points["bounds"][side]), numbers(&scene["bounds"][side]));
        let far = live.iter().zip(&map).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far <= BOUNDS_TOLERANCE_M, "{side}: live {live:?}, map {map:?}");
    }

    node.signal("TERM");
    assert!(node.wait().success(), "{}", node.said());
    assert!(node.said().contains("stopped: "), "{}", node.said());
}

/// The replay's line of the scene, and of the questions that it suggests a view for, the question and that view.
fn replayed(vantage: &Path, bag: &Path, questions: &[&str]) -> (Value, Vec<(String, Value)>) {
    let asked = questions.iter().flat_map(|question| ["--ask", question]);
    let replay = Command::new(vantage).arg("replay").arg(bag).arg("--json").args(asked).output().expect("vantage runs");
    let text = String::from_utf8_lossy(&replay.stdout).into_owned();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let scene = lines.iter().find(|line| line["type"] == "scene").expect("a line of the scene").clone();
    let suggested = |line: &Value| {
        let view = line.get("suggested_view").filter(|view| !view.is_null())?;
        Some((line["question"].as_str()?.to_owned(), view.clone()))
    };
    (scene, lines.iter().filter_map(suggested).collect())
}

#[test]
fn silent_topics_are_named_and_interrupt_ends_the_node() {
    let Some(mut node) = Node::start(domain(1), &["-r", "__ns:=/robot", "-p", "voxel_sise:=0.1"]) else { return };
    node.wait_until_it_says("parameter `voxel_sise` is not one of the node's");
    node.wait_until_it_says("/robot/depth/image_raw: nobody publishes it (sensor_msgs/msg/Image)");
    node.signal("INT");
    assert!(node.wait().success(), "{}", node.said());
}

#[test]
fn a_model_or_parameter_that_cannot_be_used_ends_the_node_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    let model = format!("model_dir:={}", dir.path().display());
    for (parameter, says) in [
        ("model_dir:=/no/such/folder", "/no/such/folder"),
        (model.as_str(), "model_dir"),
        ("mode:=lift", "mode lift and the embedded model do not fit"),
        ("voxel_size:=0.0", "parameter `voxel_size` is 0"),
        ("image_transport:=theora", "parameter `image_transport` is `theora`"),
    ] {
        let Some(mut node) = Node::start(domain(2), &["-p", parameter]) else { return };
        assert_eq!(node.wait().code(), Some(1), "{parameter}: {}", node.said());
        assert!(node.said().contains(says), "{parameter}: {}", node.said());
    }
}
