//! What every loader of questions shares: a question with its place in its file, scenes looked up, and what a question
//! must have.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use vantage_scene::OrientedBox;

use super::finding::{Dataset, Fault, Findings, Place};
use super::scene::{SceneTruth, Scenes, check_box};
use crate::data::{RECORD_FORMAT_VERSION, SceneQuestion};
use crate::tasks::Task;

/// A question and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The question.
    pub question: SceneQuestion,
    /// Where in its file.
    pub place: Place,
}

/// A question without anything but its id, scene, task and text.
pub(crate) fn bare(id: String, scene: &str, task: Task, question: &str) -> SceneQuestion {
    SceneQuestion {
        format_version: RECORD_FORMAT_VERSION,
        id,
        scene: scene.to_owned(),
        task,
        turns: Vec::new(),
        situation: None,
        question: question.to_owned(),
        think: None,
        answer: None,
        answers: Vec::new(),
        boxes: Vec::new(),
    }
}

/// What a question lacks; `answers_known` is false of test sets that keep theirs.
pub(crate) fn faults(q: &SceneQuestion, answers_known: bool) -> Vec<Fault> {
    const REMEDY: &str = "fill it, or take the question out";
    let mut faults = Vec::new();
    for (field, text) in [("id", &q.id), ("scene", &q.scene), ("question", &q.question)] {
        if text.trim().is_empty() {
            faults.push(Fault::new(field, "is empty", REMEDY));
        }
    }
    let by_boxes = matches!(q.task, Task::Grounding | Task::DenseCaption);
    if answers_known && !by_boxes && q.answers.is_empty() && q.answer.is_none() {
        faults.push(Fault::new("answers", "is empty", REMEDY));
    }
    if q.answers.iter().chain(&q.answer).any(|a| a.trim().is_empty()) {
        faults.push(Fault::new("answers", "holds an empty text", REMEDY));
    }
    faults.extend(q.boxes.iter().filter_map(|b| check_box("boxes", b).err()));
    if let Some(s) = &q.situation
        && !s.position.iter().chain([&s.yaw]).all(|x| x.is_finite())
    {
        faults.push(Fault::new("situation", "holds a number that is not finite", REMEDY));
    }
    faults
}

/// Adds a question that lacks nothing; reports what it lacks otherwise.
pub(crate) fn keep(
    out: &mut Vec<Loaded>,
    question: SceneQuestion,
    answers_known: bool,
    path: &Path,
    place: Place,
    findings: &mut Findings,
) -> ControlFlow<()> {
    let faults = faults(&question, answers_known);
    if faults.is_empty() {
        out.push(Loaded { question, place });
    }
    faults.into_iter().try_for_each(|fault| findings.report(fault.error(path, place)))
}

/// Scenes as questions of one file ask for them; remembers those that are not there.
pub(crate) struct Lookup<'a> {
    scenes: &'a Scenes,
    /// For each scene that is not there, where it was first asked for and how often.
    absent: BTreeMap<String, (Place, usize)>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(scenes: &'a Scenes) -> Self {
        Self { scenes, absent: BTreeMap::new() }
    }

    /// The scene, when it is there.
    pub(crate) fn scene(&mut self, name: &str, place: Place) -> Option<&'a SceneTruth> {
        let found = self.scenes.get(name);
        if found.is_none() {
            self.absent.entry(name.to_owned()).or_insert((place, 0)).1 += 1;
        }
        found
    }

    /// The box of object `id`, as field `field` numbers it; `None` when its scene has no boxes or is not there.
    pub(crate) fn object(
        &mut self,
        name: &str,
        id: i64,
        field: &str,
        place: Place,
    ) -> Result<Option<(OrientedBox, &'a str)>, Fault> {
        let Some(scene) = self.scene(name, place).filter(|s| !s.objects.is_empty()) else { return Ok(None) };
        match scene.object(id) {
            Some(object) => Ok(Some((object.bbox, object.label.as_str()))),
            None => {
                let what = format!("says {id}, and {name} has no object of that number with a box");
                Err(Fault::new(field, what, "check that question file and scans are of the same release"))
            }
        }
    }

    /// Reports the scenes that were not there: an error each where others of the kind are, one warning where none is.
    pub(crate) fn finish(self, dataset: Dataset, path: &Path, findings: &mut Findings) -> ControlFlow<()> {
        let of_kind = |s: &SceneTruth| !dataset.is_about_scannet() || s.dataset == Dataset::ScanNet;
        let remedy = "add the scans, or take these questions out";
        if !self.scenes.iter().any(of_kind) {
            let Some((first, (place, _))) = self.absent.first_key_value() else { return ControlFlow::Continue(()) };
            let asked: usize = self.absent.values().map(|(_, count)| count).sum();
            let scenes = self.absent.len();
            let what = format!("{asked} questions are about {scenes} scenes, {first} for one, and no scene is there");
            return findings.report(Fault::new("", what, remedy).warning(path, *place));
        }
        self.absent.into_iter().try_for_each(|(scene, (place, count))| {
            let what = format!("{scene} is not there; {count} questions are about it");
            findings.report(Fault::new("scene", what, remedy).error(path, place))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_question_must_have() {
        let mut q = bare("i".to_owned(), "s", Task::Qa, "what?");
        assert_eq!(faults(&q, false), []);
        assert_eq!(faults(&q, true)[0].field, "answers");
        q.answers = vec!["a".to_owned()];
        assert_eq!(faults(&q, true), []);
        q.answers.push(" ".to_owned());
        q.boxes.push(OrientedBox { center: [0.0; 3], size: [-1.0, 1.0, 1.0], yaw: 0.0 });
        q.scene.clear();
        let fields: Vec<String> = faults(&q, true).into_iter().map(|f| f.field).collect();
        assert_eq!(fields, ["scene", "answers", "boxes"]);
        assert_eq!(faults(&bare("i".to_owned(), "s", Task::Grounding, "the lamp"), true), []);
    }
}
