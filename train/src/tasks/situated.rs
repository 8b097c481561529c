//! Facts of a room in; questions asked from a place in it, told by the objects there, out (SQA3D, arXiv 2210.07474).

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::ask::a_few;
use super::facts::{Facts, bearing, center, distance};
use super::question::{Text, pick};
use super::words::{a, a_thing, clock, degrees, is, it_is, number, one, plural};
use super::{Question, Task};
use crate::data::Situation;
use crate::rooms::Object;

/// Places that a room is asked about from.
const STANDS: usize = 10;
/// Space between furniture and one who stands at it, metres.
const AT_M: f64 = 0.3;
/// Least way from where one stands to what one faces, metres.
const FACING_M: f64 = 0.8;
/// A sector is 90 degrees wide; what is named lies this well within it, and nothing nearer lies within the wider one, degrees
/// off its middle.
const WITHIN_DEG: f64 = 35.0;
const NEARLY_WITHIN_DEG: f64 = 55.0;
/// What is on a side lies between these angles from straight ahead, degrees.
const SIDE_DEG: (f64, f64) = (25.0, 155.0);
/// One turns left or right for angles between these, and around from this on, degrees.
const TURN_DEG: (f64, f64) = (35.0, 130.0);
const AROUND_DEG: f64 = 155.0;
/// Things nearer than this have no clear side, metres.
const NEAREST_M: f64 = 0.6;
/// The named is nearer than all else in its sector by this, metres.
const CLEARLY_NEARER_M: f64 = 0.3;
/// Farther things are not asked about, metres.
const FARTHEST_M: f64 = 5.0;
/// Most instances that are gone through to count those on a side.
const MAX_COUNT: usize = 3;
/// Shares of the sides with none, and with one of a kind that may be counted.
const COUNT_NONE_SHARE: f64 = 0.3;
const COUNT_ONE_SHARE: f64 = 0.25;
/// Share of the turns to the left or right that are asked about; a half turn always is.
const TURN_SHARE: f64 = 0.6;

/// Somebody in the room.
struct Stand<'a> {
    position: [f64; 2],
    yaw: f64,
    text: String,
    /// Where it is, and what is faced.
    at: &'a Object,
    faced: &'a Object,
    /// Whether `at` is too close to be behind.
    beside: bool,
}

impl Stand<'_> {
    fn angle_deg(&self, o: &Object) -> f64 {
        bearing(self.position, self.yaw, center(o)).to_degrees()
    }

    fn distance(&self, o: &Object) -> f64 {
        let c = center(o);
        (c[0] - self.position[0]).hypot(c[1] - self.position[1])
    }

    /// The beginning of every chain.
    fn think(&self) -> Text {
        let (before, behind) = if self.beside { ("stand at", "") } else { ("have", " behind me") };
        Text::new(format!("First, I {before} "))
            .see(self.at)
            .text(format!("{behind} and face "))
            .see(self.faced)
            .text(format!(", heading {}.", degrees(self.yaw)))
    }

    /// Where `o` is from here, on the clock.
    fn clock(&self, o: &Object) -> String {
        clock(bearing(self.position, self.yaw, center(o)))
    }

    /// Where `o` is from here: its direction in the map, then on the clock.
    fn place(&self, o: &Object) -> String {
        let angle = bearing(self.position, self.yaw, center(o));
        format!("direction {}, at my {}", degrees(self.yaw + angle), self.clock(o))
    }

    fn question(&self, subtype: &'static str, asked: Text, think: Text, answer: &str) -> Question {
        let mut question = Question::new(Task::Situated, subtype, asked, think, Text::new(answer));
        let [x, y] = self.position;
        question.situation = Some(Situation { text: Some(self.text.clone()), position: [x, y, 0.0], yaw: self.yaw });
        question
    }

    fn about(&self, question: Question, objects: impl IntoIterator<Item = usize>) -> Question {
        question.about(objects.into_iter().chain([self.faced.id, self.at.id]))
    }
}

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for stand in stands(facts, rng) {
        out.extend(what(facts, &stand, rng));
        out.extend(how_many(facts, &stand, rng));
        out.extend(is_side(facts, &stand, rng));
        out.extend(turn(facts, &stand, rng));
    }
    out
}

