//! Depth readings in, what they say about the unit that they were written in out.

use super::verdict::{Finding, Verdict, by_limits};

/// Width of a bin of the histogram relative to its depth: fine enough for percentiles to 2%.
const BIN_RATIO: f64 = 1.02;
/// Depths from here on are told apart, metres: below a thousandth of what any camera measures.
const NEAREST_M: f64 = 1.0e-5;
/// 1.02^1400 * 1e-5 m is 1e7 m: metres read as if they were millimetres, and the reverse, still fit.
const BINS: usize = 1_400;
/// A median below this is no room seen by a depth camera: the nearest range of stereo and ToF cameras is 0.1 to 0.3 m.
const FAIL_BELOW_M: f64 = 0.06;
/// A median below this is unusual.
const WARN_BELOW_M: f64 = 0.2;
/// A median above this is unusual indoors.
const WARN_ABOVE_M: f64 = 8.0;
/// A median above this is beyond what RGB-D cameras measure: their data sheets end at 6 to 20 m (Intel, Orbbec, Stereolabs), for
/// the furthest readings, not for half of them.
const FAIL_ABOVE_M: f64 = 15.0;
/// Share of pixels without reading that is common: shadows, glass, the sky of a doorway.
const MISSING_OK: f64 = 0.4;
/// Above this share little is left to fuse.
const MISSING_WARN: f64 = 0.8;

/// Statistics of many depth images: a histogram with bins of equal ratio, so that any unit fits.
#[derive(Debug, Clone)]
pub struct DepthStatistics {
    bins: Vec<u64>,
    readings: u64,
    missing: u64,
}

impl Default for DepthStatistics {
    fn default() -> Self {
        Self { bins: vec![0; BINS], readings: 0, missing: 0 }
    }
}

impl DepthStatistics {
    /// Adds an image, or any part of one; 0, negative and not finite values are no readings.
    pub fn add(&mut self, depth_m: &[f32]) {
        for z in depth_m.iter().map(|z| f64::from(*z)) {
            if z.is_finite() && z > 0.0 {
                let bin = ((z / NEAREST_M).ln() / BIN_RATIO.ln()).clamp(0.0, (BINS - 1) as f64) as usize;
                self.bins[bin] += 1;
                self.readings += 1;
            } else {
                self.missing += 1;
            }
        }
    }

    /// The depth below which `share` (0 to 1) of the readings lie, metres, to 2%; `None` without readings.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let wanted = (share.clamp(0.0, 1.0) * self.readings as f64).max(1.0);
        let mut seen = 0;
        self.bins.iter().enumerate().find_map(|(bin, count)| {
            seen += count;
            (self.readings > 0 && seen as f64 >= wanted).then(|| NEAREST_M * BIN_RATIO.powf(bin as f64 + 0.5))
        })
    }

    /// Mean of 1/depth, 1/m; `None` without readings.
    pub fn mean_inverse_depth(&self) -> Option<f64> {
        let sum: f64 = self
            .bins
            .iter()
            .enumerate()
            .map(|(bin, n)| *n as f64 / (NEAREST_M * BIN_RATIO.powf(bin as f64 + 0.5)))
            .sum();
        (self.readings > 0).then(|| sum / self.readings as f64)
    }

    /// Share of pixels without reading; NaN when nothing was added.
    pub fn missing_share(&self) -> f64 {
        self.missing as f64 / (self.missing + self.readings) as f64
    }

    /// The histogram for drawing: lower and upper end of each bin in metres, and its share of all readings.
    /// Bins are `step_m` wide, up to `last_m`; what lies beyond is in the last.
    pub fn histogram(&self, step_m: f64, last_m: f64) -> Vec<[f64; 3]> {
        let count = (last_m / step_m).ceil().clamp(1.0, 1.0e4) as usize;
        let mut shares: Vec<[f64; 3]> = (0..count).map(|i| [i as f64 * step_m, (i + 1) as f64 * step_m, 0.0]).collect();
        for (bin, n) in self.bins.iter().enumerate().filter(|(_, n)| **n > 0) {
            let z = NEAREST_M * BIN_RATIO.powf(bin as f64 + 0.5);
            let at = ((z / step_m) as usize).min(count - 1);
            shares[at][2] += *n as f64 / self.readings as f64;
        }
        shares
    }
}

