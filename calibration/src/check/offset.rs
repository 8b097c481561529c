//! Two signals of the same motion with different clocks in, the time between them out.

use super::peak::{jackknife_error, largest, median, vertex};

/// Motion slower than this says little about time and hides what does: signals lose their mean over this window, seconds.
/// A hand or a robot on carpet shakes at 2 to 10 Hz.
const WINDOW_S: f64 = 0.3;
/// Samples of the common clock per period of the slower signal; between them a parabola.
const SAMPLES_PER_PERIOD: f64 = 4.0;
/// A pause of so many periods is a gap that is not interpolated.
const GAP_PERIODS: f64 = 3.0;
/// Most samples of the common clock: an hour at 30 Hz.
const MAX_SAMPLES: usize = 432_000;
/// Most lags tried to each side: half a second of a stream at 500 Hz.
const MAX_LAGS: f64 = 1_000.0;
/// Values beyond this many median magnitudes are cut: a shift that was mistaken.
const CUT_MEDIANS: f64 = 7.0;
/// Parts of the recording, each left out once for the standard error.
const GROUPS: usize = 8;
/// Smallest correlation that counts.
const MIN_SCORE: f64 = 0.2;
/// Smallest correlation in units of that of unrelated noise, `1 / sqrt(samples)`.
const MIN_SIGNIFICANCE: f64 = 4.0;
/// A lag is clear when others correlate less than this share of it.
const MAX_RIVAL: f64 = 0.8;
/// Lags within so many periods of the best are its own flanks.
const FLANK_PERIODS: f64 = 2.5;

/// Apparent motion of the picture over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MotionSignal {
    /// Moments, nanoseconds, ascending.
    pub stamps: Vec<i64>,
    /// Shift to the right and down at that moment, pixels a second.
    pub rates: Vec<[f64; 2]>,
}

/// A time between two streams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeOffset {
    /// The same moment has a stamp this much later in the second stream, seconds.
    pub offset_s: f64,
    /// Standard error, seconds, from parts of the recording left out in turn.
    pub error_s: f64,
    /// Agreement at this offset.
    pub score: f64,
    /// Best agreement at offsets away from it; the clearer, the smaller.
    pub rival: f64,
}

impl MotionSignal {
    /// Adds the motion between two pictures, which counts for the moment between them. What does not follow in time, or is
    /// not finite, is left out.
    pub fn push_shift(&mut self, earlier_nanos: i64, later_nanos: i64, shift_px: [f64; 2]) {
        let Some(nanos) = later_nanos.checked_sub(earlier_nanos).filter(|n| *n > 0) else { return };
        let moment = earlier_nanos.saturating_add(nanos / 2);
        let rate = shift_px.map(|x| x / (nanos as f64 * 1e-9));
        if self.stamps.last().is_none_or(|last| *last < moment) && rate.iter().all(|x| x.is_finite()) {
            self.stamps.push(moment);
            self.rates.push(rate);
        }
    }

    /// Median time between samples, seconds; NaN for fewer than two.
    pub fn period_s(&self) -> f64 {
        let mut steps: Vec<f64> = self.stamps.windows(2).map(|pair| seconds_between(pair[0], pair[1])).collect();
        median(&mut steps)
    }

    /// Samples at `count` moments from `start` every `step_s`, NaN in gaps, slow motion taken out and outliers cut.
    fn resampled(&self, start: i64, step_s: f64, count: usize, gap_s: f64) -> Vec<[f64; 2]> {
        let times: Vec<f64> = self.stamps.iter().map(|s| seconds_between(start, *s)).collect();
        let mut samples = vec![[f64::NAN; 2]; count];
        for (i, pair) in times.windows(2).enumerate() {
            let (t0, t1) = (pair[0], pair[1]);
            if t1 - t0 > gap_s {
                continue;
            }
            let first = (t0 / step_s).ceil().max(0.0) as usize;
            for (k, sample) in samples.iter_mut().enumerate().skip(first) {
                let share = (k as f64 * step_s - t0) / (t1 - t0);
                if share > 1.0 {
                    break;
                }
                *sample = std::array::from_fn(|c| self.rates[i][c] + share * (self.rates[i + 1][c] - self.rates[i][c]));
            }
        }
        let half = (WINDOW_S / 2.0 / step_s).round().max(1.0) as usize;
        let mut fast: Vec<[f64; 2]> = without_mean(&samples, half);
        let mut sizes: Vec<f64> = fast.iter().flatten().map(|x| x.abs()).filter(|x| x.is_finite()).collect();
        let most = CUT_MEDIANS * median(&mut sizes);
        if most > 0.0 {
            fast.iter_mut().flatten().for_each(|x| *x = x.clamp(-most, most));
        }
        fast
    }
}

