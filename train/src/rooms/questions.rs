//! A room and what was seen of it in, questions with reasoning and exact answers out.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::catalog::{CLASSES, COLORS, Place};
use super::layout::{Object, Room};
use super::wording::{color, count, exists_no, exists_yes, ground, ground_by_place, on_top, standing_on};

/// A piece of a target text; objects become boxes once the scene's bounds are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Text as it stands.
    Text(String),
    /// The box of the room's object of this index.
    Object(usize),
}

/// A question with its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Room seed and number.
    pub id: String,
    /// `qa` or `grounding`.
    pub kind: &'static str,
    /// `color`, `count`, `exists`, `on` or `grounding`.
    pub subtype: &'static str,
    /// The question.
    pub question: String,
    /// The reasoning to write.
    pub think: Vec<Span>,
    /// The answer to write.
    pub answer: Vec<Span>,
    /// Accepted answers, boxes left out.
    pub answers: Vec<String>,
    /// Objects that the answer rests on; a good view shows one of them.
    pub referents: Vec<usize>,
}

/// Questions of each subtype out of 20.
const MIX: [(&str, usize); 5] = [("grounding", 7), ("color", 5), ("count", 3), ("on", 3), ("exists", 2)];
/// Most instances that a counting question may have.
const MAX_COUNT: usize = 4;

/// Share of classes with one instance that may be counted; more would make "1" the answer to most.
const SINGLE_COUNT_SHARE: f64 = 0.25;
/// Share of the things on furniture that may be asked for by their place.
const BY_PLACE_SHARE: f64 = 0.5;

/// What can be asked about a room.
struct Asker<'a> {
    room: &'a Room,
    /// For each class, its objects; only classes of which every instance was seen.
    known: Vec<(&'static str, Vec<&'a Object>)>,
}

/// At most `count` different questions about `room`, in random order. `seen[i]`: whether object i was observed well; classes
/// with an instance that was not are left out, so that no answer rests on what the robot cannot know.
pub fn questions(room: &Room, seen: &[bool], seed: u64, count: usize) -> Vec<Question> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let known = room
        .class_names
        .iter()
        .map(|&class| (class, room.objects.iter().filter(|o| o.class == class).collect::<Vec<_>>()))
        .filter(|(_, objects)| objects.iter().all(|o| seen.get(o.id).copied().unwrap_or(false)))
        .collect();
    let asker = Asker { room, known };
    let mut pools: Vec<(usize, Vec<Question>)> = MIX
        .iter()
        .map(|(subtype, share)| {
            let mut pool = asker.all(subtype, &mut rng);
            pool.shuffle(&mut rng);
            (*share, pool)
        })
        .collect();
    let mut out: Vec<Question> = Vec::with_capacity(count);
    while out.len() < count && pools.iter().any(|(_, p)| !p.is_empty()) {
        let total: usize = pools.iter().filter(|(_, p)| !p.is_empty()).map(|(share, _)| share).sum();
        let mut draw = rng.random_range(0..total);
        for (share, pool) in &mut pools {
            if pool.is_empty() {
                continue;
            }
            if draw < *share {
                out.extend(pool.pop());
                break;
            }
            draw -= *share;
        }
    }
    for (i, question) in out.iter_mut().enumerate() {
        question.id = format!("{}-{i}", room.seed);
    }
    out
}

