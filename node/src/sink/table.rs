//! Results in, a table for people out.

use comfy_table::{ContentArrangement, Table, presets};
use vantage_model::Answer;
use vantage_scene::OrientedBox;

use crate::questions::Known;

/// Columns of a table that is not printed on a terminal.
const WIDTH_OF_A_FILE: u16 = 150;

/// A box in words: centre and extents in metres.
fn in_words(b: &OrientedBox) -> String {
    let [x, y, z] = b.center;
    let [w, d, h] = b.size;
    format!("({x:.2}, {y:.2}, {z:.2}) {w:.2} x {d:.2} x {h:.2} m")
}

/// A table of answers; with what is true beside them where it is known.
pub fn answers(answers: &[Answer], known: &[Option<Known>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH_OF_A_FILE);
    }
    let with_truth = known.iter().any(Option::is_some);
    let mut header = vec!["question", "answer", "boxes"];
    if with_truth {
        header.extend(["truth", "true box", "agrees"]);
    }
    table.set_header(header);
    for (answer, known) in answers.iter().zip(known) {
        let boxes: Vec<String> = answer.boxes.iter().map(|b| format!("{} {}", b.label, in_words(&b.bbox))).collect();
        let mut row = vec![answer.question.clone(), answer.answer.clone(), boxes.join("\n")];
        if with_truth {
            match known {
                Some(known) => {
                    let boxes: Vec<String> = known.boxes.iter().map(|b| in_words(&known_box(b))).collect();
                    row.extend([known.answers.join(" / "), boxes.join("\n"), known.verdict(answer)]);
                }
                None => row.extend([String::new(), String::new(), String::new()]),
            }
        }
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    table.to_string()
}

/// Text that can do nothing to a terminal.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// A true box as geometry.
pub fn known_box(b: &super::json::TrueBox) -> OrientedBox {
    OrientedBox { center: b.center, size: b.size, yaw: b.yaw }
}
