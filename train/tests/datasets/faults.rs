//! One thing spoilt at a time: it is told by file, place and field, and the items beside it are still read.

use std::fs;
use std::path::Path;

use vantage_train::data::loaders::{Dataset, Findings, Scenes, Severity, arkit, load_questions, load_room, scannet};

use super::{copied, load, scans, texts};

/// Replaces `from` by `to` in a file; it must be there.
fn spoil(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} holds no {from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Spoils a file of questions and says what is told, and how many questions are left.
fn told(dataset: Dataset, file: &str, from: &str, to: &str) -> (String, usize) {
    let dir = copied();
    let scenes = scans(dir.path());
    spoil(dir.path(), file, from, to);
    let (loaded, findings) = load(dataset, &dir.path().join(file), &scenes);
    let texts = texts(&findings);
    let errors: Vec<&String> = texts.iter().filter(|t| !t.starts_with("note")).collect();
    assert_eq!(errors.len(), 1, "{texts:#?}");
    let name = Path::new(file).file_name().unwrap().to_string_lossy().into_owned();
    let (_, rest) =
        errors[0].split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("{} names no {name}", errors[0]));
    (rest.to_owned(), loaded.len())
}

fn assert_told(dataset: Dataset, file: &str, [from, to]: [&str; 2], begin: &str, left: usize) {
    let (text, count) = told(dataset, file, from, to);
    assert!(text.starts_with(begin), "{text}\ndoes not begin with\n{begin}");
    assert_eq!(count, left, "{text}");
}

#[test]
fn scanrefer() {
    let file = "scanrefer/ScanRefer_filtered_train.json";
    let is = |change, begin, left| assert_told(Dataset::ScanRefer, file, change, begin, left);
    is(
        ["\"object_id\": \"1\"", "\"object_id\": \"9\""],
        "item 1: `object_id`: says 9, and scene0000_00 has no object",
        1,
    );
    is(["\"object_id\": \"0\"", "\"object_id\": \"x\""], "item 0: `object_id`: is no whole number", 1);
    is(["\"description\": \"the red", "\"text\": \"the red"], "item 0: `description`: is missing", 1);
    is(
        ["\"description\": \"the red chair. it is left of the coffee table.\"", "\"description\": [1]"],
        "item 0: `description`: is a list, it must be a text",
        1,
    );
    is(
        ["\"scene_id\": \"scene0000_00\"", "\"scene_id\": \"scene0777_00\""],
        "item 0: `scene`: scene0777_00 is not there; 1 questions",
        2,
    );
    is(
        ["\"object_name\": \"chair\"", "\"object_name\": \"sofa\""],
        "item 0: `object_name`: says `sofa`, the scene calls object 0 `chair`",
        2,
    );
    is(["\"ann_id\": \"2\"", "\"ann_id\": NaN"], "line 3: is not the JSON that it should be", 1);
    is(["[\n", "{\n"], "line 1: is not the JSON that it should be: invalid type: map, expected a list", 0);
}

#[test]
fn nr3d() {
    let is = |change, begin, left| assert_told(Dataset::Nr3d, "nr3d/nr3d.csv", change, begin, left);
    is(["chair,0,", "chair,zero,"], "line 2: `target_id`: is `zero`, it must be a whole number", 1);
    is(["scan_id,", "scene,"], "line 1: `scan_id`: is no column", 0);
    is(["True,12,40,", "True,12,"], "line 2: has 15 columns, the first line has 16", 1);
    is(["'the tall lamp'", " "], "line 3: `utterance`: is empty", 1);
    is(["'the tall lamp'", "\"the tall lamp"], "line 3: opens a quote that is never closed", 1);
    is(["lamp,7,", "lamp,8,"], "line 3: `target_id`: says 8", 1);
}

#[test]
fn scanqa() {
    let is = |change, begin, left| assert_told(Dataset::ScanQa, "scanqa/ScanQA_v1.0_train.json", change, begin, left);
    is(["[\"red\", \"dark red\"]", "[]"], "item 0: `answers`: is empty", 1);
    is(["[\"2\"]", "[2]"], "item 1: `answers`: holds something that is no text", 1);
    is(["[\"2\"]", "[\" \"]"], "item 1: `answers`: holds an empty text", 1);
    is(
        ["\"object_ids\": [0, 1]", "\"object_ids\": [0, 1.5]"],
        "item 1: `object_ids`: holds something that is no whole number",
        1,
    );
    is(
        ["\"question\": \"How many pieces of furniture are there?\"", "\"question\": \"\""],
        "item 1: `question`: is empty",
        1,
    );
}

