//! A recorded walk in, the same walk with frames left out and more depth noise out: how much a model bears.

use std::sync::Arc;

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vantage_scene::{DepthImage, RgbdFrame};

/// Depth noise that a factor multiplies: deviation = BASE + GROWTH z^2, metres, as Nguyen et al. 2012 measured for structured
/// light.
const NOISE_BASE_M: f32 = 0.001;
const NOISE_GROWTH_PER_M: f32 = 0.0012;
/// Uniform numbers that are added up to one that is about normal (Irwin and Hall).
const UNIFORMS: usize = 12;
/// Sets the stream of random numbers apart from those of the room and its recording.
const STREAM: u64 = 0xD157_04B5;

/// What is done to a recording; the default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Disturbance {
    /// Share of the frames that are left out; the first stays.
    pub drop_views: f64,
    /// Noise added to every depth, as a multiple of a structured-light sensor's own.
    pub depth_noise: f64,
}

impl Disturbance {
    /// Whether nothing is done.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The frames that are left, with their noise; equal seeds give equal frames, and a larger share leaves out more of the same.
///
/// # Errors
/// When a disturbed picture is refused.
pub fn disturb(frames: &[RgbdFrame], disturbance: &Disturbance, seed: u64) -> Result<Vec<RgbdFrame>> {
    let mut out = Vec::with_capacity(frames.len());
    for (i, frame) in frames.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ STREAM ^ ((i as u64) << 32));
        let kept = rng.random::<f64>() >= disturbance.drop_views;
        if i > 0 && !kept {
            continue;
        }
        let mut frame = frame.clone();
        if disturbance.depth_noise > 0.0 {
            let factor = disturbance.depth_noise as f32;
            let noisy = |z: &f32| {
                // no reading stays none
                if *z <= 0.0 || !z.is_finite() {
                    return *z;
                }
                let deviation = NOISE_BASE_M + NOISE_GROWTH_PER_M * z * z;
                (z + factor * deviation * normal(&mut rng)).max(0.0)
            };
            let depth = frame.depth.data.iter().map(noisy).collect();
            let (width, height) = (frame.depth.width, frame.depth.height);
            frame.depth = Arc::new(DepthImage::new(width, height, depth).context("disturbing a depth picture")?);
        }
        out.push(frame);
    }
    Ok(out)
}

/// A number of mean 0 and deviation 1.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    (0..UNIFORMS).map(|_| rng.random::<f32>()).sum::<f32>() - 0.5 * UNIFORMS as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{RecordConfig, RoomConfig, generate, record};

    #[test]
    fn frames_go_and_noise_comes_as_asked() {
        let config = RecordConfig { width: 64, height: 48, frames: 24, ..RecordConfig::default() };
        let frames = record(&generate(5, &RoomConfig::default()), &config).frames;
        let same = disturb(&frames, &Disturbance::default(), 5).unwrap();
        assert!(same.len() == frames.len() && same[3].depth.data == frames[3].depth.data);
        let dropped = |share: f64| {
            let left = disturb(&frames, &Disturbance { drop_views: share, depth_noise: 0.0 }, 5).unwrap();
            left.iter().map(|f| f.stamp).collect::<Vec<_>>()
        };
        let (half, most) = (dropped(0.5), dropped(0.8));
        assert!(half.len() > 6 && half.len() < 18 && most.len() < half.len());
        assert!(most.iter().all(|stamp| half.contains(stamp)) && dropped(1.0) == [frames[0].stamp]);
        let noise = Disturbance { drop_views: 0.0, depth_noise: 3.0 };
        let noisy = disturb(&frames, &noise, 5).unwrap();
        assert_eq!(noisy[2].depth.data, disturb(&frames, &noise, 5).unwrap()[2].depth.data);
        let (mut sum, mut n) = (0.0f64, 0);
        for (a, b) in frames[2].depth.data.iter().zip(&noisy[2].depth.data) {
            assert_eq!(*a > 0.0, *b > 0.0);
            if *a > 0.0 {
                let own = f64::from(NOISE_BASE_M + NOISE_GROWTH_PER_M * a * a);
                sum += (f64::from(b - a) / own).powi(2);
                n += 1;
            }
        }
        assert!(((sum / f64::from(n)).sqrt() - 3.0).abs() < 0.2, "{}", (sum / f64::from(n)).sqrt());
    }
}
