//! Objects in, the words of one question out: its phrasing, the reasoning to write with its boxes, and the answer.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::layout::Object;
use super::questions::{Question, Span};

/// A target text under construction.
struct Text(Vec<Span>);

impl Text {
    fn new(text: impl Into<String>) -> Self {
        Self(vec![Span::Text(text.into())])
    }

    fn object(mut self, id: usize) -> Self {
        self.0.push(Span::Object(id));
        self
    }

    fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Text(text.into()));
        self
    }
}

/// The plural of a class name.
fn plural(class: &str) -> String {
    match class {
        "books" => "stacks of books".to_owned(),
        "bookshelf" => "bookshelves".to_owned(),
        "box" => "boxes".to_owned(),
        "bench" => "benches".to_owned(),
        other => format!("{other}s"),
    }
}

/// Whether a class name is a plural.
fn is_plural(class: &str) -> bool {
    class == "books"
}

/// "is" or "are".
fn is(class: &str) -> &'static str {
    if is_plural(class) { "are" } else { "is" }
}

/// "it" or "them".
fn it(class: &str) -> &'static str {
    if is_plural(class) { "them" } else { "it" }
}

/// "it is" or "they are".
fn it_is(class: &str) -> &'static str {
    if is_plural(class) { "they are" } else { "it is" }
}

/// The phrase with its article; `class` says whether it is a plural.
fn a(phrase: &str, class: &str) -> String {
    match phrase.chars().next() {
        _ if is_plural(class) => phrase.to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {phrase}"),
        _ => format!("a {phrase}"),
    }
}

fn pick(rng: &mut ChaCha8Rng, forms: &[String]) -> String {
    forms.choose(rng).cloned().unwrap_or_default()
}

fn question(
    subtype: &'static str,
    question: String,
    think: Text,
    answer: Text,
    answers: Vec<String>,
    referents: Vec<usize>,
) -> Question {
    let kind = if subtype == "grounding" { "grounding" } else { "qa" };
    Question { id: String::new(), kind, subtype, question, think: think.0, answer: answer.0, answers, referents }
}

pub(super) fn color(o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (c, is, it_is) = (o.class, is(o.class), it_is(o.class));
    let does = if is_plural(c) { "do" } else { "does" };
    let forms = [
        format!("What color {is} the {c}?"),
        format!("Which color {does} the {c} have?"),
        format!("Tell me the color of the {c}."),
        format!("The {c} {is} what color?"),
    ];
    let think = Text::new(format!("First, I look for the {c} in the views and the points. Next, I find the {c} at "))
        .object(o.id)
        .text(format!(" and see that {it_is} {}. So the color of the {c} is {}.", o.color, o.color));
    question("color", pick(rng, &forms), think, Text::new(o.color), vec![o.color.to_owned()], vec![o.id])
}

pub(super) fn count(class: &str, objects: &[&Object], rng: &mut ChaCha8Rng) -> Question {
    let many = plural(class);
    let forms = [
        format!("How many {many} are there?"),
        format!("Count the {many} in the room."),
        format!("What is the number of {many} here?"),
        format!("How many {many} do you see?"),
    ];
    let n = objects.len();
    let mut think = Text::new(format!("First, I look for all {many} in the views and the points."));
    if n == 0 {
        think = think.text(" Next, I find none of them.");
    } else {
        think = think.text(" Next, I find ");
        for (i, o) in objects.iter().enumerate() {
            think = think.text(if i == 0 { "one at " } else { ", one at " }).object(o.id);
        }
        think = think.text(".");
    }
    let think = think.text(format!(" That makes {n}. So the number of {many} is {n}."));
    question(
        "count",
        pick(rng, &forms),
        think,
        Text::new(n.to_string()),
        vec![n.to_string()],
        objects.iter().map(|o| o.id).collect(),
    )
}

fn exists_forms(color: &str, class: &str) -> [String; 4] {
    let one = a(&format!("{color} {class}"), class);
    let is = if is_plural(class) { "Are" } else { "Is" };
    [
        format!("{is} there {one} in the room?"),
        format!("Do you see {one}?"),
        format!("Does the room have {one}?"),
        format!("Can you find {one} here?"),
    ]
}

pub(super) fn exists_yes(o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let sought = a(&format!("{} {}", o.color, o.class), o.class);
    let think = Text::new(format!("First, I look for {sought} in the room. Next, I find {} at ", a(o.class, o.class)))
        .object(o.id)
        .text(format!(" and {} {}. That is what I look for. So the answer is yes.", it_is(o.class), o.color));
    question(
        "exists",
        pick(rng, &exists_forms(o.color, o.class)),
        think,
        Text::new("yes"),
        vec!["yes".to_owned()],
        vec![o.id],
    )
}

