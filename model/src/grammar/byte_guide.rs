//! One byte of a text in, the states from which it can still end in the grammar out: the language of [`parse`](super::parse),
//! exactly, for models whose tokens are any bytes.

use super::marks::{ANSWER_CLOSE, ANSWER_OPEN, BOX_CLOSE, BOX_NUMBERS, BOX_OPEN, MARKS, THINK_CLOSE, THINK_OPEN};
use super::utf8::{Grown, PartialChar};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// Before `<think>`.
    Start,
    /// In the reasoning.
    Think,
    /// Behind `</think>`.
    Between,
    /// In the answer, which says nothing yet.
    Silent,
    /// In the answer, which says something.
    Answer,
    /// Behind `</answer>`.
    Done,
}

/// How far the number of a box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Digits {
    /// None yet.
    None,
    /// So much; numbers that may go on in the same ways are one.
    Some(u8),
    /// White space stands behind it.
    Over,
}

/// Where a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct BoxState {
    /// Which of its numbers.
    number: usize,
    digits: Digits,
}

/// The start of a mark: its first `length` bytes, of the first of [`MARKS`] that begins so. Of length 0 there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Prefix {
    mark: usize,
    length: usize,
}

const NO_PREFIX: Prefix = Prefix { mark: 0, length: 0 };
/// `<`, with which all marks begin.
const ANY_MARK: Prefix = Prefix { mark: 0, length: 1 };

/// Where a text stands in the grammar, whatever bytes led there; some text can always end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteGuide {
    place: Place,
    in_box: Option<BoxState>,
    prefix: Prefix,
    partial: Option<PartialChar>,
}

impl Default for ByteGuide {
    fn default() -> Self {
        Self { place: Place::Start, in_box: None, prefix: NO_PREFIX, partial: None }
    }
}

impl ByteGuide {
    /// Whether the text so far parses.
    pub fn is_done(self) -> bool {
        self.place == Place::Done && self.partial.is_none()
    }

    /// Whether the reasoning is not closed yet.
    pub(super) fn is_thinking(self) -> bool {
        matches!(self.place, Place::Start | Place::Think)
    }

    /// With one more byte; None where no text of the grammar goes on so.
    pub fn next(self, byte: u8) -> Option<Self> {
        if let Some(partial) = self.partial {
            return match partial.grow(byte)? {
                Grown::Partial(partial) => self.with_partial(partial),
                Grown::Whole(white) => Self { partial: None, ..self }.character(white),
            };
        }
        if byte.is_ascii() {
            return self.ascii(byte);
        }
        let next = self.without_prefix()?;
        // in a box it must become white space, and is as good as that
        let next = if next.in_box.is_some() { next.character(true)? } else { next };
        next.with_partial(PartialChar::begin(byte, next.only_white() || next.place == Place::Silent)?)
    }

    /// Whether nothing but white space and ASCII may stand here.
    fn only_white(self) -> bool {
        self.in_box.is_some() || matches!(self.place, Place::Start | Place::Between | Place::Done)
    }

    fn with_partial(self, partial: PartialChar) -> Option<Self> {
        let fits = !self.only_white() || partial.can_be_white();
        fits.then_some(Self { partial: Some(partial), ..self })
    }

    /// Where what looked like a mark is none: text, where there may be text.
    fn without_prefix(self) -> Option<Self> {
        match self.prefix.length {
            0 => Some(self),
            _ if self.only_white() => None,
            _ => Self { prefix: NO_PREFIX, ..self }.character(false),
        }
    }

    /// With a character that is no part of a mark, nor of a number.
    fn character(self, white: bool) -> Option<Self> {
        match self.in_box {
            Some(state) if white => {
                let digits = if state.digits == Digits::None { Digits::None } else { Digits::Over };
                Some(Self { in_box: Some(BoxState { digits, ..state }), ..self })
            }
            None if white => Some(self),
            None if !self.only_white() => Some(self.speaking()),
            _ => None,
        }
    }

