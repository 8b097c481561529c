//! What a vision-language model wrote about a view in, its rectangles in pixels of the image that it saw and its plain answer
//! out, with every item that is of no use and the reason.
//!
//! Qwen2.5-VL reports objects as `[{"bbox_2d": [x1, y1, x2, y2], "label": "..."}]` in absolute pixels of its resized input, in
//! a fenced block or bare (Bai et al. 2025, arXiv 2502.13923, section 2.2.1). Models also cut lists short, rename keys, swap
//! corners and repeat themselves; whatever can be read is read. Never fails, takes linear time, and keeps a bounded number.

use super::region::Rect;
use super::relaxed::{Scanner, Token, cut};

/// Text beyond this is not read, bytes.
const MAX_TEXT: usize = 1 << 18;
/// Most boxes of one text.
pub const MAX_BOXES: usize = 64;
/// Most ignored items that are listed; more are counted.
const MAX_LISTED: usize = 64;
/// Brackets within brackets that are followed.
const MAX_DEPTH: usize = 32;
/// Rectangles under one key that are kept.
const MAX_REGIONS: usize = 16;
/// Longest label and longest answer, bytes.
const MAX_LABEL: usize = 80;
const MAX_ANSWER: usize = 1000;
/// Larger coordinates are absurd, pixels.
const MAX_COORDINATE: f64 = 1.0e6;
/// A rectangle shows something from this many square pixels on.
const MIN_AREA_PX: f32 = 9.0;
/// Boxes with one label that overlap more than this are one box said twice.
const SAME_BOX_IOU: f32 = 0.9;
/// Half the side of the rectangle that stands for a point, as a share of the image's longer side.
const POINT_SHARE: f32 = 0.015;

/// What was read off a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The rectangles, in the model's order.
    pub boxes: Vec<ReadBox>,
    /// The plain answer; empty when there is none.
    pub answer: String,
    /// What was ignored, in the model's order.
    pub ignored: Vec<Ignored>,
    /// Ignored items beyond those listed.
    pub ignored_more: usize,
    /// Whether there was a list at all, an empty one too.
    pub has_list: bool,
    /// Whether the text ended within a list, as when the token budget ran out.
    pub truncated: bool,
}

/// One reported object.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadBox {
    /// Its name, never empty.
    pub label: String,
    /// Of the images that the text is about, the one it is in, from 0.
    pub image: usize,
    /// In pixels of the image that the model saw, within it.
    pub rect: Rect,
    /// The model gave a point, which `rect` is drawn around.
    pub is_point: bool,
}

/// An item that is of no use.
#[derive(Debug, Clone, PartialEq)]
pub struct Ignored {
    /// Where it starts, bytes.
    pub offset: usize,
    /// Its name, perhaps empty.
    pub label: String,
    /// Why.
    pub reason: IgnoredReason,
}

/// Why an item is of no use.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum IgnoredReason {
    /// A name without a rectangle.
    #[error("it has no box")]
    NoBox,
    /// A rectangle without a key.
    #[error("its numbers have no key such as bbox_2d")]
    NoKey,
    /// Not four numbers for a box, or two for a point.
    #[error("it has {0} numbers")]
    Count(usize),
    /// NaN or infinite.
    #[error("a coordinate is not a finite number")]
    NotFinite,
    /// Beyond any image.
    #[error("a coordinate is absurdly large")]
    Absurd,
    /// Nowhere in the image.
    #[error("it lies outside of the image")]
    Outside,
    /// Smaller than three pixels squared.
    #[error("it is too small")]
    TooSmall,
    /// The text ended before it was complete.
    #[error("the text ends within it")]
    Truncated,
    /// Said before.
    #[error("it was reported before")]
    Repeated,
    /// More than [`MAX_BOXES`].
    #[error("there are more than {MAX_BOXES} boxes")]
    TooMany,
    /// Several images, and it is said of none of them.
    #[error("it names no image")]
    NoImage,
    /// Text beyond what is read.
    #[error("the text is longer than {MAX_TEXT} bytes")]
    TextTooLong,
}

/// Reads `text` about images of the given sizes (width, height) in pixels, as the model saw them.
pub fn parse(text: &str, images: &[(u32, u32)]) -> Reading {
    let read = cut(text, MAX_TEXT);
    let mut parser = Parser::default();
    let mut scanner = Scanner::new(read);
    let mut in_code = false;
    while let Some((at, token)) = scanner.next(!parser.stack.is_empty()) {
        if token == Token::Fence {
            // code ends whatever is open
            parser.end(at);
            in_code = !in_code;
            if in_code {
                scanner.skip_language();
            }
        } else {
            parser.take(at, token);
        }
    }
    parser.end(read.len());
    let mut reading = Reading {
        answer: answer(&scanner.prose).or(parser.answer).unwrap_or_default(),
        has_list: parser.lists > 0,
        truncated: parser.truncated,
        ..Reading::default()
    };
    // an object that holds others is complete after them, and was named before
    parser.items.sort_by_key(|item| item.offset);
    for item in parser.items {
        reading.add(item, images, parser.lists);
    }
    if read.len() < text.len() {
        reading.truncated = true;
        reading.ignore(read.len(), "", IgnoredReason::TextTooLong);
    }
    reading
}

impl Reading {
    fn ignore(&mut self, offset: usize, label: &str, reason: IgnoredReason) {
        if self.ignored.len() < MAX_LISTED {
            self.ignored.push(Ignored { offset, label: label.to_owned(), reason });
        } else {
            self.ignored_more += 1;
        }
    }

