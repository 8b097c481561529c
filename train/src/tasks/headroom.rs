//! What groups of answers earned in, how often each kind of question is asked next out: where a policy already writes better answers
//! than its usual one, rewards have something to teach; where all of its answers earn the same, they have not.
//!
//! DAPO (arXiv 2503.14476) samples on until enough groups differ; here the kinds that differ are known from the steps before, so that
//! few groups are sampled in vain.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Emphasis;

/// What a question of long ago counts beside one of now, for each question of its kind since.
const DECAY: f64 = 0.98;
/// A kind begins as if this many questions of it had held a better answer by the weight of a whole reward.
const PRIOR: f64 = 2.0;
/// The least emphasis of a kind, beside 1 where every group holds an answer that is better by a whole reward: all are asked sometimes.
const LEAST: f64 = 0.05;

/// Of each kind of question, `task/subtype`, what its groups held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headroom(BTreeMap<String, Kind>);

/// One kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    /// Questions asked.
    asked: u64,
    /// The same, older ones counting less.
    weight: f64,
    /// By how much the best answer of a group was better than the usual one, summed by that weight.
    gain: f64,
}

impl Kind {
    fn mean(&self) -> f64 {
        (self.gain + PRIOR) / (self.weight + PRIOR)
    }
}

impl Headroom {
    /// Takes a question of `kind` into account whose best answer earned `gain` more than its usual one.
    pub fn observe(&mut self, kind: &str, gain: f64) {
        let own = self.0.entry(kind.to_owned()).or_default();
        own.asked += 1;
        own.weight = own.weight * DECAY + 1.0;
        own.gain = own.gain * DECAY + if gain.is_finite() { gain.clamp(0.0, 1.0) } else { 0.0 };
    }

    /// How often each kind is to be asked, relative to its share.
    pub fn emphasis(&self) -> Emphasis {
        self.0.iter().map(|(kind, own)| (kind.clone(), own.mean().max(LEAST))).collect()
    }

    /// A line a kind: what it is, how often it was asked, its headroom.
    pub fn table(&self) -> String {
        let mut kinds: Vec<_> = self.0.iter().collect();
        kinds.sort_by(|a, b| b.1.mean().total_cmp(&a.1.mean()));
        kinds.iter().fold(String::new(), |mut out, (kind, own)| {
            // writing to a string cannot fail
            let _ = writeln!(out, "{kind:<24} asked {:>6}, headroom {:.2}", own.asked, own.mean());
            out
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_won_is_asked_more_and_nothing_is_forgotten() {
        let mut headroom = Headroom::default();
        assert!(headroom.emphasis().is_empty());
        for _ in 0..300 {
            headroom.observe("qa/color", 0.0);
            headroom.observe("qa/count", 0.5);
        }
        headroom.observe("qa/size", f64::NAN);
        let emphasis = headroom.emphasis();
        assert_eq!(emphasis["qa/color"], LEAST);
        // the prior still counts: (25 + 2) of 52
        assert!((emphasis["qa/count"] - 0.52).abs() < 0.01, "{emphasis:?}");
        assert!(emphasis["qa/size"] < 1.0);
        // what was won is no longer there
        for _ in 0..300 {
            headroom.observe("qa/count", 0.0);
        }
        assert_eq!(headroom.emphasis()["qa/count"], LEAST);
        let table = headroom.table();
        assert!(table.starts_with("qa/size") && table.contains("qa/count                 asked    600"), "{table}");
        let again: Headroom = serde_json::from_str(&serde_json::to_string(&headroom).unwrap()).unwrap();
        assert_eq!(again, headroom);
    }
}
