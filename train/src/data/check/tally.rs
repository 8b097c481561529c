//! Scenes and questions in, counts by dataset and split out.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::SceneQuestion;
use crate::data::loaders::{Dataset, SceneTruth};
use crate::tasks::Task;

/// What a split of a dataset holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Scenes that are there, or that questions are about.
    pub scenes: BTreeSet<String>,
    /// Objects with boxes.
    pub objects: usize,
    /// RGB-D frames.
    pub frames: u64,
    /// Of them those without a pose.
    pub lost_frames: u64,
    /// Questions by task.
    pub tasks: BTreeMap<Task, usize>,
}

impl Count {
    pub(super) fn questions(&self) -> usize {
        self.tasks.values().sum()
    }
}

/// All counts.
#[derive(Debug, Default)]
pub(super) struct Tally(pub BTreeMap<(Dataset, String), Count>);

impl Tally {
    fn of(&mut self, dataset: Dataset, split: &str) -> &mut Count {
        self.0.entry((dataset, split.to_owned())).or_default()
    }

    pub(super) fn add_scene(&mut self, scene: &SceneTruth, frames: u64, lost_frames: u64) {
        let count = self.of(scene.dataset, &scene.split);
        count.scenes.insert(scene.scene.clone());
        count.objects += scene.objects.len();
        count.frames += frames;
        count.lost_frames += lost_frames;
    }

    pub(super) fn add_question(&mut self, dataset: Dataset, split: &str, question: &SceneQuestion) {
        let count = self.of(dataset, split);
        if !count.scenes.contains(&question.scene) {
            count.scenes.insert(question.scene.clone());
        }
        *count.tasks.entry(question.task).or_default() += 1;
    }

    /// Splits of a dataset that are there.
    pub(super) fn splits(&self, dataset: Dataset) -> BTreeSet<&str> {
        self.0.keys().filter(|(d, _)| *d == dataset).map(|(_, split)| split.as_str()).collect()
    }
}
