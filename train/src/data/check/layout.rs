//! A folder in, the datasets in it out, told by the names that they are published under.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::loaders::{Dataset, Findings, arkit, is_room, is_scene_map, of_word, scannet, split_of};
use crate::data::loaders::{Fault, Place, annotations_path, file_name, open_file};

/// How deep to look: SQA3D's questions lie at assets/data/sqa_task/balanced.
const MAX_DEPTH: usize = 6;
/// Most entries looked at; all of ScanNet has a tenth of it.
const MAX_ENTRIES: usize = 500_000;
/// Longest first line that is looked at to tell whose JSON lines they are, bytes.
const MAX_PEEK_BYTES: u64 = 1 << 20;
/// Largest file of JSON lines, bytes.
const MAX_LINES_BYTES: u64 = 2 << 30;
/// The table of names.
const LABELS: &str = "scannetv2-labels.combined.tsv";
/// ScanNet's lists of scans begin so.
const SCENE_LIST: &str = "scannetv2_";
/// Beside the file of all splits lies this one.
const SCANREFER_TRAIN: &str = "ScanRefer_filtered_train.json";
/// Files that belong to a dataset and hold no question.
const COMPANIONS: [&str; 4] = ["answer_dict.json", "answer_counter.json", "scene_caption.json", "scene_split.json"];

/// What lies where.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub scannet: Vec<PathBuf>,
    /// With its split.
    pub arkit: Vec<(PathBuf, &'static str)>,
    pub rooms: Vec<PathBuf>,
    /// Files of questions, with their split.
    pub questions: Vec<(Dataset, PathBuf, &'static str)>,
    pub labels: Option<PathBuf>,
    /// ScanNet's lists of scans, with their split.
    pub lists: Vec<(PathBuf, &'static str)>,
}

impl Layout {
    pub(super) fn is_empty(&self) -> bool {
        self.scannet.is_empty() && self.arkit.is_empty() && self.rooms.is_empty() && self.questions.is_empty()
    }
}

/// What a file is.
enum Kind {
    Questions(Dataset),
    /// Read with another file, or of no use here.
    Companion,
    /// Holds what the files of the splits beside it hold.
    Again,
    Unknown,
}

pub(super) fn walk(dir: &Path, findings: &mut Findings) -> Layout {
    let mut layout = Layout::default();
    let mut left = MAX_ENTRIES;
    folder(dir, 0, &mut left, &mut layout, findings);
    if layout.is_empty() {
        let fault = Fault::new("", "holds no dataset that is known", "the layouts are in docs/datasets.md");
        let _ = findings.report(fault.error(dir, Place::File));
    }
    layout
}

fn folder(dir: &Path, depth: usize, left: &mut usize, layout: &mut Layout, findings: &mut Findings) {
    if is_room(dir) {
        return layout.rooms.push(dir.to_owned());
    }
    if scannet::is_scene_folder(dir) {
        return layout.scannet.push(dir.to_owned());
    }
    if arkit::is_video_folder(dir) {
        let split = dir.parent().and_then(|p| of_word(&file_name(p))).unwrap_or("all");
        return layout.arkit.push((dir.to_owned(), split));
    }
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect(),
        Err(error) => {
            let fault = Fault::new("", format!("cannot be listed: {error}"), "check its rights");
            let _ = findings.report(fault.error(dir, Place::File));
            return;
        }
    };
    entries.sort();
    for path in entries {
        if *left == 0 {
            return;
        }
        *left -= 1;
        if *left == 0 {
            let what = format!("holds more than {MAX_ENTRIES} entries; the rest was not looked at");
            let _ = findings.report(Fault::new("", what, "name a folder of datasets").error(dir, Place::File));
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                folder(&path, depth + 1, left, layout, findings);
            } else {
                let fault =
                    Fault::new("", format!("lies deeper than {MAX_DEPTH} folders"), "name a folder nearer to it");
                let _ = findings.report(fault.warning(&path, Place::File));
            }
        } else {
            file(&path, layout, findings);
        }
    }
}

