//! A seed in, a furnished room out: placement without interpenetration, exact boxes, and which object a point belongs to.

use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3};
use parry3d::query::PointQuery;
use parry3d::shape::{Ball, Cuboid};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::f64::consts::FRAC_PI_2;
use vantage_scene::OrientedBox;

use super::catalog::{CLASSES, COLORS, Class, ModelPart, Place, build};

/// Space kept between objects on the floor, metres.
const CLEARANCE_M: f64 = 0.08;
/// Tries to place an object before it is left out.
const TRIES: usize = 40;

/// What rooms are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoomConfig {
    /// Shortest and longest side of the floor, metres.
    pub side_m: (f64, f64),
    /// Fewest and most objects.
    pub objects: (usize, usize),
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self { side_m: (3.6, 5.6), objects: (7, 13) }
    }
}

/// The shape of a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PartShape {
    /// A box with full extents.
    Box {
        /// Metres along the part's x, y, z.
        size: [f64; 3],
    },
    /// A ball.
    Sphere {
        /// Metres.
        radius: f64,
    },
}

/// A part of an object, in the room.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its shape.
    pub shape: PartShape,
    /// Where it is.
    pub room_from_part: Isometry3<f64>,
    /// Its colour before lighting.
    pub rgb: [u8; 3],
}

/// A piece of furniture or a thing on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Index in the room.
    pub id: usize,
    /// Class name.
    pub class: &'static str,
    /// Name of its colour.
    pub color: &'static str,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Tight around the parts, turned with the object.
    pub bbox: OrientedBox,
    /// The object it stands on; `None` for the floor.
    pub supported_by: Option<usize>,
}

/// A furnished room. Its frame: z up, the floor at z = 0, walls along x and y, a corner at the origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// What it was made from.
    pub seed: u64,
    /// Metres along x, y, z.
    pub size: [f64; 3],
    /// Everything in it.
    pub objects: Vec<Object>,
    /// Colour of the walls and the ceiling.
    pub wall_rgb: [u8; 3],
    /// Colour of the floor.
    pub floor_rgb: [u8; 3],
}

/// One entry of truth.json.
#[derive(Debug, Clone, Serialize)]
pub struct ObjectTruth {
    /// Index in the room.
    pub id: usize,
    /// Class name.
    pub class: &'static str,
    /// Colour name.
    pub color: &'static str,
    /// The exact box.
    #[serde(rename = "box")]
    pub bbox: OrientedBox,
    /// The object it stands on.
    pub supported_by: Option<usize>,
}

impl Room {
    /// What truth.json says about the objects.
    pub fn truth(&self) -> Vec<ObjectTruth> {
        let truth = |o: &Object| ObjectTruth { id: o.id, class: o.class, color: o.color, bbox: o.bbox, supported_by: o.supported_by };
        self.objects.iter().map(truth).collect()
    }
}

/// Local bounds of parts around their frame's origin.
fn local_bounds(parts: &[ModelPart]) -> ([f64; 3], [f64; 3]) {
    let (mut min, mut max) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for (shape, center, _) in parts {
        let half = match shape {
            PartShape::Box { size } => size.map(|s| 0.5 * s),
            PartShape::Sphere { radius } => [*radius; 3],
        };
        for k in 0..3 {
            min[k] = min[k].min(center[k] - half[k]);
            max[k] = max[k].max(center[k] + half[k]);
        }
    }
    (min, max)
}

/// Furnishes the room of `seed`; equal seeds and settings give equal rooms.
pub fn generate(seed: u64, config: &RoomConfig) -> Room {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (low, high) = config.side_m;
    let size = [rng.random_range(low..high), rng.random_range(low..high), rng.random_range(2.4..2.8)];
    let tint = rng.random_range(-12..12i32);
    let shift = |c: [i32; 3]| c.map(|x| (x + tint).clamp(0, 255) as u8);
    let mut room =
        Room { seed, size, objects: Vec::new(), wall_rgb: shift([202, 196, 182]), floor_rgb: shift([158, 146, 130]) };
    let wanted = rng.random_range(config.objects.0..=config.objects.1);
    for class in &CLASSES {
        let whole = class.share.floor();
        let copies = if class.share > 1.5 {
            rng.random_range(0..=4)
        } else {
            whole as usize + usize::from(rng.random::<f64>() < class.share - whole)
        };
        let copies = if class.share >= 1.0 && class.share <= 1.5 { rng.random_range(0..=3) } else { copies };
        for _ in 0..copies {
            if room.objects.len() < wanted {
                place(&mut room, class, &mut rng);
            }
        }
    }
    room
}