#[test]
fn sqa3d() {
    let questions = "sqa3d/v1_balanced_questions_train_scannetv2.json";
    let is = |change, begin, left| assert_told(Dataset::Sqa3d, questions, change, begin, left);
    is(["\"situation\": \"I am", "\"place\": \"I am"], "item 0: `situation`: is missing", 0);
    is(["\"questions\"", "\"items\""], "`questions`: is missing", 0);
    let beside = "sqa3d/v1_balanced_sqa_annotations_train_scannetv2.json";
    let spoilt = |from: &str, to: &str| {
        let dir = copied();
        let scenes = scans(dir.path());
        spoil(dir.path(), beside, from, to);
        texts(&load(Dataset::Sqa3d, &dir.path().join(questions), &scenes).1)
    };
    let turned = spoilt("\"_w\": 1", "\"_w\": 3");
    assert!(turned[0].contains("sqa_annotations_train_scannetv2.json: item 0: `rotation`: has length 3"), "{turned:?}");
    assert!(
        turned[1].contains(
            "questions_train_scannetv2.json: item 0: `question_id`: is 220602000000, and there is no annotation"
        ),
        "{turned:?}"
    );
    let other = spoilt("220602000000", "5");
    assert!(
        other[1].contains(
            "sqa_annotations_train_scannetv2.json: item 0: `question_id`: is 5, and there is no such question"
        ),
        "{other:?}"
    );
    let elsewhere = spoilt("scene0000_00", "scene0001_00");
    assert!(elsewhere[0].contains("`scene_id`: is scene0000_00, its annotation says scene0001_00"), "{elsewhere:?}");
    let nowhere = spoilt("\"x\": 0.5", "\"x\": null");
    assert!(nowhere[0].contains("`x`: is null, it must be a number"), "{nowhere:?}");
}

#[test]
fn three_d_llm_and_scene_30k() {
    let file = "3d-llm/data_part2_scene_v2.json";
    assert_told(
        Dataset::ThreeDLlm,
        file,
        ["[\"The chair.\"]", "\"The chair.\""],
        "item 0: `answers`: is a text, it must be a list",
        1,
    );
    let file = "scene-30k/Scene-30K.jsonl";
    let is = |change, begin| assert_told(Dataset::Scene30k, file, change, begin, 0);
    is(["</think>", ""], "line 1: `output`: is not <think>..</think><answer>..</answer>");
    is(["\"output\"", "\"result\""], "line 1: `output`: is missing");
    is(["It is red.", ""], "line 1: `output`: is not <think>..</think><answer>..</answer>: model output: the answer");
    is(["\"scene_id\": ", "\"scene_id\" "], "line 1: is no JSON");
    let file = "scene-30k/Scene-R1-cold-qa-1-train.jsonl";
    let with_box = ["the coffee table<", "the table<obj>1, 2, 3, 4, 5, 6</obj><"];
    assert_told(Dataset::Scene30k, file, with_box, "line 1: `cot`: holds 1 boxes, normalised by bounds", 1);
}

#[test]
fn records_and_rooms() {
    let is = |change, begin, left| assert_told(Dataset::Records, "records/train.jsonl", change, begin, left);
    is(
        ["\"scene\": \"scene0000_00\", \"type\": \"situated\"", "\"type\": \"situated\""],
        "line 1: `scene`: is not as it should be: missing field",
        1,
    );
    is(
        ["\"question\": \"the low", "\"asked\": \"the low"],
        "line 3: `asked`: is not as it should be: unknown field",
        1,
    );
    is(
        ["\"format_version\": 1, \"id\": \"r-2\"", "\"format_version\": 2, \"id\": \"r-2\""],
        "line 3: `format_version`: is 2, this program reads 1",
        1,
    );
    is(["\"size\": [2.0", "\"size\": [-2.0"], "line 1: `boxes`: has a negative extent, -2", 1);
    is(["\"size\": [2.0", "\"size\": [1e999"], "line 1: is no JSON", 1);
    is(
        ["\"type\": \"grounding\"", "\"type\": \"dance\""],
        "line 3: `dance`: is not as it should be: unknown variant",
        1,
    );
    let room = |file: &str, from: &str, to: &str| {
        let dir = copied();
        spoil(dir.path(), &format!("rooms/room-1/{file}"), from, to);
        let mut findings = Findings::new();
        let _ = load_room(&dir.path().join("rooms/room-1"), &mut findings);
        assert_eq!(findings.list().len(), 1, "{:#?}", texts(&findings));
        texts(&findings).remove(0)
    };
    assert!(room("truth.json", "\"version\": 1", "\"version\": 2").contains("truth.json: `version`: is not 1"));
    assert!(
        room("truth.json", "\"seed\"", "\"sed\"").contains("truth.json: `sed`: is not as it should be: unknown field")
    );
    assert!(room("truth.json", "[1.2, 0.8", "[-1.2, 0.8").contains("truth.json: item 0: `box`: has a negative extent"));
    assert!(room("questions.jsonl", "[\"red\"]", "[]").contains("questions.jsonl: line 1: `answers`: is empty"));
}

