//! What a model is asked about a scene: the seven tasks.

mod kind;
mod question;

pub use kind::Task;
pub use question::{EarlierTurn, Question, Span, written};