/// Places at one piece of furniture, facing or leaving another.
fn stands<'a>(facts: &Facts<'a>, rng: &mut ChaCha8Rng) -> Vec<Stand<'a>> {
    let floor: Vec<(&Object, String)> = facts.named().into_iter().filter(|(o, _)| facts.on_floor(o)).collect();
    let pairs: Vec<(usize, usize)> =
        (0..floor.len()).flat_map(|i| (0..floor.len()).map(move |j| (i, j))).filter(|(i, j)| i != j).collect();
    let mut out = Vec::new();
    for (i, j) in a_few(pairs, 3 * STANDS, rng) {
        if out.len() == STANDS {
            break;
        }
        let ((at, at_name), (to, to_name)) = (&floor[i], &floor[j]);
        if !facts.same_room(at, to) {
            continue;
        }
        let length = distance(at, to);
        let direction = [(center(to)[0] - center(at)[0]) / length, (center(to)[1] - center(at)[1]) / length];
        let beside = rng.random::<bool>();
        // to the edge of what one stands at, or half way
        let step = if beside { edge(at, direction) + AT_M } else { 0.5 * length };
        if !step.is_finite() || length - step < FACING_M || step < 0.1 {
            continue;
        }
        let position = [center(at)[0] + step * direction[0], center(at)[1] + step * direction[1]];
        let forms = if beside {
            [
                format!("You stand at the {at_name} and face the {to_name}."),
                format!("I am at the {at_name} and look to the {to_name}."),
                format!("Standing at the {at_name}, you look at the {to_name}."),
                format!("You are at the {at_name} and the {to_name} is in front of you."),
            ]
        } else {
            [
                format!("You stand between the {at_name} and the {to_name} and face the {to_name}."),
                format!("I am between the {at_name} and the {to_name} and look to the {to_name}."),
                format!("Standing between the {at_name} and the {to_name}, you look at the {to_name}."),
                format!("You are between the {at_name} and the {to_name}, with your back to the {at_name}."),
            ]
        };
        let Some(text) = forms.choose(rng).cloned() else { continue };
        out.push(Stand { position, yaw: direction[1].atan2(direction[0]), text, at, faced: to, beside });
    }
    out
}

/// How far the outline reaches from the centre in a direction, metres.
fn edge(o: &Object, direction: [f64; 2]) -> f64 {
    let bounds = o.bbox.aabb();
    (0..2)
        .filter(|&k| direction[k].abs() > 1e-6)
        .map(|k| 0.5 * (bounds.max[k] - bounds.min[k]) / direction[k].abs())
        .fold(f64::INFINITY, f64::min)
}

/// Smallest difference of two angles, degrees.
fn apart_deg(a: f64, b: f64) -> f64 {
    let d = (a - b).rem_euclid(360.0);
    d.min(360.0 - d)
}

fn what(facts: &Facts<'_>, stand: &Stand<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (where_, middle) in
        [("on your left", 90.0), ("on your right", -90.0), ("behind you", 180.0), ("in front of you", 0.0)]
    {
        // what one stands at is behind, and what one faces in front: that would be no question
        if stand.beside && (middle == 180.0 || middle == 0.0) {
            continue;
        }
        let mut near: Vec<(f64, &Object)> = facts
            .room
            .objects
            .iter()
            .filter(|o| facts.same_room(o, stand.at) && apart_deg(stand.angle_deg(o), middle) < NEARLY_WITHIN_DEG)
            .map(|o| (stand.distance(o), o))
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(least, o)) = near.first() else { continue };
        let alone = near.get(1).is_none_or(|(next, _)| *next > least + CLEARLY_NEARER_M);
        let within = apart_deg(stand.angle_deg(o), middle) < WITHIN_DEG;
        if !alone || !within || !facts.knows(o) || !(NEAREST_M..FARTHEST_M).contains(&least) {
            continue;
        }
        let c = o.class;
        let forms = [
            format!("What is {where_}?"),
            format!("Which object is {where_}?"),
            format!("Tell me what is {where_}."),
            format!("What is the nearest object {where_}?"),
            format!("What do you find {where_}?"),
            format!("Which object is nearest {where_}?"),
        ];
        let think = stand
            .think()
            .text(format!(
                " Next, I look for the nearest object {} and find ",
                where_.replace("your", "my").replace("you", "me")
            ))
            .see(o)
            .text(format!(", {}. So the object is the {c}.", stand.place(o)));
        let question =
            stand.question("what", pick(rng, &forms), think, c).or([format!("the {c}"), a(c, c), a_thing(o)]);
        out.push(stand.about(question, [o.id]));
    }
    out
}

/// Objects that one may ask about by their side: not those that tell the place.
fn others<'a>(facts: &Facts<'a>, stand: &Stand<'_>) -> Vec<(&'a Object, String)> {
    let told = [stand.at.id, stand.faced.id];
    let far = |o: &Object| (NEAREST_M..FARTHEST_M).contains(&stand.distance(o));
    facts.named().into_iter().filter(|(o, _)| !told.contains(&o.id) && far(o) && facts.same_room(o, stand.at)).collect()
}