/// Whether the depths are those of a room in metres. `encoding` is the message's, for example `16UC1`; `refused_median` is
/// the median of a 32FC1 stream that a reader refused because it is plainly in millimetres.
pub fn judge_unit(statistics: &DepthStatistics, encoding: &str, refused_median: Option<f64>) -> Finding {
    const NAME: &str = "depth_unit";
    if let Some(median) = refused_median {
        let message = format!(
            "{encoding} with a median reading of {median:.0}: these are millimetres, but 32FC1 is metres (REP 118); \
             make the driver divide by 1000, or publish 16UC1"
        );
        return Finding::new(NAME, Verdict::Fail, message).measured(median, FAIL_ABOVE_M, "m");
    }
    let three = [0.05, 0.5, 0.95].map(|share| statistics.percentile(share));
    let [Some(low), Some(median), Some(high)] = three else {
        return Finding::new(NAME, Verdict::Undecided, format!("{encoding}: no depth reading at all"));
    };
    let spread = format!("{encoding}, median {median:.3} m, 5% to 95% from {low:.3} to {high:.3} m");
    let (verdict, limit, what) = match median {
        m if m < FAIL_BELOW_M => {
            (Verdict::Fail, FAIL_BELOW_M, "; whole metres or centimetres read as millimetres? Fix the driver's unit")
        }
        m if m < WARN_BELOW_M => (Verdict::Warn, WARN_BELOW_M, "; very near for a room: check the driver's unit"),
        m if m > FAIL_ABOVE_M => {
            (Verdict::Fail, FAIL_ABOVE_M, "; tenths of a millimetre read as millimetres? Fix the driver's depth_units")
        }
        m if m > WARN_ABOVE_M => (Verdict::Warn, WARN_ABOVE_M, "; very far for a room: check the driver's depth_units"),
        _ => (Verdict::Ok, WARN_ABOVE_M, ""),
    };
    Finding::new(NAME, verdict, format!("{spread}{what}")).measured(median, limit, "m")
}

/// Whether enough pixels have a reading.
pub fn judge_missing(statistics: &DepthStatistics) -> Finding {
    let missing = statistics.missing_share();
    let message = if missing.is_nan() {
        "no depth image".to_owned()
    } else {
        format!("{:.1}% of the depth pixels have no reading", 100.0 * missing)
    };
    Finding::new("depth_missing", by_limits(missing, MISSING_OK, MISSING_WARN), message)
        .measured(missing, MISSING_OK, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f32]) -> DepthStatistics {
        let mut statistics = DepthStatistics::default();
        statistics.add(values);
        statistics
    }

    #[test]
    fn units_are_told_by_their_median() {
        let room: Vec<f32> = (0..1000).map(|i| 0.8 + 0.004 * i as f32).collect();
        let verdict = |factor: f32| {
            let scaled: Vec<f32> = room.iter().map(|z| z * factor).collect();
            judge_unit(&of(&scaled), "16UC1", None).verdict
        };
        assert_eq!(verdict(1.0), Verdict::Ok);
        // written in metres, centimetres and tenths of a millimetre, read as millimetres
        assert_eq!([0.001, 0.01, 10.0].map(verdict), [Verdict::Fail; 3]);
        assert_eq!(judge_unit(&of(&room), "32FC1", Some(2800.0)).verdict, Verdict::Fail);
        assert_eq!(judge_unit(&of(&[]), "16UC1", None).verdict, Verdict::Undecided);
    }

    #[test]
    fn missing_readings_are_counted() {
        let statistics = of(&[0.0, f32::NAN, -1.0, 2.0]);
        assert_eq!(statistics.missing_share(), 0.75);
        assert_eq!(judge_missing(&statistics).verdict, Verdict::Warn);
        assert_eq!(judge_missing(&of(&[])).verdict, Verdict::Undecided);
    }

    #[test]
    fn the_histogram_holds_every_reading() {
        let shares: f64 = of(&[0.1, 1.0, 2.0, 300.0]).histogram(0.1, 5.0).iter().map(|b| b[2]).sum();
        assert!((shares - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_sorting(mut values in prop::collection::vec(0.01f32..20.0, 1..200), share in 0.0..1.0f64) {
            let got = of(&values).percentile(share).unwrap();
            values.sort_by(f32::total_cmp);
            let at = ((share * values.len() as f64).max(1.0).ceil() as usize - 1).min(values.len() - 1);
            let truth = f64::from(values[at]);
            prop_assert!((got / truth - 1.0).abs() < 0.021, "{got} {truth}");
        }

        #[test]
        fn any_float_is_taken(bits in prop::collection::vec(any::<u32>(), 0..50)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let _ = judge_unit(&of(&values), "32FC1", None);
        }
    }
}
