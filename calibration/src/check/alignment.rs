//! Depth edges and colour contrast of many frames in, by how many pixels the two pictures are out of line out.

use super::edges::{Contrast, DepthEdge};
use super::peak::{largest, median, vertex};
use super::verdict::{Finding, Verdict, by_limits};

/// Shifts of up to this many pixels to each side are tried.
pub const SHIFT_PX: usize = 12;
/// Shifts along one axis.
const SIDE: usize = 2 * SHIFT_PX + 1;
/// Below this many edges nothing is said.
const MIN_EDGES: f64 = 2_000.0;
/// Contrast at depth edges must be this many standard deviations above a picture's mean at the best shift.
const MIN_SCORE: f64 = 0.25;
/// And this much above the middle of all shifts.
const MIN_RISE: f64 = 0.2;
/// Pixels of misalignment that are fine: edges are half a pixel wide on either side, and lenses are calibrated to as much.
const OK_PX: f64 = 1.5;
/// Beyond this, outlines carry the background's colour.
const WARN_PX: f64 = 4.0;

/// Sums over frames of the colour contrast under the depth edges, for every shift and each quarter of the picture.
#[derive(Debug, Clone)]
pub struct ShiftScores {
    /// Sum and number per quarter (left above, right above, left below, right below) and shift.
    quarters: [Vec<[f64; 2]>; 4],
}

/// Where depth edges fit colour edges best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShiftPeak {
    /// Colour lies this far right of (x) and below (y) depth, pixels.
    pub shift_px: [f64; 2],
    /// Mean contrast under the edges at no shift, in standard deviations of a picture's contrast.
    pub score_at_zero: f64,
    /// The same at the best shift.
    pub score: f64,
    /// The best shift is at the border of what was tried.
    pub at_border: bool,
}

impl ShiftPeak {
    /// Length of the shift, pixels.
    pub fn length_px(&self) -> f64 {
        self.shift_px[0].hypot(self.shift_px[1])
    }
}

/// The result over the whole picture and its quarters; `None` where there are too few edges or no clear best shift.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Over the whole picture.
    pub whole: Option<ShiftPeak>,
    /// Left above, right above, left below, right below.
    pub quarters: [Option<ShiftPeak>; 4],
}

impl Default for ShiftScores {
    fn default() -> Self {
        Self { quarters: std::array::from_fn(|_| vec![[0.0; 2]; SIDE * SIDE]) }
    }
}

impl ShiftScores {
    /// Adds one frame: depth edges in pixels of the colour picture, and the colour picture's contrast.
    pub fn add(&mut self, edges: &[DepthEdge], contrast: &Contrast) {
        let (middle_u, middle_v) = (contrast.width() as f32 / 2.0, contrast.height() as f32 / 2.0);
        for edge in edges {
            let quarter = usize::from(edge.u >= middle_u) + 2 * usize::from(edge.v >= middle_v);
            for (at, sum) in self.quarters[quarter].iter_mut().enumerate() {
                let [dx, dy] = shift_of(at).map(|d| d as f32);
                if let Some(value) = contrast.at(edge.u + dx, edge.v + dy) {
                    sum[0] += f64::from(value);
                    sum[1] += 1.0;
                }
            }
        }
    }

    /// Best shifts. `pixel` is the size of the given pixels in those of the stream, above 1 when the pictures were reduced.
    pub fn estimate(&self, pixel: f64) -> Alignment {
        let mut whole = vec![[0.0; 2]; SIDE * SIDE];
        for quarter in &self.quarters {
            whole.iter_mut().zip(quarter).for_each(|(a, b)| *a = [a[0] + b[0], a[1] + b[1]]);
        }
        Alignment {
            whole: peak(&whole, pixel),
            quarters: std::array::from_fn(|quarter| peak(&self.quarters[quarter], pixel)),
        }
    }
}

/// x and y of the shift with number `at`.
fn shift_of(at: usize) -> [f64; 2] {
    [(at % SIDE) as f64 - SHIFT_PX as f64, (at / SIDE) as f64 - SHIFT_PX as f64]
}

fn peak(sums: &[[f64; 2]], pixel: f64) -> Option<ShiftPeak> {
    let scores: Vec<f64> = sums.iter().map(|[sum, n]| sum / n).collect();
    let best = largest(&scores)?;
    let score = scores[best];
    if sums[best][1] < MIN_EDGES || score < MIN_SCORE || score - median(&mut scores.clone()) < MIN_RISE {
        return None;
    }
    let (column, row) = (best % SIDE, best / SIDE);
    let along = |place: usize, stride: usize| {
        let point = |d: f64, at: usize| [d, scores[at]];
        match place {
            0 => 0.0,
            p if p + 1 == SIDE => 0.0,
            _ => vertex(point(-1.0, best - stride), point(0.0, best), point(1.0, best + stride)),
        }
    };
    let [dx, dy] = shift_of(best);
    Some(ShiftPeak {
        shift_px: [pixel * (dx + along(column, 1)), pixel * (dy + along(row, SIDE))],
        score_at_zero: scores[SIDE * SIDE / 2],
        score,
        at_border: [column, row].into_iter().any(|p| p == 0 || p + 1 == SIDE),
    })
}

impl Alignment {
    /// By how much the picture's quarters move away from its middle (positive) or towards it, pixels: a wrong focal length.
    pub fn expansion_px(&self) -> Option<f64> {
        let [Some(a), Some(b), Some(c), Some(d)] = self.quarters else { return None };
        let x = b.shift_px[0] + d.shift_px[0] - a.shift_px[0] - c.shift_px[0];
        let y = c.shift_px[1] + d.shift_px[1] - a.shift_px[1] - b.shift_px[1];
        Some((x + y) / 8.0)
    }