fn place(room: &mut Room, class: &Class, rng: &mut ChaCha8Rng) {
    let parts = build(class.name, rng);
    let (min, max) = local_bounds(&parts);
    let (w, d) = (max[0] - min[0], max[1] - min[1]);
    let Some((color, rgb)) = COLORS.choose(rng).copied() else { return };
    for _ in 0..TRIES {
        let turns = rng.random_range(0..4);
        let mut yaw = f64::from(turns) * FRAC_PI_2;
        let (half_x, half_y) = if turns % 2 == 0 { (0.5 * w, 0.5 * d) } else { (0.5 * d, 0.5 * w) };
        let (x, y, z, support) = match class.place {
            Place::Wall => {
                let [room_x, room_y, _] = room.size;
                if room_x < 2.0 * half_x + 0.1 || room_y < 2.0 * half_y + 0.1 {
                    continue;
                }
                let along_x = rng.random_range(half_x + 0.03..room_x - half_x - 0.03);
                let along_y = rng.random_range(half_y + 0.03..room_y - half_y - 0.03);
                // the back is local +y: turned by 0, 1, 2, 3 quarters it points to +y, -x, -y, +x
                let (x, y) = match turns {
                    0 => (along_x, room_y - half_y - 0.03),
                    1 => (half_x + 0.03, along_y),
                    2 => (along_x, half_y + 0.03),
                    _ => (room_x - half_x - 0.03, along_y),
                };
                (x, y, 0.0, None)
            }
            Place::Floor => {
                if class.turned && rng.random::<f64>() < 0.35 {
                    yaw += rng.random_range(-0.4..0.4);
                }
                let reach = 0.15 + half_x.max(half_y);
                let x = rng.random_range(reach..room.size[0] - reach);
                let y = rng.random_range(reach..room.size[1] - reach);
                (x, y, 0.0, None)
            }
            Place::On(classes) => {
                let hosts: Vec<&Object> = room
                    .objects
                    .iter()
                    .filter(|o| classes.contains(&o.class) && o.bbox.aabb().max[2] < 1.35)
                    .collect();
                let Some(host) = hosts.choose(rng) else { return };
                let top = host_top(host);
                // things face where the furniture faces
                yaw = host.bbox.yaw;
                let (hw, hd) = (0.5 * (host.bbox.size[0] - w), 0.5 * (host.bbox.size[1] - d));
                if hw < 0.0 || hd < -0.03 {
                    continue;
                }
                let (dx, dy) = (rng.random_range(-hw..=hw), hd.max(0.0) * rng.random_range(-0.8..=0.8) - if classes.contains(&"sofa") { 0.08 } else { 0.0 });
                let (sin, cos) = yaw.sin_cos();
                let x = host.bbox.center[0] + cos * dx - sin * dy;
                let y = host.bbox.center[1] + sin * dx + cos * dy;
                (x, y, top, Some(host.id))
            }
        };
        let (sin, cos) = yaw.sin_cos();
        let (mx, my) = (0.5 * (min[0] + max[0]), 0.5 * (min[1] + max[1]));
        let bbox = OrientedBox {
            center: [x + cos * mx - sin * my, y + sin * mx + cos * my, z + 0.5 * (min[2] + max[2])],
            size: std::array::from_fn(|k| max[k] - min[k]),
            yaw,
        };
        if !fits(room, &bbox, support) {
            continue;
        }
        let room_from_object =
            Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw));
        let parts = parts
            .iter()
            .map(|(shape, center, shade)| Part {
                shape: *shape,
                room_from_part: room_from_object * Translation3::from(Vector3::from(*center)),
                rgb: rgb.map(|c| (f64::from(c) * shade) as u8),
            })
            .collect();
        room.objects.push(Object { id: room.objects.len(), class: class.name, color, parts, bbox, supported_by: support });
        return;
    }
}

