//! A sample's text in, its parsed parts or the rule that it fails out: the filters of 3D-R1 (arXiv 2507.23478, Alg. 1).

use vantage_model::TextBox;
use vantage_model::grammar::{Parsed, Span, parse};

use super::item::{Failure, Reason};
use super::steps::{last_step, step_starts};
use crate::metrics::normal_form;
use crate::tasks::Task;

/// Fewest words of the reasoning (Alg. 1); a box counts as one.
pub(crate) const MIN_THINK_WORDS: usize = 30;
/// Fewest steps of the reasoning (Alg. 1).
pub(crate) const MIN_STEPS: usize = 3;
/// Least similarity of the answer and the one derived anew from the reasoning (Alg. 1).
pub(crate) const MIN_SIMILARITY: f64 = 0.8;
/// An answer of more words is a sentence, of which the last step need only name the object.
const SHORT_ANSWER_WORDS: usize = 5;
/// What stands before an answer or behind it and says nothing.
const IDLE_STARTS: [&str; 3] = ["final answer", "answer is", "answer"];
const IDLE_ENDS: [&str; 2] = [" is here", " are here"];
/// Numbers in words, from 0.
const NUMBER_WORDS: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Fewest and most words of an answer; a box counts as one.
pub(crate) fn answer_words(task: Task) -> (usize, usize) {
    match task {
        Task::Qa | Task::Situated => (1, 20),
        Task::Grounding => (1, 60),
        Task::ObjectCaption => (3, 60),
        Task::DenseCaption => (3, 600),
        Task::Dialogue => (1, 80),
        Task::Planning => (5, 300),
    }
}

/// Whether an answer of `task` says which object it means, rather than something about it.
fn points_at_objects(task: Task) -> bool {
    matches!(task, Task::Grounding | Task::ObjectCaption | Task::DenseCaption | Task::Planning)
}

/// Checks a sample's text but for what is derived anew; `targets` are the names of the objects that it is about.
///
/// # Errors
/// The first rule that it fails.
pub(crate) fn check(task: Task, text: &str, targets: &[String]) -> Result<Parsed, Failure> {
    let parsed = parse(text).map_err(|e| Failure::new(Reason::Grammar, e.to_string()))?;
    let think = parsed.think_text();
    let words = word_count(&think) + parsed.think_boxes().len();
    if words < MIN_THINK_WORDS {
        return Err(Failure::new(Reason::ThinkLength, format!("{words} words; at least {MIN_THINK_WORDS}")));
    }
    let words = word_count(&parsed.answer_text()) + parsed.answer_boxes().len();
    let (fewest, most) = answer_words(task);
    if !(fewest..=most).contains(&words) {
        return Err(Failure::new(Reason::AnswerLength, format!("{words} words; {fewest} to {most} for {task}")));
    }
    let steps = step_starts(&think).len();
    if steps < MIN_STEPS {
        return Err(Failure::new(Reason::Steps, format!("{steps} steps; at least {MIN_STEPS}")));
    }
    let last = last_step(&think);
    if !names_target(task, last, &parsed, targets) {
        return Err(Failure::new(Reason::Target, format!("the last step names no target: {last}")));
    }
    Ok(parsed)
}

fn names_target(task: Task, last_step: &str, parsed: &Parsed, targets: &[String]) -> bool {
    let step = plain_words(last_step);
    let names = |phrase: &str| {
        let words = plain_words(phrase);
        !words.is_empty() && step.windows(words.len()).any(|w| same_words(w, &words))
    };
    let answer = bare_answer(&parsed.answer_text());
    let short = (1..=SHORT_ANSWER_WORDS).contains(&plain_words(&answer).len());
    if short && !points_at_objects(task) { names(&answer) } else { targets.iter().any(|t| names(t)) }
}

/// Equal but for a plural's `s` or `es`.
fn same_words(a: &[String], b: &[String]) -> bool {
    let plural = |one: &str, many: &str| many.strip_prefix(one).is_some_and(|end| end == "s" || end == "es");
    a.iter().zip(b).all(|(a, b)| a == b || plural(a, b) || plural(b, a))
}

/// Words with a letter or a digit.
fn word_count(text: &str) -> usize {
    text.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).count()
}

/// Words in lower case, articles left out, numbers as digits.
fn plain_words(text: &str) -> Vec<String> {
    let digits = |word: &str| NUMBER_WORDS.iter().position(|n| *n == word).map(|n| n.to_string());
    normal_form(text)
        .split(' ')
        .filter(|w| !matches!(*w, "" | "a" | "an" | "the"))
        .map(|w| digits(w).unwrap_or_else(|| w.to_owned()))
        .collect()
}

/// An answer without what says nothing: marks, `The answer is`, `is here`.
fn bare_answer(text: &str) -> String {
    let mut bare = plain_words(text).join(" ");
    for start in IDLE_STARTS {
        if let Some(rest) = bare.strip_prefix(start).and_then(|rest| rest.strip_prefix(' ')) {
            bare = rest.to_owned();
        }
    }
    for end in IDLE_ENDS {
        if let Some(rest) = bare.strip_suffix(end) {
            bare = rest.to_owned();
        }
    }
    bare
}

/// How alike the answer of `parsed` and one derived from its reasoning are, from 0 to 1: one less the Levenshtein
/// distance over the longer one's length, of both as bare lower-case words. Without words their boxes are compared.
pub(crate) fn agreement(parsed: &Parsed, derived: &str) -> f64 {
    let (said, derived_boxes) = text_and_boxes(derived);
    let (given, derived) = (bare_answer(&parsed.answer_text()), bare_answer(&said));
    let boxes: Vec<TextBox> = parsed.answer_boxes().into_iter().map(|(_, b)| b).collect();
    if !boxes.is_empty() && (given.is_empty() || derived.is_empty()) {
        return f64::from(u8::from(boxes == derived_boxes));
    }
    if given.is_empty() { 0.0 } else { strsim::normalized_levenshtein(&given, &derived) }
}

