//! `format=1,perception=1,semantic=1` in, how much each reward counts out.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Weights of the rewards; penalties are taken off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardWeights {
    /// In the grammar.
    pub format: f64,
    /// Overlap with the true boxes.
    pub perception: f64,
    /// Cosine of text embeddings.
    pub semantic: f64,
    /// Exact match.
    pub exact: f64,
    /// Penalty on answers near the limit of their length.
    pub overlong: f64,
    /// Penalty on true boxes that nothing overlaps.
    pub missed: f64,
}

impl Default for RewardWeights {
    /// The three of 3D-R1, alike.
    fn default() -> Self {
        Self { format: 1.0, perception: 1.0, semantic: 1.0, ..Self::NONE }
    }
}

/// Why weights were refused.
#[derive(Debug, Error, PartialEq)]
pub enum WeightsError {
    /// Not a name and a number.
    #[error("`{0}` is no reward with a weight: write it as `perception=1`")]
    Form(String),
    /// A name that is none of ours.
    #[error("there is no reward `{0}`: they are format, perception, semantic, exact, overlong, missed")]
    Name(String),
    /// Not a number of at least 0.
    #[error("the weight of `{0}` must be a number of at least 0")]
    Number(String),
    /// Nothing is rewarded.
    #[error("no reward has a weight above 0: nothing could be learned")]
    Nothing,
}

impl RewardWeights {
    const NONE: Self = Self { format: 0.0, perception: 0.0, semantic: 0.0, exact: 0.0, overlong: 0.0, missed: 0.0 };
}

impl FromStr for RewardWeights {
    type Err = WeightsError;

    /// What is not named counts nothing.
    fn from_str(text: &str) -> Result<Self, WeightsError> {
        let mut weights = Self::NONE;
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, number) = item.split_once('=').ok_or_else(|| WeightsError::Form(item.to_owned()))?;
            let weight: f64 = number.trim().parse().map_err(|_| WeightsError::Number(name.to_owned()))?;
            if !weight.is_finite() || weight < 0.0 {
                return Err(WeightsError::Number(name.to_owned()));
            }
            let slot = match name.trim() {
                "format" => &mut weights.format,
                "perception" => &mut weights.perception,
                "semantic" => &mut weights.semantic,
                "exact" => &mut weights.exact,
                "overlong" => &mut weights.overlong,
                "missed" => &mut weights.missed,
                other => return Err(WeightsError::Name(other.to_owned())),
            };
            *slot = weight;
        }
        if [weights.format, weights.perception, weights.semantic, weights.exact].iter().all(|w| *w == 0.0) {
            return Err(WeightsError::Nothing);
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_rewards_count_and_others_do_not() {
        let weights: RewardWeights = "perception=2, exact=0.5".parse().unwrap();
        assert_eq!(weights, RewardWeights { perception: 2.0, exact: 0.5, ..RewardWeights::NONE });
        for (text, error) in [
            ("perception", WeightsError::Form("perception".to_owned())),
            ("beauty=1", WeightsError::Name("beauty".to_owned())),
            ("exact=-1", WeightsError::Number("exact".to_owned())),
            ("exact=nan", WeightsError::Number("exact".to_owned())),
            ("missed=1", WeightsError::Nothing),
            ("", WeightsError::Nothing),
        ] {
            assert_eq!(text.parse::<RewardWeights>(), Err(error), "{text}");
        }
    }
}
