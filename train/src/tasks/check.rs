//! Questions over many rooms in; what holds of all tasks alike, checked: balance, words, grammar, determinism.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::SUBTYPES;
use super::question::plain;
use super::words::plural;
use super::{Emphasis, Question, Span, Task, TaskMix, emphasised_questions, parse_emphasis, questions, write};
use crate::rooms::{CLASS_NAMES, COLORS, Difficulty, Room, RoomConfig, generate};

/// Questions of `task` about the rooms of the first seeds.
pub(super) fn asked(task: Task, rooms: u64) -> Vec<(Room, Question)> {
    ask(&TaskMix::only(task), rooms, 16)
}

fn ask(mix: &TaskMix, rooms: u64, count: usize) -> Vec<(Room, Question)> {
    (0..rooms)
        .flat_map(|seed| {
            // mostly as they are trained on
            let difficulty = match seed % 5 {
                3 => Difficulty::Hard,
                4 => Difficulty::Easy,
                _ => Difficulty::Default,
            };
            let room = generate(seed, &RoomConfig::of(difficulty));
            let seen = vec![true; room.objects.len()];
            questions(&room, &seen, seed, count, mix).into_iter().map(|q| (room.clone(), q)).collect::<Vec<_>>()
        })
        .collect()
}

/// Each object that a chain points at, with what is said behind it up to the next.
pub(super) fn looks(think: &[Span]) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for span in think {
        match (span, out.last_mut()) {
            (Span::Object(i), _) => out.push((*i, String::new())),
            (Span::Text(text), Some((_, said))) => said.push_str(text),
            (Span::Text(_), None) => {}
        }
    }
    out
}

/// The colour and the class that a text names: of several classes the longest, such as "night stand" for "stand".
pub(super) fn color_class(text: &str) -> (Option<&'static str>, &'static str) {
    let class = CLASS_NAMES.iter().filter(|c| text.contains(&format!(" {c}"))).max_by_key(|c| c.len());
    let class = class.copied().unwrap_or_default();
    let color = COLORS.iter().map(|c| c.0).find(|c| text.contains(&format!("{c} {class}")));
    (color, class)
}

/// Everything that the model reads and writes of a question, boxes left out.
fn whole(q: &Question) -> String {
    let none = &mut |_: usize| String::new();
    format!("{} {} {}", q.prompt(none), write(&q.think, none), write(&q.answer, none))
}

#[test]
fn every_task_and_subtype_occurs_about_as_often_as_wanted() {
    let all = ask(&TaskMix::default(), 250, 12);
    for (task, subtype, _) in SUBTYPES {
        let n = all.iter().filter(|(_, q)| q.task == task && q.subtype == subtype).count();
        assert!(n >= 10, "{task}/{subtype}: {n}");
    }
    for (_, q) in &all {
        assert!(SUBTYPES.iter().any(|(task, subtype, _)| *task == q.task && *subtype == q.subtype));
    }
    let total: u32 = Task::ALL.iter().map(|t| TaskMix::default().share(*t)).sum();
    for task in Task::ALL {
        let share = all.iter().filter(|(_, q)| q.task == task).count() as f64 / all.len() as f64;
        let wanted = f64::from(TaskMix::default().share(task)) / f64::from(total);
        assert!((share - wanted).abs() < 0.03 + 0.3 * wanted, "{task}: {share} instead of {wanted}");
    }
}

#[test]
fn no_constant_answer_is_right_often() {
    let mut counts: BTreeMap<(Task, &str), BTreeMap<String, usize>> = BTreeMap::new();
    for task in [Task::Qa, Task::Situated, Task::Dialogue] {
        for (_, q) in asked(task, 250).into_iter().filter(|(_, q)| q.targets.is_empty()) {
            *counts.entry((q.task, q.subtype)).or_default().entry(q.answers[0].clone()).or_default() += 1;
        }
    }
    for ((task, subtype), answers) in counts {
        let total: usize = answers.values().sum();
        let (most, n) = answers.iter().max_by_key(|(_, n)| **n).unwrap();
        let share = *n as f64 / total as f64;
        // of two answers one is right half of the time
        let limit = if answers.len() == 2 { 0.56 } else { 0.45 };
        assert!(share <= limit, "{task}/{subtype}: `{most}` answers {share:.2} of {total}");
    }
}

