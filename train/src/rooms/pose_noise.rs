//! True camera poses in, those that a robot would report out: odometry drifts, and every pose is a little off.

use std::str::FromStr;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::sensor::bell;

/// Jitter from frame to frame as a share of the drift at the walk's end.
const JITTER_SHARE: f64 = 0.2;
/// Largest deviations that make sense in a room, metres and radians.
const MOST: (f64, f64) = (1.0, 0.5);

/// How far reported poses are off: a random walk that starts at the truth and has these deviations, along and about each axis,
/// at the recording's last frame; and for each frame by itself a fifth as much again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PoseNoise {
    /// Metres.
    pub position_m: f64,
    /// Radians.
    pub rotation_rad: f64,
}

impl FromStr for PoseNoise {
    type Err = String;

    /// Reads `M,RAD`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(',').map(|(m, rad)| (m.trim().parse::<f64>(), rad.trim().parse::<f64>()));
        let Some((Ok(position_m), Ok(rotation_rad))) = numbers else {
            return Err("give metres and radians with a comma between, such as 0.02,0.01".to_owned());
        };
        if !(0.0..=MOST.0).contains(&position_m) || !(0.0..=MOST.1).contains(&rotation_rad) {
            return Err(format!("give 0 to {} metres and 0 to {} radians", MOST.0, MOST.1));
        }
        Ok(Self { position_m, rotation_rad })
    }
}

/// The poses that are reported for these true ones.
pub(super) fn reported(true_poses: &[Isometry3<f64>], noise: PoseNoise, seed: u64) -> Vec<Isometry3<f64>> {
    if noise == PoseNoise::default() {
        return true_poses.to_vec();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // deviations of independent steps add up as squares
    let step = 1.0 / (true_poses.len().saturating_sub(1).max(1) as f64).sqrt();
    let (mut shift, mut turn) = (Vector3::zeros(), Vector3::zeros());
    let mut normal = move |deviation: f64| Vector3::from_fn(|_, _| deviation * f64::from(bell(&mut rng)));
    true_poses
        .iter()
        .enumerate()
        .map(|(i, pose)| {
            if i > 0 {
                shift += normal(step * noise.position_m);
                turn += normal(step * noise.rotation_rad);
            }
            let jitter = normal(JITTER_SHARE * noise.position_m);
            let wobble = normal(JITTER_SHARE * noise.rotation_rad);
            // turned about the camera, not about the room's corner
            Isometry3::from_parts(
                Translation3::from(pose.translation.vector + shift + jitter),
                UnitQuaternion::from_scaled_axis(turn + wobble) * pose.rotation,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Vec<Isometry3<f64>> {
        (0..25)
            .map(|i| Isometry3::new(Vector3::new(0.1 * f64::from(i), 1.0, 1.3), Vector3::new(0.2, 0.0, 0.0)))
            .collect()
    }

    /// Deviations of position and of rotation, per axis, of `values`.
    fn deviation(values: &[Vector3<f64>]) -> f64 {
        (values.iter().map(|v| v.norm_squared()).sum::<f64>() / (3 * values.len()) as f64).sqrt()
    }

    #[test]
    fn no_noise_is_the_truth_and_equal_seeds_are_equal() {
        let noise = PoseNoise { position_m: 0.05, rotation_rad: 0.02 };
        assert_eq!(reported(&path(), PoseNoise::default(), 3), path());
        assert_eq!(reported(&path(), noise, 3), reported(&path(), noise, 3));
        assert_ne!(reported(&path(), noise, 3), reported(&path(), noise, 4));
        assert!(reported(&[], noise, 3).is_empty());
    }

    #[test]
    fn the_drift_grows_to_what_was_asked_for_and_is_slow() {
        let noise = PoseNoise { position_m: 0.05, rotation_rad: 0.02 };
        let truth = path();
        let off: Vec<Vec<(Vector3<f64>, Vector3<f64>)>> = (0..400)
            .map(|seed| {
                let poses = reported(&truth, noise, seed);
                let off = |(p, t): (&Isometry3<f64>, &Isometry3<f64>)| {
                    let turn = (p.rotation * t.rotation.inverse()).scaled_axis();
                    (p.translation.vector - t.translation.vector, turn)
                };
                poses.iter().zip(&truth).map(off).collect()
            })
            .collect();
        let at = |i: usize| {
            let (shifts, turns): (Vec<_>, Vec<_>) = off.iter().map(|walk| walk[i]).unzip();
            (deviation(&shifts), deviation(&turns))
        };
        // jitter alone, half the walk, all of it
        for (i, share) in [(0, 0.2f64), (12, 0.54f64.sqrt()), (24, 1.04f64.sqrt())] {
            let (shift, turn) = at(i);
            assert!((shift / (share * 0.05) - 1.0).abs() < 0.1, "frame {i}: {shift} m");
            assert!((turn / (share * 0.02) - 1.0).abs() < 0.1, "frame {i}: {turn} rad");
        }
        let steps: Vec<_> = off.iter().flat_map(|walk| walk.windows(2).map(|w| w[1].0 - w[0].0)).collect();
        // a step of the drift and two of the jitter
        let expected = 0.05 * (1.0 / 24.0 + 2.0 * 0.04f64).sqrt();
        assert!((deviation(&steps) / expected - 1.0).abs() < 0.1);
    }

    #[test]
    fn it_is_read_from_two_numbers() {
        assert_eq!("0.02, 0.01".parse(), Ok(PoseNoise { position_m: 0.02, rotation_rad: 0.01 }));
        for bad in ["", "0.1", "a,b", "-0.1,0", "0,NaN", "0,9", "2,0", "1,2,3"] {
            assert!(bad.parse::<PoseNoise>().is_err(), "{bad}");
        }
    }
}
