//! Facts of a room in; wishes, with the steps that fulfil them and the box of what each step needs, out.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::ask::a_few;
use super::facts::Facts;
use super::qa::is_small;
use super::question::{Text, pick, plain};
use super::words::it;
use super::{Question, Task};
use crate::rooms::Object;

/// Things that are fetched, of one room.
const BRING: usize = 4;
/// Small, and yet not carried around.
const FIXTURES: [&str; 5] = ["toilet", "sink", "counter", "floor mat", "bathtub"];
/// Furniture that things are brought to: at least this wide along its longer side, metres.
const LARGE_M: f64 = 0.7;

/// A wish about a first and a second object; `{1}` and `{2}` stand for their names.
struct Goal {
    subtype: &'static str,
    /// The classes that serve as the first and the second object.
    first: &'static [&'static str],
    second: &'static [&'static str],
    wishes: [&'static str; 3],
    /// What to do, and with which of the two (1 or 2).
    steps: &'static [(&'static str, usize)],
}

const BEDS: &[&str] = &["bed"];
const SOFT: &[&str] = &["sofa", "bed", "bench", "ottoman"];
const SEATS: &[&str] = &["sofa", "chair", "bench", "stool", "ottoman"];
const DESKS: &[&str] = &["desk", "table"];
const SCREENS: &[&str] = &["monitor", "laptop"];
const RUBBISH: &[&str] = &["box", "bag", "vase"];

/// The wishes, by what they are about.
const GOALS: [Goal; 13] = [
    Goal {
        subtype: "light",
        first: &["lamp"],
        second: BEDS,
        wishes: [
            "I want to read in bed with more light.",
            "It is too dark to read in bed.",
            "I go to bed and need light.",
        ],
        steps: &[("go to", 1), ("turn on", 1), ("go to", 2), ("lie down on", 2)],
    },
    Goal {
        subtype: "light",
        first: &["lamp"],
        second: SEATS,
        wishes: [
            "I want to sit and read with more light.",
            "It is too dark to sit and read.",
            "I want to sit down with the light on.",
        ],
        steps: &[("go to", 1), ("turn on", 1), ("go to", 2), ("sit down on", 2)],
    },
    Goal {
        subtype: "light",
        first: &["lamp"],
        second: DESKS,
        wishes: ["I want to work with more light.", "It is too dark to work.", "I need light for my work."],
        steps: &[("go to", 1), ("turn on", 1), ("go to", 2)],
    },
    Goal {
        subtype: "light",
        first: &["curtain"],
        second: &["window"],
        wishes: ["I want more light from the window.", "Let more light in.", "I want to look out of the window."],
        steps: &[("go to", 1), ("open", 1), ("go to", 2)],
    },
    Goal {
        subtype: "rest",
        first: &["television"],
        second: SOFT,
        wishes: ["I want to watch television.", "I want to rest and watch something.", "Let us watch television."],
        steps: &[("go to", 1), ("turn on", 1), ("go to", 2), ("sit down on", 2)],
    },
    Goal {
        subtype: "rest",
        first: &["pillow"],
        second: BEDS,
        wishes: ["I want to sleep.", "I am tired and want to sleep.", "I need to lie down with a pillow."],
        steps: &[("take", 1), ("go to", 2), ("lie down on", 2)],
    },
    Goal {
        subtype: "rest",
        first: &["books"],
        second: SEATS,
        wishes: ["I want to sit down and read the books.", "I want to rest and read.", "Let me read something."],
        steps: &[("go to", 1), ("take", 1), ("go to", 2), ("sit down on", 2)],
    },
    Goal {
        subtype: "rest",
        first: &["refrigerator"],
        second: &["table"],
        wishes: ["I am hungry and want to eat.", "I want to eat something at the table.", "Let us eat."],
        steps: &[("go to", 1), ("open", 1), ("go to", 2)],
    },
    Goal {
        subtype: "rest",
        first: SCREENS,
        second: SEATS,
        wishes: ["I want to work at the {1}.", "I need the {1} for my work.", "Let me use the {1}."],
        steps: &[("go to", 2), ("sit down on", 2), ("turn on", 1)],
    },
    Goal {
        subtype: "tidy",
        first: RUBBISH,
        second: &["garbage bin"],
        wishes: ["Throw away the {1}.", "The {1} is garbage.", "I do not need the {1} any more."],
        steps: &[("go to", 1), ("take", 1), ("go to", 2), ("drop it into", 2)],
    },
    Goal {
        subtype: "tidy",
        first: &["books"],
        second: &["bookshelf"],
        wishes: ["Tidy up the {1}.", "Put the {1} where they belong.", "Clear away the {1}."],
        steps: &[("go to", 1), ("take", 1), ("go to", 2), ("put it on", 2)],
    },
    Goal {
        subtype: "tidy",
        first: &["pillow"],
        second: &["bed", "sofa"],
        wishes: ["Make the {2} ready with the {1}.", "Put the {1} where one sleeps.", "Tidy up the {1}."],
        steps: &[("take", 1), ("go to", 2), ("put it on", 2)],
    },
    Goal {
        subtype: "tidy",
        first: &["potted plant"],
        second: &["window", "sink"],
        wishes: ["Take care of the {1}.", "The {1} needs light and water.", "Look after the {1}."],
        steps: &[("go to", 1), ("take", 1), ("go to", 2), ("put it next to", 2)],
    },
];

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut out = Vec::new();
    let named = facts.named();
    for goal in &GOALS {
        let Some((first, first_name)) = one_of(&named, goal.first, rng) else { continue };
        let Some((second, second_name)) = one_of(&named, goal.second, rng) else { continue };
        let wish = goal.wishes.choose(rng).copied().unwrap_or(goal.wishes[0]);
        let mut wish = wish.replace("{1}", &first_name).replace("{2}", &second_name);
        // which of several is meant
        for (name, classes) in [(&first_name, goal.first), (&second_name, goal.second)] {
            let several = facts.objects().filter(|o| classes.contains(&o.class)).count() > 1;
            if several && !wish.contains(name.as_str()) {
                wish += &format!(" Use the {name}.");
            }
        }
        out.push(plan(goal.subtype, &wish, [first, second], [&first_name, &second_name], goal.steps, rng));
    }
    out.extend(bring(facts, rng));
    out
}

