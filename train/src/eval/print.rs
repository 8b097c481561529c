//! Figures in, JSON lines or a table on stdout out.

use anyhow::Result;
use serde_json::{Map, Value, json};
use vantage_node::sink::stdout;

use crate::tasks::{Estimate, Report, Summary};

/// Figures that every line has, null where nothing was measured.
const ALWAYS: [&str; 6] = ["grammar", "exact_match", "majority_exact_match", "acc_25", "acc_50", "random_acc_25"];
/// Columns of the table besides the count; what a task is measured by otherwise goes behind them.
const COLUMNS: [(&str, &str); 5] = [
    ("grammar", "grammar"),
    ("exact_match", "exact match"),
    ("majority_exact_match", "majority"),
    ("acc_25", "acc@0.25"),
    ("acc_50", "acc@0.5"),
];

/// `{"type":"eval_type","question_type":"qa/color",...}` for each subtype, `eval_task` for each task, `eval` last: for each
/// metric its mean, and `_low` and `_high` of its 95% interval.
/// Before them, `eval_gain` of each task and in all, where another model was asked too: how much higher the means are.
pub(super) fn print(report: &Report, gains: &[Summary], json: bool) -> Result<()> {
    if json {
        let mut lines: Vec<Value> = gains.iter().map(|gain| line("eval_gain", Some(&gain.name), gain)).collect();
        lines.extend(self::lines(report));
        return lines.iter().try_for_each(|line| stdout::print(&serde_json::to_string(line)?));
    }
    stdout::print(&table(report))?;
    gains.iter().try_for_each(|gain| stdout::print(&gain_line(gain)))
}

/// `gain qa: exact_match +2.1 (0.4 to 3.9)` and so on, in points.
fn gain_line(gain: &Summary) -> String {
    let points = |e: &Estimate| {
        let (low, high) = e.interval.unwrap_or((e.value, e.value));
        format!("{:+.1} ({:.1} to {:.1})", 100.0 * e.value, 100.0 * low, 100.0 * high)
    };
    let metrics: Vec<String> = gain.metrics.iter().map(|(name, e)| format!("{name} {}", points(e))).collect();
    format!("gain {}: {}", gain.name, metrics.join(", "))
}

fn lines(report: &Report) -> Vec<Value> {
    let of = |kind: &str, summary: &Summary| line(kind, (kind != "eval").then_some(summary.name.as_str()), summary);
    let mut out: Vec<Value> = report.subtypes.iter().map(|s| of("eval_type", s)).collect();
    out.extend(report.tasks.iter().map(|s| of("eval_task", s)));
    out.push(of("eval", &report.all));
    out
}

fn line(kind: &str, name: Option<&str>, summary: &Summary) -> Value {
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(kind));
    if let Some(name) = name {
        out.insert(if kind == "eval_type" { "question_type" } else { "task" }.to_owned(), json!(name));
    }
    out.insert("count".to_owned(), json!(summary.count));
    for metric in ALWAYS {
        out.insert(metric.to_owned(), Value::Null);
    }
    for (metric, estimate) in &summary.metrics {
        out.insert(metric.clone(), json!(estimate.value));
        if let Some((low, high)) = estimate.interval {
            out.insert(format!("{metric}_low"), json!(low));
            out.insert(format!("{metric}_high"), json!(high));
        }
    }
    Value::Object(out)
}

fn table(report: &Report) -> String {
    let percent = |summary: &Summary, metric: &str| {
        summary.metrics.get(metric).map_or_else(|| "-".to_owned(), |e| format!("{:.1}", 100.0 * e.value))
    };
    let mut out = format!("{:<24} {:>6}", "type", "count");
    for (_, title) in COLUMNS {
        out += &format!(" {title:>12}");
    }
    out += "  others";
    for summary in report.subtypes.iter().chain(&report.tasks).chain([&report.all]) {
        out += &format!("\n{:<24} {:>6}", summary.name, summary.count);
        for (metric, _) in COLUMNS {
            out += &format!(" {:>12}", percent(summary, metric));
        }
        let shown = |metric: &str| COLUMNS.iter().any(|(column, _)| *column == metric);
        let others: Vec<String> = summary
            .metrics
            .iter()
            .filter(|(metric, _)| !shown(metric) && summary.name != "all")
            .map(|(metric, e)| format!("{metric} {:.3}", e.value))
            .collect();
        out += &format!("  {}", others.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn lines_have_what_was_measured_and_null_for_the_rest() {
        let estimate = Estimate { value: 0.5, interval: Some((0.4, 0.6)) };
        let metrics = BTreeMap::from([("exact_match".to_owned(), estimate)]);
        let of = |name: &str| Summary { name: name.to_owned(), count: 4, metrics: metrics.clone() };
        let report = Report { subtypes: vec![of("qa/color")], tasks: vec![of("qa")], all: of("all") };
        let all = lines(&report);
        assert_eq!(all.len(), 3);
        assert_eq!((&all[0]["type"], &all[0]["question_type"]), (&json!("eval_type"), &json!("qa/color")));
        assert_eq!(all[1]["task"], "qa");
        assert_eq!((&all[2]["type"], &all[2]["exact_match_low"]), (&json!("eval"), &json!(0.4)));
        assert!(all[2]["acc_25"].is_null() && all[2].get("question_type").is_none());
        assert!(table(&report).lines().count() == 4 && table(&report).contains("50.0"));
        assert_eq!(gain_line(&of("qa")), "gain qa: exact_match +50.0 (40.0 to 60.0)");
    }
}
