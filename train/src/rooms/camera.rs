//! A room, its look and a camera pose in, colours, depths and object numbers per pixel out: ray casting against the parts
//! (parry3d), each part only in the pixels that its corners can reach.

use nalgebra::{Isometry3, Point3, Vector3};
use parry3d::math::Vector;
use parry3d::query::{Ray, RayCast};
use parry3d::shape::{Ball, Cuboid, Cylinder};
use vantage_calibration::{PinholeCamera, RayTable};

use super::appearance::{Look, reflectivity};
use super::layout::{Part, PartShape, Room};
use super::light::Light;
use super::texture::Texture;

/// Nearest distance at which a part can be seen, metres along the axis.
const NEAR_M: f64 = 0.05;
/// Farthest hit, metres.
const FAR_M: f32 = 50.0;
/// Surfaces flatter to the ray than this are sampled as if they were not, for how much of them a pixel covers.
const LEAST_FACING: f32 = 0.05;

/// What the camera sees before noise.
pub(crate) struct Rendering {
    /// Red, green, blue a pixel.
    pub(crate) color: Vec<[u8; 3]>,
    /// Metres along the optical axis; 0 for nothing.
    pub(crate) depth: Vec<f32>,
    /// Cosine between ray and surface normal.
    pub(crate) facing: Vec<f32>,
    /// Share of light that the surface throws back, 0 to 1; 0 for nothing.
    pub(crate) reflectivity: Vec<f32>,
    /// Object a pixel, -1 for floor, walls and ceiling.
    pub(crate) object: Vec<i32>,
}

/// How surfaces are shown: their patterns, and the light as this frame is exposed to it.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) look: &'a Look,
    pub(crate) light: Light,
}

/// Casts one ray through every pixel; `rays` are those of `camera`.
pub(crate) fn render(
    room: &Room,
    shown: Shown<'_>,
    camera: &PinholeCamera,
    rays: &RayTable,
    room_from_camera: &Isometry3<f64>,
) -> Rendering {
    let pixels = camera.width as usize * camera.height as usize;
    let mut out = Rendering {
        color: vec![[0; 3]; pixels],
        depth: vec![0.0; pixels],
        facing: vec![1.0; pixels],
        reflectivity: vec![0.0; pixels],
        object: vec![-1; pixels],
    };
    render_shell(room, shown, camera, rays, room_from_camera, &mut out);
    for wall in &room.walls {
        render_part(wall, -1, &shown.look.wall, shown.light, camera, rays, room_from_camera, &mut out);
    }
    for (object, textures) in room.objects.iter().zip(&shown.look.parts) {
        for (part, texture) in object.parts.iter().zip(textures) {
            render_part(part, object.id as i32, texture, shown.light, camera, rays, room_from_camera, &mut out);
        }
    }
    out
}

/// Metres of a surface at `depth` that a pixel covers, in the direction in which it covers most.
fn pixel_size(depth: f32, facing: f32, camera: &PinholeCamera) -> f32 {
    depth / (camera.fx as f32 * facing.max(LEAST_FACING))
}

/// Floor, ceiling and walls: where each ray leaves the room's box.
fn render_shell(
    room: &Room,
    shown: Shown<'_>,
    camera: &PinholeCamera,
    rays: &RayTable,
    pose: &Isometry3<f64>,
    out: &mut Rendering,
) {
    let (wall_reflectivity, floor_reflectivity) = (reflectivity(room.wall_rgb), reflectivity(room.floor_rgb));
    let origin = pose.translation.vector;
    let rotation = pose.rotation.to_rotation_matrix();
    for (i, &[x, y]) in rays.rays.iter().enumerate() {
        let ray = rotation * Vector3::new(f64::from(x), f64::from(y), 1.0);
        let (mut along, mut axis) = (f64::INFINITY, 2);
        for k in 0..3 {
            let wall = if ray[k] > 0.0 { room.size[k] } else { 0.0 };
            let t = (wall - origin[k]) / ray[k];
            if ray[k] != 0.0 && t < along {
                (along, axis) = (t, k);
            }
        }
        if !along.is_finite() || along <= 0.0 {
            continue;
        }
        let mut normal = Vector3::zeros();
        normal[axis] = -ray[axis].signum();
        // rays have z = 1 in the camera, so the parameter is the depth
        out.depth[i] = along as f32;
        out.facing[i] = (normal.dot(&ray).abs() / ray.norm()) as f32;
        let (rgb, texture);
        (rgb, texture, out.reflectivity[i]) = if axis == 2 && ray.z < 0.0 {
            (room.floor_rgb, &shown.look.floor, floor_reflectivity)
        } else {
            (room.wall_rgb, &shown.look.wall, wall_reflectivity)
        };
        let at = (origin + ray * along).cast::<f32>().into();
        let rgb = texture.color(rgb.map(f32::from), at, pixel_size(out.depth[i], out.facing[i], camera));
        out.color[i] = shown.light.shade(rgb, normal);
    }
}

