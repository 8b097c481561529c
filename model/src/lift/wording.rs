//! What was read off the views, and the boxes, in; the answer's text, and how it came about, out.

use super::answer::LiftReport;
use crate::answer::Grounding;

/// What the model is asked to write when a view does not show the answer.
const NOT_VISIBLE: &str = "not visible";
/// Of a text that is no answer, this much is repeated, characters.
const REPEATED: usize = 160;

/// The answer of the view that shows most of what was asked for: of those that answer, the one with the most rectangles,
/// then the first. Where no view answers, what was found. Words that do not say that they are an answer count as one only
/// beside boxes.
pub(super) fn answer(report: &[LiftReport], boxes: &[Grounding]) -> String {
    let answers = report.iter().filter(|view| {
        let reading = &view.reading;
        let is_meant = reading.answer_is_marked || !reading.boxes.is_empty();
        is_meant && !reading.answer.is_empty() && !reading.answer.to_lowercase().contains(NOT_VISIBLE)
    });
    // of equals max_by_key takes the last
    let best = answers.rev().max_by_key(|view| view.reading.boxes.len().saturating_sub(view.not_lifted.len()));
    if let Some(view) = best {
        return view.reading.answer.clone();
    }
    if !boxes.is_empty() {
        return boxes.iter().map(|one| one.label.as_str()).collect::<Vec<_>>().join(", ");
    }
    let stray = report.iter().map(|view| &view.reading).find(|reading| {
        let says_nothing_found = reading.has_list && reading.answer.is_empty();
        !reading.answer_is_marked && reading.boxes.is_empty() && !says_nothing_found
    });
    match (report, stray) {
        ([], _) => "no view was read".to_owned(),
        (_, None) => "none of the views shows it".to_owned(),
        (_, Some(reading)) if reading.answer.is_empty() => "the model named no boxes and gave no answer".to_owned(),
        (_, Some(reading)) => {
            let said: String = reading.answer.chars().take(REPEATED).collect();
            let more = if said.len() < reading.answer.len() { "..." } else { "" };
            format!("the model named no boxes; it said: {said}{more}")
        }
    }
}

/// What each view gave, in a line.
pub(super) fn reasoning(report: &[LiftReport]) -> String {
    let line = |view: &LiftReport| {
        let (named, failed) = (view.reading.boxes.len(), view.not_lifted.len());
        let mut line = format!("view {}: ", view.keyframe);
        line += &match named {
            0 if !view.reading.has_list => "no list of boxes".to_owned(),
            0 => "no boxes".to_owned(),
            1 => "1 box".to_owned(),
            n => format!("{n} boxes"),
        };
        if failed > 0 {
            line += &format!(", {failed} with nothing of it on the map");
        }
        let ignored = view.reading.ignored.len() + view.reading.ignored_more;
        if let Some(first) = view.reading.ignored.first() {
            line += &format!(", {ignored} ignored ({})", first.reason);
        }
        if view.reading.truncated {
            line += ", cut short";
        }
        line
    };
    report.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use vantage_scene::OrientedBox;

    fn view(keyframe: u32, text: &str) -> LiftReport {
        LiftReport { keyframe, reading: parse(text, &[(640, 480)]), not_lifted: Vec::new() }
    }

    fn chair() -> Grounding {
        let bbox = OrientedBox { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
        Grounding { id: "object-0".to_owned(), label: "chair".to_owned(), bbox, score: 0.5 }
    }

    const NOTHING: &str = "[]\nAnswer: not visible";
    const ONE: &str = "[{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}]\nAnswer: by the wall";

    #[test]
    fn the_view_that_shows_it_answers() {
        assert_eq!(answer(&[view(1, NOTHING), view(2, ONE), view(3, NOTHING)], &[chair()]), "by the wall");
        assert_eq!(answer(&[view(1, "[]\nAnswer: no"), view(2, NOTHING)], &[]), "no");
        assert_eq!(answer(&[view(1, ONE.split('\n').next().unwrap())], &[chair()]), "chair");
        assert_eq!(answer(&[view(1, NOTHING)], &[]), "none of the views shows it");
        assert_eq!(answer(&[], &[]), "no view was read");
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        let said = answer(&[view(1, &"blah ".repeat(90)), view(2, NOTHING)], &[]);
        assert!(said.starts_with("the model named no boxes; it said: blah blah") && said.ends_with("..."), "{said}");
        assert_eq!(answer(&[view(1, "[7] is")], &[]), "the model named no boxes; it said: is");
        assert_eq!(answer(&[view(1, "[]")], &[]), "none of the views shows it");
        assert_eq!(answer(&[view(1, "")], &[]), "the model named no boxes and gave no answer");
        assert_eq!(answer(&[view(1, "blah"), view(2, ONE)], &[chair()]), "by the wall");
    }

    #[test]
    fn the_reasoning_says_what_each_view_gave() {
        let lost = LiftReport { not_lifted: vec![0], ..view(7, ONE) };
        let text = reasoning(&[lost, view(9, "blah"), view(12, "[{\"bbox_2d\": [1, 2")]);
        assert!(
            text.starts_with("view 7: 1 box, 1 with nothing of it on the map; view 9: no list of boxes;"),
            "{text}"
        );
        assert!(text.ends_with("1 ignored (the text ends within it), cut short"), "{text}");
    }
}
