//! Rewards of the answers to one question in, how much better than the others each is out.

/// Added to the standard deviation.
const EPSILON: f64 = 1e-6;
/// Rewards of a group that lie within this count as equal: boxes around one object overlap the true one by a little more or less, and
/// divided by their deviation such differences would weigh as much as right and wrong do.
pub(super) const LEAST_SPREAD: f64 = 0.02;

/// What a difference from the group's mean is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spread {
    /// The group's standard deviation (GRPO).
    #[default]
    Deviation,
    /// Nothing (Dr. GRPO): questions that are nearly always, or nearly never, answered well do not count more.
    None,
}

/// Advantages of groups.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Advantages {
    /// One for each answer, group by group.
    pub values: Vec<f32>,
    /// For each group, whether its rewards differ; those of the others are zero.
    pub informative: Vec<bool>,
}

impl Advantages {
    /// Groups whose rewards are all equal, or nearly: they teach nothing.
    pub fn degenerate(&self) -> usize {
        self.informative.iter().filter(|informative| !**informative).count()
    }
}

/// Advantages `(r - mean) / (deviation + 1e-6)` within each group of `group` answers, the deviation over the group as a whole
/// (divided by its size less one, as the paper's code does). Rewards that are no numbers count as the group's least, so that a broken
/// reward never makes an answer likelier. A last group that is not full is one of its own.
pub fn advantages(rewards: &[f64], group: usize, spread: Spread) -> Advantages {
    let mut out = Advantages::default();
    for rewards in rewards.chunks(group.max(1)) {
        let numbers = || rewards.iter().copied().filter(|r| r.is_finite());
        let least = numbers().fold(f64::INFINITY, f64::min);
        let rewards: Vec<f64> = rewards
            .iter()
            .map(|&r| {
                if r.is_finite() {
                    r
                } else if least.is_finite() {
                    least
                } else {
                    0.0
                }
            })
            .collect();
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let squares: f64 = rewards.iter().map(|r| (r - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
        let bounds = rewards.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), r| (a.min(*r), b.max(*r)));
        let informative = bounds.1 - bounds.0 >= LEAST_SPREAD;
        let divisor = match spread {
            Spread::Deviation => deviation + EPSILON,
            Spread::None => 1.0,
        };
        out.values.extend(rewards.iter().map(|r| if informative { ((r - mean) / divisor) as f32 } else { 0.0 }));
        out.informative.push(informative);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_with_their_own_group_alone() {
        let both = advantages(&[1.0, 0.0, 10.0, 30.0], 2, Spread::Deviation);
        // two answers: half a deviation of sqrt(1 / 2) each side
        let half = 0.5 / 0.5f64.sqrt();
        for (value, expected) in both.values.iter().zip([half, -half, -half, half]) {
            assert!((f64::from(*value) - expected).abs() < 1e-5, "{:?}", both.values);
        }
        assert_eq!(advantages(&[1.0, 0.0, 10.0, 30.0], 2, Spread::None).values, [0.5, -0.5, -10.0, 10.0]);
        assert_eq!(both.informative, [true, true]);
    }

    #[test]
    fn equal_rewards_teach_nothing_and_broken_ones_are_never_good() {
        let equal = advantages(&[0.7, 0.7, 0.7, 1.0, 0.0], 3, Spread::Deviation);
        assert_eq!((&equal.values[..3], equal.degenerate()), (&[0.0; 3][..], 1));
        let nearly = advantages(&[0.7, 0.71, 0.7, 0.73], 2, Spread::Deviation);
        assert_eq!(nearly.informative, [false, true]);
        let broken = advantages(&[f64::NAN, 0.5, 1.0], 3, Spread::Deviation);
        assert!(broken.values[0] == broken.values[1] && broken.values[0] < 0.0 && broken.values[2] > 0.0);
        assert_eq!(advantages(&[f64::NAN, f64::INFINITY], 2, Spread::None).values, [0.0, 0.0]);
        assert_eq!(advantages(&[], 4, Spread::None), Advantages::default());
    }
}
