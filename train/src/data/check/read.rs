//! What lies where in, everything read and counted out; problems are reported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::layout::Layout;
use super::leaks::Leaks;
use super::tally::Tally;
use crate::data::loaders::{Dataset, Fault, Findings, Loaded, Place, QUESTIONS_FILE, SceneTruth, Scenes};
use crate::data::loaders::{arkit, load_questions, load_room, read_text_file, scannet};

/// Splits that a release has; a dataset that is there without one of them is not whole.
const RELEASED: [(Dataset, &[&str]); 3] = [
    (Dataset::ScanRefer, &["train", "val"]),
    (Dataset::ScanQa, &["train", "val"]),
    (Dataset::Sqa3d, &["train", "val", "test"]),
];

/// A scan or video, read.
struct Part {
    scene: Option<SceneTruth>,
    frames: u64,
    lost_frames: u64,
    has_frames: bool,
    findings: Findings,
}

pub(super) fn all(dir: &Path, layout: &Layout, findings: &mut Findings) -> Tally {
    let steps = layout.scannet.len() + layout.arkit.len() + layout.rooms.len() + layout.questions.len();
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} scenes and files {elapsed} (left {eta})") {
        bar.set_style(style);
    }
    let mut reader = Reader { tally: Tally::default(), leaks: Leaks::default(), scenes: Scenes::default(), findings };
    let split_of_scene = reader.lists(&layout.lists);
    reader.scans(dir, layout, &split_of_scene, &bar);
    reader.videos(layout, &bar);
    for folder in &layout.rooms {
        reader.room(folder);
        bar.inc(1);
    }
    for (dataset, path, split) in &layout.questions {
        let loaded = load_questions(*dataset, path, split, &reader.scenes, reader.findings);
        reader.questions(*dataset, split, path, &loaded, &split_of_scene);
        bar.inc(1);
    }
    bar.finish_and_clear();
    reader.leaks.finish(reader.findings);
    reader.missing(dir, layout);
    reader.tally
}