    /// The answer says something now, if it is one.
    fn speaking(self) -> Self {
        let place = if self.place == Place::Silent { Place::Answer } else { self.place };
        Self { place, ..self }
    }

    fn ascii(self, byte: u8) -> Option<Self> {
        if self.prefix.length > 0
            && let Some(prefix) = grown(self.prefix, byte)
        {
            return if prefix.length == MARKS[prefix.mark].len() {
                Self { prefix: NO_PREFIX, ..self }.mark(MARKS[prefix.mark])
            } else {
                self.with_prefix(prefix)
            };
        }
        let next = self.without_prefix()?;
        match (byte, next.in_box) {
            (b'<', _) => next.with_prefix(ANY_MARK),
            (b'0'..=b'9', Some(state)) => next.with_box(state.digit(byte - b'0')?),
            (b',', Some(state)) => next.with_box(state.comma()?),
            _ => next.character(char::from(byte).is_whitespace()),
        }
    }

    fn with_box(self, state: BoxState) -> Option<Self> {
        Some(Self { in_box: Some(state), ..self })
    }

    /// With the start of a mark; where there may be no text it must become one that may stand here.
    fn with_prefix(self, prefix: Prefix) -> Option<Self> {
        let wanted = match (self.place, self.in_box) {
            (_, Some(state)) => state.is_whole().then_some(BOX_CLOSE),
            (Place::Start, None) => Some(THINK_OPEN),
            (Place::Between, None) => Some(ANSWER_OPEN),
            (Place::Done, None) => None,
            (Place::Think | Place::Silent | Place::Answer, None) => return Some(Self { prefix, ..self }),
        };
        let written = &MARKS[prefix.mark][..prefix.length];
        wanted.is_some_and(|mark| mark.starts_with(written)).then_some(Self { prefix, ..self })
    }

    /// With a whole mark.
    fn mark(self, mark: &str) -> Option<Self> {
        let place = |place| Some(Self { place, ..self });
        match (self.place, mark) {
            (_, BOX_CLOSE) if self.in_box.is_some_and(BoxState::is_whole) => Some(Self { in_box: None, ..self }),
            _ if self.in_box.is_some() => None,
            (Place::Start, THINK_OPEN) => place(Place::Think),
            (Place::Think, THINK_CLOSE) => place(Place::Between),
            (Place::Between, ANSWER_OPEN) => place(Place::Silent),
            (Place::Answer, ANSWER_CLOSE) => place(Place::Done),
            // a box says something, and what is begun must become one
            (Place::Think | Place::Silent | Place::Answer, BOX_OPEN) => {
                self.speaking().with_box(BoxState { number: 0, digits: Digits::None })
            }
            _ => None,
        }
    }
}

impl BoxState {
    fn is_whole(self) -> bool {
        self.number + 1 == BOX_NUMBERS && self.digits != Digits::None
    }

    fn comma(self) -> Option<Self> {
        let fits = self.number + 1 < BOX_NUMBERS && self.digits != Digits::None;
        fits.then_some(Self { number: self.number + 1, digits: Digits::None })
    }

    fn digit(self, digit: u8) -> Option<Self> {
        let value = match self.digits {
            Digits::None => digit,
            Digits::Some(value) => value.checked_mul(10)?.checked_add(digit)?,
            Digits::Over => return None,
        };
        // behind 3 to 24 any one digit may follow, behind 26 and more none
        let value = match value {
            0..=2 | 25 => value,
            3..=24 => 3,
            26.. => 26,
        };
        Some(Self { digits: Digits::Some(value), ..self })
    }
}

