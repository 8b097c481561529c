//! A question about a room with its target: what every task gives.

use crate::data::{RECORD_FORMAT_VERSION, SceneQuestion, Situation};
use crate::rooms::Room;
use crate::tasks::Task;

/// A piece of a text; objects become boxes once the scene's bounds are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Text as it stands.
    Text(String),
    /// The box of the room's object of this index.
    Object(usize),
}

/// A turn of a dialogue that came before the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierTurn {
    /// What was asked.
    pub question: Vec<Span>,
    /// What was answered.
    pub answer: Vec<Span>,
}

/// A question with its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Room seed and number.
    pub id: String,
    /// What kind of question it is.
    pub task: Task,
    /// The kind within the task.
    pub subtype: &'static str,
    /// Where the one who asks is; the text says it in words.
    pub situation: Option<Situation>,
    /// What was said before.
    pub turns: Vec<EarlierTurn>,
    /// The question; of a situated one, the situation in words first.
    pub question: Vec<Span>,
    /// The reasoning to write.
    pub think: Vec<Span>,
    /// The answer to write.
    pub answer: Vec<Span>,
    /// Accepted answers, boxes left out; of a caption, the references; empty where the boxes are the answer.
    pub answers: Vec<String>,
    /// Objects whose boxes the answer has to give, of a plan in order; `None` where no box is asked for, empty where the right
    /// answer has none.
    pub targets: Option<Vec<usize>>,
    /// Objects that the answer rests on; a good view shows one of them.
    pub referents: Vec<usize>,
}

impl Question {
    /// The one text that a model reads: earlier turns, then the question. `write_box` gives an object's box as text.
    pub fn prompt(&self, write_box: &dyn Fn(usize) -> String) -> String {
        let question = written(&self.question, write_box);
        if self.turns.is_empty() {
            return question;
        }
        let turns = self
            .turns
            .iter()
            .map(|t| format!("Q: {} A: {} ", written(&t.question, write_box), written(&t.answer, write_box)));
        turns.collect::<String>() + "Q: " + &question
    }

    /// As a line of a question file about `room`.
    pub fn record(&self, room: &Room, write_box: &dyn Fn(usize) -> String) -> SceneQuestion {
        let turns = self.turns.iter().map(|t| crate::data::Turn {
            question: written(&t.question, write_box),
            answer: written(&t.answer, write_box),
        });
        let boxes = self.targets.iter().flatten().filter_map(|&o| room.objects.get(o)).map(|o| o.bbox);
        SceneQuestion {
            format_version: RECORD_FORMAT_VERSION,
            id: self.id.clone(),
            scene: format!("room-{}", room.seed),
            task: self.task,
            turns: turns.collect(),
            situation: self.situation.clone(),
            question: written(&self.question, write_box),
            think: Some(written(&self.think, write_box)),
            answer: Some(written(&self.answer, write_box)),
            answers: self.answers.clone(),
            boxes: boxes.collect(),
        }
    }
}

/// The text of `spans`.
pub fn written(spans: &[Span], write_box: &dyn Fn(usize) -> String) -> String {
    let piece = |span: &Span| match span {
        Span::Text(text) => text.clone(),
        Span::Object(object) => write_box(*object),
    };
    spans.iter().map(piece).collect()
}