/// "left" or "right", when it is clear.
fn side_of(stand: &Stand<'_>, o: &Object) -> Option<&'static str> {
    let angle = stand.angle_deg(o);
    let clear = (SIDE_DEG.0..SIDE_DEG.1).contains(&angle.abs()) && stand.distance(o) > NEAREST_M;
    clear.then_some(if angle > 0.0 { "left" } else { "right" })
}

fn how_many(facts: &Facts<'_>, stand: &Stand<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (class, objects) in facts.classes().filter(|(_, all)| all.iter().all(|o| facts.same_room(o, stand.at))) {
        let sides: Option<Vec<&str>> = objects.iter().map(|o| side_of(stand, o)).collect();
        let Some(sides) = sides.filter(|s| !s.is_empty()) else { continue };
        let side = if rng.random() { "left" } else { "right" };
        let n = sides.iter().filter(|own| **own == side).count();
        let share = match n {
            0 => COUNT_NONE_SHARE / sides.len() as f64,
            1 => COUNT_ONE_SHARE,
            _ => 1.0,
        };
        if sides.len() > MAX_COUNT || rng.random::<f64>() >= share {
            continue;
        }
        let many = plural(class);
        let forms = [
            format!("How many {many} are on your {side}?"),
            format!("Count the {many} on your {side}."),
            format!("How many {many} do you see on your {side}?"),
            format!("What is the number of {many} on your {side}?"),
            format!("How many {many} are there on the {side} of you?"),
            format!("Tell me how many {many} are on your {side}."),
        ];
        let mut think = stand.think().text(format!(" Next, I check my {side} for each {}: ", one(class)));
        let mut counted = 0;
        for (i, (o, own)) in objects.iter().zip(&sides).enumerate() {
            let is_there = *own == side;
            counted += usize::from(is_there);
            let still = if is_there { "" } else { "still " };
            let joint = if i + 1 == MAX_COUNT { "" } else { "; " };
            think = think.see(o).text(format!(" at my {}, {own}: {still}{}{joint}", stand.clock(o), number(counted)));
        }
        // a last look says why the count ends, but behind as many as are ever gone through
        let think = match facts.next_look(class, objects) {
            _ if objects.len() == MAX_COUNT => think,
            Some(beyond) => think.see(beyond).text(": no more"),
            None => think.text("no more"),
        };
        let think = think.text(format!(". So the number of {many} is {n}."));
        let question = stand.question("how_many", pick(rng, &forms), think, &n.to_string()).or([number(n)]);
        out.push(stand.about(question, objects.iter().map(|o| o.id)));
    }
    out
}

fn is_side(facts: &Facts<'_>, stand: &Stand<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (o, name) in a_few(others(facts, stand), 3, rng) {
        let Some(side) = side_of(stand, o) else { continue };
        let asked = if rng.random() { "left" } else { "right" };
        let verb = if is(o.class) == "are" { "Are" } else { "Is" };
        let forms = [
            format!("{verb} the {name} on your {asked}?"),
            format!("{verb} the {name} to your {asked}?"),
            format!("{verb} the {name} on the {asked} of you?"),
            format!("Do you have the {name} on your {asked}?"),
            format!("Do you see the {name} on your {asked}?"),
            format!("Do you find the {name} to your {asked}?"),
        ];
        let answer = if side == asked { "yes" } else { "no" };
        let think = stand.think().text(" Next, I find ").see(o).text(format!(
            ", {}. Then I check my {asked}, and {} on my {side}. So the answer about the {name} is {answer}.",
            stand.place(o),
            it_is(o.class)
        ));
        out.push(stand.about(stand.question("is_side", pick(rng, &forms), think, answer), [o.id]));
    }
    out
}

