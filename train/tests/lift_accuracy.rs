//! Procedural rooms with things hung on their walls, fused as a recording is, and a reader that reports the true rectangle of
//! every object that a view shows: how many objects come back as 3D boxes, and how well the boxes fit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lifting;

use std::collections::BTreeMap;

use lifting::{Measured, measure};

/// Rooms that nothing was chosen by.
const ROOMS: std::ops::Range<u64> = 9000..9006;

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

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.objects.max(1) as f64
    }
}

#[test]
fn true_rectangles_become_boxes_that_fit() {
    let (mut all, mut by_class) = (Tally::default(), BTreeMap::<&str, Tally>::new());
    let (mut boxes, mut strays, mut twins) = (0, 0, 0);
    for seed in rooms() {
        let Measured { objects, boxes: given, strays: stray, ids } = measure(seed, views());
        for (class, iou) in objects {
            all.add(iou);
            by_class.entry(class).or_default().add(iou);
        }
        boxes += given;
        strays += stray;
        let mut unique = ids.clone();
        unique.sort();
        unique.dedup();
        twins += ids.len() - unique.len();
    }
    let line = |name: &str, t: &Tally| {
        let (a, b) = (100.0 * t.share(t.at_25), 100.0 * t.share(t.at_50));
        eprintln!("| {name} | {} | {:.2} | {a:.0} | {b:.0} |", t.objects, t.iou / t.objects.max(1) as f64);
    };
    for (class, tally) in &by_class {
        line(class, tally);
    }
    line("all", &all);
    eprintln!("{boxes} boxes, {strays} of them over no object of their class, {twins} twins");
}

fn rooms() -> std::ops::Range<u64> {
    match std::env::var("LIFT_ROOMS")
        .ok()
        .and_then(|s| s.split_once("..").map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())))
    {
        Some((a, b)) => a..b,
        None => ROOMS,
    }
}
fn views() -> Option<usize> {
    std::env::var("LIFT_VIEWS").ok().and_then(|s| s.parse().ok())
}