/// Exact as integers first: stamps since the epoch do not fit an f64 to the nanosecond.
fn seconds_between(from: i64, to: i64) -> f64 {
    to.wrapping_sub(from) as f64 * 1e-9
}

/// Each sample less the mean of those up to `half` away.
fn without_mean(samples: &[[f64; 2]], half: usize) -> Vec<[f64; 2]> {
    let mut sums = Vec::with_capacity(samples.len() + 1);
    let mut sum = ([0.0; 2], 0.0);
    sums.push(sum);
    for sample in samples {
        if sample.iter().all(|x| x.is_finite()) {
            sum = ([sum.0[0] + sample[0], sum.0[1] + sample[1]], sum.1 + 1.0);
        }
        sums.push(sum);
    }
    let less_mean = |(i, sample): (usize, &[f64; 2])| {
        let (low, high) = (sums[i.saturating_sub(half)], sums[(i + half + 1).min(samples.len())]);
        std::array::from_fn(|c| sample[c] - (high.0[c] - low.0[c]) / (high.1 - low.1))
    };
    samples.iter().enumerate().map(less_mean).collect()
}

/// By how much the stamps of `b` are later than those of `a` for the same motion; `None` when the motion does not tell: too
/// little, too even, or unrelated. Lags up to `limit_s` are tried.
///
/// The normalised cross-correlation of both components, on a common clock, its peak refined by a parabola.
pub fn time_offset(a: &MotionSignal, b: &MotionSignal, limit_s: f64) -> Option<TimeOffset> {
    let period_s = a.period_s().max(b.period_s());
    let step_s = period_s / SAMPLES_PER_PERIOD;
    let lags = (limit_s / step_s).ceil();
    if !(step_s.is_finite() && step_s > 1.0e-5 && (4.0..=MAX_LAGS).contains(&lags)) {
        return None;
    }
    let lags = lags as usize;
    let start = *a.stamps.first()?.min(b.stamps.first()?);
    let end = *a.stamps.last()?.max(b.stamps.last()?);
    let count = ((seconds_between(start, end) / step_s).max(0.0) as usize).saturating_add(1).min(MAX_SAMPLES);
    let [a, b] = [a, b].map(|s| s.resampled(start, step_s, count, GAP_PERIODS * period_s));
    // products of each lag and part of the recording: ab, aa, bb, and their number
    let mut products = vec![[[0.0f64; 4]; GROUPS]; 2 * lags + 1];
    for (k, of_lag) in products.iter_mut().enumerate() {
        for (i, x) in a.iter().enumerate() {
            let Some(y) = (i + k).checked_sub(lags).and_then(|j| b.get(j)) else { continue };
            let sum = &mut of_lag[i * GROUPS / count];
            for (x, y) in x.iter().zip(y).filter(|(x, y)| x.is_finite() && y.is_finite()) {
                sum[0] += x * y;
                sum[1] += x * x;
                sum[2] += y * y;
                sum[3] += 1.0;
            }
        }
    }
    let best = |left_out: Option<usize>| {
        let score = |of_lag: &[[f64; 4]; GROUPS]| {
            let kept = of_lag.iter().enumerate().filter(|(g, _)| Some(*g) != left_out);
            let [ab, aa, bb] = std::array::from_fn(|c| kept.clone().map(|(_, sum)| sum[c]).sum::<f64>());
            ab / (aa * bb).sqrt()
        };
        let scores: Vec<f64> = products.iter().map(score).collect();
        let at = largest(&scores).filter(|at| *at > 0 && at + 1 < scores.len())?;
        let point = |i: usize| [(i as f64 - lags as f64) * step_s, scores[i]];
        let offset_s = vertex(point(at - 1), point(at), point(at + 1));
        let flank = (FLANK_PERIODS * SAMPLES_PER_PERIOD) as usize;
        let rivals = scores.iter().enumerate().filter(|(i, s)| i.abs_diff(at) > flank && s.is_finite());
        Some((at, offset_s, scores[at], rivals.map(|(_, s)| *s).fold(f64::NEG_INFINITY, f64::max)))
    };
    let (at, offset_s, score, rival) = best(None)?;
    let independent = products[at].iter().map(|sum| sum[3]).sum::<f64>() / SAMPLES_PER_PERIOD / 2.0;
    let clear = score >= MIN_SCORE && score * independent.sqrt() >= MIN_SIGNIFICANCE && rival <= MAX_RIVAL * score;
    let left_out: Vec<f64> = (0..GROUPS).filter_map(|group| Some(best(Some(group))?.1)).collect();
    clear.then(|| TimeOffset { offset_s, error_s: jackknife_error(&left_out), score, rival })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Sines up to 6 Hz; their phases by seed.
    fn motion(seed: u64) -> impl Fn(f64) -> [f64; 2] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let waves: Vec<[f64; 4]> =
            (0..24).map(|_| std::array::from_fn(|i| rng.random_range(0.0..[6.0, 30.0, TAU, 2.0][i]))).collect();
        move |t: f64| {
            let sum = |c: usize| {
                let of = waves.iter().filter(|w| (w[3] as usize) == c);
                of.map(|[hz, size, phase, _]| size * (TAU * hz * t + phase).sin()).sum::<f64>()
            };
            [sum(0), sum(1)]
        }
    }

    /// A stream with `rate_hz` and noise, whose stamps are `late_s` late; pictures come from the integral between frames.
    fn stream(seed: u64, noise_seed: u64, rate_hz: f64, late_s: f64, noise: f64) -> MotionSignal {
        let motion = motion(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(noise_seed);
        let mut signal = MotionSignal::default();
        let phase = rng.random_range(0.0..1.0);
        for i in 0..(40.0 * rate_hz) as i64 {
            let (t0, t1) = ((i as f64 + phase) / rate_hz, (i as f64 + 1.0 + phase) / rate_hz);
            let mean: [f64; 2] = std::array::from_fn(|c| {
                (0..10).map(|k| motion(t0 + (t1 - t0) * (f64::from(k) + 0.5) / 10.0)[c] / 10.0).sum()
            });
            let shift = mean.map(|x| (x + rng.random_range(-noise..noise)) / rate_hz);
            let stamp = |t: f64| 1_700_000_000_000_000_000 + ((t + late_s) * 1e9) as i64;
            signal.push_shift(stamp(t0), stamp(t1), shift);
        }
        signal
    }

    #[test]
    fn a_late_stream_is_found_to_two_milliseconds() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut asked, mut close, mut squares, mut errors) = (0, 0, 0.0, Vec::new());
        for seed in 0..60 {
            let late_s = rng.random_range(-0.15..0.15);
            let (a, b) = (stream(seed, 1, 30.0, 0.0, 30.0), stream(seed, 2, 30.0, late_s, 30.0));
            asked += 1;
            // a motion that nearly repeats itself leaves it undecided, as it should
            let Some(found) = time_offset(&a, &b, 0.5) else { continue };
            let error = found.offset_s - late_s;
            assert!(found.error_s < 4e-3, "{seed}: {found:?}");
            assert!(error.abs() < 5.0 * found.error_s, "{seed}: {error} {found:?}");
            close += usize::from(error.abs() < 2e-3);
            squares += (error / found.error_s).powi(2);
            errors.push(error);
        }
        // noise is Gaussian enough that a few estimates of a hundred lie beyond three standard errors
        assert!(4 * errors.len() >= 3 * asked, "{} of {asked} decided", errors.len());
        assert!(100 * close >= 95 * errors.len(), "{close} of {} within 2 ms: {errors:?}", errors.len());
        let spread = (squares / errors.len() as f64).sqrt();
        assert!((0.5..2.0).contains(&spread), "errors are {spread} of what is reported");
    }

    #[test]
    fn streams_of_different_rates_are_compared() {
        let found = time_offset(&stream(5, 1, 30.0, 0.0, 10.0), &stream(5, 2, 100.0, 0.040, 10.0), 0.5).unwrap();
        assert!((found.offset_s - 0.040).abs() < 4e-3, "{found:?}");
    }

    #[test]
    fn unrelated_constant_and_short_signals_decide_nothing() {
        assert_eq!(time_offset(&stream(1, 1, 30.0, 0.0, 10.0), &stream(2, 2, 30.0, 0.0, 10.0), 0.5), None);
        let still = |rate: f64| {
            let mut signal = MotionSignal::default();
            (0..100).for_each(|i| signal.push_shift(i * 33_000_000, (i + 1) * 33_000_000, [rate, 0.0]));
            signal
        };
        assert_eq!(time_offset(&still(0.0), &still(0.0), 0.5), None);
        assert_eq!(time_offset(&still(3.0), &still(3.0), 0.5), None);
        assert_eq!(time_offset(&MotionSignal::default(), &still(1.0), 0.5), None);
    }

    #[test]
    fn extreme_stamps_do_not_panic() {
        let mut signal = MotionSignal::default();
        signal.push_shift(i64::MIN, i64::MAX, [1.0, 1.0]);
        signal.push_shift(i64::MIN, i64::MIN + 10, [1.0, 1.0]);
        signal.push_shift(0, 10, [f64::NAN, 1.0]);
        signal.push_shift(i64::MAX - 20, i64::MAX, [1.0, 1.0]);
        assert_eq!(time_offset(&signal, &signal, 0.5), None);
    }
}
