//! Facts of a room in; two or three turns of a talk, of which the last rests on those before, out.

use std::cmp::Ordering;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::ask::a_few;
use super::facts::{Facts, Rest};
use super::grounding::here;
use super::question::{Text, pick};
use super::words::{a, does, is, is_plural, it, it_is, plural, thing, this_is};
use super::{Question, Task};
use crate::data::Turn;
use crate::rooms::Object;

/// Questions of one kind at most.
const MOST: usize = 6;

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let named = facts.named();
    let mut out = Vec::new();
    for (o, name) in a_few(named.clone(), MOST, rng) {
        if name == o.class {
            out.push(color(o, rng));
        }
        out.push(show(o, &name, rng));
    }
    let mut placed = Vec::new();
    for (thing, name) in &named {
        if let Rest::On(host) = facts.rest(thing)
            && facts.knows(host)
        {
            placed.push(support(thing, name, host, rng));
        }
    }
    out.extend(a_few(placed, MOST, rng));
    out.extend(a_few(there(facts, &named, rng), MOST, rng));
    out.extend(a_few(which(facts, &named, rng), MOST, rng));
    out
}

fn turn(question: String, answer: impl Into<String>) -> Turn {
    Turn { question, answer: answer.into() }
}

fn choose(forms: &[String], rng: &mut ChaCha8Rng) -> String {
    forms.choose(rng).cloned().unwrap_or_default()
}

/// "Is there a bed?" "yes"
fn is_there(o: &Object, name: &str, rng: &mut ChaCha8Rng) -> Turn {
    let verb = if is_plural(o.class) { "Are" } else { "Is" };
    let one = a(name, o.class);
    let forms = [
        format!("{verb} there {one}?"),
        format!("Do you see {one}?"),
        format!("Can you find {one}?"),
        format!("Does the room have {one}?"),
    ];
    turn(choose(&forms, rng), "yes")
}

fn dialogue(subtype: &'static str, turns: Vec<Turn>, asked: Text, think: Text, answer: Text) -> Question {
    let mut question = Question::new(Task::Dialogue, subtype, asked, think, answer);
    question.turns = turns;
    question
}

/// The beginning of every chain: what the reference means.
fn meant(pronoun: &str, name: &str) -> Text {
    Text::new(format!("First, I read that {pronoun} means the {name}. Next, I look for the {name} and find "))
}

fn they(class: &str) -> &'static str {
    if is_plural(class) { "they" } else { "it" }
}

fn color(o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (is, it) = (is(o.class), they(o.class));
    let name = o.class;
    let forms = [
        format!("What color {is} {it}?"),
        format!("And what color {is} {it}?"),
        format!("Which color {} {it} have?", does(o.class)),
        "Tell me the color of that one.".to_owned(),
        "What color is that one?".to_owned(),
        format!("And the color? What {is} {it}?"),
    ];
    let mut turns = vec![is_there(o, name, rng)];
    if rng.random() {
        let only = if is_plural(name) { "Are those the only ones?" } else { "Is that the only one?" };
        turns.push(turn(only.to_owned(), "yes"));
    }
    let think = meant(it, name).see(o).text(format!(
        ". Then I look at the color, and {} {}. So the color is {}.",
        it_is(o.class),
        o.color,
        o.color
    ));
    dialogue("color", turns, pick(rng, &forms), think, Text::new(o.color)).about([o.id])
}

fn show(o: &Object, name: &str, rng: &mut ChaCha8Rng) -> Question {
    let it = it(o.class);
    let is = is(o.class);
    let forms = [
        format!("Show me {it}."),
        format!("Where {is} {}?", they(o.class)),
        format!("Go to {it}."),
        format!("Point at {it}."),
        "Show me that one.".to_owned(),
        "Where is that one?".to_owned(),
        "Go there.".to_owned(),
    ];
    let turns = if name == o.class {
        vec![turn(format!("What color {is} the {name}?"), o.color)]
    } else {
        vec![is_there(o, name, rng)]
    };
    let think = meant("this", name).see(o).text(format!(
        ". Then I check that this is the one. So {} the {}.",
        this_is(o.class),
        thing(o)
    ));
    dialogue("show", turns, pick(rng, &forms), think, here(o)).at(vec![o.id])
}

fn support(thing: &Object, name: &str, host: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (is, they) = (is(thing.class), they(thing.class));
    let forms = [
        format!("What {is} {they} standing on?"),
        format!("What is under {}?", it(thing.class)),
        format!("And what {} {they} stand on?", does(thing.class)),
        "What is under that one?".to_owned(),
        format!("On what {is} {they}?"),
        "Tell me what is under that one.".to_owned(),
    ];
    let c = host.class;
    let mut turns = vec![is_there(thing, name, rng)];
    if name == thing.class && rng.random() {
        turns.push(turn(format!("What color {is} {they}?"), thing.color));
    }
    let think = meant(they, name)
        .see(thing)
        .text(format!(". Then I look at what is under {} and find ", it(thing.class)))
        .see(host)
        .text(format!(". So the {name} {is} on the {c}."));
    dialogue("support", turns, pick(rng, &forms), think, Text::new(c))
        .or([format!("the {c}"), a(c, c), super::words::a_thing(host)])
        .about([thing.id, host.id])
}

