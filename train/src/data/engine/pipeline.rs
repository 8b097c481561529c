//! A scene and the number of a question in, a finished piece of work out: writer, then filters.

use vantage_model::TextBox;
use vantage_model::grammar::Parsed;
use vantage_scene::OrientedBox;

use super::endpoint::StopReason;
use super::filters::{MIN_SIMILARITY, agreement, check, written};
use super::item::{Failure, Item, ItemKey, Outcome, REJECTED_FORMAT_VERSION, Reason, Rejected, Spent};
use super::scene::EngineScene;
use super::writer::{Draft, WriteError, Writer};
use crate::data::{RECORD_FORMAT_VERSION, SceneQuestion};
use crate::tasks::Task;

/// Does one piece of work.
///
/// # Errors
/// When the run ends first; with what the piece took until then.
pub(crate) fn work<W: Writer>(writer: &W, opened: &W::Opened, key: ItemKey) -> Result<Item, (StopReason, Spent)> {
    let scene = writer.scene(opened);
    let id = format!("{}-{}", scene.id, key.slot);
    let mut draft = Draft::empty(Task::Qa);
    let mut spent = Spent::NONE;
    let outcome = match sample(writer, opened, key.slot, &mut draft, &mut spent) {
        Ok((parsed, boxes)) => Outcome::Kept(Box::new(kept(id, scene, draft, &parsed, boxes))),
        Err(WriteError::Rejected(failure)) => Outcome::Rejected(Box::new(rejected(id, scene, draft, failure))),
        Err(WriteError::Stop(reason)) => return Err((reason, spent)),
    };
    Ok(Item { key, of: writer.slots(opened), spent, outcome })
}

/// The sample's parts and the boxes of its answer.
fn sample<W: Writer>(
    writer: &W,
    opened: &W::Opened,
    slot: u32,
    draft: &mut Draft,
    spent: &mut Spent,
) -> Result<(Parsed, Vec<OrientedBox>), WriteError> {
    writer.write(opened, slot, draft, spent)?;
    let parsed = check(draft.task, &draft.text, &draft.targets).map_err(WriteError::Rejected)?;
    let boxes = answer_boxes(writer.scene(opened), draft, &parsed).map_err(WriteError::Rejected)?;
    let derived = writer.derive(draft, &written(&parsed.think), spent)?;
    let similarity = agreement(&parsed, &derived);
    if similarity < MIN_SIMILARITY {
        let detail = format!("similarity {similarity:.2}, at least {MIN_SIMILARITY}; derived: {derived}");
        return Err(WriteError::Rejected(Failure::new(Reason::Rederived, detail)));
    }
    Ok((parsed, boxes))
}

/// The world's boxes of the answer. Every box of a text must be an object's.
fn answer_boxes(scene: &EngineScene, draft: &Draft, parsed: &Parsed) -> Result<Vec<OrientedBox>, Failure> {
    let object = |text_box: &TextBox| {
        let index = (0..scene.objects.len()).find(|&i| scene.text_box(i) == Some(*text_box));
        let unknown = || Failure::new(Reason::UnknownBox, format!("{text_box} is no object's box"));
        index.and_then(|i| scene.objects.get(i)).map(|o| o.bbox).ok_or_else(unknown)
    };
    for (_, text_box) in parsed.think_boxes() {
        object(&text_box)?;
    }
    let boxes = parsed.answer_boxes().iter().map(|(_, b)| object(b)).collect::<Result<Vec<_>, _>>()?;
    if draft.task == Task::Grounding && boxes.is_empty() && !draft.targets.is_empty() {
        return Err(Failure::new(Reason::UnknownBox, "the answer has no box"));
    }
    Ok(if draft.boxes.is_empty() { boxes } else { draft.boxes.clone() })
}

fn kept(id: String, scene: &EngineScene, draft: Draft, parsed: &Parsed, boxes: Vec<OrientedBox>) -> SceneQuestion {
    let answers = if draft.answers.is_empty() { vec![parsed.answer_text()] } else { draft.answers };
    SceneQuestion {
        format_version: RECORD_FORMAT_VERSION,
        id,
        scene: scene.id.clone(),
        task: draft.task,
        turns: draft.turns,
        situation: draft.situation,
        question: draft.question,
        think: Some(written(&parsed.think)),
        answer: Some(written(&parsed.answer)),
        answers,
        boxes,
    }
}

