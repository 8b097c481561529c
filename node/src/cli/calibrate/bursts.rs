//! The stamps of a recording in, which moments of it are decoded out.

/// A recording is decoded whole up to this length, nanoseconds; of a longer one, as much in bursts.
const WHOLE_NANOS: i64 = 60_000_000_000;
/// Length of a burst, nanoseconds: long against the offsets sought.
const BURST_NANOS: i64 = 6_000_000_000;

/// A stamp this far from the middle one is a stray: no recording is longer than two weeks, nanoseconds.
const STRAY_NANOS: u64 = 7 * 86_400 * 1_000_000_000;

/// Which moments of a long recording are decoded.
pub(super) struct Bursts {
    first: i64,
    cycle_nanos: i64,
}

impl Bursts {
    /// For a recording with these stamps.
    pub(super) fn of(stamps: &[i64]) -> Self {
        // a stray stamp, 0 or far in the future, must not make a recording of a thousand years
        let mut sorted = stamps.to_vec();
        sorted.sort_unstable();
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let near: Vec<i64> = sorted.into_iter().filter(|s| s.abs_diff(middle) < STRAY_NANOS).collect();
        let first = near.first().copied().unwrap_or(0);
        let length = near.last().copied().unwrap_or(0).saturating_sub(first);
        let times = (length / WHOLE_NANOS).saturating_add(1);
        Self { first, cycle_nanos: if length <= WHOLE_NANOS { BURST_NANOS } else { BURST_NANOS.saturating_mul(times) } }
    }

    /// Whether what has this stamp is decoded.
    pub(super) fn wants(&self, stamp: i64) -> bool {
        stamp.saturating_sub(self.first).rem_euclid(self.cycle_nanos) < BURST_NANOS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_recordings_are_read_in_bursts_that_add_up() {
        let stamps: Vec<i64> = (0..36_000).map(|i| i * 100_000_000).collect();
        let bursts = Bursts::of(&stamps);
        let wanted = stamps.iter().filter(|s| bursts.wants(**s)).count();
        assert!((500..=700).contains(&wanted), "{wanted}");
        let short = Bursts::of(&stamps[..600]);
        assert!(stamps[..600].iter().all(|s| short.wants(*s)));
        assert!(Bursts::of(&[i64::MIN, i64::MAX]).wants(i64::MAX));
        let base = 1_700_000_000_000_000_000;
        let mut strays: Vec<i64> = stamps[..600].iter().map(|s| s + base).collect();
        strays.extend([0, i64::MAX]);
        let bursts = Bursts::of(&strays);
        assert!(strays[..600].iter().all(|s| bursts.wants(*s)));
    }
}