/// `objects` are all of the class; none is of `color`.
pub(super) fn exists_no(class: &str, color: &str, objects: &[&Object], rng: &mut ChaCha8Rng) -> Question {
    let sought = a(&format!("{color} {class}"), class);
    let mut think = Text::new(format!("First, I look for {sought} in the room. Next, I find "));
    for (i, o) in objects.iter().enumerate() {
        let joint = if i == 0 { "" } else { ", " };
        think = think.text(format!("{joint}{} at ", a(&format!("{} {class}", o.color), class))).object(o.id);
    }
    let think = think.text(". That is not what I look for. So the answer is no.");
    let referents = objects.iter().map(|o| o.id).collect();
    question("exists", pick(rng, &exists_forms(color, class)), think, Text::new("no"), vec!["no".to_owned()], referents)
}

pub(super) fn on_top(host: &Object, thing: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (h, t) = (host.class, thing.class);
    let forms = [
        format!("What is on the {h}?"),
        format!("What is on top of the {h}?"),
        format!("Which object is on the {h}?"),
        format!("What does the {h} carry?"),
    ];
    let think = Text::new(format!("First, I look for the {h} and find it at "))
        .object(host.id)
        .text(format!(". Next, I look at what is on top of it and find {} at ", a(t, t)))
        .object(thing.id)
        .text(format!(". So the object on the {h} is the {t}."));
    question("on", pick(rng, &forms), think, Text::new(t), vec![t.to_owned()], vec![thing.id, host.id])
}

/// `host` is `None` for the floor.
pub(super) fn standing_on(thing: &Object, host: Option<&Object>, rng: &mut ChaCha8Rng) -> Question {
    let (t, is, it) = (thing.class, is(thing.class), it(thing.class));
    let forms = [
        format!("What {is} the {t} standing on?"),
        format!("What is under the {t}?"),
        format!("On what {is} the {t}?"),
        format!("Which object carries the {t}?"),
    ];
    // nobody says that the floor carries something
    let asked = pick(rng, &forms[..if host.is_some() { 4 } else { 3 }]);
    let think = Text::new(format!("First, I look for the {t} and find {it} at "))
        .object(thing.id)
        .text(format!(". Next, I look at what is under {it} and find "));
    let (think, answer, referents) = match host {
        Some(host) => (
            think.text(format!("{} at ", a(host.class, host.class))).object(host.id),
            host.class,
            vec![thing.id, host.id],
        ),
        None => (think.text("the floor and no furniture"), "floor", vec![thing.id]),
    };
    let think = think.text(format!(". So the {t} {is} on the {answer}."));
    question("on", asked, think, Text::new(answer), vec![answer.to_owned()], referents)
}

pub(super) fn ground(o: &Object, phrase: String, rng: &mut ChaCha8Rng) -> Question {
    let is = is(o.class);
    let forms = [
        format!("Where {is} the {phrase}?"),
        format!("Find the {phrase}."),
        format!("Show me the {phrase}."),
        format!("Go to the {phrase}."),
        format!("Point at the {phrase}."),
    ];
    let think = Text::new(format!(
        "First, I look for the {phrase} in the views and the points. Next, I find {} at ",
        a(o.class, o.class)
    ))
    .object(o.id)
    .text(format!(" and {} {}. So this is the {phrase}.", it_is(o.class), o.color));
    question(
        "grounding",
        pick(rng, &forms),
        think,
        here(&phrase, o),
        vec![format!("the {phrase} {is} here")],
        vec![o.id],
    )
}

/// The one thing on `host`, asked for by where it is.
pub(super) fn ground_by_place(host: &Object, thing: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (h, t) = (host.class, thing.class);
    let forms = [
        format!("Show me what is on the {h}."),
        format!("Find the object on the {h}."),
        format!("Go to the object on the {h}."),
        format!("Point at what is on the {h}."),
    ];
    let think = Text::new(format!("First, I look for the {h} and find it at "))
        .object(host.id)
        .text(format!(". Next, I look at what is on top of it and find {} at ", a(t, t)))
        .object(thing.id)
        .text(format!(". So this is the {t}."));
    question(
        "grounding",
        pick(rng, &forms),
        think,
        here(t, thing),
        vec![format!("the {t} {} here", is(t))],
        vec![thing.id],
    )
}

fn here(phrase: &str, o: &Object) -> Text {
    Text::new(format!("The {phrase} {} here: ", is(o.class))).object(o.id)
}
