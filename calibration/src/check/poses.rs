//! Poses of a camera with stamps in; the pose at any moment, and the motion that its picture must show, out.

use nalgebra::Isometry3;

use super::offset::MotionSignal;

/// Longest time between two poses that is bridged: a robot starts and stops within it.
const MAX_GAP_NANOS: i64 = 500_000_000;
/// A rotation's quaternion may be this far from unit length.
const UNIT_TOLERANCE: f64 = 1.0e-3;
/// Most moments that a signal is sampled at: an hour at 100 Hz.
const MAX_MOMENTS: i64 = 360_000;

/// Where a camera was: `world_from_camera` at ascending stamps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PoseTrack {
    samples: Vec<(i64, Isometry3<f64>)>,
}

impl PoseTrack {
    /// From poses in any order. Those that are not finite or not rigid are left out; of equal stamps the first stays.
    pub fn new(mut samples: Vec<(i64, Isometry3<f64>)>) -> Self {
        samples.retain(|(_, pose)| {
            let q = pose.rotation.coords;
            pose.translation.vector.iter().chain(q.iter()).all(|x| x.is_finite())
                && (q.norm() - 1.0).abs() < UNIT_TOLERANCE
        });
        samples.sort_by_key(|(stamp, _)| *stamp);
        samples.dedup_by_key(|(stamp, _)| *stamp);
        Self { samples }
    }

    /// Number of poses.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no pose.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// `world_from_camera` at a stamp, between the poses around it; `None` outside of them and in gaps above half a second.
    pub fn at(&self, stamp_nanos: i64) -> Option<Isometry3<f64>> {
        let after = self.samples.partition_point(|(s, _)| *s < stamp_nanos);
        let (s1, b) = self.samples.get(after)?;
        if *s1 == stamp_nanos {
            return Some(*b);
        }
        let (s0, a) = self.samples.get(after.checked_sub(1)?)?;
        let gap = s1.checked_sub(*s0).filter(|gap| *gap <= MAX_GAP_NANOS)?;
        let share = (stamp_nanos - s0) as f64 / gap as f64;
        let translation = a.translation.vector.lerp(&b.translation.vector, share);
        let rotation = a.rotation.try_slerp(&b.rotation, share, 1.0e-9).unwrap_or(b.rotation);
        Some(Isometry3::from_parts(translation.into(), rotation))
    }

    /// Share of the stamps at which there is a pose; NaN for no stamps.
    pub fn covered_share(&self, stamps: &[i64]) -> f64 {
        stamps.iter().filter(|s| self.at(**s).is_some()).count() as f64 / stamps.len() as f64
    }

    /// The shift of the picture that these poses ask for, sampled every `period_s`: with focal length f in pixels and mean
    /// inverse depth 1/z, turning by w and moving by t (camera axes) shifts it by `(-f (w_y + t_x / z), f (w_x - t_y / z))`
    /// (Longuet-Higgins and Prazdny 1980, at the picture's middle).
    pub fn apparent_motion(&self, period_s: f64, focal_px: f64, inverse_depth: f64) -> MotionSignal {
        let mut signal = MotionSignal::default();
        let (Some((first, _)), Some((last, _))) = (self.samples.first(), self.samples.last()) else { return signal };
        let step = (period_s * 1e9).round().clamp(1.0e5, 1.0e10) as i64;
        let moments = (0..MAX_MOMENTS).map_while(|i| first.checked_add(i * step).filter(|s| s <= last));
        let mut earlier: Option<(i64, Isometry3<f64>)> = None;
        for stamp in moments {
            let pose = self.at(stamp);
            if let (Some((before, a)), Some(b)) = (earlier, pose) {
                let motion = a.inverse() * b;
                let (w, t) = (motion.rotation.scaled_axis(), motion.translation.vector * inverse_depth);
                signal.push_shift(before, stamp, [-focal_px * (w.y + t.x), focal_px * (w.x - t.y)]);
            }
            earlier = pose.map(|p| (stamp, p));
        }
        signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::PinholeCamera;
    use crate::distortion::Distortion;
    use nalgebra::{Point3, Vector3};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn apparent_motion_is_that_of_a_projected_point(w in prop::array::uniform3(-0.01..0.01f64), t in prop::array::uniform3(-0.02..0.02f64), z in 1.0..4.0f64) {
            let step = Isometry3::new(Vector3::from(t), Vector3::new(w[0], w[1], 0.0));
            let track = PoseTrack::new(vec![(0, Isometry3::identity()), (33_000_000, step)]);
            let signal = track.apparent_motion(0.033, 500.0, 1.0 / z);
            let camera = PinholeCamera::new(640, 480, 500.0, 500.0, 320.0, 240.0, Distortion::None).unwrap();
            let seen = camera.project(&(step.inverse() * Point3::new(0.0, 0.0, z))).unwrap();
            let shift = signal.rates[0].map(|x| x * 0.033);
            // second order in the motion is left out
            prop_assert!((shift[0] - (seen.x - 320.0)).abs() < 0.35 && (shift[1] - (seen.y - 240.0)).abs() < 0.35);
        }
    }

    #[test]
    fn between_poses_only() {
        let x = |x: f64| Isometry3::translation(x, 0.0, 0.0);
        let mut bad = x(1.0);
        bad.translation.x = f64::NAN;
        let track = PoseTrack::new(vec![(200, x(2.0)), (100, x(0.0)), (150, bad), (10_000_000_000, x(9.0))]);
        assert_eq!(track.len(), 3);
        assert!((track.at(150).unwrap().translation.x - 1.0).abs() < 1e-12);
        assert_eq!([99, 5_000_000_000, i64::MAX, i64::MIN].map(|s| track.at(s)), [None; 4]);
        assert_eq!(track.covered_share(&[100, 150, 300, 200]), 0.75);
        assert!(PoseTrack::default().apparent_motion(f64::NAN, 1.0, 1.0).stamps.is_empty());
        let far = PoseTrack::new(vec![(i64::MIN, x(0.0)), (i64::MAX, x(1.0))]);
        assert_eq!(far.at(0), None);
    }
}