/// The words and boxes of a text that need not be in the grammar; what is no box counts as nothing.
fn text_and_boxes(text: &str) -> (String, Vec<TextBox>) {
    let text = ["<think>", "</think>", "<answer>", "</answer>"].iter().fold(text.to_owned(), |t, m| t.replace(m, " "));
    // the one parser reads the boxes
    match parse(&format!("<think></think><answer>{text}</answer>")) {
        Ok(parsed) => (parsed.answer_text(), parsed.answer_boxes().into_iter().map(|(_, b)| b).collect()),
        Err(_) => (text, Vec::new()),
    }
}

/// The spans of a part as text, without white space around them.
pub(crate) fn written(spans: &[Span]) -> String {
    let text: String = spans
        .iter()
        .map(|span| match span {
            Span::Text(text) => text.clone(),
            Span::Box(b) => b.to_string(),
        })
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THINK: &str = "First, I look for the red chair in the views and in all the points of the room. Next, I find a \
                         chair at <obj>1, 2, 3, 4, 5, 6</obj> and it is red. So the color of the chair is red.";

    fn text(think: &str, answer: &str) -> String {
        format!("<think>{think}</think><answer>{answer}</answer>")
    }

    fn reason(task: Task, text: &str, targets: &[&str]) -> Option<Reason> {
        let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
        check(task, text, &targets).err().map(|f| f.reason)
    }

    #[test]
    fn each_filter_catches_its_fault_and_no_other() {
        let box_answer = "The chair is here: <obj>1, 2, 3, 4, 5, 6</obj>";
        for (task, text, targets, expected) in [
            (Task::Qa, text(THINK, "red"), ["chair"], None),
            (Task::Qa, text(THINK, "The answer is red."), ["chair"], None),
            (Task::Qa, format!("{} indeed", text(THINK, "red")), ["chair"], Some(Reason::Grammar)),
            (Task::Qa, text(THINK, " "), ["chair"], Some(Reason::Grammar)),
            (Task::Qa, text("First, a. Next, b. So it is red.", "red"), ["chair"], Some(Reason::ThinkLength)),
            (Task::Qa, text(THINK, &"red ".repeat(21)), ["chair"], Some(Reason::AnswerLength)),
            (Task::Qa, text(THINK, "..."), ["chair"], Some(Reason::AnswerLength)),
            (Task::ObjectCaption, text(THINK, "red chair"), ["chair"], Some(Reason::AnswerLength)),
            (Task::Qa, text(&THINK.replace("Next, ", "Here "), "red"), ["chair"], Some(Reason::Steps)),
            (Task::Qa, text(THINK, "blue"), ["chair"], Some(Reason::Target)),
            (Task::Grounding, text(THINK, box_answer), ["chair"], None),
            (Task::Grounding, text(THINK, box_answer), ["red sofa"], Some(Reason::Target)),
            (Task::Grounding, text(THINK, box_answer), ["chairs"], None),
        ] {
            assert_eq!(reason(task, &text, &targets), expected, "{text}");
        }
    }

    #[test]
    fn agreement_is_about_what_is_said() {
        let agreement = |answer: &str, derived: &str| agreement(&parse(&text("", answer)).unwrap(), derived);
        for (answer, derived) in [
            ("red", "Red."),
            ("2", "two"),
            ("The red chair is here: <obj>1,2,3,4,5,6</obj>", "red chair"),
            ("<obj>1,2,3,4,5,6</obj>", "<answer> <obj>1, 2, 3, 4, 5, 6</obj></answer>"),
            ("a lamp", "The answer is: the lamp"),
        ] {
            assert!(agreement(answer, derived) > 0.99, "{answer}, {derived}");
        }
        for (answer, derived) in [
            ("red", "blue"),
            ("yes", "no"),
            ("lamp", ""),
            ("<obj>1,2,3,4,5,6</obj>", "<obj>1,2,3,4,5,7</obj>"),
            ("?", "?"),
        ] {
            assert!(agreement(answer, derived) < MIN_SIMILARITY, "{answer}, {derived}");
        }
        // one letter of ten
        assert!((agreement("abcdefghij", "abcdefghiX") - 0.9).abs() < 1e-12);
    }

    /// Every way to change one into the other.
    fn naive(a: &[char], b: &[char]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a_rest @ ..], [y, b_rest @ ..]) if x == y => naive(a_rest, b_rest),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => {
                1 + naive(a_rest, b).min(naive(a, b_rest)).min(naive(a_rest, b_rest))
            }
        }
    }

    proptest! {
        #[test]
        fn similarity_is_one_less_the_distance_over_the_length(a in "[abäö]{1,6}", b in "[abäö]{1,6}") {
            // with a word before that is no article, so that both are compared as they are
            let (a, b) = (format!("x{a}"), format!("x{b}"));
            let (chars_a, chars_b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let expected = 1.0 - naive(&chars_a, &chars_b) as f64 / chars_a.len().max(chars_b.len()) as f64;
            let got = agreement(&parse(&text("", &a)).unwrap(), &b);
            prop_assert!((got - expected).abs() < 1e-12, "{a} {b}: {got}, {expected}");
        }

        #[test]
        fn any_text_is_judged(task in proptest::sample::select(&Task::ALL[..]), reply in "(<think>|</think>|<answer>|</answer>|First |So |\\PC){0,12}") {
            let _ = check(task, &reply, &["chair".to_owned()]);
        }
    }
}
