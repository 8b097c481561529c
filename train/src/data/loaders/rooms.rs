//! A folder of `vantage-train rooms` in (bag/, truth.json, questions.jsonl), its scene and its questions out.

use std::ops::ControlFlow;
use std::path::Path;

use nalgebra::Isometry3;
use serde::Deserialize;
use serde_json::Value;
use vantage_scene::OrientedBox;

use super::file;
use super::finding::{Dataset, Fault, Findings, Place};
use super::json;
use super::question::{Loaded, bare, keep};
use super::records::{of_ours, record};
use super::scene::{SceneObject, SceneTruth, check_box};
use super::split::ALL;
use crate::data::{SceneQuestion, Situation};
use crate::tasks::Task;

/// As `vantage-train rooms` writes them.
const TRUTH_FILE: &str = "truth.json";
pub(crate) const QUESTIONS_FILE: &str = "questions.jsonl";
const BAG_METADATA: &str = "bag/metadata.yaml";
const TRUTH_FORMAT: &str = "vantage-room";
const TRUTH_VERSION: u64 = 1;
const REMEDY: &str = "make the room anew with vantage-train rooms";

/// Whether the folder is a room's.
pub(crate) fn is_room(folder: &Path) -> bool {
    folder.join(TRUTH_FILE).is_file()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Truth {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u64,
    #[serde(rename = "seed")]
    _seed: u64,
    #[serde(rename = "frame")]
    _frame: String,
    #[serde(rename = "size")]
    _size: [f64; 3],
    objects: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    id: i64,
    class: String,
    #[serde(rename = "color")]
    _color: String,
    #[serde(rename = "box")]
    bbox: OrientedBox,
    #[serde(rename = "supported_by")]
    _supported_by: Option<usize>,
}

/// A line of questions.jsonl.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(rename = "type")]
    task: Task,
    question: String,
    #[serde(default)]
    answers: Vec<String>,
    #[serde(default)]
    boxes: Vec<OrientedBox>,
    #[serde(default)]
    situation: Option<Situation>,
}

/// Reads a room's folder; `None` when its truth.json is of no use. The scene has the folder's name.
pub fn load_room(folder: &Path, findings: &mut Findings) -> Option<(SceneTruth, Vec<Loaded>)> {
    let scene = match truth(folder, findings) {
        ControlFlow::Continue(scene) => scene?,
        ControlFlow::Break(()) => return None,
    };
    if !folder.join(BAG_METADATA).is_file() {
        let fault = Fault::new("", "is missing", REMEDY);
        let _ = findings.report(fault.error(&folder.join(BAG_METADATA), Place::File));
    }
    let mut out = Vec::new();
    let path = folder.join(QUESTIONS_FILE);
    if !findings.is_over() {
        let _ = json::lines(&path, findings, &mut |place, value, findings| match line(value, &scene.scene) {
            Ok(question) => keep(&mut out, question, true, &path, place, findings),
            Err(fault) => findings.report(fault.error(&path, place)),
        });
    }
    Some((scene, out))
}

fn truth(folder: &Path, findings: &mut Findings) -> ControlFlow<(), Option<SceneTruth>> {
    let path = folder.join(TRUTH_FILE);
    let truth = match file::read_small(&path).map_err(|f| (f, Place::File)).and_then(|bytes| parse(&bytes)) {
        Ok(truth) => truth,
        Err((fault, place)) => {
            findings.report(fault.error(&path, place))?;
            return ControlFlow::Continue(None);
        }
    };
    let mut objects = Vec::new();
    for (index, object) in truth.objects.into_iter().enumerate() {
        match check_box("box", &object.bbox) {
            Ok(()) => objects.push(SceneObject { id: object.id, label: object.class, bbox: object.bbox }),
            Err(fault) => findings.report(fault.error(&path, Place::Item(index as u64)))?,
        }
    }
    ControlFlow::Continue(Some(SceneTruth {
        scene: file::name(folder),
        dataset: Dataset::Rooms,
        split: ALL.to_owned(),
        folder: folder.to_owned(),
        objects,
        world_from_raw: Isometry3::identity(),
        raw_center: None,
    }))
}

fn parse(bytes: &[u8]) -> Result<Truth, (Fault, Place)> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| (Fault::new("", format!("is no JSON: {e}"), REMEDY), Place::Line(e.line() as u64)))?;
    let whole = |fault: Fault| (fault, Place::File);
    if value.get("format").and_then(Value::as_str) != Some(TRUTH_FORMAT) {
        return Err(whole(Fault::new("format", format!("is not `{TRUTH_FORMAT}`"), REMEDY)));
    }
    if value.get("version").and_then(Value::as_u64) != Some(TRUTH_VERSION) {
        return Err(whole(Fault::new("version", format!("is not {TRUTH_VERSION}"), REMEDY)));
    }
    serde_json::from_value(value).map_err(|e| whole(of_ours(&e)))
}

fn line(value: Value, scene: &str) -> Result<SceneQuestion, Fault> {
    if value.get("format_version").is_some() {
        let question = record(value)?;
        if question.scene != scene {
            let what = format!("is {}, the room is {scene}", question.scene);
            return Err(Fault::new("scene", what, REMEDY));
        }
        return Ok(question);
    }
    let line: Line = serde_json::from_value(value).map_err(|e| of_ours(&e))?;
    let mut question = bare(line.id, scene, line.task, &line.question);
    (question.answers, question.boxes, question.situation) = (line.answers, line.boxes, line.situation);
    Ok(question)
}
