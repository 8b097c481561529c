//! `<scene>.txt` in, the axis alignment out: lines `key = value`, of which `axisAlignment` has the 16 numbers of a
//! matrix, row by row.

use std::path::Path;

use nalgebra::Isometry3;

use crate::data::loaders::file;
use crate::data::loaders::finding::{Fault, Place};
use crate::data::loaders::pose;

const KEY: &str = "axisAlignment";

/// `aligned_from_raw`; `None` when the file gives none, as of the hidden test scans.
pub(super) fn read(path: &Path) -> Result<Option<Isometry3<f64>>, (Fault, Place)> {
    let text = file::read_text(path).map_err(|fault| (fault, Place::File))?;
    for (line, number) in text.lines().zip(1..) {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key.trim() == KEY {
            return parse(value).map(Some).map_err(|what| {
                (Fault::new(KEY, what, "get the file again from ScanNet's release"), Place::Line(number))
            });
        }
    }
    Ok(None)
}

fn parse(value: &str) -> Result<Isometry3<f64>, String> {
    let mut rows = [0.0; 16];
    let words: Vec<&str> = value.split_whitespace().collect();
    if words.len() != rows.len() {
        return Err(format!("has {} numbers, a matrix has 16", words.len()));
    }
    for (row, word) in rows.iter_mut().zip(words) {
        *row = word.parse().map_err(|_| format!("has `{word}` where a number must be"))?;
    }
    pose::from_rows(&rows).map_err(str::to_owned)
}
