//! The map against exact worlds: its averages against a plain computation, its surface against the truth, order, moved objects,
//! memory, refusals.

use nalgebra::{Isometry3, Point3, Vector3};
use proptest::prelude::*;
use vantage_calibration::Distortion;

use super::block::{DISTANCE_ONE, SIDE, VOXELS, WEIGHT_ONE};
use super::synthetic::{World, furnished, walk};
use super::*;

const SIZE: (u32, u32) = (96, 72);

fn config() -> TsdfConfig {
    TsdfConfig { voxel_size_m: 0.04, truncation_m: 0.16, ..TsdfConfig::default() }
}

fn averaging() -> TsdfConfig {
    TsdfConfig { carving: false, ..config() }
}

fn fused(config: TsdfConfig, frames: &[RgbdFrame]) -> TsdfMap {
    let mut map = TsdfMap::new(config).unwrap();
    for frame in frames {
        map.integrate(frame).unwrap();
    }
    map
}

/// Every observed voxel: block, place in it, distance over the truncation, weight.
fn voxels(map: &TsdfMap) -> Vec<(Key, usize, f64, f64)> {
    map.store
        .sorted()
        .into_iter()
        .flat_map(|i| (0..VOXELS).map(move |j| (i as usize, j)))
        .filter(|&(i, j)| map.store.voxels[i].weight[j] > 0)
        .map(|(i, j)| {
            let voxels = &map.store.voxels[i];
            let distance = f64::from(voxels.distance[j]) / f64::from(DISTANCE_ONE);
            (map.store.headers[i].key, j, distance, f64::from(voxels.weight[j]) / f64::from(WEIGHT_ONE))
        })
        .collect()
}

/// The running average of Curless and Levoy, in f64 and one voxel at a time, from the frames whose band touches the block.
fn plain_average(map: &TsdfMap, frames: &[RgbdFrame], key: Key, voxel: usize) -> Option<(f64, f64)> {
    let config = map.config();
    let at = [voxel % SIDE, voxel / SIDE % SIDE, voxel / SIDE / SIDE];
    let side = f64::from(config.voxel_size_m);
    let center: [f64; 3] = std::array::from_fn(|k| (f64::from(key[k]) * SIDE as f64 + at[k] as f64 + 0.5) * side);
    let (mut sum, mut weights) = (0.0, 0.0);
    for frame in frames {
        let mut readings = Readings::default();
        readings.read(frame, config.max_depth_m);
        let band = band::band_blocks(&readings, &frame.camera, &frame.world_from_camera, config).unwrap();
        if !band.contains(&key) {
            continue;
        }
        let p = frame.world_from_camera.inverse() * Point3::from(center);
        let Some(pixel) = frame.camera.project(&p).filter(|_| p.z > 0.1) else { continue };
        let (u, v) = ((pixel.x + 0.5).floor(), (pixel.y + 0.5).floor());
        // on the edge between two pixels either may be taken
        let edge = |x: f64| ((x + 0.5) - (x + 0.5).round()).abs() < 1e-3;
        if edge(pixel.x) || edge(pixel.y) {
            return None;
        }
        if u < 0.0 || v < 0.0 || u >= f64::from(SIZE.0) || v >= f64::from(SIZE.1) {
            continue;
        }
        let z = frame.depth.data[v as usize * SIZE.0 as usize + u as usize];
        let ahead = f64::from(z) - p.z;
        let behind = f64::from(config.band_m(z));
        if z > config.max_depth_m || ahead <= -behind {
            if (ahead + behind).abs() < 1e-4 {
                return None;
            }
            continue;
        }
        let faded = ((behind + ahead) / (behind - side)).clamp(0.0, 1.0);
        let weight = ((f64::from(config.reading_weight(z)) * faded * f64::from(WEIGHT_ONE)).round()).max(1.0);
        sum += weight * (ahead / f64::from(config.truncation_m)).clamp(-1.0, 1.0);
        weights += weight;
    }
    (weights > 0.0).then(|| (sum / weights, weights / f64::from(WEIGHT_ONE)))
}

#[test]
fn voxels_hold_the_weighted_mean_of_what_was_read() {
    let frames = walk(&furnished(), 6, SIZE);
    let map = fused(averaging(), &frames);
    let all = voxels(&map);
    let mut compared = 0;
    for (key, voxel, distance, weight) in all.iter().step_by(211) {
        let Some((mean, sum)) = plain_average(&map, &frames, *key, *voxel) else { continue };
        assert!((distance - mean).abs() < 5e-4, "{key:?} {voxel}: {distance} for {mean}");
        assert!((weight - sum).abs() < 0.02, "{key:?} {voxel}: weight {weight} for {sum}");
        compared += 1;
    }
    assert!(compared > 200, "{compared} of {} voxels compared", all.len());
}

