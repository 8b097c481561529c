//! The tokens of a model's lists in, the objects that they report out, not checked yet.

use super::parse::IgnoredReason;
use super::prose::{MAX_ANSWER, tidy};
use super::relaxed::Token;

/// Rectangles under one key that are kept.
const MAX_REGIONS: usize = 16;
/// Brackets within brackets that are followed.
const MAX_DEPTH: usize = 32;

/// An object of a list, not checked yet.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) offset: usize,
    pub(super) label: String,
    pub(super) image: Option<f64>,
    /// Which list it stands in, from 0.
    pub(super) list: usize,
    pub(super) found: Found,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Box([f64; 4]),
    Point([f64; 2]),
    Nothing(IgnoredReason),
}

/// What a key announces.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Box,
    Point,
    Label,
    Image,
    Answer,
    /// One of x1, y1, x2, y2.
    Corner(usize),
    Other,
}

impl Key {
    fn named(name: &str) -> Self {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match name.as_str() {
            "bbox2d" | "bbox" | "box2d" | "box" | "boundingbox" | "boundingbox2d" | "bboxes" | "bboxes2d" | "boxes"
            | "coordinates" => Self::Box,
            "point2d" | "point" => Self::Point,
            "label" | "name" | "object" | "class" | "category" | "sublabel" => Self::Label,
            "image" | "imageid" | "imageindex" | "view" | "picture" | "frame" => Self::Image,
            "answer" => Self::Answer,
            "x1" | "xmin" | "left" => Self::Corner(0),
            "y1" | "ymin" | "top" => Self::Corner(1),
            "x2" | "xmax" | "right" => Self::Corner(2),
            "y2" | "ymax" | "bottom" => Self::Corner(3),
            _ => Self::Other,
        }
    }
}

/// An open bracket.
#[derive(Debug, Default)]
pub(super) struct Frame {
    is_array: bool,
    offset: usize,
    // of an object
    name: Option<String>,
    key: Option<Key>,
    label: Option<String>,
    image: Option<f64>,
    corners: [Option<f64>; 4],
    // of an array: numbers counted, the first four kept, and two numbers each of the arrays in it
    count: usize,
    numbers: [f64; 4],
    pairs: Vec<[f64; 2]>,
    // of both
    found: Vec<Found>,
}

impl Frame {
    fn keep(&mut self, found: Found) {
        if self.found.len() < MAX_REGIONS {
            self.found.push(found);
        }
    }

    fn number(&mut self, x: f64) {
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = x;
        }
        self.count = self.count.saturating_add(1);
    }
}

#[derive(Debug, Default)]
pub(super) struct Parser {
    pub(super) stack: Vec<Frame>,
    /// Open brackets beyond [`MAX_DEPTH`].
    too_deep: usize,
    pub(super) items: Vec<Item>,
    pub(super) lists: usize,
    pub(super) truncated: bool,
    pub(super) answer: Option<String>,
}

impl Parser {
    pub(super) fn take(&mut self, at: usize, token: Token) {
        match token {
            Token::Open(_) if self.stack.len() >= MAX_DEPTH => self.too_deep += 1,
            Token::Open(is_array) => self.stack.push(Frame { is_array, offset: at, ..Frame::default() }),
            Token::Close(_) if self.too_deep > 0 => self.too_deep -= 1,
            _ if self.too_deep > 0 => {}
            Token::Close(is_array) => {
                // a bracket of the wrong kind closes what is open within its own
                if self.stack.iter().any(|frame| frame.is_array == is_array) {
                    while let Some(frame) = self.stack.pop() {
                        let done = frame.is_array == is_array;
                        self.close(frame, false);
                        if done {
                            break;
                        }
                    }
                }
            }
            Token::Colon => {
                if let Some(frame) = self.stack.last_mut() {
                    frame.key = frame.name.take().map(|name| Key::named(&name));
                }
            }
            Token::Comma => {
                if let Some(frame) = self.stack.last_mut() {
                    (frame.key, frame.name) = (None, None);
                }
            }
            Token::Text(text) => self.scalar(text, true),
            Token::Word(text) => self.scalar(text, false),
            Token::Fence => {}
        }
    }

