//! A room and what was seen of it in, questions with reasoning and exact answers out.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::catalog::{CLASS_NAMES, COLORS};
use super::layout::{Object, Room};

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
        other => format!("{other}s"),
    }
}

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
    let known = CLASS_NAMES
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

fn pick(rng: &mut ChaCha8Rng, forms: &[String]) -> String {
    forms.choose(rng).cloned().unwrap_or_default()
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
            } else if objects.len() > 1 || rng.random::<f64>() < 0.4 {
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
        for (class, objects) in &self.known {
            let Some(object) = objects.choose(rng) else { continue };
            out.push(exists_yes(object, rng));
            let others: Vec<&str> = COLORS.iter().map(|c| c.0).filter(|c| objects.iter().all(|o| o.color != *c)).collect();
            if let Some(other) = others.choose(rng) {
                out.push(exists_no(class, other, objects[0], rng));
            }
        }
        out
    }

    fn support(&self, rng: &mut ChaCha8Rng) -> Vec<Question> {
        let mut out = Vec::new();
        for host in self.unique() {
            let on: Vec<&Object> = self.room.objects.iter().filter(|o| o.supported_by == Some(host.id)).collect();
            let known = |o: &&Object| self.known.iter().any(|(class, _)| *class == o.class);
            if let [thing] = on[..]
                && known(&thing)
            {
                out.push(on_top(host, thing, rng));
            }
        }
        for thing in self.unique() {
            let Some(host) = thing.supported_by.and_then(|i| self.room.objects.get(i)) else { continue };
            if self.known.iter().any(|(class, _)| *class == host.class) {
                out.push(standing_on(thing, host, rng));
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
        out
    }
}

fn question(subtype: &'static str, question: String, think: Text, answer: Text, answers: Vec<String>, referents: Vec<usize>) -> Question {
    let kind = if subtype == "grounding" { "grounding" } else { "qa" };
    Question { id: String::new(), kind, subtype, question, think: think.0, answer: answer.0, answers, referents }
}

fn color(o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let c = o.class;
    let forms = [
        format!("What color is the {c}?"),
        format!("Which color does the {c} have?"),
        format!("Tell me the color of the {c}."),
        format!("The {c} is what color?"),
    ];
    let think = Text::new(format!("First, I look for the {c} in the views and the points. Next, I find the {c} at "))
        .object(o.id)
        .text(format!(" and look at its surface. It is {}. So the color of the {c} is {}.", o.color, o.color));
    question("color", pick(rng, &forms), think, Text::new(o.color), vec![o.color.to_owned()], vec![o.id])
}

fn count(class: &str, objects: &[&Object], rng: &mut ChaCha8Rng) -> Question {
    let many = plural(class);
    let forms = [
        format!("How many {many} are there?"),
        format!("Count the {many} in the room."),
        format!("What is the number of {many} here?"),
        format!("How many {many} do you see?"),
    ];
    let n = objects.len();
    let mut think = Text::new(format!("First, I look for all {many} in the room."));
    if n == 0 {
        think = think.text(" Next, I find none of them anywhere.");
    } else {
        think = think.text(" Next, I find ");
        for (i, o) in objects.iter().enumerate() {
            think = think.text(if i == 0 { "one at " } else { ", one at " }).object(o.id);
        }
        think = think.text(".");
    }
    let think = think.text(format!(" That makes {n}. So the number of {many} is {n}."));
    question("count", pick(rng, &forms), think, Text::new(n.to_string()), vec![n.to_string()], objects.iter().map(|o| o.id).collect())
}

fn exists_forms(color: &str, class: &str) -> [String; 4] {
    [
        format!("Is there a {color} {class} in the room?"),
        format!("Do you see a {color} {class}?"),
        format!("Does the room have a {color} {class}?"),
        format!("Can you find a {color} {class} here?"),
    ]
}

fn exists_yes(o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let think = Text::new(format!("First, I look for a {} {} in the room. Next, I find a {} at ", o.color, o.class, o.class))
        .object(o.id)
        .text(format!(" and it is {}. That is what I look for. So the answer is yes.", o.color));
    question("exists", pick(rng, &exists_forms(o.color, o.class)), think, Text::new("yes"), vec!["yes".to_owned()], vec![o.id])
}

fn exists_no(class: &str, color: &str, other: &Object, rng: &mut ChaCha8Rng) -> Question {
    let think = Text::new(format!("First, I look for a {color} {class} in the room. Next, I find a {class} at "))
        .object(other.id)
        .text(format!(" and it is {}. That is not what I look for. So the answer is no.", other.color));
    question("exists", pick(rng, &exists_forms(color, class)), think, Text::new("no"), vec!["no".to_owned()], vec![other.id])
}

fn on_top(host: &Object, thing: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (h, t) = (host.class, thing.class);
    let forms = [
        format!("What is on the {h}?"),
        format!("What is on top of the {h}?"),
        format!("Which object is on the {h}?"),
        format!("What does the {h} carry?"),
    ];
    let think = Text::new(format!("First, I look for the {h} and find it at "))
        .object(host.id)
        .text(format!(". Next, I look at what is on top of it and find a {t} at "))
        .object(thing.id)
        .text(format!(". So the object on the {h} is the {t}."));
    question("on", pick(rng, &forms), think, Text::new(t), vec![t.to_owned()], vec![thing.id, host.id])
}

fn standing_on(thing: &Object, host: &Object, rng: &mut ChaCha8Rng) -> Question {
    let (h, t) = (host.class, thing.class);
    let forms = [
        format!("What is the {t} standing on?"),
        format!("What is under the {t}?"),
        format!("On what is the {t}?"),
        format!("Which object carries the {t}?"),
    ];
    let think = Text::new(format!("First, I look for the {t} and find it at "))
        .object(thing.id)
        .text(format!(". Next, I look at what is under it and find a {h} at "))
        .object(host.id)
        .text(format!(". So the {t} is on the {h}."));
    question("on", pick(rng, &forms), think, Text::new(h), vec![h.to_owned()], vec![thing.id, host.id])
}

fn ground(o: &Object, phrase: String, rng: &mut ChaCha8Rng) -> Question {
    let forms = [
        format!("Where is the {phrase}?"),
        format!("Find the {phrase}."),
        format!("Show me the {phrase}."),
        format!("Go to the {phrase}."),
        format!("Point at the {phrase}."),
    ];
    let think = Text::new(format!("First, I look for the {phrase} in the views and the points. Next, I find a {} at ", o.class))
        .object(o.id)
        .text(format!(" and it is {}. So this is the {phrase}.", o.color));
    let answer = Text::new(format!("The {phrase} is here: ")).object(o.id);
    question("grounding", pick(rng, &forms), think, answer, vec![format!("the {phrase} is here")], vec![o.id])
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
                "on" => assert_eq!(q.answers[0], class_of(q.referents[usize::from(class_of(q.referents[0]) != q.answers[0])])),
                "exists" if q.answers[0] == "yes" => assert!(q.question.contains(room.objects[q.referents[0]].color)),
                "exists" => assert!(!room.objects.iter().any(|o| q.question.contains(&format!("{} {}", o.color, o.class)))),
                _ => assert!(!q.answers.is_empty()),
            }
        }
    }

    #[test]
    fn yes_and_no_are_balanced_and_all_subtypes_come_up() {
        let all = asked(200);
        let share = |answer: &str| all.iter().filter(|(_, q)| q.subtype == "exists" && q.answers[0] == answer).count() as f64;
        let (yes, no) = (share("yes"), share("no"));
        assert!((yes / (yes + no) - 0.5).abs() < 0.1, "{yes} yes, {no} no");
        for (subtype, _) in MIX {
            assert!(all.iter().filter(|(_, q)| q.subtype == subtype).count() > 50, "{subtype}");
        }
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
