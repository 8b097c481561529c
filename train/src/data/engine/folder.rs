//! The folder of a run: its journal while work goes on, `samples.jsonl`, `rejected.jsonl` and `manifest.json` when it ends,
//! in the order of the work and by their journal alone.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use vantage_scene::Aabb;

use super::args::Settings;
use super::item::{Item, ItemKey, Outcome, REJECTED_FORMAT_VERSION, Reason, Rejected, Spent};
use super::journal::{Entry, Journal, Place, sync_folder};
use super::scene::SceneList;
use super::split::{LeakCheck, Split, asked_of, split};
use crate::data::SceneQuestion;

/// What manifest.json says it is, and its version.
const MANIFEST_FORMAT: &str = "vantage-generated";
const MANIFEST_VERSION: u32 = 1;
/// Files of the folder.
const MANIFEST_FILE: &str = "manifest.json";
const JOURNAL_FILE: &str = "journal";
const SAMPLES_FILE: &str = "samples.jsonl";
const REJECTED_FILE: &str = "rejected.jsonl";

/// manifest.json.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: String,
    format_version: u32,
    /// Whether all work is done; what stands here is then final.
    finished: bool,
    settings: Settings,
    counts: Counts,
    spent: Spent,
    scenes: Vec<SceneEntry>,
}

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    /// Pieces of work done.
    pub(crate) items: u64,
    /// Lines of samples.jsonl.
    pub(crate) samples: u64,
    /// Of them for training.
    pub(crate) train: u64,
    /// Of them for validation.
    pub(crate) val: u64,
    /// Lines of rejected.jsonl.
    pub(crate) rejected: u64,
    /// Of them by reason.
    pub(crate) reasons: BTreeMap<Reason, u64>,
    /// Scenes that were of no use.
    pub(crate) bad_scenes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SceneEntry {
    scene: String,
    split: Split,
    /// By which the boxes in its texts are written.
    bounds: Aabb,
}

/// An open folder; no other process can open it too.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    settings: Settings,
    journal: Journal,
    /// Where each finished piece of work lies.
    done: BTreeMap<ItemKey, Place>,
    /// How many pieces a scene has, of scenes with at least one done.
    of: BTreeMap<u32, u32>,
    spent: Spent,
}

impl Folder {
    /// Opens or makes the folder of a run with `settings`.
    ///
    /// # Errors
    /// When it holds something else, a run with other settings, or cannot be read or written.
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        let manifest = path.join(MANIFEST_FILE);
        if manifest.exists() {
            check_manifest(&manifest, settings)?;
        } else {
            ensure_empty(path)?;
        }
        // the lock of the journal guards all that follows
        let (journal, recovered) = Journal::open(&path.join(JOURNAL_FILE))?;
        if !manifest.exists() {
            let empty = Manifest {
                format: MANIFEST_FORMAT.to_owned(),
                format_version: MANIFEST_VERSION,
                finished: false,
                settings: settings.clone(),
                counts: Counts::default(),
                spent: Spent::NONE,
                scenes: Vec::new(),
            };
            write_manifest(&manifest, &empty)?;
        }
        if recovered.torn_bytes > 0 {
            eprintln!("the journal ended in {} torn bytes; what they held is done again", recovered.torn_bytes);
        }
        if let Some(aside) = &recovered.kept_aside {
            eprintln!("warning: more than one line of the journal was damaged; they are in {}", aside.display());
        }
        let mut folder = Self {
            path: path.to_owned(),
            settings: settings.clone(),
            journal,
            done: BTreeMap::new(),
            of: BTreeMap::new(),
            spent: Spent::NONE,
        };
        for (place, entry) in recovered.entries {
            folder.note(&entry, place);
        }
        Ok(folder)
    }

    fn note(&mut self, entry: &Entry, place: Place) {
        match entry {
            Entry::Item(item) => {
                self.spent.add(item.spent);
                self.of.insert(item.key.scene, item.of);
                self.done.entry(item.key).or_insert(place);
            }
            Entry::Spent(spent) => self.spent.add(*spent),
            Entry::Journal { .. } => {}
        }
    }

    /// Keeps what came of some work; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep(&mut self, entries: &[Entry]) -> Result<()> {
        let places = self.journal.append(entries)?;
        for (entry, place) in entries.iter().zip(places) {
            self.note(entry, place);
        }
        Ok(())
    }

    /// What all runs into the folder took.
    pub(crate) fn spent(&self) -> Spent {
        self.spent
    }

    /// Pieces of work that are done.
    pub(crate) fn done(&self) -> HashSet<ItemKey> {
        self.done.keys().copied().collect()
    }

    /// Scenes of which every piece is done.
    pub(crate) fn whole_scenes(&self) -> HashSet<u32> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        self.done.keys().for_each(|key| *counts.entry(key.scene).or_default() += 1);
        counts.into_iter().filter(|(scene, count)| self.of.get(scene) == Some(count)).map(|(scene, _)| scene).collect()
    }

    /// Writes samples.jsonl, rejected.jsonl and manifest.json from the journal.
    ///
    /// # Errors
    /// When something leaks from training into validation, or a file cannot be written.
    pub(crate) fn assemble(&mut self, scenes: &SceneList, bad_scenes: u64, finished: bool) -> Result<Counts> {
        let (splits, mut leaks) = parts(scenes, &self.settings)?;
        let mut asked = HashSet::new();
        let mut counts = Counts { bad_scenes, ..Counts::default() };
        let mut samples = NewFile::create(self.path.join(SAMPLES_FILE))?;
        let mut rejected = NewFile::create(self.path.join(REJECTED_FILE))?;
        for place in self.done.values().copied().collect::<Vec<_>>() {
            let Entry::Item(Item { outcome, .. }) = self.journal.read(place)? else { continue };
            counts.items += 1;
            let line = match outcome {
                Outcome::Kept(question) if asked.insert(asked_of(&question)) => {
                    match leaks.add(&question)? {
                        Split::Train => counts.train += 1,
                        Split::Val => counts.val += 1,
                    }
                    counts.samples += 1;
                    samples.line(&serde_json::to_string(&question)?)?;
                    continue;
                }
                Outcome::Kept(question) => duplicate(*question),
                Outcome::Rejected(line) => *line,
            };
            counts.rejected += 1;
            *counts.reasons.entry(line.reason).or_default() += 1;
            rejected.line(&serde_json::to_string(&line)?)?;
        }
        samples.install()?;
        rejected.install()?;
        let entry = |(scene, split): (super::scene::EngineScene, &Split)| SceneEntry {
            scene: scene.id,
            split: *split,
            bounds: scene.bounds,
        };
        let manifest = Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            format_version: MANIFEST_VERSION,
            finished,
            settings: self.settings.clone(),
            counts: counts.clone(),
            spent: self.spent,
            scenes: scenes.iter().zip(&splits).map(entry).collect(),
        };
        write_manifest(&self.path.join(MANIFEST_FILE), &manifest)?;
        Ok(counts)
    }
}

