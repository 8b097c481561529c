//! The stamps of a recording in, which moments of it are decoded out.

use std::collections::{BTreeMap, BTreeSet};

/// Length of a burst, nanoseconds: long against the offsets sought. Time is counted in slots of this length.
const BURST_NANOS: i64 = 6_000_000_000;
/// Bursts decoded of a long recording: a minute in all.
const BURSTS: usize = 10;
/// A recording of this many slots is decoded whole: a minute seldom begins where a slot does.
const WHOLE_SLOTS: usize = BURSTS + 1;
/// A slot counts as recorded when it holds this share of the stamps of the fullest: one stamp of 0, or one of another clock, makes
/// no recording of fifty years.
const RECORDED_SHARE: f64 = 0.1;

/// Which moments of a long recording are decoded.
pub(super) struct Bursts {
    /// The slots that are decoded; `None` for all there are.
    chosen: Option<BTreeSet<i64>>,
}

impl Bursts {
    /// For a recording whose streams have these stamps: the slots in which any of them was recorded, evenly thinned.
    pub(super) fn of(streams: &[&[i64]]) -> Self {
        let recorded: Vec<i64> =
            streams.iter().flat_map(|stamps| recorded_slots(stamps)).collect::<BTreeSet<_>>().into_iter().collect();
        if recorded.len() <= WHOLE_SLOTS {
            return Self { chosen: None };
        }
        let evenly = (0..BURSTS).map(|i| i * recorded.len() / BURSTS);
        Self { chosen: Some(evenly.filter_map(|at| recorded.get(at).copied()).collect()) }
    }

    /// Whether what has this stamp is decoded.
    pub(super) fn wants(&self, stamp: i64) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&slot(stamp)))
    }
}

fn slot(stamp: i64) -> i64 {
    stamp.div_euclid(BURST_NANOS)
}

/// The slots in which one stream was recorded, without those that hold only strays.
fn recorded_slots(stamps: &[i64]) -> Vec<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for stamp in stamps {
        *counts.entry(slot(*stamp)).or_default() += 1;
    }
    let least = counts.values().max().map_or(0.0, |fullest| RECORDED_SHARE * *fullest as f64);
    counts.into_iter().filter(|(_, count)| *count as f64 >= least).map(|(slot, _)| slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where stamps of today lie, nanoseconds.
    const TODAY: i64 = 1_700_000_000_000_000_000;

    /// At 10 Hz.
    fn stamps(first: i64, count: i64) -> Vec<i64> {
        (0..count).map(|i| first + i * 100_000_000).collect()
    }

    fn wanted(bursts: &Bursts, stamps: &[i64]) -> usize {
        stamps.iter().filter(|s| bursts.wants(**s)).count()
    }

    #[test]
    fn long_recordings_are_read_in_bursts_that_add_up() {
        let hour = stamps(TODAY, 36_000);
        let found = wanted(&Bursts::of(&[&hour, &hour]), &hour);
        assert!((540..=600).contains(&found), "{found}");
        for first in [0, 1, TODAY, -7_000_000_000] {
            let minute = stamps(first, 600);
            assert_eq!(wanted(&Bursts::of(&[&minute]), &minute), 600, "{first}");
        }
        assert!(Bursts::of(&[&[i64::MIN, i64::MAX]]).wants(i64::MIN));
        assert!(Bursts::of(&[]).wants(0));
    }

    #[test]
    fn stray_stamps_take_nothing_from_the_rest() {
        let strays = [0, 1, 8_000_000_000, i64::MIN, i64::MAX, TODAY * 2];
        for (count, all) in [(300, 300), (36_000, 600)] {
            let good = stamps(TODAY, count);
            let strewn = [strays.as_slice(), &good].concat();
            let found = wanted(&Bursts::of(&[&strewn, &good]), &good);
            assert!((all - 60..=all).contains(&found), "{found} of {all}");
        }
    }

    #[test]
    fn pauses_and_another_clock_leave_both_streams_something() {
        // half an hour of depth with a pause of a day in it, color on a clock that began at 0
        let depth = [stamps(TODAY, 9_000), stamps(TODAY + 86_400_000_000_000, 9_000)].concat();
        let color = stamps(0, 18_000);
        let bursts = Bursts::of(&[&depth, &color]);
        for stream in [&depth[..9_000], &depth[9_000..], &color] {
            assert!(wanted(&bursts, stream) > 100, "{}", wanted(&bursts, stream));
        }
    }
}
