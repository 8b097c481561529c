//! Facts of a room in; questions about colours, numbers, what is there and what stands on what, out.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::facts::{Facts, Rest};
use super::question::{Text, pick};
use super::words::{a, a_thing, does, is, is_plural, it, it_is, number, one, plural};
use super::{Question, Task};
use crate::rooms::{COLORS, Object};

/// Most instances that are counted.
const MAX_COUNT: usize = 4;
/// Shares of the classes with no, and with one instance that may be counted: more, and those numbers answered most.
const COUNT_NONE_SHARE: f64 = 0.06;
const COUNT_ONE_SHARE: f64 = 0.3;
/// Share of the questions whether something is there that name no colour.
const PLAIN_EXISTS_SHARE: f64 = 0.4;
/// Things no larger than this along any side are picked up and put down: they may be asked what they stand on, metres.
const SMALL_M: f64 = 0.75;
/// Share of small things on the floor that may be asked what they stand on.
const ON_FLOOR_SHARE: f64 = 0.6;

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out: Vec<Question> =
        facts.classes().filter(|(_, objects)| objects.len() == 1).map(|(_, objects)| color(objects[0], rng)).collect();
    out.extend(counts(facts, rng));
    out.extend(existence(facts, rng));
    out.extend(supports(facts, rng));
    out
}

fn question(subtype: &'static str, asked: Text, think: Text, answer: &str) -> Question {
    Question::new(Task::Qa, subtype, asked, think, Text::new(answer))
}

fn color(o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (c, is, it_is, color) = (o.class, is(o.class), it_is(o.class), o.color);
    let forms = [
        format!("What color {is} the {c}?"),
        format!("Which color {} the {c} have?", does(c)),
        format!("Tell me the color of the {c}."),
        format!("The {c} {is} what color?"),
        format!("What is the color of the {c}?"),
        format!("Look at the {c}. What color {is} {}?", if is_plural(c) { "they" } else { "it" }),
    ];
    let think = Text::new(format!("First, I look for the {c} in the views and the points. Next, I find "))
        .see(o)
        .text(format!(". Then I look at the color, and {it_is} {color}. So the color of the {c} is {color}."));
    question("color", pick(rng, &forms), think, color).about([o.id])
}

/// What is counted.
pub(super) struct Counted {
    /// What one calls them all.
    pub(super) many: String,
    /// The beginning of a chain that counts them.
    pub(super) begun: Text,
}

impl Counted {
    /// All of a class, or those of one colour. The chain has the name for one, which returns in what is said of each that is seen.
    pub(super) fn all(class: &str, color: Option<&str>) -> Self {
        let color = color.map_or_else(String::new, |color| format!("{color} "));
        let (many, one) = (format!("{color}{}", plural(class)), one(class));
        let begun =
            format!("First, I look for all {many} in the views and the points. Next, I count each {color}{one}: ");
        Self { many, begun: Text::new(begun) }
    }

    /// What stands on `host`, which is pointed at first, so that all else is seen from there.
    pub(super) fn on(host: &Object, name: &str) -> Self {
        let begun = Text::new(format!("First, I look for the {name} in the views and the points and find "))
            .see(host)
            .text(". Next, I count each thing on it: ");
        Self { many: format!("things on the {name}"), begun }
    }
}

/// "<obj>..</obj> a red chair: one, <obj>..</obj> a blue chair: two, <obj>..</obj> a white desk, no more.": each is looked at first
/// and then counted, and the last look, `beyond`, says why the count ends. None comes behind as many as are ever counted.
pub(super) fn enumerate(mut text: Text, objects: &[&Object], beyond: Option<&Object>) -> Text {
    for (i, o) in objects.iter().enumerate() {
        let joint = if i + 1 == MAX_COUNT { "." } else { ", " };
        text = text.see(o).text(format!(": {}{joint}", number(i + 1)));
    }
    match beyond {
        _ if objects.len() == MAX_COUNT => text,
        Some(beyond) => text.see(beyond).text(", no more."),
        None => text.text("and no more."),
    }
}

fn counts(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (class, objects) in facts.classes().filter(|(_, o)| o.len() <= MAX_COUNT) {
        let share = match objects.len() {
            0 => COUNT_NONE_SHARE,
            1 => COUNT_ONE_SHARE,
            _ => 1.0,
        };
        if rng.random::<f64>() >= share {
            continue;
        }
        let many = plural(class);
        let forms = [
            format!("How many {many} are there?"),
            format!("Count the {many} in the room."),
            format!("What is the number of {many} here?"),
            format!("How many {many} do you see?"),
            format!("How many {many} does the room have?"),
            format!("Tell me how many {many} there are."),
        ];
        let beyond = facts.next_look(class, objects);
        out.push(count(pick(rng, &forms), Counted::all(class, None), objects, beyond));
    }
    for (host, name) in facts.named() {
        let loads = facts.loads(host);
        let known = loads.iter().all(|o| facts.knows(o));
        if loads.is_empty() || loads.len() > MAX_COUNT || !known {
            continue;
        }
        if loads.len() == 1 && rng.random::<f64>() >= COUNT_ONE_SHARE {
            continue;
        }
        let forms = [
            format!("How many things are on the {name}?"),
            format!("Count the things on the {name}."),
            format!("What is the number of things on the {name}?"),
            format!("How many things do you see on the {name}?"),
            format!("How many things {} the {name} carry?", does(host.class)),
            format!("Tell me how many things are on the {name}."),
        ];
        let beyond = facts.look_beside(host, &loads);
        out.push(count(pick(rng, &forms), Counted::on(host, &name), &loads, beyond).about([host.id]));
    }
    out
}