#[test]
fn the_surface_lies_on_the_true_one_and_knows_its_color_and_side() {
    let world = furnished();
    let map = fused(config(), &walk(&world, 24, (192, 144)));
    let cloud = map.surface_points();
    let mut errors: Vec<f64> = cloud.positions.iter().map(|p| world.distance_m(*p)).collect();
    errors.sort_by(f64::total_cmp);
    let (median, p95) = (errors[errors.len() / 2], errors[errors.len() * 95 / 100]);
    assert!(cloud.len() > 5_000 && median < 0.004 && p95 < 0.02, "{} points, {median} {p95}", cloud.len());
    let on_top = |p: &[f32; 3]| (1.2..1.6).contains(&p[0]) && (1.1..1.4).contains(&p[1]) && (p[2] - 0.5).abs() < 0.02;
    let top: Vec<usize> = (0..cloud.len()).filter(|&i| on_top(&cloud.positions[i])).collect();
    assert!(top.len() > 50);
    for i in top {
        assert!(cloud.normals[i][2] > 0.9, "{:?} at {:?}", cloud.normals[i], cloud.positions[i]);
        assert!(cloud.colors[i][2] < 90 && cloud.colors[i][0] > 200, "{:?}", cloud.colors[i]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_order_of_frames_matters_only_to_rounding(order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle()) {
        let frames = walk(&furnished(), 8, SIZE);
        let shuffled: Vec<RgbdFrame> = order.iter().map(|&i| frames[i].clone()).collect();
        let (a, b) = (voxels(&fused(averaging(), &frames)), voxels(&fused(averaging(), &shuffled)));
        prop_assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(&b) {
            prop_assert_eq!((x.0, x.1), (y.0, y.1));
            // eight roundings to a step of 1 / 32767
            prop_assert!((x.2 - y.2).abs() < 8.0 / 32_767.0 && (x.3 - y.3).abs() < 1e-9, "{x:?} {y:?}");
        }
    }
}

/// What one frame's band extrapolates behind an edge, another may see to be free: there, and only there, order matters.
#[test]
fn carving_leaves_a_resting_room_as_it_is() {
    let world = furnished();
    let frames = walk(&world, 16, (192, 144));
    let backwards: Vec<RgbdFrame> = frames.iter().rev().cloned().collect();
    let (plain, forth, back) = (fused(averaging(), &frames), fused(config(), &frames), fused(config(), &backwards));
    let (plain, forth, back) = (plain.surface_points(), forth.surface_points(), back.surface_points());
    for cloud in [&forth, &back] {
        let astray = cloud.positions.iter().filter(|p| world.distance_m(**p) > 0.02).count();
        let astray_before = plain.positions.iter().filter(|p| world.distance_m(**p) > 0.02).count();
        assert!(astray <= astray_before && astray * 100 < cloud.len(), "{astray}, without carving {astray_before}");
        assert!(cloud.len() * 100 > plain.len() * 98, "{} of {} points", cloud.len(), plain.len());
    }
}

#[test]
fn a_moved_object_vanishes_and_what_stays_stays() {
    let (with, without) = (furnished(), World::default());
    let view = |world: &World, i: i64| world.frame(i * 33_000_000, [0.3, 0.3, 1.5], [1.5, 1.3, 0.2], (192, 144));
    let mut map = TsdfMap::new(config()).unwrap();
    for i in 0..200 {
        map.integrate(&view(&with, i)).unwrap();
    }
    let of_box = |map: &TsdfMap| {
        let cloud = map.surface_points();
        // what is as near to the floor as readings can err is no contradiction
        let inside = |p: &[f32; 3]| p[2] > 0.12 && (1.05..1.75).contains(&p[0]) && (0.95..1.55).contains(&p[1]);
        (cloud.positions.iter().filter(|p| inside(p)).count(), cloud.len())
    };
    let before = of_box(&map);
    assert!(before.0 > 100);
    let empty = view(&without, 300);
    let mut frames = 0;
    while of_box(&map).0 > 0 && frames < 60 {
        map.integrate(&empty).unwrap();
        frames += 1;
    }
    assert!(frames <= 15, "{} points left after {frames} frames", of_box(&map).0);
    assert!(of_box(&map).1 > before.1 - before.0 - 50, "the rest of the room is still there");
}

#[test]
fn memory_stays_within_its_bound_and_far_old_blocks_go_first() {
    let bounded = TsdfConfig { max_bytes: 300 * store::BLOCK_COST_BYTES, ..config() };
    let mut map = TsdfMap::new(bounded).unwrap();
    let mut evicted = 0;
    let frames = walk(&furnished(), 12, SIZE);
    for lap in 0..3 {
        for (i, frame) in frames.iter().enumerate() {
            let mut frame = frame.clone();
            frame.stamp += lap * 400_000_000;
            // every lap is in another place
            frame.world_from_camera = Isometry3::translation(10.0 * lap as f64, 0.0, 0.0) * frame.world_from_camera;
            let report = map.integrate(&frame).unwrap();
            assert!(map.bytes() <= bounded.max_bytes && map.block_count() <= 300, "frame {i} of lap {lap}");
            assert_eq!(report.blocks_refused, 0);
            evicted += report.blocks_evicted;
        }
    }
    assert!(evicted > 0);
    let far = map.surface_points().positions.iter().filter(|p| p[0] < 9.0).count();
    assert_eq!(far, 0, "the first lap is ten times further away than anything seen since");
}

#[test]
fn a_frame_that_needs_more_than_the_whole_map_is_refused_in_part_and_counted() {
    let bounded = TsdfConfig { max_bytes: 70 * store::BLOCK_COST_BYTES, ..config() };
    let mut map = TsdfMap::new(bounded).unwrap();
    let report = map.integrate(&walk(&furnished(), 1, SIZE)[0]).unwrap();
    assert!(report.blocks_refused > 0 && report.blocks_touched == 70 && map.block_count() == 70, "{report:?}");
}

#[test]
fn what_is_not_seen_again_decays_when_asked_to() {
    let forgetful = TsdfConfig { decay_half_life_s: Some(2.0), ..config() };
    let world = furnished();
    let mut map = fused(forgetful, &walk(&world, 8, SIZE));
    let before = map.block_count();
    let mut decayed = 0;
    for second in 1..60 {
        let frame = world.frame(second * 1_000_000_000, [2.8, 2.4, 1.0], [3.0, 2.5, 0.9], SIZE);
        decayed += map.integrate(&frame).unwrap().blocks_decayed;
    }
    assert!(decayed > before / 2 && map.block_count() < before / 2, "{decayed} of {before}");
    // and a clock that is set back neither panics nor clears the map
    let kept = map.block_count();
    map.integrate(&world.frame(0, [2.8, 2.4, 1.0], [3.0, 2.5, 0.9], SIZE)).unwrap();
    assert_eq!(map.block_count(), kept);
}

#[test]
fn what_is_put_down_has_its_color_at_once_however_long_the_place_was_empty() {
    let view = |world: &World, i: i64| world.frame(i * 33_000_000, [0.3, 0.3, 1.5], [1.5, 1.3, 0.2], (192, 144));
    let mut map = TsdfMap::new(config()).unwrap();
    for i in 0..200 {
        map.integrate(&view(&World::default(), i)).unwrap();
    }
    let low = World { boxes: vec![([1.1, 1.0, 0.0], [1.7, 1.5, 0.1])] };
    for i in 200..380 {
        map.integrate(&view(&low, i)).unwrap();
    }
    let cloud = map.surface_points();
    let on_top = |p: &[f32; 3]| (1.2..1.6).contains(&p[0]) && (1.1..1.4).contains(&p[1]) && p[2] > 0.06;
    let top: Vec<[u8; 3]> =
        cloud.positions.iter().zip(&cloud.colors).filter(|(p, _)| on_top(p)).map(|(_, c)| *c).collect();
    assert!(top.len() > 50 && top.iter().all(|c| c[0] > 150), "{} points, {:?}", top.len(), top.first());
}

#[test]
fn unusable_frames_change_nothing() {
    let mut map = TsdfMap::new(config()).unwrap();
    let good = walk(&furnished(), 1, SIZE).remove(0);
    let mut wrong = good.clone();
    wrong.camera.width = 640;
    let error = map.integrate(&wrong).unwrap_err();
    assert!(matches!(error, TsdfError::CameraSize { .. }) && error.to_string().contains("camera_info"));
    let mut short = good.clone();
    short.depth = std::sync::Arc::new(crate::frame::DepthImage { data: vec![1.0; 5], ..(*good.depth).clone() });
    assert!(matches!(map.integrate(&short), Err(TsdfError::Image { .. })));
    let mut colorless = good.clone();
    colorless.color = std::sync::Arc::new(crate::frame::ColorImage { width: 9, height: 9, data: Vec::new() });
    assert!(map.integrate(&colorless).unwrap_err().to_string().contains("9x9"));
    let mut bent = good.clone();
    bent.camera.distortion = Distortion::PlumbBob([0.1, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(map.integrate(&bent), Err(TsdfError::Lens));
    for x in [f64::NAN, f64::INFINITY, 1.0e12] {
        let mut lost = good.clone();
        lost.world_from_camera.translation.vector = Vector3::new(x, 0.0, 0.0);
        assert!(matches!(map.integrate(&lost), Err(TsdfError::Pose { .. })));
    }
    assert_eq!((map.revision(), map.block_count(), map.voxel_count()), (0, 0, 0));
}
