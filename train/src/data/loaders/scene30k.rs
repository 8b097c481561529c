//! Scene-30K of 3D-R1 in, questions with their chains of thought out.
//!
//! Two schemas are published, both JSON lines: the writer's (syntheticcot/synthesize_scene30k.py of AIGeeksGroup/3D-R1:
//! scene_id, question_id, question, gold_answer, output, consistency, meta) and the loader's
//! (dataset/scenecold_dataset.py: scene_id, question, cot). `output` and `cot` hold
//! `<think>..</think><answer>..</answer>`.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;
use vantage_model::grammar;

use super::fields::Fields;
use super::file;
use super::finding::{Dataset, Fault, Findings, Place};
use super::json;
use super::question::{Loaded, Lookup, bare, keep};
use super::scene::Scenes;
use crate::data::SceneQuestion;
use crate::tasks::Task;

pub(crate) fn load(path: &Path, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    let stem = file::stem(path);
    let mut out = Vec::new();
    let mut lookup = Lookup::new(scenes);
    let mut each = |place: Place, value: Value, findings: &mut Findings| match entry(&value, &stem, place) {
        Ok((question, doubt)) => {
            lookup.scene(&question.scene, place);
            if let Some(fault) = doubt {
                findings.report(fault.warning(path, place))?;
            }
            keep(&mut out, question, true, path, place, findings)
        }
        Err(fault) => findings.report(fault.error(path, place)),
    };
    let read = if path.extension().is_some_and(|e| e == "json") {
        json::items(path, None, findings, &mut each)
    } else {
        json::lines(path, findings, &mut each)
    };
    if let ControlFlow::Continue(()) = read {
        let _ = lookup.finish(Dataset::Scene30k, path, findings);
    }
    out
}

fn entry(value: &Value, stem: &str, place: Place) -> Result<(SceneQuestion, Option<Fault>), Fault> {
    let f = Fields::of(value)?;
    let field = if f.has("cot") { "cot" } else { "output" };
    let id = match (f.has("question_id"), place) {
        (true, _) => f.id("question_id")?,
        (_, Place::Item(n) | Place::Line(n)) => format!("{stem}-{n}"),
        _ => stem.to_owned(),
    };
    let mut question = bare(id, f.text("scene_id")?, Task::Qa, f.text("question")?);
    let parsed = grammar::parse(f.text(field)?).map_err(|e| {
        Fault::new(field, format!("is not <think>..</think><answer>..</answer>: {e}"), "correct it, or take it out")
    })?;
    let (think, answer) = (parsed.think_text().trim().to_owned(), parsed.answer_text().trim().to_owned());
    if think.is_empty() || answer.is_empty() {
        let what = if think.is_empty() { "has an empty think" } else { "has an empty answer" };
        return Err(Fault::new(field, what, "correct it, or take it out"));
    }
    question.answers.push(if f.has("gold_answer") { f.text("gold_answer")?.to_owned() } else { answer.clone() });
    question.think = Some(think);
    question.answer = Some(answer);
    let boxes = parsed.think_boxes().len() + parsed.answer_boxes().len();
    let doubt = (boxes > 0).then(|| {
        let what =
            format!("holds {boxes} boxes, normalised by bounds that the dataset does not give; they are left out");
        Fault::new(field, what, "give boxes in metres in records of our own")
    });
    Ok((question, doubt))
}
