//! `scannetv2-labels.combined.tsv` in, names of categories by the raw names of the annotation out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::loaders::file;
use crate::data::loaders::finding::{Fault, Findings, Place};

/// Columns read, of the first line's names.
const RAW: &str = "raw_category";
const NYU40: &str = "nyu40class";

/// NYU40 class names by raw names.
#[derive(Debug, Clone, Default)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Reads the table; a line with too few columns is reported.
    pub fn read(path: &Path, findings: &mut Findings) -> Self {
        let mut out = BTreeMap::new();
        let text = match file::read_text(path) {
            Ok(text) => text,
            Err(fault) => {
                let _ = findings.report(fault.error(path, Place::File));
                return Self(out);
            }
        };
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').map(str::trim).collect();
        let column = |name: &str| names.iter().position(|n| *n == name);
        let (Some(raw), Some(class)) = (column(RAW), column(NYU40)) else {
            let what = format!("lacks a column: it needs `{RAW}` and `{NYU40}`");
            let fault = Fault::new(RAW, what, "get the table again from ScanNet's release");
            let _ = findings.report(fault.error(path, Place::Line(1)));
            return Self(out);
        };
        for (line, number) in lines.zip(2..).filter(|(line, _)| !line.trim().is_empty()) {
            let cells: Vec<&str> = line.split('\t').collect();
            match (cells.get(raw), cells.get(class)) {
                (Some(raw), Some(class)) => {
                    out.insert(raw.trim().to_owned(), class.trim().to_owned());
                }
                _ => {
                    let what = format!("has {} columns, the first line has {}", cells.len(), names.len());
                    let fault = Fault::new("", what, "get the table again from ScanNet's release");
                    if findings.report(fault.error(path, Place::Line(number))).is_break() {
                        break;
                    }
                }
            }
        }
        Self(out)
    }

    /// The NYU40 class of a raw name.
    pub fn nyu40(&self, raw: &str) -> Option<&str> {
        self.0.get(raw).map(String::as_str)
    }
}
