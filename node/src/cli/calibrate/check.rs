//! `vantage calibrate check`: a recording in; verdicts as a table or JSON lines, and a picture to look at, out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use vantage_calibration::check::{Finding, Verdict, overall};
use vantage_calibration::write_whole;

use super::examine::Examination;
use super::{Which, overlay, report};
use crate::sink::stdout;

/// Columns of a table that is not printed on a terminal.
const WIDTH_OF_A_FILE: u16 = 150;

/// Arguments of `vantage calibrate check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A rosbag2 folder, an .mcap or a .db3 file.
    bag: PathBuf,
    /// One JSON object a line on stdout instead of a table.
    #[arg(long)]
    json: bool,
    /// Picture to write: .html with plots, or .png with the outlines of depth drawn on color.
    #[arg(long, value_parser = picture)]
    out: Option<PathBuf>,
    /// Largest time between a color and a depth image, seconds.
    #[arg(long, default_value_t = 0.02, value_parser = tolerance)]
    sync_tolerance: f64,
    #[command(flatten)]
    which: Which,
}

fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|e| e.to_str()) {
        Some("html" | "png") => Ok(path),
        _ => Err("it must end in .html or .png".to_owned()),
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=10.0).contains(&number) { Ok(number) } else { Err("it must be from 0 to 10".to_owned()) }
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Check(&'a Finding),
    Calibration { verdict: Verdict, checks: usize, failed: Vec<&'a str>, warned: Vec<&'a str>, undecided: Vec<&'a str> },
}

/// Runs `vantage calibrate check`.
pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let examined = Examination::of(&args.bag, &args.which.topics(), &args.which.global_frame)?;
    let findings = examined.findings(&args.which.global_frame, (args.sync_tolerance * 1e9).round() as i64);
    let named = |verdict: Verdict| findings.iter().filter(|f| f.verdict == verdict).map(|f| f.name).collect::<Vec<_>>();
    let failed = named(Verdict::Fail);
    let text = if args.json {
        let summary = Line::Calibration {
            verdict: overall(&findings),
            checks: findings.len(),
            failed: failed.clone(),
            warned: named(Verdict::Warn),
            undecided: named(Verdict::Undecided),
        };
        let lines = findings.iter().map(Line::Check).chain([summary]);
        let lines: Vec<String> = lines.map(|line| serde_json::to_string(&line)).collect::<Result<_, _>>()?;
        lines.join("\n")
    } else {
        table(&findings)
    };
    stdout::print(&text)?;
    // after the verdicts: a picture that cannot be drawn must not hide them
    if let Some(out) = &args.out {
        write_picture(out, &args.bag, &examined, &findings)?;
    }
    if !failed.is_empty() {
        bail!("{}: {} failed", args.bag.display(), failed.join(", "));
    }
    Ok(())
}

/// The picture of what was examined, in the form that the name of the file asks for.
fn write_picture(out: &Path, bag: &Path, examined: &Examination, findings: &[Finding]) -> Result<()> {
    let bytes = if out.extension().is_some_and(|e| e == "html") {
        report::html(bag, examined, findings)?.into_bytes()
    } else {
        overlay::sheet(examined).context("drawing the outlines")?
    };
    write_whole(out, &bytes)?;
    tracing::info!("written to {}", out.display());
    Ok(())
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH_OF_A_FILE);
    }
    table.set_header(["check", "verdict", "what was found"]);
    for f in findings {
        table.add_row([f.name.to_owned(), f.verdict.to_string(), f.message.clone()]);
    }
    format!("{table}\noverall: {}", overall(findings))
}
