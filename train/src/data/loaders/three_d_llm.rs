//! The language data of 3D-LLM in, questions, dialogues and plans out.
//!
//! Layout: UMass-Foundation-Model/3D-LLM, lavis/datasets/datasets/threedvqa_datasets.py, a list of {scene_id, question,
//! answers}. In `data_part2_scene*.json` scenes are numbers, which `final_scene_map_dict_scan*.json` beside it turns
//! into ScanNet's names; those it does not hold are of other datasets. Files of LL3DA and 3D-R1
//! (`3d_llm_embodied_{dialogue,planning}_filtered_{train,val}.json`, `3d_llm_scene_description_*`) have the names
//! already.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use super::file;
use super::finding::{Dataset, Fault, Findings, Place};
use super::json;
use super::question::{Loaded, Lookup, bare, keep};
use super::scene::Scenes;
use crate::data::{SceneQuestion, Turn};
use crate::tasks::Task;

/// The map's name begins so.
const MAP_PREFIX: &str = "final_scene_map_dict_scan";
/// How the two sides of a dialogue are marked, in the original and in LL3DA's files.
const ASKING: [&str; 5] = ["### human:", "Human:", "Agent 1:", "Agent1:", "Agent A:"];
const ANSWERING: [&str; 5] = ["### assistant:", "Robot:", "Agent 2:", "Agent2:", "Agent B:"];

pub(crate) fn load(path: &Path, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    let mut out = Vec::new();
    let _ = read(path, scenes, &mut out, findings);
    out
}

fn read(path: &Path, scenes: &Scenes, out: &mut Vec<Loaded>, findings: &mut Findings) -> ControlFlow<()> {
    let names = scene_names(path, findings)?;
    let stem = file::stem(path);
    let mut lookup = Lookup::new(scenes);
    let mut elsewhere = 0;
    json::items(
        path,
        None,
        findings,
        &mut |place, value, findings| match entry(&value, &stem, names.as_ref(), place) {
            Ok(Some(question)) => {
                lookup.scene(&question.scene, place);
                keep(out, question, true, path, place, findings)
            }
            Ok(None) => {
                elsewhere += 1;
                ControlFlow::Continue(())
            }
            Err(fault) => findings.report(fault.error(path, place)),
        },
    )?;
    if elsewhere > 0 {
        let what = format!("{elsewhere} questions are about scenes that the map does not hold; they are left out");
        findings
            .report(Fault::new("scene_id", what, "nothing: they are not scans of ScanNet").note(path, Place::File))?;
    }
    lookup.finish(Dataset::ThreeDLlm, path, findings)
}

/// The map from numbers to ScanNet's names, when one lies beside the file.
fn scene_names(path: &Path, findings: &mut Findings) -> ControlFlow<(), Option<BTreeMap<String, String>>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut maps: Vec<_> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| is_scene_map(p)).collect())
        .unwrap_or_default();
    maps.sort();
    let Some(map) = maps.pop() else { return ControlFlow::Continue(None) };
    let read = file::open(&map, file::MAX_SMALL_BYTES).and_then(|(reader, _)| {
        serde_json::from_reader(reader).map_err(|e| {
            Fault::new("", format!("is no map from numbers to names: {e}"), "get it again from 3D-LLM's release")
        })
    });
    match read {
        Ok(names) => ControlFlow::Continue(Some(names)),
        Err(fault) => {
            findings.report(fault.error(&map, Place::File))?;
            ControlFlow::Continue(None)
        }
    }
}

/// Whether it is 3D-LLM's map of scenes.
pub(crate) fn is_scene_map(path: &Path) -> bool {
    let name = file::name(path);
    name.starts_with(MAP_PREFIX) && name.ends_with(".json")
}

