//! `ScanQA_v1.0_{train,val,test_w_obj,test_wo_obj}.json` in, questions with answers and the boxes that they rest on
//! out.
//!
//! Layout: docs/dataset.md of ATR-DBI/ScanQA, a list of {scene_id, object_ids, object_names, question_id, question,
//! answers}; the test sets keep their answers and objects.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use super::finding::{Dataset, Fault, Findings, Place};
use super::json;
use super::question::{Loaded, Lookup, bare, keep};
use super::scene::Scenes;
use crate::data::SceneQuestion;
use crate::tasks::Task;

pub(crate) fn load(path: &Path, split: &str, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    let answers_known = !split.starts_with("test");
    let mut out = Vec::new();
    let mut lookup = Lookup::new(scenes);
    let read = json::items(path, None, findings, &mut |place, value, findings| match entry(
        &value,
        answers_known,
        &mut lookup,
        place,
    ) {
        Ok(question) => keep(&mut out, question, answers_known, path, place, findings),
        Err(fault) => findings.report(fault.error(path, place)),
    });
    if let ControlFlow::Continue(()) = read {
        let _ = lookup.finish(Dataset::ScanQa, path, findings);
    }
    out
}

fn entry(value: &Value, answers_known: bool, lookup: &mut Lookup<'_>, place: Place) -> Result<SceneQuestion, Fault> {
    let f = Fields::of(value)?;
    let scene = f.text("scene_id")?;
    let mut question = bare(f.id("question_id")?, scene, Task::Qa, f.text("question")?);
    if answers_known || f.has("answers") {
        question.answers = f.texts("answers")?;
    }
    let objects = if answers_known || f.has("object_ids") { f.integers("object_ids")? } else { Vec::new() };
    if objects.is_empty() {
        lookup.scene(scene, place);
    }
    for id in objects {
        question.boxes.extend(lookup.object(scene, id, "object_ids", place)?.map(|(bbox, _)| bbox));
    }
    Ok(question)
}