    /// The verdict: the largest shift of the whole picture or of a quarter.
    pub fn judge(&self) -> Finding {
        const NAME: &str = "depth_to_color";
        let Some(whole) = self.whole else {
            let message =
                "too few edges that depth and color share; record a scene with objects in front of a background";
            return Finding::new(NAME, Verdict::Undecided, message);
        };
        let quarters = self.quarters.iter().flatten().map(ShiftPeak::length_px);
        let worst = quarters.fold(whole.length_px(), f64::max);
        let verdict = if whole.at_border { Verdict::Fail } else { by_limits(worst, OK_PX, WARN_PX) };
        let [dx, dy] = whole.shift_px;
        let at_least = if whole.at_border { "at least " } else { "" };
        let mut message = format!(
            "color lies {at_least}({dx:+.2}, {dy:+.2}) px (right, down) of depth, contrast under depth edges {:.2} there and {:.2} unshifted",
            whole.score, whole.score_at_zero
        );
        let expansion = self.expansion_px().filter(|e| e.abs() > OK_PX / 2.0);
        match (verdict, expansion) {
            (Verdict::Ok, _) => {}
            (_, Some(e)) => {
                message += &format!(
                    "; the quarters move {:.1} px {} the middle: check the focal lengths in camera_info",
                    e.abs(),
                    if e > 0.0 { "away from" } else { "towards" }
                );
            }
            (_, None) => {
                message += "; check the transform between the optical frames, the principal points, and the driver's depth alignment"
            }
        }
        Finding::new(NAME, verdict, message).measured(worst, OK_PX, "px")
    }
}

#[cfg(test)]
mod tests {
    use super::super::edges::depth_edges;
    use super::super::raster::Raster;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const SIZE: (u32, u32) = (160, 120);

    /// Boxes at sub-pixel places, drawn with coverage, before a wall; `zoom` scales the colour picture about its middle.
    fn scores(shift: [f64; 2], zoom: f64, related: bool) -> Alignment {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut scores = ShiftScores::default();
        for _ in 0..30 {
            let boxes = |rng: &mut ChaCha8Rng| -> Vec<[f64; 4]> {
                (0..8)
                    .map(|_| {
                        let (u, v) = (rng.random_range(5.0..130.0), rng.random_range(5.0..95.0));
                        [u, v, u + rng.random_range(8.0..25.0), v + rng.random_range(8.0..25.0)]
                    })
                    .collect()
            };
            let shapes = boxes(&mut rng);
            let seen = if related { shapes.clone() } else { boxes(&mut rng) };
            let mut depth = vec![3.0f32; 160 * 120];
            let mut gray = vec![60.0f64; 160 * 120];
            for v in 0..120 {
                for u in 0..160 {
                    let at = v * 160 + u;
                    let inside = |b: &[f64; 4]| {
                        let cover =
                            |low: f64, high: f64, x: f64| (high.min(x + 0.5) - low.max(x - 0.5)).clamp(0.0, 1.0);
                        cover(b[0], b[2], u as f64) * cover(b[1], b[3], v as f64)
                    };
                    for (i, b) in shapes.iter().enumerate() {
                        if inside(b) > 0.5 {
                            depth[at] = 1.0 + 0.1 * i as f32;
                        }
                    }
                    for (i, b) in seen.iter().enumerate() {
                        let move_u = |x: f64| (x - 79.5) * zoom + 79.5 + shift[0];
                        let move_v = |y: f64| (y - 59.5) * zoom + 59.5 + shift[1];
                        let share = inside(&[move_u(b[0]), move_v(b[1]), move_u(b[2]), move_v(b[3])]);
                        gray[at] += share * (120.0 + 10.0 * i as f64 - gray[at]);
                    }
                }
            }
            let gray: Vec<u8> = gray.iter().map(|x| (x + rng.random_range(-4.0..4.0)) as u8).collect();
            let mut edges = Vec::new();
            depth_edges(&Raster::new(SIZE.0, SIZE.1, &depth).unwrap(), 2000, &mut edges);
            scores.add(&edges, &Contrast::of(&Raster::new(SIZE.0, SIZE.1, &gray).unwrap()).unwrap());
        }
        scores.estimate(1.0)
    }

    #[test]
    fn a_shift_is_found_to_a_third_of_a_pixel() {
        for truth in [[0.0, 0.0], [3.3, -1.6], [-6.5, 0.4], [9.0, 8.2]] {
            let found = scores(truth, 1.0, true);
            let [x, y] = found.whole.unwrap().shift_px;
            assert!((x - truth[0]).abs() < 0.3 && (y - truth[1]).abs() < 0.3, "{truth:?}: {x} {y}");
            let expected = match truth[0].hypot(truth[1]) {
                0.0 => Verdict::Ok,
                x if x < 4.0 => Verdict::Warn,
                _ => Verdict::Fail,
            };
            assert_eq!(found.judge().verdict, expected);
        }
    }

    #[test]
    fn a_wrong_focal_length_moves_the_quarters_apart() {
        let found = scores([0.0, 0.0], 1.08, true);
        assert!(found.expansion_px().unwrap() > 1.5, "{found:?}");
        assert!(found.judge().message.contains("focal"), "{}", found.judge().message);
    }

    #[test]
    fn pictures_that_share_nothing_decide_nothing() {
        assert_eq!(scores([0.0, 0.0], 1.0, false).judge().verdict, Verdict::Undecided);
        assert_eq!(ShiftScores::default().estimate(1.0).judge().verdict, Verdict::Undecided);
    }

    #[test]
    fn a_shift_beyond_the_window_fails() {
        let found = scores([16.0, 0.0], 1.0, true);
        assert!(matches!(found.judge().verdict, Verdict::Fail | Verdict::Undecided), "{found:?}");
    }
}