fn entry(
    value: &Value,
    stem: &str,
    names: Option<&BTreeMap<String, String>>,
    place: Place,
) -> Result<Option<SceneQuestion>, Fault> {
    let f = Fields::of(value)?;
    let given = f.id("scene_id")?;
    let is_number = given.bytes().all(|b| b.is_ascii_digit());
    let scene = match (names, is_number) {
        (Some(names), true) => match names.get(&given) {
            Some(name) => name.clone(),
            None => return Ok(None),
        },
        (None, true) => {
            let what = format!("is the number {given}, and no {MAP_PREFIX}*.json lies beside the file");
            return Err(Fault::new("scene_id", what, "put 3D-LLM's map of scenes there"));
        }
        (_, false) => given,
    };
    let id = match (f.has("question_id"), place) {
        (true, _) => format!("{stem}-{}", f.id("question_id")?),
        (_, Place::Item(n) | Place::Line(n)) => format!("{stem}-{n}"),
        _ => stem.to_owned(),
    };
    let (turns, asked) = dialogue(f.text("question")?);
    if asked.is_empty() {
        return Err(Fault::new("question", "ends without a question", "correct it, or take it out"));
    }
    let task = if !turns.is_empty() || stem.contains("dialogue") {
        Task::Dialogue
    } else if stem.contains("planning") {
        Task::Planning
    } else {
        Task::Qa
    };
    let mut question = bare(id, &scene, task, &asked);
    question.turns = turns;
    question.answers = f.texts("answers")?.iter().map(|a| unmarked(a)).collect();
    Ok(Some(question))
}

/// The answer without the mark of who says it.
fn unmarked(answer: &str) -> String {
    let mark = ANSWERING.iter().find_map(|mark| answer.strip_prefix(mark));
    mark.unwrap_or(answer).trim().to_owned()
}

/// What was said before, and the last question: texts of one side that follow each other belong together.
fn dialogue(text: &str) -> (Vec<Turn>, String) {
    let mut said: Vec<(bool, String)> = Vec::new();
    let mut say = |asks: bool, part: &str| match said.last_mut() {
        _ if part.is_empty() => {}
        Some((side, all)) if *side == asks => {
            all.push(' ');
            all.push_str(part);
        }
        _ => said.push((asks, part.to_owned())),
    };
    let (mut asks, mut from, mut at) = (true, 0, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let found = |marks: &[&str]| marks.iter().find(|mark| rest.starts_with(**mark)).map(|mark| mark.len());
        let mark = found(&ASKING).map(|n| (true, n)).or_else(|| found(&ANSWERING).map(|n| (false, n)));
        match mark {
            Some((next, length)) => {
                say(asks, text[from..at].trim());
                (asks, from, at) = (next, at + length, at + length);
            }
            None => at += c.len_utf8(),
        }
    }
    say(asks, text[from..].trim());
    let question = match said.pop_if(|(asks, _)| *asks) {
        Some((_, question)) => question,
        None => String::new(),
    };
    let mut turns: Vec<Turn> = Vec::new();
    for (asks, text) in said {
        match turns.last_mut() {
            Some(turn) if !asks => turn.answer = text,
            _ if asks => turns.push(Turn { question: text, answer: String::new() }),
            _ => turns.push(Turn { question: String::new(), answer: text }),
        }
    }
    (turns, question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turns_of_both_ways_to_mark_them() {
        for text in [
            "### human: where am I? ### assistant: In a kitchen. ### human: what is red? ### assistant:",
            "where am I? Robot: In a kitchen. Human: what is red?",
            "Agent 1: where am I? Agent 2: In a kitchen. Agent 1: what is red? Agent 2:",
        ] {
            let (turns, question) = dialogue(text);
            assert_eq!(question, "what is red?", "{text}");
            assert_eq!(turns, [Turn { question: "where am I?".to_owned(), answer: "In a kitchen.".to_owned() }]);
        }
        assert_eq!(dialogue("what is red?"), (Vec::new(), "what is red?".to_owned()));
        assert_eq!(dialogue("### assistant: hello").1, "");
        assert_eq!(unmarked("Robot: the chair"), "the chair");
    }
}
