//! A procedural room in, exact questions, chains of thought and answers out, from its ground truth.

use vantage_model::{TextBox, target_text};
use vantage_scene::Aabb;

use super::item::{Failure, Reason, Spent};
use super::scene::{EngineScene, Origin};
use super::steps::{last_step, without_cue};
use super::writer::{Draft, WriteError, Writer};
use crate::rooms::{RecordConfig, Room, record};
use crate::tasks::{Question, Task, TaskMix, questions, write};

/// An object may be asked about when it covers this share of some frame of a walk.
const SEEN_SHARE: f64 = 0.003;
/// What a box stands between.
const BOX_OPEN: &str = "<obj>";
const BOX_CLOSE: &str = "</obj>";
/// What stands before the number of all that was found.
const TOTAL: &str = "That makes ";
/// What follows the box of a last look, which does not count.
const LAST_LOOK: &str = ", no more.";
/// What stands between a subject and what is said of it.
const COPULAS: [&str; 5] = [" is ", " are ", ": ", " answer ", " turn "];
/// What stands before a place or a thing and is no part of its name.
const BEFORE_NAMES: [&str; 4] = ["on ", "in ", "at ", "the "];

/// The writer of exact templates.
#[derive(Debug)]
pub(crate) struct Templates {
    /// Questions of each room at most.
    pub(crate) per_scene: u32,
    /// Of the questions, beside the room's own.
    pub(crate) seed: u64,
}

/// A room with its questions.
#[derive(Debug)]
pub(crate) struct AskedRoom {
    scene: EngineScene,
    drafts: Vec<Draft>,
}

impl Writer for Templates {
    type Opened = AskedRoom;

    fn open(&self, scene: EngineScene) -> Result<AskedRoom, String> {
        let Origin::Room(room) = &scene.origin else {
            return Err("templates need the ground truth of a procedural room".to_owned());
        };
        let drafts = drafts_of(room, &scene.bounds, self.seed, self.per_scene as usize);
        Ok(AskedRoom { scene, drafts })
    }

    fn scene<'a>(&self, opened: &'a AskedRoom) -> &'a EngineScene {
        &opened.scene
    }

    fn slots(&self, opened: &AskedRoom) -> u32 {
        // at most per_scene of them
        opened.drafts.len() as u32
    }

    fn write(&self, opened: &AskedRoom, slot: u32, draft: &mut Draft, _: &mut Spent) -> Result<(), WriteError> {
        let written = opened.drafts.get(slot as usize);
        let missing =
            || WriteError::Rejected(Failure::new(Reason::Question, format!("the room has no question {slot}")));
        draft.clone_from(written.ok_or_else(missing)?);
        Ok(())
    }

    fn derive(&self, draft: &Draft, think: &str, _: &mut Spent) -> Result<String, WriteError> {
        Ok(derived(draft.task, think))
    }

    fn interrupt(&self) {}
}

/// The one place that asks the rooms: at most `count` questions about what a walk through `room` shows.
fn drafts_of(room: &Room, bounds: &Aabb, seed: u64, count: usize) -> Vec<Draft> {
    let config = RecordConfig::default();
    let recording = record(room, &config);
    let fewest = SEEN_SHARE * f64::from(config.width) * f64::from(config.height);
    let seen: Vec<bool> = (0..room.objects.len())
        .map(|o| recording.visible_pixels.iter().any(|pixels| f64::from(pixels[o]) >= fewest))
        .collect();
    let asked = questions(room, &seen, seed.wrapping_add(room.seed), count, &stated_tasks());
    asked.into_iter().map(|q| draft(room, bounds, q)).collect()
}

/// The tasks whose last step states the whole answer, so that it can be derived again; captions and plans only name what they
/// are about.
fn stated_tasks() -> TaskMix {
    let all = TaskMix::default();
    let stated = [Task::Qa, Task::Situated, Task::Grounding, Task::Dialogue];
    all.keep(&stated)
}

fn draft(room: &Room, bounds: &Aabb, question: Question) -> Draft {
    let mut text_box =
        |i: usize| room.objects.get(i).map_or_else(String::new, |o| TextBox::from_box(&o.bbox, bounds).to_string());
    let (think, answer) = question.target(&mut text_box);
    let objects = || question.referents.iter().filter_map(|&i| room.objects.get(i));
    Draft {
        text: target_text(&think, &answer),
        targets: objects().map(|o| o.class.to_owned()).collect(),
        boxes: objects().map(|o| o.bbox).collect(),
        question: write(&question.question, &mut text_box),
        answers: question.answers,
        turns: question.turns,
        situation: question.situation,
        ..Draft::empty(question.task)
    }
}

