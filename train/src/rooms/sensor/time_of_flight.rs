//! A camera that times its own light, in the manner of an Azure Kinect: noise is inverse to the light that comes back, edges mix
//! the depths of their two sides, and light that took a longer way makes everything seem a little further.
//!
//! Noise inverse to the amplitude: Lange and Seitz 2001, "Solid-State Time-of-Flight Range Camera". Its size, about 1 mm at 1 m
//! and 4 mm at 3 m on a bright wall: Tölgyessy et al. 2021, "Evaluation of the Azure Kinect and Its Comparison to Kinect V1 and
//! Kinect V2". Multipath: Fuchs 2010, "Multipath Interference Compensation in Time-of-Flight Camera Images".

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{View, bell, chance, whole_millimetres};

/// Depth range, metres.
const RANGE_M: (f32, f32) = (0.3, 5.46);
/// Deviation: BASE + GROWTH z^2 / (reflectivity * facing), metres.
const NOISE_BASE_M: f32 = 0.0007;
const NOISE_GROWTH_PER_M: f32 = 0.0003;
/// What is darker in colour still throws back this share of the infrared light.
const LEAST_REFLECTIVITY: f32 = 0.05;
/// Less returning light than this, reflectivity * facing / z^2, is no reading, 1/m^2.
const LEAST_AMPLITUDE: f32 = 0.0045;
/// Neighbours further apart than this share of the depth are two sides of an edge.
const EDGE_SHARE: f32 = 0.05;
/// Share of the pixels beside an edge through which it runs.
const FLYING: f32 = 0.4;
/// Light by a longer way as a share of a mean pixel's direct light, how much longer, metres, and the most of a pixel's own.
const INDIRECT_SHARE: f32 = 0.01;
const DETOUR_M: f32 = 0.5;
const MOST_INDIRECT: f32 = 0.04;

/// Light that comes back, 1/m^2.
fn amplitude(z: f32, reflectivity: f32, facing: f32) -> f32 {
    reflectivity.max(LEAST_REFLECTIVITY) * facing / (z * z)
}

pub(super) fn read(view: &View<'_>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let seen = view.rendering;
    let lights: Vec<f32> = (seen.depth.iter().zip(&seen.reflectivity).zip(&seen.facing))
        .map(|((z, reflectivity), facing)| if *z > 0.0 { amplitude(*z, *reflectivity, *facing) } else { 0.0 })
        .collect();
    let mean_light = lights.iter().sum::<f32>() / lights.len().max(1) as f32;
    let height = seen.depth.len() / view.width;
    let mut out = Vec::with_capacity(seen.depth.len());
    for v in 0..height {
        for u in 0..view.width {
            let i = v * view.width + u;
            let (mut z, mut light) = (seen.depth[i], lights[i]);
            if let Some(other) = across_edge(&seen.depth, view.width, height, u, v).filter(|_| chance(FLYING, rng)) {
                // the phases of both sides add up, each by its light
                let share = rng.random::<f32>();
                let (own, far) = (share * light, (1.0 - share) * lights[other]);
                z = (own * z + far * seen.depth[other]) / (own + far);
                light = own + far;
            }
            if !(RANGE_M.0..=RANGE_M.1).contains(&z) || light < LEAST_AMPLITUDE {
                out.push(0.0);
                continue;
            }
            let detour = DETOUR_M * (INDIRECT_SHARE * mean_light / light).min(MOST_INDIRECT);
            let deviation = NOISE_BASE_M + NOISE_GROWTH_PER_M / light;
            out.push(whole_millimetres(z + detour + deviation * bell(rng)));
        }
    }
    out
}

/// The neighbour of (u, v) at the other side of a depth edge: the one that differs most.
fn across_edge(depth: &[f32], width: usize, height: usize, u: usize, v: usize) -> Option<usize> {
    let i = v * width + u;
    let neighbours = [
        (u > 0, i.wrapping_sub(1)),
        (u + 1 < width, i + 1),
        (v > 0, i.wrapping_sub(width)),
        (v + 1 < height, i + width),
    ];
    let mut most = EDGE_SHARE * depth[i];
    let mut other = None;
    for (_, n) in neighbours.into_iter().filter(|(inside, n)| *inside && depth[*n] > 0.0) {
        let difference = (depth[n] - depth[i]).abs();
        if difference > most {
            (most, other) = (difference, Some(n));
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::super::Sensor::TimeOfFlight;
    use super::super::scenes::*;
    use super::*;

    #[test]
    fn noise_grows_with_the_square_of_the_depth_over_the_reflectivity() {
        for (z, reflectivity) in [(1.0f32, 0.5f32), (2.0, 0.5), (4.0, 0.5), (2.0, 0.1), (1.0, 0.9)] {
            let mut seen = wall(z);
            seen.reflectivity.fill(reflectivity);
            let (mean, spread, holes) = statistics(&read_with(TimeOfFlight, &seen));
            let expected = 0.0007 + 0.0003 * f64::from(z * z / reflectivity);
            // readings are whole millimetres
            let expected = (expected * expected + 1e-6 / 12.0).sqrt();
            assert!((spread / expected - 1.0).abs() < 0.1, "{z} m, {reflectivity}: {spread}, not {expected}");
            let bias = mean - f64::from(z);
            assert!((bias - 0.005).abs() < 0.05 * expected + 0.0002, "{z} m, {reflectivity}: bias {bias}");
            assert_eq!(holes, 0.0);
        }
    }

    #[test]
    fn dark_things_far_away_give_no_reading_and_dark_ones_seem_further() {
        let mut seen = rendering(|u, _| (if u < WIDTH / 2 { 2.0 } else { 3.5 }, 20));
        seen.reflectivity.fill(0.01);
        let depths = read_with(TimeOfFlight, &seen);
        let row = &depths[..WIDTH as usize];
        assert!(row[..70].iter().all(|z| *z > 0.0) && row[90..].iter().all(|z| *z == 0.0));
        // half the picture is bright and lights the other
        let mut seen = wall(2.0);
        seen.reflectivity.iter_mut().skip(1).step_by(2).for_each(|r| *r = 0.1);
        let depths = read_with(TimeOfFlight, &seen);
        let bias = |first: usize| {
            let part: Vec<f32> = depths.iter().skip(first).step_by(2).copied().collect();
            statistics(&part).0 - 2.0
        };
        // shares of the mean light 0.3 over 0.5 and over 0.1
        assert!((bias(0) - 0.003).abs() < 0.0005 && (bias(1) - 0.015).abs() < 0.001, "{} {}", bias(0), bias(1));
    }

    #[test]
    fn pixels_fly_at_edges_only() {
        let (near, far) = (1.0, 3.0);
        let depths = read_with(TimeOfFlight, &step(near, far));
        let edge = (WIDTH / 2) as usize;
        let flying = |u: usize| {
            let between = |row: &&[f32]| row[u] > near + 0.1 && row[u] < far - 0.1;
            depths.chunks(WIDTH as usize).filter(between).count() as f32 / HEIGHT as f32
        };
        for u in 0..WIDTH as usize {
            if u == edge || u + 1 == edge {
                assert!(flying(u) > 0.15 && flying(u) < FLYING + 0.1, "column {u}: {}", flying(u));
            } else {
                assert_eq!(flying(u), 0.0, "column {u}");
            }
        }
    }
}
