//! A room's seed in, its light out: from where, how hard, how warm, and how each frame of a walk is exposed.

use nalgebra::Vector3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::lattice;

/// The plain light: direction towards it, and the share of it that reaches every surface.
const PLAIN_TOWARDS: [f64; 3] = [0.35, 0.25, 0.9];
const PLAIN_AMBIENT: f64 = 0.62;
/// Height of the light above the horizon, radians.
const ELEVATION_RAD: (f64, f64) = (0.5, 1.4);
/// Share of the light that reaches every surface.
const AMBIENT: (f64, f64) = (0.45, 0.75);
/// Brightness of the light, stops.
const BRIGHTNESS_STOPS: f64 = 0.35;
/// From a warm bulb to a clouded sky, kelvin, and what counts as white: daylight D65.
const TEMPERATURE_K: (f64, f64) = (2700.0, 8000.0);
const WHITE_K: f64 = 6500.0;
/// Share of the light's colour that a camera's white balance leaves.
const BALANCE_LEAVES: f64 = 0.35;
/// Most that automatic exposure is off, stops, and frames in which it changes.
const EXPOSURE_STOPS: f64 = 0.3;
const EXPOSURE_FRAMES: f32 = 4.0;
/// Levels grow as light to the power of one over this, about as sRGB has it.
const GAMMA: f64 = 2.2;
/// Keeps the light's numbers apart from those of other uses of a seed.
const LIGHT_STREAM: u64 = 0x11_6147;

/// What falls on the surfaces of a room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Light {
    /// Unit vector in the room.
    towards: Vector3<f64>,
    /// Share that reaches every surface.
    ambient: f64,
    /// Factor of red, green and blue levels.
    gain: [f64; 3],
    /// How much exposure changes from frame to frame, 0 to 1.
    unrest: f64,
    seed: u32,
}

impl Light {
    /// Of the room of `seed`; `strength` from 0, the plain light of every room, to 1.
    pub(super) fn of_room(seed: u64, strength: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ LIGHT_STREAM);
        let azimuth = rng.random_range(0.0..std::f64::consts::TAU);
        let elevation = rng.random_range(ELEVATION_RAD.0..ELEVATION_RAD.1);
        let own = Vector3::new(azimuth.cos() * elevation.cos(), azimuth.sin() * elevation.cos(), elevation.sin());
        let plain = Vector3::from(PLAIN_TOWARDS).normalize();
        let ambient = rng.random_range(AMBIENT.0..AMBIENT.1);
        let stops = strength * rng.random_range(-BRIGHTNESS_STOPS..BRIGHTNESS_STOPS);
        // even steps of 1/T look even
        let mireds = rng.random_range(1.0 / TEMPERATURE_K.1..1.0 / TEMPERATURE_K.0);
        let cast = color_of_temperature(1.0 / mireds);
        Self {
            // both are above the horizon, so the sum is not zero
            towards: (plain * (1.0 - strength) + own * strength).normalize(),
            ambient: PLAIN_AMBIENT + strength * (ambient - PLAIN_AMBIENT),
            gain: cast.map(|c| stops_to_levels(stops) * c.powf(strength * BALANCE_LEAVES / GAMMA)),
            unrest: strength,
            seed: rng.random(),
        }
    }

    /// The light as frame `index` is exposed to it.
    pub(super) fn exposed(&self, index: usize) -> Self {
        let swing = lattice::smooth(self.seed, [index as f32 / EXPOSURE_FRAMES, 0.0, 0.0]);
        let factor = stops_to_levels(self.unrest * EXPOSURE_STOPS * (2.0 * f64::from(swing) - 1.0));
        Self { gain: self.gain.map(|g| g * factor), ..*self }
    }

    /// What the camera sees of a surface of colour `rgb`, levels, with this unit normal in the room.
    pub(super) fn shade(&self, rgb: [f32; 3], normal: Vector3<f64>) -> [u8; 3] {
        let strength = self.ambient + (1.0 - self.ambient) * normal.dot(&self.towards).max(0.0);
        // a float that does not fit saturates
        std::array::from_fn(|k| (f64::from(rgb[k]) * strength * self.gain[k]).round() as u8)
    }
}

