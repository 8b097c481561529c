//! The stamps of a stream in; its rate, its evenness, and what is missing, out.

use super::peak::median;
use super::verdict::{Finding, Verdict, by_limits};

/// A step longer than this many periods is a gap.
const GAP_PERIODS: f64 = 1.5;
/// Jitter up to this share of the period is what cameras and USB do.
const JITTER_OK: f64 = 0.1;
/// Beyond this share stamps are made on arrival, not at exposure.
const JITTER_WARN: f64 = 0.35;
/// Share of frames lost that does no harm.
const LOST_OK: f64 = 0.02;
/// Beyond this the transport is broken.
const LOST_WARN: f64 = 0.3;
/// Fusion wants views that overlap: slower is unusual.
const SLOW_HZ: f64 = 4.0;
/// Share of depth images that should find a colour image.
const PAIRED_OK: f64 = 0.95;
/// Below this share most of the recording is not fused.
const PAIRED_WARN: f64 = 0.5;
/// Time from stamp to log beyond which the clocks are not the same, seconds.
const CLOCK_LIMIT_S: f64 = 1.0;
/// A message cannot be logged before it was taken; clocks that are synchronised agree to this, seconds.
const CLOCK_AHEAD_S: f64 = 0.005;

/// What the stamps of a stream say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StampReport {
    /// Images.
    pub count: usize,
    /// Median time between images, seconds; 0 for fewer than two.
    pub period_s: f64,
    /// Typical deviation from the period, gaps apart, seconds: 1.48 times the median deviation.
    pub jitter_s: f64,
    /// Frames that should lie in the gaps.
    pub lost: u64,
    /// Longest time without an image, seconds.
    pub longest_gap_s: f64,
    /// Images with the stamp of the one before.
    pub duplicates: usize,
    /// Images with a stamp before that of the one before.
    pub backwards: usize,
}

/// Examines stamps in the order of recording, nanoseconds.
pub fn stamp_report(stamps: &[i64]) -> StampReport {
    let steps: Vec<f64> =
        stamps.windows(2).map(|pair| (i128::from(pair[1]) - i128::from(pair[0])) as f64 * 1e-9).collect();
    let mut forward: Vec<f64> = steps.iter().copied().filter(|s| *s > 0.0).collect();
    let mut report = StampReport {
        count: stamps.len(),
        duplicates: steps.iter().filter(|s| **s == 0.0).count(),
        backwards: steps.iter().filter(|s| **s < 0.0).count(),
        longest_gap_s: forward.iter().copied().fold(0.0, f64::max),
        ..StampReport::default()
    };
    if forward.is_empty() {
        return report;
    }
    report.period_s = median(&mut forward);
    let period = report.period_s;
    report.lost = forward.iter().filter(|s| **s > GAP_PERIODS * period).map(|s| (s / period).round() as u64 - 1).sum();
    let even = forward.iter().filter(|s| **s <= GAP_PERIODS * period);
    report.jitter_s = 1.48 * median(&mut even.map(|s| (s - period).abs()).collect::<Vec<f64>>());
    report
}

/// The verdict on a stream's stamps. `name` is the finding's, `stream` what the message calls it.
pub fn judge_stamps(name: &'static str, stream: &str, report: &StampReport) -> Finding {
    if report.count < 2 || report.period_s <= 0.0 {
        let message = format!(
            "{stream}: {} images, {} with the stamp of the one before: no rate",
            report.count, report.duplicates
        );
        let verdict = if report.count < 2 { Verdict::Undecided } else { Verdict::Fail };
        return Finding::new(name, verdict, message);
    }
    let jitter = report.jitter_s / report.period_s;
    let lost = report.lost as f64 / (report.lost as f64 + report.count as f64);
    let mut verdict = by_limits(jitter, JITTER_OK, JITTER_WARN).max(by_limits(lost, LOST_OK, LOST_WARN));
    let mut message = format!(
        "{stream}: {} images at {:.2} Hz, jitter {:.2} ms, {} lost, longest step {:.0} ms",
        report.count,
        1.0 / report.period_s,
        1e3 * report.jitter_s,
        report.lost,
        1e3 * report.longest_gap_s
    );
    if jitter > JITTER_OK {
        message += "; stamps should be those of the exposure, not of the arrival";
    }
    if lost > LOST_OK {
        message += "; images are lost on the way: record compressed images or check the DDS buffers";
    }
    if 1.0 / report.period_s < SLOW_HZ {
        verdict = verdict.max(Verdict::Warn);
        message += "; slow: views may not overlap";
    }
    if report.duplicates > 0 {
        verdict = verdict.max(Verdict::Warn);
        message += &format!("; {} stamps are given twice", report.duplicates);
    }
    if report.backwards > 0 {
        verdict = Verdict::Fail;
        message +=
            &format!("; time runs backwards {} times: a looping recording or a jump of the clock", report.backwards);
    }
    Finding::new(name, verdict, message).measured(1e3 * report.jitter_s, 1e3 * JITTER_OK * report.period_s, "ms")
}

