//! A question and what a model said in, its scores by the metrics of its task out; all of them are those of [`crate::metrics`].
//!
//! | task | values |
//! |---|---|
//! | an answer in words | `exact_match`, `refined_exact_match` |
//! | one box | `iou`, `acc_25`, `acc_50`, of the first box given |
//! | several boxes | `f1_25`, `f1_50`, of the boxes matched one to one |
//! | nothing to be found | `none`: whether no box was given |
//! | object caption | `rouge_l`, `meteor`, `cider`, `bleu_4` |
//! | dense caption | `f1_25`, `f1_50`; `rouge_l_25`, `meteor_25`, `cider_25` and so on: m@kIoU; `map_25`, `map_50` |
//! | plan | `step_f1`: of the steps said in the right order with the right words and boxes; `plan`: whether all are |
//!
//! An output that left the grammar said nothing and found nothing.

use vantage_model::grammar::{Parsed, Span as SaidSpan};
use vantage_scene::OrientedBox;

use super::words::a_thing;
use super::{Question, Span, Task};
use crate::metrics::{
    DescribedObject, Detection, Labelled, SaidObject, Words, accuracy_at, captions_of_found, exact_match, match_boxes,
    normal_form, refined_exact_match,
};
use crate::rooms::Room;

/// Overlaps from which a box counts as found, with what they are called.
pub(super) const OVERLAPS: [(f64, &str); 2] = [(0.25, "25"), (0.5, "50")];
/// Overlap that a step's box needs.
const STEP_OVERLAP: f64 = 0.25;

/// What a model said.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The output; `None` when it left the grammar.
    pub parsed: Option<&'a Parsed>,
    /// The boxes of the answer in the world, in order.
    pub boxes: &'a [OrientedBox],
    /// How sure the model is of each.
    pub sureness: &'a [f64],
}

