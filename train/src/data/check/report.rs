//! Counts and findings in, tables or JSON lines on stdout out.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use vantage_node::sink::stdout;

use super::tally::{Count, Tally};
use crate::data::loaders::{Dataset, Finding, Findings, Severity};

/// Lines shown of findings of one kind in one file; `--json` gives all.
const MAX_ALIKE: usize = 10;

#[derive(Serialize)]
struct FindingLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

#[derive(Serialize)]
struct DatasetLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dataset: &'static str,
    split: &'a str,
    scenes: usize,
    objects: usize,
    frames: u64,
    lost_frames: u64,
    questions: usize,
    types: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    datasets: usize,
    questions: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

pub(super) fn print(tally: &Tally, findings: &Findings, json: bool) -> Result<()> {
    let summary = Summary {
        kind: "summary",
        datasets: tally.0.keys().map(|(dataset, _)| *dataset).collect::<std::collections::BTreeSet<Dataset>>().len(),
        questions: tally.0.values().map(Count::questions).sum(),
        errors: findings.count(Severity::Error),
        warnings: findings.count(Severity::Warning),
        notes: findings.count(Severity::Note),
    };
    if json {
        for finding in findings.list() {
            stdout::print(&serde_json::to_string(&FindingLine { kind: "finding", finding })?)?;
        }
        for ((dataset, split), count) in &tally.0 {
            stdout::print(&serde_json::to_string(&line(*dataset, split, count))?)?;
        }
        return stdout::print(&serde_json::to_string(&summary)?);
    }
    for text in texts(findings) {
        stdout::print(&text)?;
    }
    if !tally.0.is_empty() {
        stdout::print(&format!(
            "{:<12} {:<12} {:>7} {:>8} {:>8} {:>10}  types",
            "dataset", "split", "scenes", "objects", "frames", "questions"
        ))?;
    }
    for ((dataset, split), count) in &tally.0 {
        let line = line(*dataset, split, count);
        let types: Vec<String> = line.types.iter().map(|(task, count)| format!("{task} {count}")).collect();
        let lost = if line.lost_frames > 0 { format!("  ({} frames lost)", line.lost_frames) } else { String::new() };
        let row = format!(
            "{:<12} {:<12} {:>7} {:>8} {:>8} {:>10}  {}{lost}",
            line.dataset,
            split,
            line.scenes,
            line.objects,
            line.frames,
            line.questions,
            types.join(", ")
        );
        stdout::print(row.trim_end())?;
    }
    stdout::print(&format!("{} errors, {} warnings, {} notes", summary.errors, summary.warnings, summary.notes))
}

fn line<'a>(dataset: Dataset, split: &'a str, count: &Count) -> DatasetLine<'a> {
    DatasetLine {
        kind: "dataset",
        dataset: dataset.name(),
        split,
        scenes: count.scenes.len(),
        objects: count.objects,
        frames: count.frames,
        lost_frames: count.lost_frames,
        questions: count.questions(),
        types: count.tasks.iter().map(|(task, count)| (task.name(), *count)).collect(),
    }
}

/// Findings as lines, the worst first; of many alike only some, and how many more there are.
fn texts(findings: &Findings) -> Vec<String> {
    let mut sorted: Vec<&Finding> = findings.list().iter().collect();
    sorted.sort_by_key(|f| std::cmp::Reverse(f.severity));
    let mut alike: BTreeMap<_, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for finding in sorted {
        let count = alike.entry((finding.severity, &finding.file, &finding.field)).or_default();
        *count += 1;
        if *count <= MAX_ALIKE {
            out.push(finding.to_string());
        }
    }
    for ((severity, file, field), count) in alike.iter().rev().filter(|(_, count)| **count > MAX_ALIKE) {
        let of = if field.is_empty() { String::new() } else { format!(" of `{field}`") };
        let more = count - MAX_ALIKE;
        out.push(format!("{severity}: {}: {more} more{of}; --json gives all", file.display()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loaders::{Fault, Place};
    use std::path::Path;

    #[test]
    fn of_many_alike_some_are_shown_and_the_rest_counted() {
        let mut findings = Findings::new();
        let _ = findings.report(Fault::new("", "is odd", "look").note(Path::new("n"), Place::File));
        for i in 0..13 {
            let _ = findings.report(Fault::new("answers", "is empty", "fill it").error(Path::new("a"), Place::Item(i)));
        }
        let texts = texts(&findings);
        assert_eq!(texts.len(), 12);
        assert_eq!(texts[0], "error: a: item 0: `answers`: is empty; fill it");
        assert_eq!(texts[10], "note: n: is odd; look");
        assert_eq!(texts[11], "error: a: 3 more of `answers`; --json gives all");
    }
}
