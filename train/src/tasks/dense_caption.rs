//! Facts of a room in; rules that choose several of its objects, with each one's box and description, out.
//!
//! Every rule is exact: whoever knows the room can tell what belongs in the answer.

use rand_chacha::ChaCha8Rng;

use super::facts::{Facts, distance, gap, in_order};
use super::question::{Text, pick};
use super::words::{a_thing, it, number};
use super::{Question, Task};
use crate::rooms::Object;

/// Fewest and most objects of an answer.
const COUNT: std::ops::RangeInclusive<usize> = 2..=8;
/// How many of the nearest are asked for.
const NEAREST: std::ops::RangeInclusive<usize> = 2..=4;
/// The farthest of the nearest is nearer than the next by this, metres.
const MARGIN_M: f64 = 0.2;
/// Anchors that the nearest are asked of.
const ANCHORS: usize = 4;

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    let floor: Vec<&Object> = facts.room.objects.iter().filter(|o| facts.on_floor(o)).collect();
    out.extend(of(facts, "floor", "stands on the floor", &floor, rng));
    let raised: Vec<&Object> = facts.room.objects.iter().filter(|o| o.supported_by.is_some()).collect();
    out.extend(of(facts, "raised", "stands on other furniture", &raised, rng));
    for (anchor, name) in super::ask::a_few(facts.named(), ANCHORS, rng) {
        let others: Vec<&Object> = floor.iter().copied().filter(|o| o.id != anchor.id).collect();
        for count in NEAREST {
            let Some(near) = nearest(anchor, &others, count) else { continue };
            let n = number(count);
            let forms = [
                format!("Describe the {n} things on the floor that are nearest to the {name}."),
                format!("Name the {n} things on the floor nearest to the {name}."),
                format!("Which {n} things on the floor are nearest to the {name}?"),
                format!("List the {n} things on the floor closest to the {name}."),
                format!("What are the {n} things on the floor nearest to the {name}?"),
                format!("Tell me the {n} things on the floor that are closest to the {name}."),
            ];
            let think = Text::new(format!("First, I look for the {name} and find "))
                .see(anchor)
                .text(format!(". Next, I compare how far the things on the floor are from {}.", it(anchor.class)));
            out.extend(list(facts, "near", pick(rng, &forms), think, &near).map(|q| q.about([anchor.id])));
        }
    }
    out
}

/// The `count` objects that are clearly nearer to `anchor` than all others, by centres and by outlines.
fn nearest<'a>(anchor: &Object, others: &[&'a Object], count: usize) -> Option<Vec<&'a Object>> {
    if others.len() <= count {
        return None;
    }
    let mut sorted = others.to_vec();
    sorted.sort_by(|a, b| distance(anchor, a).total_cmp(&distance(anchor, b)));
    let (near, far) = sorted.split_at(count);
    let clear = |measure: fn(&Object, &Object) -> f64| {
        let last = near.iter().map(|o| measure(anchor, o)).fold(0.0, f64::max);
        far.iter().all(|o| measure(anchor, o) > last + MARGIN_M)
    };
    (clear(distance) && clear(gap)).then(|| near.to_vec())
}

fn of(
    facts: &Facts<'_>,
    subtype: &'static str,
    rule: &str,
    objects: &[&Object],
    rng: &mut ChaCha8Rng,
) -> Option<Question> {
    let forms = [
        format!("Describe everything that {rule}."),
        format!("Name everything that {rule}."),
        format!("What is there that {rule}?"),
        format!("List all that {rule}."),
        format!("Tell me everything that {rule}."),
        format!("Find and describe everything that {rule}."),
    ];
    let think = Text::new(format!("First, I look for everything that {rule} in the views and the points."));
    list(facts, subtype, pick(rng, &forms), think, objects)
}

/// `None` when something was not seen, or when there are too few or too many.
fn list(facts: &Facts<'_>, subtype: &'static str, asked: Text, think: Text, objects: &[&Object]) -> Option<Question> {
    if !COUNT.contains(&objects.len()) || objects.iter().any(|o| !facts.knows(o)) {
        return None;
    }
    let objects = in_order(objects.iter().copied());
    let think = think
        .text(format!(" Then I go from left to right and count {}.", objects.len()))
        .text(format!(" So I describe these {} things one by one.", number(objects.len())));
    let mut answer = Text::default();
    for (i, o) in objects.iter().enumerate() {
        answer =
            answer.object(o).text(format!(" {}", a_thing(o))).text(if i + 1 == objects.len() { "." } else { "; " });
    }
    Some(Question::new(Task::DenseCaption, subtype, asked, think, answer).at(objects.iter().map(|o| o.id).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::check::asked;

    #[test]
    fn all_that_the_rule_chooses_is_described() {
        let all = asked(super::Task::DenseCaption, 120);
        assert!(all.len() > 100);
        for (room, q) in all {
            let text = q.prompt(&mut |_| String::new());
            let mut given = q.targets.clone();
            given.sort_unstable();
            assert!((2..=8).contains(&given.len()), "{text}");
            let on_floor = |i: &usize| {
                let o = &room.objects[*i];
                o.supported_by.is_none() && !o.is_hung()
            };
            let expected: Vec<usize> = match q.subtype {
                "floor" => (0..room.objects.len()).filter(on_floor).collect(),
                "raised" => (0..room.objects.len()).filter(|&i| room.objects[i].supported_by.is_some()).collect(),
                _ => {
                    let anchor = &room.objects[*q.referents.last().unwrap()];
                    let far = |i: &usize| {
                        let c = room.objects[*i].bbox.center;
                        (c[0] - anchor.bbox.center[0]).hypot(c[1] - anchor.bbox.center[1])
                    };
                    let mut near: Vec<usize> =
                        (0..room.objects.len()).filter(|i| *i != anchor.id && on_floor(i)).collect();
                    near.sort_by(|a, b| far(a).total_cmp(&far(b)));
                    near.truncate(given.len());
                    near.sort_unstable();
                    near
                }
            };
            // what is asked about by its nearness need not hold the anchor among its referents when it is a target
            if q.subtype != "near" || !q.targets.contains(q.referents.last().unwrap()) {
                assert_eq!(given, expected, "{text}");
            }
            for &i in &q.targets {
                assert!(q.answers[0].contains(room.objects[i].color));
            }
            let xs: Vec<f64> = q.targets.iter().map(|&i| room.objects[i].bbox.center[0]).collect();
            assert!(xs.is_sorted());
        }
    }
}