fn count(asked: Text, counted: Counted, objects: &[&Object], beyond: Option<&Object>) -> Question {
    let n = objects.len();
    let Counted { many, begun } = counted;
    let think = enumerate(begun, objects, beyond).text(format!(" So the number of {many} in all is {n}."));
    question("count", asked, think, &n.to_string()).or([number(n)]).about(objects.iter().map(|o| o.id))
}

/// What is looked for and where: the beginning of a chain that ends with yes or no, with a box or none. `seen` is what the look
/// falls on; `fits`: whether that is what is sought. What was seen and what is sought stand side by side, to be compared.
pub(super) fn search(sought: &str, seen: Option<&Object>, fits: bool) -> Text {
    let text = Text::new(format!("First, I look for {sought} in the views and the points. Next, I find "));
    let text = match seen {
        Some(seen) => text.see(seen),
        None => text.text("nothing"),
    };
    let verdict = if fits { "that is it" } else { "that is something else" };
    text.text(format!(". Then I check for {sought}, and {verdict}."))
}

fn existence(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let (mut yes, mut no) = (Vec::new(), Vec::new());
    for (class, objects) in facts.classes().filter(|(_, o)| o.len() <= MAX_COUNT) {
        let Some(object) = objects.choose(rng) else {
            no.push(exists(facts, (class, None), &[], false, rng));
            continue;
        };
        if rng.random::<f64>() < PLAIN_EXISTS_SHARE {
            yes.push(exists(facts, (class, None), &[object], true, rng));
            continue;
        }
        yes.push(exists(facts, (class, Some(object.color)), &[object], true, rng));
        if let Some(other) = missing_color(objects, rng) {
            no.push(exists(facts, (class, Some(other)), objects, false, rng));
        }
    }
    // as often yes as no
    for side in [&mut yes, &mut no] {
        side.shuffle(rng);
    }
    let count = yes.len().min(no.len());
    yes.truncate(count);
    no.truncate(count);
    [yes, no].concat()
}

/// A colour that none of `objects` has.
pub(super) fn missing_color(objects: &[&Object], rng: &mut ChaCha8Rng) -> Option<&'static str> {
    let others: Vec<&str> = COLORS.iter().map(|c| c.0).filter(|c| objects.iter().all(|o| o.color != *c)).collect();
    others.choose(rng).copied()
}

/// Whether there is one of the class, and of the colour if one is given. `of_class`: the one that fits, or all that do not.
fn exists(
    facts: &Facts<'_>,
    (class, color): (&str, Option<&str>),
    of_class: &[&Object],
    fits: bool,
    rng: &mut ChaCha8Rng,
) -> Question {
    let phrase = color.map_or_else(|| class.to_owned(), |color| format!("{color} {class}"));
    let sought = a(&phrase, class);
    let verb = if is_plural(class) { "Are" } else { "Is" };
    let forms = [
        format!("{verb} there {sought} in the room?"),
        format!("Do you see {sought}?"),
        format!("Does the room have {sought}?"),
        format!("Can you find {sought} here?"),
        format!("{verb} there {sought} here?"),
        format!("I look for {sought}. {verb} there {}?", if is_plural(class) { "any" } else { "one" }),
    ];
    let answer = if fits { "yes" } else { "no" };
    let seen = of_class.first().copied().or_else(|| facts.next_look(class, &[]));
    let think = search(&sought, seen, fits).text(format!(" So the answer about {sought} is {answer}."));
    question("exists", pick(rng, &forms), think, answer).about(of_class.iter().map(|o| o.id))
}

fn supports(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (host, name) in facts.named() {
        if let [thing] = facts.loads(host)[..]
            && facts.knows(thing)
        {
            out.push(on_top(host, &name, thing, rng));
        }
    }
    for (thing, name) in facts.named() {
        match facts.rest(thing) {
            Rest::On(host) if facts.knows(host) => out.push(standing_on(thing, &name, Some(host), rng)),
            Rest::Floor if is_small(thing) && rng.random::<f64>() < ON_FLOOR_SHARE => {
                out.push(standing_on(thing, &name, None, rng));
            }
            _ => {}
        }
    }
    out
}

/// Whether it is picked up and put down.
pub(super) fn is_small(o: &Object) -> bool {
    o.bbox.size.iter().all(|side| *side < SMALL_M)
}

