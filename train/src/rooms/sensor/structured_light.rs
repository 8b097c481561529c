//! The first Kinect: noise as measured by Nguyen, Izadi, Lovell 2012, "Modeling Kinect Sensor Noise for Improved 3D
//! Reconstruction and Tracking"; nothing in the projector's shadow and on grazing surfaces.

use std::f32::consts::FRAC_PI_2;

use rand_chacha::ChaCha8Rng;
use vantage_calibration::DepthNoise;

use super::{View, bell, chance, whole_millimetres};

/// Depth range, metres.
const RANGE_M: (f32, f32) = (0.3, 5.5);
/// Surfaces flatter to the ray than this cosine give no reading.
const GRAZING: f32 = 0.12;
/// Share of pixels without a reading for no reason.
const SPECKLE: f32 = 0.012;
/// From the camera to the projector on its left, metres (Khoshelham and Elberink 2012: 7.5 cm).
const BASELINE_M: f32 = 0.075;
/// Cosine of 60 degrees: surfaces flatter than this have the second term of Nguyen's equation 3, of this factor.
const OBLIQUE: f32 = 0.5;
const OBLIQUE_NOISE: f32 = 0.0001;

/// Deviation of a reading, metres (Nguyen et al., equation 3), at depth `z` of a surface with this cosine to the ray.
fn deviation(z: f32, facing: f32) -> f32 {
    let noise = DepthNoise::STRUCTURED_LIGHT;
    let axial = noise.base_m as f32 + (noise.linear as f32 + noise.quadratic_per_m as f32 * z) * z;
    if facing >= OBLIQUE {
        return axial;
    }
    let angle = facing.acos();
    axial + OBLIQUE_NOISE / z.sqrt() * (angle / (FRAC_PI_2 - angle)).powi(2)
}

pub(super) fn read(view: &View<'_>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let seen = view.rendering;
    let shift = view.focal_px * BASELINE_M;
    let mut out = Vec::with_capacity(seen.depth.len());
    for (row, facing) in seen.depth.chunks(view.width).zip(seen.facing.chunks(view.width)) {
        // the projector sees column u + shift / z; what lies left of something it has seen already is in its shadow
        let mut reached = f32::NEG_INFINITY;
        for (u, (&z, &facing)) in row.iter().zip(facing).enumerate() {
            let in_range = (RANGE_M.0..=RANGE_M.1).contains(&z);
            let mut lit = true;
            if z > 0.0 {
                let column = u as f32 + shift / z;
                lit = column >= reached;
                reached = reached.max(column);
            }
            out.push(if in_range && lit && facing >= GRAZING && !chance(SPECKLE, rng) {
                whole_millimetres(z + bell(rng) * deviation(z, facing))
            } else {
                0.0
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Sensor::StructuredLight;
    use super::super::scenes::*;
    use super::*;

    #[test]
    fn noise_is_that_of_the_formula() {
        for z in [1.0f32, 2.0, 4.0] {
            let (mean, spread, holes) = statistics(&read_with(StructuredLight, &wall(z)));
            let expected = 0.0012 + 0.0019 * (f64::from(z) - 0.4).powi(2);
            assert!((spread / expected - 1.0).abs() < 0.1, "{z} m: {spread}, not {expected}");
            assert!((mean - f64::from(z)).abs() < 0.1 * expected);
            assert!((holes - f64::from(SPECKLE)).abs() < 0.005, "{holes}");
        }
        let mut tilted = wall(2.0);
        tilted.facing.fill(0.2);
        let angle = 0.2f64.acos();
        let expected = 0.0012
            + 0.0019 * 1.6f64.powi(2)
            + 0.0001 / 2.0f64.sqrt() * (angle / (std::f64::consts::FRAC_PI_2 - angle)).powi(2);
        let (_, spread, _) = statistics(&read_with(StructuredLight, &tilted));
        assert!((spread / expected - 1.0).abs() < 0.1, "{spread}, not {expected}");
    }

    #[test]
    fn there_is_nothing_on_grazing_surfaces_nor_out_of_range() {
        let mut grazing = wall(2.0);
        grazing.facing.fill(0.11);
        for seen in [grazing, wall(0.2), wall(5.6)] {
            assert!(read_with(StructuredLight, &seen).iter().all(|z| *z == 0.0));
        }
    }

    #[test]
    fn the_shadow_lies_right_of_what_is_near_and_is_as_wide_as_the_parallax() {
        let (near, far) = (0.8, 4.0);
        let width = FOCAL_PX as f32 * BASELINE_M * (1.0 / near - 1.0 / far);
        let holes = |depths: &[f32], u: usize| depths.chunks(WIDTH as usize).filter(|row| row[u] == 0.0).count();
        let edge = (WIDTH / 2) as usize;
        let depths = read_with(StructuredLight, &step(near, far));
        let wholly = (edge..WIDTH as usize).take_while(|u| holes(&depths, *u) == HEIGHT as usize).count();
        // the last pixel of the near half reaches up to its own middle
        assert!((wholly as f32 - (width - 1.0)).abs() <= 1.0, "{wholly} columns, not {width}");
        // the other way round the projector reaches everything
        let depths = read_with(StructuredLight, &step(far, near));
        assert!((0..WIDTH as usize).all(|u| holes(&depths, u) < 12));
    }
}
