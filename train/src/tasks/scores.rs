//! Scored questions in; per subtype, per task and in all: the mean of each metric with its interval, and the majority answer's, out.

use std::collections::{BTreeMap, BTreeSet};

use super::interval::{Estimate, estimate};
use super::score::{OVERLAPS, QuestionScores};
use super::{Question, Task};
use crate::eval::MajorityAnswer;
use crate::metrics::{Detection, Labelled, Words, bleu, cider, mean_average_precision, meteor, rouge_l};

/// Caption metrics, by the overlap that captions were found at.
const CAPTION_METRICS: [(&str, [&str; 3]); 3] = [
    ("", ["rouge_l", "meteor", "cider"]),
    ("25", ["rouge_l_25", "meteor_25", "cider_25"]),
    ("50", ["rouge_l_50", "meteor_50", "cider_50"]),
];

/// One question's share in the figures.
#[derive(Debug)]
struct Row {
    task: Task,
    subtype: &'static str,
    room: u64,
    values: Vec<(&'static str, f64)>,
    captions: Vec<(&'static str, Words)>,
    found: Vec<Detection>,
    there: Vec<Labelled>,
}

/// Collects scores.
#[derive(Debug, Default)]
pub struct Scores {
    rows: Vec<Row>,
    majority: MajorityAnswer,
}

/// The figures of some questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// `qa/color`, `qa`, or `all`.
    pub name: String,
    /// Questions.
    pub count: usize,
    /// Each metric by its name. Means have intervals by [`estimate`]; `bleu_4`, `map_25` and `map_50` are of the whole corpus and
    /// have none. `majority_exact_match` is what the best constant answer of each subtype gets right.
    pub metrics: BTreeMap<String, Estimate>,
}

/// Summaries at each level.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of each subtype.
    pub subtypes: Vec<Summary>,
    /// Of each task.
    pub tasks: Vec<Summary>,
    /// Of all questions.
    pub all: Summary,
}

