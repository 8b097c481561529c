//! Questions with their splits in, what is in two of them out: rooms, ids, questions; and ids that are there twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::data::SceneQuestion;
use crate::data::loaders::{Dataset, Fault, Findings, Place};

/// The split of files whose name tells none; it leaks into no other.
const ALL: &str = "all";
const TRAIN: &str = "train";
const REMEDY: &str = "keep it in one split";

/// Where something was first seen.
#[derive(Debug, Clone)]
struct Seen {
    split: String,
    file: usize,
    place: Place,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Leaks {
    files: Vec<PathBuf>,
    ids: HashMap<(Dataset, String), Seen>,
    questions: HashMap<(Dataset, String), Seen>,
    /// For each dataset and room, the splits it is in, with a scene of each and its file.
    rooms: BTreeMap<(Dataset, String), BTreeMap<String, (String, usize)>>,
}

/// The room that a scene is a scan of: all of `scene0000_00`, `scene0000_01` are scans of one.
fn room(scene: &str) -> &str {
    scene.split_once('_').filter(|(space, _)| space.starts_with("scene")).map_or(scene, |(space, _)| space)
}

/// What makes two questions the same, whatever their case, spaces and marks.
fn key(question: &SceneQuestion) -> String {
    let mut key = format!("{}\n{}\n", question.scene, question.task);
    let situation = question.situation.iter().filter_map(|s| s.text.as_ref());
    let turns = question.turns.iter().flat_map(|t| [&t.question, &t.answer]);
    for text in situation.chain(turns).chain([&question.question]) {
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
            key.extend(word.chars().flat_map(char::to_lowercase));
            key.push(' ');
        }
        key.push('\n');
    }
    key
}

fn are_two_splits(a: &str, b: &str) -> bool {
    a != b && a != ALL && b != ALL
}

impl Leaks {
    /// The number of a file, for [`Leaks::add`].
    pub(super) fn file(&mut self, path: &Path) -> usize {
        self.files.push(path.to_owned());
        self.files.len() - 1
    }

    /// A scene that is in a split, by the folder or list `file`.
    pub(super) fn add_scene(&mut self, dataset: Dataset, split: &str, scene: &str, file: usize) {
        let splits = self.rooms.entry((dataset, room(scene).to_owned())).or_default();
        if !splits.contains_key(split) {
            splits.insert(split.to_owned(), (scene.to_owned(), file));
        }
    }

    pub(super) fn add(
        &mut self,
        dataset: Dataset,
        split: &str,
        file: usize,
        question: &SceneQuestion,
        place: Place,
        findings: &mut Findings,
    ) {
        self.add_scene(dataset, split, &question.scene, file);
        let here = Seen { split: split.to_owned(), file, place };
        match self.ids.entry((dataset, question.id.clone())) {
            Entry::Vacant(entry) => {
                entry.insert(here.clone());
            }
            Entry::Occupied(entry) => {
                let first = entry.get();
                let at = format!("{} {}", self.files[first.file].display(), first.place);
                let what = if are_two_splits(&first.split, split) {
                    format!("is {}, as in split {} ({at})", question.id, first.split)
                } else if first.file == file {
                    format!("is {}, as at {}", question.id, first.place)
                } else {
                    String::new()
                };
                if !what.is_empty() {
                    let fault = Fault::new("id", what, "give every question an id of its own");
                    let _ = findings.report(fault.error(&self.files[file], place));
                }
            }
        }
        match self.questions.entry((dataset, key(question))) {
            Entry::Vacant(entry) => {
                entry.insert(here);
            }
            Entry::Occupied(entry) => {
                let first = entry.get();
                if are_two_splits(&first.split, split) {
                    let at = format!("{} {}", self.files[first.file].display(), first.place);
                    let what = format!("is asked about {} in split {} too ({at})", question.scene, first.split);
                    let _ = findings.report(Fault::new("question", what, REMEDY).error(&self.files[file], place));
                }
            }
        }
    }

    /// Reports rooms in two splits: of one dataset an error each, between datasets a warning a pair.
    pub(super) fn finish(&self, findings: &mut Findings) {
        for splits in self.rooms.values() {
            let mut real = splits.iter().filter(|(split, _)| *split != ALL);
            let Some((first, (scene, at))) = real.next() else { continue };
            for (split, (other, file)) in real {
                let at = self.files[*at].display();
                let what = if scene == other {
                    format!("{scene} is in split {first} ({at}) and in {split}")
                } else {
                    format!("{scene} of split {first} ({at}) and {other} of {split} are scans of one room")
                };
                let _ = findings.report(Fault::new("scene", what, REMEDY).error(&self.files[*file], Place::File));
            }
        }
        self.between_datasets(findings);
    }

