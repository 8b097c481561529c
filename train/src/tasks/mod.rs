//! What a model is asked about a scene: the seven tasks, a file each, as questions with exact answers over procedural rooms.

mod ask;
#[cfg(test)]
mod check;
mod dense_caption;
mod dialogue;
mod facts;
mod grounding;
mod headroom;
mod interval;
mod kind;
mod mix;
mod object_caption;
mod planning;
mod qa;
mod question;
mod relations;
mod score;
mod scores;
mod situated;
mod words;

pub use ask::{Emphasis, emphasised_questions, parse_emphasis, questions};
pub use headroom::Headroom;
pub use interval::{Estimate, estimate};
pub use kind::Task;
pub use mix::{TaskMix, TaskMixError};
pub use question::{Question, Span, prompt_of, write};
pub use score::{QuestionScores, Said, score};
pub use scores::{Report, Scores, Summary};
