//! `vantage bench model` of a whole model: its sizes and a scene's in; parameters, bytes, work and time of every part, and what
//! published rates of Jetson modules allow, out.

use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::ProgressBar;
use serde_json::json;
use vantage_model::measure::{self, JETSONS, ModelReport, SceneWork};
use vantage_model::memory::available_bytes;
use vantage_model::packed::MatrixType;
use vantage_model::r1::{Encoder, R1Config};
use vantage_model::weights::Placement;
use vantage_model::{DeviceChoice, Reasoner};

use super::model::peak_resident_bytes;
use crate::sink::stdout;

/// Which whole model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// The embedded one.
    Nano,
    /// 3D-R1 of published parts.
    R1,
}

/// What is measured and where.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) whole: Whole,
    pub(super) encoders: &'a [Encoder],
    pub(super) amount: SceneWork,
    pub(super) dtype: MatrixType,
    pub(super) device: DeviceChoice,
    /// Most memory it may take, bytes.
    pub(super) limit: Option<u64>,
    pub(super) json: bool,
}

/// Measures and prints.
pub(super) fn run(request: &Request<'_>) -> Result<()> {
    let choice = request.device.settled();
    let device = choice.open()?;
    let report = match request.whole {
        Whole::Nano => {
            let reasoner = Reasoner::embedded(&device)?;
            measure::own(reasoner.config(), &device, &request.amount)
        }
        Whole::R1 => {
            let config = R1Config::r1_7b(request.encoders);
            let packed = choice == DeviceChoice::Cpu;
            if choice == DeviceChoice::Wgpu && request.dtype == MatrixType::Bf16 {
                bail!("--dtype bf16: wgpu has no such numbers; take f32 or f16");
            }
            let of = |matrices, tokens| {
                let placement = Placement { device: device.clone(), matrices, packed };
                measure::r1_plan(&config, &placement, &SceneWork { tokens, ..request.amount })
            };
            let plan = of(request.dtype, request.amount.tokens);
            tracing::info!("r1-7b: {plan}");
            let available = request.limit.or_else(|| packed.then(available_bytes).flatten());
            if let Some(available) = available {
                plan.check(available, &mut |matrices, _| of(matrices, request.amount.tokens)).context("r1-7b")?;
            }
            let placement = Placement { device: device.clone(), matrices: request.dtype, packed };
            // hidden by itself where stderr is no terminal
            let bar = ProgressBar::new_spinner();
            let report = measure::r1(&config, &placement, &request.amount, &mut |part| {
                bar.set_message(part.to_owned());
                bar.tick();
            })?;
            bar.finish_and_clear();
            report
        }
    };
    let (name, dtype) = match request.whole {
        Whole::Nano => ("nano", MatrixType::F32.name()),
        Whole::R1 => ("r1-7b", request.dtype.name()),
    };
    if request.json { lines(&report, name, dtype, choice, request) } else { table(&report, name, dtype, choice) }
}

fn lines(report: &ModelReport, name: &str, dtype: &str, device: DeviceChoice, request: &Request<'_>) -> Result<()> {
    for part in &report.parts {
        let mut line = serde_json::to_value(part)?;
        line["type"] = json!("part");
        line["config"] = json!(name);
        stdout::print(&line.to_string())?;
    }
    for rates in &JETSONS {
        let mut line = serde_json::to_value(rates.roofline(report))?;
        line["type"] = json!("roofline");
        line["config"] = json!(name);
        stdout::print(&line.to_string())?;
    }
    let mut line = serde_json::to_value(report)?;
    if let Some(fields) = line.as_object_mut() {
        fields.remove("parts");
    }
    line["type"] = json!("model");
    line["config"] = json!(name);
    line["dtype"] = json!(dtype);
    line["device"] = json!(device.to_string());
    line["threads"] = json!(rayon::current_num_threads());
    line["views"] = json!(request.amount.views);
    line["weight_bytes"] = json!(report.weight_bytes());
    line["peak_resident_bytes"] = json!(peak_resident_bytes());
    stdout::print(&line.to_string())
}

fn table(report: &ModelReport, name: &str, dtype: &str, device: DeviceChoice) -> Result<()> {
    let mut parts = Table::new();
    parts.load_style(presets::UTF8_FULL_CONDENSED).set_header(["part", "M parameters", "MB", "GFLOP", "ms", "share"]);
    for part in &report.parts {
        parts.add_row([
            part.part.to_owned(),
            format!("{:.1}", part.parameters as f64 * 1e-6),
            format!("{:.0}", part.bytes as f64 * 1e-6),
            format!("{:.1}", part.flops as f64 * 1e-9),
            format!("{:.1}", part.ms),
            format!("{:.0}%", part.share * 1e2),
        ]);
    }
    right_aligned(&mut parts);
    stdout::print(&format!("{name}, {dtype}, on {device}, {} threads", rayon::current_num_threads()))?;
    stdout::print(&parts.to_string())?;
    let peak = peak_resident_bytes().map_or_else(|| "unknown".to_owned(), |b| format!("{:.2} GB", b as f64 * 1e-9));
    stdout::print(&format!(
        "{} scene tokens; first token after {:.0} ms, on the same scene again after {:.0} ms; {:.1} ms a token ({:.2} tokens/s); \
         most memory {peak}",
        report.scene_tokens, report.first_token_ms, report.next_first_token_ms, report.decode_ms, report.tokens_per_s
    ))?;
    let mut rooflines = Table::new();
    rooflines.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "computed, not measured",
        "first token, ms",
        "again, ms",
        "tokens/s",
        "weights fit",
    ]);
    for rates in &JETSONS {
        let roofline = rates.roofline(report);
        rooflines.add_row([
            roofline.device.to_owned(),
            format!("{:.2}", roofline.first_token_ms),
            format!("{:.2}", roofline.next_first_token_ms),
            format!("{:.1}", roofline.tokens_per_s),
            if roofline.weights_fit { "yes" } else { "no" }.to_owned(),
        ]);
    }
    right_aligned(&mut rooflines);
    stdout::print("Least times that published bandwidths and rates allow (roofline); no kernel reaches them:")?;
    stdout::print(&rooflines.to_string())
}

fn right_aligned(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
