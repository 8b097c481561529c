//! Offsets between two streams in, verdicts by the fraction of a frame that they are out.

use super::offset::TimeOffset;
use super::verdict::{Finding, Verdict, by_limits};

/// Share of a frame's period that pairing by stamps hides anyway: the nearest image is up to half a period away.
const OK_PERIODS: f64 = 0.35;
/// From here on the wrong image is paired.
const WARN_PERIODS: f64 = 0.75;
/// Fast cameras are judged as those of 60 Hz, seconds: exposure itself takes some milliseconds.
const SHORTEST_PERIOD_S: f64 = 1.0 / 60.0;
/// Slow cameras are judged as those of 15 Hz: at a walking pace 60 ms are several pixels, however rarely images come.
const LONGEST_PERIOD_S: f64 = 1.0 / 15.0;
/// An offset with a larger standard error, in periods, decides nothing.
const MAX_ERROR_PERIODS: f64 = 0.25;

/// How offsets are named in findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// The finding's name.
    pub name: &'static str,
    /// The stream that is late when the offset is positive, such as `color`.
    pub late: &'static str,
    /// The other, such as `depth`.
    pub against: &'static str,
}

/// The verdict on how much later `between.late` is stamped than `between.against`, from up to two independent measurements with
/// what each is called, the better first. `period_s` is that of the faster camera stream.
pub fn judge_offset(between: Between, measured: &[(&str, Option<TimeOffset>)], period_s: f64) -> Finding {
    let Between { name, late, against } = between;
    let period_s =
        if period_s.is_finite() { period_s.clamp(SHORTEST_PERIOD_S, LONGEST_PERIOD_S) } else { LONGEST_PERIOD_S };
    let usable = |offset: &TimeOffset| offset.offset_s.is_finite() && offset.error_s <= MAX_ERROR_PERIODS * period_s;
    let known: Vec<(&str, TimeOffset)> =
        measured.iter().filter_map(|(by, offset)| Some((*by, offset.filter(usable)?))).collect();
    let Some((by, best)) = known.first() else {
        let message =
            format!("{late} against {against}: the motion does not tell; record with quick turns of the camera");
        return Finding::new(name, Verdict::Undecided, message);
    };
    let mut verdict = by_limits(best.offset_s.abs(), OK_PERIODS * period_s, WARN_PERIODS * period_s);
    let ms = 1e3 * best.offset_s;
    let mut message =
        format!("{late} is stamped {ms:+.1} +- {:.1} ms later than {against}, by {by}", 1e3 * best.error_s);
    for (by, other) in &known[1..] {
        message += &format!("; {:+.1} +- {:.1} ms by {by}", 1e3 * other.offset_s, 1e3 * other.error_s);
        if (other.offset_s - best.offset_s).abs() > WARN_PERIODS * period_s {
            verdict = verdict.max(Verdict::Warn);
            message += ", which disagrees";
        }
    }
    if verdict != Verdict::Ok {
        message +=
            "; stamps must be those of the exposure: correct the driver, or the stream's time_offset_s in the rig file";
    }
    Finding::new(name, verdict, message).measured(ms, 1e3 * OK_PERIODS * period_s, "ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETWEEN: Between = Between { name: "x", late: "color", against: "depth" };

    fn offset(offset_s: f64, error_s: f64) -> Option<TimeOffset> {
        Some(TimeOffset { offset_s, error_s, score: 1.0, rival: 0.1 })
    }

    #[test]
    fn the_verdict_follows_the_fraction_of_a_frame() {
        let of = |s: f64, period: f64| judge_offset(BETWEEN, &[("edges", offset(s, 0.001))], period).verdict;
        assert_eq!([0.005, -0.02, 0.1].map(|s| of(s, 1.0 / 30.0)), [Verdict::Ok, Verdict::Warn, Verdict::Fail]);
        // ten frames a second hide more than thirty, one a second no more than fifteen
        assert_eq!(of(0.02, 0.1), Verdict::Ok);
        assert_eq!([of(0.06, 1.0), of(0.06, f64::NAN)], [Verdict::Fail; 2]);
    }

    #[test]
    fn uncertain_and_conflicting_measurements_are_told() {
        let uncertain = judge_offset(BETWEEN, &[("edges", None), ("motion", offset(0.1, 0.05))], 0.03);
        assert_eq!(uncertain.verdict, Verdict::Undecided);
        let nan = judge_offset(BETWEEN, &[("motion", offset(0.1, f64::NAN))], 0.03);
        assert_eq!(nan.verdict, Verdict::Undecided);
        let second = judge_offset(BETWEEN, &[("edges", None), ("motion", offset(0.1, 0.002))], 0.03);
        assert_eq!(second.verdict, Verdict::Fail);
        let conflict = judge_offset(BETWEEN, &[("edges", offset(0.0, 0.001)), ("motion", offset(0.1, 0.002))], 0.03);
        assert!(conflict.verdict == Verdict::Warn && conflict.message.contains("disagrees"), "{conflict:?}");
    }
}
