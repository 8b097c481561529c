//! Text in, [`Parsed`] out, or the place where it leaves the grammar.

use std::fmt;

use super::marks::{ANSWER_CLOSE, ANSWER_OPEN, BOX_CLOSE, BOX_NUMBERS, BOX_OPEN, MARKS, THINK_CLOSE, THINK_OPEN};
use super::text_box::TextBox;

/// Words that say nothing about a box when they stand at the edge of the phrase before it.
const IDLE_WORDS: [&str; 22] = [
    "the", "a", "an", "is", "are", "at", "here", "there", "it", "and", "in", "on", "this", "that", "i", "see", "found",
    "find", "with", "of", "was", "one",
];

/// Signs that end a clause.
const CLAUSE_ENDS: [char; 9] = ['.', ',', ';', ':', '!', '?', '(', ')', '\n'];

/// A piece of text or a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Text without marks.
    Text(String),
    /// A box.
    Box(TextBox),
}

/// Output in the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Between `<think>` and `</think>`.
    pub think: Vec<Span>,
    /// Between `<answer>` and `</answer>`.
    pub answer: Vec<Span>,
}

/// Where and how a text leaves the grammar; offsets are bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A mark is missing where it must stand.
    #[error("model output: `{mark}` expected at byte {offset}")]
    Missing {
        /// The mark.
        mark: &'static str,
        /// Where.
        offset: usize,
    },
    /// A mark stands where none may.
    #[error("model output: `{mark}` may not stand at byte {offset}")]
    Misplaced {
        /// The mark.
        mark: &'static str,
        /// Where.
        offset: usize,
    },
    /// A box is not six integers from 0 to 255.
    #[error("model output: the box at byte {offset} is not six integers from 0 to 255: `{text}`")]
    BadBox {
        /// Where.
        offset: usize,
        /// What stands there, shortened.
        text: String,
    },
    /// The answer says nothing.
    #[error("model output: the answer at byte {offset} is empty")]
    EmptyAnswer {
        /// Where.
        offset: usize,
    },
    /// Text after the answer.
    #[error("model output: text after `</answer>` at byte {offset}")]
    Trailing {
        /// Where.
        offset: usize,
    },
}

/// Parses a whole output. White space around the two parts is allowed.
///
/// # Errors
/// [`GrammarError`] at the first place that leaves the grammar.
pub fn parse(text: &str) -> Result<Parsed, GrammarError> {
    let mut at = 0;
    let think = part(text, &mut at, THINK_OPEN, THINK_CLOSE)?;
    let answer_at = at;
    let answer = part(text, &mut at, ANSWER_OPEN, ANSWER_CLOSE)?;
    let says_something = answer.iter().any(|s| match s {
        Span::Text(t) => !t.trim().is_empty(),
        Span::Box(_) => true,
    });
    if !says_something {
        return Err(GrammarError::EmptyAnswer { offset: answer_at });
    }
    match text[at..].find(|c: char| !c.is_whitespace()) {
        Some(i) => Err(GrammarError::Trailing { offset: at + i }),
        None => Ok(Parsed { think, answer }),
    }
}

/// One part from its opening to its closing mark; `at` moves behind it.
fn part(text: &str, at: &mut usize, open: &'static str, close: &'static str) -> Result<Vec<Span>, GrammarError> {
    let rest = &text[*at..];
    let start = *at + (rest.len() - rest.trim_start().len());
    if !text[start..].starts_with(open) {
        return Err(GrammarError::Missing { mark: open, offset: start });
    }
    let inner = start + open.len();
    let end = text[inner..]
        .find(close)
        .map(|i| inner + i)
        .ok_or(GrammarError::Missing { mark: close, offset: text.len() })?;
    *at = end + close.len();
    spans(&text[inner..end], inner)
}

/// All well-formed boxes of any text, in order; what is not one is passed over.
pub fn boxes_in(text: &str) -> Vec<TextBox> {
    let behind = text.split(BOX_OPEN).skip(1);
    behind.filter_map(|rest| rest.split_once(BOX_CLOSE)).filter_map(|(inner, _)| numbers(inner)).collect()
}

