//! Every loader on its sample: what the sample says, worked out by hand.

use std::f64::consts::FRAC_PI_2;

use vantage_scene::OrientedBox;
use vantage_train::data::loaders::{Dataset, Findings, Loaded, Place, Scenes, arkit, load_room};
use vantage_train::data::{SceneQuestion, Turn};
use vantage_train::tasks::Task;

use super::{fixtures, load, scans};

/// The chair's corners (0, 0, 0), (1, 0, 0.5), (0.5, 2, 1) go to (-y + 1, x + 2, z): (1, 2, 0), (1, 3, 0.5), (-1, 2.5, 1).
const CHAIR: OrientedBox = OrientedBox { center: [0.0, 2.5, 0.5], size: [2.0, 1.0, 1.0], yaw: 0.0 };
/// The table's corners (2, 1, 0), (3, 1, 0.5), (3, 2, 0.25) go to (0, 4, 0), (0, 5, 0.5), (-1, 5, 0.25).
const TABLE: OrientedBox = OrientedBox { center: [-0.5, 4.5, 0.25], size: [1.0, 1.0, 0.5], yaw: 0.0 };
/// The lamp's corners (0, 0, 0.5), (1, 2, 2) sink by half a metre.
const LAMP: OrientedBox = OrientedBox { center: [0.5, 1.0, 0.75], size: [1.0, 2.0, 1.5], yaw: 0.0 };

/// Poses go through rotations whose sines are rounded.
const TOLERANCE: f64 = 1.0e-9;

fn assert_near(a: &OrientedBox, b: &OrientedBox) {
    let numbers = |b: &OrientedBox| [b.center, b.size].concat();
    let far = numbers(a).iter().zip(numbers(b)).any(|(x, y)| (x - y).abs() > TOLERANCE);
    assert!(!far && a.yaw == b.yaw, "{a:?} {b:?}");
}

fn read(dataset: Dataset, path: &str, scenes: &Scenes) -> Vec<SceneQuestion> {
    let (loaded, findings) = load(dataset, &fixtures().join(path), scenes);
    assert_eq!(findings.list(), [], "{path}");
    loaded.into_iter().map(|Loaded { question, .. }| question).collect()
}

fn assert_boxes(question: &SceneQuestion, boxes: &[OrientedBox]) {
    assert_eq!(question.boxes.len(), boxes.len(), "{}", question.id);
    question.boxes.iter().zip(boxes).for_each(|(a, b)| assert_near(a, b));
}

#[test]
fn scannet_boxes_lie_in_the_aligned_frame() {
    let scenes = scans(&fixtures());
    let office = scenes.get("scene0000_00").unwrap();
    let named: Vec<(i64, &str)> = office.objects.iter().map(|o| (o.id, o.label.as_str())).collect();
    assert_eq!(named, [(0, "chair"), (1, "coffee table")]);
    assert_near(&office.objects[0].bbox, &CHAIR);
    assert_near(&office.objects[1].bbox, &TABLE);
    assert_eq!(office.raw_center, Some([1.5, 1.0, 1.0]));
    let bedroom = scenes.get("scene0001_00").unwrap();
    assert_eq!((bedroom.objects.len(), bedroom.objects[0].id), (1, 7));
    assert_near(&bedroom.objects[0].bbox, &LAMP);
    assert_eq!(scenes.get("scene0002_00").unwrap().objects, []);
}

