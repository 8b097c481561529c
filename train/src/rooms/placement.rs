//! A room and a class in, one more object in the room out: against walls, at tables, on furniture, never into one another.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{FRAC_PI_2, TAU};
use vantage_scene::OrientedBox;

use super::catalog::{Axis, COLORS, Class, ModelPart, Place, Tint, top_of};
use super::flat::Region;
use super::layout::{Object, Part, Room};

/// Space kept between objects on the floor, metres.
const CLEARANCE_M: f64 = 0.08;
/// Space kept between things that stand on the same furniture, metres.
const CLEARANCE_ON_TOP_M: f64 = 0.03;
/// Space between furniture and its wall, metres.
const WALL_GAP_M: f64 = 0.03;
/// Space between a table's edge and a chair that belongs to it, metres.
const CHAIR_GAP_M: (f64, f64) = (0.09, 0.25);
/// Share of chairs that stand at a table when there is one.
const AT_TABLE_SHARE: f64 = 0.7;
/// Share of turnable things that stand askew, and by how much at most, radians.
const ASKEW_SHARE: f64 = 0.35;
const ASKEW_RAD: f64 = 0.4;
/// Share of things that may stand on furniture or the floor and stand on furniture.
const RAISED_SHARE: f64 = 0.5;
/// Highest surface that something is put on, metres: the camera must see it.
const HIGHEST_TOP_M: f64 = 1.35;
/// Free space before what hangs on a wall, so that it can be seen, and before a door, metres.
const HUNG_FREE_M: f64 = 0.3;
const DOOR_FREE_M: f64 = 0.7;
/// Space kept beside, above and below what hangs on a wall, metres.
const HUNG_CLEARANCE_M: f64 = 0.06;
/// Rounding that coordinates at a wall may have, metres.
const WALL_SLACK_M: f64 = 1e-6;
/// Tries to place an object before it is left out.
const TRIES: usize = 60;

/// The level rectangle of an object that things can stand on, in its own frame around its origin, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Surface {
    /// Smallest x, y.
    pub(crate) min: [f64; 2],
    /// Largest x, y.
    pub(crate) max: [f64; 2],
    /// Height above what the object stands on.
    pub(crate) height: f64,
}

/// Which colours a copy of a class may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Copy {
    /// Any.
    Any,
    /// One that no object of its class has yet.
    OtherColor,
}

/// Where an object's origin goes.
#[derive(Debug, Clone, Copy)]
struct Pose {
    x: f64,
    y: f64,
    z: f64,
    yaw: f64,
}

/// An object's extent in its own frame, metres.
pub(crate) struct Extent {
    pub(crate) min: [f64; 3],
    pub(crate) max: [f64; 3],
}

impl Extent {
    /// Around `parts`.
    pub(crate) fn around(parts: &[ModelPart]) -> Self {
        let (mut min, mut max) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for part in parts {
            let half = part.half_extents();
            for k in 0..3 {
                min[k] = min[k].min(part.center[k] - half[k]);
                max[k] = max[k].max(part.center[k] + half[k]);
            }
        }
        Self { min, max }
    }

    fn size(&self, k: usize) -> f64 {
        self.max[k] - self.min[k]
    }
}