    fn scalar(&mut self, text: String, quoted: bool) {
        let Some(frame) = self.stack.last_mut() else { return };
        if frame.is_array {
            // what is no number among numbers spoils the box, and is none among words
            if let Some(x) = number(&text) {
                frame.number(x);
            } else if !quoted || frame.count > 0 {
                frame.number(f64::NAN);
            }
            return;
        }
        let Some(key) = frame.key.take() else {
            frame.name = Some(text);
            return;
        };
        match key {
            Key::Label if frame.label.is_none() => frame.label = Some(text),
            Key::Answer if quoted => self.answer = Some(tidy(&text, MAX_ANSWER)).filter(|a| !a.is_empty()),
            Key::Image => frame.image = numbers_in(&text).first().copied(),
            Key::Corner(i) => frame.corners[i] = number(&text),
            Key::Box | Key::Point => {
                let all = numbers_in(&text);
                let found = match (key, all.as_slice()) {
                    (Key::Box, &[a, b, c, d]) => Found::Box([a, b, c, d]),
                    (Key::Point, &[x, y]) => Found::Point([x, y]),
                    _ => Found::Nothing(IgnoredReason::Count(all.len())),
                };
                frame.keep(found);
            }
            _ => {}
        }
    }

    /// Hands what a bracket held to the one around it, or reports it.
    fn close(&mut self, mut frame: Frame, cut_short: bool) {
        let list = self.lists;
        self.lists += usize::from(self.stack.is_empty());
        if !frame.is_array {
            if let [Some(a), Some(b), Some(c), Some(d)] = frame.corners {
                frame.keep(Found::Box([a, b, c, d]));
            }
            // "bbox_2d": {"x1": ...}
            if let Some(outer) = self.stack.last_mut().filter(|o| o.key == Some(Key::Box) && frame.label.is_none()) {
                frame.found.iter().for_each(|found| outer.keep(*found));
                return;
            }
            let label = frame.label.clone().unwrap_or_default();
            if frame.found.is_empty() && (cut_short || !label.is_empty()) {
                let reason = if cut_short { IgnoredReason::Truncated } else { IgnoredReason::NoBox };
                // an object around others may well have a name
                if !self.items.iter().rev().take(1).any(|item| item.offset > frame.offset) {
                    frame.keep(Found::Nothing(reason));
                }
            }
            for found in frame.found {
                self.items.push(Item { offset: frame.offset, label: label.clone(), image: frame.image, list, found });
            }
            return;
        }
        let outer = self.stack.last_mut();
        let key = outer.as_ref().and_then(|o| o.key);
        let own = match (frame.count, frame.pairs.as_slice(), key) {
            (0, &[[a, b], [c, d]], Some(Key::Box)) => Some(Found::Box([a, b, c, d])),
            (0, ..) => None,
            _ if cut_short => Some(Found::Nothing(IgnoredReason::Truncated)),
            (2, _, Some(Key::Point)) => Some(Found::Point([frame.numbers[0], frame.numbers[1]])),
            (4, ..) if key != Some(Key::Point) => Some(Found::Box(frame.numbers)),
            (count, _, Some(Key::Box | Key::Point)) => Some(Found::Nothing(IgnoredReason::Count(count))),
            _ => None,
        };
        let two = (frame.count == 2).then_some([frame.numbers[0], frame.numbers[1]]);
        match outer {
            Some(outer) if outer.is_array => {
                own.into_iter().chain(frame.found).for_each(|found| outer.keep(found));
                if let Some(two) = two.filter(|_| outer.pairs.len() < 3) {
                    outer.pairs.push(two);
                }
            }
            Some(outer) if matches!(key, Some(Key::Box | Key::Point)) => {
                own.into_iter().chain(frame.found).for_each(|found| outer.keep(found));
                outer.key = None;
            }
            _ => {
                for found in own.into_iter().chain(frame.found).take(MAX_REGIONS) {
                    let reason = match found {
                        Found::Nothing(reason) => reason,
                        _ => IgnoredReason::NoKey,
                    };
                    let found = Found::Nothing(reason);
                    self.items.push(Item { offset: frame.offset, label: String::new(), image: None, list, found });
                }
            }
        }
    }

    /// The text, or the code in it, ends here.
    pub(super) fn end(&mut self, at: usize) {
        self.truncated |= !self.stack.is_empty();
        self.too_deep = 0;
        while let Some(frame) = self.stack.pop() {
            // an empty list that the text ends in says nothing
            if at > frame.offset {
                self.close(frame, true);
            }
        }
    }
}

/// A number, also one in quotes, with a unit or as NaN.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches("px").trim_end();
    let digits = text.bytes().any(|b| b.is_ascii_digit())
        || matches!(text.to_ascii_lowercase().trim_start_matches('-'), "nan" | "inf" | "infinity");
    if digits { text.parse().ok() } else { None }
}

/// All numbers of a string such as `(12, 30), (40, 50)`; at most five are of interest.
fn numbers_in(text: &str) -> Vec<f64> {
    let parts = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')));
    parts.filter_map(number).take(5).collect()
}
