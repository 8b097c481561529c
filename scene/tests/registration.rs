//! Depth registered from one camera to another, against the depth that the other camera sees by ray casting: a furnished room,
//! two cameras with different lenses, a baseline and a small rotation.
#![allow(clippy::unwrap_used)]

use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3};
use vantage_calibration::{Distortion, PinholeCamera, RayTable};
use vantage_scene::{DepthImage, register_depth};

/// A depth this far from the truth, as a share, is that of another surface.
const OTHER_SURFACE: f64 = 0.03;
/// A step in depth larger than this is an edge, metres.
const EDGE_M: f64 = 0.05;
/// An edge is looked for up to here, pixels.
const EDGE_SEARCH_PX: usize = 20;

/// A box of half extents `half`.
struct Block {
    world_from_block: Isometry3<f64>,
    half: Vector3<f64>,
}

fn block(center: [f64; 3], half: [f64; 3], turn: [f64; 3]) -> Block {
    let rotation = UnitQuaternion::from_scaled_axis(Vector3::from(turn));
    Block { world_from_block: Isometry3::from_parts(Translation3::from(center), rotation), half: half.into() }
}

/// In the depth camera's frame: a room's floor, ceiling and walls, and boxes and plates at several depths.
fn room() -> Vec<Block> {
    vec![
        block([0.0, 0.0, 4.5], [6.0, 4.0, 0.1], [0.1, 0.3, 0.0]),
        block([0.0, 1.4, 2.0], [6.0, 0.1, 6.0], [0.05, 0.0, 0.02]),
        block([0.0, -1.9, 2.0], [6.0, 0.1, 6.0], [0.0, 0.0, 0.0]),
        block([-2.6, 0.0, 2.0], [0.1, 4.0, 6.0], [0.0, 0.1, 0.0]),
        block([0.3, 0.5, 1.6], [0.2, 0.25, 0.15], [0.1, 0.6, 0.05]),
        block([-0.7, 0.2, 2.4], [0.3, 0.5, 0.2], [0.0, -0.4, 0.1]),
        block([0.9, -0.3, 3.0], [0.4, 0.3, 0.01], [0.0, 0.2, 0.3]),
        block([-0.15, -0.25, 1.0], [0.12, 0.08, 0.01], [0.2, -0.1, 0.4]),
        block([1.6, 0.3, 2.8], [0.05, 1.2, 0.05], [0.0, 0.3, 0.1]),
    ]
}

/// Where along `direction` the ray first meets a block.
fn cast(blocks: &[Block], origin: &Point3<f64>, direction: &Vector3<f64>) -> f64 {
    let meet = |b: &Block| {
        let o = b.world_from_block.inverse_transform_point(origin).coords;
        let d = b.world_from_block.inverse_transform_vector(direction);
        let (mut enter, mut leave) = (0.0f64, f64::INFINITY);
        for k in 0..3 {
            let (a, c) = ((-b.half[k] - o[k]) / d[k], (b.half[k] - o[k]) / d[k]);
            (enter, leave) = (enter.max(a.min(c)), leave.min(a.max(c)));
        }
        (enter <= leave && enter > 0.0).then_some(enter)
    };
    blocks.iter().filter_map(meet).fold(f64::INFINITY, f64::min)
}

/// Depth along the optical axis as a camera at `world_from_camera` sees it.
fn see(blocks: &[Block], camera: &PinholeCamera, world_from_camera: &Isometry3<f64>) -> Vec<f32> {
    let origin = world_from_camera * Point3::origin();
    let pixels = (0..camera.height).flat_map(|v| (0..camera.width).map(move |u| (u, v)));
    let depth = |(u, v): (u32, u32)| {
        let ray = camera.ray(f64::from(u), f64::from(v));
        if ray.x.is_nan() { 0.0 } else { cast(blocks, &origin, &(world_from_camera * ray)) as f32 }
    };
    pixels.map(depth).collect()
}

