//! `v1_balanced_questions_{split}_scannetv2.json` and the `v1_balanced_sqa_annotations_*` beside it in, situated
//! questions out.
//!
//! Layout: assets/dataset.md of SilongYong/SQA3D. A position is given from the centre of the bounds of the scene's
//! mesh, in the mesh's own axes, before axis alignment; who stands there with an identity rotation looks along -x
//! (utils/visualize_data.py). Both are brought into the aligned frame here, with the scene's mesh; without it a
//! question keeps its situation in words, before its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use nalgebra::{Isometry3, Point3, Quaternion, UnitQuaternion, Vector3};
use serde_json::Value;

use super::fields::Fields;
use super::file;
use super::finding::{Dataset, Fault, Findings, Place};
use super::json;
use super::question::{Loaded, Lookup, bare, keep};
use super::scene::{SceneTruth, Scenes};
use crate::data::{SceneQuestion, Situation};
use crate::tasks::Task;

/// How far a rotation's length may be from 1.
const LENGTH_TOLERANCE: f64 = 1.0e-2;
const REMEDY: &str = "get questions and annotations of the same release and split";

/// An annotation.
struct Annotation {
    place: Place,
    scene: String,
    answers: Vec<String>,
    position: [f64; 3],
    rotation: UnitQuaternion<f64>,
}

/// Where the annotations of a file of questions lie.
pub(crate) fn annotations_path(questions: &Path) -> PathBuf {
    questions.with_file_name(file::name(questions).replace("questions", "sqa_annotations"))
}

pub(crate) fn load(path: &Path, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    let mut out = Vec::new();
    let _ = read(path, scenes, &mut out, findings);
    out
}

fn read(path: &Path, scenes: &Scenes, out: &mut Vec<Loaded>, findings: &mut Findings) -> ControlFlow<()> {
    let beside = annotations_path(path);
    let mut annotations = BTreeMap::new();
    let before = findings.list().len();
    json::items(
        &beside,
        Some("annotations"),
        findings,
        &mut |place, value, findings| match annotation(&value, place) {
            Ok((id, annotation)) => match annotations.insert(id.clone(), annotation) {
                Some(other) => {
                    let what = format!("is {id}, as that of {}", other.place);
                    findings.report(Fault::new("question_id", what, REMEDY).error(&beside, place))
                }
                None => ControlFlow::Continue(()),
            },
            Err(fault) => findings.report(fault.error(&beside, place)),
        },
    )?;
    if !is_read(findings, before) {
        // without them every question would be said to have none
        return ControlFlow::Continue(());
    }
    let mut lookup = Lookup::new(scenes);
    let mut asked = BTreeSet::new();
    let before = findings.list().len();
    json::items(path, Some("questions"), findings, &mut |place, value, findings| match entry(
        &value,
        &annotations,
        &mut asked,
        &mut lookup,
        place,
    ) {
        Ok(question) => keep(out, question, true, path, place, findings),
        Err(fault) => findings.report(fault.error(path, place)),
    })?;
    let is_read = is_read(findings, before);
    for (id, annotation) in annotations.iter().filter(|(id, _)| is_read && !asked.contains(*id)) {
        let what = format!("is {id}, and there is no such question");
        findings.report(Fault::new("question_id", what, REMEDY).error(&beside, annotation.place))?;
    }
    lookup.finish(Dataset::Sqa3d, path, findings)
}

/// Whether all items of a file were come to, by what has been reported since: of a file as a whole, or of items alone.
fn is_read(findings: &Findings, since: usize) -> bool {
    findings.list()[since..].iter().all(|f| matches!(f.place, Place::Item(_)))
}

