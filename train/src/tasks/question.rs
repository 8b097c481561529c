//! One question with everything known of it: what the model reads, what it is to write, and what is true.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use vantage_scene::OrientedBox;

use super::Task;
use super::words::a_thing;
use crate::data::{RECORD_FORMAT_VERSION, SceneQuestion, Situation, Turn};
use crate::rooms::{Object, Room};

/// A piece of a text; objects become boxes once the scene's bounds are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Text as it stands.
    Text(String),
    /// The box of the room's object of this index.
    Object(usize),
}

/// A question with its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Room seed and number.
    pub id: String,
    /// Its task.
    pub task: Task,
    /// Which kind of question within the task.
    pub subtype: &'static str,
    /// Where the asker is; its words are part of the prompt.
    pub situation: Option<Situation>,
    /// What was said before, oldest first; only of a dialogue.
    pub turns: Vec<Turn>,
    /// The question itself.
    pub question: Vec<Span>,
    /// The reasoning to write.
    pub think: Vec<Span>,
    /// The answer to write.
    pub answer: Vec<Span>,
    /// Accepted answers, boxes left out; captions: the references.
    pub answers: Vec<String>,
    /// Objects whose boxes the answer has to give; of a plan in the order of its steps, repeated where steps are.
    pub targets: Vec<usize>,
    /// Objects that a good view shows.
    pub referents: Vec<usize>,
}

impl Question {
    pub(super) fn new(task: Task, subtype: &'static str, question: Text, think: Text, answer: Text) -> Self {
        let answers = vec![plain(&answer.0)];
        Self {
            id: String::new(),
            task,
            subtype,
            situation: None,
            turns: Vec::new(),
            question: question.0,
            think: think.0,
            answer: answer.0,
            answers,
            targets: Vec::new(),
            referents: Vec::new(),
        }
    }

    /// Other accepted answers besides the one to write, or other references.
    pub(super) fn or(mut self, answers: impl IntoIterator<Item = String>) -> Self {
        for answer in answers {
            if !self.answers.contains(&answer) {
                self.answers.push(answer);
            }
        }
        self
    }

    /// The objects whose boxes are the answer; a good view shows them.
    pub(super) fn at(mut self, targets: Vec<usize>) -> Self {
        for &target in &targets {
            if !self.referents.contains(&target) {
                self.referents.push(target);
            }
        }
        self.targets = targets;
        self
    }

    /// Objects that the answer rests on, whose boxes it does not give.
    pub(super) fn about(mut self, objects: impl IntoIterator<Item = usize>) -> Self {
        for object in objects {
            if !self.referents.contains(&object) {
                self.referents.push(object);
            }
        }
        self
    }

    /// `task/subtype`, as evaluations name it.
    pub fn kind(&self) -> String {
        format!("{}/{}", self.task, self.subtype)
    }

    /// The one text that a model reads: situation, earlier turns, question. `write_box` writes an object's box.
    pub fn prompt(&self, write_box: &mut dyn FnMut(usize) -> String) -> String {
        let question = write(&self.question, write_box);
        let situation = self.situation.as_ref().and_then(|s| s.text.as_deref());
        prompt_of(situation, &self.turns, &question)
    }

    /// The reasoning and the answer to write, boxes by `write_box`.
    pub fn target(&self, write_box: &mut dyn FnMut(usize) -> String) -> (String, String) {
        let think = write(&self.think, write_box);
        (think, write(&self.answer, write_box))
    }

    /// Boxes of the targets, in order.
    pub fn boxes(&self, room: &Room) -> Vec<OrientedBox> {
        self.targets.iter().filter_map(|&i| room.objects.get(i)).map(|o| o.bbox).collect()
    }

    /// The question as a line of a file about `scene`.
    pub fn record(&self, scene: &str, room: &Room, write_box: &mut dyn FnMut(usize) -> String) -> SceneQuestion {
        let (think, answer) = self.target(write_box);
        SceneQuestion {
            format_version: RECORD_FORMAT_VERSION,
            id: self.id.clone(),
            scene: scene.to_owned(),
            task: self.task,
            turns: self.turns.clone(),
            situation: self.situation.clone(),
            question: write(&self.question, write_box),
            think: Some(think),
            answer: Some(answer),
            answers: self.answers.clone(),
            boxes: self.boxes(room),
        }
    }
}

/// How situation, earlier turns and question become one text: the situation first, a dialogue as `Q: .. A: .. Q: ..`.
pub fn prompt_of(situation: Option<&str>, turns: &[Turn], question: &str) -> String {
    let mut out = String::new();
    if let Some(text) = situation {
        out += text;
        out.push(' ');
    }
    if turns.is_empty() {
        return out + question;
    }
    for turn in turns {
        out += &format!("Q: {} A: {} ", turn.question, turn.answer);
    }
    out + "Q: " + question
}

/// Spans as text, boxes by `write_box`.
pub fn write(spans: &[Span], write_box: &mut dyn FnMut(usize) -> String) -> String {
    let mut text = String::new();
    for span in spans {
        match span {
            Span::Text(t) => text.push_str(t),
            Span::Object(i) => text.push_str(&write_box(*i)),
        }
    }
    text
}

/// Spans as text without boxes and what hangs where they stood.
pub(super) fn plain(spans: &[Span]) -> String {
    let joined = write(spans, &mut |_| String::new());
    let words = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.replace(" ;", ";").replace(" ,", ",").replace(" .", ".");
    words.trim_end_matches([':', ',', ' ']).to_owned()
}

/// A text under construction.
#[derive(Debug, Clone, Default)]
pub(super) struct Text(pub(super) Vec<Span>);

impl Text {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(vec![Span::Text(text.into())])
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Text(text.into()));
        self
    }

    /// The object's box alone.
    pub(super) fn object(mut self, o: &Object) -> Self {
        self.0.push(Span::Object(o.id));
        self
    }

    /// The object's box, then what it is: "<obj>..</obj> a red chair".
    pub(super) fn see(self, o: &Object) -> Self {
        self.object(o).text(format!(" {}", a_thing(o)))
    }

    /// [`Self::see`] for each, with commas between and "and" before the last.
    pub(super) fn see_all(mut self, objects: &[&Object]) -> Self {
        for (i, o) in objects.iter().enumerate() {
            let joint = match i {
                0 => "",
                i if i + 1 == objects.len() => " and ",
                _ => ", ",
            };
            self = self.text(joint).see(o);
        }
        self
    }
}

/// One of the forms.
pub(super) fn pick(rng: &mut ChaCha8Rng, forms: &[String]) -> Text {
    Text::new(forms.choose(rng).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_the_situation_then_the_turns() {
        let turn = Turn { question: "Is there a bed?".to_owned(), answer: "yes".to_owned() };
        assert_eq!(prompt_of(None, &[], "What?"), "What?");
        assert_eq!(
            prompt_of(Some("You stand."), &[turn], "What color is it?"),
            "You stand. Q: Is there a bed? A: yes Q: What color is it?"
        );
    }

    #[test]
    fn nothing_hangs_where_a_box_stood() {
        let spans = [Span::Text("The chair is here: ".to_owned()), Span::Object(3)];
        assert_eq!(plain(&spans), "The chair is here");
        assert_eq!(write(&spans, &mut |i| format!("[{i}]")), "The chair is here: [3]");
        let spans = [Span::Text("1. go to ".to_owned()), Span::Object(3), Span::Text("; 2. rest".to_owned())];
        assert_eq!(plain(&spans), "1. go to; 2. rest");
    }
}