struct Figures {
    median_m: f64,
    p95_m: f64,
    /// Pixels whose true surface the depth camera sees, but that show another, more than a pixel from an edge.
    wrong: usize,
    /// Of those that show a surface behind the true one.
    shown_through: usize,
    /// Pixels without depth although the depth camera sees their surface, more than a pixel from an edge.
    holes: usize,
    /// How far from the truth's edges, on the nearer side and where the depth camera sees it, those found lie: mean and largest.
    edge_mean_px: f64,
    edge_most_px: usize,
    /// Share of the target that has depth.
    filled: f64,
}

/// Pixels with one beside them that is further by more than [`EDGE_M`]; no depth counts as far.
fn near_sides(depth: &[f64], width: usize) -> Vec<bool> {
    let far = |z: f64| if z > 0.0 { z } else { f64::INFINITY };
    let mut near = vec![false; depth.len()];
    for i in 0..depth.len() {
        let beside = [
            (i + 1 < depth.len() && (i + 1) % width != 0).then_some(i + 1),
            (i + width < depth.len()).then_some(i + width),
        ];
        for j in beside.into_iter().flatten() {
            let (a, b) = (far(depth[i]), far(depth[j]));
            near[i] |= a.is_finite() && b - a > EDGE_M;
            near[j] |= b.is_finite() && a - b > EDGE_M;
        }
    }
    near
}

fn measure(depth_camera: &PinholeCamera, target: &PinholeCamera, target_from_depth: &Isometry3<f64>) -> Figures {
    let blocks = room();
    let depth = see(&blocks, depth_camera, &Isometry3::identity());
    let depth = DepthImage::new(depth_camera.width, depth_camera.height, depth).unwrap();
    let mut out = DepthImage::new(1, 1, vec![0.0]).unwrap();
    register_depth(&depth, &RayTable::new(depth_camera), target, target_from_depth, &mut out);
    assert_eq!((out.width, out.height), (target.width, target.height));

    let depth_from_target = target_from_depth.inverse();
    let truth: Vec<f64> = see(&blocks, target, &depth_from_target).iter().map(|z| f64::from(*z)).collect();
    let (width, height) = (target.width as usize, target.height as usize);
    // what the depth camera sees, and whether by more than the rim of its picture
    let sees = |u: usize, v: usize| {
        let p = depth_from_target * Point3::from(target.ray(u as f64, v as f64) * truth[v * width + u]);
        let Some(pixel) = depth_camera.project(&p) else { return false };
        let (w, h) = (f64::from(depth_camera.width) - 1.5, f64::from(depth_camera.height) - 1.5);
        let inside = pixel.x > 0.5 && pixel.y > 0.5 && pixel.x < w && pixel.y < h;
        inside && cast(&blocks, &Point3::origin(), &p.coords) > 1.0 - 1e-4
    };
    let seen: Vec<bool> = (0..width * height).map(|i| sees(i % width, i / width)).collect();
    // a pixel inside of what the depth camera sees; its own picture has no finer edge
    let inside = |u: usize, v: usize| {
        u > 0
            && v > 0
            && u + 1 < width
            && v + 1 < height
            && (v - 1..=v + 1).all(|v| seen[v * width + u - 1..=v * width + u + 1].iter().all(|s| *s))
    };
    // within a pixel of a step in the true depth
    let (true_depth, near) = (&truth, |u: usize, v: usize| v * width + u);
    let near_edge = |u: usize, v: usize| {
        let around = |x: usize, most: usize| x.saturating_sub(1)..=(x + 1).min(most - 1);
        let z = around(v, height).flat_map(|v| around(u, width).map(move |u| true_depth[near(u, v)]));
        let (low, high) = z.fold((f64::INFINITY, 0.0f64), |(low, high), z| (low.min(z), high.max(z)));
        high - low > EDGE_M
    };
    let mut errors = Vec::new();
    let (mut wrong, mut shown_through, mut holes) = (0, 0, 0);
    for i in (0..width * height).filter(|i| seen[*i]) {
        let (z, true_z) = (f64::from(out.data[i]), truth[i]);
        let edge = near_edge(i % width, i / width);
        if z > 0.0 {
            errors.push((z - true_z).abs());
        }
        let other = z > 0.0 && (z / true_z - 1.0).abs() > OTHER_SURFACE;
        wrong += usize::from(other && !edge);
        shown_through += usize::from(other && !edge && z > true_z);
        holes += usize::from(z == 0.0 && !edge && inside(i % width, i / width));
    }
    errors.sort_by(f64::total_cmp);
    let registered: Vec<f64> = out.data.iter().map(|z| f64::from(*z)).collect();
    let (true_edges, edges) = (near_sides(&truth, width), near_sides(&registered, width));
    let distance = |i: usize| {
        let (u, v) = (i % width, i / width);
        let ring = |d: usize| {
            let rows = v.saturating_sub(d)..(v + d + 1).min(height);
            rows.flat_map(move |v| (u.saturating_sub(d)..(u + d + 1).min(width)).map(move |u| v * width + u))
        };
        (0..EDGE_SEARCH_PX).find(|d| ring(*d).any(|i| edges[i])).unwrap_or(EDGE_SEARCH_PX)
    };
    let distances: Vec<usize> = (0..width * height).filter(|i| true_edges[*i] && seen[*i]).map(distance).collect();
    Figures {
        median_m: errors[errors.len() / 2],
        p95_m: errors[errors.len() * 95 / 100],
        wrong,
        shown_through,
        holes,
        edge_mean_px: distances.iter().sum::<usize>() as f64 / distances.len() as f64,
        edge_most_px: distances.iter().copied().max().unwrap(),
        filled: out.data.iter().filter(|z| **z > 0.0).count() as f64 / out.data.len() as f64,
    }
}

