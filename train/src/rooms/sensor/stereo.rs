//! A pair of cameras side by side, in the manner of a RealSense D435 with its projector off: disparities come in steps and with
//! noise, so that errors grow with the square of the depth; nothing where nothing can be matched or one camera does not see.
//!
//! Sizes are of Intel's data sheet of the D400 series (baseline 50 mm, pictures 848 pixels wide, disparities in 1/32 pixel) and
//! of Grunnet-Jepsen, Sweetser, Woodfill 2018, "Best-Known-Methods for Tuning Intel RealSense D400 Depth Cameras", whose
//! deviation of depth is z^2 * 0.08 px / (focal * baseline).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::appearance::luma;
use super::super::lattice;
use super::{View, bell, chance};

/// Depth range, metres.
const RANGE_M: (f32, f32) = (0.3, 8.0);
/// From the left camera, whose picture this is, to the right one, metres.
const BASELINE_M: f32 = 0.05;
/// Width of the pictures that are matched; smaller ones are sent, and larger ones matched as they are.
const MATCHED_WIDTH: f32 = 848.0;
/// Step of a disparity, pixels of the pictures that are matched.
const STEP_PX: f32 = 1.0 / 32.0;
/// Deviation of a disparity, such pixels.
const NOISE_PX: f32 = 0.08;
/// Surfaces flatter to the ray than this cosine are squeezed too much to be matched.
const GRAZING: f32 = 0.1;
/// Contrast within the window from which all is matched, levels...
const MATCHED_CONTRAST: f32 = 6.0;
/// ...and the noise, in 0 to 1, below which nothing is matched where there is no contrast at all.
const UNMATCHED_NOISE: f32 = 0.85;
/// Half the window, columns and rows.
const WINDOW: (usize, usize) = (3, 1);
/// Size of the patches that are matched or not, columns or rows.
const PATCH_PX: f32 = 5.0;
/// Share of pixels without a reading for no reason.
const SPECKLE: f32 = 0.004;

pub(super) fn read(view: &View<'_>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let seen = view.rendering;
    let brightness: Vec<f32> = seen.color.iter().map(|rgb| luma(*rgb)).collect();
    let seed: u32 = rng.random();
    // focal length times baseline, in pixels of the matched pictures and of this one
    let matched = view.focal_px * (MATCHED_WIDTH / view.width as f32).max(1.0) * BASELINE_M;
    let shift = view.focal_px * BASELINE_M;
    let mut out = vec![0.0; seen.depth.len()];
    for (v, row) in out.chunks_mut(view.width).enumerate() {
        // the right camera sees column u - shift / z; what lies right of something it has seen already is hidden from it
        let mut reached = f32::INFINITY;
        for u in (0..row.len()).rev() {
            let i = v * view.width + u;
            let z = seen.depth[i];
            if z <= 0.0 {
                continue;
            }
            let column = u as f32 - shift / z;
            let hidden = column > reached || column < -0.5;
            reached = reached.min(column);
            if hidden || !(RANGE_M.0..=RANGE_M.1).contains(&z) || seen.facing[i] < GRAZING || chance(SPECKLE, rng) {
                continue;
            }
            let lacking = 1.0 - contrast(&brightness, view.width, u, v) / MATCHED_CONTRAST;
            let patch = || lattice::smooth(seed, [u as f32 / PATCH_PX, v as f32 / PATCH_PX, 0.0]);
            if lacking > 0.0 && patch() < UNMATCHED_NOISE * lacking {
                continue;
            }
            let disparity = matched / z + NOISE_PX * bell(rng);
            let steps = (disparity / STEP_PX).round();
            row[u] = if steps >= 1.0 { matched / (steps * STEP_PX) } else { 0.0 };
        }
    }
    out
}

/// Difference between the lightest and the darkest pixel of the window around (u, v).
fn contrast(brightness: &[f32], width: usize, u: usize, v: usize) -> f32 {
    let (left, right) = (u.saturating_sub(WINDOW.0), (u + WINDOW.0 + 1).min(width));
    let rows = brightness.chunks(width).skip(v.saturating_sub(WINDOW.1)).take(WINDOW.1 + 1 + v.min(WINDOW.1));
    let (low, high) = rows
        .flat_map(|row| &row[left..right])
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), b| (low.min(*b), high.max(*b)));
    high - low
}

#[cfg(test)]
mod tests {
    use super::super::Sensor::Stereo;
    use super::super::scenes::*;
    use super::*;

    /// Focal length times baseline of the matched pictures, pixel metres.
    const MATCHED: f64 = 88.0 * 848.0 / 160.0 * 0.05;

    #[test]
    fn noise_grows_with_the_square_of_the_depth() {
        for z in [1.0f64, 2.0, 4.0] {
            let (mean, spread, _) = statistics(&read_with(Stereo, &wall(z as f32)));
            // an even error within a step has a variance of 1/12 of its square
            let disparity = (0.08f64.powi(2) + (1.0 / 32.0f64).powi(2) / 12.0).sqrt();
            let expected = z * z / MATCHED * disparity;
            assert!((spread / expected - 1.0).abs() < 0.1, "{z} m: {spread}, not {expected}");
            // the inverse of a noisy disparity is a little too far
            assert!((mean - z).abs() < 0.2 * expected, "{z} m: {mean}");
        }
    }

    #[test]
    fn disparities_come_in_steps() {
        let depths = read_with(Stereo, &wall(3.0));
        let mut steps = std::collections::BTreeSet::new();
        for z in depths.iter().filter(|z| **z > 0.0) {
            let step = MATCHED / f64::from(*z) * 32.0;
            assert!((step - step.round()).abs() < 0.01, "{step}");
            steps.insert(step.round() as i64);
        }
        assert!((10..25).contains(&steps.len()), "{steps:?}");
    }

    #[test]
    fn what_has_no_pattern_is_not_matched() {
        let holes = |contrast: f32| {
            let seen = rendering(|u, v| (2.0, (120.0 + contrast * lattice::at(8, [u as i32, v as i32, 0])) as u8));
            statistics(&read_with(Stereo, &seen)).2
        };
        let (none, little, much) = (holes(0.0), holes(5.0), holes(12.0));
        assert!(none > 0.9 && (0.03..0.6).contains(&little) && much < 0.04, "{none} {little} {much}");
    }

    #[test]
    fn what_the_right_camera_does_not_see_has_no_depth() {
        let holes = |depths: &[f32], u: usize| depths.chunks(WIDTH as usize).filter(|row| row[u] == 0.0).count();
        let (near, far, edge) = (0.5, 4.0, (WIDTH / 2) as usize);
        let width = FOCAL_PX as f32 * BASELINE_M * (1.0 / near - 1.0 / far);
        let depths = read_with(Stereo, &step(far, near));
        let wholly = (0..edge).rev().take_while(|u| holes(&depths, *u) == HEIGHT as usize).count();
        assert!((wholly as f32 - (width - 1.0)).abs() <= 1.0, "{wholly} columns, not {width}");
        let depths = read_with(Stereo, &step(near, far));
        let beside = FOCAL_PX as f32 * BASELINE_M / near;
        assert!((edge..WIDTH as usize).all(|u| holes(&depths, u) < 12));
        // beyond the right camera's picture
        let outside = (0..edge).take_while(|u| holes(&depths, *u) == HEIGHT as usize).count();
        assert!((outside as f32 - beside).abs() <= 1.0, "{outside} columns, not {beside}");
    }
}