    fn add(&mut self, item: Item, images: &[(u32, u32)], lists: usize) {
        let label = tidy(&item.label, MAX_LABEL);
        match self.check(&item, &label, images, lists) {
            Ok(found) => self.boxes.push(found),
            Err(reason) => self.ignore(item.offset, &label, reason),
        }
    }

    fn check(
        &self,
        item: &Item,
        label: &str,
        images: &[(u32, u32)],
        lists: usize,
    ) -> Result<ReadBox, IgnoredReason> {
        let (numbers, is_point) = match item.found {
            Found::Box(numbers) => (numbers, false),
            Found::Point([x, y]) => ([x, y, x, y], true),
            Found::Nothing(reason) => return Err(reason),
        };
        if !numbers.iter().all(|x| x.is_finite()) {
            return Err(IgnoredReason::NotFinite);
        }
        if numbers.iter().any(|x| x.abs() > MAX_COORDINATE) {
            return Err(IgnoredReason::Absurd);
        }
        let image = match item.image {
            _ if images.len() == 1 => 0,
            // images are counted from 1 in the prompt
            Some(n) => images.len().min((n - 1.0).max(0.0) as usize),
            // one list an image, in their order
            None if lists == images.len() => item.list,
            None => return Err(IgnoredReason::NoImage),
        };
        let Some(&(width, height)) = images.get(image) else { return Err(IgnoredReason::NoImage) };
        let size = [width as f32, height as f32];
        let [x1, y1, x2, y2] = numbers.map(|x| x as f32);
        let mut rect = Rect { min: [x1.min(x2), y1.min(y2)], max: [x1.max(x2), y1.max(y2)] };
        if (0..2).any(|k| rect.max[k] < 0.0 || rect.min[k] > size[k]) {
            return Err(IgnoredReason::Outside);
        }
        if is_point {
            rect = rect.grown([POINT_SHARE * size[0].max(size[1]); 2]);
        }
        let rect = Rect {
            min: std::array::from_fn(|k| rect.min[k].clamp(0.0, size[k])),
            max: std::array::from_fn(|k| rect.max[k].clamp(0.0, size[k])),
        };
        if rect.area() < MIN_AREA_PX {
            return Err(IgnoredReason::TooSmall);
        }
        let label = if label.is_empty() { "object".to_owned() } else { label.to_owned() };
        let same = |b: &&ReadBox| b.image == image && b.label == label && b.rect.iou(&rect) > SAME_BOX_IOU;
        if self.boxes.iter().any(|b| same(&b)) {
            return Err(IgnoredReason::Repeated);
        }
        if self.boxes.len() >= MAX_BOXES {
            return Err(IgnoredReason::TooMany);
        }
        Ok(ReadBox { label, image, rect, is_point })
    }
}

/// An object of a list, not checked yet.
#[derive(Debug)]
struct Item {
    offset: usize,
    label: String,
    image: Option<f64>,
    /// Which list it stands in, from 0.
    list: usize,
    found: Found,
}

#[derive(Debug, Clone, Copy)]
enum Found {
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
struct Frame {
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
struct Parser {
    stack: Vec<Frame>,
    /// Open brackets beyond [`MAX_DEPTH`].
    too_deep: usize,
    items: Vec<Item>,
    lists: usize,
    truncated: bool,
    answer: Option<String>,
}

impl Parser {
    fn take(&mut self, at: usize, token: Token) {
        match token {
            Token::Open(is_array) if self.stack.len() >= MAX_DEPTH => self.too_deep += usize::from(is_array || !is_array),
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
    fn end(&mut self, at: usize) {
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
    let digits = text.bytes().any(|b| b.is_ascii_digit()) || matches!(text.to_ascii_lowercase().trim_start_matches('-'), "nan" | "inf" | "infinity");
    if digits { text.parse().ok() } else { None }
}

/// All numbers of a string such as `(12, 30), (40, 50)`; at most five are of interest.
fn numbers_in(text: &str) -> Vec<f64> {
    let parts = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')));
    parts.filter_map(number).take(5).collect()
}

/// Single spaces, no control characters, at most `bytes` long.
fn tidy(text: &str, bytes: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()) {
        if out.len() > bytes {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    cut(&out, bytes).trim_end().to_owned()
}

/// What stands behind the last line's beginning `Answer:`, to the end of its paragraph; else all prose.
fn answer(prose: &str) -> Option<String> {
    const MARKS: [char; 6] = ['*', '#', '>', '-', '_', '`'];
    let mut marked: Option<String> = None;
    let mut all = String::new();
    let mut open = false;
    for line in prose.lines() {
        let line = line.trim().trim_start_matches(MARKS).trim_start().trim_end_matches(['*', '`']);
        let named = line.get(..6).filter(|start| start.eq_ignore_ascii_case("answer"));
        let after = named.map(|_| line[6..].trim_start_matches(MARKS).trim_start());
        if let Some(rest) = after.and_then(|rest| rest.strip_prefix(':')) {
            marked = Some(rest.trim_start_matches(MARKS).to_owned());
            open = true;
        } else if line.is_empty() {
            open = false;
        } else if open && let Some(marked) = &mut marked {
            marked.push(' ');
            marked.push_str(line);
        }
        all.push_str(line);
        all.push(' ');
    }
    let found = tidy(&marked.unwrap_or(all), MAX_ANSWER);
    (!found.is_empty()).then_some(found)
}
