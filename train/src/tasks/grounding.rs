//! Facts of a room in; descriptions with the boxes of what they describe, one, several or none, out.

use std::cmp::Ordering;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::ask::a_few;
use super::facts::{Facts, Rest, larger, most, taller};
use super::qa::{Counted, enumerate, missing_color, search};
use super::question::{Text, pick};
use super::words::{a_thing, capital, is, it, plural, thing, this_is};
use super::{Question, Task};
use crate::rooms::{COLORS, Object};

/// Fewest and most objects of one description of several.
const SEVERAL: std::ops::RangeInclusive<usize> = 2..=4;
/// Anchors that a relation is sought to.
const ANCHORS: usize = 6;
/// Share of the only ones of their class that are described by their colour too.
const COLORED_SHARE: f64 = 0.4;
/// Questions for what is not there.
const NONE: usize = 4;

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = attributes(facts, rng);
    out.extend(relations(facts, rng));
    out.extend(supports(facts, rng));
    out.extend(superlatives(facts, rng));
    out.extend(several(facts, rng));
    out.extend(a_few(nothing(facts, rng), NONE, rng));
    out
}

/// Ways to ask for `phrase`, which has its article.
pub(super) fn find(phrase: &str, is: &str, rng: &mut ChaCha8Rng) -> Text {
    let forms = [
        format!("Where {is} {phrase}?"),
        format!("Find {phrase}."),
        format!("Show me {phrase}."),
        format!("Go to {phrase}."),
        format!("Point at {phrase}."),
        format!("Look for {phrase}."),
        format!("Can you find {phrase}?"),
    ];
    pick(rng, &forms)
}

/// "The red chair is here: <obj>..</obj>".
pub(super) fn here(o: &Object) -> Text {
    Text::new(format!("The {} {} here: ", thing(o), is(o.class))).object(o)
}

fn single(subtype: &'static str, asked: Text, think: Text, o: &Object) -> Question {
    Question::new(Task::Grounding, subtype, asked, think, here(o)).at(vec![o.id])
}

fn attributes(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (o, name) in facts.named() {
        let phrase = if name == o.class && rng.random::<f64>() < COLORED_SHARE { thing(o) } else { name };
        let think = search(&format!("the {phrase}"), Some(o), true);
        let think = think.text(format!(" So {} the {}.", this_is(o.class), thing(o)));
        out.push(single("attribute", find(&format!("the {phrase}"), is(o.class), rng), think, o));
    }
    out
}

fn relations(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    let anchors = a_few(facts.named(), ANCHORS, rng);
    for (class, objects) in facts.classes().filter(|(_, o)| SEVERAL.contains(&o.len())) {
        for (anchor, name) in anchors.iter().filter(|(anchor, _)| anchor.class != class) {
            for (order, words) in
                [(Ordering::Less, ["nearest to", "closest to"]), (Ordering::Greater, ["farthest from", "far from"])]
            {
                let Some(o) = Facts::extreme(anchor, objects, order) else { continue };
                // "far from" alone says too little
                let word = if order == Ordering::Less && rng.random() { words[1] } else { words[0] };
                let phrase = format!("the {class} {word} the {name}");
                let think = Text::new(format!("First, I look for the {name} and find "))
                    .see(anchor)
                    .text(format!(
                        ". Next, I compare the distances of the {}. The one {word} {} is ",
                        plural(class),
                        it(anchor.class)
                    ))
                    .see(o)
                    .text(format!(". So {phrase} {} the {}.", is(class), thing(o)));
                out.push(single("relation", find(&phrase, is(class), rng), think, o).about([anchor.id]));
            }
        }
    }
    for (anchor, name) in &anchors {
        let Some(o) = facts.next_to(anchor) else { continue };
        let phrase = format!("the object next to the {name}");
        let think = Text::new(format!("First, I look for the {name} and find "))
            .see(anchor)
            .text(format!(". Next, I look around {}, and the nearest thing is ", it(anchor.class)))
            .see(o)
            .text(format!(". So {phrase} is the {}.", thing(o)));
        out.push(single("relation", find(&phrase, "is", rng), think, o).about([anchor.id]));
    }
    out
}

fn supports(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (host, name) in facts.named() {
        let loads = facts.loads(host);
        let others: Vec<&Object> = loads.iter().copied().filter(|o| facts.knows(o)).collect();
        for o in others {
            let alone = loads.len() == 1;
            let only_of_class = loads.iter().filter(|l| l.class == o.class).count() == 1;
            if !only_of_class {
                continue;
            }
            let phrase = if alone && rng.random() {
                format!("the object on the {name}")
            } else {
                format!("the {} on the {name}", o.class)
            };
            let agreed = if phrase.starts_with("the object") { "is" } else { is(o.class) };
            let think = Text::new(format!("First, I look for the {name} and find "))
                .see(host)
                .text(". Next, I look at what is on top and find ")
                .see(o)
                .text(format!(". So {phrase} {agreed} the {}.", thing(o)));
            out.push(single("support", find(&phrase, agreed, rng), think, o).about([host.id]));
        }
    }
    out
}