#[test]
fn scannet_scans() {
    let folder = "scannet/scans/scene0000_00";
    let spoilt = |file: &str, from: &str, to: &str| {
        let dir = copied();
        spoil(dir.path(), &format!("{folder}/scene0000_00{file}"), from, to);
        let mut findings = Findings::new();
        let scene = scannet::load_scene(&dir.path().join(folder), &mut findings);
        assert_eq!(findings.list().len(), 1, "{:#?}", texts(&findings));
        (texts(&findings).remove(0), scene.map(|s| s.objects.len()))
    };
    let is = |file, [from, to]: [&str; 2], wanted: &str, objects| {
        let (text, count) = spoilt(file, from, to);
        assert!(text.contains(&format!("scene0000_00{file}: {wanted}")), "{text}\nhas no\n{wanted}");
        assert_eq!(count, objects, "{text}");
    };
    is(".txt", ["0.000000 -1.000000", "0.000000"], "line 1: `axisAlignment`: has 15 numbers, a matrix has 16", None);
    is(".txt", ["-1.000000", "-1.2"], "line 1: `axisAlignment`: is no rotation with a shift", None);
    is(".txt", ["-1.000000", "nan"], "line 1: `axisAlignment`: holds a number that is not finite", None);
    is("_vh_clean_2.ply", ["element vertex 8", "element vertex 80000"], "is cut off: 80000 vertex", None);
    is("_vh_clean_2.ply", ["0.5 2 1", "0.5 inf 1"], "line 17: has a vertex that is not finite", None);
    is(
        "_vh_clean_2.0.010000.segs.json",
        ["[1, 1,", "[1,"],
        "`segIndices`: has 7 entries, the mesh has 8 vertices",
        Some(0),
    );
    is(
        "_vh_clean_2.0.010000.segs.json",
        ["[1, 1,", "[1, \"1\","],
        "item 1: `segIndices`: holds no whole number",
        Some(0),
    );
    is(
        ".aggregation.json",
        ["\"objectId\": 1", "\"objectId\": 0"],
        "item 1: `objectId`: is 0, as that of another object",
        Some(1),
    );
    is(".aggregation.json", ["[2, 5]", "[77]"], "item 1: `segments`: of object 1 hold no vertex", Some(1));
    is(".aggregation.json", ["\"label\": \"chair\"", "\"name\": \"chair\""], "item 0: `label`: is missing", Some(1));
    is(".aggregation.json", ["[1]", "[1, 2]"], "`segments`: give 1 segments to two objects", Some(2));
    let dir = copied();
    fs::remove_file(dir.path().join(folder).join("scene0000_00.aggregation.json")).unwrap();
    let mut findings = Findings::new();
    assert_eq!(scannet::load_scene(&dir.path().join(folder), &mut findings).unwrap().objects, []);
    assert!(texts(&findings)[0].contains("scene0000_00.aggregation.json: is missing"), "{:?}", texts(&findings));
}

#[test]
fn arkitscenes() {
    let folder = "arkitscenes/3dod/Training/47331606";
    let file = format!("{folder}/47331606_3dod_annotation.json");
    let spoilt = |from: &str, to: &str| {
        let dir = copied();
        spoil(dir.path(), &file, from, to);
        let mut findings = Findings::new();
        let scene = arkit::load_scene(&dir.path().join(folder), "train", &mut findings);
        assert_eq!((scene.unwrap().objects.len(), findings.list().len()), (1, 1), "{:#?}", texts(&findings));
        texts(&findings).remove(0)
    };
    assert!(
        spoilt("[0.8, 0.6, 0.0,", "[0.8, 0.6,")
            .contains("_annotation.json: item 0: `normalizedAxes`: has 8 numbers, it must have 9")
    );
    assert!(
        spoilt("[0.8, 0.6, 0.0, 0.0, 0.0, 1.0", "[0.8, 0.6, 0.0, 0.0, 0.6, 0.8")
            .contains("item 0: `normalizedAxes`: leans")
    );
    assert!(
        spoilt("\"axesLengths\": [1.2", "\"axesLengths\": [-1.2")
            .contains("item 1: `axesLengths`: has a negative extent")
    );
    assert!(
        spoilt("\"axesLengths\": [1.2", "\"axesLengths\": [120")
            .contains("item 1: `axesLengths`: has an extent of 120, plainly not metres")
    );
    assert!(spoilt("\"segments\": {\"obb\"", "\"parts\": {\"obb\"").contains("item 0: `segments`: is missing"));
}

#[test]
fn a_strict_reader_ends_at_the_first_error() {
    let dir = copied();
    let file = "scanqa/ScanQA_v1.0_train.json";
    spoil(dir.path(), file, "[\"red\", \"dark red\"]", "[]");
    spoil(dir.path(), file, "[\"2\"]", "[]");
    let path = dir.path().join(file);
    let mut findings = Findings::strict();
    let loaded = load_questions(Dataset::ScanQa, &path, "train", &Scenes::default(), &mut findings);
    assert_eq!((loaded.len(), findings.list().len(), findings.is_over()), (0, 1, true));
    let mut findings = Findings::new();
    load_questions(Dataset::ScanQa, &path, "train", &Scenes::default(), &mut findings);
    assert_eq!((findings.count(Severity::Error), findings.is_over()), (2, false));
    let gone = load(Dataset::ScanQa, &dir.path().join("scanqa/none.json"), &Scenes::default()).1;
    assert!(texts(&gone)[0].contains("none.json: cannot be read"), "{:?}", texts(&gone));
}