/// `prefix` with one more byte, where some mark goes on so.
fn grown(prefix: Prefix, byte: u8) -> Option<Prefix> {
    let written = &MARKS[prefix.mark].as_bytes()[..prefix.length];
    let goes_on =
        |mark: &str| mark.as_bytes().starts_with(written) && mark.as_bytes().get(prefix.length) == Some(&byte);
    MARKS.iter().position(|mark| goes_on(mark)).map(|mark| Prefix { mark, length: prefix.length + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;
    use proptest::prelude::*;

    /// Whether the guide takes every byte of `text` and is done behind it.
    fn accepts(text: &str) -> bool {
        text.bytes().try_fold(ByteGuide::default(), ByteGuide::next).is_some_and(ByteGuide::is_done)
    }

    #[test]
    fn numbers_of_a_box_are_those_of_the_parser() {
        for n in 0..1200 {
            for text in [format!("{n}"), format!("0{n}"), format!("{n}\u{2003}"), format!(" {n}0"), format!("{n} 0")] {
                let text = format!("<think></think><answer><obj>{text},2,3,4,5,{text}</obj></answer>");
                assert_eq!(accepts(&text), parse(&text).is_ok(), "{text}");
            }
        }
    }

    /// Pieces of which texts near the grammar are made.
    const PIECES: [&str; 32] = [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<obj>",
        "</obj>",
        "<obj>1,2, 3 ,4,5,255</obj>",
        "<think></think>",
        "<answer>",
        "x</answer>",
        "<",
        "</",
        "<o",
        "</t",
        "<answer",
        "</answer",
        ">",
        "/",
        "1",
        ",",
        " ",
        "\n",
        "\u{B}",
        "\u{A0}",
        "\u{85}",
        "\u{2028}",
        "\u{3000}",
        "ä",
        "椅",
        "🪑",
        "a < b",
        "</thin",
    ];

    fn near_the_grammar() -> impl Strategy<Value = String> {
        let text = |n| {
            proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..n).prop_map(|pieces| pieces.concat())
        };
        prop_oneof![
            text(8),
            (text(2), text(4), text(2), text(4), text(2))
                .prop_map(|(a, b, c, d, e)| format!("{a}<think>{b}</think>{c}<answer>{d}</answer>{e}")),
        ]
    }

    /// A text of the grammar, by its definition.
    fn in_the_grammar() -> impl Strategy<Value = String> {
        let white = "[ \n\t\u{A0}\u{2003}\u{3000}]{0,2}";
        let number = (white, "0{0,2}", any::<u8>(), white).prop_map(|(a, zeros, n, b)| format!("{a}{zeros}{n}{b}"));
        let boxed = proptest::collection::vec(number, BOX_NUMBERS).prop_map(|n| format!("<obj>{}</obj>", n.join(",")));
        let piece = || prop_oneof![boxed.clone(), "\\PC{0,6}", Just("<".to_owned()), Just("</answe".to_owned())];
        let part = move || proptest::collection::vec(piece(), 0..4).prop_map(|pieces| pieces.concat());
        (white, part(), white, part(), white)
            .prop_map(|(a, think, b, answer, c)| format!("{a}<think>{think}</think>{b}<answer>{answer}x</answer>{c}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn guide_and_parser_agree(text in near_the_grammar()) {
            prop_assert_eq!(accepts(&text), parse(&text).is_ok());
        }

        #[test]
        fn texts_of_the_grammar_are_taken(text in in_the_grammar()) {
            prop_assert!(parse(&text).is_ok() && accepts(&text));
        }

        /// Bytes changed at random, so that some are no UTF-8 either.
        #[test]
        fn guide_and_parser_agree_near_good_texts(
            text in in_the_grammar(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0u8..4), 1..3),
        ) {
            let mut bytes = text.into_bytes();
            for (place, byte, kind) in changes {
                let at = place.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, b"<>/01, "[usize::from(byte) % 7]),
                    2 => bytes.truncate(at.max(1)),
                    _ => _ = bytes.remove(at),
                }
            }
            let taken = bytes.iter().copied().try_fold(ByteGuide::default(), ByteGuide::next);
            let parses = std::str::from_utf8(&bytes).is_ok_and(|text| parse(text).is_ok());
            prop_assert_eq!(taken.is_some_and(ByteGuide::is_done), parses, "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
