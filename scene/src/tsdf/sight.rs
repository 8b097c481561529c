//! A map and an eye in, whether it sees a place out: straight lines that meet nothing solid.
//!
//! Other than a rendered view, a line is also stopped by the back of a surface: what stands there was seen from one side only,
//! and is solid from the other as well. What was never observed stops nothing.

use super::TsdfMap;
use super::block::{DISTANCE_ONE, SIDE};
use super::raycast::{Sampler, voxel_at_place};

/// Shortest and longest step along a line, voxels. At least two voxels behind a surface are solid, so none is stepped over.
const LEAST_STEP_VOXELS: f32 = 0.5;
const MOST_STEP_VOXELS: f32 = 1.0;
/// A line ends this far before the place it leads to, voxels: the place itself lies on a surface.
const SHORT_OF_VOXELS: f32 = 3.0;
/// Lines are at most this long, metres.
const MAX_LENGTH_M: f64 = 100.0;

/// An eye in a map.
pub(crate) struct Sight<'a> {
    sampler: Sampler<'a>,
    eye: [f64; 3],
}

impl TsdfMap {
    /// An eye at a place of the world; `None` for places that are not finite or too far away.
    pub(crate) fn sight_from(&self, eye: [f64; 3]) -> Option<Sight<'_>> {
        self.reaches(eye).then(|| Sight { sampler: Sampler::new(self, eye, self.least_surface_weight()), eye })
    }
}

impl Sight<'_> {
    /// Whether the straight line to `place` meets nothing solid until three voxels before it. False for places that are not
    /// finite, or further away than 100 m.
    pub(crate) fn sees(&mut self, place: [f64; 3]) -> bool {
        let line: [f64; 3] = std::array::from_fn(|k| place[k] - self.eye[k]);
        let length = line.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length.is_nan() || length > MAX_LENGTH_M {
            return false;
        }
        if length == 0.0 {
            return true;
        }
        self.is_open(line.map(|x| (x / length) as f32), length as f32)
    }

    /// Follows a line of unit direction.
    fn is_open(&mut self, ray: [f32; 3], length: f32) -> bool {
        let config = self.sampler.map.config;
        let voxel_m = config.voxel_size_m;
        let (least_step, most_step) = (LEAST_STEP_VOXELS * voxel_m, MOST_STEP_VOXELS * voxel_m);
        let end = length - SHORT_OF_VOXELS * voxel_m;
        let mut along = least_step;
        while along < end {
            let at = self.sampler.place(ray, along);
            let Some(voxels) = self.sampler.block_of(at) else {
                // on to where the line leaves this empty block
                let left = self.sampler.to_next_block(at, ray).clamp(0.01 * least_step, SIDE as f32 * 2.0 * voxel_m);
                along += left + 0.01 * least_step;
                continue;
            };
            let i = voxel_at_place(at);
            let distance_m = f32::from(voxels.distance[i]) / DISTANCE_ONE * config.truncation_m;
            let is_observed = voxels.weight[i] >= self.sampler.least;
            if is_observed && distance_m < 0.0 {
                return false;
            }
            along += if is_observed { distance_m.clamp(least_step, most_step) } else { least_step };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::TsdfConfig;
    use super::super::synthetic::{furnished, walk};
    use super::*;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    /// A map of the room whose box was seen from all sides.
    fn fused() -> &'static TsdfMap {
        static MAP: OnceLock<TsdfMap> = OnceLock::new();
        MAP.get_or_init(|| map_of(&walk(&furnished(), 24, (192, 144))))
    }

    fn map_of(frames: &[crate::frame::RgbdFrame]) -> TsdfMap {
        let config = TsdfConfig { voxel_size_m: 0.03, truncation_m: 0.12, ..TsdfConfig::default() };
        let mut map = TsdfMap::new(config).unwrap();
        for frame in frames {
            map.integrate(frame).unwrap();
        }
        map
    }

    /// Whether the line meets the box grown by so much to all sides.
    fn meets(from: [f64; 3], to: [f64; 3], grown: f64) -> bool {
        let (low, high) = ([1.1 - grown, 1.0 - grown, -1.0], [1.7 + grown, 1.5 + grown, 0.5 + grown]);
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        for k in 0..3 {
            let d = to[k] - from[k];
            let (a, b) = ((low[k] - from[k]) / d, (high[k] - from[k]) / d);
            (enter, leave) = (enter.max(a.min(b)), leave.min(a.max(b)));
        }
        enter < leave
    }

    proptest! {
        #[test]
        fn the_box_and_nothing_else_hides(from in [0.3..2.7f64, 0.3..2.3f64, 0.3..1.5f64], to in [0.3..2.7f64, 0.3..2.3f64, 0.1..1.5f64]) {
            prop_assume!(!meets(from, from, 0.1) && !meets(to, to, 0.15));
            let mut sight = fused().sight_from(from).unwrap();
            if meets(from, to, -0.06) {
                prop_assert!(!sight.sees(to));
            }
            if !meets(from, to, 0.06) {
                prop_assert!(sight.sees(to));
            }
        }
    }

    #[test]
    fn what_was_seen_from_one_side_is_solid_from_the_other() {
        let world = furnished();
        // all from where x is small: the box's far side is never seen
        let frames: Vec<_> =
            (0..8).map(|i| world.frame(i, [0.4, 1.0 + 0.05 * i as f64, 1.0], [1.4, 1.25, 0.3], (192, 144))).collect();
        let map = map_of(&frames);
        let (near, far) = ([0.6, 1.25, 0.25], [2.6, 1.25, 0.25]);
        assert!(!map.sight_from(far).unwrap().sees(near) && !map.sight_from(near).unwrap().sees(far));
        assert!(map.sight_from(near).unwrap().sees([1.1, 1.25, 0.25]), "the side of the box itself");
    }

    #[test]
    fn lost_eyes_and_places_see_nothing() {
        let map = fused();
        assert!(map.sight_from([f64::NAN, 0.0, 0.0]).is_none() && map.sight_from([1.0e300, 0.0, 0.0]).is_none());
        let mut sight = map.sight_from([0.5, 0.5, 1.0]).unwrap();
        for place in [[f64::NAN; 3], [f64::INFINITY, 0.0, 0.0], [0.0, 0.0, 1.0e9]] {
            assert!(!sight.sees(place));
        }
        assert!(sight.sees([0.5, 0.5, 1.0]) && sight.sees([0.5, 0.5, 1.2]));
    }
}
