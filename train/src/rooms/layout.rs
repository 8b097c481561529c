//! A seed in, a furnished room out: what a room and its objects are, and which object a point belongs to.

use nalgebra::{Isometry3, Point3};
use parry3d::math::Vector;
use parry3d::query::PointQuery;
use parry3d::shape::{Ball, Cuboid, Cylinder};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vantage_scene::OrientedBox;

use super::catalog::{CLASS_NAMES, CLASSES, Place, is_hung};
pub(super) use super::config::RoomConfig;
use super::flat::{Plan, Region};
use super::placement::{Copy, Surface, place};

/// The shape of a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PartShape {
    /// A box with full extents.
    Box {
        /// Metres along the part's x, y, z.
        size: [f64; 3],
    },
    /// An upright cylinder, its axis along the part's z.
    Cylinder {
        /// Metres.
        radius: f64,
        /// Metres along the axis.
        height: f64,
    },
    /// A ball.
    Sphere {
        /// Metres.
        radius: f64,
    },
}

impl PartShape {
    /// Half extents along the part's x, y, z, metres.
    pub fn half_extents(&self) -> [f64; 3] {
        match *self {
            Self::Box { size } => size.map(|s| 0.5 * s),
            Self::Cylinder { radius, height } => [radius, radius, 0.5 * height],
            Self::Sphere { radius } => [radius; 3],
        }
    }
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
    /// The object it stands on; `None` for the floor, and for what is fixed to a wall ([`Object::is_hung`]).
    pub supported_by: Option<usize>,
    /// Where other things can stand on it.
    pub(super) top: Surface,
}

impl Object {
    /// Whether it is fixed to a wall: pictures and the like, doors too.
    pub fn is_hung(&self) -> bool {
        is_hung(self.class)
    }
}

/// A furnished room, or a flat of several. Its frame: z up, the floor at z = 0, walls along x and y, a corner at the origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// What it was made from.
    pub seed: u64,
    /// Metres along x, y, z, over all rooms.
    pub size: [f64; 3],
    /// Everything in it.
    pub objects: Vec<Object>,
    /// The floor of each room, in a row along x.
    pub regions: Vec<Region>,
    /// Walls between rooms; they belong to no object.
    pub walls: Vec<Part>,
    /// Names of the classes that could come up: the others are unknown in rooms of this kind.
    pub class_names: &'static [&'static str],
    /// Middle of each opening between two rooms; the i-th joins regions i and i + 1.
    pub(super) openings: Vec<[f64; 2]>,
    /// Floor on which nothing may stand.
    pub(super) clear: Vec<Region>,
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
        let truth = |o: &Object| ObjectTruth {
            id: o.id,
            class: o.class,
            color: o.color,
            bbox: o.bbox,
            supported_by: o.supported_by,
        };
        self.objects.iter().map(truth).collect()
    }
}

/// Order of placing: doors, which need free floor, what stands on the floor, what stands on that, what hangs above it.
fn turn(place: Place) -> u8 {
    match place {
        Place::Hung(_, 0.0) => 0,
        Place::Wall | Place::Floor => 1,
        Place::On(_) | Place::FloorOrOn(_) => 2,
        Place::Hung(..) => 3,
    }
}

/// Furnishes the room of `seed`; equal seeds and settings give equal rooms.
pub fn generate(seed: u64, config: &RoomConfig) -> Room {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let plan = Plan::draw(config, &mut rng);
    let tint = rng.random_range(-12..12i32);
    let shift = |c: [i32; 3]| c.map(|x| (x + tint).clamp(0, 255) as u8);
    let wall_rgb = shift([202, 196, 182]);
    let classes = config.classes.min(CLASSES.len());
    let mut room = Room {
        seed,
        size: plan.size,
        objects: Vec::new(),
        walls: plan.wall_parts(wall_rgb),
        regions: plan.regions,
        class_names: &CLASS_NAMES[..classes],
        openings: plan.openings,
        clear: plan.clear,
        wall_rgb,
        floor_rgb: shift([158, 146, 130]),
    };
    // classes in random order until the room is full, so that none is rarer than its share says
    let limit = rng.random_range(config.objects.0..=config.objects.1);
    let mut order: Vec<usize> = (0..classes).collect();
    order.shuffle(&mut rng);
    let mut wanted: Vec<(u8, usize, Copy)> = Vec::new();
    for &index in &order {
        let class = &CLASSES[index];
        if rng.random::<f64>() < class.share {
            let copies = rng.random_range(1..=class.most);
            wanted.extend(std::iter::repeat_n((turn(class.place), index, Copy::Any), copies));
            if config.same_class > 0.0 && rng.random::<f64>() < config.same_class {
                wanted.push((turn(class.place), index, Copy::OtherColor));
            }
        }
    }
    wanted.truncate(limit);
    wanted.sort_unstable();
    for (_, index, copy) in wanted {
        place(&mut room, &CLASSES[index], copy, &mut rng);
    }
    // what found no place is made up for by classes that are not there yet
    for &index in &order {
        let class = &CLASSES[index];
        if room.objects.len() < config.objects.0 && room.objects.iter().all(|o| o.class != class.name) {
            place(&mut room, class, Copy::Any, &mut rng);
        }
    }
    room
}