impl Asker<'_> {
    fn all(&self, subtype: &str, rng: &mut ChaCha8Rng) -> Vec<Question> {
        match subtype {
            "color" => self.unique().map(|o| color(o, rng)).collect(),
            "count" => self.counts(rng),
            "exists" => self.existence(rng),
            "on" => self.support(rng),
            _ => self.grounding(rng),
        }
    }

    /// Objects that are the only one of their class.
    fn unique(&self) -> impl Iterator<Item = &Object> {
        self.known.iter().filter(|(_, o)| o.len() == 1).map(|(_, o)| o[0])
    }

    fn counts(&self, rng: &mut ChaCha8Rng) -> Vec<Question> {
        let mut present = Vec::new();
        let mut absent = Vec::new();
        for (class, objects) in self.known.iter().filter(|(_, o)| o.len() <= MAX_COUNT) {
            if objects.is_empty() {
                absent.push(count(class, objects, rng));
            } else if objects.len() > 1 || rng.random::<f64>() < SINGLE_COUNT_SHARE {
                present.push(count(class, objects, rng));
            }
        }
        absent.shuffle(rng);
        absent.truncate(1);
        present.extend(absent);
        present
    }

    fn existence(&self, rng: &mut ChaCha8Rng) -> Vec<Question> {
        let mut out = Vec::new();
        for (class, objects) in self.known.iter().filter(|(_, o)| o.len() <= MAX_COUNT) {
            let Some(object) = objects.choose(rng) else { continue };
            out.push(exists_yes(object, rng));
            let others: Vec<&str> =
                COLORS.iter().map(|c| c.0).filter(|c| objects.iter().all(|o| o.color != *c)).collect();
            if let Some(other) = others.choose(rng) {
                out.push(exists_no(class, other, objects, rng));
            }
        }
        out
    }

    /// Furniture that is the only one of its class, with the one thing that stands on it.
    fn single_loads(&self) -> impl Iterator<Item = (&Object, &Object)> {
        self.unique().filter_map(|host| {
            let mut on = self.room.objects.iter().filter(|o| o.supported_by == Some(host.id));
            let thing = on.next()?;
            (on.next().is_none() && self.is_known(thing.class)).then_some((host, thing))
        })
    }

    fn is_known(&self, class: &str) -> bool {
        self.known.iter().any(|(known, _)| *known == class)
    }

    fn support(&self, rng: &mut ChaCha8Rng) -> Vec<Question> {
        let mut out: Vec<Question> = self.single_loads().map(|(host, thing)| on_top(host, thing, rng)).collect();
        for thing in self.unique() {
            match thing.supported_by.and_then(|i| self.room.objects.get(i)) {
                Some(host) if self.is_known(host.class) => out.push(standing_on(thing, Some(host), rng)),
                // only of things that could as well stand on furniture
                None if CLASSES.iter().any(|c| c.name == thing.class && matches!(c.place, Place::FloorOrOn(_))) => {
                    out.push(standing_on(thing, None, rng));
                }
                _ => {}
            }
        }
        out
    }

    fn grounding(&self, rng: &mut ChaCha8Rng) -> Vec<Question> {
        let mut out = Vec::new();
        for (class, objects) in &self.known {
            for object in objects {
                let same_color = objects.iter().filter(|o| o.color == object.color).count();
                if objects.len() == 1 && rng.random::<bool>() {
                    out.push(ground(object, class.to_string(), rng));
                } else if same_color == 1 {
                    out.push(ground(object, format!("{} {class}", object.color), rng));
                }
            }
        }
        for (host, thing) in self.single_loads() {
            if rng.random::<f64>() < BY_PLACE_SHARE {
                out.push(ground_by_place(host, thing, rng));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::layout::{RoomConfig, generate};

    fn asked(rooms: u64) -> Vec<(Room, Question)> {
        (0..rooms)
            .flat_map(|seed| {
                let room = generate(seed, &RoomConfig::default());
                let seen = vec![true; room.objects.len()];
                questions(&room, &seen, seed, 12).into_iter().map(|q| (room.clone(), q)).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn answers_agree_with_the_room() {
        for (room, q) in asked(80) {
            let class_of = |i: usize| room.objects[i].class;
            match q.subtype {
                "color" => assert_eq!(q.answers[0], room.objects[q.referents[0]].color),
                "count" if !q.referents.is_empty() => {
                    let class = class_of(q.referents[0]);
                    assert_eq!(q.answers[0], room.objects.iter().filter(|o| o.class == class).count().to_string());
                }
                "on" if q.answers[0] == "floor" => assert_eq!(room.objects[q.referents[0]].supported_by, None),
                "on" => {
                    assert_eq!(room.objects[q.referents[0]].supported_by, Some(q.referents[1]));
                    assert!(q.referents.iter().any(|&i| class_of(i) == q.answers[0]));
                }
                "exists" if q.answers[0] == "yes" => assert!(q.question.contains(room.objects[q.referents[0]].color)),
                "exists" => {
                    assert!(!room.objects.iter().any(|o| q.question.contains(&format!("{} {}", o.color, o.class))))
                }
                "grounding" => {
                    // the description fits the referent and nothing else
                    let target = &room.objects[q.referents[0]];
                    assert!(q.answer.contains(&Span::Object(target.id)) && q.answers[0].contains(target.class));
                    if let Some(host) = target
                        .supported_by
                        .map(|i| &room.objects[i])
                        .filter(|h| q.question.contains(&format!("on the {}", h.class)))
                    {
                        assert_eq!(room.objects.iter().filter(|o| o.class == host.class).count(), 1);
                        assert_eq!(room.objects.iter().filter(|o| o.supported_by == Some(host.id)).count(), 1);
                    } else {
                        let colored = q.question.contains(target.color);
                        let fits = |o: &&Object| o.class == target.class && (!colored || o.color == target.color);
                        assert_eq!(room.objects.iter().filter(fits).count(), 1, "{}", q.question);
                    }
                }
                _ => assert!(!q.answers.is_empty()),
            }
        }
    }

    #[test]
    fn yes_and_no_are_balanced_and_all_subtypes_come_up() {
        let all = asked(200);
        let share =
            |answer: &str| all.iter().filter(|(_, q)| q.subtype == "exists" && q.answers[0] == answer).count() as f64;
        let (yes, no) = (share("yes"), share("no"));
        assert!((yes / (yes + no) - 0.5).abs() < 0.1, "{yes} yes, {no} no");
        for (subtype, _) in MIX {
            assert!(all.iter().filter(|(_, q)| q.subtype == subtype).count() > 50, "{subtype}");
        }
    }

    #[test]
    fn reasons_have_steps_length_and_boxes_and_few_words() {
        let mut vocabulary = std::collections::BTreeSet::new();
        for (_, q) in asked(200) {
            let written = |spans: &[Span]| -> String {
                spans
                    .iter()
                    .map(|s| match s {
                        Span::Text(t) => t.clone(),
                        Span::Object(_) => String::new(),
                    })
                    .collect()
            };
            let think = written(&q.think);
            let words = think.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).count();
            assert!((25..=48).contains(&words), "{words} words: {think}");
            assert!(["First, ", " Next, ", " So "].iter().all(|cue| think.contains(cue)), "{think}");
            let none = q.answers[0] == "0";
            assert!(none || q.think.iter().any(|s| matches!(s, Span::Object(_))), "{think}");
            let last = think.rsplit("So ").next().unwrap();
            let target =
                if q.subtype == "grounding" { &q.answers[0][4..q.answers[0].len() - 9] } else { q.answers[0].as_str() };
            assert!(last.contains(target.trim()), "{last} does not name {target}");
            let all = format!("{} {think} {}", q.question, written(&q.answer));
            for wrong in [" a orange ", " a books ", "is the books?", "the books it", " an b"] {
                assert!(!all.contains(wrong), "{all}");
            }
            vocabulary.extend(all.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase));
        }
        assert!(vocabulary.len() < 300, "{} words", vocabulary.len());
    }

    #[test]
    fn equal_seeds_give_equal_questions() {
        let room = generate(9, &RoomConfig::default());
        let seen = vec![true; room.objects.len()];
        assert_eq!(questions(&room, &seen, 4, 12), questions(&room, &seen, 4, 12));
        assert_ne!(questions(&room, &seen, 4, 12), questions(&room, &seen, 5, 12));
    }

    #[test]
    fn unseen_classes_are_not_asked_about() {
        let room = generate(4, &RoomConfig::default());
        let hidden = room.objects[0].class;
        let seen: Vec<bool> = room.objects.iter().map(|o| o.class != hidden).collect();
        for q in questions(&room, &seen, 1, 40) {
            assert!(q.referents.iter().all(|&i| room.objects[i].class != hidden), "{}", q.question);
        }
    }
}