/// Height of the surface that things stand on: the mattress of a bed, the seat of a sofa, else the top.
fn host_top(host: &Object) -> f64 {
    match (host.class, &host.parts[..]) {
        ("bed", [_, mattress, ..]) | ("sofa", [mattress, ..]) => match mattress.shape {
            PartShape::Box { size } => mattress.room_from_part.translation.z + 0.5 * size[2],
            PartShape::Sphere { radius } => mattress.room_from_part.translation.z + radius,
        },
        _ => host.bbox.aabb().max[2],
    }
}

/// Whether `bbox` is inside the room and clear of everything but what it stands on.
fn fits(room: &Room, bbox: &OrientedBox, support: Option<usize>) -> bool {
    let own = bbox.aabb();
    let inside = (0..2).all(|k| own.min[k] >= 0.0 && own.max[k] <= room.size[k]) && own.max[2] <= room.size[2];
    inside
        && room.objects.iter().all(|o| {
            if Some(o.id) == support {
                return true;
            }
            // things on the same support are compared with each other alone
            if o.supported_by != support && (o.supported_by.is_some() || support.is_some()) {
                return true;
            }
            let other = o.bbox.aabb();
            (0..2).any(|k| own.min[k] > other.max[k] + CLEARANCE_M || own.max[k] < other.min[k] - CLEARANCE_M)
        })
}

/// The object whose surface is nearest to `p` (room frame) within `tolerance_m`.
pub fn object_at(room: &Room, p: [f32; 3], tolerance_m: f64) -> Option<usize> {
    let point = p.map(f64::from);
    let mut best: Option<(f64, usize)> = None;
    for object in room.objects.iter().filter(|o| o.bbox.contains(point, tolerance_m)) {
        for part in &object.parts {
            let local = part.room_from_part.inverse_transform_point(&Point3::from(point));
            let local = parry3d::math::Vector::new(local.x as f32, local.y as f32, local.z as f32);
            let distance = match part.shape {
                PartShape::Box { size } => {
                    let half = size.map(|s| 0.5 * s as f32);
                    Cuboid::new(parry3d::math::Vector::new(half[0], half[1], half[2])).distance_to_local_point(local, false)
                }
                PartShape::Sphere { radius } => Ball::new(radius as f32).distance_to_local_point(local, false),
            };
            let distance = f64::from(distance.abs());
            if distance <= tolerance_m && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, object.id));
            }
        }
    }
    best.map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn equal_seeds_give_equal_rooms_and_others_differ() {
        let config = RoomConfig::default();
        assert_eq!(generate(5, &config), generate(5, &config));
        assert_ne!(generate(5, &config).objects, generate(6, &config).objects);
    }

    #[test]
    fn nothing_interpenetrates_and_all_stand_inside() {
        for seed in 0..60 {
            let room = generate(seed, &RoomConfig::default());
            assert!(room.objects.len() >= 4, "seed {seed}: {} objects", room.objects.len());
            for (i, a) in room.objects.iter().enumerate() {
                let own = a.bbox.aabb();
                assert!((0..3).all(|k| own.min[k] > -1e-9 && own.max[k] < room.size[k] + 1e-9));
                for b in &room.objects[i + 1..] {
                    if b.supported_by != Some(i) {
                        assert!(a.bbox.iou(&b.bbox) < 1e-6, "seed {seed}: {} and {}", a.class, b.class);
                    }
                }
            }
        }
    }

    #[test]
    fn all_classes_and_colours_come_up() {
        let rooms: Vec<Room> = (0..200).map(|s| generate(s, &RoomConfig::default())).collect();
        let objects = || rooms.iter().flat_map(|r| &r.objects);
        assert_eq!(objects().map(|o| o.class).collect::<BTreeSet<_>>().len(), CLASSES.len());
        assert_eq!(objects().map(|o| o.color).collect::<BTreeSet<_>>().len(), COLORS.len());
    }

    #[test]
    fn the_box_is_tight_and_points_on_it_are_its_own() {
        let room = generate(11, &RoomConfig::default());
        for object in &room.objects {
            let top = object.bbox.aabb().max[2];
            let highest = object
                .parts
                .iter()
                .map(|p| p.room_from_part.translation.z + match p.shape {
                    PartShape::Box { size } => 0.5 * size[2],
                    PartShape::Sphere { radius } => radius,
                })
                .fold(f64::NEG_INFINITY, f64::max);
            assert!((top - highest).abs() < 1e-9);
        }
        assert_eq!(object_at(&room, [-5.0, 0.0, 0.0], 0.1), None);
    }
}
