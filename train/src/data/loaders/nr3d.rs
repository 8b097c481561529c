//! `nr3d.csv` (or `nr3d_{train,val}.json` in ScanRefer's layout) in, grounding questions out.
//!
//! Layout: referit3d/referit3d, in_out/neural_net_oriented.py; columns assignmentid, stimulus_id, utterance,
//! correct_guess, speaker_id, listener_id, scan_id, instance_type, target_id, tokens, dataset, mentions_target_class,
//! uses_*_lang. Those used here are found by name.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::ops::ControlFlow;
use std::path::Path;

use super::file::{MAX_TEXT_BYTES, open};
use super::finding::{Dataset, Fault, Findings, Place};
use super::question::{Loaded, Lookup, bare, keep};
use super::scanrefer;
use super::scene::Scenes;
use crate::data::SceneQuestion;
use crate::tasks::Task;

/// Longest row, bytes.
const MAX_ROW_BYTES: usize = 1 << 20;
const REMEDY: &str = "write the columns of ReferIt3D's nr3d.csv, quoted as RFC 4180 says";

pub(crate) fn load(path: &Path, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    if path.extension().is_some_and(|e| e == "json") {
        return scanrefer::load_as(Dataset::Nr3d, "nr3d", path, scenes, findings);
    }
    let mut out = Vec::new();
    let mut lookup = Lookup::new(scenes);
    if let ControlFlow::Continue(()) = rows(path, &mut out, &mut lookup, findings) {
        let _ = lookup.finish(Dataset::Nr3d, path, findings);
    }
    out
}

fn rows(path: &Path, out: &mut Vec<Loaded>, lookup: &mut Lookup<'_>, findings: &mut Findings) -> ControlFlow<()> {
    let mut reader = match open(path, MAX_TEXT_BYTES) {
        Ok((reader, _)) => Rows { reader, line: 0 },
        Err(fault) => return findings.report(fault.error(path, Place::File)),
    };
    let mut columns: Option<BTreeMap<String, usize>> = None;
    loop {
        let (line, cells) = match reader.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err((line, fault)) => return findings.report(fault.error(path, Place::Line(line))),
        };
        let place = Place::Line(line);
        let Some(columns) = &columns else {
            let names: BTreeMap<String, usize> = cells.into_iter().zip(0..).collect();
            for needed in ["utterance", "scan_id", "target_id", "instance_type"] {
                if !names.contains_key(needed) {
                    return findings.report(Fault::new(needed, "is no column", REMEDY).error(path, place));
                }
            }
            columns = Some(names);
            continue;
        };
        if cells.len() != columns.len() {
            let what = format!("has {} columns, the first line has {}", cells.len(), columns.len());
            findings.report(Fault::new("", what, REMEDY).error(path, place))?;
            continue;
        }
        match entry(&Row { columns, cells: &cells }, line, lookup, place) {
            Ok((question, doubt)) => {
                if let Some(fault) = doubt {
                    findings.report(fault.warning(path, place))?;
                }
                keep(out, question, true, path, place, findings)?;
            }
            Err(fault) => findings.report(fault.error(path, place))?,
        }
    }
    if columns.is_none() {
        return findings.report(Fault::new("", "is empty", REMEDY).error(path, Place::File));
    }
    ControlFlow::Continue(())
}

struct Row<'a> {
    columns: &'a BTreeMap<String, usize>,
    cells: &'a [String],
}

impl Row<'_> {
    fn get(&self, column: &str) -> Option<&str> {
        self.columns
            .get(column)
            .and_then(|i| self.cells.get(*i))
            .map(|cell| cell.trim())
            .filter(|cell| !cell.is_empty())
    }

    fn text(&self, column: &str) -> Result<&str, Fault> {
        self.get(column).ok_or_else(|| Fault::new(column, "is empty", REMEDY))
    }
}