impl Scores {
    /// Adds a question about the room of seed `room`; `more` are metrics that the caller measured, such as a baseline's.
    pub fn add(&mut self, question: &Question, room: u64, scores: QuestionScores, more: &[(&'static str, f64)]) {
        let QuestionScores { grammar, mut values, captions, found, there } = scores;
        if values.iter().any(|(name, _)| *name == "exact_match")
            && let Some(first) = question.answers.first()
        {
            self.majority.add(&name_of(question.task, question.subtype), first);
        }
        values.push(("grammar", f64::from(u8::from(grammar))));
        values.extend(more);
        self.rows.push(Row { task: question.task, subtype: question.subtype, room, values, captions, found, there });
    }

    /// The figures of everything added.
    pub fn report(mut self) -> Report {
        self.score_all_captions();
        self.figures()
    }

    /// The figures, and how much higher than `base`'s the means are, of each task and in all: `base` was added the same
    /// questions in the same order. Differences are taken question by question, so that their intervals are those of pairs.
    pub fn report_against(mut self, mut base: Self) -> (Report, Vec<Summary>) {
        self.score_all_captions();
        base.score_all_captions();
        let tasks: BTreeSet<Task> = self.rows.iter().map(|r| r.task).collect();
        let mut gains: Vec<Summary> =
            tasks.iter().map(|&task| self.gain(&base, task.name().to_owned(), &|r| r.task == task)).collect();
        gains.push(self.gain(&base, "all".to_owned(), &|_| true));
        (self.figures(), gains)
    }

    fn gain(&self, base: &Self, name: String, chosen: &dyn Fn(&Row) -> bool) -> Summary {
        let mut values: BTreeMap<&str, Vec<(u64, f64)>> = BTreeMap::new();
        let mut count = 0;
        for (row, before) in self.rows.iter().zip(&base.rows).filter(|(row, _)| chosen(row)) {
            count += 1;
            for (metric, value) in &row.values {
                if let Some((_, old)) = before.values.iter().find(|(name, _)| name == metric) {
                    values.entry(metric).or_default().push((row.room, value - old));
                }
            }
        }
        let metrics = values.iter().filter_map(|(metric, v)| Some(((*metric).to_owned(), estimate(v)?))).collect();
        Summary { name, count, metrics }
    }

    fn score_all_captions(&mut self) {
        for task in Task::ALL {
            for (found_at, names) in CAPTION_METRICS {
                self.score_captions(task, found_at, names);
            }
        }
    }

    fn figures(&self) -> Report {
        let subtypes: BTreeSet<(Task, &'static str)> = self.rows.iter().map(|r| (r.task, r.subtype)).collect();
        let tasks: BTreeSet<Task> = self.rows.iter().map(|r| r.task).collect();
        Report {
            subtypes: subtypes
                .iter()
                .map(|&(task, sub)| self.summary(name_of(task, sub), &|r| r.task == task && r.subtype == sub, true))
                .collect(),
            tasks: tasks.iter().map(|&task| self.summary(task.name().to_owned(), &|r| r.task == task, true)).collect(),
            all: self.summary("all".to_owned(), &|_| true, false),
        }
    }

    /// Scores the captions of a task as one corpus, and gives each row the values of its own.
    fn score_captions(&mut self, task: Task, found_at: &str, names: [&'static str; 3]) {
        let places: Vec<(usize, usize)> = (0..self.rows.len())
            .filter(|&r| self.rows[r].task == task)
            .flat_map(|r| (0..self.rows[r].captions.len()).map(move |c| (r, c)))
            .filter(|&(r, c)| self.rows[r].captions[c].0 == found_at)
            .collect();
        if places.is_empty() {
            return;
        }
        let corpus: Vec<Words> = places.iter().map(|&(r, c)| self.rows[r].captions[c].1.clone()).collect();
        let each = [rouge_l(&corpus).each, meteor(&corpus).each, cider(&corpus).each];
        for (name, values) in names.into_iter().zip(each) {
            for (&(row, _), value) in places.iter().zip(values) {
                self.rows[row].values.push((name, value));
            }
        }
    }

    fn summary(&self, name: String, chosen: &dyn Fn(&Row) -> bool, corpora: bool) -> Summary {
        let rows: Vec<&Row> = self.rows.iter().filter(|r| chosen(r)).collect();
        let mut values: BTreeMap<&str, Vec<(u64, f64)>> = BTreeMap::new();
        for row in &rows {
            for (metric, value) in &row.values {
                values.entry(metric).or_default().push((row.room, *value));
            }
        }
        let mut metrics: BTreeMap<String, Estimate> =
            values.iter().filter_map(|(metric, v)| Some(((*metric).to_owned(), estimate(v)?))).collect();
        let whole = |value: f64| Estimate { value, interval: None };
        if let Some(answered) = values.get("exact_match") {
            let names: BTreeSet<String> = rows.iter().map(|r| name_of(r.task, r.subtype)).collect();
            let right: usize = names.iter().map(|n| self.majority.right(n)).sum();
            metrics.insert("majority_exact_match".to_owned(), whole(right as f64 / answered.len() as f64));
        }
        if corpora {
            let captions: Vec<Words> =
                rows.iter().flat_map(|r| &r.captions).filter(|(at, _)| at.is_empty()).map(|(_, w)| w.clone()).collect();
            if !captions.is_empty() {
                metrics.insert("bleu_4".to_owned(), whole(bleu(&captions).corpus[3]));
            }
            let (mut found, mut there) = (Vec::new(), Vec::new());
            for (scene, row) in rows.iter().enumerate() {
                let at = |object: &Labelled| Labelled { scene, ..object.clone() };
                found.extend(row.found.iter().map(|d| Detection { object: at(&d.object), score: d.score }));
                there.extend(row.there.iter().map(at));
            }
            if !there.is_empty() {
                for (threshold, at) in OVERLAPS {
                    let mean = mean_average_precision(&found, &there, threshold).mean;
                    metrics.insert(format!("map_{at}"), whole(mean));
                }
            }
        }
        Summary { name, count: rows.len(), metrics }
    }
}

fn name_of(task: Task, subtype: &str) -> String {
    format!("{task}/{subtype}")
}

#[cfg(test)]
mod tests {
    use vantage_model::grammar::parse;
    use vantage_model::{TextBox, target_text};
    use vantage_scene::Aabb;

    use super::super::check::asked;
    use super::super::score::{Said, score};
    use super::*;

    #[test]
    fn gains_are_differences_of_pairs() {
        let (mut better, mut base) = (Scores::default(), Scores::default());
        let values = |right: bool| QuestionScores {
            grammar: true,
            values: vec![("exact_match", f64::from(u8::from(right)))],
            ..QuestionScores::default()
        };
        let asked = asked(Task::Qa, 8);
        for (i, (room, question)) in asked.iter().enumerate() {
            // right wherever the base is, and once in four times besides
            better.add(question, room.seed, values(i % 2 == 0 || i % 4 == 1), &[]);
            base.add(question, room.seed, values(i % 2 == 0), &[]);
        }
        let (report, gains) = better.report_against(base);
        let gain = gains[0].metrics["exact_match"];
        assert_eq!((gains.len(), gains[0].count, report.all.count), (2, asked.len(), asked.len()));
        let right = (0..asked.len()).filter(|i| i % 4 == 1).count() as f64 / asked.len() as f64;
        assert!((gain.value - right).abs() < 1e-12);
        // a pair that is equal is no noise: no resample finds a loss
        assert!(gain.interval.unwrap().0 >= 0.0);
        assert_eq!(gains[1].metrics["grammar"].value, 0.0);
    }

    #[test]
    fn full_marks_are_ones_at_every_level() {
        let bounds = Aabb { min: [0.0; 3], max: [16.0, 16.0, 3.0] };
        let mut scores = Scores::default();
        let mut count = 0;
        for task in Task::ALL {
            for (room, question) in asked(task, 12) {
                let (think, answer) =
                    question.target(&mut |i| TextBox::from_box(&room.objects[i].bbox, &bounds).to_string());
                let parsed = parse(&target_text(&think, &answer)).unwrap();
                let boxes = question.boxes(&room);
                let sureness = vec![1.0; boxes.len()];
                let said = Said { parsed: Some(&parsed), boxes: &boxes, sureness: &sureness };
                scores.add(&question, room.seed, score(&question, &room, &said), &[("random_acc_25", 0.0)]);
                count += 1;
            }
        }
        let report = scores.report();
        assert_eq!(report.all.count, count);
        assert_eq!(report.subtypes.iter().map(|s| s.count).sum::<usize>(), count);
        assert_eq!(report.tasks.len(), Task::ALL.len());
        for summary in report.subtypes.iter().chain(&report.tasks).chain([&report.all]) {
            for (name, e) in &summary.metrics {
                let (low, high) = e.interval.unwrap_or((e.value, e.value));
                assert!(low <= e.value + 1e-9 && e.value <= high + 1e-9, "{}: {name} {e:?}", summary.name);
                let full = !["majority_exact_match", "random_acc_25"].contains(&name.as_str());
                // CIDEr counts to 10, and METEOR takes a little off single words
                assert!(!full || e.value > 0.98, "{}: {name} {}", summary.name, e.value);
            }
        }
        let metric = |name: &str, of: &str| {
            let summary = report.tasks.iter().find(|s| s.name == of).unwrap();
            summary.metrics.get(name).map(|e| e.value)
        };
        assert!(metric("majority_exact_match", "qa").unwrap() < 0.6);
        for (name, task) in [
            ("bleu_4", "object_caption"),
            ("cider", "object_caption"),
            ("cider_25", "dense_caption"),
            ("map_50", "dense_caption"),
            ("step_f1", "planning"),
            ("refined_exact_match", "situated"),
            ("f1_50", "grounding"),
            ("acc_50", "dialogue"),
            ("none", "grounding"),
        ] {
            assert!(metric(name, task).is_some(), "{task} lacks {name}");
        }
    }
}
