//! A room in, the closed path of a hand-held camera through its free space out: where the camera is and looks at each phase.
//! A flat's rooms are walked one after the other and back, each around its middle.

use std::f64::consts::{PI, TAU};

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ellipse::{Ellipse, distance};
use super::layout::Room;

/// Height of the camera, metres.
const HEIGHT_M: (f64, f64) = (1.25, 1.5);
/// Downward pitch of the camera and its swing, radians.
const PITCH_RAD: f64 = 0.42;
const PITCH_SWING_RAD: f64 = 0.12;
/// Swing of the camera to both sides of the path's centre, radians.
const YAW_SWING_RAD: f64 = 0.75;
/// Distance from an opening's middle at which the camera walks straight towards it, metres.
const APPROACH_M: f64 = 0.55;
/// Share of an arc's time a metre that a metre between rooms gets.
const PASSAGE_PACE: f64 = 0.6;
/// Time for a turn between rooms, as metres of an arc for each radian.
const TURN_M_PER_RAD: f64 = 0.3;

/// Where the camera is and looks: place, yaw, pitch.
type View = ([f64; 2], f64, f64);

/// A piece of the path.
#[derive(Debug, Clone)]
enum Leg {
    /// On an ellipse, looking across the room, swinging to both sides.
    Arc { ellipse: Ellipse, from: f64, sweep: f64 },
    /// From room to room, looking ahead in the middle; the corners are those of the path.
    Passage { corners: [[f64; 2]; 4], looks: [(f64, f64); 3] },
}

impl Leg {
    /// How much of the walk's time it gets, as metres.
    fn weight(&self) -> f64 {
        match self {
            Self::Arc { ellipse, sweep, .. } => ellipse.radius() * sweep,
            Self::Passage { corners, looks: [first, ahead, last] } => {
                let turns = turn(first.0, ahead.0).abs() + turn(ahead.0, last.0).abs();
                PASSAGE_PACE * length(corners) + TURN_M_PER_RAD * turns
            }
        }
    }

    fn view(&self, t: f64) -> View {
        match self {
            Self::Arc { ellipse, from, sweep } => arc_view(ellipse, from + sweep * t),
            Self::Passage { corners, looks: [first, ahead, last] } => {
                let (from, to, t_look) = if t < 0.5 { (first, ahead, 2.0 * t) } else { (ahead, last, 2.0 * t - 1.0) };
                (along(corners, t), from.0 + t_look * turn(from.0, to.0), from.1 + t_look * (to.1 - from.1))
            }
        }
    }
}

/// The shorter turn between two yaws, radians.
fn turn(from: f64, to: f64) -> f64 {
    (to - from + PI).rem_euclid(TAU) - PI
}

fn arc_view(ellipse: &Ellipse, angle: f64) -> View {
    let yaw = angle + 0.5 * TAU + YAW_SWING_RAD * (3.0 * angle).sin();
    (ellipse.place(angle), yaw, PITCH_RAD + PITCH_SWING_RAD * (2.0 * angle).sin())
}

fn length(corners: &[[f64; 2]]) -> f64 {
    corners.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
}

/// The place at share `t` of a way's length.
fn along(corners: &[[f64; 2]], t: f64) -> [f64; 2] {
    let mut left = t * length(corners);
    for pair in corners.windows(2) {
        let own = distance(pair[0], pair[1]);
        if left <= own && own > 0.0 {
            return [0, 1].map(|k| pair[0][k] + left / own * (pair[1][k] - pair[0][k]));
        }
        left -= own;
    }
    corners.last().copied().unwrap_or_default()
}

/// An ellipse in each room and what joins them.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    legs: Vec<Leg>,
    height: f64,
    /// Share of the path after which it starts.
    offset: f64,
}

impl Walk {
    /// The clearest walk for `room`.
    pub(super) fn plan(room: &Room, rng: &mut ChaCha8Rng) -> Self {
        let start = TAU * rng.random::<f64>();
        let height = rng.random_range(HEIGHT_M.0..HEIGHT_M.1);
        if let [region] = &room.regions[..] {
            let (ellipse, _) = Ellipse::clearest(room, region, height, &[]);
            return Self { legs: vec![Leg::Arc { ellipse, from: start, sweep: TAU }], height, offset: 0.0 };
        }
        // in each room the ellipse, and where to leave it for the rooms before and after
        let rooms: Vec<(Ellipse, Option<f64>, Option<f64>)> = room
            .regions
            .iter()
            .enumerate()
            .map(|(i, region)| {
                let back = i.checked_sub(1).and_then(|i| room.openings.get(i)).map(|[x, y]| [x + APPROACH_M, *y]);
                let on = room.openings.get(i).map(|[x, y]| [x - APPROACH_M, *y]);
                let gates: Vec<[f64; 2]> = back.into_iter().chain(on).collect();
                let (ellipse, angles) = Ellipse::clearest(room, region, height, &gates);
                (ellipse, back.and(angles.first().copied()), on.and(angles.last().copied()))
            })
            .collect();
        Self { legs: tour(room, &rooms), height, offset: start / TAU }
    }

    /// Optical pose at `phase` (0 to 1).
    pub(super) fn room_from_camera(&self, phase: f64) -> Isometry3<f64> {
        let ([x, y], yaw, pitch) = match &self.legs[..] {
            [leg] => leg.view(phase),
            legs => {
                let mut left = (phase + self.offset).fract() * legs.iter().map(Leg::weight).sum::<f64>();
                let mut view = ([0.0; 2], 0.0, PITCH_RAD);
                for leg in legs {
                    let own = leg.weight();
                    view = leg.view((left / own).min(1.0));
                    if left <= own {
                        break;
                    }
                    left -= own;
                }
                view
            }
        };
        let forward = Vector3::new(yaw.cos() * pitch.cos(), yaw.sin() * pitch.cos(), -pitch.sin());
        // the optical z axis looks forward, y down
        let rotation = UnitQuaternion::face_towards(&forward, &-Vector3::z());
        Isometry3::from_parts(Translation3::new(x, y, self.height), rotation)
    }
}

