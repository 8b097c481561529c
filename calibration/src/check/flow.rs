//! Two pictures of a moving camera in, by how many pixels the later one is shifted out.
//!
//! Each picture is reduced to the sums of its edges along columns and rows; a shift of the picture shifts these profiles
//! (image registration by projections; Alliney and Morandi 1986). That is cheap, and works on colour and on depth alike.

use super::peak::{largest, vertex};
use super::raster::Raster;

/// Steps of log depth are cut here, so that one outline does not outweigh all others: about 20%.
const LOG_DEPTH_CUT: f32 = 0.2;
/// Shifts up to this share of a side are tried: a turn of 60 degrees a second at 30 Hz moves a 640 pixel picture by 18.
const MAX_SHIFT_SHARE: usize = 8;
/// Profiles that agree less than this are of different things.
const MIN_AGREEMENT: f64 = 0.6;

/// Sums of a picture's edges along its columns and rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiles {
    columns: Vec<f64>,
    rows: Vec<f64>,
}

impl Profiles {
    /// Of a gray picture.
    pub fn of_gray(gray: &Raster<'_, u8>) -> Self {
        Self::of(gray, |a, b| (f32::from(a) - f32::from(b)).abs())
    }

    /// Of a depth image in metres; 0 and NaN are no readings and make no edges.
    pub fn of_depth(depth_m: &Raster<'_, f32>) -> Self {
        Self::of(depth_m, |a, b| if a > 0.0 && b > 0.0 { (a / b).ln().abs().min(LOG_DEPTH_CUT) } else { 0.0 })
    }

    fn of<T: Copy>(picture: &Raster<'_, T>, step: impl Fn(T, T) -> f32) -> Self {
        let mut columns = vec![0.0; picture.width()];
        let mut rows = vec![0.0; picture.height()];
        for (v, [above, row, below]) in picture.row_triples() {
            for u in 1..picture.width().saturating_sub(1) {
                columns[u] += f64::from(step(row[u + 1], row[u - 1]));
                rows[v] += f64::from(step(below[u], above[u]));
            }
        }
        Self { columns, rows }
    }

    /// How far `later` is shifted right and down, pixels; `None` when the two do not resemble one another, or are plain.
    pub fn shift_to(&self, later: &Self) -> Option<[f64; 2]> {
        Some([shift(&self.columns, &later.columns)?, shift(&self.rows, &later.rows)?])
    }
}

fn shift(a: &[f64], b: &[f64]) -> Option<f64> {
    let most = a.len() / MAX_SHIFT_SHARE;
    if a.len() != b.len() || most < 2 {
        return None;
    }
    let agreements: Vec<f64> = (0..=2 * most)
        .map(|i| match i.checked_sub(most) {
            Some(right) => correlation(&a[..a.len() - right], &b[right..]),
            None => correlation(&a[most - i..], &b[..b.len() - (most - i)]),
        })
        .collect();
    let best = largest(&agreements)?;
    if agreements[best] < MIN_AGREEMENT || best == 0 || best == 2 * most {
        return None;
    }
    let at = |i: usize| [i as f64, agreements[i]];
    Some(vertex(at(best - 1), at(best), at(best + 1)) - most as f64)
}

/// Pearson's correlation; NaN for constant input.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let [mut ab, mut aa, mut bb] = [0.0; 3];
    for (x, y) in a.iter().zip(b).map(|(x, y)| (x - mean_a, y - mean_b)) {
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Smooth blobs at places that no shift repeats.
    fn picture(dx: f64, dy: f64) -> Vec<f64> {
        let blobs = [(30.0, 20.0, 5.0), (70.0, 60.0, 8.0), (110.0, 35.0, 6.0), (95.0, 85.0, 4.0), (50.0, 90.0, 7.0)];
        (0..160 * 120)
            .map(|at| {
                let (u, v) = (f64::from(at % 160) - dx, f64::from(at / 160) - dy);
                blobs.iter().map(|(x, y, r)| (-((u - x).powi(2) + (v - y).powi(2)) / (2.0 * r * r)).exp()).sum()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn a_shift_is_found_to_a_tenth_of_a_pixel(dx in -9.0..9.0f64, dy in -9.0..9.0f64) {
            let gray = |p: Vec<f64>| p.into_iter().map(|x| (40.0 + 180.0 * x.min(1.0)) as u8).collect::<Vec<u8>>();
            let depth = |p: Vec<f64>| p.into_iter().map(|x| (3.0 - 1.5 * x) as f32).collect::<Vec<f32>>();
            let (a, b) = (gray(picture(0.0, 0.0)), gray(picture(dx, dy)));
            let of = |d: &[u8]| Profiles::of_gray(&Raster::new(160, 120, d).unwrap());
            let [x, y] = of(&a).shift_to(&of(&b)).unwrap();
            prop_assert!((x - dx).abs() < 0.1 && (y - dy).abs() < 0.1, "gray {x} {y}");
            let (a, b) = (depth(picture(0.0, 0.0)), depth(picture(dx, dy)));
            let of = |d: &[f32]| Profiles::of_depth(&Raster::new(160, 120, d).unwrap());
            let [x, y] = of(&a).shift_to(&of(&b)).unwrap();
            prop_assert!((x - dx).abs() < 0.1 && (y - dy).abs() < 0.1, "depth {x} {y}");
        }
    }

    #[test]
    fn plain_and_tiny_pictures_have_no_shift() {
        let of = |w, h, d: &[u8]| Profiles::of_gray(&Raster::new(w, h, d).unwrap());
        let plain = of(160, 120, &[7; 160 * 120]);
        assert_eq!(plain.shift_to(&plain), None);
        let tiny = of(1, 1, &[7]);
        assert_eq!(tiny.shift_to(&tiny), None);
        assert_eq!(plain.shift_to(&tiny), None);
    }
}
