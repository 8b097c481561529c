//! Scenes in, training or validation for each out; and the check that nothing of one is in the other.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::SceneQuestion;
use crate::metrics::normal_form;

/// Which part a scene is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Split {
    /// To train on.
    Train,
    /// To validate on.
    Val,
}

/// For each scene its part: the share `val_share` of them, rounded, whose digests with `seed` are smallest, is for
/// validation; of two scenes and more at least one, unless the share is 0.
pub(crate) fn split(ids: &[String], seed: u64, val_share: f64) -> Vec<Split> {
    let digest = |id: &String| -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(seed.to_le_bytes());
        digest.update(id);
        digest.finalize().into()
    };
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_cached_key(|&i| digest(&ids[i]));
    let fewest = usize::from(val_share > 0.0 && ids.len() > 1);
    let count = ((val_share * ids.len() as f64).round() as usize).clamp(fewest, ids.len());
    let mut out = vec![Split::Train; ids.len()];
    order.iter().take(count).for_each(|&i| out[i] = Split::Val);
    out
}

/// What leaks from one part into the other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Leak {
    /// Two scenes are one.
    #[error("scenes `{train}` (train) and `{val}` (val) hold the same objects: leave one of them out")]
    Scene {
        /// One.
        train: String,
        /// The other.
        val: String,
    },
    /// A question's scene is in no part.
    #[error("question `{id}` is about scene `{scene}`, which is in no part")]
    Stray {
        /// The question.
        id: String,
        /// Its scene.
        scene: String,
    },
    /// Two questions have one id.
    #[error("two questions are called `{id}`")]
    Id {
        /// Theirs.
        id: String,
    },
    /// A scene is asked the same twice.
    #[error("question `{id}` asks of scene `{scene}` what another one asks")]
    Question {
        /// The later.
        id: String,
        /// The scene.
        scene: String,
    },
}

/// Looks for leaks, question by question.
#[derive(Debug, Default)]
pub(crate) struct LeakCheck {
    splits: HashMap<String, Split>,
    ids: HashSet<String>,
    asked: HashSet<[u8; 32]>,
}

impl LeakCheck {
    /// `scenes` with the digest of what is in them.
    ///
    /// # Errors
    /// When a scene for training and one for validation hold the same.
    pub(crate) fn new(scenes: impl IntoIterator<Item = (String, [u8; 32], Split)>) -> Result<Self, Leak> {
        let mut out = Self::default();
        let mut by_content: BTreeMap<[u8; 32], (String, Split)> = BTreeMap::new();
        for (id, content, split) in scenes {
            if let Some((other, other_split)) = by_content.get(&content).filter(|(_, other)| *other != split) {
                let (train, val) = if *other_split == Split::Train { (other.clone(), id) } else { (id, other.clone()) };
                return Err(Leak::Scene { train, val });
            }
            by_content.insert(content, (id.clone(), split));
            out.splits.insert(id, split);
        }
        Ok(out)
    }

    /// The part of one more question.
    ///
    /// # Errors
    /// [`Leak`].
    pub(crate) fn add(&mut self, question: &SceneQuestion) -> Result<Split, Leak> {
        let (id, scene) = (question.id.clone(), question.scene.clone());
        let Some(&split) = self.splits.get(&scene) else { return Err(Leak::Stray { id, scene }) };
        if !self.ids.insert(id.clone()) {
            return Err(Leak::Id { id });
        }
        if self.asked.insert(asked_of(question)) { Ok(split) } else { Err(Leak::Question { id, scene }) }
    }
}

/// Equal for questions about one scene that are the same but for case, punctuation and articles; what the question
/// rests on (a place, turns before it, a box in it) counts.
pub(crate) fn asked_of(question: &SceneQuestion) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(&question.scene);
    for text in question.turns.iter().flat_map(|t| [&t.question, &t.answer]).chain([&question.question]) {
        let words = normal_form(text);
        let words: Vec<&str> = words.split(' ').filter(|w| !matches!(*w, "a" | "an" | "the")).collect();
        add(&words.join(" "));
    }
    if let Some(situation) = &question.situation {
        let [x, y, z] = situation.position;
        add(&format!("{x} {y} {z} {}", situation.yaw));
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{RECORD_FORMAT_VERSION, Situation};
    use crate::tasks::Task;
    use proptest::prelude::*;

    fn question(id: &str, scene: &str, text: &str) -> SceneQuestion {
        SceneQuestion {
            format_version: RECORD_FORMAT_VERSION,
            id: id.to_owned(),
            scene: scene.to_owned(),
            task: Task::Qa,
            turns: Vec::new(),
            situation: None,
            question: text.to_owned(),
            think: None,
            answer: None,
            answers: Vec::new(),
            boxes: Vec::new(),
        }
    }

    #[test]
    fn leaks_are_named() {
        let scene = |id: &str, content: u8, split| (id.to_owned(), [content; 32], split);
        let twins = [scene("a", 1, Split::Val), scene("b", 1, Split::Train)];
        assert_eq!(LeakCheck::new(twins).unwrap_err(), Leak::Scene { train: "b".to_owned(), val: "a".to_owned() });
        assert!(LeakCheck::new([scene("a", 1, Split::Val), scene("b", 1, Split::Val)]).is_ok());
        let mut check = LeakCheck::new([scene("a", 1, Split::Val), scene("b", 2, Split::Train)]).unwrap();
        assert_eq!(check.add(&question("a-0", "a", "Where is the lamp?")), Ok(Split::Val));
        assert_eq!(check.add(&question("b-0", "b", "Where is the lamp?")), Ok(Split::Train));
        assert!(matches!(check.add(&question("a-0", "a", "What?")), Err(Leak::Id { .. })));
        assert!(matches!(check.add(&question("a-1", "a", "where is a lamp")), Err(Leak::Question { .. })));
        assert!(matches!(check.add(&question("c-0", "c", "What?")), Err(Leak::Stray { .. })));
        let situation = Some(Situation { text: None, position: [0.0; 3], yaw: 1.0 });
        let from_elsewhere = SceneQuestion { situation, ..question("a-2", "a", "Where is the lamp?") };
        assert_eq!(check.add(&from_elsewhere), Ok(Split::Val));
    }

    proptest! {
        #[test]
        fn the_share_is_kept_and_the_order_of_scenes_does_not_matter(n in 0usize..60, seed: u64, share in 0.0f64..=1.0) {
            let ids: Vec<String> = (0..n).map(|i| format!("s{i}")).collect();
            let parts = split(&ids, seed, share);
            let val = parts.iter().filter(|p| **p == Split::Val).count();
            prop_assert!((val as f64 - share * n as f64).abs() <= 1.0);
            let reversed: Vec<String> = ids.iter().rev().cloned().collect();
            let mut back = split(&reversed, seed, share);
            back.reverse();
            prop_assert_eq!(back, parts);
        }
    }

    #[test]
    fn a_share_gives_at_least_one() {
        let ids: Vec<String> = (0..3).map(|i| i.to_string()).collect();
        assert_eq!(split(&ids, 0, 0.01).iter().filter(|p| **p == Split::Val).count(), 1);
        assert!(split(&ids, 0, 0.0).iter().all(|p| *p == Split::Train));
        assert_eq!(split(&ids[..1], 0, 0.1), [Split::Train]);
    }
}