/// Factor of levels for a change of light by `stops`.
fn stops_to_levels(stops: f64) -> f64 {
    (stops / GAMMA).exp2()
}

/// Linear red, green and blue of a black body of `kelvin` (1667 to 25000) as bright as daylight, which is [1, 1, 1]: the cubic
/// fit of the Planckian locus by Kim et al. (US patent 7024034), then the matrix of sRGB (IEC 61966-2-1).
fn color_of_temperature(kelvin: f64) -> [f64; 3] {
    let linear = |kelvin: f64| {
        let t = 1e3 / kelvin;
        let x = if kelvin <= 4000.0 {
            ((-0.266_123_9 * t - 0.234_358_9) * t + 0.877_695_6) * t + 0.179_910
        } else {
            ((-3.025_846_9 * t + 2.107_037_9) * t + 0.222_634_7) * t + 0.240_390
        };
        let y = if kelvin <= 2222.0 {
            ((-1.106_381_4 * x - 1.348_110_2) * x + 2.185_558_32) * x - 0.202_196_83
        } else if kelvin <= 4000.0 {
            ((-0.954_947_6 * x - 1.374_185_93) * x + 2.091_370_15) * x - 0.167_488_67
        } else {
            ((3.081_758 * x - 5.873_386_7) * x + 3.751_129_97) * x - 0.370_014_83
        };
        let (big_x, big_z) = (x / y, (1.0 - x - y) / y);
        [
            3.2406 * big_x - 1.5372 - 0.4986 * big_z,
            -0.9689 * big_x + 1.8758 + 0.0415 * big_z,
            0.0557 * big_x - 0.2040 + 1.0570 * big_z,
        ]
    };
    let (own, white) = (linear(kelvin), linear(WHITE_K));
    std::array::from_fn(|k| own[k].max(0.0) / white[k])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_strength_zero_all_rooms_have_the_plain_light() {
        for seed in 0..20 {
            let light = Light::of_room(seed, 0.0).exposed(seed as usize);
            assert_eq!(light.gain, [1.0; 3]);
            let normal = Vector3::new(1.0, 0.0, 0.0);
            let facing = 0.35 / (0.35f64.powi(2) + 0.25f64.powi(2) + 0.9f64.powi(2)).sqrt();
            let expected = [200.0, 100.0, 30.0].map(|c: f64| (c * (0.62 + 0.38 * facing)).round() as u8);
            assert_eq!(light.shade([200.0, 100.0, 30.0], normal), expected);
        }
    }

    #[test]
    fn warm_light_is_red_and_daylight_white() {
        let [r, g, b] = color_of_temperature(2700.0);
        // black body of 2700 K, linear sRGB: 1 : 0.42 : 0.11, over daylight of 1 : 0.99 : 1.02
        assert!((g / r - 0.42).abs() < 0.04 && (b / r - 0.11).abs() < 0.04, "{r} {g} {b}");
        assert!(color_of_temperature(6500.0).iter().all(|c| (c - 1.0).abs() < 1e-12));
        let [r, _, b] = color_of_temperature(8000.0);
        assert!(r < 1.0 && b > 1.0);
    }

    #[test]
    fn rooms_differ_and_the_exposure_drifts() {
        let lights: Vec<Light> = (0..50).map(|seed| Light::of_room(seed, 1.0)).collect();
        let spread = |of: &dyn Fn(&Light) -> f64| {
            let values = || lights.iter().map(of);
            values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
        };
        assert!(spread(&|l| l.towards.x) > 1.0 && spread(&|l| l.ambient) > 0.2);
        assert!(spread(&|l| l.gain[2] / l.gain[0]) > 0.25);
        let gains: Vec<f64> = (0..60).map(|i| lights[3].exposed(i).gain[1] / lights[3].gain[1]).collect();
        let (low, high) = gains.iter().fold((2.0f64, 0.0f64), |(l, h), g| (l.min(*g), h.max(*g)));
        assert!(high / low > 1.08 && high / low < 1.25, "{low} to {high}");
        assert!(gains.windows(2).all(|w| (w[1] / w[0] - 1.0).abs() < 0.08));
    }
}
