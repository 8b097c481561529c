//! A scene's description and a question in, the words of a request out.

use serde_json::{Value, json};

use super::super::filters::{MIN_STEPS, MIN_THINK_WORDS, answer_words};
use crate::tasks::Task;

/// What the endpoint is told that it does.
const SYSTEM: &str = "You write training data for a robot that answers questions about indoor rooms. You are given a \
                      list of the objects in a room: name, centre and size in metres (z is up), turn about z, and a box \
                      written <obj>cx, cy, cz, w, h, l</obj>. Use only what the list and the pictures say. Keep exactly \
                      to the form that is asked for, with nothing before or after it.";

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prompt<'a> {
    /// The objects of the scene; empty where they must not be known.
    pub(crate) description: &'a str,
    /// Pictures as data URIs.
    pub(crate) views: &'a [String],
    /// What to do.
    pub(crate) text: String,
}

impl Prompt<'_> {
    /// The messages of the request.
    pub(crate) fn messages(&self) -> Value {
        let text = self.whole_text();
        let content = if self.views.is_empty() {
            json!(text)
        } else {
            let picture = |url: &String| json!({"type": "image_url", "image_url": {"url": url}});
            self.views.iter().map(picture).chain([json!({"type": "text", "text": text})]).collect()
        };
        json!([{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}])
    }

    fn whole_text(&self) -> String {
        if self.description.is_empty() {
            self.text.clone()
        } else {
            format!("The room:\n{}\n{}", self.description, self.text)
        }
    }

    /// Bytes of its text.
    pub(crate) fn text_bytes(&self) -> usize {
        SYSTEM.len() + self.whole_text().len()
    }
}

/// Asks for a question about an object called `focus`, or one near it.
pub(crate) fn question(task: Task, focus: &str, number: u32, of: u32) -> String {
    let kind = match task {
        Task::Grounding => "asks the robot to find or to show exactly one object, which the description singles out",
        Task::ObjectCaption => "asks the robot to describe one object, which the question singles out",
        Task::Planning => "states a wish of a person that takes the robot several steps with objects of the room",
        _ => "has an answer of one to three words that the list or the pictures prove (a colour, a number, a relation)",
    };
    format!(
        "Write question {number} of {of} about this room. It {kind}. Let it be about the {focus} or about what is near \
         it, and about something that a person would ask. Reply with one JSON object: {{\"question\": \"...\", \
         \"target\": \"...\"}}, where target is the name of the object that it is about, as the list has it."
    )
}

/// Asks for the thought and the answer.
pub(crate) fn thought(task: Task, question: &str) -> String {
    format!(
        "The question: {question}\nReply with <think>...</think><answer>...</answer>. In <think>, reason in {MIN_STEPS} \
         or more sentences and at least {} words; begin the first with \"First,\", the next ones with \"Next,\" or \
         \"Then,\", the last one with \"So\". Give each object that you name its box from the list, copied exactly. The \
         last sentence names the object that the question is about and states the answer. In <answer>, {}",
        // some more than the filter wants
        MIN_THINK_WORDS + MIN_THINK_WORDS / 3,
        answer_form(task)
    )
}

/// Asks for the answer that a thought leads to.
pub(crate) fn answer_of(task: Task, question: &str, think: &str) -> String {
    format!(
        "A question about a room: {question}\nSomebody's reasoning: {think}\nState the answer to which this reasoning \
         leads, whether or not you agree, and nothing else: {}",
        answer_form(task)
    )
}

fn answer_form(task: Task) -> String {
    let (fewest, most) = answer_words(task);
    match task {
        Task::Grounding => "write \"The NAME is here: \" and the box of the object.".to_owned(),
        Task::ObjectCaption => format!("write one sentence of {fewest} to {most} words that describes the object."),
        Task::Planning => format!(
            "write the steps, numbered, {fewest} to {most} words in all, each with the name and the box of the object \
             that it needs."
        ),
        _ => "write one to three words and no box.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_before_the_text_and_no_list_when_there_is_none() {
        let views = vec!["data:image/png;base64,AA==".to_owned()];
        let prompt = Prompt { description: "1. chair", views: &views, text: "Do.".to_owned() };
        let messages = prompt.messages();
        assert_eq!(messages[1]["content"][0]["image_url"]["url"], views[0]);
        assert_eq!(messages[1]["content"][1]["text"], "The room:\n1. chair\nDo.");
        let plain = Prompt { text: answer_of(Task::Qa, "What?", "So red."), ..Prompt::default() };
        assert!(plain.messages()[1]["content"].as_str().unwrap().starts_with("A question"));
        assert!(plain.text_bytes() > SYSTEM.len() + 20);
    }

    #[test]
    fn every_task_has_its_form() {
        let forms: std::collections::BTreeSet<_> = super::super::TASKS.iter().map(|t| thought(*t, "q")).collect();
        assert_eq!(forms.len(), super::super::TASKS.len());
        assert!(thought(Task::Qa, "q").contains("at least 40 words"));
    }
}
