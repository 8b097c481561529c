//! Facts of a room in; an object by its box or its name, with sentences about it, out.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::facts::Facts;
use super::grounding::place;
use super::question::{Text, pick};
use super::words::{a_thing, capital, is, is_plural, it, lower, stands, thing};
use super::{Question, Task};
use crate::rooms::Object;

/// Things on an object that a caption names.
const MAX_LOADS: usize = 2;

pub(super) fn all(facts: &Facts<'_>, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let objects: Vec<&Object> = facts.objects().filter(|o| is_described(facts, o)).collect();
    let mut out: Vec<Question> = objects.iter().map(|o| by_box(facts, o, rng)).collect();
    out.extend(facts.named().into_iter().filter(|(o, _)| is_described(facts, o)).map(|(o, name)| {
        let forms = [
            format!("Describe the {name}."),
            format!("Tell me about the {name}."),
            format!("What can you say about the {name}?"),
            format!("Give a description of the {name}."),
            format!("Describe the {name} in one sentence."),
            format!("Look at the {name} and describe it."),
        ];
        caption("by_name", pick(rng, &forms), facts, o)
    }));
    out
}

/// Whether all that its caption names is known.
fn is_described(facts: &Facts<'_>, o: &Object) -> bool {
    let host = o.supported_by.and_then(|i| facts.room.objects.get(i));
    host.is_none_or(|h| facts.knows(h)) && facts.loads(o).iter().all(|l| facts.knows(l))
}

fn by_box(facts: &Facts<'_>, o: &Object, rng: &mut ChaCha8Rng) -> Question {
    let halves = [
        ("Describe the object at ", "."),
        ("What is at ", "?"),
        ("Tell me about the object at ", "."),
        ("Describe what is in the box ", "."),
        ("What do you see at ", "?"),
        ("Give a description of the object at ", "."),
    ];
    let (before, after) = halves.choose(rng).copied().unwrap_or(halves[0]);
    caption("by_box", Text::new(before).object(o).text(after), facts, o)
}

/// What a caption says of the things around: at most one of things on it, or a neighbour.
fn around<'a>(facts: &Facts<'a>, o: &Object) -> (Vec<&'a Object>, Option<&'a Object>) {
    let mut loads = facts.loads(o);
    loads.truncate(MAX_LOADS);
    let neighbour = if loads.is_empty() { facts.next_to(o) } else { None };
    (loads, neighbour)
}

fn joined(objects: &[&Object]) -> String {
    objects.iter().map(|o| a_thing(o)).collect::<Vec<_>>().join(" and ")
}

fn caption(subtype: &'static str, asked: Text, facts: &Facts<'_>, o: &Object) -> Question {
    let references = captions(facts, o);
    let (loads, neighbour) = around(facts, o);
    let host = o.supported_by.and_then(|i| facts.room.objects.get(i));
    let think = Text::new("First, I look at ")
        .see(o)
        .text(format!(". Next, I look at what is under {} and find ", it(o.class)));
    let think = match host {
        Some(host) => think.see(host),
        None if place(facts, o) == "on the wall" => think.text("only the wall"),
        None => think.text("the floor"),
    };
    let think = match (loads.as_slice(), neighbour) {
        ([], None) => think.text(". Then I look around and find nothing close"),
        ([], Some(other)) => think.text(". Then I look around and find ").see(other),
        (loads, _) => think.text(". Then I look at what is on top and find ").see_all(loads),
    };
    let said = references.first().cloned().unwrap_or_default();
    let think = think.text(format!(". So {}", lower(&said)));
    let answer = Text::new(said);
    let others = loads.iter().chain(&neighbour).map(|o| o.id).chain(host.map(|h| h.id)).collect::<Vec<_>>();
    Question::new(Task::ObjectCaption, subtype, asked, think, answer)
        .or(references.into_iter().skip(1))
        .about([o.id].into_iter().chain(others))
}

/// Sentences about an object, of the same content; the first is the one to write.
pub(super) fn captions(facts: &Facts<'_>, o: &Object) -> Vec<String> {
    let (loads, neighbour) = around(facts, o);
    let (what, place) = (a_thing(o), place(facts, o));
    let (stands, is) = (stands(o.class), is(o.class));
    let on = if is_plural(o.class) { "on them" } else { "on it" };
    let more = |with: &str, beside: &str| match (loads.as_slice(), neighbour) {
        ([], None) => String::new(),
        ([], Some(other)) => format!(" {beside} {}", a_thing(other)),
        (loads, _) => format!(" {with} {} {on}", joined(loads)),
    };
    let the = capital(&format!("the {}", thing(o)));
    vec![
        format!("{} {stands} {place}{}.", capital(&what), more("with", "next to")),
        format!("{} {place}{}.", capital(&what), more("with", "beside")),
        format!("{the} {is} {place}{}.", more("and has", "close to")),
        format!("This is {what} that {is} {place}{}.", more("and carries", "next to")),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::check::asked;
    use super::super::question::Span;

    #[test]
    fn captions_name_what_is_true() {
        let all = asked(super::Task::ObjectCaption, 100);
        assert!(all.len() > 300);
        for (room, q) in all {
            let o = &room.objects[q.referents[0]];
            assert!(q.answers.len() >= 3 && q.targets.is_empty());
            assert_eq!(q.subtype == "by_box", q.question.contains(&Span::Object(o.id)));
            for answer in &q.answers {
                let lower = answer.to_lowercase();
                assert!(lower.contains(&format!("{} {}", o.color, o.class)), "{answer}");
                match o.supported_by.map(|i| &room.objects[i]) {
                    Some(host) => assert!(lower.contains(host.class), "{answer}"),
                    None => assert!(lower.contains("on the floor") || lower.contains("on the wall"), "{answer}"),
                }
                if room.objects.iter().any(|l| l.supported_by == Some(o.id)) {
                    assert!(lower.contains(" it.") || lower.contains(" them."), "{answer}");
                }
            }
        }
    }
}