/// Through all rooms to the last and back to where it started: of a room between two others, one side on each way.
fn tour(room: &Room, rooms: &[(Ellipse, Option<f64>, Option<f64>)]) -> Vec<Leg> {
    let arc = |i: usize, from: Option<f64>, to: Option<f64>| {
        let (from, to) = (from.or(to).unwrap_or_default(), to.or(from).unwrap_or_default());
        let sweep = (to - from).rem_euclid(TAU);
        Leg::Arc { ellipse: rooms[i].0, from, sweep: if sweep > 0.0 { sweep } else { TAU } }
    };
    let passage = |i: usize, from: f64, j: usize, to: f64| {
        let (first, last) = (arc_view(&rooms[i].0, from), arc_view(&rooms[j].0, to));
        let [x, y] = room.openings[i.min(j)];
        let side = if j > i { APPROACH_M } else { -APPROACH_M };
        let ahead = if j > i { 0.0 } else { PI };
        Leg::Passage {
            corners: [first.0, [x - side, y], [x + side, y], last.0],
            looks: [(first.1, first.2), (ahead, PITCH_RAD), (last.1, last.2)],
        }
    };
    let mut legs = Vec::new();
    let last = rooms.len() - 1;
    let angle = |angle: Option<f64>| angle.unwrap_or_default();
    for i in 0..last {
        legs.push(arc(i, rooms[i].1, rooms[i].2));
        legs.push(passage(i, angle(rooms[i].2), i + 1, angle(rooms[i + 1].1)));
    }
    legs.push(arc(last, rooms[last].1, None));
    for i in (0..last).rev() {
        legs.push(passage(i + 1, angle(rooms[i + 1].1), i, angle(rooms[i].2)));
        if i > 0 {
            legs.push(arc(i, rooms[i].2, rooms[i].1));
        }
    }
    legs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::config::{Difficulty, RoomConfig};
    use crate::rooms::ellipse::Clearance;
    use crate::rooms::layout::generate;
    use rand::SeedableRng;

    fn walk_of(seed: u64, difficulty: Difficulty) -> (Room, Walk) {
        let room = generate(seed, &RoomConfig::of(difficulty));
        let walk = Walk::plan(&room, &mut ChaCha8Rng::seed_from_u64(seed));
        (room, walk)
    }

    /// Least distance of the whole path to what reaches up to the camera, metres.
    fn clearance(walk: &Walk, room: &Room) -> f64 {
        let of = |leg: &Leg| match leg {
            Leg::Arc { ellipse, from, sweep } => ellipse.clearance(room, *from, *sweep, walk.height),
            Leg::Passage { corners, .. } => corners
                .windows(2)
                .fold(Clearance::FREE, |c, pair| c.and(Clearance::between(room, pair[0], pair[1], walk.height))),
        };
        walk.legs.iter().map(of).fold(Clearance::FREE, Clearance::and).high
    }

    #[test]
    fn the_camera_is_in_nothing_and_rarely_close_to_anything() {
        for difficulty in [Difficulty::Easy, Difficulty::Default, Difficulty::Hard] {
            let mut close = 0;
            for seed in 0..200 {
                let (room, walk) = walk_of(seed, difficulty);
                let high = clearance(&walk, &room);
                assert!(high > 0.05, "{difficulty}, seed {seed}: {high} m");
                close += usize::from(high < 0.3);
            }
            assert!(close < 20, "{difficulty}: {close} of 200 walks pass something at less than 0.3 m");
        }
    }

    #[test]
    fn the_camera_is_in_every_room_moves_steadily_and_never_through_a_wall() {
        const STEPS: u32 = 720;
        let mut flats = 0;
        for seed in 0..60 {
            let (room, walk) = walk_of(seed, Difficulty::Hard);
            flats += usize::from(room.regions.len() > 1);
            let mut frames = vec![0u32; room.regions.len()];
            let mut before = walk.room_from_camera(1.0);
            for i in 0..STEPS {
                let pose = walk.room_from_camera(f64::from(i) / f64::from(STEPS));
                let p = pose.translation.vector;
                let (moved, turned) =
                    ((p - before.translation.vector).norm(), before.rotation.angle_to(&pose.rotation));
                assert!(moved < 0.15 && turned < 0.25, "seed {seed}, step {i}: {moved} m, {turned} rad");
                let inside = room.regions.iter().position(|r| r.contains(p.into(), p.into()));
                let gap = |o: &[f64; 2]| (p.x - o[0]).abs() < 0.1 && (p.y - o[1]).abs() < 0.3;
                assert!(inside.is_some() || room.openings.iter().any(gap), "seed {seed}: in a wall");
                inside.into_iter().for_each(|i| frames[i] += 1);
                before = pose;
            }
            let least = STEPS / (3 * frames.len() as u32);
            assert!(frames.iter().all(|n| *n > least), "seed {seed}: {frames:?} frames");
        }
        assert!(flats > 20, "{flats} flats of several rooms");
    }

    #[test]
    fn the_optical_frame_looks_forward_and_down_and_the_walk_closes() {
        for seed in 0..8 {
            let (_, walk) = walk_of(seed, Difficulty::Hard);
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
}
