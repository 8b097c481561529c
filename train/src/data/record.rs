//! One question about one scene with its target: what every loader gives and the data engine writes, a JSON object a line.

use serde::{Deserialize, Serialize};
use vantage_scene::OrientedBox;

use crate::tasks::Task;

/// Version of a line; another is refused.
pub const RECORD_FORMAT_VERSION: u32 = 1;

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneQuestion {
    /// [`RECORD_FORMAT_VERSION`].
    pub format_version: u32,
    /// Unique within its file.
    pub id: String,
    /// The scene it is about.
    pub scene: String,
    /// What kind of question it is.
    #[serde(rename = "type")]
    pub task: Task,
    /// What was said before, oldest first; only of a dialogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Turn>,
    /// Where the one who asks is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situation: Option<Situation>,
    /// The question.
    pub question: String,
    /// The chain of thought, between no tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<String>,
    /// The answer to learn, between no tags; without one the first of `answers` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// All answers that count as right.
    #[serde(default)]
    pub answers: Vec<String>,
    /// Boxes that answer it, in the scene's world frame.
    #[serde(default)]
    pub boxes: Vec<OrientedBox>,
}

/// A turn of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// A place to ask from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    /// It in words, when the dataset gives some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Metres in the scene's world frame.
    pub position: [f64; 3],
    /// Heading about z, radians.
    pub yaw: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_went() {
        let question = SceneQuestion {
            format_version: RECORD_FORMAT_VERSION,
            id: "r-1".to_owned(),
            scene: "r".to_owned(),
            task: Task::Situated,
            turns: Vec::new(),
            situation: Some(Situation { text: None, position: [1.0, 2.0, 0.0], yaw: 0.5 }),
            question: "What is on my left?".to_owned(),
            think: Some("First, ...".to_owned()),
            answer: None,
            answers: vec!["a lamp".to_owned()],
            boxes: vec![OrientedBox { center: [0.5, 1.0, 0.2], size: [0.3, 0.3, 0.4], yaw: 0.0 }],
        };
        let line = serde_json::to_string(&question).unwrap();
        assert_eq!(serde_json::from_str::<SceneQuestion>(&line).unwrap(), question);
        assert!(serde_json::from_str::<SceneQuestion>(&line.replace("\"scene\"", "\"room\"")).is_err());
    }
}
