//! Facts of a room in; questions about distances, sizes and sides of its objects, out.

use std::cmp::Ordering;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::ask::a_few;
use super::facts::{Facts, Rest, bearing, center, distance, larger, nearer, taller};
use super::question::{Text, pick};
use super::words::{a, a_thing, degrees, is, it, metres};
use super::{Question, Task};
use crate::rooms::Object;

/// Named objects of a room that relations are sought among.
const AMONG: usize = 9;
/// Questions of one kind at most.
const MOST: usize = 6;
/// Least and greatest angle beside the line of sight of what is left or right, degrees.
const SIDE_DEG: (f64, f64) = (20.0, 100.0);
/// Least distance of what is looked at and what is beside it from the place that one looks from, metres.
const LOOK_FROM_M: f64 = 0.8;

type Named<'a> = (&'a Object, String);

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let named = a_few(facts.named(), AMONG, rng);
    let mut out = Vec::new();
    out.extend(a_few(nearers(&named, rng), MOST, rng));
    out.extend(a_few(sizes(facts, &named, rng), MOST, rng));
    out.extend(a_few(betweens(facts, &named, rng), MOST, rng));
    out.extend(a_few(neighbours(facts, &named, rng), MOST, rng));
    out.extend(a_few(sides(&named, rng), MOST, rng));
    out
}

fn question(subtype: &'static str, asked: Text, think: Text, answer: &str) -> Question {
    Question::new(Task::Qa, subtype, asked, think, Text::new(answer))
}

/// Two of the named in random order, for each unordered pair.
fn pairs<'b, 'a>(named: &'b [Named<'a>], rng: &mut ChaCha8Rng) -> Vec<(&'b Named<'a>, &'b Named<'a>)> {
    let mut out = Vec::new();
    for (i, a) in named.iter().enumerate() {
        for b in &named[i + 1..] {
            out.push(if rng.random() { (a, b) } else { (b, a) });
        }
    }
    out
}

fn nearers(named: &[Named<'_>], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for ((a, a_name), (b, b_name)) in pairs(named, rng) {
        for (anchor, name) in a_few(named.iter().collect(), 3, rng) {
            if anchor.id == a.id || anchor.id == b.id {
                continue;
            }
            let Some(order) = nearer(anchor, a, b) else { continue };
            let (answer, winner) = if order == Ordering::Less { (a_name, a) } else { (b_name, b) };
            let forms = [
                format!("Which is nearer to the {name}, the {a_name} or the {b_name}?"),
                format!("Is the {a_name} or the {b_name} nearer to the {name}?"),
                format!("What is closer to the {name}: the {a_name} or the {b_name}?"),
                format!("Which of the {a_name} and the {b_name} is closer to the {name}?"),
                format!("The {a_name} or the {b_name}: which is nearer to the {name}?"),
                format!("Compare the {a_name} and the {b_name}. Which is nearer to the {name}?"),
            ];
            let think = Text::new(format!("First, I look for the {name} and find "))
                .see(anchor)
                .text(". Next, I look at ")
                .see(a)
                .text(format!(", {} away, and ", metres(distance(anchor, a))))
                .see(b)
                .text(format!(", {} away. Then I choose ", metres(distance(anchor, b))))
                .see(winner)
                .text(format!(". So the one nearer to the {name} is the {answer}."));
            out.push(
                question("nearer", pick(rng, &forms), think, answer)
                    .or([format!("the {answer}"), winner.class.to_owned(), a_thing(winner)])
                    .about([winner.id, if winner.id == a.id { b.id } else { a.id }, anchor.id]),
            );
        }
    }
    out
}

fn sizes(facts: &Facts<'_>, named: &[Named<'_>], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for ((a, a_name), (b, b_name)) in pairs(named, rng) {
        let tall = rng.random::<bool>();
        let order = if tall { taller(a, b) } else { larger(a, b) };
        let level = facts.rest(a) == Rest::Wall || facts.rest(b) == Rest::Wall;
        let Some(order) = order.filter(|_| !level) else { continue };
        let (answer, winner, loser) = if order == Ordering::Greater { (a_name, a, b) } else { (b_name, b, a) };
        let word = if tall { "taller" } else { "larger" };
        // of the larger one the box alone tells
        let how_high = |o: &Object| if tall { format!(", {} high", metres(o.bbox.size[2])) } else { String::new() };
        let forms = [
            format!("Which is {word}, the {a_name} or the {b_name}?"),
            format!("Is the {a_name} or the {b_name} {word}?"),
            format!("What is {word}: the {a_name} or the {b_name}?"),
            format!("Which of the {a_name} and the {b_name} is {word}?"),
            format!("The {a_name} or the {b_name}: which is {word}?"),
            format!("Compare the {a_name} and the {b_name}. Which is {word}?"),
        ];
        let think = Text::new(format!("First, I look for the {a_name} and find "))
            .see(a)
            .text(format!("{}. Next, I look for the {b_name} and find ", how_high(a)))
            .see(b)
            .text(format!("{}. Then I compare and choose ", how_high(b)))
            .see(winner)
            .text(format!(". So the {word} one is the {answer}."));
        out.push(
            question("size", pick(rng, &forms), think, answer)
                .or([format!("the {answer}"), winner.class.to_owned(), a_thing(winner)])
                .about([winner.id, loser.id]),
        );
    }
    out
}