fn on_top(host: &Object, name: &str, thing: &Object, rng: &mut ChaCha8Rng) -> Question {
    let t = thing.class;
    let forms = [
        format!("What is on the {name}?"),
        format!("What is on top of the {name}?"),
        format!("Which object is on the {name}?"),
        format!("What {} the {name} carry?", does(host.class)),
        format!("Tell me what is on the {name}."),
        format!("Look at the {name}. What is on top?"),
    ];
    let think = Text::new(format!("First, I look for the {name} and find "))
        .see(host)
        .text(". Next, I look at what is on top and find ")
        .see(thing)
        .text(format!(" and nothing else. So the object on the {name} is the {t}."));
    question("support", pick(rng, &forms), think, t)
        .or([format!("the {t}"), a(t, t), a_thing(thing)])
        .about([thing.id, host.id])
}

fn standing_on(thing: &Object, name: &str, host: Option<&Object>, rng: &mut ChaCha8Rng) -> Question {
    let (is, it) = (is(thing.class), it(thing.class));
    let forms = [
        format!("What {is} the {name} standing on?"),
        format!("What is under the {name}?"),
        format!("On what {is} the {name}?"),
        format!("The {name} {is} on what?"),
        format!("Tell me what is under the {name}."),
        format!("Look at the {name}. What is under {it}?"),
    ];
    let think = Text::new(format!("First, I look for the {name} and find "))
        .see(thing)
        .text(format!(". Next, I look at what is under {it} and find "));
    let (think, answer) = match host {
        Some(host) => (think.see(host), host.class),
        None => (think.text("the floor and no furniture"), "floor"),
    };
    let think = think.text(format!(". So the {name} {is} on the {answer}."));
    question("support", pick(rng, &forms), think, answer)
        .or([format!("the {answer}")].into_iter().chain(host.map(a_thing)))
        .about([thing.id].into_iter().chain(host.map(|h| h.id)))
}

#[cfg(test)]
mod tests {
    use super::super::check::{asked, color_class, looks};
    use super::super::facts::distance;
    use super::*;

    /// That `looks` go through `count` that fit, each with its number, and end with one that does not, but where as many are counted
    /// as ever are.
    fn assert_counted(looks: &[(usize, String)], count: usize, fits: &dyn Fn(usize) -> bool) {
        assert!(looks.len() == count + usize::from(count < MAX_COUNT), "{looks:?}");
        for (k, (i, said)) in looks.iter().enumerate() {
            assert_eq!(fits(*i), k < count, "{looks:?}");
            let judged = if k < count { format!(": {}", number(k + 1)) } else { ", no more.".to_owned() };
            assert!(said.contains(&judged), "{said}");
        }
    }

    #[test]
    fn answers_agree_with_the_room() {
        for (room, q) in asked(Task::Qa, 120) {
            let text = q.prompt(&mut |_| String::new());
            let answer = q.answers[0].as_str();
            let first = q.referents.first().map(|&i| &room.objects[i]);
            match q.subtype {
                "color" => {
                    let o = first.unwrap();
                    assert_eq!(answer, o.color);
                    assert!(text.contains(o.class) && room.objects.iter().filter(|x| x.class == o.class).count() == 1);
                }
                "count" if text.contains("things") => {
                    let host = &room.objects[*q.referents.last().unwrap()];
                    let is_on = |i: usize| room.objects[i].supported_by == Some(host.id);
                    let on = (0..room.objects.len()).filter(|&i| is_on(i)).count();
                    assert_eq!(answer, on.to_string(), "{text}");
                    let looks = looks(&q.think);
                    assert_eq!(looks[0].0, host.id);
                    assert_counted(&looks[1..], on, &|i| i != host.id && is_on(i));
                    if let Some((beyond, _)) = looks[1..].get(on) {
                        let others = room.objects.iter().filter(|o| o.id != host.id && !is_on(o.id));
                        let far = |o: &Object| distance(host, o);
                        assert!(others.into_iter().all(|o| far(o) >= far(&room.objects[*beyond])), "{text}");
                    }
                }
                "count" => {
                    let class = crate::rooms::CLASS_NAMES.iter().find(|c| text.contains(&plural(c))).unwrap();
                    let there = room.objects.iter().filter(|o| o.class == *class).count();
                    // "boxes" is not in "bookshelves", but one class may be the end of another
                    if first.is_none_or(|o| o.class == *class) {
                        assert_eq!(answer, there.to_string(), "{text}");
                        assert_counted(&looks(&q.think), there, &|i| room.objects[i].class == *class);
                    }
                }
                "exists" => {
                    let (color, class) = color_class(&text);
                    let there = room.objects.iter().any(|o| o.class == class && color.is_none_or(|c| c == o.color));
                    assert_eq!(answer == "yes", there, "{text}");
                }
                "support" if answer == "floor" => assert_eq!(first.unwrap().supported_by, None),
                "support" => {
                    assert_eq!(first.unwrap().supported_by, Some(q.referents[1]));
                    assert!(q.referents.iter().any(|&i| room.objects[i].class == answer));
                }
                _ => {}
            }
        }
    }
}