/// "What is on the desk?" "a lamp" "What else is there?"
fn there(facts: &Facts<'_>, named: &[(&Object, String)], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (host, name) in named {
        let loads = facts.loads(host);
        let [one, two] = loads[..] else { continue };
        if one.class == two.class || !facts.knows(one) || !facts.knows(two) {
            continue;
        }
        let (said, asked) = if rng.random() { (one, two) } else { (two, one) };
        let forms = [
            "What else is there?".to_owned(),
            "What else is on it?".to_owned(),
            "And what else is there?".to_owned(),
            "Which other object is there?".to_owned(),
            "Tell me what else is there.".to_owned(),
            "And the other thing there?".to_owned(),
        ];
        let turns = vec![
            turn(format!("How many things are on the {name}?"), "2"),
            turn("What is one of them?".to_owned(), a(said.class, said.class)),
        ];
        let c = asked.class;
        let think = Text::new(format!("First, I read that there means the {name} at "))
            .see(host)
            .text(format!(". Next, I look for what is on it besides the {} and find ", said.class))
            .see(asked)
            .text(format!(". So the other object there is the {c}."));
        out.push(
            dialogue("there", turns, pick(rng, &forms), think, Text::new(c))
                .or([format!("the {c}"), a(c, c), super::words::a_thing(asked)])
                .about([asked.id, host.id, said.id]),
        );
    }
    out
}

/// "How many chairs are there?" "3" "Show me the one nearest to the bed."
fn which(facts: &Facts<'_>, named: &[(&Object, String)], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (class, objects) in facts.classes().filter(|(_, o)| (2..=4).contains(&o.len())) {
        let count = turn(format!("How many {} are there?", plural(class)), objects.len().to_string());
        for (anchor, name) in named.iter().filter(|(anchor, _)| anchor.class != class) {
            let Some(o) = Facts::extreme(anchor, objects, Ordering::Less) else { continue };
            let forms = [
                format!("Which one is nearest to the {name}?"),
                format!("Show me the one nearest to the {name}."),
                format!("Go to the one closest to the {name}."),
                format!("Where is the one nearest to the {name}?"),
                format!("And which of them is closest to the {name}?"),
                format!("Point at the one nearest to the {name}."),
            ];
            let think = Text::new(format!("First, I read that they are {}, and find ", plural(class)))
                .see(anchor)
                .text(". Next, I compare their distances, and the nearest one is ")
                .see(o)
                .text(format!(". So the {class} nearest to the {name} {} the {}.", is(class), thing(o)));
            let asked = pick(rng, &forms);
            out.push(dialogue("which", vec![count.clone()], asked, think, here(o)).at(vec![o.id]).about([anchor.id]));
        }
        for o in objects.iter().filter(|o| facts.name(o).is_some()) {
            let color = o.color;
            let forms = [
                format!("Show me the {color} one."),
                format!("Where is the {color} one?"),
                format!("Go to the {color} one."),
                format!("Point at the {color} one."),
                format!("Find the {color} one."),
                format!("And which of them is {color}?"),
            ];
            let think = Text::new(format!(
                "First, I read that they are {}. Next, I look for the {color} one and find ",
                plural(class)
            ))
            .see(o)
            .text(format!(". Then I check, and that is what I look for. So this is the {color} {class}."));
            out.push(dialogue("which", vec![count.clone()], pick(rng, &forms), think, here(o)).at(vec![o.id]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::check::asked;

    #[test]
    fn answers_agree_with_the_room() {
        for (room, q) in asked(super::Task::Dialogue, 100) {
            let text = q.prompt(&mut |_| String::new());
            assert!((1..=2).contains(&q.turns.len()) && text.starts_with("Q: ") && text.contains(" A: "), "{text}");
            let first = &room.objects[q.referents[0]];
            let same = |o: &&crate::rooms::Object| o.class == first.class;
            match q.subtype {
                "color" => {
                    assert_eq!((q.answers[0].as_str(), room.objects.iter().filter(same).count()), (first.color, 1))
                }
                "support" => assert_eq!(room.objects[first.supported_by.unwrap()].class, q.answers[0], "{text}"),
                "there" => {
                    let (host, said) = (q.referents[1], &room.objects[q.referents[2]]);
                    let on: Vec<_> = room.objects.iter().filter(|o| o.supported_by == Some(host)).collect();
                    assert!(on.len() == 2 && text.contains(said.class) && q.answers[0] == first.class, "{text}");
                }
                "which" if q.referents.len() == 1 => {
                    assert!(text.contains(first.color));
                    assert_eq!(room.objects.iter().filter(same).filter(|o| o.color == first.color).count(), 1);
                }
                "which" => {
                    let anchor = room.objects[q.referents[1]].bbox.center;
                    let far =
                        |o: &crate::rooms::Object| (o.bbox.center[0] - anchor[0]).hypot(o.bbox.center[1] - anchor[1]);
                    assert!(
                        room.objects.iter().filter(same).all(|o| o.id == first.id || far(o) > far(first)),
                        "{text}"
                    );
                }
                _ => assert_eq!(q.targets, [first.id]),
            }
        }
    }
}
