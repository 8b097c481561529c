//! Procedural rooms with things hung on their walls, fused as a recording is, and a reader that reports the true rectangle of
//! every object that a view shows: how many objects come back as 3D boxes, and how well the boxes fit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lifting;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use lifting::{Measured, TruthReader, measure};
use vantage_model::AskOptions;
use vantage_node::answerer::{Answerer, Mode};
use vantage_node::engine::{FusionSettings, fuse_recording};
use vantage_node::source::{BagSource, TopicRequest};
use vantage_train::rooms::export::{self, RoomsArgs};
use vantage_train::rooms::{Difficulty, RecordConfig, RoomConfig, SensingArgs, generate, record};

/// Rooms by which nothing in `lift` was chosen. docs/lift.md has the figures of the first 60.
const ROOMS: std::ops::Range<u64> = 9000..9008;
/// Sides of rectangles that a model draws are off by so much of the rectangle's.
const DRAWN_BY_EYE: f64 = 0.05;

#[derive(Default)]
struct Tally {
    objects: usize,
    iou: f64,
    at_25: usize,
    at_50: usize,
}

impl Tally {
    fn add(&mut self, iou: f64) {
        self.objects += 1;
        self.iou += iou;
        self.at_25 += usize::from(iou >= 0.25);
        self.at_50 += usize::from(iou >= 0.5);
    }

    fn mean(&self) -> f64 {
        self.iou / self.objects.max(1) as f64
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.objects.max(1) as f64
    }

    fn say(&self, name: &str) {
        let [at_25, at_50] = [self.at_25, self.at_50].map(|count| 100.0 * self.share(count));
        eprintln!("| {name} | {} | {:.2} | {at_25:.0} | {at_50:.0} |", self.objects, self.mean());
    }
}

/// Lifts everything in [`ROOMS`]; all objects, and the share of boxes that are no object's.
fn lifted(error: f64, views: Option<usize>) -> (Tally, f64) {
    let (mut all, mut by_class) = (Tally::default(), BTreeMap::<&str, Tally>::new());
    let (mut boxes, mut strays) = (0, 0);
    for seed in ROOMS {
        let Measured { objects, ids, strays: stray } = measure(seed, error, views);
        for (class, iou) in objects {
            all.add(iou);
            by_class.entry(class).or_default().add(iou);
        }
        boxes += ids.len();
        strays += stray;
        let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "room {seed}: two boxes of one answer have one id: {ids:?}");
    }
    by_class.iter().for_each(|(class, tally)| tally.say(class));
    all.say("all");
    eprintln!("{strays} of {boxes} boxes are no object's");
    (all, strays as f64 / f64::from(boxes as u32).max(1.0))
}

#[test]
fn true_rectangles_become_boxes_that_fit() {
    let (all, strays) = lifted(0.0, None);
    assert!(all.objects > 70);
    assert!(all.mean() > 0.70 && all.share(all.at_25) > 0.93 && all.share(all.at_50) > 0.85);
    assert!(strays < 0.08, "{strays}");
}

#[test]
fn rectangles_drawn_by_eye_become_boxes_that_fit() {
    let (all, strays) = lifted(DRAWN_BY_EYE, None);
    assert!(all.mean() > 0.66 && all.share(all.at_25) > 0.92 && all.share(all.at_50) > 0.80);
    assert!(strays < 0.10, "{strays}");
}

#[test]
fn a_replayed_room_is_answered_with_the_boxes_of_what_was_named() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("room");
    let walk = RecordConfig { width: 320, height: 240, frames: 48, rate_hz: 10.0, ..RecordConfig::default() };
    export::run(&RoomsArgs {
        seed: ROOMS.start,
        difficulty: Difficulty::Easy,
        out: out.clone(),
        frames: walk.frames,
        width: walk.width,
        rate: walk.rate_hz,
        questions: 1,
        sensing: SensingArgs::default(),
        force: false,
    })
    .unwrap();
    let mut source = BagSource::open(&out.join("bag"), &TopicRequest::default()).unwrap();
    let replay = fuse_recording(&mut source, &FusionSettings::default().engine(), &mut |_, _| Ok(())).unwrap();

    let room = generate(ROOMS.start, &RoomConfig::of(Difficulty::Easy));
    let object = room.objects.iter().max_by(|a, b| a.bbox.volume().total_cmp(&b.bbox.volume())).unwrap();
    let reader = TruthReader::new(&room, &record(&room, &walk), 0.0, |o| o.id == object.id);
    let mut answerer = Answerer::lift(reader, "the truth");
    assert_eq!((answerer.mode(), answerer.name()), (Mode::Lift, "the truth"));
    let mut streamed = String::new();
    let mut on_text = |text: &str| {
        streamed += text;
        ControlFlow::Continue(())
    };
    let question = format!("Where is the {}?", object.class);
    let answer = answerer.ask(&replay.scene, &question, &AskOptions::default(), &mut on_text).unwrap();
    assert_eq!((answer.boxes.len(), answer.answer.as_str(), answer.grammar_valid), (1, "here they are", true));
    assert_eq!(answer.boxes[0].label, object.class);
    let iou = answer.boxes[0].bbox.iou(&object.bbox);
    assert!(iou > 0.5, "{} found with an overlap of {iou:.2}", object.class);
    assert_eq!(answer.raw.replace('\n', ""), streamed.replace('\n', ""));
    assert!(answer.reasoning.contains("1 box"), "{}", answer.reasoning);

    // the same object keeps its id; stopped at once, no further view is read
    let again =
        answerer.ask(&replay.scene, &question, &AskOptions::default(), &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(again.reasoning.split("; ").count(), 1, "{}", again.reasoning);
    assert!(again.boxes.iter().all(|found| found.id == answer.boxes[0].id));
    let late = AskOptions { deadline: Some(std::time::Instant::now()), ..AskOptions::default() };
    let late = answerer.ask(&replay.scene, &question, &late, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((late.answer.as_str(), late.boxes.len()), ("no view was read", 0));
}