    fn between_datasets(&self, findings: &mut Findings) {
        let mut learned: BTreeMap<&str, BTreeSet<Dataset>> = BTreeMap::new();
        for ((dataset, room), splits) in &self.rooms {
            if splits.contains_key(TRAIN) {
                learned.entry(room).or_default().insert(*dataset);
            }
        }
        let mut pairs: BTreeMap<(Dataset, Dataset, &str), (usize, &str, usize)> = BTreeMap::new();
        for ((held, room), splits) in &self.rooms {
            for (split, (scene, file)) in splits.iter().filter(|(split, _)| *split != TRAIN && *split != ALL) {
                for train in learned.get(room.as_str()).into_iter().flatten().filter(|train| *train != held) {
                    pairs.entry((*train, *held, split)).or_insert((0, scene, *file)).0 += 1;
                }
            }
        }
        for ((train, held, split), (count, scene, file)) in pairs {
            let what = format!("{count} rooms of {held} {split} are in {train} train, {scene} for one");
            let fault = Fault::new("scene", what, "do not train on the one and test on the other");
            let _ = findings.report(fault.warning(&self.files[file], Place::File));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loaders::Severity;
    use crate::tasks::Task;

    fn question(id: &str, scene: &str, text: &str) -> SceneQuestion {
        let json =
            serde_json::json!({"format_version": 1, "id": id, "scene": scene, "type": Task::Qa, "question": text});
        serde_json::from_value(json).unwrap()
    }

    fn found(rows: &[(Dataset, &str, &str, &str, &str)]) -> Vec<String> {
        let (mut leaks, mut findings) = (Leaks::default(), Findings::new());
        let mut files: BTreeMap<(Dataset, &str), usize> = BTreeMap::new();
        for (i, (dataset, split, id, scene, text)) in rows.iter().enumerate() {
            let file = *files.entry((*dataset, split)).or_insert_with(|| leaks.file(Path::new(split)));
            leaks.add(*dataset, split, file, &question(id, scene, text), Place::Item(i as u64), &mut findings);
        }
        leaks.finish(&mut findings);
        findings.list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scene_in_one_split_alone_is_no_leak() {
        let rows = [
            (Dataset::ScanQa, "train", "a", "scene0000_00", "what?"),
            (Dataset::ScanQa, "val", "b", "scene0001_00", "what?"),
            (Dataset::ScanQa, "all", "a", "scene0001_00", "what?"),
        ];
        assert_eq!(found(&rows), Vec::<String>::new());
    }

    #[test]
    fn rooms_ids_and_questions_in_two_splits_are_told() {
        let rows = [
            (Dataset::ScanQa, "train", "a", "scene0000_00", "What is red?"),
            (Dataset::ScanQa, "train", "a", "scene0000_00", "What is blue?"),
            (Dataset::ScanQa, "val", "a", "scene0000_01", "What is green?"),
            (Dataset::ScanQa, "val", "c", "scene0000_00", "what is  RED"),
        ];
        let found = found(&rows);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].contains("train: item 1: `id`: is a, as at item 0"), "{}", found[0]);
        assert!(found[1].contains("val: item 2: `id`: is a, as in split train (train item 0)"), "{}", found[1]);
        assert!(
            found[2].contains("val: item 3: `question`: is asked about scene0000_00 in split train too"),
            "{}",
            found[2]
        );
        assert!(
            found[3].contains("scene0000_00 of split train (train) and scene0000_01 of val are scans of one room"),
            "{}",
            found[3]
        );
    }

    #[test]
    fn between_datasets_it_is_a_warning_a_pair() {
        let (mut leaks, mut findings) = (Leaks::default(), Findings::new());
        let file = leaks.file(Path::new("f"));
        for scene in ["scene0000_00", "scene0001_00"] {
            leaks.add_scene(Dataset::Sqa3d, "train", scene, file);
            leaks.add_scene(Dataset::ScanQa, "val", scene, file);
        }
        leaks.finish(&mut findings);
        assert_eq!((findings.list().len(), findings.count(Severity::Warning)), (1, 1));
        assert!(findings.list()[0].what.contains("2 rooms of ScanQA val are in SQA3D train"), "{:?}", findings.list());
    }
}