fn betweens(facts: &Facts<'_>, named: &[Named<'_>], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for ((p, p_name), (q, q_name)) in pairs(named, rng) {
        if !(facts.on_floor(p) && facts.on_floor(q)) {
            continue;
        }
        let Some(o) = facts.between(p, q) else { continue };
        let c = o.class;
        let forms = [
            format!("What is between the {p_name} and the {q_name}?"),
            format!("Which object is between the {p_name} and the {q_name}?"),
            format!("What stands between the {p_name} and the {q_name}?"),
            format!("Tell me what is between the {p_name} and the {q_name}."),
            format!("Look at the {p_name} and the {q_name}. What is between them?"),
            format!("What is in the middle of the {p_name} and the {q_name}?"),
        ];
        let think = Text::new("First, I find ")
            .see(p)
            .text(" and ")
            .see(q)
            .text(". Next, I go from one to the other and come to ")
            .see(o)
            .text(format!(". So the object between the {p_name} and the {q_name} is the {c}."));
        out.push(
            question("between", pick(rng, &forms), think, c)
                .or([format!("the {c}"), a(c, c), a_thing(o)])
                .about([o.id, p.id, q.id]),
        );
    }
    out
}

fn neighbours(facts: &Facts<'_>, named: &[Named<'_>], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (o, name) in named {
        let Some(other) = facts.next_to(o) else { continue };
        let (c, it) = (other.class, it(o.class));
        let forms = [
            format!("What is next to the {name}?"),
            format!("Which object is next to the {name}?"),
            format!("What stands right beside the {name}?"),
            format!("Tell me what is next to the {name}."),
            format!("Look at the {name}. What is next to {it}?"),
            format!("What is beside the {name}?"),
        ];
        let think = Text::new(format!("First, I look for the {name} and find "))
            .see(o)
            .text(format!(". Next, I look around {it}, and the nearest thing is "))
            .see(other)
            .text(format!(". So the object next to the {name} is the {c}."));
        out.push(
            question("next_to", pick(rng, &forms), think, c)
                .or([format!("the {c}"), a(c, c), a_thing(other)])
                .about([other.id, o.id]),
        );
    }
    out
}

fn sides(named: &[Named<'_>], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for ((from, from_name), (to, to_name)) in pairs(named, rng) {
        let place = center(from);
        let yaw = (center(to)[1] - place[1]).atan2(center(to)[0] - place[0]);
        let mut others: Vec<&Named<'_>> = named.iter().filter(|(o, _)| o.id != from.id && o.id != to.id).collect();
        others.shuffle(rng);
        for (o, name) in others.into_iter().take(2) {
            let angle = bearing(place, yaw, center(o)).to_degrees();
            let clear = angle.abs() > SIDE_DEG.0 && angle.abs() < SIDE_DEG.1;
            if !clear || distance(from, to) < LOOK_FROM_M || distance(from, o) < LOOK_FROM_M {
                continue;
            }
            let answer = if angle > 0.0 { "left" } else { "right" };
            let is = is(o.class);
            let forms = [
                format!("Seen from the {from_name}, {is} the {name} left or right of the {to_name}?"),
                format!("Look from the {from_name} to the {to_name}. On which side {is} the {name}?"),
                format!("From the {from_name}, on which side of the {to_name} {is} the {name}?"),
                format!("Seen from the {from_name}, on which side of the {to_name} {is} the {name}?"),
                format!("Look from the {from_name} to the {to_name}. {} the {name} left or right?", capital_is(is)),
                format!("I go from the {from_name} to the {to_name}. {} the {name} left or right?", capital_is(is)),
            ];
            let think = Text::new("First, I stand at ")
                .see(from)
                .text(" and look to ")
                .see(to)
                .text(format!(", heading {}. Next, I look for ", degrees(yaw)))
                .see(o)
                .text(format!(
                    ", direction {}, which {is} on the {answer} side. So the {name} {is} on the {answer}.",
                    degrees(yaw + bearing(place, yaw, center(o)))
                ));
            out.push(
                question("side", pick(rng, &forms), think, answer)
                    .or([format!("on the {answer}"), format!("to the {answer}")])
                    .about([o.id, to.id, from.id]),
            );
        }
    }
    out
}

fn capital_is(is: &str) -> &'static str {
    if is == "are" { "Are" } else { "Is" }
}

#[cfg(test)]
mod tests {
    use super::super::check::asked;
    use super::*;

    fn gap(a: &Object, b: &Object) -> f64 {
        (a.bbox.center[0] - b.bbox.center[0]).hypot(a.bbox.center[1] - b.bbox.center[1])
    }

    #[test]
    fn answers_agree_with_the_room() {
        let mut checked = 0;
        for (room, q) in asked(Task::Qa, 120) {
            let text = q.prompt(&mut |_| String::new());
            let object = |i: usize| &room.objects[q.referents[i]];
            match q.subtype {
                "nearer" => assert!(gap(object(0), object(2)) + 0.25 < gap(object(1), object(2)), "{text}"),
                "size" if text.contains("taller") => assert!(object(0).bbox.size[2] > object(1).bbox.size[2] + 0.1),
                "size" => {
                    let volume = |o: &Object| o.bbox.size.iter().product::<f64>();
                    assert!(volume(object(0)) > 1.5 * volume(object(1)), "{text}");
                }
                "between" => {
                    let (o, a, b) = (object(0), object(1), object(2));
                    assert!(gap(o, a) < gap(a, b) && gap(o, b) < gap(a, b), "{text}");
                }
                "next_to" => {
                    let (near, o) = (object(0), object(1));
                    assert_eq!(near.supported_by, o.supported_by);
                }
                "side" => {
                    let [o, to, from] = [0, 1, 2].map(|i| object(i).bbox.center);
                    let cross = (to[0] - from[0]) * (o[1] - from[1]) - (to[1] - from[1]) * (o[0] - from[0]);
                    assert_eq!(q.answers[0] == "left", cross > 0.0, "{text}");
                }
                _ => continue,
            }
            assert!(q.subtype == "side" || object(0).class.len() <= q.answers[0].len(), "{text}");
            checked += 1;
        }
        assert!(checked > 200, "{checked}");
    }
}
