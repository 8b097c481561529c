//! Depth edges paired with colour contrast of other moments in, the difference of stamps at which the two belong together out.
//!
//! While the camera moves, outlines fit only the colour image of the same moment, whatever the motion is. So this needs no
//! model of the motion, and sees a constant shift between the pictures apart from one in time.

use super::edges::{Contrast, DepthEdge};
use super::offset::TimeOffset;
use super::peak::{jackknife_error, largest, median, vertex};

/// Every this many pixels a shift is tried, so that misaligned pictures are recognised too.
const SHIFT_STEP_PX: f32 = 3.0;
/// Shifts along one axis: from -6 to 6 px.
const SIDE: usize = 5;
const SHIFTS: usize = SIDE * SIDE;
/// Groups of frames, each left out once for the standard error.
const GROUPS: usize = 8;
/// As in the alignment: contrast under the edges in standard deviations.
const MIN_SCORE: f64 = 0.25;
/// A lag is clear when lags away from it score less than this share of its own score.
const MAX_RIVAL: f64 = 0.85;

/// Sums of the colour contrast under depth edges by difference of stamps, shift and group.
#[derive(Debug, Clone)]
pub struct LagScores {
    bin_s: f64,
    bins: Vec<Bin>,
}

#[derive(Debug, Clone)]
struct Bin {
    /// Sum of differences, and number of pairs, of each group.
    lags: [[f64; 2]; GROUPS],
    /// Sum of contrast, and number of edges.
    scores: Box<[[[f64; 2]; SHIFTS]; GROUPS]>,
}

impl LagScores {
    /// For differences up to `limit_s`, told apart by half of `period_s`, the period of the slower stream.
    pub fn new(period_s: f64, limit_s: f64) -> Self {
        let bin_s = (period_s / 2.0).clamp(1.0e-3, 1.0);
        let half = (limit_s / bin_s).ceil().clamp(2.0, 500.0) as usize;
        let bin = Bin { lags: [[0.0; 2]; GROUPS], scores: Box::new([[[0.0; 2]; SHIFTS]; GROUPS]) };
        Self { bin_s, bins: vec![bin; 2 * half + 1] }
    }

    /// Adds a pair of pictures: edges in pixels of the colour picture, stamped `lag_s` before it. `frame` is the number of the
    /// depth image.
    pub fn add(&mut self, lag_s: f64, frame: usize, edges: &[DepthEdge], contrast: &Contrast) {
        let half = (self.bins.len() / 2) as f64;
        let at = (lag_s / self.bin_s).round() + half;
        if !(0.0..self.bins.len() as f64).contains(&at) {
            return;
        }
        let bin = &mut self.bins[at as usize];
        let group = frame % GROUPS;
        bin.lags[group][0] += lag_s;
        bin.lags[group][1] += 1.0;
        for edge in edges {
            for (at, sum) in bin.scores[group].iter_mut().enumerate() {
                let shift = |i: usize| SHIFT_STEP_PX * (i as f32 - (SIDE / 2) as f32);
                if let Some(value) = contrast.at(edge.u + shift(at % SIDE), edge.v + shift(at / SIDE)) {
                    sum[0] += f64::from(value);
                    sum[1] += 1.0;
                }
            }
        }
    }

    /// How much later than depth the colour of the same moment is stamped; `None` when no lag stands out, as when the
    /// camera stands still.
    pub fn estimate(&self) -> Option<TimeOffset> {
        let (offset_s, score, rival) = self.best(None)?;
        if score < MIN_SCORE || rival > MAX_RIVAL * score {
            return None;
        }
        let in_group = |group: usize| self.bins.iter().map(|bin| bin.lags[group][1]).sum::<f64>();
        if (0..GROUPS).any(|group| in_group(group) == 0.0) {
            // too few images to say how sure it is
            return None;
        }
        let left_out: Vec<f64> = (0..GROUPS).filter_map(|group| Some(self.best(Some(group))?.0)).collect();
        Some(TimeOffset { offset_s, error_s: jackknife_error(&left_out), score, rival })
    }