/// The colour camera of a stereo sensor: 50 mm beside, turned by about a degree about every axis.
fn beside() -> Isometry3<f64> {
    Isometry3::new(Vector3::new(-0.05, 0.004, 0.002), Vector3::new(0.012, -0.015, 0.02))
}

fn pinhole(width: u32, height: u32, focal: f64) -> PinholeCamera {
    let center = |side: u32| f64::from(side) / 2.0 - 0.5 + 3.3;
    PinholeCamera::new(width, height, focal, 1.003 * focal, center(width), center(height), Distortion::None).unwrap()
}

fn assert_good(name: &str, depth_camera: &PinholeCamera, target: &PinholeCamera) -> Figures {
    let f = measure(depth_camera, target, &beside());
    eprintln!(
        "{name}: depth median {:.2} mm, p95 {:.2} mm; edges {:.2} px mean, {} px most; wrong {}, shown through {}, holes {}; filled {:.3}",
        f.median_m * 1e3,
        f.p95_m * 1e3,
        f.edge_mean_px,
        f.edge_most_px,
        f.wrong,
        f.shown_through,
        f.holes,
        f.filled
    );
    assert!(f.median_m < 0.001 && f.p95_m < 0.003);
    assert_eq!((f.wrong, f.shown_through, f.holes), (0, 0, 0));
    assert!(f.edge_mean_px < 1.0 && f.edge_most_px <= 1);
    f
}

#[test]
fn a_finer_camera_of_the_same_size_sees_every_surface_once() {
    let f = assert_good("640x480 at 383 px to 640x480 at 617 px", &pinhole(640, 480, 383.0), &pinhole(640, 480, 617.0));
    assert!(f.filled > 0.95, "{}", f.filled);
}

#[test]
fn equal_cameras_differ_by_the_baseline_only() {
    assert_good("640x480 at 525 px to the same", &pinhole(640, 480, 525.0), &pinhole(640, 480, 525.0));
}

#[test]
fn a_coarser_camera_takes_the_nearest_surface() {
    assert_good("640x480 at 525 px to 320x240 at 262 px", &pinhole(640, 480, 525.0), &pinhole(320, 240, 262.0));
}

#[test]
fn both_lenses_may_bend() {
    let rational = [0.548, -0.021, 2.1e-5, -7.2e-5, -0.0027, 0.8897, 0.0861, -0.0139];
    let depth = PinholeCamera { distortion: Distortion::RationalPolynomial(rational), ..pinhole(640, 576, 504.0) };
    let lens = Distortion::PlumbBob([0.076, -0.107, -0.0005, 0.0003, 0.044]);
    let target = PinholeCamera { distortion: lens, ..pinhole(640, 480, 498.0) };
    assert_good("bent 640x576 to bent 640x480", &depth, &target);
}