/// Puts one instance of `class` into `room`; leaves it out when no place is found.
pub(super) fn place(room: &mut Room, class: &Class, copy: Copy, rng: &mut ChaCha8Rng) {
    let parts = class.build(rng);
    let extent = Extent::around(&parts);
    let taken = |color: &str| room.objects.iter().any(|o| o.class == class.name && o.color == color);
    let free: Vec<(&'static str, [u8; 3])> = COLORS
        .into_iter()
        .filter(|c| class.color.is_none_or(|only| only == c.0))
        .filter(|c| copy == Copy::Any || !taken(c.0))
        .collect();
    let Some((color, rgb)) = free.choose(rng).copied() else { return };
    let raised = rng.random::<f64>() < RAISED_SHARE;
    for _ in 0..TRIES {
        let region = match room.regions[..] {
            [only] => Some(only),
            _ => room.regions.choose(rng).copied(),
        };
        let Some(region) = region else { return };
        let found = match class.place {
            Place::Wall => at_wall(&region, &extent, WALL_GAP_M, rng).map(|pose| (pose, None)),
            Place::Hung(low, high) => hung(&region, &extent, (low, high), rng).map(|pose| (pose, None)),
            Place::On(classes) => on_top(room, classes, &extent, rng),
            Place::FloorOrOn(classes) if raised => on_top(room, classes, &extent, rng),
            Place::Floor | Place::FloorOrOn(_) => on_floor(room, &region, class, &extent, rng).map(|pose| (pose, None)),
        };
        let Some((pose, support)) = found else { continue };
        let bbox = box_at(&extent, pose);
        let is_hung = matches!(class.place, Place::Hung(..));
        if !(if is_hung { hangs_free(room, &bbox) } else { fits(room, &bbox, support) }) {
            continue;
        }
        let room_from_object = Isometry3::from_parts(
            Translation3::new(pose.x, pose.y, pose.z),
            UnitQuaternion::from_axis_angle(&Vector3::z_axis(), pose.yaw),
        );
        if is_hung && pose.z == 0.0 {
            let [min, max] = before(&bbox);
            room.clear.push(Region { min: [min[0], min[1]], max: [max[0], max[1]] });
        }
        let top = top_of(class.name, &parts);
        let parts = parts.iter().map(|part| placed(part, &room_from_object, rgb)).collect();
        room.objects.push(Object {
            id: room.objects.len(),
            class: class.name,
            color,
            parts,
            bbox,
            supported_by: support,
            top,
        });
        return;
    }
}

/// A model's part as it stands in the room, in the object's colour `rgb`.
fn placed(part: &ModelPart, room_from_object: &Isometry3<f64>, rgb: [u8; 3]) -> Part {
    let room_from_upright = room_from_object * Translation3::from(Vector3::from(part.center));
    let room_from_part = match part.axis {
        Axis::X => room_from_upright * UnitQuaternion::from_axis_angle(&Vector3::y_axis(), FRAC_PI_2),
        Axis::Y => room_from_upright * UnitQuaternion::from_axis_angle(&Vector3::x_axis(), -FRAC_PI_2),
        Axis::Z => room_from_upright,
    };
    let rgb = match part.tint {
        Tint::Shade(shade) => rgb.map(|c| (f64::from(c) * shade) as u8),
        Tint::Own(own) => own,
    };
    Part { shape: part.shape, room_from_part, rgb }
}

fn box_at(extent: &Extent, pose: Pose) -> OrientedBox {
    let (sin, cos) = pose.yaw.sin_cos();
    let middle: [f64; 3] = std::array::from_fn(|k| 0.5 * (extent.min[k] + extent.max[k]));
    OrientedBox {
        center: [
            pose.x + cos * middle[0] - sin * middle[1],
            pose.y + sin * middle[0] + cos * middle[1],
            pose.z + middle[2],
        ],
        size: std::array::from_fn(|k| extent.size(k)),
        yaw: pose.yaw,
    }
}

/// A random value between; `None` when there is no room.
fn between(low: f64, high: f64, rng: &mut ChaCha8Rng) -> Option<f64> {
    (low <= high).then(|| rng.random_range(low..=high))
}

/// On the floor of `region`, its back `gap` before one of the walls.
fn at_wall(region: &Region, extent: &Extent, gap: f64, rng: &mut ChaCha8Rng) -> Option<Pose> {
    let turns = rng.random_range(0..4u8);
    let (w, d) = (0.5 * extent.size(0), 0.5 * extent.size(1));
    let (half_x, half_y) = if turns % 2 == 0 { (w, d) } else { (d, w) };
    let Region { min: [left, front], max: [right, back] } = *region;
    let along_x = between(left + half_x + gap, right - half_x - gap, rng)?;
    let along_y = between(front + half_y + gap, back - half_y - gap, rng)?;
    // the back is the own +y: turned by 0, 1, 2, 3 quarters it points to +y, -x, -y, +x
    let (x, y) = match turns {
        0 => (along_x, back - half_y - gap),
        1 => (left + half_x + gap, along_y),
        2 => (along_x, front + half_y + gap),
        _ => (right - half_x - gap, along_y),
    };
    Some(Pose { x, y, z: 0.0, yaw: f64::from(turns) * FRAC_PI_2 })
}

/// At one of the walls of `region`, the lower edge between two heights.
fn hung(region: &Region, extent: &Extent, (low, high): (f64, f64), rng: &mut ChaCha8Rng) -> Option<Pose> {
    let pose = at_wall(region, extent, 0.0, rng)?;
    let z = between(low, high, rng)?;
    // parts need not lie evenly around the own origin
    let (sin, cos) = pose.yaw.sin_cos();
    let [x, y] = [0, 1].map(|k| 0.5 * (extent.min[k] + extent.max[k]));
    Some(Pose { x: pose.x - cos * x + sin * y, y: pose.y - sin * x - cos * y, z, ..pose })
}

fn on_floor(room: &Room, region: &Region, class: &Class, extent: &Extent, rng: &mut ChaCha8Rng) -> Option<Pose> {
    let askew =
        if class.turned && rng.random::<f64>() < ASKEW_SHARE { rng.random_range(-ASKEW_RAD..ASKEW_RAD) } else { 0.0 };
    if class.name == "chair" && rng.random::<f64>() < AT_TABLE_SHARE {
        let tables: Vec<&Object> = room.objects.iter().filter(|o| matches!(o.class, "table" | "desk")).collect();
        if let Some(table) = tables.choose(rng) {
            return Some(at_table(table, extent, askew, rng));
        }
    }
    let reach = 0.15 + 0.5 * extent.size(0).max(extent.size(1));
    let x = between(region.min[0] + reach, region.max[0] - reach, rng)?;
    let y = between(region.min[1] + reach, region.max[1] - reach, rng)?;
    let yaw = (f64::from(rng.random_range(0..4u8)) * FRAC_PI_2 + askew).rem_euclid(TAU);
    Some(Pose { x, y, z: 0.0, yaw })
}

/// A chair at a side of `table` (a desk has one: its front), facing it.
fn at_table(table: &Object, extent: &Extent, askew: f64, rng: &mut ChaCha8Rng) -> Pose {
    let quarter = if table.class == "desk" { 2 } else { rng.random_range(0..4u8) };
    // the chair's back, its own +y, points away from the table
    let yaw = table.bbox.yaw + f64::from(quarter) * FRAC_PI_2;
    let (across, along) = if quarter % 2 == 0 { (1, 0) } else { (0, 1) };
    let out = 0.5 * (table.bbox.size[across] + extent.size(1)) + rng.random_range(CHAIR_GAP_M.0..CHAIR_GAP_M.1);
    let slack = (0.5 * (table.bbox.size[along] - extent.size(0))).max(0.0);
    let side = rng.random_range(-slack..=slack);
    let (sin, cos) = yaw.sin_cos();
    Pose {
        x: table.bbox.center[0] - sin * out + cos * side,
        y: table.bbox.center[1] + cos * out + sin * side,
        z: 0.0,
        yaw: (yaw + askew).rem_euclid(TAU),
    }
}

/// On furniture of one of `classes`, facing where the furniture faces.
fn on_top(room: &Room, classes: &[&str], extent: &Extent, rng: &mut ChaCha8Rng) -> Option<(Pose, Option<usize>)> {
    let hosts: Vec<&Object> =
        room.objects.iter().filter(|o| classes.contains(&o.class) && o.top.height < HIGHEST_TOP_M).collect();
    let host = hosts.choose(rng)?;
    let Surface { min, max, height } = host.top;
    let dx = between(min[0] - extent.min[0], max[0] - extent.max[0], rng)?;
    let dy = between(min[1] - extent.min[1], max[1] - extent.max[1], rng)?;
    // the host stands on the floor, its origin below the middle of its footprint
    let (sin, cos) = host.bbox.yaw.sin_cos();
    let x = host.bbox.center[0] + cos * dx - sin * dy;
    let y = host.bbox.center[1] + sin * dx + cos * dy;
    Some((Pose { x, y, z: height, yaw: host.bbox.yaw }, Some(host.id)))
}

/// Whether `bbox` is inside a room and clear of everything but what it stands on.
fn fits(room: &Room, bbox: &OrientedBox, support: Option<usize>) -> bool {
    let own = bbox.aabb();
    let inside = room.regions.iter().any(|r| r.contains(own.min, own.max)) && own.max[2] <= room.size[2];
    let clearance = if support.is_some() { CLEARANCE_ON_TOP_M } else { CLEARANCE_M };
    let (hung, standing): (Vec<&Object>, Vec<&Object>) =
        room.objects.iter().filter(|o| Some(o.id) != support).partition(|o| o.is_hung());
    // things on furniture stay within its footprint, so only things on the same support can meet
    inside
        && (support.is_some() || !room.clear.iter().any(|r| r.meets(own.min, own.max)))
        && standing.iter().filter(|o| o.supported_by == support).all(|o| {
            let other = o.bbox.aabb();
            (0..2).any(|k| own.min[k] > other.max[k] + clearance || own.max[k] < other.min[k] - clearance)
        })
        && hung.iter().all(|o| apart(before(&o.bbox), [own.min, own.max]))
}

/// Whether something fixed to a wall there is in a room, clear of everything, and seen from before it.
fn hangs_free(room: &Room, bbox: &OrientedBox) -> bool {
    let own = bbox.aabb();
    let inside = |r: &Region| {
        let slack = Region { min: r.min.map(|x| x - WALL_SLACK_M), max: r.max.map(|x| x + WALL_SLACK_M) };
        slack.contains(own.min, own.max)
    };
    room.regions.iter().any(inside)
        && own.max[2] <= room.size[2]
        && !room.clear.iter().any(|r| r.meets(own.min, own.max))
        && room.objects.iter().all(|o| {
            let other = o.bbox.aabb();
            apart(before(bbox), [other.min, other.max]) && (!o.is_hung() || apart(before(&o.bbox), [own.min, own.max]))
        })
}

/// The smallest and largest coordinates of something on a wall with the space around and before it that stays free.
fn before(bbox: &OrientedBox) -> [[f64; 3]; 2] {
    let is_door = bbox.center[2] - 0.5 * bbox.size[2] < WALL_SLACK_M;
    let free = if is_door { DOOR_FREE_M } else { HUNG_FREE_M };
    let (sin, cos) = bbox.yaw.sin_cos();
    // the front is the own -y
    let front = [sin * free, -cos * free, 0.0];
    let own = bbox.aabb();
    let min = std::array::from_fn(|k| own.min[k] + front[k].min(0.0) - HUNG_CLEARANCE_M);
    let max = std::array::from_fn(|k| own.max[k] + front[k].max(0.0) + HUNG_CLEARANCE_M);
    [min, max]
}

fn apart(a: [[f64; 3]; 2], b: [[f64; 3]; 2]) -> bool {
    (0..3).any(|k| a[0][k] >= b[1][k] || a[1][k] <= b[0][k])
}

#[cfg(test)]
mod tests {
    use super::super::config::{Difficulty, RoomConfig};
    use super::super::layout::{PartShape, Room, generate};
    use super::{OrientedBox, apart, before};

    fn rooms(count: u64) -> Vec<Room> {
        let of = |difficulty| (0..count).map(move |seed| generate(seed, &RoomConfig::of(difficulty)));
        of(Difficulty::Easy).chain(of(Difficulty::Default)).chain(of(Difficulty::Hard)).collect()
    }

    #[test]
    fn nothing_interpenetrates_and_all_stand_inside() {
        let mut short = 0;
        for room in rooms(150) {
            let seed = room.seed;
            short += usize::from(room.objects.len() < 5);
            for (i, a) in room.objects.iter().enumerate() {
                let own = a.bbox.aabb();
                let (min, max) = (own.min.map(|x| x + 1e-9), own.max.map(|x| x - 1e-9));
                assert!(room.regions.iter().any(|r| r.contains(min, max)), "seed {seed}: {} leaves its room", a.class);
                assert!(min[2] > 0.0 && max[2] < room.size[2], "seed {seed}: {} in floor or ceiling", a.class);
                for b in room.objects[i + 1..].iter().filter(|b| b.supported_by != Some(i)) {
                    assert!(a.bbox.iou(&b.bbox) < 1e-6, "seed {seed}: {} and {}", a.class, b.class);
                }
                for wall in &room.walls {
                    let c = wall.room_from_part.translation.vector;
                    let size = wall.shape.half_extents().map(|h| 2.0 * h);
                    let solid = OrientedBox { center: [c.x, c.y, c.z], size, yaw: 0.0 };
                    assert!(a.bbox.iou(&solid) < 1e-6, "seed {seed}: {} in a wall", a.class);
                }
            }
        }
        assert!(short < 20, "{short} of 450 rooms are nearly empty");
    }

    #[test]
    fn things_stand_on_their_support_and_not_in_it() {
        let mut checked = 0;
        for room in rooms(100) {
            let seed = room.seed;
            for thing in room.objects.iter().filter(|o| !o.is_hung()) {
                let bottom = thing.bbox.aabb().min[2];
                let Some(host) = thing.supported_by.map(|i| &room.objects[i]) else {
                    assert!(bottom.abs() < 1e-9, "seed {seed}: {} floats", thing.class);
                    let own = thing.bbox.aabb();
                    assert!(!room.clear.iter().any(|r| r.meets(own.min, own.max)), "seed {seed}: {}", thing.class);
                    continue;
                };
                assert!((bottom - host.top.height).abs() < 1e-9);
                for part in &host.parts {
                    let half = part.shape.half_extents().map(|h| 2.0 * h - 1e-6);
                    assert!(matches!(part.shape, PartShape::Box { .. }));
                    let c = part.room_from_part.translation.vector;
                    let solid = OrientedBox { center: [c.x, c.y, c.z], size: half, yaw: host.bbox.yaw };
                    assert!(thing.bbox.iou(&solid) < 1e-6, "seed {seed}: {} in {}", thing.class, host.class);
                    checked += 1;
                }
            }
        }
        assert!(checked > 300);
    }

    #[test]
    fn what_hangs_touches_its_wall_and_is_seen() {
        let mut checked = 0;
        for room in rooms(150) {
            let seed = room.seed;
            for hung in room.objects.iter().filter(|o| o.is_hung()) {
                // the back is the own +y
                let (sin, cos) = hung.bbox.yaw.sin_cos();
                let half = 0.5 * hung.bbox.size[1];
                let back = [hung.bbox.center[0] - sin * half, hung.bbox.center[1] + cos * half];
                let axis = if sin.abs() > 0.5 { 0 } else { 1 };
                let touches = room.regions.iter().any(|r| {
                    let side = if -sin + cos > 0.0 { r.max[axis] } else { r.min[axis] };
                    (back[axis] - side).abs() < 1e-6 && (r.min[0] - 1e-6..=r.max[0] + 1e-6).contains(&back[0])
                });
                assert!(touches, "seed {seed}: {} hangs at {back:?} of {:?}", hung.class, room.regions);
                assert!(hung.supported_by.is_none());
                let free = before(&hung.bbox);
                for other in room.objects.iter().filter(|o| o.id != hung.id) {
                    let box_ = other.bbox.aabb();
                    assert!(apart(free, [box_.min, box_.max]), "seed {seed}: {} before {}", other.class, hung.class);
                }
                checked += 1;
            }
        }
        assert!(checked > 400, "{checked}");
    }
}