fn superlatives(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (class, objects) in facts.classes().filter(|(_, o)| SEVERAL.contains(&o.len())) {
        for (word, wanted, by_height) in [
            ("largest", Ordering::Greater, false),
            ("smallest", Ordering::Less, false),
            ("tallest", Ordering::Greater, true),
        ] {
            let found = if by_height { most(objects, wanted, taller) } else { most(objects, wanted, larger) };
            let Some(o) = found else { continue };
            out.push(superlative(&format!("the {word} {class}"), &plural(class), word, o, rng));
        }
    }
    let floor: Vec<&Object> = facts.room.objects.iter().filter(|o| facts.on_floor(o)).collect();
    for (words, wanted, compare) in [
        (["largest", "biggest"], Ordering::Greater, larger as fn(&Object, &Object) -> Option<Ordering>),
        (["tallest", "highest"], Ordering::Greater, taller),
        (["smallest", "smallest"], Ordering::Less, larger),
        (["lowest", "shortest"], Ordering::Less, taller),
    ] {
        let Some(o) = most(&floor, wanted, compare).filter(|o| facts.knows(o)) else { continue };
        for word in words {
            let things = ["object on the floor", "thing that stands on the floor"];
            let things = things[usize::from(rng.random::<bool>())];
            out.push(superlative(&format!("the {word} {things}"), "things on the floor", word, o, rng));
        }
    }
    // the tallest thing on a piece of furniture
    for (host, name) in facts.named() {
        let loads = facts.loads(host);
        if let Some(o) = most(&loads, Ordering::Greater, taller).filter(|o| facts.knows(o)) {
            let many = format!("things on the {name}");
            out.push(
                superlative(&format!("the tallest thing on the {name}"), &many, "tallest", o, rng).about([host.id]),
            );
        }
    }
    out
}

fn superlative(phrase: &str, among: &str, word: &str, o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let think = Text::new(format!("First, I look for all {among} in the views and the points."))
        .text(format!(" Next, I compare their sizes, and the {word} one is "))
        .see(o)
        .text(format!(". So {phrase} is the {}.", thing(o)));
    single("superlative", find(phrase, "is", rng), think, o)
}

fn several(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (class, objects) in facts.classes().filter(|(_, o)| SEVERAL.contains(&o.len())) {
        out.push(multiple(Counted::all(class, None), objects, facts.next_look(class, objects), rng));
    }
    for (class, objects) in facts.classes() {
        for (color, _) in COLORS {
            let of_color: Vec<&Object> = objects.iter().copied().filter(|o| o.color == color).collect();
            if SEVERAL.contains(&of_color.len()) && of_color.len() < objects.len() {
                let beyond = facts.next_look(class, &of_color);
                out.push(multiple(Counted::all(class, Some(color)), &of_color, beyond, rng));
            }
        }
    }
    for (host, name) in facts.named() {
        let loads = facts.loads(host);
        // one less than of a class: the host is pointed at too
        let several = SEVERAL.contains(&loads.len()) && SEVERAL.contains(&(loads.len() + 1));
        if several && loads.iter().all(|o| facts.knows(o)) {
            let beyond = facts.look_beside(host, &loads);
            out.push(multiple(Counted::on(host, &name), &loads, beyond, rng).about([host.id]));
        }
    }
    out
}

fn multiple(counted: Counted, objects: &[&Object], beyond: Option<&Object>, rng: &mut ChaCha8Rng) -> Question {
    let Counted { many, begun } = counted;
    let forms = [
        format!("Find all {many}."),
        format!("Show me all {many}."),
        format!("Where are the {many}?"),
        format!("Point at all {many}."),
        format!("Mark every one of the {many}."),
        format!("Look for all {many}."),
    ];
    let think =
        enumerate(begun, objects, beyond).text(format!(" That makes {}. So these are the {many}.", objects.len()));
    let mut answer = Text::new(format!("{} are here: ", capital(&format!("the {many}"))));
    for (i, o) in objects.iter().enumerate() {
        answer = answer.text(if i == 0 { "" } else { ", " }).object(o);
    }
    Question::new(Task::Grounding, "multiple", pick(rng, &forms), think, answer)
        .at(objects.iter().map(|o| o.id).collect())
}

