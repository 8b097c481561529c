//! Tokens written so far in, the tokens that may follow out: decoding that cannot leave the grammar.
//!
//! A planner that gets a box must be able to read it. Greedy decoding takes the likeliest token of those that the guide
//! allows; where the model keeps to the grammar by itself, nothing changes.

use std::sync::Arc;

use super::marks::BOX_NUMBERS;
use crate::error::ModelError;
use crate::tokenizer::{SpecialTokens, Tokenizer};

/// Tokens that are kept back to close what is open: a whole box, both parts' marks and the end.
const RESERVE: usize = 24;

/// What each token writes, as far as the grammar cares.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A mark; only its own id matters.
    Mark,
    /// Digits, commas and spaces: may stand in a box.
    Numeric(String),
    /// Text; true when it is more than white space.
    Text(bool),
    /// Text with a `<`, which could spell a mark.
    Unsafe,
}

/// The kinds of a vocabulary, made once for a tokenizer.
#[derive(Debug, Clone)]
pub struct GuideVocabulary {
    kinds: Arc<[Kind]>,
    special: SpecialTokens,
}

impl GuideVocabulary {
    /// Looks at every token of `tokenizer`.
    ///
    /// # Errors
    /// [`ModelError`] when a token cannot be decoded.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, ModelError> {
        let special = *tokenizer.special();
        let s = &special;
        let marks = [
            s.pad,
            s.end,
            s.scene,
            s.think_open,
            s.think_close,
            s.answer_open,
            s.answer_close,
            s.box_open,
            s.box_close,
        ];
        let kind = |id: u32| -> Result<Kind, ModelError> {
            if marks.contains(&id) {
                return Ok(Kind::Mark);
            }
            let text = tokenizer.decode(&[id])?;
            Ok(match () {
                () if text.contains('<') => Kind::Unsafe,
                () if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b' ') => {
                    Kind::Numeric(text)
                }
                () => Kind::Text(!text.trim().is_empty()),
            })
        };
        let kinds = (0..tokenizer.vocab_size() as u32).map(kind).collect::<Result<_, _>>()?;
        Ok(Self { kinds, special })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Think,
    Between,
    Answer,
    Done,
}

/// Where a text stands.
#[derive(Debug, Clone)]
pub struct Guide<'a> {
    vocabulary: &'a GuideVocabulary,
    place: Place,
    /// What stands in the open box.
    in_box: Option<String>,
    /// Whether the answer says something yet.
    said: bool,
}

impl<'a> Guide<'a> {
    /// At the start of a text.
    pub fn new(vocabulary: &'a GuideVocabulary) -> Self {
        Self { vocabulary, place: Place::Start, in_box: None, said: false }
    }

    /// Whether `token` may follow while `left` tokens, this one included, may still be written.
    pub fn allows(&self, token: u32, left: usize) -> bool {
        let s = &self.vocabulary.special;
        let Some(kind) = self.vocabulary.kinds.get(token as usize) else { return false };
        if let Some(written) = &self.in_box {
            return match kind {
                Kind::Numeric(text) => is_prefix(&format!("{written}{text}")),
                _ => token == s.box_close && is_whole(written),
            };
        }
        let closing = left <= RESERVE;
        let free = matches!(kind, Kind::Text(_) | Kind::Numeric(_)) || token == s.box_open;
        match self.place {
            Place::Start => token == s.think_open,
            Place::Think => token == s.think_close || (free && !closing),
            Place::Between => token == s.answer_open,
            Place::Answer if self.said => token == s.answer_close || (free && !closing),
            Place::Answer if closing => matches!(kind, Kind::Text(true)),
            Place::Answer => free,
            Place::Done => token == s.end,
        }
    }

    /// Takes a token that was allowed.
    pub fn advance(&mut self, token: u32) {
        let s = &self.vocabulary.special;
        let kind = self.vocabulary.kinds.get(token as usize);
        match (&mut self.in_box, kind) {
            (Some(_), _) if token == s.box_close => {
                self.in_box = None;
                self.said |= self.place == Place::Answer;
            }
            (Some(written), Some(Kind::Numeric(text))) => written.push_str(text),
            _ if token == s.think_open => self.place = Place::Think,
            _ if token == s.think_close => self.place = Place::Between,
            _ if token == s.answer_open => self.place = Place::Answer,
            _ if token == s.answer_close => self.place = Place::Done,
            _ if token == s.box_open => self.in_box = Some(String::new()),
            (None, Some(Kind::Text(true))) => self.said |= self.place == Place::Answer,
            (None, Some(Kind::Numeric(text))) => self.said |= self.place == Place::Answer && !text.trim().is_empty(),
            _ => {}
        }
    }
}