/// Text and boxes of one part, which starts at byte `offset` of the whole.
fn spans(part: &str, offset: usize) -> Result<Vec<Span>, GrammarError> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < part.len() {
        let open = part[at..].find(BOX_OPEN).map_or(part.len(), |i| at + i);
        if open > at {
            let text = &part[at..open];
            let first = MARKS.into_iter().filter_map(|mark| text.find(mark).map(|i| (i, mark))).min();
            if let Some((i, mark)) = first {
                return Err(GrammarError::Misplaced { mark, offset: offset + at + i });
            }
            out.push(Span::Text(text.to_owned()));
        }
        if open == part.len() {
            break;
        }
        let inner = open + BOX_OPEN.len();
        let close = part[inner..]
            .find(BOX_CLOSE)
            .map(|i| inner + i)
            .ok_or(GrammarError::Missing { mark: BOX_CLOSE, offset: offset + part.len() })?;
        out.push(Span::Box(numbers(&part[inner..close]).ok_or_else(|| GrammarError::BadBox {
            offset: offset + open,
            text: part[inner..close].chars().take(60).collect(),
        })?));
        at = close + BOX_CLOSE.len();
    }
    Ok(out)
}

/// Six integers from 0 to 255 between commas.
fn numbers(text: &str) -> Option<TextBox> {
    let mut all = [0u8; BOX_NUMBERS];
    let mut parts = text.split(',');
    for n in &mut all {
        let word = parts.next()?.trim();
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *n = word.parse().ok()?;
    }
    if parts.next().is_some() {
        return None;
    }
    let [x, y, z, w, h, l] = all;
    Some(TextBox { center: [x, y, z], extent: [w, h, l] })
}

impl Parsed {
    /// The reasoning's text, boxes left out.
    pub fn think_text(&self) -> String {
        plain(&self.think)
    }

    /// The answer's text, boxes left out.
    pub fn answer_text(&self) -> String {
        plain(&self.answer)
    }

    /// Boxes of the answer, each with the phrase before it.
    pub fn answer_boxes(&self) -> Vec<(String, TextBox)> {
        labelled(&self.answer)
    }

    /// Boxes of the reasoning, each with the phrase before it.
    pub fn think_boxes(&self) -> Vec<(String, TextBox)> {
        labelled(&self.think)
    }
}

/// The canonical text, which [`parse`] reads back to an equal value when no text span is empty or next to another one.
impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, spans: &[Span]| {
            spans.iter().try_for_each(|span| match span {
                Span::Text(t) => f.write_str(t),
                Span::Box(b) => b.fmt(f),
            })
        };
        f.write_str(THINK_OPEN)?;
        write(f, &self.think)?;
        f.write_str(THINK_CLOSE)?;
        f.write_str(ANSWER_OPEN)?;
        write(f, &self.answer)?;
        f.write_str(ANSWER_CLOSE)
    }
}