#[test]
fn reasons_have_steps_length_and_boxes_and_few_words() {
    let mut vocabulary = BTreeSet::new();
    let mut classes = BTreeSet::new();
    let (mut all, mut beyond, mut wordy) = (0, 0, 0);
    for (_, q) in Task::ALL.into_iter().flat_map(|task| asked(task, 120)) {
        let think = plain(&q.think);
        let words = think.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).count();
        assert!((25..=62).contains(&words), "{}/{}: {words} words: {think}", q.task, q.subtype);
        let cues = ["First, ", " Next, ", " Then ", " So "].iter().filter(|cue| think.contains(*cue)).count();
        assert!(cues >= 3, "{think}");
        let boxes = |spans: &[Span]| spans.iter().filter(|s| matches!(s, Span::Object(_))).count();
        let numbers = 13 * (boxes(&q.think) + boxes(&q.answer));
        let long = matches!(q.task, Task::DenseCaption | Task::Planning);
        let limit = if long { 230 } else { 180 };
        let answer_words = plain(&q.answer).split_whitespace().count();
        // a frequent word is one token, a box 13; then the full stops, the commas, and the tags
        let tokens = words + answer_words + numbers + 12;
        all += 1;
        wordy += usize::from(words > 50);
        beyond += usize::from(!long && tokens > 130);
        assert!(tokens < limit, "{}/{}: about {tokens} tokens: {think}", q.task, q.subtype);
        let absent = q.referents.is_empty() || q.task == Task::DenseCaption;
        assert!(absent || boxes(&q.think) > 0, "{think}");
        let text = whole(&q);
        vocabulary.extend(text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase));
        classes.extend(CLASS_NAMES.iter().flat_map(|c| c.split(' ')).map(str::to_owned));
    }
    assert!(20 * wordy < all, "{wordy} of {all} reasons have more than 50 words");
    assert!(20 * beyond < all, "{beyond} of {all} targets are long");
    assert!(vocabulary.len() < 450, "{} words, of classes {}", vocabulary.len(), classes.len());
}

#[test]
fn the_last_step_names_what_the_answer_is() {
    for (room, q) in Task::ALL.into_iter().flat_map(|task| asked(task, 80)) {
        let think = plain(&q.think);
        let last = think.rsplit(" So ").next().unwrap();
        let named = match (q.task, q.targets.as_slice()) {
            (Task::DenseCaption, _) => last.contains("things"),
            (Task::ObjectCaption, _) => last.contains(room.objects[q.referents[0]].class),
            (_, [one]) => last.contains(room.objects[*one].class),
            (Task::Planning, [.., end]) => last.contains(room.objects[*end].class),
            (Task::Grounding, [one, ..]) => last.contains("things") || last.contains(&plural(room.objects[*one].class)),
            _ => last.contains(&q.answers[0]),
        };
        assert!(named, "{}/{}: {last} | {}", q.task, q.subtype, q.answers[0]);
    }
}

#[test]
fn the_english_is_right() {
    for (_, q) in Task::ALL.into_iter().flat_map(|task| asked(task, 120)) {
        let text = whole(&q);
        for reference in q.answers.iter().chain([&text]) {
            let words: Vec<&str> = reference.split_whitespace().collect();
            for pair in words.windows(2) {
                let vowel = pair[1].starts_with(['a', 'e', 'i', 'o', 'u']);
                assert!(!(pair[0] == "a" && vowel), "{reference}");
                assert!(pair[0] != "an" || vowel, "{reference}");
                assert!(pair[0] != pair[1] || !pair[0].contains(char::is_alphanumeric), "{reference}");
            }
            let wrong = ["So the books is", "Is there books", "bookshelfs", "boxs", "{"];
            let bare = |word: &str| word.trim_end_matches(['.', ',', '?', ':', ';']).to_owned();
            let singular = words.windows(3).any(|w| w[0] == "a" && (bare(w[1]) == "books" || bare(w[2]) == "books"));
            assert!(!singular, "{reference}");
            for wrong in wrong {
                assert!(!reference.contains(wrong), "`{wrong}` in {reference}");
            }
        }
    }
}