/// The part of each scene, and what watches over them.
///
/// # Errors
/// When a scene for training and one for validation hold the same.
pub(crate) fn parts(scenes: &SceneList, settings: &Settings) -> Result<(Vec<Split>, LeakCheck)> {
    let (ids, contents): (Vec<_>, Vec<_>) = scenes.iter().map(|scene| (scene.id.clone(), scene.content())).unzip();
    let splits = split(&ids, settings.seed, settings.val_share);
    let scenes = ids.into_iter().zip(contents).zip(&splits).map(|((id, content), split)| (id, content, *split));
    let leaks = LeakCheck::new(scenes)?;
    Ok((splits, leaks))
}

fn duplicate(question: SceneQuestion) -> Rejected {
    Rejected {
        format_version: REJECTED_FORMAT_VERSION,
        reason: Reason::Duplicate,
        detail: "the scene was asked this before".to_owned(),
        text: vantage_model::target_text(
            question.think.as_deref().unwrap_or_default(),
            question.answer.as_deref().unwrap_or_default(),
        ),
        id: question.id,
        scene: question.scene,
        task: question.task,
        question: question.question,
    }
}

fn check_manifest(path: &Path, settings: &Settings) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    #[derive(Deserialize)]
    struct Head {
        format: String,
        format_version: u32,
    }
    let head: Head = serde_json::from_str(&text).with_context(|| format!("{} is no manifest", path.display()))?;
    ensure!(head.format == MANIFEST_FORMAT, "{} is of `{}`; give another --out", path.display(), head.format);
    ensure!(
        head.format_version == MANIFEST_VERSION,
        "{}: version {}; this program reads {MANIFEST_VERSION}",
        path.display(),
        head.format_version
    );
    let manifest: Manifest =
        serde_json::from_str(&text).with_context(|| format!("{} is no manifest", path.display()))?;
    if let Some((name, here, there)) = settings.difference(&manifest.settings) {
        bail!(
            "{} holds a run with another --{name}: {there}, not {here}; give the same settings to go on, or another --out",
            path.parent().unwrap_or(path).display()
        );
    }
    Ok(())
}

/// A folder without a manifest may hold the journal of a run that was killed at once, and nothing else.
fn ensure_empty(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
        let name = entry.with_context(|| format!("reading {}", path.display()))?.file_name();
        let own = [JOURNAL_FILE, &partial(MANIFEST_FILE)].iter().any(|own| name == *own);
        ensure!(own, "{} holds {} and no run; give another --out", path.display(), name.to_string_lossy());
    }
    Ok(())
}

fn partial(name: &str) -> String {
    format!("{name}.partial")
}

fn write_manifest(path: &Path, manifest: &Manifest) -> Result<()> {
    let mut file = NewFile::create(path.to_owned())?;
    file.line(&serde_json::to_string_pretty(manifest)?)?;
    file.install()
}

/// A file that appears whole or not at all.
struct NewFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
}

impl NewFile {
    fn create(path: PathBuf) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let partial = path.with_file_name(partial(&name));
        let file = File::create(&partial).with_context(|| format!("making {}", partial.display()))?;
        Ok(Self { path, partial, out: BufWriter::new(file) })
    }

    fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{text}").with_context(|| format!("writing {}", self.partial.display()))
    }

    fn install(self) -> Result<()> {
        let written = || format!("writing {}", self.partial.display());
        let file = self.out.into_inner().map_err(|e| e.into_error()).with_context(written)?;
        file.sync_all().with_context(written)?;
        fs::rename(&self.partial, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .with_context(|| format!("moving {} into place", self.path.display()))
    }
}
