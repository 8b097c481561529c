//! Procedural rooms, whose every surface is known, recorded with a noisy depth camera and fused: how far the map lies from the truth,
//! and how well boxes fit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use nalgebra::Point3;
use vantage_scene::{OrientedBox, TsdfConfig, TsdfMap};
use vantage_train::rooms::{Difficulty, Object, PartShape, RecordConfig, Room, RoomConfig, generate, record};

const VOXEL_M: f64 = 0.02;
/// A point belongs to an object from which it is at most this far, metres.
const OWN_M: f64 = 0.02;
/// Objects of at least this size in every direction are fitted: three truncations of the map, metres.
const LEAST_SIZE_M: f64 = 0.25;

/// Distance of a point to the surface of a part, metres; negative inside.
fn part_distance(shape: PartShape, p: Point3<f64>) -> f64 {
    let outside = |d: [f64; 3]| {
        let out = d.iter().map(|x| x.max(0.0).powi(2)).sum::<f64>().sqrt();
        out + d.iter().copied().fold(f64::NEG_INFINITY, f64::max).min(0.0)
    };
    match shape {
        PartShape::Box { size } => outside(std::array::from_fn(|k| p[k].abs() - 0.5 * size[k])),
        PartShape::Cylinder { radius, height } => {
            outside([p.x.hypot(p.y) - radius, p.z.abs() - 0.5 * height, f64::NEG_INFINITY])
        }
        PartShape::Sphere { radius } => p.coords.norm() - radius,
    }
}

fn object_distance(object: &Object, p: [f64; 3]) -> f64 {
    let distances = object
        .parts
        .iter()
        .map(|part| part_distance(part.shape, part.room_from_part.inverse_transform_point(&Point3::from(p))));
    distances.fold(f64::INFINITY, |least, d| least.min(d.abs()))
}

fn wall_distance(room: &Room, p: [f64; 3]) -> f64 {
    (0..3).map(|k| p[k].abs().min((room.size[k] - p[k]).abs())).fold(f64::INFINITY, f64::min)
}

/// The fused surface of a walk through `room`.
fn fused(room: &Room) -> Vec<[f64; 3]> {
    let walk = RecordConfig { width: 320, height: 240, frames: 72, ..RecordConfig::default() };
    let config =
        TsdfConfig { voxel_size_m: VOXEL_M as f32, truncation_m: 4.0 * VOXEL_M as f32, ..TsdfConfig::default() };
    let mut map = TsdfMap::new(config).unwrap();
    for frame in &record(room, &walk).frames {
        map.integrate(frame).unwrap();
    }
    map.surface_points().positions.iter().map(|p| p.map(f64::from)).collect()
}

fn share(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

#[test]
fn the_map_of_a_room_lies_within_half_a_voxel_of_its_surfaces() {
    for seed in [3, 17, 40] {
        let room = generate(seed, &RoomConfig::of(Difficulty::Easy));
        let points = fused(&room);
        let distance =
            |p: &[f64; 3]| room.objects.iter().map(|o| object_distance(o, *p)).fold(wall_distance(&room, *p), f64::min);
        let mut errors: Vec<f64> = points.iter().map(distance).collect();
        let (median, p95) = (share(&mut errors, 0.5), share(&mut errors, 0.95));
        eprintln!("room {seed}: {} points, median {:.1} mm, 95% {:.1} mm", points.len(), 1e3 * median, 1e3 * p95);
        assert!(points.len() > 20_000 && median < 0.5 * VOXEL_M, "room {seed}: {median} m");
        assert!(p95 < 1.5 * VOXEL_M, "room {seed}: 95% {p95} m");
    }
}

/// Sides of an object's box, of the top and the four upright ones, near which points lie.
fn seen_sides(object: &Object, points: &[[f32; 3]]) -> usize {
    let bbox = &object.bbox;
    let (sin, cos) = bbox.yaw.sin_cos();
    let own = |p: &[f32; 3]| {
        let d: [f64; 3] = std::array::from_fn(|k| f64::from(p[k]) - bbox.center[k]);
        [cos * d[0] + sin * d[1], -sin * d[0] + cos * d[1], d[2]]
    };
    let sides = [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0), (2, 1.0)];
    let near = |(axis, sign): &(usize, f64)| {
        points.iter().filter(|p| (0.5 * bbox.size[*axis] - sign * own(p)[*axis]).abs() < 1.5 * VOXEL_M).count() > 30
    };
    sides.iter().filter(|side| near(side)).count()
}

#[test]
fn the_box_of_a_segmented_object_is_found() {
    let mut overlaps = Vec::new();
    for seed in 60..72 {
        let room = generate(seed, &RoomConfig::of(Difficulty::Easy));
        let points = fused(&room);
        // what is round has no yaw
        let is_round = |o: &Object| o.parts.iter().all(|part| !matches!(part.shape, PartShape::Box { .. }));
        let fitted = |o: &&Object| o.bbox.size.iter().all(|s| *s > LEAST_SIZE_M) && !is_round(o);
        for object in room.objects.iter().filter(fitted) {
            let mine = |p: &&[f64; 3]| {
                let own = object_distance(object, **p);
                let others = room.objects.iter().filter(|o| o.id != object.id).map(|o| object_distance(o, **p));
                own < OWN_M && own < others.fold(wall_distance(&room, **p), f64::min)
            };
            let own: Vec<[f32; 3]> = points.iter().filter(mine).map(|p| p.map(|x| x as f32)).collect();
            // what was not seen from enough sides has no box to be found
            if seen_sides(object, &own) < 4 {
                continue;
            }
            let found = OrientedBox::fit_yaw_robust(&own, None).unwrap();
            let iou = found.iou(&object.bbox);
            eprintln!("room {seed}: {} of {} points: IoU {iou:.3}", object.class, own.len());
            overlaps.push(iou);
        }
    }
    let good = overlaps.iter().filter(|iou| **iou >= 0.9).count();
    let (median, least) = (share(&mut overlaps, 0.5), share(&mut overlaps, 0.0));
    eprintln!("{good} of {} boxes have an IoU of 0.9 or more; median {median:.3}, least {least:.3}", overlaps.len());
    assert!(overlaps.len() >= 50 && median >= 0.9 && least > 0.75, "median {median}, least {least}");
    assert!(good * 10 >= overlaps.len() * 8, "{good} of {}", overlaps.len());
}