struct Reader<'a> {
    tally: Tally,
    leaks: Leaks,
    scenes: Scenes,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    /// ScanNet's lists of scans: the split of each.
    fn lists(&mut self, lists: &[(PathBuf, &'static str)]) -> BTreeMap<String, &'static str> {
        let mut out = BTreeMap::new();
        for (path, split) in lists {
            let text = match read_text_file(path) {
                Ok(text) => text,
                Err(fault) => {
                    let _ = self.findings.report(fault.error(path, Place::File));
                    continue;
                }
            };
            let file = self.leaks.file(path);
            for scene in text.split_whitespace() {
                out.insert(scene.to_owned(), *split);
                self.leaks.add_scene(Dataset::ScanNet, split, scene, file);
            }
        }
        out
    }

    fn scans(&mut self, dir: &Path, layout: &Layout, splits: &BTreeMap<String, &'static str>, bar: &ProgressBar) {
        let parts: Vec<Part> = layout.scannet.par_iter().map(|folder| scan(folder, bar)).collect();
        let without = parts.iter().filter(|part| !part.has_frames).count();
        if without > 0 {
            let what = format!("has {without} scans of ScanNet without a .sens file: they give boxes and no frames");
            let fault = Fault::new("", what, "nothing, if only boxes are wanted");
            let _ = self.findings.report(fault.note(dir, Place::File));
        }
        let labels = layout.labels.as_ref().map(|path| scannet::Labels::read(path, self.findings));
        for mut part in parts {
            if let Some(scene) = &mut part.scene {
                if let Some(split) = splits.get(&scene.scene) {
                    (*split).clone_into(&mut scene.split);
                }
                if let Some(labels) = &labels {
                    unknown_labels(scene, labels, &mut part.findings);
                }
            }
            self.part(part);
        }
    }

    fn videos(&mut self, layout: &Layout, bar: &ProgressBar) {
        let parts: Vec<Part> = layout.arkit.par_iter().map(|(folder, split)| video(folder, split, bar)).collect();
        for part in parts {
            if let Some(scene) = &part.scene {
                let file = self.leaks.file(&scene.folder);
                self.leaks.add_scene(scene.dataset, &scene.split, &scene.scene, file);
            }
            self.part(part);
        }
    }

    fn part(&mut self, part: Part) {
        self.findings.append(part.findings);
        if let Some(scene) = part.scene {
            self.tally.add_scene(&scene, part.frames, part.lost_frames);
            self.scene(scene);
        }
    }

    fn scene(&mut self, scene: SceneTruth) {
        let (name, folder) = (scene.scene.clone(), scene.folder.clone());
        if let Some(other) = self.scenes.add(scene) {
            let what = format!("is {name}, as {}", other.folder.display());
            let fault = Fault::new("scene", what, "keep one of them");
            let _ = self.findings.report(fault.error(&folder, Place::File));
        }
    }

    fn room(&mut self, folder: &Path) {
        let Some((scene, loaded)) = load_room(folder, self.findings) else { return };
        self.tally.add_scene(&scene, 0, 0);
        self.scene(scene);
        self.questions(Dataset::Rooms, "all", &folder.join(QUESTIONS_FILE), &loaded, &BTreeMap::new());
    }

    fn questions(
        &mut self,
        dataset: Dataset,
        split: &str,
        path: &Path,
        loaded: &[Loaded],
        splits: &BTreeMap<String, &'static str>,
    ) {
        let file = self.leaks.file(path);
        for Loaded { question, place } in loaded {
            let listed = (split == "all").then(|| splits.get(&question.scene)).flatten();
            let split = listed.copied().unwrap_or(split);
            self.tally.add_question(dataset, split, question);
            self.leaks.add(dataset, split, file, question, *place, self.findings);
        }
    }

    /// What a release has and the folder has not.
    fn missing(&mut self, dir: &Path, layout: &Layout) {
        for (dataset, released) in RELEASED {
            let there: Vec<&str> =
                layout.questions.iter().filter(|(d, ..)| *d == dataset).map(|(.., split)| *split).collect();
            if there.is_empty() {
                continue;
            }
            for split in released.iter().filter(|split| !there.contains(split)) {
                let fault =
                    Fault::new("", format!("has {dataset} without its split {split}"), "get it from its release");
                let _ = self.findings.report(fault.warning(dir, Place::File));
            }
            for (_, path, split) in layout.questions.iter().filter(|(d, ..)| *d == dataset) {
                if !self.tally.splits(dataset).contains(split) {
                    let fault = Fault::new("", "gives no question", "see what else is said of it");
                    let _ = self.findings.report(fault.warning(path, Place::File));
                }
            }
        }
        if !layout.scannet.is_empty() && layout.labels.is_none() {
            let fault =
                Fault::new("", "has scans of ScanNet without scannetv2-labels.combined.tsv", "get it from its release");
            let _ = self.findings.report(fault.warning(dir, Place::File));
        }
    }
}

fn scan(folder: &Path, bar: &ProgressBar) -> Part {
    let mut findings = Findings::new();
    let scene = scannet::load_scene(folder, &mut findings);
    let path = scannet::beside(folder, ".sens");
    let has_frames = path.exists();
    let (mut frames, mut lost_frames) = (0, 0);
    if has_frames {
        // the first frame decoded, the rest gone through
        let check = scannet::SensReader::open(&path).and_then(|mut reader| {
            let first = reader.next_frame()?;
            let mut check = reader.check()?;
            check.lost += u64::from(first.is_some_and(|frame| frame.raw_from_base.is_none()));
            Ok(check)
        });
        match check {
            Ok(check) => (frames, lost_frames) = (check.frames, check.lost),
            Err(error) => {
                let (fault, place) = scannet::as_fault(error);
                let _ = findings.report(fault.error(&path, place));
            }
        }
    }
    bar.inc(1);
    Part { scene, frames, lost_frames, has_frames, findings }
}

fn video(folder: &Path, split: &str, bar: &ProgressBar) -> Part {
    let mut findings = Findings::new();
    let scene = arkit::load_scene(folder, split, &mut findings);
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let has_frames = folder.join(format!("{name}_frames")).is_dir();
    let mut frames = 0;
    if has_frames {
        let all = arkit::ArkitFrames::open(folder, &mut findings);
        frames = all.len() as u64;
        if let Some(Err((path, what))) = all.frame(0) {
            let fault = Fault::new("", what, "get the video again with ARKitScenes' download_data.py");
            let _ = findings.report(fault.error(&path, Place::File));
        }
    }
    bar.inc(1);
    Part { scene, frames, lost_frames: 0, has_frames, findings }
}

/// Objects named otherwise than the table of names has it.
fn unknown_labels(scene: &SceneTruth, labels: &scannet::Labels, findings: &mut Findings) {
    let unknown: Vec<&str> =
        scene.objects.iter().map(|o| o.label.as_str()).filter(|label| labels.nyu40(label).is_none()).collect();
    if let Some(first) = unknown.first() {
        let what = format!("of {} objects is not in scannetv2-labels.combined.tsv, `{first}` for one", unknown.len());
        let fault = Fault::new("label", what, "get table and scans of the same release");
        let _ = findings.report(fault.warning(&scene.folder, Place::File));
    }
}
