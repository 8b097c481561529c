//! `ScanRefer_filtered_{train,val,test}.json` in, grounding questions out: a description, answered with its object's
//! box.
//!
//! Layout: README of daveredrum/ScanRefer, a list of {scene_id, object_id, object_name, ann_id, description, token};
//! numbers are texts.

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

pub(crate) fn load(path: &Path, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    load_as(Dataset::ScanRefer, "scanrefer", path, scenes, findings)
}

/// A file of ScanRefer's layout as one of `dataset`; ids begin with `prefix`.
pub(crate) fn load_as(
    dataset: Dataset,
    prefix: &str,
    path: &Path,
    scenes: &Scenes,
    findings: &mut Findings,
) -> Vec<Loaded> {
    let mut out = Vec::new();
    let mut lookup = Lookup::new(scenes);
    let read = json::items(path, None, findings, &mut |place, value, findings| match entry(
        &value,
        prefix,
        &mut lookup,
        place,
    ) {
        Ok((question, doubt)) => {
            if let Some(fault) = doubt {
                findings.report(fault.warning(path, place))?;
            }
            keep(&mut out, question, true, path, place, findings)
        }
        Err(fault) => findings.report(fault.error(path, place)),
    });
    if let ControlFlow::Continue(()) = read {
        let _ = lookup.finish(dataset, path, findings);
    }
    out
}

fn entry(
    value: &Value,
    prefix: &str,
    lookup: &mut Lookup<'_>,
    place: Place,
) -> Result<(SceneQuestion, Option<Fault>), Fault> {
    let f = Fields::of(value)?;
    let (scene, object, annotation) = (f.text("scene_id")?, f.integer("object_id")?, f.id("ann_id")?);
    let id = format!("{prefix}-{scene}-{object}-{annotation}");
    let mut question = bare(id, scene, Task::Grounding, f.text("description")?);
    let name = f.text("object_name")?;
    let found = lookup.object(scene, object, "object_id", place)?;
    question.boxes.extend(found.map(|(bbox, _)| bbox));
    let doubt = found.and_then(|(_, label)| other_name(name, label, object));
    Ok((question, doubt))
}

/// What to say when a question names its object otherwise than the scene does.
pub(crate) fn other_name(name: &str, label: &str, object: i64) -> Option<Fault> {
    (name.replace('_', " ") != label.replace('_', " ")).then(|| {
        let what = format!("says `{name}`, the scene calls object {object} `{label}`");
        Fault::new("object_name", what, "check that question file and scans are of the same release")
    })
}