#[test]
fn scanrefer_and_nr3d_ask_for_objects() {
    let scenes = scans(&fixtures());
    let q = read(Dataset::ScanRefer, "scanrefer/ScanRefer_filtered_train.json", &scenes);
    assert_eq!(q.len(), 2);
    assert_eq!(
        (q[0].id.as_str(), q[0].scene.as_str(), q[0].task),
        ("scanrefer-scene0000_00-0-0", "scene0000_00", Task::Grounding)
    );
    assert_eq!(q[0].question, "the red chair. it is left of the coffee table.");
    assert_boxes(&q[0], &[CHAIR]);
    assert_boxes(&q[1], &[TABLE]);
    let q = read(Dataset::Nr3d, "nr3d/nr3d.csv", &scenes);
    assert_eq!((q[0].id.as_str(), q[0].question.as_str()), ("nr3d-1187", "The chair, the \"red\" one"));
    assert_boxes(&q[0], &[CHAIR]);
    assert_eq!((q[1].scene.as_str(), q[1].question.as_str()), ("scene0001_00", "the tall lamp"));
    assert_boxes(&q[1], &[LAMP]);
}

#[test]
fn scanqa_has_all_answers_and_the_boxes_of_all_objects() {
    let scenes = scans(&fixtures());
    let q = read(Dataset::ScanQa, "scanqa/ScanQA_v1.0_train.json", &scenes);
    assert_eq!((q[0].id.as_str(), q[0].task), ("train-scene0000-0", Task::Qa));
    assert_eq!(q[0].answers, ["red", "dark red"]);
    assert_boxes(&q[0], &[CHAIR]);
    assert_boxes(&q[1], &[CHAIR, TABLE]);
    let q = read(Dataset::ScanQa, "scanqa/ScanQA_v1.0_test_wo_obj.json", &scenes);
    assert_eq!((q.len(), q[0].answers.len(), q[0].boxes.len()), (1, 0, 0));
}

#[test]
fn sqa3d_situations_are_brought_into_the_aligned_frame() {
    let scenes = scans(&fixtures());
    let q = read(Dataset::Sqa3d, "sqa3d/v1_balanced_questions_train_scannetv2.json", &scenes);
    let situation = q[0].situation.as_ref().unwrap();
    // (0.5, -1, 0) from the centre (1.5, 1, 1) is (2, 0, 1), which goes to (1, 4, 1); -x goes to -y
    assert!(situation.position.iter().zip([1.0, 4.0, 1.0]).all(|(a, b)| (a - b).abs() < TOLERANCE), "{situation:?}");
    assert!((situation.yaw + FRAC_PI_2).abs() < TOLERANCE, "{situation:?}");
    assert_eq!(situation.text.as_deref(), Some("I am facing the window."));
    assert_eq!(
        (q[0].id.as_str(), q[0].task, q[0].question.as_str()),
        ("sqa3d-220602000000", Task::Situated, "What is behind me?")
    );
    assert_eq!(q[0].answers, ["chair"]);
    let q = read(Dataset::Sqa3d, "sqa3d/v1_balanced_questions_val_scannetv2.json", &scenes);
    // half a turn: who looked along -x looks along +x
    assert!(q[0].situation.as_ref().unwrap().yaw.abs() < TOLERANCE);
}

#[test]
fn without_its_scan_a_situation_stays_in_words() {
    let path = fixtures().join("sqa3d/v1_balanced_questions_train_scannetv2.json");
    let (loaded, findings) = load(Dataset::Sqa3d, &path, &Scenes::default());
    assert_eq!(loaded[0].question.question, "I am facing the window. What is behind me?");
    assert_eq!(loaded[0].question.situation, None);
    assert_eq!(findings.list().len(), 1);
    assert!(
        findings.list()[0]
            .to_string()
            .contains("1 questions are about 1 scenes, scene0000_00 for one, and no scene is there")
    );
}

