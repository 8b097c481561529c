//! A written answer and the truth in, its rewards out: in the grammar, on the right objects, saying the right thing.
//!
//! The three rewards of 3D-R1 (arXiv 2507.23478): format, perception, semantic; and, as few examples with answers that can be
//! checked allow (Visual-RFT, arXiv 2503.01785), exact match. All are the evaluation's own metrics, so that what is rewarded is what
//! is measured.

mod semantic;
mod weights;

use serde::Serialize;
use vantage_scene::OrientedBox;

pub use semantic::Similarity;
pub use weights::{RewardWeights, WeightsError};

use crate::metrics::{exact_match, match_boxes};

/// What an answer should be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Answers that count as right, boxes left out; empty where the boxes are the answer.
    pub answers: &'a [String],
    /// Boxes that the answer has to give; `None` where no box is asked for, empty where there is nothing to be found.
    pub boxes: Option<&'a [OrientedBox]>,
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The answer's text without its boxes; `None` when the output left the grammar or did not come to its end.
    pub answer: Option<&'a str>,
    /// The answer's boxes, as they are published.
    pub boxes: &'a [OrientedBox],
    /// Tokens written.
    pub tokens: usize,
    /// Most tokens allowed.
    pub most_tokens: usize,
}

/// The rewards of one answer, each from 0 to 1 before its weight. What does not apply to a question is `None` and counts
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rewards {
    /// 1 in the grammar, 0 out of it.
    pub format: f64,
    /// Overlap with the true boxes, matched one to one, over the greater number of boxes: made up and missed boxes count 0.
    pub perception: Option<f64>,
    /// Cosine of the answer's text and the nearest accepted answer, not below 0.
    pub semantic: Option<f64>,
    /// Whether the text is an accepted answer.
    pub exact: Option<f64>,
    /// Share of the last fifth of the budget that was used up: 0 for short answers, 1 at the limit (soft overlong punishment,
    /// DAPO, arXiv 2503.14476).
    pub overlong: f64,
    /// Share of the true boxes that no box overlaps at all.
    pub missed: f64,
    /// The weighted sum, penalties taken off.
    pub total: f64,
}

/// Share of the budget at whose end the answer counts as too long.
const SOFT_SHARE: f64 = 0.2;

/// Rewards `written`. `similarity` compares texts; where it is `None`, the semantic reward is that of equal words.
pub fn reward(
    expected: &Expected<'_>,
    written: &Written<'_>,
    weights: &RewardWeights,
    similarity: Option<&Similarity>,
) -> Rewards {
    let mut rewards = Rewards { overlong: overlong(written), ..Rewards::default() };
    let applies_boxes = expected.boxes;
    let applies_text = !expected.answers.is_empty();
    match written.answer {
        None => {
            // nothing of it reaches a user
            rewards.perception = applies_boxes.map(|_| 0.0);
            rewards.semantic = applies_text.then_some(0.0);
            rewards.exact = applies_text.then_some(0.0);
            rewards.missed = applies_boxes.map_or(0.0, |boxes| if boxes.is_empty() { 0.0 } else { 1.0 });
        }
        Some(said) => {
            rewards.format = 1.0;
            if let Some(truth) = applies_boxes {
                let matching = match_boxes(written.boxes, truth);
                rewards.perception = Some(matching.score);
                rewards.missed = (truth.len() - matching.pairs.len()) as f64 / truth.len().max(1) as f64;
            }
            if applies_text {
                let exact = f64::from(u8::from(exact_match(said, expected.answers)));
                let near = similarity.map_or(0.0, |s| s.nearest(said, expected.answers));
                rewards.exact = Some(exact);
                rewards.semantic = Some(near.max(exact));
            }
        }
    }
    rewards.total = weights.format * rewards.format
        + weights.perception * rewards.perception.unwrap_or(0.0)
        + weights.semantic * rewards.semantic.unwrap_or(0.0)
        + weights.exact * rewards.exact.unwrap_or(0.0)
        - weights.overlong * rewards.overlong
        - weights.missed * rewards.missed;
    rewards
}

fn overlong(written: &Written<'_>) -> f64 {
    let soft = SOFT_SHARE * written.most_tokens as f64;
    if soft <= 0.0 {
        return 0.0;
    }
    ((written.tokens as f64 - (written.most_tokens as f64 - soft)) / soft).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cube(x: f64) -> OrientedBox {
        OrientedBox { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 }
    }

    fn written<'a>(answer: Option<&'a str>, boxes: &'a [OrientedBox]) -> Written<'a> {
        Written { answer, boxes, tokens: 40, most_tokens: 100 }
    }

    #[test]
    fn rewards_are_the_metrics() {
        let answers = ["two".to_owned(), "2".to_owned()];
        let truth = [cube(0.0), cube(5.0)];
        let expected = Expected { answers: &answers, boxes: Some(&truth) };
        let weights = RewardWeights { exact: 1.0, missed: 0.5, ..RewardWeights::default() };
        let all = reward(&expected, &written(Some("2"), &truth), &weights, None);
        assert_eq!((all.format, all.perception, all.exact, all.missed), (1.0, Some(1.0), Some(1.0), 0.0));
        assert!((all.total - (weights.format + weights.perception + weights.semantic + 1.0)).abs() < 1e-12);
        let half = reward(&expected, &written(Some("3"), &truth[..1]), &weights, None);
        assert_eq!((half.perception, half.exact, half.missed), (Some(0.5), Some(0.0), 0.5));
        // a box too many costs as much as one too few
        let three = [cube(0.0), cube(5.0), cube(9.0)];
        let many = reward(&expected, &written(Some("2"), &three), &weights, None);
        assert!((many.perception.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_left_the_grammar_earns_nothing() {
        let answers = ["red".to_owned()];
        let truth = [cube(0.0)];
        let expected = Expected { answers: &answers, boxes: Some(&truth) };
        let out = reward(&expected, &written(None, &truth), &RewardWeights::default(), None);
        assert_eq!((out.format, out.perception, out.semantic, out.total), (0.0, Some(0.0), Some(0.0), 0.0));
    }

    #[test]
    fn nothing_to_be_found_is_right_without_a_box() {
        let expected = Expected { answers: &[], boxes: Some(&[]) };
        let none = reward(&expected, &written(Some("none"), &[]), &RewardWeights::default(), None);
        assert_eq!((none.perception, none.semantic), (Some(1.0), None));
        let made_up = reward(&expected, &written(Some("there"), &[cube(1.0)]), &RewardWeights::default(), None);
        assert_eq!((made_up.perception, made_up.missed), (Some(0.0), 0.0));
    }

    #[test]
    fn only_the_end_of_the_budget_is_too_long() {
        let at = |tokens| overlong(&Written { tokens, ..written(Some("x"), &[]) });
        assert_eq!((at(80), at(90), at(100)), (0.0, 0.5, 1.0));
        assert_eq!(overlong(&Written { most_tokens: 0, ..written(None, &[]) }), 0.0);
    }
}