fn turn(facts: &Facts<'_>, stand: &Stand<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    for (o, name) in a_few(others(facts, stand), 4, rng) {
        let angle = stand.angle_deg(o);
        let answer = match angle {
            x if (TURN_DEG.0..TURN_DEG.1).contains(&x) => "left",
            x if (TURN_DEG.0..TURN_DEG.1).contains(&-x) => "right",
            x if x.abs() > AROUND_DEG => "around",
            _ => continue,
        };
        if answer != "around" && rng.random::<f64>() > TURN_SHARE {
            continue;
        }
        let forms = [
            format!("Which way do you turn to face the {name}?"),
            format!("Do you turn left, right or around to face the {name}?"),
            format!("To look at the {name}, which way do you turn?"),
            format!("How do you turn to see the {name}: left, right or around?"),
            format!("You want to go to the {name}. Which way do you turn?"),
            format!("Tell me which way to turn to face the {name}."),
        ];
        let place = if answer == "around" { "behind me".to_owned() } else { format!("on my {answer}") };
        let think = stand.think().text(" Next, I find ").see(o).text(format!(
            ", {}, and {} {place}. So the way to turn to the {name} is {answer}.",
            stand.place(o),
            it_is(o.class)
        ));
        let question = stand
            .question("turn", pick(rng, &forms), think, answer)
            .or([format!("turn {answer}"), format!("to the {answer}")]);
        out.push(stand.about(question, [o.id]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::check::{asked, looks};
    use super::*;

    /// Components ahead and to the left of `p` for the question's pose.
    fn local(situation: &Situation, p: [f64; 3]) -> (f64, f64) {
        let (dx, dy) = (p[0] - situation.position[0], p[1] - situation.position[1]);
        let ahead = [situation.yaw.cos(), situation.yaw.sin()];
        (dx * ahead[0] + dy * ahead[1], -dx * ahead[1] + dy * ahead[0])
    }

    #[test]
    fn answers_agree_with_the_pose() {
        let all = asked(Task::Situated, 120);
        assert!(all.len() > 500, "{}", all.len());
        for (room, q) in all {
            let s = q.situation.clone().unwrap();
            let text = q.prompt(&mut |_| String::new());
            assert!(text.starts_with(s.text.as_deref().unwrap()));
            let places: Vec<(f64, f64)> = room.objects.iter().map(|o| local(&s, o.bbox.center)).collect();
            let faced = q.referents.iter().map(|&i| places[i]).any(|(ahead, left)| ahead > 0.7 && left.abs() < 1e-6);
            assert!(faced, "{text}");
            let (ahead, left) = places[q.referents[0]];
            let answer = q.answers[0].as_str();
            match q.subtype {
                "what" => {
                    let asked = &text[s.text.as_deref().unwrap().len()..];
                    let at = room.objects[*q.referents.last().unwrap()].bbox.center;
                    let region = room.regions.iter().find(|r| (0..2).all(|k| at[k] >= r.min[k] && at[k] <= r.max[k]));
                    let region = region.unwrap();
                    let together = |o: &Object| {
                        (0..2).all(|k| o.bbox.center[k] > region.min[k] - 0.1 && o.bbox.center[k] < region.max[k] + 0.1)
                    };
                    let inside = |(ahead, left): (f64, f64)| match asked {
                        t if t.contains("left") => left > ahead.abs(),
                        t if t.contains("right") => -left > ahead.abs(),
                        t if t.contains("behind") => -ahead > left.abs(),
                        _ => ahead > left.abs(),
                    };
                    let nearest = room.objects.iter().filter(|o| inside(places[o.id]) && together(o)).min_by(|a, b| {
                        let far = |o: &Object| places[o.id].0.hypot(places[o.id].1);
                        far(a).total_cmp(&far(b))
                    });
                    assert_eq!(nearest.unwrap().class, answer, "{text}");
                }
                "how_many" => {
                    let class = crate::rooms::CLASS_NAMES
                        .iter()
                        .filter(|c| {
                            text.contains(&format!(" {} ", plural(c)))
                                || text.contains(&format!(" {}.", plural(c)))
                                || text.contains(&format!(" {}?", plural(c)))
                        })
                        .max_by_key(|c| c.len())
                        .unwrap();
                    let asked = &text[s.text.as_deref().unwrap().len()..];
                    let side = if asked.contains("left") { 1.0 } else { -1.0 };
                    let n = room.objects.iter().filter(|o| o.class == *class && side * places[o.id].1 > 0.0).count();
                    assert_eq!(answer, n.to_string(), "{text}");
                    let mut counted = 0;
                    let all = looks(&q.think);
                    for (i, said) in all[2..].iter().filter(|(_, said)| said.contains("o'clock")) {
                        let own = if places[*i].1 > 0.0 { "left" } else { "right" };
                        let is_there = asked.contains(own);
                        counted += usize::from(is_there);
                        let still = if is_there { "" } else { "still " };
                        assert!(said.contains(&format!(", {own}: {still}{}", number(counted))), "{said}");
                        assert_eq!(room.objects[*i].class, *class);
                    }
                    assert_eq!(counted, n, "{text}");
                }
                "is_side" => {
                    let asked = &text[s.text.as_deref().unwrap().len()..];
                    assert_eq!(answer == "yes", asked.contains("left") == (left > 0.0), "{text}");
                }
                _ => match answer {
                    "left" => assert!(left > 0.3, "{text}"),
                    "right" => assert!(left < -0.3, "{text}"),
                    _ => assert!(ahead < -left.abs(), "{text}"),
                },
            }
        }
    }
}
