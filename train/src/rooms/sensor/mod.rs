//! What a camera sees in, the depths that its sensor reports out, with the errors of its kind.

mod stereo;
mod structured_light;
mod time_of_flight;

use clap::ValueEnum;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::camera::Rendering;

/// Kind of depth sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensor {
    /// The exact depth of everything.
    Ideal,
    /// A projected pattern, as the first Kinect has it: noise grows with depth, nothing where the projector does not reach.
    #[default]
    StructuredLight,
    /// Two cameras, as in a RealSense: steps and noise of disparity, nothing on what has no pattern.
    Stereo,
    /// Modulated light, as in an Azure Kinect: noise on dark and far things, depths between those of an edge's two sides.
    TimeOfFlight,
}

/// A rendering as the models read it.
struct View<'a> {
    rendering: &'a Rendering,
    width: usize,
    /// Pixels, along the rows.
    focal_px: f32,
}

/// The depths, metres, 0 for no reading, that `sensor` reports of `rendering`, a picture `width` pixels wide of a camera with
/// this focal length along its rows.
pub(super) fn read(sensor: Sensor, rendering: &Rendering, width: u32, focal_px: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let view = View { rendering, width: width as usize, focal_px: focal_px as f32 };
    match sensor {
        Sensor::Ideal => rendering.depth.clone(),
        Sensor::StructuredLight => structured_light::read(&view, rng),
        Sensor::Stereo => stereo::read(&view, rng),
        Sensor::TimeOfFlight => time_of_flight::read(&view, rng),
    }
}

/// A random number of mean 0 and deviation 1 from four even ones: close to normal, within 3.5.
pub(super) fn bell(rng: &mut ChaCha8Rng) -> f32 {
    let bits = rng.next_u64();
    let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u16).map(u32::from).sum();
    // an even number of width 1 has a variance of 1/12
    (sum as f32 / 65536.0 - 2.0) * 3.0f32.sqrt()
}

/// True for `share` of the calls.
fn chance(share: f32, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f32>() < share
}

/// As a driver sends it: whole millimetres, none below zero.
fn whole_millimetres(z: f32) -> f32 {
    (z.max(0.0) * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod scenes {
    use super::*;
    use crate::rooms::lattice;
    use rand::SeedableRng;

    pub(super) const WIDTH: u32 = 160;
    pub(super) const HEIGHT: u32 = 120;
    pub(super) const FOCAL_PX: f64 = 88.0;

    /// A picture whose depth and grey level are those of `at(column, row)`, every surface turned to the camera.
    pub(super) fn rendering(at: impl Fn(u32, u32) -> (f32, u8)) -> Rendering {
        let pixels = (WIDTH * HEIGHT) as usize;
        let seen: Vec<(f32, u8)> =
            (0..HEIGHT).flat_map(|v| (0..WIDTH).map(move |u| (u, v))).map(|(u, v)| at(u, v)).collect();
        Rendering {
            color: seen.iter().map(|(_, grey)| [*grey; 3]).collect(),
            depth: seen.iter().map(|(z, _)| *z).collect(),
            facing: vec![1.0; pixels],
            reflectivity: vec![0.5; pixels],
            object: vec![-1; pixels],
        }
    }

    /// A flat wall with a pattern that is easy to match.
    pub(super) fn wall(z: f32) -> Rendering {
        rendering(|u, v| (z, 90 + (80.0 * lattice::at(5, [u as i32, v as i32, 0])) as u8))
    }

    /// A picture in two halves of different depth, the left one first.
    pub(super) fn step(left: f32, right: f32) -> Rendering {
        rendering(|u, v| {
            let z = if u < WIDTH / 2 { left } else { right };
            (z, 90 + (80.0 * lattice::at(6, [u as i32, v as i32, 0])) as u8)
        })
    }

    pub(super) fn read_with(sensor: Sensor, rendering: &Rendering) -> Vec<f32> {
        read(sensor, rendering, WIDTH, FOCAL_PX, &mut ChaCha8Rng::seed_from_u64(9))
    }

    /// Mean and standard deviation of the readings, and the share of pixels without one.
    pub(super) fn statistics(depths: &[f32]) -> (f64, f64, f64) {
        let readings: Vec<f64> = depths.iter().filter(|z| **z > 0.0).map(|z| f64::from(*z)).collect();
        let n = readings.len() as f64;
        let mean = readings.iter().sum::<f64>() / n;
        let variance = readings.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt(), 1.0 - n / depths.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::scenes::*;
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn an_ideal_sensor_is_exact_and_all_repeat() {
        let seen = step(1.2345, 3.4567);
        assert_eq!(read_with(Sensor::Ideal, &seen), seen.depth);
        for sensor in Sensor::value_variants() {
            assert_eq!(read_with(*sensor, &seen), read_with(*sensor, &seen), "{sensor:?}");
            let nothing = read_with(*sensor, &rendering(|_, _| (0.0, 0)));
            assert!(nothing.iter().all(|z| *z == 0.0), "{sensor:?}");
        }
    }

    #[test]
    fn the_bell_has_deviation_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f64> = (0..100_000).map(|_| f64::from(bell(&mut rng))).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