fn nothing(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (class, objects) in facts.classes() {
        if objects.len() > *SEVERAL.end() {
            continue;
        }
        let color = match objects {
            [] => COLORS.choose(rng).filter(|_| rng.random()).map(|c| c.0),
            _ => missing_color(objects, rng),
        };
        if color.is_none() && !objects.is_empty() {
            continue;
        }
        let phrase = color.map_or_else(|| class.to_owned(), |color| format!("{color} {class}"));
        let seen = facts.next_look(class, &[]);
        let think =
            search(&format!("the {phrase}"), seen, false).text(format!(" So for the {phrase} the answer is none."));
        let asked = find(&format!("the {phrase}"), is(class), rng);
        out.push(
            Question::new(Task::Grounding, "none", asked, think, Text::new("none")).about(objects.iter().map(|o| o.id)),
        );
    }
    out
}

/// What a caption says of an object's place: "on the floor", "on a brown desk", "on the wall".
pub(super) fn place(facts: &Facts<'_>, o: &Object) -> String {
    match facts.rest(o) {
        Rest::Floor => "on the floor".to_owned(),
        Rest::Wall => "on the wall".to_owned(),
        Rest::On(host) => format!("on {}", a_thing(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{asked, color_class};
    use super::super::question::Span;
    use super::*;

    #[test]
    fn descriptions_fit_their_targets_and_nothing_else() {
        for (room, q) in asked(Task::Grounding, 120) {
            let text = q.prompt(&mut |_| String::new());
            let given: Vec<usize> =
                q.answer.iter().filter_map(|s| if let Span::Object(i) = s { Some(*i) } else { None }).collect();
            assert_eq!(given, q.targets, "{text}");
            let objects = &room.objects;
            let (color, class) = color_class(&text);
            let fits = |o: &&Object| o.class == class && color.is_none_or(|c| c == o.color);
            match q.subtype {
                "none" => {
                    assert!(given.is_empty() && q.answers == ["none"]);
                    assert_eq!(objects.iter().filter(fits).count(), 0, "{text}");
                }
                "attribute" => {
                    assert_eq!(objects.iter().filter(fits).map(|o| o.id).collect::<Vec<_>>(), given, "{text}");
                }
                "support" => {
                    let (o, host) = (&objects[given[0]], &objects[q.referents[1]]);
                    assert_eq!(o.supported_by, Some(host.id));
                    let any = text.contains("the object on");
                    let also =
                        objects.iter().filter(|x| x.supported_by == Some(host.id) && (any || x.class == o.class));
                    assert_eq!(also.count(), 1, "{text}");
                }
                "multiple" => {
                    let mut expected: Vec<&Object> = if text.contains("things on") {
                        let host = &objects[*q.referents.last().unwrap()];
                        objects.iter().filter(|o| o.supported_by == Some(host.id)).collect()
                    } else {
                        let like = &objects[given[0]];
                        let colored = text.contains(&format!(" {} ", like.color));
                        objects
                            .iter()
                            .filter(|o| o.class == like.class && (!colored || o.color == like.color))
                            .collect()
                    };
                    let key = |o: &Object| (o.bbox.center[0], o.bbox.center[1]);
                    expected.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap());
                    assert_eq!(expected.iter().map(|o| o.id).collect::<Vec<_>>(), given, "{text}");
                }
                "relation" if !text.contains("next to") => {
                    let (o, anchor) = (&objects[given[0]], &objects[q.referents[1]]);
                    let far = |x: &Object| {
                        (x.bbox.center[0] - anchor.bbox.center[0]).hypot(x.bbox.center[1] - anchor.bbox.center[1])
                    };
                    let alike = objects.iter().filter(|x| x.class == o.class && x.id != o.id);
                    let sign = if text.contains("farthest") { -1.0 } else { 1.0 };
                    assert!(
                        alike.clone().count() > 0 && alike.clone().all(|x| sign * far(x) > sign * far(o)),
                        "{text}"
                    );
                }
                "superlative" if text.contains("largest") || text.contains("smallest") => {
                    let o = &objects[given[0]];
                    let volume = |x: &Object| x.bbox.size.iter().product::<f64>();
                    let sign = if text.contains("largest") { 1.0 } else { -1.0 };
                    let on_floor = text.contains("floor");
                    let rivals = objects.iter().filter(|x| {
                        let standing = x.supported_by.is_none() && !x.is_hung();
                        x.id != o.id && if on_floor { standing } else { x.class == o.class }
                    });
                    assert!(rivals.clone().count() > 0, "{text}");
                    for rival in rivals {
                        assert!(sign * volume(rival) < sign * volume(o), "{text}: {}", rival.class);
                    }
                }
                _ => {}
            }
        }
    }
}
