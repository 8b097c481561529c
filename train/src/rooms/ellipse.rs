//! A room and what stands in it in, the ellipse around the room's middle that keeps clearest of it out.

use std::f64::consts::TAU;

use vantage_scene::OrientedBox;

use super::flat::Region;
use super::layout::Room;

/// Semi-axes of the ellipse as shares of the floor's sides, the most wanted first.
const SHARES: [f64; 5] = [0.27, 0.3, 0.23, 0.19, 0.15];
/// Shifts of its centre as shares of the floor's sides.
const SHIFTS: [f64; 5] = [0.0, 0.05, -0.05, 0.1, -0.1];
/// Places on the path at which its clearance is measured.
const PROBES: u32 = 48;
/// Objects that reach higher than this below the camera are in its way, metres.
const BELOW_M: f64 = 0.2;
/// What is flatter than this is walked on, metres.
const FLAT_M: f64 = 0.05;
/// Wanted distance to what is in the way, and to what could be stepped over, metres.
const WANTED_M: (f64, f64) = (0.45, 0.25);
/// Places of the ellipse from which it may be left.
const EXITS: u32 = 16;
/// Distance between the places at which a straight way is measured, metres.
const STEP_M: f64 = 0.15;
/// What a metre of way off the ellipse costs, in metres of clearance.
const WAY_COST: f64 = 0.1;

/// Least distances to what is in the way of a camera, metres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clearance {
    /// To what reaches up to the camera.
    pub(super) high: f64,
    /// To anything else that stands on the floor.
    pub(super) low: f64,
}

impl Clearance {
    pub(super) const FREE: Self = Self { high: f64::INFINITY, low: f64::INFINITY };

    /// At (x, y) for a camera `height` above the floor.
    pub(super) fn at(room: &Room, [x, y]: [f64; 2], height: f64) -> Self {
        let mut out = Self::FREE;
        for object in &room.objects {
            let top = object.bbox.center[2] + 0.5 * object.bbox.size[2];
            if top > height - BELOW_M {
                out.high = out.high.min(footprint_distance(&object.bbox, x, y));
            } else if object.supported_by.is_none() && top > FLAT_M {
                out.low = out.low.min(footprint_distance(&object.bbox, x, y));
            }
        }
        for wall in &room.walls {
            let (center, half) = (wall.room_from_part.translation.vector, wall.shape.half_extents());
            // an opening's lintel is above the head
            if center.z - half[2] < height + BELOW_M {
                let out_of = |d: f64, half: f64| (d.abs() - half).max(0.0);
                out.high = out.high.min(out_of(x - center.x, half[0]).hypot(out_of(y - center.y, half[1])));
            }
        }
        out
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { high: self.high.min(other.high), low: self.low.min(other.low) }
    }

    /// Along the straight way between two places.
    pub(super) fn between(room: &Room, from: [f64; 2], to: [f64; 2], height: f64) -> Self {
        let steps = (distance(from, to) / STEP_M).ceil().max(1.0) as u32;
        (0..=steps).fold(Self::FREE, |least, i| {
            let t = f64::from(i) / f64::from(steps);
            let place = [0, 1].map(|k| from[k] + t * (to[k] - from[k]));
            least.and(Self::at(room, place, height))
        })
    }
}

pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// An ellipse along the walls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipse {
    center: [f64; 2],
    axes: [f64; 2],
}

impl Ellipse {
    /// The clearest ellipse in `region` for a camera at `height`, and for each of `gates` the angle at which to leave for it.
    pub(super) fn clearest(room: &Room, region: &Region, height: f64, gates: &[[f64; 2]]) -> (Self, Vec<f64>) {
        let center = |dx: f64, dy: f64| {
            [region.min[0] + region.side(0) * (0.5 + dx), region.min[1] + region.side(1) * (0.5 + dy)]
        };
        let mut best: Option<(f64, Self, Vec<f64>)> = None;
        for share in SHARES {
            for (dx, dy) in SHIFTS.iter().flat_map(|&dx| SHIFTS.iter().map(move |&dy| (dx, dy))) {
                let ellipse = Self { center: center(dx, dy), axes: [region.side(0) * share, region.side(1) * share] };
                let clearance = ellipse.clearance(room, 0.0, TAU, height);
                // a wide walk sees more sides, but not through a wall of things
                let score = 4.0 * clearance.high.min(WANTED_M.0) + clearance.low.min(WANTED_M.1) + share
                    - 0.2 * (dx.abs() + dy.abs());
                let ways: Vec<(f64, f64)> = gates.iter().map(|gate| ellipse.exit(room, *gate, height)).collect();
                let score = score + 4.0 * ways.iter().map(|(_, score)| score).sum::<f64>();
                if best.as_ref().is_none_or(|(most, ..)| score > *most) {
                    best = Some((score, ellipse, ways.into_iter().map(|(angle, _)| angle).collect()));
                }
            }
        }
        best.map_or((Self { center: center(0.0, 0.0), axes: [0.0; 2] }, vec![0.0; gates.len()]), |(_, e, a)| (e, a))
    }

    /// The best angle to leave the ellipse for `gate`, and how good that is.
    fn exit(&self, room: &Room, gate: [f64; 2], height: f64) -> (f64, f64) {
        let ways = (0..EXITS).map(|i| {
            let angle = TAU * f64::from(i) / f64::from(EXITS);
            let from = self.place(angle);
            let high = Clearance::between(room, from, gate, height).high;
            (angle, high.min(WANTED_M.0) - WAY_COST * distance(from, gate))
        });
        ways.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0.0, 0.0))
    }

    /// Along the arc of `sweep` radians from `from`.
    pub(super) fn clearance(&self, room: &Room, from: f64, sweep: f64, height: f64) -> Clearance {
        (0..PROBES).fold(Clearance::FREE, |least, probe| {
            let angle = from + sweep * f64::from(probe) / f64::from(PROBES);
            least.and(Clearance::at(room, self.place(angle), height))
        })
    }

    /// The place at `angle`, metres.
    pub(super) fn place(&self, angle: f64) -> [f64; 2] {
        [self.center[0] + self.axes[0] * angle.cos(), self.center[1] + self.axes[1] * angle.sin()]
    }

    /// Mean radius, metres.
    pub(super) fn radius(&self) -> f64 {
        0.5 * (self.axes[0] + self.axes[1])
    }
}

/// Distance of (x, y) from the box's footprint, 0 inside, metres.
fn footprint_distance(bbox: &OrientedBox, x: f64, y: f64) -> f64 {
    let (sin, cos) = bbox.yaw.sin_cos();
    let (dx, dy) = (x - bbox.center[0], y - bbox.center[1]);
    let out = |d: f64, size: f64| (d.abs() - 0.5 * size).max(0.0);
    out(cos * dx + sin * dy, bbox.size[0]).hypot(out(-sin * dx + cos * dy, bbox.size[1]))
}
