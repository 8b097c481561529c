//! What was measured in, one HTML file with nothing outside of it out.

use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vantage_calibration::check::{Finding, MotionSignal, overall};

use super::examine::Examination;
use super::overlay;
use crate::plot::{Series, bars, lines};
use crate::sink::folder::escape;

/// Version of the page, for those who compare pages.
const PAGE_VERSION: u32 = 1;
/// Width of a bar of the depth histogram, and its end, metres.
const HISTOGRAM_M: [f64; 2] = [0.1, 8.0];
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e4e4e4;vertical-align:top}\
    .ok{color:#1b7f3b}.warn{color:#a86400}.fail{color:#c21f2f;font-weight:600}.undecided{color:#777}td.v{white-space:nowrap}\
    .pair{display:flex;gap:.6rem;margin:.6rem 0}figure{margin:0;flex:1}img{width:100%}figcaption{color:#666;font-size:.85rem}svg{width:100%}";

/// The page.
///
/// # Errors
/// When a picture cannot be encoded.
pub(super) fn html(bag: &Path, examined: &Examination, findings: &[Finding]) -> Result<String> {
    let verdict = overall(findings);
    let rows: String = findings
        .iter()
        .map(|f| {
            let number = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:.4} {}", f.unit));
            format!(
                "<tr><td>{}</td><td class=\"v {1}\">{1}</td><td class=\"v\">{2}</td><td class=\"v\">{3}</td><td>{4}</td></tr>",
                f.name,
                f.verdict,
                number(f.value),
                number(f.limit),
                escape(&f.message)
            )
        })
        .collect();
    let mut sections = String::new();
    for pair in overlay::pairs(examined) {
        let mut figures = String::new();
        for (picture, caption) in [
            (&pair.before, "as recorded: outlines of depth (red) on the color image with the nearest stamp"),
            (&pair.after, "corrected by the offset and shift that were found (green)"),
        ] {
            if let Some(picture) = picture {
                let data = STANDARD.encode(overlay::png(picture)?);
                figures += &format!(
                    "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{data}\"><figcaption>{caption}</figcaption></figure>"
                );
            }
        }
        sections += &format!("<div class=\"pair\">{figures}</div>");
    }
    if !examined.drawn.is_empty() {
        sections = format!("<h2>Depth on color</h2>{sections}");
    }
    sections += &motions(examined);
    if let Some(plot) = bars(&examined.pictures.statistics.histogram(HISTOGRAM_M[0], HISTOGRAM_M[1]), "depth, m") {
        sections += &format!("<h2>Depths</h2><p>Share of the readings; the last bar holds all beyond.</p>{plot}");
    }
    let name = escape(&bag.display().to_string());
    Ok(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"generator\" content=\"vantage {} page {PAGE_VERSION}\">\
         <title>Calibration of {name}</title><style>{STYLE}</style><h1>Calibration: <span class=\"{verdict}\">{verdict}</span></h1>\
         <p>{name}</p><table><tr><th>check</th><th>verdict</th><th>value</th><th>limit</th><th>what was found</th></tr>{rows}</table>{sections}</html>\n",
        env!("CARGO_PKG_VERSION")
    ))
}

/// The motion of color and depth over time, as stamped and with color moved by the offset that was found.
fn motions(examined: &Examination) -> String {
    let pictures = &examined.pictures;
    let Some(start) = pictures.depth_motion.stamps.first().or(pictures.color_motion.stamps.first()) else {
        return String::new();
    };
    let points = |signal: &MotionSignal, axis: usize, later_s: f64| -> Vec<[f64; 2]> {
        let time = |stamp: &i64| (i128::from(*stamp) - i128::from(*start)) as f64 * 1e-9 - later_s;
        signal.stamps.iter().zip(&signal.rates).map(|(stamp, rate)| [time(stamp), rate[axis]]).collect()
    };
    let offset = examined.color_against_depth();
    let later_s = offset.map_or(0.0, |o| o.offset_s);
    let by = if examined.color_by_edges.is_some() { "outlines" } else { "motion" };
    let found = offset.map_or_else(
        || "No offset between color and depth was found.".to_owned(),
        |o| {
            format!(
                "Color is stamped {:+.1} &plusmn; {:.1} ms later than depth, by {by}; it is drawn earlier by as much.",
                1e3 * o.offset_s,
                1e3 * o.error_s
            )
        },
    );
    let plots: String = [(0, "to the right"), (1, "downwards")]
        .into_iter()
        .filter_map(|(axis, way)| {
            let series = [
                Series { name: "color", points: points(&pictures.color_motion, axis, later_s) },
                Series { name: "depth", points: points(&pictures.depth_motion, axis, 0.0) },
                Series { name: "transforms", points: points(&examined.tf_motion, axis, 0.0) },
            ];
            Some(format!("<h3>Shift of the picture {way}, px/s</h3>{}", lines(&series, "time, s")?))
        })
        .collect();
    format!("<h2>Motion</h2><p>{found}</p>{plots}")
}