#[test]
fn equal_seeds_give_equal_questions_and_ids_are_unique() {
    let room = generate(9, &RoomConfig::default());
    let seen = vec![true; room.objects.len()];
    let mix = TaskMix::default();
    let first = questions(&room, &seen, 4, 30, &mix);
    assert_eq!(first, questions(&room, &seen, 4, 30, &mix));
    assert_ne!(first, questions(&room, &seen, 5, 30, &mix));
    let ids: BTreeSet<&str> = first.iter().map(|q| q.id.as_str()).collect();
    assert_eq!(ids.len(), first.len());
    let texts: BTreeSet<String> = first.iter().map(whole).collect();
    assert_eq!(texts.len(), first.len(), "a question is asked twice");
}

#[test]
fn what_is_emphasised_is_asked_more_often() {
    let mix: TaskMix = "qa=1,grounding=1".parse().unwrap();
    let share = |emphasis: &Emphasis| {
        let kinds: Vec<String> = (0..60)
            .flat_map(|seed| {
                let room = generate(seed, &RoomConfig::default());
                let seen = vec![true; room.objects.len()];
                emphasised_questions(&room, &seen, seed, 6, &mix, emphasis)
            })
            .map(|q| q.kind())
            .collect();
        let of = |kind: &str| kinds.iter().filter(|own| *own == kind).count() as f64 / kinds.len() as f64;
        (of("qa/count"), of("grounding/none"), kinds.len())
    };
    let emphasis = |factors: &[(&str, f64)]| factors.iter().map(|(k, f)| ((*k).to_owned(), *f)).collect::<Emphasis>();
    let (count, none, all) = share(&emphasis(&[("qa/no such kind", 9.0)]));
    // 3 of 22 of half of the questions, and 4 of 20
    assert!((count - 0.07).abs() < 0.05 && (none - 0.1).abs() < 0.05, "{count} {none}");
    let (more, less, again) = share(&emphasis(&[("qa/count", 10.0), ("grounding/none", 0.05)]));
    assert!(more > 2.0 * count && less < 0.5 * none, "{more} {less}");
    assert_eq!((all, again), (360, 360));
    assert_eq!(
        emphasis(&[("qa/count", 3.0), ("dialogue/show", 0.5)]),
        parse_emphasis("qa/count=3, dialogue/show=.5").unwrap()
    );
    for (text, named) in
        [("count=2", "`count`"), ("qa/count", "`qa/count`"), ("qa/count=-1", "-1"), ("qa/count=NaN", "NaN")]
    {
        assert!(parse_emphasis(text).unwrap_err().contains(named), "{text}");
    }
    assert!(parse_emphasis("qa/count=1,qa/count=2").unwrap_err().contains("twice"));
    // what weighs nothing is not asked at all
    assert_eq!(share(&emphasis(&[("qa/count", 0.0)])).0, 0.0);
}

#[test]
fn unseen_classes_are_not_asked_about() {
    for seed in 0..30 {
        let room = generate(seed, &RoomConfig::default());
        let hidden = room.objects[0].class;
        let seen: Vec<bool> = room.objects.iter().map(|o| o.class != hidden).collect();
        for q in questions(&room, &seen, 1, 60, &TaskMix::default()) {
            assert!(q.referents.iter().all(|&i| room.objects[i].class != hidden), "{}", whole(&q));
            let named = [&q.question, &q.think, &q.answer].into_iter().flatten();
            assert!(named.into_iter().all(|s| !matches!(s, Span::Object(i) if room.objects[*i].class == hidden)));
        }
    }
}

#[test]
fn phrasings_are_varied() {
    let mut forms: BTreeMap<(Task, &str), BTreeSet<String>> = BTreeMap::new();
    for (_, q) in Task::ALL.into_iter().flat_map(|task| asked(task, 150)) {
        // the words of the room left out
        let mut text = plain(&q.question);
        for word in CLASS_NAMES.iter().copied().chain(COLORS.iter().map(|c| c.0)) {
            text = text.replace(word, "");
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        forms.entry((q.task, q.subtype)).or_default().insert(text);
    }
    for (subtype, texts) in forms {
        assert!(texts.len() >= 6, "{subtype:?}: {texts:?}");
    }
}

#[test]
fn a_record_says_what_the_question_says() {
    let room = generate(3, &RoomConfig::default());
    let seen = vec![true; room.objects.len()];
    for q in questions(&room, &seen, 3, 40, &TaskMix::default()) {
        let record = q.record("room-3", &room, &mut |i| format!("[{i}]"));
        assert_eq!((record.task, record.boxes.len(), &record.answers), (q.task, q.targets.len(), &q.answers));
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<crate::data::SceneQuestion>(&line).unwrap(), record);
    }
}