    /// Lag, its score and the best score away from it, one group left out.
    fn best(&self, left_out: Option<usize>) -> Option<(f64, f64, f64)> {
        let groups: Vec<usize> = (0..GROUPS).filter(|g| Some(*g) != left_out).collect();
        let sum = |of: &dyn Fn(usize) -> [f64; 2]| {
            let both = groups.iter().map(|g| of(*g)).fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
            both[0] / both[1]
        };
        // lag and scores of every bin that holds a pair
        let curves: Vec<(f64, Vec<f64>)> = self
            .bins
            .iter()
            .map(|bin| (sum(&|g| bin.lags[g]), (0..SHIFTS).map(|s| sum(&|g| bin.scores[g][s])).collect()))
            .filter(|(lag, scores): &(f64, Vec<f64>)| lag.is_finite() && scores.iter().all(|s| s.is_finite()))
            .collect();
        let flat: Vec<f64> = curves.iter().flat_map(|(_, scores)| scores.iter().copied()).collect();
        let best = largest(&flat)?;
        let (at, shift) = (best / SHIFTS, best % SHIFTS);
        let point = |i: usize| curves.get(i).map(|(lag, scores)| [*lag, scores[shift]]);
        let (before, peak, after) = (point(at.checked_sub(1)?)?, point(at)?, point(at + 1)?);
        let mut spacing: Vec<f64> = curves.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let near = 2.2 * median(&mut spacing);
        let others = curves.iter().filter(|(lag, _)| (lag - peak[0]).abs() > near).map(|(_, scores)| scores[shift]);
        // without lags away from the peak there is nothing to tell it by
        let rival = others.fold(f64::NEG_INFINITY, f64::max);
        rival.is_finite().then(|| (vertex(before, peak, after), peak[1], rival))
    }
}

#[cfg(test)]
mod tests {
    use super::super::edges::depth_edges;
    use super::super::raster::Raster;
    use super::*;

    /// A box that moves by `speed` px a frame; colour is stamped `late` frames late. Frames come every 40 ms.
    fn scores(speed: f64, late: f64) -> LagScores {
        let place = |t: f64| 60.0 + 40.0 * (t * speed / 40.0).sin();
        let mut scores = LagScores::new(0.04, 0.25);
        for i in 0..60 {
            let t = f64::from(i);
            let depth: Vec<f32> = (0..160 * 90)
                .map(|at| {
                    let (u, v) = (f64::from(at % 160), at / 160);
                    if (u - place(t)).abs() < 20.0 && (20..60).contains(&v) { 1.0 } else { 3.0 }
                })
                .collect();
            let mut edges = Vec::new();
            depth_edges(&Raster::new(160, 90, &depth).unwrap(), 1000, &mut edges);
            for k in -6..=6 {
                // the picture stamped k frames after the depth image shows the scene `late` frames before its stamp
                let seen = t + f64::from(k) - late;
                let gray: Vec<u8> = (0..160 * 90)
                    .map(|at| {
                        let (u, v) = (f64::from(at % 160), at / 160);
                        let cover = (20.5 - (u - place(seen)).abs()).clamp(0.0, 1.0);
                        if (20..60).contains(&v) { (50.0 + 100.0 * cover) as u8 } else { 50 }
                    })
                    .collect();
                let contrast = Contrast::of(&Raster::new(160, 90, &gray).unwrap()).unwrap();
                scores.add(0.04 * f64::from(k), i as usize, &edges, &contrast);
            }
        }
        scores
    }

    #[test]
    fn a_late_stream_is_found() {
        for late in [0.0, 2.0, -1.0] {
            let found = scores(6.0, late).estimate().unwrap();
            assert!((found.offset_s - 0.04 * late).abs() < 0.004, "{late}: {found:?}");
            assert!(found.error_s < 0.005, "{found:?}");
        }
        let between = scores(3.0, 0.5).estimate().unwrap();
        assert!((between.offset_s - 0.02).abs() < 0.008, "{between:?}");
    }

    #[test]
    fn without_motion_nothing_is_said() {
        assert_eq!(scores(0.0, 2.0).estimate(), None);
        assert_eq!(LagScores::new(0.03, 0.3).estimate(), None);
        assert_eq!(LagScores::new(f64::NAN, f64::NAN).estimate(), None);
    }
}