/// The text of `spans` with single spaces, none before punctuation, and nothing left hanging where a box stood: no
/// colon or comma before a full stop or at the end, no empty brackets.
fn plain(spans: &[Span]) -> String {
    let joined: String = spans.iter().map(|s| if let Span::Text(t) = s { t.as_str() } else { " " }).collect();
    let mut out = String::with_capacity(joined.len());
    for word in joined.split_whitespace() {
        let word = match (word.strip_prefix(')'), out.strip_suffix('(')) {
            (Some(rest), Some(before)) => {
                out.truncate(before.trim_end().len());
                rest
            }
            _ => word,
        };
        if word.is_empty() {
            continue;
        }
        let punctuation = word.chars().all(|c| matches!(c, '.' | ',' | ';' | ':' | '!' | '?'));
        if punctuation {
            out.truncate(out.trim_end_matches([':', ',']).len());
        }
        if !out.is_empty() && !punctuation {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.trim_end_matches([':', ',', ' ']).to_owned()
}

/// A box is labelled by the phrase before it; one that begins a clause, as in "<obj>..</obj> a red chair; ", by the phrase
/// behind it.
fn labelled(spans: &[Span]) -> Vec<(String, TextBox)> {
    let mut before = "";
    let mut out: Vec<(String, TextBox)> = Vec::new();
    for (i, span) in spans.iter().enumerate() {
        match span {
            Span::Text(t) => before = t,
            Span::Box(b) => {
                let behind = match spans.get(i + 1) {
                    Some(Span::Text(t)) if before.trim_end().is_empty() || before.trim_end().ends_with([';', '.']) => {
                        phrase(t.trim_start().split(CLAUSE_ENDS).next().unwrap_or_default())
                    }
                    _ => String::new(),
                };
                let label = if behind.is_empty() { phrase(before) } else { behind };
                let label = match out.last() {
                    // "chairs <obj>..</obj>, <obj>..</obj>": the phrase holds for all of them
                    Some((last, _)) if label.is_empty() => last.clone(),
                    _ => label,
                };
                out.push((label, *b));
            }
        }
    }
    out
}

/// The last clause of `text` without idle words and quotes at its edges, in lower case.
fn phrase(text: &str) -> String {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || CLAUSE_ENDS.contains(&c));
    let clause = text.rsplit(CLAUSE_ENDS).next().unwrap_or_default().to_lowercase();
    let quote = |c: char| matches!(c, '"' | '\'' | '`' | '*' | '“' | '”');
    let words: Vec<&str> = clause.split_whitespace().map(|w| w.trim_matches(quote)).filter(|w| !w.is_empty()).collect();
    let idle = |w: &&str| IDLE_WORDS.contains(w);
    let start = words.iter().position(|w| !idle(w)).unwrap_or(words.len());
    let end = words.iter().rposition(|w| !idle(w)).map_or(start, |i| i + 1);
    words[start..end].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "<think>First, the chair <obj>1, 2, 3, 4, 5, 6</obj> is red.</think>\n<answer>The red chair is here: <obj>10, 20, 30, 255, 0, 7</obj></answer>";

    #[test]
    fn a_good_text_gives_its_parts() {
        let parsed = parse(GOOD).unwrap();
        assert_eq!(parsed.think_text(), "First, the chair is red.");
        assert_eq!(parsed.answer_text(), "The red chair is here");
        let boxes = parsed.answer_boxes();
        assert_eq!(boxes[0].0, "red chair");
        assert_eq!(boxes[0].1, TextBox { center: [10, 20, 30], extent: [255, 0, 7] });
        assert_eq!(parsed.think_boxes()[0].0, "chair");
    }

    #[test]
    fn each_way_out_of_the_grammar_is_named() {
        let error = |text: &str| parse(text).unwrap_err();
        assert!(matches!(error("hello"), GrammarError::Missing { mark: "<think>", offset: 0 }));
        assert!(matches!(error("<think>a"), GrammarError::Missing { mark: "</think>", .. }));
        assert!(matches!(
            error("<think>a</think>b<answer>c</answer>"),
            GrammarError::Missing { mark: "<answer>", offset: 16 }
        ));
        assert!(matches!(error("<think>a</think><answer> </answer>"), GrammarError::EmptyAnswer { .. }));
        assert!(matches!(error("<think>a</think><answer>b</answer>c"), GrammarError::Trailing { offset: 34 }));
        assert!(matches!(
            error("<think>a<think>b</think><answer>c</answer>"),
            GrammarError::Misplaced { mark: "<think>", offset: 8 }
        ));
        assert!(matches!(
            error("<think>a</think><think>b</think><answer>c</answer>"),
            GrammarError::Missing { mark: "<answer>", offset: 16 }
        ));
        assert!(matches!(error("<think>a</think><answer>b</answer></answer>"), GrammarError::Trailing { offset: 34 }));
        assert!(matches!(
            error("<think></obj><answer></think><answer>c</answer>"),
            GrammarError::Misplaced { mark: "</obj>", offset: 7 }
        ));
        assert!(matches!(
            error("<think>a</think><answer>ä <obj>1, 2</answer>"),
            GrammarError::Missing { mark: "</obj>", .. }
        ));
        assert!(matches!(
            error("<think><answer></think>x</answer>"),
            GrammarError::Misplaced { mark: "<answer>", offset: 7 }
        ));
        for bad in
            ["1, 2, 3, 4, 5", "1, 2, 3, 4, 5, 256", "1, 2, 3, 4, 5, 6, 7", "a, 2, 3, 4, 5, 6", "1, 2, 3, 4, 5, -6", ""]
        {
            let text = format!("<think>a</think><answer><obj>{bad}</obj></answer>");
            assert!(matches!(error(&text), GrammarError::BadBox { offset: 24, .. }), "{bad}");
        }
    }

    #[test]
    fn labels_are_the_last_phrase() {
        assert_eq!(phrase("I looked around. The red chair is here: "), "red chair");
        assert_eq!(phrase("First, I see a night stand at "), "night stand");
        assert_eq!(phrase("Here is the \"Office Chair\" ("), "office chair");
        assert_eq!(phrase("Where can I sit? On the sofa: "), "sofa");
        assert_eq!(phrase(" , "), "");
        assert_eq!(phrase(""), "");
        let parsed = parse(
            "<think></think><answer>The chairs <obj>1,2,3,4,5,6</obj> and <obj> 7 ,8, 9,10,11,12 </obj></answer>\n",
        )
        .unwrap();
        assert_eq!(
            parsed.answer_boxes().iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(),
            ["chairs", "chairs"]
        );
    }

    #[test]
    fn a_box_that_begins_a_clause_is_labelled_by_what_follows() {
        let labels = |inner: &str| -> Vec<String> {
            let parsed =
                parse(&format!("<think></think><answer>{}</answer>", inner.replace('#', "<obj>1,2,3,4,5,6</obj>")));
            parsed.unwrap().answer_boxes().into_iter().map(|(label, _)| label).collect()
        };
        assert_eq!(labels("# a red chair; # an oak desk."), ["red chair", "oak desk"]);
        assert_eq!(labels("1. go to the lamp #; 2. turn on the lamp #."), ["go to the lamp", "turn on the lamp"]);
        assert_eq!(labels("The chairs are here: #, #"), ["chairs", "chairs"]);
        assert_eq!(labels("It is here. #"), [""]);
        assert_eq!(labels("#"), [""]);
    }

    #[test]
    fn nothing_hangs_where_a_box_stood() {
        let answer =
            |inner: &str| parse(&format!(" <think>x</think> <answer>{inner}</answer> ")).unwrap().answer_text();
        let b = "<obj>1, 2, 3, 4, 5, 6</obj>";
        assert_eq!(answer(&format!("It is here: {b}.")), "It is here.");
        assert_eq!(answer(&format!("The chair ({b}) is red")), "The chair is red");
        assert_eq!(answer(&format!("the chair {b}, and the desk {b} ")), "the chair, and the desk");
        assert_eq!(answer(b), "");
    }

    /// Spans as the parser gives them: no empty text, no two texts in a row.
    fn any_spans() -> impl Strategy<Value = Vec<Span>> {
        let text = "[a-zA-Z0-9 ,.:>ä/]{1,12}";
        proptest::collection::vec((proptest::option::of(text), any::<[u8; 3]>(), any::<[u8; 3]>()), 0..4).prop_map(
            |parts| {
                let boxed = |center, extent| Span::Box(TextBox { center, extent });
                parts.into_iter().flat_map(|(t, c, e)| t.map(Span::Text).into_iter().chain([boxed(c, e)])).collect()
            },
        )
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(text in ".{0,80}", marks in proptest::collection::vec(0usize..8, 0..8)) {
            let all = ["<think>", "</think>", "<answer>", "</answer>", "<obj>", "</obj>", "1, 2", "ä"];
            let mixed: String = marks.iter().map(|&i| all[i]).collect::<String>() + &text;
            let _ = parse(&mixed);
            let _ = parse(&text);
        }

        #[test]
        fn what_is_printed_is_read_back(think in any_spans(), mut answer in any_spans()) {
            answer.push(Span::Text("red".to_owned()));
            let parsed = Parsed { think, answer };
            prop_assert_eq!(parse(&parsed.to_string()).unwrap(), parsed);
        }
    }
}