#[test]
fn three_d_llm_gives_questions_dialogues_and_plans() {
    let scenes = scans(&fixtures());
    let (loaded, findings) = load(Dataset::ThreeDLlm, &fixtures().join("3d-llm/data_part2_scene_v2.json"), &scenes);
    let q: Vec<&SceneQuestion> = loaded.iter().map(|l| &l.question).collect();
    assert_eq!((q.len(), q[0].scene.as_str(), q[0].task), (2, "scene0000_00", Task::Qa));
    assert_eq!(q[1].turns, [Turn { question: "Where am I?".to_owned(), answer: "In an office.".to_owned() }]);
    assert_eq!(
        (q[1].task, q[1].question.as_str(), q[1].answers[0].as_str()),
        (Task::Dialogue, "Is there a table?", "Yes, a coffee table.")
    );
    assert_eq!(findings.list().len(), 1);
    assert!(findings.list()[0].what.contains("1 questions are about scenes that the map does not hold"));
    let q = read(Dataset::ThreeDLlm, "3d-llm/3d_llm_embodied_dialogue_filtered_train.json", &scenes);
    assert_eq!((q[0].task, q[0].question.as_str(), q[0].turns.len()), (Task::Dialogue, "a place to sit", 1));
    let q = read(Dataset::ThreeDLlm, "3d-llm/3d_llm_embodied_planning_filtered_train.json", &scenes);
    assert_eq!((q[0].task, q[0].id.as_str()), (Task::Planning, "3d_llm_embodied_planning_filtered_train-0"));
}

#[test]
fn both_schemas_of_scene_30k_are_read() {
    let scenes = scans(&fixtures());
    let q = read(Dataset::Scene30k, "scene-30k/Scene-30K.jsonl", &scenes);
    assert_eq!(
        q[0].think.as_deref(),
        Some("First, I look for the chair. Then I see its color. Finally, the chair is red.")
    );
    assert_eq!((q[0].answer.as_deref(), q[0].answers.as_slice()), (Some("It is red."), ["red".to_owned()].as_slice()));
    assert_eq!(q[0].id, "train-scene0000-0");
    let q = read(Dataset::Scene30k, "scene-30k/Scene-R1-cold-qa-1-train.jsonl", &scenes);
    assert_eq!((q[0].id.as_str(), q[0].answer.as_deref()), ("Scene-R1-cold-qa-1-train-1", Some("the coffee table")));
    assert_eq!(q[0].answers, ["the coffee table"]);
}

#[test]
fn arkitscenes_boxes_stand_upright() {
    let mut findings = Findings::new();
    let folder = fixtures().join("arkitscenes/3dod/Training/47331606");
    let scene = arkit::load_scene(&folder, "train", &mut findings).unwrap();
    assert_eq!(findings.list(), []);
    assert_eq!((scene.scene.as_str(), scene.objects.len()), ("47331606", 2));
    // the sofa: 2 m along (0.8, 0.6), 0.9 m across, 0.8 m high
    let sofa = OrientedBox { center: [1.0, 2.0, 0.4], size: [2.0, 0.9, 0.8], yaw: 0.6f64.atan2(0.8) };
    assert!((scene.objects[0].bbox.iou(&sofa) - 1.0).abs() < TOLERANCE, "{:?}", scene.objects[0]);
    assert_near(&scene.objects[1].bbox, &OrientedBox { center: [-1.0, 0.5, 0.35], size: [1.2, 0.6, 0.7], yaw: 0.0 });
}

#[test]
fn records_and_rooms_of_our_own_are_read() {
    let scenes = scans(&fixtures());
    let (loaded, findings) = load(Dataset::Records, &fixtures().join("records/train.jsonl"), &scenes);
    assert_eq!(findings.list(), []);
    assert_eq!((loaded.len(), loaded[1].place), (2, Place::Line(3)));
    assert_eq!((loaded[0].question.situation.as_ref().unwrap().yaw, loaded[1].question.task), (0.5, Task::Grounding));
    let mut findings = Findings::new();
    let (scene, loaded) = load_room(&fixtures().join("rooms/room-1"), &mut findings).unwrap();
    assert_eq!(findings.list(), []);
    assert_eq!((scene.scene.as_str(), scene.objects[1].label.as_str()), ("room-1", "cup"));
    assert_eq!((loaded[0].question.scene.as_str(), loaded[0].question.answers[0].as_str()), ("room-1", "red"));
    assert_eq!(loaded[1].question.boxes, [scene.objects[0].bbox]);
}