/// One of the named objects of `classes`.
fn one_of<'a>(named: &[(&'a Object, String)], classes: &[&str], rng: &mut ChaCha8Rng) -> Option<(&'a Object, String)> {
    let fitting: Vec<&(&Object, String)> = named.iter().filter(|(o, _)| classes.contains(&o.class)).collect();
    fitting.choose(rng).map(|(o, name)| (*o, name.clone()))
}

fn bring(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    const STEPS: &[(&str, usize)] = &[("go to", 1), ("take", 1), ("go to", 2)];
    let large = |o: &Object| o.bbox.size[0].max(o.bbox.size[1]) > LARGE_M && facts.on_floor(o);
    let named = facts.named();
    let places = named.iter().filter(|(o, _)| large(o)).collect::<Vec<_>>();
    let mut out = Vec::new();
    let is_carried = |o: &Object| is_small(o) && !facts.has_loads(o) && !o.is_hung() && !FIXTURES.contains(&o.class);
    for (thing, name) in a_few(named.iter().filter(|(o, _)| is_carried(o)).collect(), BRING, rng) {
        let Some((place, place_name)) = places.choose(rng) else { continue };
        if thing.supported_by == Some(place.id) {
            continue;
        }
        let wishes = [
            format!("Bring the {name} to the {place_name}."),
            format!("I need the {name} at the {place_name}."),
            format!("Take the {name} to the {place_name}."),
        ];
        let wish = wishes.choose(rng).cloned().unwrap_or_default();
        out.push(plan("bring", &wish, [thing, place], [name, place_name], STEPS, rng));
    }
    out
}

/// "1. go to the lamp <obj>..</obj>; 2. turn on the lamp <obj>..</obj>."
fn plan(
    subtype: &'static str,
    wish: &str,
    objects: [&Object; 2],
    names: [&str; 2],
    steps: &[(&'static str, usize)],
    rng: &mut ChaCha8Rng,
) -> Question {
    let forms = [
        wish.to_owned(),
        format!("{wish} What are the steps?"),
        format!("{wish} Make a plan."),
        format!("{wish} What do you do?"),
        format!("Help me. {wish}"),
        format!("{wish} Tell me the steps."),
    ];
    // what is needed first is named first
    let order = if steps.first().is_some_and(|(_, which)| *which == 2) { [1, 0] } else { [0, 1] };
    let [one, two] = order;
    let mut answer = Text::default();
    for (i, (verb, which)) in steps.iter().enumerate() {
        let (o, name) = (objects[which - 1], names[which - 1]);
        // the word for what was taken
        let verb = verb.replace(" it ", &format!(" {} ", it(objects[0].class)));
        answer = answer.text(format!("{}{}. {verb} the {name} ", if i == 0 { "" } else { "; " }, i + 1)).object(o);
    }
    // the steps first in words, then with their boxes
    let think = Text::new(format!("First, I need the {} and find ", names[one]))
        .see(objects[one])
        .text(format!(". Next, I need the {} and find ", names[two]))
        .see(objects[two])
        .text(format!(". Then I put the steps in order. So {}.", plain(&answer.0)));
    Question::new(Task::Planning, subtype, pick(rng, &forms), think, answer)
        .at(steps.iter().map(|(_, which)| objects[which - 1].id).collect())
}

#[cfg(test)]
mod tests {
    use super::super::check::asked;
    use super::super::question::Span;

    #[test]
    fn steps_are_numbered_and_name_their_objects() {
        let all = asked(super::Task::Planning, 120);
        assert!(all.len() > 200, "{}", all.len());
        for (room, q) in all {
            let mut before = String::new();
            let mut step = 0;
            for span in &q.answer {
                match span {
                    Span::Text(t) => before = t.clone(),
                    Span::Object(i) => {
                        step += 1;
                        assert_eq!(q.targets[step - 1], *i);
                        assert!(
                            before.contains(&format!("{step}. ")) && before.contains(room.objects[*i].class),
                            "{before}"
                        );
                    }
                }
            }
            assert!((2..=5).contains(&step) && step == q.targets.len(), "{}", q.answers[0]);
        }
    }
}
