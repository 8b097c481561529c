//! The names of the tasks, as question files write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A question about the scene, answered in a few words.
    Qa,
    /// A question asked from a place in the scene, facing somewhere (SQA3D, arXiv 2210.07474).
    Situated,
    /// A description, answered with the boxes of what it describes: one, several or none.
    Grounding,
    /// A box or a description, answered with a sentence about the object.
    ObjectCaption,
    /// Everything in view, each with its box and a short description.
    DenseCaption,
    /// A question that rests on the turns before it.
    Dialogue,
    /// A wish, answered with steps and the boxes of what each step needs.
    Planning,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Qa,
        Self::Situated,
        Self::Grounding,
        Self::ObjectCaption,
        Self::DenseCaption,
        Self::Dialogue,
        Self::Planning,
    ];

    /// As in question files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qa => "qa",
            Self::Situated => "situated",
            Self::Grounding => "grounding",
            Self::ObjectCaption => "object_caption",
            Self::DenseCaption => "dense_caption",
            Self::Dialogue => "dialogue",
            Self::Planning => "planning",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_files_use() {
        for task in Task::ALL {
            assert_eq!(serde_json::to_string(&task).unwrap(), format!("\"{task}\""));
        }
    }
}