/// Whether depth images find colour images within `tolerance_nanos`. Stamps in any order.
pub fn judge_pairs(color: &[i64], depth: &[i64], tolerance_nanos: i64) -> Finding {
    let mut sorted = color.to_vec();
    sorted.sort_unstable();
    let near = |stamp: i64| {
        let at = sorted.partition_point(|s| *s < stamp);
        let around = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|i| sorted.get(i));
        around.map(|s| s.abs_diff(stamp)).min().is_some_and(|d| d <= tolerance_nanos.unsigned_abs())
    };
    let share = depth.iter().filter(|s| near(**s)).count() as f64 / depth.len() as f64;
    let verdict = match share {
        s if s.is_nan() => Verdict::Undecided,
        s if s >= PAIRED_OK => Verdict::Ok,
        s if s >= PAIRED_WARN => Verdict::Warn,
        _ => Verdict::Fail,
    };
    let tolerance_ms = tolerance_nanos as f64 * 1e-6;
    let message = if share.is_nan() {
        "no depth image".to_owned()
    } else {
        format!("{:.1}% of the depth images have a color image within {tolerance_ms:.0} ms", 100.0 * share)
    };
    Finding::new("stamp_pairs", verdict, message).measured(share, PAIRED_OK, "")
}

/// Whether messages were logged soon after their stamps. `logged` belongs to `stamps`, both in nanoseconds.
pub fn judge_clock(name: &'static str, stream: &str, stamps: &[i64], logged: &[i64]) -> Finding {
    let mut lags: Vec<f64> =
        stamps.iter().zip(logged).map(|(s, l)| (i128::from(*l) - i128::from(*s)) as f64 * 1e-9).collect();
    let middle = median(&mut lags);
    if middle.is_nan() {
        return Finding::new(name, Verdict::Undecided, format!("{stream}: no message"));
    }
    let (verdict, advice) = match middle {
        m if m < -CLOCK_AHEAD_S => (Verdict::Warn, "; they cannot be from the future: synchronise the camera's clock"),
        m if m > CLOCK_LIMIT_S => {
            (Verdict::Warn, "; the camera and the recorder have different clocks, or it is a recording of a replay")
        }
        _ => (Verdict::Ok, ""),
    };
    let message = format!("{stream}: logged {:.1} ms (median) after the stamp{advice}", 1e3 * middle);
    Finding::new(name, verdict, message).measured(1e3 * middle, 1e3 * CLOCK_LIMIT_S, "ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every(ms: i64, count: i64) -> Vec<i64> {
        (0..count).map(|i| 1_700_000_000_000_000_000 + i * ms * 1_000_000).collect()
    }

    #[test]
    fn gaps_duplicates_and_jumps_back_are_counted() {
        let mut stamps = every(40, 50);
        stamps.drain(20..23);
        stamps.insert(5, stamps[4]);
        stamps.push(stamps[10]);
        let report = stamp_report(&stamps);
        assert_eq!((report.count, report.lost, report.duplicates, report.backwards), (49, 3, 1, 1));
        assert!((report.period_s - 0.04).abs() < 1e-9 && (report.longest_gap_s - 0.16).abs() < 1e-9);
        assert_eq!(judge_stamps("x", "depth", &report).verdict, Verdict::Fail);
        assert_eq!(judge_stamps("x", "depth", &stamp_report(&every(33, 90))).verdict, Verdict::Ok);
        assert_eq!(judge_stamps("x", "depth", &stamp_report(&every(500, 9))).verdict, Verdict::Warn);
        assert_eq!(judge_stamps("x", "depth", &stamp_report(&[5])).verdict, Verdict::Undecided);
        assert_eq!(judge_stamps("x", "depth", &stamp_report(&[5, 5, 5])).verdict, Verdict::Fail);
    }

    #[test]
    fn uneven_stamps_are_warned_of() {
        let stamps: Vec<i64> =
            every(40, 60).iter().enumerate().map(|(i, s)| s + [0, 9_000_000, 2_000_000][i % 3]).collect();
        assert_eq!(judge_stamps("x", "color", &stamp_report(&stamps)).verdict, Verdict::Warn);
    }

    #[test]
    fn pairs_and_clocks() {
        let depth = every(40, 50);
        let near: Vec<i64> = depth.iter().map(|s| s + 15_000_000).collect();
        assert_eq!(judge_pairs(&near, &depth, 20_000_000).verdict, Verdict::Ok);
        assert_eq!(judge_pairs(&near, &depth, 10_000_000).verdict, Verdict::Fail);
        assert_eq!(judge_pairs(&near[..35], &depth, 20_000_000).verdict, Verdict::Warn);
        assert_eq!(judge_pairs(&[], &[], 0).verdict, Verdict::Undecided);
        let late = |s: f64| depth.iter().map(|d| d + (s * 1e9) as i64).collect::<Vec<i64>>();
        let clock = |s: f64| judge_clock("x", "depth", &depth, &late(s)).verdict;
        assert_eq!([0.02, 7.0, -0.5].map(clock), [Verdict::Ok, Verdict::Warn, Verdict::Warn]);
    }

    proptest! {
        #[test]
        fn any_stamps_are_taken(stamps in prop::collection::vec(any::<i64>(), 0..20), more in prop::collection::vec(any::<i64>(), 0..20), tolerance in any::<i64>()) {
            let _ = judge_stamps("x", "x", &stamp_report(&stamps));
            let _ = (judge_pairs(&stamps, &more, tolerance), judge_clock("x", "x", &stamps, &more));
        }
    }
}
