//! The stamps of a recording in, which moments of it are decoded out.

/// A recording is decoded whole up to this length, nanoseconds; of a longer one, as much in bursts.
const WHOLE_NANOS: i64 = 60_000_000_000;
/// Length of a burst, nanoseconds: long against the offsets sought.
const BURST_NANOS: i64 = 6_000_000_000;

/// Which moments of a long recording are decoded.
pub(super) struct Bursts {
    first: i64,
    cycle_nanos: i64,
}

impl Bursts {
    /// For a recording with these stamps.
    pub(super) fn of(stamps: &[i64]) -> Self {
        let first = stamps.iter().copied().min().unwrap_or(0);
        let length = stamps.iter().copied().max().unwrap_or(0).saturating_sub(first);
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
        assert!(Bursts::of(&[i64::MIN, i64::MAX]).wants(i64::MIN));
    }
}