fn entry(
    row: &Row<'_>,
    line: u64,
    lookup: &mut Lookup<'_>,
    place: Place,
) -> Result<(SceneQuestion, Option<Fault>), Fault> {
    let scene = row.text("scan_id")?;
    let target = row.text("target_id")?;
    let object = target
        .parse()
        .map_err(|_| Fault::new("target_id", format!("is `{target}`, it must be a whole number"), REMEDY))?;
    let id = row.get("assignmentid").map_or_else(|| format!("nr3d-line-{line}"), |id| format!("nr3d-{id}"));
    let mut question = bare(id, scene, Task::Grounding, unquoted(row.text("utterance")?));
    let name = row.text("instance_type")?;
    let found = lookup.object(scene, object, "target_id", place)?;
    question.boxes.extend(found.map(|(bbox, _)| bbox));
    let doubt = found.and_then(|(_, label)| scanrefer::other_name(name, label, object));
    Ok((question, doubt.map(|fault| Fault { field: "instance_type".to_owned(), ..fault })))
}

/// Some utterances stand between single quotes.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).filter(|t| !t.is_empty()).unwrap_or(text)
}

/// Cells of a row, with the line that it begins at.
type CsvRow = (u64, Vec<String>);

/// Rows of comma-separated values after RFC 4180: cells may be quoted, hold line ends, and double their quotes.
struct Rows<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Rows<R> {
    /// The next row with the line it begins at.
    fn next(&mut self) -> Result<Option<CsvRow>, (u64, Fault)> {
        let mut raw = Vec::new();
        let mut first = None;
        let mut open = false;
        loop {
            self.line += 1;
            let start = *first.get_or_insert(self.line);
            let fault = |what: String| (start, Fault::new("", what, REMEDY));
            let room = (MAX_ROW_BYTES - raw.len()) as u64;
            let read = self.reader.by_ref().take(room).read_until(b'\n', &mut raw);
            let n = read.map_err(|e| fault(format!("cannot be read: {e}")))?;
            if raw.len() >= MAX_ROW_BYTES {
                return Err(fault(format!("begins a row of more than {MAX_ROW_BYTES} bytes; a quote is left open")));
            }
            let quotes = raw[raw.len() - n..].iter().filter(|b| **b == b'"').count();
            open ^= quotes % 2 == 1;
            match (n, open) {
                (0, true) => return Err(fault("opens a quote that is never closed".to_owned())),
                (0, false) if raw.is_empty() => return Ok(None),
                (_, true) => continue,
                (_, false) if raw.trim_ascii().is_empty() => {
                    raw.clear();
                    first = None;
                    continue;
                }
                (_, false) => {}
            }
            let text = String::from_utf8(raw).map_err(|e| fault(format!("is not text in UTF-8: {e}")))?;
            return cells(text.trim_end_matches(['\n', '\r']))
                .map(|cells| Some((start, cells)))
                .map_err(|what| fault(what.to_owned()));
        }
    }
}

fn cells(row: &str) -> Result<Vec<String>, &'static str> {
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let mut cell = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut from = quoted;
            loop {
                let (part, after) = from.split_once('"').ok_or("opens a quote that is never closed")?;
                cell.push_str(part);
                match after.strip_prefix('"') {
                    Some(more) => {
                        cell.push('"');
                        from = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("has text after a closing quote");
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            cell.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        cells.push(cell);
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(cells),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u64, Vec<String>)> {
        let mut rows = Rows { reader: text.as_bytes(), line: 0 };
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    #[test]
    fn quotes_commas_and_line_ends_within_cells() {
        let rows = all("a,b\r\n\"x, \"\"y\"\"\",\"two\nlines\"\n\nlast,\n");
        assert_eq!(rows[0], (1, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(rows[1], (2, vec!["x, \"y\"".to_owned(), "two\nlines".to_owned()]));
        assert_eq!(rows[2], (5, vec!["last".to_owned(), String::new()]));
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn broken_quotes_are_told_with_the_line_they_begin_at() {
        let mut rows = Rows { reader: "a\nb,\"c\nd\n".as_bytes(), line: 0 };
        assert!(rows.next().is_ok());
        let (line, fault) = rows.next().unwrap_err();
        assert_eq!((line, fault.what.as_str()), (2, "opens a quote that is never closed"));
        assert_eq!(cells("\"a\"b,c"), Err("has text after a closing quote"));
    }
}
