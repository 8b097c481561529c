//! What a vision-language model wrote about a view in, its rectangles in pixels of the image that it saw and its plain answer
//! out, with every item that is of no use and the reason.
//!
//! Qwen2.5-VL reports objects as `[{"bbox_2d": [x1, y1, x2, y2], "label": "..."}]` in absolute pixels of its resized input, in
//! a fenced block or bare (Bai et al. 2025, arXiv 2502.13923, section 2.2.1). Models also cut lists short, rename keys, swap
//! corners and repeat themselves; whatever can be read is read. Never fails, takes linear time, and keeps a bounded number.

use super::items::{Found, Item, Parser};
use super::prose::{answer, tidy};
use super::region::Rect;
use super::relaxed::{Scanner, Token, cut};

/// Text beyond this is not read, bytes.
const MAX_TEXT: usize = 1 << 18;
/// Most boxes of one text.
pub const MAX_BOXES: usize = 64;
/// Most ignored items that are listed; more are counted.
const MAX_LISTED: usize = 64;
/// Longest label, bytes.
const MAX_LABEL: usize = 80;
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
    /// Whether the text said that this is its answer, rather than only saying it.
    pub answer_is_marked: bool,
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
    let in_list = parser.answer.take().map(|answer| (answer, true));
    let (answer, answer_is_marked) = answer(&scanner.prose).or(in_list).unwrap_or_default();
    let mut reading = Reading {
        answer,
        answer_is_marked,
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

    fn check(&self, item: &Item, label: &str, images: &[(u32, u32)], lists: usize) -> Result<ReadBox, IgnoredReason> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEEN: (u32, u32) = (640, 480);

    fn read(text: &str) -> Reading {
        parse(text, &[SEEN])
    }

    /// Labels and rectangles, as whole numbers.
    fn boxes(text: &str) -> Vec<(String, [i32; 4])> {
        let whole = |b: ReadBox| {
            let r = [b.rect.min[0], b.rect.min[1], b.rect.max[0], b.rect.max[1]];
            (b.label, r.map(|x| x.round() as i32))
        };
        read(text).boxes.into_iter().map(whole).collect()
    }

    #[test]
    fn the_published_format_and_its_variants_are_read() {
        for text in [
            "```json\n[\n\t{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}\n]\n```",
            "[{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}]",
            "```\n{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}\n```",
            "Sure! Here it is:\n[{\"label\": \"chair\", \"bbox_2d\": [10, 20, 110, 220],},]\nAnswer: there.",
            "[{'bbox_2d': [10, 20, 110, 220], 'label': 'chair'}]",
            "[{bbox_2d: [10, 20, 110, 220], label: chair}]",
            "[{\"bbox\": [10.2, 20.1, 109.8, 220.0], \"label\": \"chair\"}]",
            "[{\"box_2d\": [10, 20, 110, 220], \"name\": \"chair\"}]",
            "[{\"bounding_box\": [10, 20, 110, 220], \"object\": \"chair\"}]",
            "[{\"bbox_2d\": [110, 220, 10, 20], \"label\": \"chair\"}]",
            "[{\"bbox_2d\": [110, 20, 10, 220], \"label\": \"chair\"}]",
            "[{\"bbox_2d\": [[10, 20], [110, 220]], \"label\": \"chair\"}]",
            "[{\"bbox_2d\": [[10, 20, 110, 220]], \"label\": \"chair\"}]",
            "[{\"bbox_2d\": \"10, 20, 110, 220\", \"label\": \"chair\"}]",
            "[{\"bbox_2d\": \"(10,20),(110,220)\", \"label\": \"chair\"}]",
            "[{\"bbox_2d\": [\"10\", \"20\", \"110px\", \"220\"], \"label\": \"chair\"}]",
            "[{\"bbox_2d\": {\"x1\": 10, \"y1\": 20, \"x2\": 110, \"y2\": 220}, \"label\": \"chair\"}]",
            "[{\"xmin\": 10, \"ymin\": 20, \"xmax\": 110, \"ymax\": 220, \"label\": \"chair\"}]",
            "{\"objects\": [{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}]}",
            "[{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}, {\"bbox_2d\": [30, 40",
            "[{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"",
            "[{\"bbox_2d\": [10, 20, 110, 220], \"label\": \" chair\\n\"}]]]}}",
            "[{\"bbox_2d\": [10, 20, 110, 220], \"label\": \"chair\"}]\n[{\"bbox_2d\": [10, 20, 110, 221], \"label\": \"chair\"}]",
        ] {
            assert_eq!(boxes(text), [("chair".to_owned(), [10, 20, 110, 220])], "{text}\n{:?}", read(text));
        }
    }

    #[test]
    fn boxes_are_clamped_and_points_get_a_rectangle() {
        let of = |numbers: &str| boxes(&format!("[{{\"bbox_2d\": [{numbers}], \"label\": \"a\"}}]"));
        assert_eq!(of("-30, 20, 700, 1000")[0].1, [0, 20, 640, 480]);
        let point = read("[{\"point_2d\": [100, 200], \"label\": \"cup\"}]");
        assert!(point.boxes[0].is_point && point.boxes[0].rect.contains(&[100.0, 200.0]));
    }

    #[test]
    fn what_is_of_no_use_is_reported_with_its_reason() {
        for (text, reason) in [
            ("[{\"label\": \"chair\"}]", IgnoredReason::NoBox),
            ("[[10, 20, 110, 220]]", IgnoredReason::NoKey),
            ("[{\"bbox_2d\": [10, 20, 110], \"label\": \"a\"}]", IgnoredReason::Count(3)),
            ("[{\"bbox_2d\": [10, 20, NaN, 40], \"label\": \"a\"}]", IgnoredReason::NotFinite),
            ("[{\"bbox_2d\": [1, 2, 1e30, 4], \"label\": \"a\"}]", IgnoredReason::Absurd),
            ("[{\"bbox_2d\": [900, 2, 950, 40], \"label\": \"a\"}]", IgnoredReason::Outside),
            ("[{\"bbox_2d\": [10, 10, 11, 11], \"label\": \"a\"}]", IgnoredReason::TooSmall),
            ("[{\"bbox_2d\": [10, 20, 11", IgnoredReason::Truncated),
        ] {
            let reading = read(text);
            assert!(reading.boxes.is_empty(), "{text}");
            assert_eq!(reading.ignored.first().map(|i| i.reason), Some(reason), "{text}");
        }
    }

    #[test]
    fn answers_are_found_around_lists() {
        let text = "```json\n[]\n```\n**Answer:** two chairs";
        assert_eq!((read(text).answer.as_str(), read(text).has_list), ("two chairs", true));
        assert!(read(text).answer_is_marked);
        let plain = read("The door is open.");
        assert_eq!((plain.answer.as_str(), plain.answer_is_marked), ("The door is open.", false));
        assert_eq!(read("{\"answer\": \"red\", \"objects\": []}").answer, "red");
        assert_eq!(read(""), Reading::default());
    }

    #[test]
    fn counts_are_bounded() {
        let item = |i: usize| format!("{{\"bbox_2d\": [{i}, 0, {}, 40], \"label\": \"n{i}\"}},", i + 20);
        let reading = read(&format!("[{}]", (0..400).map(item).collect::<String>()));
        assert_eq!((reading.boxes.len(), reading.ignored.len()), (MAX_BOXES, MAX_LISTED));
        assert_eq!(reading.ignored_more, 400 - MAX_BOXES - MAX_LISTED);
        assert!(read(&"[{".repeat(200_000)).boxes.is_empty());
        assert!(read(&"x".repeat(MAX_TEXT + 9)).truncated);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([\\[\\]{}:,\"'`0-9.eE+-]|bbox_2d|label|point_2d|\\PC|\n|```){0,120}") {
            for b in read(&text).boxes {
                prop_assert!(b.rect.min.iter().all(|x| *x >= 0.0) && b.rect.max[0] <= 640.0 && b.rect.max[1] <= 480.0);
                prop_assert!(!b.label.is_empty());
            }
        }
    }
}
