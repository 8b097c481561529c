//! A room in, the closed path of a hand-held camera through its free space out: where the camera is and looks at each phase.

use std::f64::consts::TAU;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vantage_scene::OrientedBox;

use super::layout::Room;

/// Height of the camera, metres.
const HEIGHT_M: (f64, f64) = (1.25, 1.5);
/// Semi-axes of the ellipse as shares of the floor's sides, the most wanted first.
const SHARES: [f64; 5] = [0.27, 0.3, 0.23, 0.19, 0.15];
/// Shifts of its centre as shares of the floor's sides.
const SHIFTS: [f64; 5] = [0.0, 0.05, -0.05, 0.1, -0.1];
/// Places on the path at which its clearance is measured.
const PROBES: u32 = 48;
/// Objects that reach higher than this below the camera are in its way, metres.
const BELOW_M: f64 = 0.2;
/// Wanted distance to what is in the way, and to what could be stepped over, metres.
const WANTED_M: (f64, f64) = (0.45, 0.25);
/// Downward pitch of the camera and its swing, radians.
const PITCH_RAD: f64 = 0.42;
const PITCH_SWING_RAD: f64 = 0.12;
/// Swing of the camera to both sides of the path's centre, radians.
const YAW_SWING_RAD: f64 = 0.75;

/// An ellipse around the room's middle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    center: [f64; 2],
    axes: [f64; 2],
    height: f64,
    /// Where on the ellipse it starts, radians.
    start: f64,
}

impl Walk {
    /// The clearest ellipse for `room`.
    pub(super) fn plan(room: &Room, rng: &mut ChaCha8Rng) -> Self {
        let start = TAU * rng.random::<f64>();
        let height = rng.random_range(HEIGHT_M.0..HEIGHT_M.1);
        let mut best: Option<(f64, Self)> = None;
        for share in SHARES {
            for (dx, dy) in SHIFTS.iter().flat_map(|&dx| SHIFTS.iter().map(move |&dy| (dx, dy))) {
                let walk = Self {
                    center: [room.size[0] * (0.5 + dx), room.size[1] * (0.5 + dy)],
                    axes: [room.size[0] * share, room.size[1] * share],
                    height,
                    start,
                };
                let (high, low) = walk.clearance(room);
                // a wide walk sees more sides, but not through a wall of things
                let score = 4.0 * high.min(WANTED_M.0) + low.min(WANTED_M.1) + share - 0.2 * (dx.abs() + dy.abs());
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, walk));
                }
            }
        }
        best.map_or(
            Self { center: [0.5 * room.size[0], 0.5 * room.size[1]], axes: [0.0; 2], height, start },
            |(_, w)| w,
        )
    }

    /// Least distance to what reaches up to the camera, and to anything that stands on the floor, metres.
    pub(super) fn clearance(&self, room: &Room) -> (f64, f64) {
        let (mut high, mut low) = (f64::INFINITY, f64::INFINITY);
        for probe in 0..PROBES {
            let [x, y] = self.place(TAU * f64::from(probe) / f64::from(PROBES));
            for object in &room.objects {
                let distance = footprint_distance(&object.bbox, x, y);
                if object.bbox.center[2] + 0.5 * object.bbox.size[2] > self.height - BELOW_M {
                    high = high.min(distance);
                } else if object.supported_by.is_none() {
                    low = low.min(distance);
                }
            }
        }
        (high, low)
    }

    fn place(&self, angle: f64) -> [f64; 2] {
        [self.center[0] + self.axes[0] * angle.cos(), self.center[1] + self.axes[1] * angle.sin()]
    }

    /// Optical pose at `phase` (0 to 1): on the ellipse, looking across the room, swinging to both sides.
    pub(super) fn room_from_camera(&self, phase: f64) -> Isometry3<f64> {
        let angle = TAU * phase + self.start;
        let [x, y] = self.place(angle);
        let yaw = angle + 0.5 * TAU + YAW_SWING_RAD * (3.0 * angle).sin();
        let pitch = PITCH_RAD + PITCH_SWING_RAD * (2.0 * angle).sin();
        let forward = Vector3::new(yaw.cos() * pitch.cos(), yaw.sin() * pitch.cos(), -pitch.sin());
        // the optical z axis looks forward, y down
        let rotation = UnitQuaternion::face_towards(&forward, &-Vector3::z());
        Isometry3::from_parts(Translation3::new(x, y, self.height), rotation)
    }
}

/// Distance of (x, y) from the box's footprint, 0 inside, metres.
fn footprint_distance(bbox: &OrientedBox, x: f64, y: f64) -> f64 {
    let (sin, cos) = bbox.yaw.sin_cos();
    let (dx, dy) = (x - bbox.center[0], y - bbox.center[1]);
    let out = |d: f64, size: f64| (d.abs() - 0.5 * size).max(0.0);
    out(cos * dx + sin * dy, bbox.size[0]).hypot(out(-sin * dx + cos * dy, bbox.size[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::layout::{RoomConfig, generate};
    use rand::SeedableRng;

    #[test]
    fn the_camera_is_in_nothing_and_rarely_close_to_anything() {
        let mut close = 0;
        for seed in 0..200 {
            let room = generate(seed, &RoomConfig::default());
            let walk = Walk::plan(&room, &mut ChaCha8Rng::seed_from_u64(seed));
            let (high, _) = walk.clearance(&room);
            assert!(high > 0.05, "seed {seed}: {high} m");
            close += usize::from(high < 0.3);
        }
        assert!(close < 20, "{close} of 200 walks pass something at less than 0.3 m");
    }

    #[test]
    fn the_optical_frame_looks_forward_and_down_and_the_walk_closes() {
        let room = generate(2, &RoomConfig::default());
        let walk = Walk::plan(&room, &mut ChaCha8Rng::seed_from_u64(2));
        for i in 0..24 {
            let pose = walk.room_from_camera(f64::from(i) / 24.0);
            let (right, down, forward) = (pose * Vector3::x(), pose * Vector3::y(), pose * Vector3::z());
            assert!(right.z.abs() < 1e-12 && down.z < -0.7 && forward.z < 0.0);
            assert!((right.cross(&down) - forward).norm() < 1e-12);
        }
        let gap = walk.room_from_camera(0.0).translation.vector - walk.room_from_camera(1.0).translation.vector;
        assert!(gap.norm() < 1e-9);
    }
}
