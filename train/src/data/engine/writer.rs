//! A scene in, the drafts of questions about it out: what every writer of the data engine does.

use vantage_scene::OrientedBox;

use super::endpoint::StopReason;
use super::item::{Failure, Spent};
use super::scene::EngineScene;
use crate::data::{Situation, Turn};
use crate::tasks::Task;

/// A question with a chain of thought, before the filters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    /// The task.
    pub(crate) task: Task,
    /// What was said before.
    pub(crate) turns: Vec<Turn>,
    /// Where the one who asks is.
    pub(crate) situation: Option<Situation>,
    /// The question; empty when the writer gave none.
    pub(crate) question: String,
    /// `<think>…</think><answer>…</answer>`, if the writer keeps to it.
    pub(crate) text: String,
    /// Names of the objects that the answer is about.
    pub(crate) targets: Vec<String>,
    /// All answers that count as right; without any it is the one of `text`.
    pub(crate) answers: Vec<String>,
    /// Boxes that answer it; without any they are those of the scene's objects that `text` answers with.
    pub(crate) boxes: Vec<OrientedBox>,
}

impl Draft {
    /// One with nothing written yet.
    pub(crate) fn empty(task: Task) -> Self {
        Self {
            task,
            turns: Vec::new(),
            situation: None,
            question: String::new(),
            text: String::new(),
            targets: Vec::new(),
            answers: Vec::new(),
            boxes: Vec::new(),
        }
    }
}

/// Why a piece of work ends early.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The sample is of no use; it is kept among the rejected.
    Rejected(Failure),
    /// The run ends; the piece of work stays undone.
    Stop(StopReason),
}

/// Writes questions about scenes.
pub(crate) trait Writer: Sync {
    /// A scene with what is prepared once for all its questions.
    type Opened: Send + Sync;

    /// Prepares `scene`.
    ///
    /// # Errors
    /// In words, when the scene is of no use to this writer.
    fn open(&self, scene: EngineScene) -> Result<Self::Opened, String>;

    /// The scene itself.
    fn scene<'a>(&self, opened: &'a Self::Opened) -> &'a EngineScene;

    /// How many questions it gives.
    fn slots(&self, opened: &Self::Opened) -> u32;

    /// Writes question `slot` into `draft`, as far as it gets; adds what that took to `spent`.
    ///
    /// # Errors
    /// [`WriteError`].
    fn write(&self, opened: &Self::Opened, slot: u32, draft: &mut Draft, spent: &mut Spent) -> Result<(), WriteError>;

    /// The answer that follows from `think` alone, as the writer reads it.
    ///
    /// # Errors
    /// [`WriteError`].
    fn derive(&self, draft: &Draft, think: &str, spent: &mut Spent) -> Result<String, WriteError>;

    /// Interrupts every wait: the run ends.
    fn interrupt(&self);
}