/// The answer that follows from the thought of a template: of a description the boxes that it found last, as many as it says in all,
/// else what its last step states.
fn derived(task: Task, think: &str) -> String {
    let step = last_step(think);
    let stated = stated(task, step);
    let found: Vec<&str> = think.split(BOX_OPEN).skip(1).filter_map(|rest| rest.split(BOX_CLOSE).next()).collect();
    if task != Task::Grounding || stated == "none" || found.is_empty() {
        return stated;
    }
    let total = think.rsplit_once(TOTAL);
    let said = total.and_then(|(_, rest)| rest.split(['.', ' ']).next()).map(str::parse::<usize>);
    let count = said.and_then(Result::ok).unwrap_or(1);
    // a count may end with a look at what does not count any more
    let beyond = total.is_some_and(|(before, _)| before.trim_end().ends_with(LAST_LOOK));
    let found = &found[..found.len() - usize::from(beyond)];
    let last = &found[found.len().saturating_sub(count)..];
    last.iter().map(|numbers| format!("{BOX_OPEN}{numbers}{BOX_CLOSE}")).collect::<Vec<_>>().join(", ")
}

/// What the last step of a template states: for a short answer what stands behind its last `is`, else all of it.
fn stated(task: Task, last_step: &str) -> String {
    let step = without_cue(last_step).trim().trim_end_matches('.');
    let short = matches!(task, Task::Qa | Task::Situated | Task::Grounding | Task::Dialogue);
    let cut = COPULAS.iter().filter_map(|copula| step.rfind(copula).map(|at| at + copula.len())).max();
    let mut out = if short { &step[cut.unwrap_or(0)..] } else { step };
    while let Some(rest) = BEFORE_NAMES.iter().find_map(|word| out.strip_prefix(word)).filter(|_| short) {
        out = rest;
    }
    out.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::engine::filters::{MIN_SIMILARITY, agreement, check, written};

    #[test]
    fn the_last_step_is_read() {
        for (step, answer) in [
            ("So the color of the chair is red.", "red"),
            ("So the number of chairs is 2.", "2"),
            ("So the answer is yes.", "yes"),
            ("So the books are on the floor.", "floor"),
            ("So this is the red chair.", "red chair"),
            ("So the one nearer to the bed is the lamp.", "lamp"),
            ("So the taller one are the books.", "books"),
            ("So the lamp is on the counter.", "counter"),
            ("So to face the desk I turn left.", "left"),
        ] {
            assert_eq!(stated(Task::Qa, step), answer);
        }
        assert_eq!(stated(Task::Planning, "Finally: 1. take the cup."), "1. take the cup");
    }

    #[test]
    fn a_last_look_is_told_from_what_was_counted() {
        let boxes = |n: usize| (0..n).map(|i| format!("{BOX_OPEN}{i}, 1, 1, 1, 1, 1{BOX_CLOSE}")).collect::<Vec<_>>();
        let answer = boxes(2).join(", ");
        let [first, second, third] = &boxes(3)[..] else { panic!() };
        let counted = format!("Next, I count each chair: {first} a red chair: one, {second} a blue chair: two, ");
        let so = " That makes 2. So these are the chairs.";
        for end in [format!("{third} a desk, no more."), "and no more.".to_owned()] {
            assert_eq!(derived(Task::Grounding, &format!("{counted}{end}{so}")), answer);
        }
    }

    #[test]
    fn answers_follow_from_the_thoughts_and_not_from_others() {
        let writer = Templates { per_scene: 20, seed: 3 };
        let mut drafts = Vec::new();
        for seed in 0..12 {
            drafts.extend(writer.open(EngineScene::of_room(seed)).unwrap().drafts);
        }
        let (mut kept, mut crossed) = (0, 0);
        let mut failures = std::collections::BTreeMap::<_, usize>::new();
        for (draft, other) in drafts.iter().zip(drafts.iter().skip(1)) {
            let parsed = match check(draft.task, &draft.text, &draft.targets) {
                Ok(parsed) => parsed,
                Err(failure) => {
                    *failures.entry((failure.reason, failure.detail)).or_default() += 1;
                    continue;
                }
            };
            let derived = writer.derive(draft, &written(&parsed.think), &mut Spent::default()).unwrap();
            assert!(agreement(&parsed, &derived) >= MIN_SIMILARITY, "{derived}: {}", draft.text);
            kept += 1;
            crossed += usize::from(
                draft.answers != other.answers && {
                    let thought = written(&vantage_model::grammar::parse(&other.text).unwrap().think);
                    agreement(&parsed, &super::derived(draft.task, &thought)) >= MIN_SIMILARITY
                },
            );
        }
        assert!(kept * 10 > drafts.len() * 7, "{kept} of {}: {failures:?}", drafts.len());
        assert!(crossed * 20 < kept, "{crossed} of {kept} follow from another question's thought");
    }

    #[test]
    fn equal_seeds_give_equal_drafts_and_files_are_refused() {
        let writer = Templates { per_scene: 5, seed: 3 };
        let open = |w: &Templates| w.open(EngineScene::of_room(4)).unwrap().drafts;
        assert_eq!(open(&writer), open(&writer));
        assert_ne!(open(&writer), open(&Templates { per_scene: 5, seed: 4 }));
        let file = EngineScene { origin: Origin::File(Vec::new()), ..EngineScene::of_room(4) };
        assert!(writer.open(file).unwrap_err().contains("procedural room"));
    }
}
