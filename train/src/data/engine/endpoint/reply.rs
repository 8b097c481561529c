//! A reply's text in, what it says out: tolerant of fences around it, strict about what is in it.

use serde::Deserialize;

use crate::data::engine::item::{Failure, Reason};
use crate::data::engine::scene::SceneObject;

/// Longest question, bytes.
const MAX_QUESTION_BYTES: usize = 400;
/// What fences code.
const FENCE: &str = "```";
/// What stands around a thought that a model writes before its reply.
const THOUGHT_OPEN: &str = "<think>";
const THOUGHT_CLOSE: &str = "</think>";

/// A question and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The question.
    pub(crate) question: String,
    /// The name of the object that it is about.
    pub(crate) target: String,
}

/// `text` without a fence around all of it.
pub(crate) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix(FENCE).and_then(|rest| rest.split_once('\n')).and_then(|(language, rest)| {
        let word = language.trim().chars().all(char::is_alphanumeric);
        rest.trim_end().strip_suffix(FENCE).filter(|_| word)
    });
    inner.unwrap_or(text).trim()
}

/// `text` without a thought before it.
pub(crate) fn without_thought(text: &str) -> &str {
    let text = text.trim();
    let behind = text.strip_prefix(THOUGHT_OPEN).and_then(|rest| rest.split_once(THOUGHT_CLOSE));
    behind.map_or(text, |(_, rest)| rest.trim())
}

/// The question of a reply about a scene with these objects.
///
/// # Errors
/// [`Reason::Question`] with what is wrong.
pub(crate) fn question(reply: &str, objects: &[SceneObject]) -> Result<Asked, Failure> {
    let failure = |detail: String| Failure::new(Reason::Question, detail);
    let mut asked: Asked = serde_json::from_str(unfenced(without_thought(reply)))
        .map_err(|e| failure(format!("the reply is not {{\"question\": S, \"target\": S}}: {e}")))?;
    asked.question = asked.question.trim().to_owned();
    let plain = |c: char| !c.is_control() && !matches!(c, '<' | '>');
    let words = asked.question.chars().any(char::is_alphanumeric);
    if !words || asked.question.len() > MAX_QUESTION_BYTES || !asked.question.chars().all(plain) {
        return Err(failure(format!("the question is not one line of 1 to {MAX_QUESTION_BYTES} bytes without marks")));
    }
    let target = asked.target.trim().to_lowercase();
    match objects.iter().find(|o| o.label.to_lowercase() == target) {
        Some(object) => asked.target.clone_from(&object.label),
        None => return Err(failure(format!("no object of the scene is called {:?}", asked.target))),
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vantage_scene::OrientedBox;

    fn objects() -> Vec<SceneObject> {
        let bbox = OrientedBox { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
        vec![SceneObject { label: "Night stand".to_owned(), color: None, bbox }]
    }

    const GOOD: &str = r#"{"question": "Where is it?", "target": "night stand"}"#;

    #[test]
    fn fences_and_thoughts_around_a_reply_are_taken_off() {
        for reply in [
            GOOD.to_owned(),
            format!("```json\n{GOOD}\n```"),
            format!("  ```\n{GOOD}```\n"),
            format!("<think>hm\n{{</think>\n```json\n{GOOD}\n```"),
        ] {
            let asked = question(&reply, &objects()).unwrap();
            assert_eq!((asked.question.as_str(), asked.target.as_str()), ("Where is it?", "Night stand"));
        }
        assert_eq!(unfenced("```xml\n<think>a</think>\n```"), "<think>a</think>");
        assert_eq!(unfenced("```a b\nx```"), "```a b\nx```");
        assert_eq!(unfenced("```x"), "```x");
    }

    #[test]
    fn anything_else_is_named() {
        for (reply, fault) in [
            (format!("Sure! {GOOD}"), "is not"),
            (GOOD.replace("night stand", "sofa"), "sofa"),
            (GOOD.replace("Where is it?", " "), "one line"),
            (GOOD.replace("Where is it?", "<obj>"), "without marks"),
            (GOOD.replace("Where is it?", &"x".repeat(401)), "400"),
            (GOOD.replace("target", "aim"), "aim"),
            (String::new(), "is not"),
            ("[]".to_owned(), "is not"),
        ] {
            let failure = question(&reply, &objects()).unwrap_err();
            assert!(failure.reason == Reason::Question && failure.detail.contains(fault), "{reply}: {failure:?}");
        }
    }

    proptest! {
        #[test]
        fn any_reply_is_read(reply in "(```|json|\n|\\{|<think>|</think>|\\PC){0,12}") {
            let _ = question(&reply, &objects());
            let _ = unfenced(without_thought(&reply));
        }
    }
}