fn annotation(value: &Value, place: Place) -> Result<(String, Annotation), Fault> {
    let f = Fields::of(value)?;
    let mut answers = Vec::new();
    for answer in f.list("answers")? {
        answers.push(Fields::of(answer)?.text("answer")?.to_owned());
    }
    if answers.is_empty() {
        return Err(Fault::new("answers", "is empty", "add an answer, or take the question out"));
    }
    let (p, r) = (f.object("position")?, f.object("rotation")?);
    let position = [p.number("x")?, p.number("y")?, p.number("z")?];
    let rotation = Quaternion::new(r.number("_w")?, r.number("_x")?, r.number("_y")?, r.number("_z")?);
    if (rotation.norm() - 1.0).abs() > LENGTH_TOLERANCE {
        let what = format!("has length {}, a rotation has 1", rotation.norm());
        return Err(Fault::new("rotation", what, "get the file again"));
    }
    let rotation = UnitQuaternion::from_quaternion(rotation);
    Ok((f.id("question_id")?, Annotation { place, scene: f.text("scene_id")?.to_owned(), answers, position, rotation }))
}

fn entry(
    value: &Value,
    annotations: &BTreeMap<String, Annotation>,
    asked: &mut BTreeSet<String>,
    lookup: &mut Lookup<'_>,
    place: Place,
) -> Result<SceneQuestion, Fault> {
    let f = Fields::of(value)?;
    let id = f.id("question_id")?;
    asked.insert(id.clone());
    let (scene, text) = (f.text("scene_id")?, f.text("situation")?);
    let mut question = bare(format!("sqa3d-{id}"), scene, Task::Situated, f.text("question")?);
    let Some(annotation) = annotations.get(&id) else {
        return Err(Fault::new("question_id", format!("is {id}, and there is no annotation of it"), REMEDY));
    };
    if annotation.scene != scene {
        let what = format!("is {scene}, its annotation says {}", annotation.scene);
        return Err(Fault::new("scene_id", what, REMEDY));
    }
    question.answers.clone_from(&annotation.answers);
    match lookup.scene(scene, place).and_then(|s| placed(annotation, s)) {
        Some((position, yaw)) => question.situation = Some(Situation { text: Some(text.to_owned()), position, yaw }),
        None => question.question = format!("{text} {}", question.question),
    }
    Ok(question)
}

/// Position and heading in the aligned frame.
fn placed(annotation: &Annotation, scene: &SceneTruth) -> Option<([f64; 3], f64)> {
    Some(situation(annotation.position, &annotation.rotation, scene.raw_center?, &scene.world_from_raw))
}

fn situation(
    position: [f64; 3],
    rotation: &UnitQuaternion<f64>,
    center: [f64; 3],
    world_from_raw: &Isometry3<f64>,
) -> ([f64; 3], f64) {
    let raw = Point3::new(position[0] + center[0], position[1] + center[1], position[2] + center[2]);
    let ahead = world_from_raw * (rotation * -Vector3::x());
    ((world_from_raw * raw).into(), ahead.y.atan2(ahead.x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    #[test]
    fn an_identity_rotation_looks_along_minus_x_and_turns_with_the_alignment() {
        let identity = UnitQuaternion::identity();
        let (p, yaw) = situation([1.0, 0.0, 0.0], &identity, [2.0, 3.0, 1.5], &Isometry3::identity());
        assert_eq!((p, yaw.abs()), ([3.0, 3.0, 1.5], PI));
        let quarter = Isometry3::rotation(Vector3::z() * FRAC_PI_2);
        let (p, yaw) = situation([1.0, 0.0, 0.0], &identity, [2.0, 3.0, 1.5], &quarter);
        assert!((p[0] + 3.0).abs() < 1.0e-12 && (p[1] - 3.0).abs() < 1.0e-12, "{p:?}");
        assert!((yaw + FRAC_PI_2).abs() < 1.0e-12, "{yaw}");
        let left = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), FRAC_PI_2);
        let (_, yaw) = situation([0.0; 3], &left, [0.0; 3], &Isometry3::identity());
        assert!((yaw + FRAC_PI_2).abs() < 1.0e-12, "{yaw}");
    }
}
