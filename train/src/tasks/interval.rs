//! Values of questions about several rooms in, their mean with a 95% interval out.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples of the rooms.
const RESAMPLES: usize = 1000;
/// Seed of the resampling, so that equal scores have equal intervals.
const SEED: u64 = 0x95;
/// Shares of the resampled means below and above the interval.
const TAILS: (f64, f64) = (0.025, 0.975);

/// A mean and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean over all values.
    pub value: f64,
    /// The 95% interval; `None` where the figure is no mean, or of a single room.
    pub interval: Option<(f64, f64)>,
}

/// The mean of values, each with its room, with the interval of a percentile bootstrap (Efron 1979) over rooms: questions
/// about one room are not independent, rooms are. 1000 resamples, seeded. `None` without values. Where all
/// values are equal the interval has no width, however few they are.
pub fn estimate(values: &[(u64, f64)]) -> Option<Estimate> {
    let mut rooms: BTreeMap<u64, (f64, usize)> = BTreeMap::new();
    for (room, value) in values {
        let entry = rooms.entry(*room).or_default();
        *entry = (entry.0 + value, entry.1 + 1);
    }
    let rooms: Vec<(f64, usize)> = rooms.into_values().collect();
    let mean = |(sum, count): (f64, usize)| sum / count as f64;
    let add = |(a, n): (f64, usize), (b, m): (f64, usize)| (a + b, n + m);
    if rooms.is_empty() {
        return None;
    }
    let value = mean(rooms.iter().copied().fold((0.0, 0), add));
    if rooms.len() == 1 {
        return Some(Estimate { value, interval: None });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| mean((0..rooms.len()).map(|_| rooms[rng.random_range(0..rooms.len())]).fold((0.0, 0), add)))
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((share * RESAMPLES as f64) as usize).min(RESAMPLES - 1)];
    Some(Estimate { value, interval: Some((at(TAILS.0), at(TAILS.1))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_binomial_where_each_room_has_one_value() {
        let values: Vec<(u64, f64)> = (0..400).map(|i| (i, f64::from(u8::from(i % 4 == 0)))).collect();
        let e = estimate(&values).unwrap();
        let (low, high) = e.interval.unwrap();
        // 1.96 sqrt(0.25 0.75 / 400) = 0.0424
        assert!((e.value - 0.25).abs() < 1e-12);
        assert!((low - 0.2076).abs() < 0.01 && (high - 0.2924).abs() < 0.01, "{low} {high}");
        assert_eq!(estimate(&values), Some(e));
    }

    #[test]
    fn values_of_one_room_move_together() {
        // ten rooms of forty equal values are ten values
        let values: Vec<(u64, f64)> = (0..400).map(|i| (i % 10, f64::from(u8::from(i % 10 < 5)))).collect();
        let (low, high) = estimate(&values).unwrap().interval.unwrap();
        assert!(high - low > 0.4, "{low} {high}");
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[(1, 0.5), (1, 1.0)]), Some(Estimate { value: 0.75, interval: None }));
    }
}