/// The object whose surface is nearest to `p` (room frame) within `tolerance_m`; `None` where the floor, the ceiling or a wall is
/// nearer.
pub fn object_at(room: &Room, p: [f32; 3], tolerance_m: f64) -> Option<usize> {
    let point = p.map(f64::from);
    let shell = shell_distance(room, point);
    let mut best: Option<(f64, usize)> = None;
    for object in room.objects.iter().filter(|o| o.bbox.contains(point, tolerance_m)) {
        for part in &object.parts {
            let distance = surface_distance(part, point);
            if distance <= tolerance_m.min(shell) && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, object.id));
            }
        }
    }
    best.map(|(_, id)| id)
}

/// Distance of `point` to the surface of `part`, metres.
fn surface_distance(part: &Part, point: [f64; 3]) -> f64 {
    let local = part.room_from_part.inverse_transform_point(&Point3::from(point));
    let local = Vector::new(local.x as f32, local.y as f32, local.z as f32);
    let distance = match part.shape {
        PartShape::Box { .. } => {
            let half = part.shape.half_extents().map(|h| h as f32);
            Cuboid::new(Vector::new(half[0], half[1], half[2])).distance_to_local_point(local, false)
        }
        // parry's cylinders stand along y
        PartShape::Cylinder { radius, height } => Cylinder::new(0.5 * height as f32, radius as f32)
            .distance_to_local_point(Vector::new(local.x, local.z, -local.y), false),
        PartShape::Sphere { radius } => Ball::new(radius as f32).distance_to_local_point(local, false),
    };
    f64::from(distance.abs())
}