fn file(path: &Path, layout: &mut Layout, findings: &mut Findings) {
    let name = file_name(path);
    if name == LABELS {
        layout.labels = Some(path.to_owned());
        return;
    }
    if let Some(list) = name.strip_prefix(SCENE_LIST).and_then(|n| n.strip_suffix(".txt")) {
        return layout.lists.extend(of_word(list).map(|split| (path.to_owned(), split)));
    }
    match kind(path, &name, findings) {
        Kind::Questions(dataset) => layout.questions.push((dataset, path.to_owned(), split_of(path))),
        Kind::Companion => {}
        Kind::Again => {
            let fault = Fault::new("", "holds what the files of the splits hold; it is left aside", "nothing");
            let _ = findings.report(fault.note(path, Place::File));
        }
        Kind::Unknown => {
            let fault =
                Fault::new("", "is of no dataset that is known; it is left aside", "nothing, if it is meant to be");
            let _ = findings.report(fault.note(path, Place::File));
        }
    }
}

fn kind(path: &Path, name: &str, findings: &mut Findings) -> Kind {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "json" | "jsonl" | "csv" | "tsv" | "sens" => {}
        _ => return Kind::Companion,
    }
    let lower = name.to_lowercase();
    let is_json = ending == "json";
    let is_annotation = |prefix: &str| is_json && name.starts_with(prefix);
    if COMPANIONS.contains(&name) || is_scene_map(path) {
        Kind::Companion
    } else if is_annotation("v1_balanced_sqa_annotations_") {
        let questions = path.with_file_name(name.replace("sqa_annotations", "questions"));
        if !questions.is_file() {
            let fault = Fault::new("", "is missing; its annotations are there", "get it from SQA3D's release");
            let _ = findings.report(fault.error(&questions, Place::File));
        }
        Kind::Companion
    } else if is_annotation("v1_balanced_questions_") && annotations_path(path) != path {
        Kind::Questions(Dataset::Sqa3d)
    } else if is_annotation("ScanRefer_filtered") {
        let is_again = split_of(path) == "all" && path.with_file_name(SCANREFER_TRAIN).is_file();
        if is_again { Kind::Again } else { Kind::Questions(Dataset::ScanRefer) }
    } else if is_annotation("ScanQA_v") {
        Kind::Questions(Dataset::ScanQa)
    } else if lower == "nr3d.csv" || (lower.starts_with("nr3d_") && (is_json || ending == "csv")) {
        Kind::Questions(Dataset::Nr3d)
    } else if is_json && (lower.starts_with("3d_llm_") || lower.starts_with("data_part2_scene")) {
        Kind::Questions(Dataset::ThreeDLlm)
    } else if is_json && is_scene_30k(&lower) {
        Kind::Questions(Dataset::Scene30k)
    } else if ending == "jsonl" {
        of_lines(path, &lower)
    } else {
        Kind::Unknown
    }
}

fn is_scene_30k(lower: &str) -> bool {
    ["scene-30k", "scene30k", "scene-r1"].iter().any(|prefix| lower.starts_with(prefix))
}

/// Whose JSON lines they are, by their name or the fields of their first line.
fn of_lines(path: &Path, lower: &str) -> Kind {
    let first = open_file(path, MAX_LINES_BYTES).ok().and_then(|(reader, _)| {
        let mut line = Vec::new();
        reader.take(MAX_PEEK_BYTES).read_until(b'\n', &mut line).ok()?;
        serde_json::from_slice::<Value>(&line).ok()
    });
    let has = |field: &str| first.as_ref().is_some_and(|value| value.get(field).is_some());
    if is_scene_30k(lower) || (has("scene_id") && (has("cot") || has("output"))) {
        Kind::Questions(Dataset::Scene30k)
    } else if first.is_none() || has("format_version") || (has("scene") && has("question")) {
        Kind::Questions(Dataset::Records)
    } else {
        Kind::Unknown
    }
}