fn rejected(id: String, scene: &EngineScene, draft: Draft, failure: Failure) -> Rejected {
    Rejected {
        format_version: REJECTED_FORMAT_VERSION,
        id,
        scene: scene.id.clone(),
        task: draft.task,
        question: draft.question,
        reason: failure.reason,
        detail: failure.detail,
        text: draft.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one text, and derives one answer.
    struct Fixed {
        text: String,
        derived: Result<&'static str, StopReason>,
    }

    impl Writer for Fixed {
        type Opened = EngineScene;

        fn open(&self, scene: EngineScene) -> Result<EngineScene, String> {
            Ok(scene)
        }

        fn scene<'a>(&self, opened: &'a EngineScene) -> &'a EngineScene {
            opened
        }

        fn slots(&self, _: &EngineScene) -> u32 {
            3
        }

        fn write(&self, scene: &EngineScene, _: u32, draft: &mut Draft, spent: &mut Spent) -> Result<(), WriteError> {
            draft.task = Task::Grounding;
            draft.question = "Where?".to_owned();
            draft.targets = vec![scene.objects[0].label.clone()];
            draft.text.clone_from(&self.text);
            spent.requests += 1;
            Ok(())
        }

        fn derive(&self, _: &Draft, _: &str, spent: &mut Spent) -> Result<String, WriteError> {
            spent.requests += 1;
            self.derived.clone().map(str::to_owned).map_err(WriteError::Stop)
        }

        fn interrupt(&self) {}
    }

    fn text(scene: &EngineScene, text_box: &str) -> String {
        let label = &scene.objects[0].label;
        let looked =
            "First, I look at every object of the list with care, one after the other, until I find what I want";
        format!(
            "<think>{looked}. Next, I see the {label} at {text_box} and compare it with what was asked of me. So this is \
             the {label}.</think><answer> The {label} is here: {text_box} </answer>"
        )
    }

    #[test]
    fn samples_are_kept_rejected_or_left_undone() {
        let scene = EngineScene::of_room(3);
        let good = scene.text_box(0).unwrap().to_string();
        let label: &'static str = crate::rooms::CLASS_NAMES.iter().find(|c| **c == scene.objects[0].label).unwrap();
        let key = ItemKey { scene: 0, slot: 2 };
        let run = |text: String, derived| work(&Fixed { text, derived }, &scene, key);

        let item = run(text(&scene, &good), Ok(label)).unwrap();
        assert_eq!((item.of, item.spent.requests), (3, 2));
        let Outcome::Kept(question) = item.outcome else { panic!("{item:?}") };
        assert_eq!((question.id.as_str(), question.boxes[0]), ("room-3-2", scene.objects[0].bbox));
        assert_eq!(question.answer.unwrap(), format!("The {label} is here: {good}"));

        let reason = |item: Item| match item.outcome {
            Outcome::Rejected(rejected) => (rejected.reason, item.spent.requests),
            Outcome::Kept(question) => panic!("{question:?}"),
        };
        let stray = text(&scene, "<obj>1, 2, 3, 4, 5, 6</obj>");
        assert_eq!(reason(run(stray, Ok(label)).unwrap()), (Reason::UnknownBox, 1));
        let no_box = text(&scene, &good).replace(&format!("here: {good}"), "here");
        assert_eq!(reason(run(no_box, Ok(label)).unwrap()), (Reason::UnknownBox, 1));
        assert_eq!(reason(run(text(&scene, &good), Ok("a window")).unwrap()), (Reason::Rederived, 2));
        assert_eq!(reason(run("no grammar".to_owned(), Ok("")).unwrap()), (Reason::Grammar, 1));
        let (_, spent) = run(text(&scene, &good), Err(StopReason::Interrupted)).unwrap_err();
        assert_eq!(spent.requests, 2);
    }
}