/// Distance of `point` to the nearest of floor, ceiling and walls, metres.
fn shell_distance(room: &Room, point: [f64; 3]) -> f64 {
    let outer = (0..3).map(|k| point[k].abs().min((room.size[k] - point[k]).abs()));
    outer.chain(room.walls.iter().map(|wall| surface_distance(wall, point))).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::super::catalog::{COLORS, FIRST_CLASSES};
    use super::super::config::Difficulty;
    use super::*;
    use nalgebra::{UnitQuaternion, Vector3};
    use std::collections::BTreeSet;

    #[test]
    fn equal_seeds_give_equal_rooms_and_others_differ() {
        let config = RoomConfig::default();
        assert_eq!(generate(5, &config), generate(5, &config));
        assert_ne!(generate(5, &config).objects, generate(6, &config).objects);
    }

    /// What the embedded model was trained on: its rooms must not change.
    #[test]
    fn easy_rooms_are_those_of_old() {
        let mut sum = [0.0; 3];
        for seed in 0..50 {
            let room = generate(seed, &RoomConfig::of(Difficulty::Easy));
            for object in &room.objects {
                for (k, s) in sum.iter_mut().enumerate() {
                    *s += object.bbox.center[k] + object.bbox.size[k] * object.class.len() as f64;
                }
                sum[2] += object.color.len() as f64;
            }
        }
        assert_eq!(sum.map(|s| (1000.0 * s).round() as i64), [2_844_266, 2_132_565, 4_271_841]);
    }

    #[test]
    fn distractors_share_a_class_and_not_a_color() {
        let config = RoomConfig { same_class: 1.0, objects: (12, 16), ..RoomConfig::default() };
        let (mut several, mut unlike) = (0, 0);
        for room in (0..60).map(|seed| generate(seed, &config)) {
            for class in CLASS_NAMES {
                let colors: Vec<&str> = room.objects.iter().filter(|o| o.class == class).map(|o| o.color).collect();
                several += usize::from(colors.len() > 1);
                unlike += usize::from(colors.iter().any(|c| *c != colors[0]));
            }
        }
        assert!(several > 120 && unlike * 10 > several * 8, "{unlike} of {several}");
    }

    #[test]
    fn all_classes_and_colours_come_up() {
        let rooms: Vec<Room> = (0..400).map(|s| generate(s, &RoomConfig::default())).collect();
        let objects = || rooms.iter().flat_map(|r| &r.objects);
        for class in &CLASSES {
            assert!(objects().filter(|o| o.class == class.name).count() >= 25, "{}", class.name);
        }
        let easy = (0..100).flat_map(|s| generate(s, &RoomConfig::of(Difficulty::Easy)).objects);
        assert_eq!(easy.map(|o| o.class).collect::<BTreeSet<_>>().len(), FIRST_CLASSES);
        assert_eq!(objects().map(|o| o.color).collect::<BTreeSet<_>>().len(), COLORS.len());
    }

    /// Half extents of a part along the axes of a frame turned by `yaw`.
    fn half_along(part: &Part, yaw: f64) -> [f64; 3] {
        let turned = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), -yaw) * part.room_from_part.rotation;
        let half = turned.to_rotation_matrix().matrix().abs() * Vector3::from(part.shape.half_extents());
        [half.x, half.y, half.z]
    }

    #[test]
    fn boxes_are_tight_around_their_parts() {
        for seed in 0..40 {
            for object in &generate(seed, &RoomConfig::default()).objects {
                let b = object.bbox;
                let (sin, cos) = b.yaw.sin_cos();
                let (mut min, mut max) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
                for part in &object.parts {
                    let half = half_along(part, b.yaw);
                    let c = part.room_from_part.translation.vector;
                    let (dx, dy) = (c.x - b.center[0], c.y - b.center[1]);
                    let own = [cos * dx + sin * dy, -sin * dx + cos * dy, c.z - b.center[2]];
                    for k in 0..3 {
                        min[k] = min[k].min(own[k] - half[k]);
                        max[k] = max[k].max(own[k] + half[k]);
                    }
                }
                for k in 0..3 {
                    assert!((min[k] + 0.5 * b.size[k]).abs() < 1e-9, "seed {seed}: {} axis {k}", object.class);
                    assert!((max[k] - 0.5 * b.size[k]).abs() < 1e-9, "seed {seed}: {} axis {k}", object.class);
                }
            }
        }
    }

    #[test]
    fn points_just_off_a_part_belong_to_its_object() {
        let room = generate(11, &RoomConfig::default());
        for object in &room.objects {
            // straight above the middle of the highest part there is nothing but that part
            let top = |p: &&Part| p.room_from_part.translation.z + half_along(p, object.bbox.yaw)[2];
            let part = object.parts.iter().max_by(|a, b| top(a).total_cmp(&top(b))).unwrap();
            let c = part.room_from_part.translation.vector;
            let above = [c.x as f32, c.y as f32, (top(&part) + 0.01) as f32];
            let found = object_at(&room, above, 0.02);
            assert!(found == Some(object.id) || found.is_some_and(|i| room.objects[i].supported_by == Some(object.id)));
        }
        assert_eq!(object_at(&room, [-5.0, 0.0, 0.0], 0.1), None);
    }

    #[test]
    fn the_wall_beside_a_picture_is_no_picture() {
        let mut checked = 0;
        for room in (0..40).map(|seed| generate(seed, &RoomConfig::of(Difficulty::Hard))) {
            for picture in room.objects.iter().filter(|o| o.class == "picture") {
                let (sin, cos) = picture.bbox.yaw.sin_cos();
                // in the picture's frame: across its width, away from the wall
                let at = |across: f64, out: f64| {
                    let [x, y, z] = picture.bbox.center;
                    let out = 0.5 * picture.bbox.size[1] - out;
                    [(x + cos * across - sin * out) as f32, (y + sin * across + cos * out) as f32, z as f32]
                };
                let edge = 0.5 * picture.bbox.size[0];
                assert_eq!(object_at(&room, at(edge - 0.02, 0.06), 0.1), Some(picture.id));
                assert_eq!(object_at(&room, at(edge + 0.05, 0.01), 0.1), None);
                checked += 1;
            }
        }
        assert!(checked > 20, "{checked}");
    }
}