/// The scores of one question.
#[derive(Debug, Clone, Default)]
pub struct QuestionScores {
    /// Whether the output is in the grammar.
    pub grammar: bool,
    /// Metrics of this question alone.
    pub values: Vec<(&'static str, f64)>,
    /// Captions to score with those of all questions of the task; the overlap they were found at, or none.
    pub(super) captions: Vec<(&'static str, Words)>,
    /// What a dense caption found and what is there; `scene` is set by whoever collects them.
    pub(super) found: Vec<Detection>,
    pub(super) there: Vec<Labelled>,
}

/// Scores `said` as an answer to `question` about `room`.
pub fn score(question: &Question, room: &Room, said: &Said<'_>) -> QuestionScores {
    let mut out = QuestionScores { grammar: said.parsed.is_some(), ..QuestionScores::default() };
    let text = said.parsed.map(Parsed::answer_text).unwrap_or_default();
    let boxes = if said.parsed.is_some() { said.boxes } else { &[] };
    let truth = question.boxes(room);
    match (question.task, truth.as_slice()) {
        (Task::ObjectCaption, _) => out.captions.push(("", Words::of(&text, &question.answers))),
        (Task::DenseCaption, _) => dense(question, room, said, boxes, &mut out),
        (Task::Planning, _) => plan(question, &truth, said, boxes, &mut out),
        (Task::Grounding, []) => {
            out.values.push(("none", share(out.grammar && boxes.is_empty())));
        }
        (_, []) => {
            let right = out.grammar && exact_match(&text, &question.answers);
            out.values.push(("exact_match", share(right)));
            let nearly = out.grammar && refined_exact_match(&text, &question.answers);
            out.values.push(("refined_exact_match", share(nearly)));
        }
        (_, [one]) => {
            let overlap = boxes.first().map_or(0.0, |b| b.iou(one));
            out.values.push(("iou", overlap));
            for ((threshold, _), name) in OVERLAPS.iter().zip(["acc_25", "acc_50"]) {
                out.values.extend(accuracy_at(&[overlap], *threshold).map(|x| (name, x)));
            }
        }
        (_, several) => out.values.extend(f1_of_boxes(boxes, several)),
    }
    out
}

fn share(right: bool) -> f64 {
    f64::from(u8::from(right))
}

/// Harmonic mean of precision and recall; 1 where nothing was meant and nothing said.
fn f1(right: usize, said: usize, meant: usize) -> f64 {
    if said + meant == 0 { 1.0 } else { 2.0 * right as f64 / (said + meant) as f64 }
}

fn f1_of_boxes(boxes: &[OrientedBox], truth: &[OrientedBox]) -> [(&'static str, f64); 2] {
    let pairs = match_boxes(boxes, truth).pairs;
    let at = |threshold: f64| {
        let right = pairs.iter().filter(|(_, _, overlap)| *overlap >= threshold).count();
        f1(right, boxes.len(), truth.len())
    };
    [("f1_25", at(OVERLAPS[0].0)), ("f1_50", at(OVERLAPS[1].0))]
}

/// The text behind each box of an answer, until the next one.
fn texts_behind(parsed: &Parsed) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for span in &parsed.answer {
        match (span, out.last_mut()) {
            (SaidSpan::Box(_), _) => out.push(String::new()),
            (SaidSpan::Text(text), Some(last)) => last.push_str(text),
            (SaidSpan::Text(_), None) => {}
        }
    }
    out.iter().map(|t| t.trim_matches(|c: char| c.is_whitespace() || matches!(c, ';' | '.' | ',')).to_owned()).collect()
}

fn dense(question: &Question, room: &Room, said: &Said<'_>, boxes: &[OrientedBox], out: &mut QuestionScores) {
    let captions = said.parsed.map(texts_behind).unwrap_or_default();
    let said_objects: Vec<SaidObject> = boxes
        .iter()
        .zip(&captions)
        .map(|(bbox, caption)| SaidObject { bbox: *bbox, caption: caption.clone() })
        .collect();
    let objects = || question.targets.iter().filter_map(|&i| room.objects.get(i));
    let described: Vec<DescribedObject> =
        objects().map(|o| DescribedObject { bbox: o.bbox, references: vec![a_thing(o)] }).collect();
    for (threshold, name) in OVERLAPS {
        out.captions.extend(captions_of_found(&said_objects, &described, threshold).into_iter().map(|w| (name, w)));
    }
    out.values.extend(f1_of_boxes(boxes, &question.boxes(room)));
    let class_of = |caption: &str| {
        let ends = |class: &&&str| caption.ends_with(**class);
        room.class_names.iter().filter(ends).max_by_key(|c| c.len()).map_or("", |c| *c).to_owned()
    };
    out.found = said_objects
        .iter()
        .zip(said.sureness)
        .map(|(s, &score)| Detection {
            object: Labelled { scene: 0, class: class_of(&s.caption.to_lowercase()), bbox: s.bbox },
            score,
        })
        .collect();
    out.there = objects().map(|o| Labelled { scene: 0, class: o.class.to_owned(), bbox: o.bbox }).collect();
}

/// What is to be done at a step, without its number: "go to the red lamp".
fn deed(text: &str) -> String {
    let words = normal_form(text);
    words.split(' ').filter(|w| !w.chars().all(|c| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

/// The steps of a plan are right as far as they come in the right order with the right words and boxes: the longest common
/// subsequence, as F1 of the steps said and meant.
fn plan(question: &Question, truth: &[OrientedBox], said: &Said<'_>, boxes: &[OrientedBox], out: &mut QuestionScores) {
    let mut meant: Vec<String> = Vec::new();
    let mut before = String::new();
    for span in &question.answer {
        match span {
            Span::Text(text) => before.push_str(text),
            Span::Object(_) => meant.push(deed(&std::mem::take(&mut before))),
        }
    }
    let mut given: Vec<String> = Vec::new();
    let mut before = String::new();
    for span in said.parsed.map(|p| p.answer.as_slice()).unwrap_or_default() {
        match span {
            SaidSpan::Text(text) => before.push_str(text),
            SaidSpan::Box(_) => given.push(deed(&std::mem::take(&mut before))),
        }
    }
    let fits = |i: usize, j: usize| {
        let overlap = boxes.get(i).zip(truth.get(j)).map_or(0.0, |(b, t)| b.iou(t));
        given[i] == meant[j] && overlap >= STEP_OVERLAP
    };
    let right = longest_common(given.len(), meant.len(), fits);
    out.values.push(("step_f1", f1(right, given.len(), meant.len())));
    out.values.push(("plan", share(right == meant.len() && given.len() == meant.len())));
}

/// Length of the longest common subsequence of two sequences whose elements fit or not.
fn longest_common(first: usize, second: usize, fits: impl Fn(usize, usize) -> bool) -> usize {
    let mut row = vec![0; second + 1];
    for i in 0..first {
        let mut diagonal = 0;
        for j in 0..second {
            let above = row[j + 1];
            row[j + 1] = if fits(i, j) { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[second]
}

#[cfg(test)]
mod tests {
    use vantage_model::grammar::parse;
    use vantage_model::{TextBox, target_text};
    use vantage_scene::Aabb;

    use super::super::check::asked;
    use super::*;

    const BOUNDS: Aabb = Aabb { min: [0.0; 3], max: [16.0, 16.0, 3.0] };

    /// The question's own target, read back, with the true boxes of its answer.
    fn perfect(question: &Question, room: &Room) -> (Parsed, Vec<OrientedBox>) {
        let (think, answer) = question.target(&mut |i| TextBox::from_box(&room.objects[i].bbox, &BOUNDS).to_string());
        (parse(&target_text(&think, &answer)).unwrap(), question.boxes(room))
    }

    #[test]
    fn what_was_to_be_written_has_full_marks_in_every_task() {
        for task in Task::ALL {
            for (room, question) in asked(task, 40) {
                let (parsed, boxes) = perfect(&question, &room);
                let sureness = vec![1.0; boxes.len()];
                let scores =
                    score(&question, &room, &Said { parsed: Some(&parsed), boxes: &boxes, sureness: &sureness });
                assert!(scores.grammar);
                for (name, value) in &scores.values {
                    assert!((value - 1.0).abs() < 1e-9, "{task}/{}: {name} {value}", question.subtype);
                }
                for (_, words) in &scores.captions {
                    assert!(words.references.contains(&words.candidate), "{words:?}");
                }
                assert_eq!(scores.found.len(), scores.there.len());
                assert!(scores.found.iter().zip(&scores.there).all(|(f, t)| f.object.class == t.class), "{question:?}");
            }
        }
    }

    #[test]
    fn what_left_the_grammar_counts_nothing() {
        for task in Task::ALL {
            for (room, question) in asked(task, 10) {
                let boxes = question.boxes(&room);
                let sureness = vec![1.0; boxes.len()];
                let scores = score(&question, &room, &Said { parsed: None, boxes: &boxes, sureness: &sureness });
                assert!(!scores.grammar && scores.values.iter().all(|(_, v)| *v == 0.0), "{task}: {scores:?}");
            }
        }
    }

    #[test]
    fn steps_count_in_their_order() {
        let (room, question) = asked(Task::Planning, 40).into_iter().find(|(_, q)| q.targets.len() == 4).unwrap();
        let (parsed, boxes) = perfect(&question, &room);
        let step_f1 = |parsed: &Parsed, boxes: &[OrientedBox]| {
            let said = Said { parsed: Some(parsed), boxes, sureness: &[] };
            score(&question, &room, &said).values[0].1
        };
        // the last step first: three of four are in order
        let mut turned = parsed.clone();
        turned.answer.rotate_right(2);
        let mut turned_boxes = boxes.clone();
        turned_boxes.rotate_right(1);
        assert!((step_f1(&turned, &turned_boxes) - 0.75).abs() < 1e-9);
        // two of four steps left out
        let half = Parsed { answer: parsed.answer[..4].to_vec(), ..parsed.clone() };
        assert!((step_f1(&half, &boxes[..2]) - 2.0 * 2.0 / 6.0).abs() < 1e-9);
        let away: Vec<OrientedBox> =
            boxes.iter().map(|b| OrientedBox { center: [b.center[0] + 9.0, b.center[1], 0.0], ..*b }).collect();
        assert_eq!(step_f1(&parsed, &away), 0.0);
    }

    #[test]
    fn boxes_too_many_and_too_few_cost() {
        let cube = |x: f64| OrientedBox { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 };
        let truth = [cube(0.0), cube(5.0)];
        assert_eq!(f1_of_boxes(&truth, &truth), [("f1_25", 1.0), ("f1_50", 1.0)]);
        // shifted by 0.4: an overlap of 0.6 / 1.4
        let near = [cube(0.4), cube(5.0), cube(9.0)];
        let [(_, at_25), (_, at_50)] = f1_of_boxes(&near, &truth);
        assert!((at_25 - 0.8).abs() < 1e-12 && (at_50 - 0.4).abs() < 1e-12);
        assert_eq!(f1_of_boxes(&[], &truth)[0].1, 0.0);
    }
}