/// The half-open pixel rectangle (left, right, top, bottom) that can show a part: empty behind the camera, the whole
/// picture for a part that reaches past it.
fn reach(half: [f64; 3], camera: &PinholeCamera, camera_from_part: &Isometry3<f64>) -> (u32, u32, u32, u32) {
    let (mut left, mut right, mut top, mut bottom) =
        (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
    let mut behind = 0;
    for corner in 0..8 {
        let sign = |bit: u32| if corner & (1 << bit) == 0 { -1.0 } else { 1.0 };
        let p = camera_from_part * Point3::new(sign(0) * half[0], sign(1) * half[1], sign(2) * half[2]);
        match camera.project(&p).filter(|_| p.z > NEAR_M) {
            Some(pixel) => {
                (left, right) = (left.min(pixel.x), right.max(pixel.x));
                (top, bottom) = (top.min(pixel.y), bottom.max(pixel.y));
            }
            None => behind += 1,
        }
    }
    match behind {
        0 => {}
        8 => return (0, 0, 0, 0),
        _ => return (0, camera.width, 0, camera.height),
    }
    let low = |x: f64| x.floor().max(0.0) as u32;
    let high = |x: f64, limit: u32| (x.ceil().max(-1.0) + 1.0).min(f64::from(limit)) as u32;
    (low(left), high(right, camera.width), low(top), high(bottom, camera.height))
}

/// A part as parry knows it.
enum Solid {
    Box(Cuboid),
    /// Stands along y in parry, along z here.
    Cylinder(Cylinder),
    Sphere(Ball),
}

impl Solid {
    fn new(shape: PartShape) -> Self {
        match shape {
            PartShape::Box { size } => {
                let half = size.map(|s| 0.5 * s as f32);
                Self::Box(Cuboid::new(Vector::new(half[0], half[1], half[2])))
            }
            PartShape::Cylinder { radius, height } => Self::Cylinder(Cylinder::new(0.5 * height as f32, radius as f32)),
            PartShape::Sphere { radius } => Self::Sphere(Ball::new(radius as f32)),
        }
    }

    /// Ray parameter and surface normal of the first hit, in the part's frame.
    fn cast(&self, origin: Vector3<f32>, direction: Vector3<f32>, limit: f32) -> Option<(f32, Vector3<f32>)> {
        let (hit, along_y) = match self {
            Self::Cylinder(cylinder) => {
                let turn = |v: Vector3<f32>| Vector::new(v.x, v.z, -v.y);
                let ray = Ray::new(turn(origin), turn(direction));
                (cylinder.cast_local_ray_and_get_normal(&ray, limit, false)?, true)
            }
            other => {
                let same = |v: Vector3<f32>| Vector::new(v.x, v.y, v.z);
                let ray = Ray::new(same(origin), same(direction));
                let hit = match other {
                    Self::Box(cuboid) => cuboid.cast_local_ray_and_get_normal(&ray, limit, false),
                    Self::Sphere(ball) => ball.cast_local_ray_and_get_normal(&ray, limit, false),
                    Self::Cylinder(_) => None,
                };
                (hit?, false)
            }
        };
        let n = hit.normal;
        let normal = if along_y { Vector3::new(n.x, -n.z, n.y) } else { Vector3::new(n.x, n.y, n.z) };
        Some((hit.time_of_impact, normal))
    }
}

fn render_part(
    part: &Part,
    object: i32,
    texture: &Texture,
    light: Light,
    camera: &PinholeCamera,
    rays: &RayTable,
    pose: &Isometry3<f64>,
    out: &mut Rendering,
) {
    let camera_from_part = pose.inverse() * part.room_from_part;
    let (left, right, top, bottom) = reach(part.shape.half_extents(), camera, &camera_from_part);
    let part_from_camera = camera_from_part.inverse().cast::<f32>();
    let origin = part_from_camera.translation.vector;
    let rotation = part_from_camera.rotation.to_rotation_matrix();
    let solid = Solid::new(part.shape);
    let part_reflectivity = reflectivity(part.rgb);
    for v in top..bottom {
        for u in left..right {
            let i = (v * camera.width + u) as usize;
            let [x, y] = rays.rays[i];
            let direction = rotation * Vector3::new(x, y, 1.0);
            let limit = if out.depth[i] > 0.0 { out.depth[i] } else { FAR_M };
            let Some((along, normal)) = solid.cast(origin, direction, limit) else { continue };
            if along >= limit || along <= 0.0 {
                continue;
            }
            out.depth[i] = along;
            out.facing[i] = normal.dot(&direction).abs() / direction.norm();
            out.reflectivity[i] = part_reflectivity;
            let at = (origin + direction * along).into();
            let rgb = texture.color(part.rgb.map(f32::from), at, pixel_size(along, out.facing[i], camera));
            out.color[i] = light.shade(rgb, part.room_from_part.rotation * normal.cast::<f64>());
            out.object[i] = object;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::appearance::Appearance;
    use super::super::config::Difficulty;
    use super::super::layout::{Object, RoomConfig, generate};
    use super::super::placement::Surface;
    use super::*;
    use nalgebra::{Translation3, UnitQuaternion};
    use vantage_calibration::Distortion;
    use vantage_scene::OrientedBox;

    /// A room 4 m long with one shape 2 m before the camera, which looks along +x from the middle of a wall.
    fn view_of(shape: PartShape) -> (Rendering, PinholeCamera, RayTable) {
        let camera = PinholeCamera::new(161, 121, 90.0, 90.0, 80.0, 60.0, Distortion::None).unwrap();
        let rays = RayTable::new(&camera);
        let room_from_part = Isometry3::translation(2.0, 2.0, 1.2);
        let mut room = generate(1, &RoomConfig::of(Difficulty::Easy));
        room.size = [4.0, 4.0, 2.5];
        room.objects = vec![Object {
            id: 0,
            class: "box",
            color: "red",
            parts: vec![Part { shape, room_from_part, rgb: [200, 35, 35] }],
            bbox: OrientedBox { center: [2.0, 2.0, 1.2], size: shape.half_extents().map(|h| 2.0 * h), yaw: 0.0 },
            supported_by: None,
            top: Surface { min: [0.0; 2], max: [0.0; 2], height: 0.0 },
        }];
        let rotation = UnitQuaternion::face_towards(&Vector3::x(), &-Vector3::z());
        let pose = Isometry3::from_parts(Translation3::new(0.0, 2.0, 1.2), rotation);
        let look = Look::new(&room, Appearance::PLAIN);
        (render(&room, Shown { look: &look, light: look.light }, &camera, &rays, &pose), camera, rays)
    }

    #[test]
    fn depths_are_those_of_the_formulas() {
        let (box_view, camera, rays) = view_of(PartShape::Box { size: [0.4, 0.6, 0.8] });
        let (drum_view, ..) = view_of(PartShape::Cylinder { radius: 0.3, height: 0.8 });
        let (ball_view, ..) = view_of(PartShape::Sphere { radius: 0.3 });
        let mut hits = [0; 3];
        for (i, &[x, y]) in rays.rays.iter().enumerate() {
            let (x, y) = (f64::from(x), f64::from(y));
            // camera axes: x to the right is -y of the room, y down is -z, the far wall is at depth 4
            let across = if y > 0.0 { 1.2 / y } else { 1.3 / y.abs() };
            let wall = 4.0f64.min(2.0 / x.abs()).min(across);
            // straight on, a box shows its front face alone
            if (x * 1.8).abs() < 0.299 && (y * 1.8).abs() < 0.399 {
                assert!((f64::from(box_view.depth[i]) - 1.8).abs() < 1e-4);
                hits[0] += 1;
            } else if (x * 1.8).abs() > 0.301 || (y * 1.8).abs() > 0.401 {
                assert!((f64::from(box_view.depth[i]) - wall).abs() < 1e-4);
            }
            // |(x t, t - 2)| = 0.3
            let root = 4.0 - (1.0 + x * x) * (4.0 - 0.09);
            let t = (2.0 - root.max(0.0).sqrt()) / (1.0 + x * x);
            if root > 0.01 && (y * t).abs() < 0.399 {
                assert!((f64::from(drum_view.depth[i]) - t).abs() < 1e-3, "{} for {t}", drum_view.depth[i]);
                hits[1] += 1;
            } else if root < -0.01 {
                assert!((f64::from(drum_view.depth[i]) - wall).abs() < 1e-4);
            }
            let root = 4.0 - (1.0 + x * x + y * y) * (4.0 - 0.09);
            let t = (2.0 - root.max(0.0).sqrt()) / (1.0 + x * x + y * y);
            if root > 0.01 {
                assert!((f64::from(ball_view.depth[i]) - t).abs() < 1e-3);
                hits[2] += 1;
            }
        }
        assert!(hits.iter().all(|&n| n > 400), "{hits:?}");
        let middle = (60 * camera.width + 80) as usize;
        assert_eq!((box_view.object[middle], box_view.object[0]), (0, -1));
    }
}
