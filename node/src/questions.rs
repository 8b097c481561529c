//! questions.jsonl in, questions with what is known of their answers out (DESIGN section 8).

use std::path::Path;

/// Largest file of questions read, bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use vantage_model::Answer;

use crate::sink::json::TrueBox;
use crate::sink::table::known_box;

/// Overlap from which a grounded box counts as found.
const FOUND_IOU: f64 = 0.25;

/// A question with what is known of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// qa, situated, grounding, object_caption, dense_caption, dialogue or planning.
    #[serde(rename = "type")]
    pub kind: String,
    /// The question.
    pub question: String,
    /// Accepted answers.
    #[serde(default)]
    pub answers: Vec<String>,
    /// True boxes in the recording's world frame.
    #[serde(default)]
    pub boxes: Vec<TrueBox>,
    /// Where the asker stands.
    #[serde(default)]
    pub situation: Option<Situation>,
}

/// A pose on the floor.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    /// Metres, world.
    pub position: [f64; 3],
    /// Radians.
    pub yaw: f64,
}

impl Known {
    /// Overlap of the best given box with the first true one.
    pub fn iou(&self, answer: &Answer) -> Option<f64> {
        let truth = known_box(self.boxes.first()?);
        Some(answer.boxes.iter().map(|b| b.bbox.iou(&truth)).fold(0.0, f64::max))
    }

    /// "yes" or "no", with the overlap for a question that asks for a box.
    pub fn verdict(&self, answer: &Answer) -> String {
        let tidy = |s: &str| s.trim().trim_end_matches('.').to_lowercase();
        if self.kind == "grounding" {
            return match self.iou(answer) {
                Some(iou) => format!("{} (IoU {iou:.2})", if iou >= FOUND_IOU { "yes" } else { "no" }),
                None => "-".to_owned(),
            };
        }
        if self.answers.iter().any(|a| tidy(a) == tidy(&answer.answer)) { "yes".to_owned() } else { "no".to_owned() }
    }
}

/// Reads a questions.jsonl.
///
/// # Errors
/// Naming the file and the line that is not a question.
pub fn read(path: &Path) -> Result<Vec<Known>> {
    let meta = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    let usable = meta.is_file() && meta.len() <= MAX_FILE_BYTES;
    ensure!(usable, "{}: it is no regular file, or has more than {MAX_FILE_BYTES} bytes", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let known: Known = serde_json::from_str(line)
            .with_context(|| format!("{}, line {}: not a question", path.display(), i + 1))?;
        let finite = known.boxes.iter().all(|b| b.center.iter().chain(&b.size).chain([&b.yaw]).all(|x| x.is_finite()));
        ensure!(finite, "{}, line {}: a box holds a number that is not finite", path.display(), i + 1);
        out.push(known);
    }
    Ok(out)
}