/// The numbers of a box, each but the last followed by ", "; `None` when `text` cannot be the start of one.
fn numbers(text: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = text.split(", ").collect();
    let number =
        |n: &str| n.len() <= 3 && n.bytes().all(|b| b.is_ascii_digit()) && (n.is_empty() || n.parse::<u8>().is_ok());
    let (last, whole) = parts.split_last()?;
    // the last may still be growing, its comma may still lack the space
    let growing = last.strip_suffix(',').map_or((*last, false), |n| (n, true));
    let fits = parts.len() <= BOX_NUMBERS
        && whole.iter().all(|n| !n.is_empty() && number(n))
        && number(growing.0)
        && !(growing.1 && (growing.0.is_empty() || parts.len() == BOX_NUMBERS));
    fits.then_some(parts)
}

fn is_prefix(text: &str) -> bool {
    numbers(text).is_some()
}

fn is_whole(text: &str) -> bool {
    numbers(text).is_some_and(|n| {
        n.len() == BOX_NUMBERS && n.last().is_some_and(|last| !last.is_empty() && !last.ends_with(','))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::sync::LazyLock;

    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
        let corpus = (0..40).map(|_| "First, I look for the red chair < > on the table. So 1 of 12.".to_owned());
        Tokenizer::train_bpe(corpus, 800).unwrap()
    });
    static VOCABULARY: LazyLock<GuideVocabulary> = LazyLock::new(|| GuideVocabulary::new(&TOKENIZER).unwrap());

    #[test]
    fn the_start_of_a_box_and_a_whole_one() {
        for start in ["", "2", "255", "1,", "1, ", "1, 2, 3, 4, 5, ", "1, 2, 3, 4, 5, 6"] {
            assert!(is_prefix(start), "{start}");
        }
        for wrong in
            ["256", "1,2", " 1", ",", "1,,", "1, , ", "0001", "1 2", "1, 2, 3, 4, 5, 6,", "1, 2, 3, 4, 5, 6, 7"]
        {
            assert!(!is_prefix(wrong), "{wrong}");
        }
        assert!(is_whole("1, 2, 3, 4, 5, 60") && !is_whole("1, 2, 3, 4, 5") && !is_whole("1, 2, 3, 4, 5, "));
    }

    #[test]
    fn text_in_the_grammar_is_allowed_as_it_stands() {
        let tokenizer = &*TOKENIZER;
        let mut guide = Guide::new(&VOCABULARY);
        let text =
            "<think>First, I look for the chair at <obj>1, 20, 255, 4, 5, 6</obj>.</think><answer>12 red</answer>";
        let mut tokens = tokenizer.encode(text).unwrap();
        tokens.push(tokenizer.special().end);
        for (i, &token) in tokens.iter().enumerate() {
            assert!(guide.allows(token, 1000), "token {i}: {:?}", tokenizer.decode(&[token]));
            guide.advance(token);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_model_wants_the_text_parses(seed: u64, budget in 48usize..200) {
            let tokenizer = &*TOKENIZER;
            let mut guide = Guide::new(&VOCABULARY);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut written = Vec::new();
            loop {
                prop_assert!(written.len() < budget, "{}", tokenizer.decode(&written).unwrap());
                let allowed: Vec<u32> = (0..tokenizer.vocab_size() as u32)
                    .filter(|&t| guide.allows(t, budget - written.len()))
                    .collect();
                prop_assert!(!allowed.is_empty(), "{}", tokenizer.decode(&written).unwrap());
                let token = allowed[rng.random_range(0..allowed.len())];
                if token == tokenizer.special().end {
                    break;
                }
                guide.advance(token);
                written.push(token);
            }
            let text = tokenizer.decode(&written).unwrap();
            prop_assert!(parse(&text).is_ok(), "{text}");
        }
    }
}
