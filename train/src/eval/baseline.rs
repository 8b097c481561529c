//! Questions in, what a model has to beat out: the majority answer of each question type, and a random proposal's box.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vantage_scene::{OrientedBox, Proposal};

/// For each type of question, the share that its most frequent answer gets right: the best constant answer, chosen with
/// knowledge of these very questions.
#[derive(Debug, Default)]
pub struct MajorityAnswer {
    counts: BTreeMap<String, BTreeMap<String, usize>>,
}

impl MajorityAnswer {
    /// Counts one question's accepted answer.
    pub fn add(&mut self, kind: &str, answer: &str) {
        *self.counts.entry(kind.to_owned()).or_default().entry(answer.to_owned()).or_default() += 1;
    }

    /// Questions of `kind` that the best constant answer gets right.
    pub fn right(&self, kind: &str) -> usize {
        self.counts.get(kind).and_then(|c| c.values().max().copied()).unwrap_or(0)
    }
}

/// Overlap of a randomly drawn proposal with the true box; 0 when the map gave no proposal.
pub fn random_proposal_iou(proposals: &[Proposal], truth: &OrientedBox, rng: &mut ChaCha8Rng) -> f64 {
    if proposals.is_empty() {
        return 0.0;
    }
    proposals[rng.random_range(0..proposals.len())].bbox.iou(truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_is_counted_by_type() {
        let mut m = MajorityAnswer::default();
        for (kind, answer) in [("color", "red"), ("color", "red"), ("color", "blue"), ("count", "2"), ("exists", "no")]
        {
            m.add(kind, answer);
        }
        assert_eq!((m.right("color"), m.right("count"), m.right("other")), (2, 1, 0));
    }
}
