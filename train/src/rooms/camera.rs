//! A room and a camera pose in, colours, depths and object numbers per pixel out: ray casting against the parts (parry3d),
//! each part only in the pixels that its corners can reach.

use nalgebra::{Isometry3, Point3, Vector3};
use parry3d::math::Vector;
use parry3d::query::{Ray, RayCast};
use parry3d::shape::{Ball, Cuboid};
use vantage_calibration::PinholeCamera;

use super::layout::{Part, PartShape, Room};

/// Nearest distance at which a part can be seen, metres along the axis.
const NEAR_M: f64 = 0.05;
/// Farthest hit, metres.
const FAR_M: f32 = 50.0;
/// Direction towards the light, in the room.
const LIGHT: [f64; 3] = [0.35, 0.25, 0.9];
/// Share of light that reaches every surface.
const AMBIENT: f64 = 0.62;

/// What the camera sees before noise.
pub(crate) struct Rendering {
    /// Red, green, blue a pixel.
    pub(crate) color: Vec<[u8; 3]>,
    /// Metres along the optical axis; 0 for nothing.
    pub(crate) depth: Vec<f32>,
    /// Cosine between ray and surface normal.
    pub(crate) facing: Vec<f32>,
    /// Object a pixel, -1 for floor, walls and ceiling.
    pub(crate) object: Vec<i32>,
}

/// Casts one ray through every pixel.
pub(crate) fn render(room: &Room, camera: &PinholeCamera, room_from_camera: &Isometry3<f64>) -> Rendering {
    let pixels = camera.width as usize * camera.height as usize;
    let mut out = Rendering { color: vec![[0; 3]; pixels], depth: vec![0.0; pixels], facing: vec![1.0; pixels], object: vec![-1; pixels] };
    render_shell(room, camera, room_from_camera, &mut out);
    for object in &room.objects {
        for part in &object.parts {
            render_part(part, object.id as i32, camera, room_from_camera, &mut out);
        }
    }
    out
}

fn shade(rgb: [u8; 3], normal: Vector3<f64>) -> [u8; 3] {
    let light = Vector3::from(LIGHT).normalize();
    let strength = AMBIENT + (1.0 - AMBIENT) * normal.dot(&light).max(0.0);
    rgb.map(|c| (f64::from(c) * strength).round() as u8)
}

/// Floor, ceiling and walls: where each ray leaves the room's box.
fn render_shell(room: &Room, camera: &PinholeCamera, pose: &Isometry3<f64>, out: &mut Rendering) {
    let origin = pose.translation.vector;
    for v in 0..camera.height {
        for u in 0..camera.width {
            let ray = pose.rotation * camera.ray(f64::from(u), f64::from(v));
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
            let i = (v * camera.width + u) as usize;
            let rgb = if axis == 2 && ray.z < 0.0 { room.floor_rgb } else { room.wall_rgb };
            out.color[i] = shade(rgb, normal);
            // rays have z = 1 in the camera, so the parameter is the depth
            out.depth[i] = along as f32;
            out.facing[i] = (normal.dot(&ray).abs() / ray.norm()) as f32;
        }
    }
}

/// The half-open pixel rectangle (left, right, top, bottom) that can show a part; the whole picture when it reaches behind.
fn reach(part: &Part, camera: &PinholeCamera, camera_from_part: &Isometry3<f64>) -> (u32, u32, u32, u32) {
    let half = match part.shape {
        PartShape::Box { size } => size.map(|s| 0.5 * s),
        PartShape::Sphere { radius } => [radius; 3],
    };
    let (mut left, mut right, mut top, mut bottom) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
    for corner in 0..8 {
        let sign = |bit: u32| if corner & (1 << bit) == 0 { -1.0 } else { 1.0 };
        let p = camera_from_part * Point3::new(sign(0) * half[0], sign(1) * half[1], sign(2) * half[2]);
        match camera.project(&p).filter(|_| p.z > NEAR_M) {
            Some(pixel) => {
                (left, right) = (left.min(pixel.x), right.max(pixel.x));
                (top, bottom) = (top.min(pixel.y), bottom.max(pixel.y));
            }
            None => return (0, camera.width, 0, camera.height),
        }
    }
    let low = |x: f64| x.floor().max(0.0) as u32;
    let high = |x: f64, limit: u32| (x.ceil().max(-1.0) + 1.0).min(f64::from(limit)) as u32;
    (low(left), high(right, camera.width), low(top), high(bottom, camera.height))
}

fn render_part(part: &Part, object: i32, camera: &PinholeCamera, pose: &Isometry3<f64>, out: &mut Rendering) {
    let camera_from_part = pose.inverse() * part.room_from_part;
    if let PartShape::Box { size } = part.shape
        && camera_from_part.translation.z < -size.iter().sum::<f64>()
    {
        return;
    }
    let (left, right, top, bottom) = reach(part, camera, &camera_from_part);
    let part_from_camera = camera_from_part.inverse();
    let as_vector = |v: Vector3<f64>| Vector::new(v.x as f32, v.y as f32, v.z as f32);
    let origin = as_vector(part_from_camera.translation.vector);
    let cuboid;
    let ball;
    let shape: &dyn RayCast = match part.shape {
        PartShape::Box { size } => {
            let half = size.map(|s| 0.5 * s as f32);
            cuboid = Cuboid::new(Vector::new(half[0], half[1], half[2]));
            &cuboid
        }
        PartShape::Sphere { radius } => {
            ball = Ball::new(radius as f32);
            &ball
        }
    };
    for v in top..bottom {
        for u in left..right {
            let i = (v * camera.width + u) as usize;
            let direction = part_from_camera.rotation * camera.ray(f64::from(u), f64::from(v));
            let ray = Ray::new(origin, as_vector(direction));
            let limit = if out.depth[i] > 0.0 { out.depth[i] } else { FAR_M };
            let Some(hit) = shape.cast_local_ray_and_get_normal(&ray, limit, false) else { continue };
            if hit.time_of_impact >= limit || hit.time_of_impact <= 0.0 {
                continue;
            }
            let local = Vector3::new(f64::from(hit.normal.x), f64::from(hit.normal.y), f64::from(hit.normal.z));
            out.depth[i] = hit.time_of_impact;
            out.facing[i] = (local.dot(&direction).abs() / direction.norm()) as f32;
            out.color[i] = shade(part.rgb, part.room_from_part.rotation * local);
            out.object[i] = object;
        }
    }
}
