//! Keyframes of a camera that walks through a box-shaped room: which are kept, what they see, and that the bounds hold.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::f64::consts::TAU;
use std::sync::Arc;

use nalgebra::{Isometry3, Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use vantage_calibration::{Distortion, PinholeCamera};
use vantage_scene::{
    CameraId, CellKey, ColorImage, DepthImage, KeyframeConfig, KeyframeStore, RgbdFrame, visible_cells,
};

const WIDTH: u32 = 48;
const HEIGHT: u32 = 36;
const FRAME_BYTES: usize = 7 * (WIDTH * HEIGHT) as usize;
/// Half of the room's sides, metres.
const HALF: [f64; 3] = [2.5, 2.0, 1.3];

/// Looking along `yaw` from (x, y), as an optical frame: z forward, x right, y down.
fn pose(x: f64, y: f64, yaw: f64) -> Isometry3<f64> {
    let (sin, cos) = yaw.sin_cos();
    let axes = Matrix3::from_columns(&[
        Vector3::new(sin, -cos, 0.0),
        Vector3::new(0.0, 0.0, -1.0),
        Vector3::new(cos, sin, 0.0),
    ]);
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix(&axes));
    Isometry3::from_parts(Translation3::new(x, y, 0.0), rotation)
}

/// Depth of the room's walls by the nearest plane that a ray leaves it through; stripes, smeared over `blur` pixels.
fn frame(world_from_camera: Isometry3<f64>, blur: u32) -> RgbdFrame {
    let focal = f64::from(WIDTH) * 0.6;
    let (cx, cy) = (f64::from(WIDTH) / 2.0 - 0.5, f64::from(HEIGHT) / 2.0 - 0.5);
    let camera = PinholeCamera::new(WIDTH, HEIGHT, focal, focal, cx, cy, Distortion::None).unwrap();
    let origin = world_from_camera.translation.vector;
    let mut depths = Vec::new();
    let mut colors = Vec::new();
    for v in 0..HEIGHT {
        for u in 0..WIDTH {
            let ray = world_from_camera.rotation * camera.ray(f64::from(u), f64::from(v));
            let leaves = (0..3).map(|k| ((HALF[k] * ray[k].signum() - origin[k]) / ray[k]).max(0.0));
            depths.push(leaves.filter(|t| t.is_finite()).fold(f64::INFINITY, f64::min) as f32);
            let stripe = |u: u32| if (u + v) % 4 < 2 { 200 } else { 40 };
            let level = ((0..=blur).map(|k| stripe(u + k)).sum::<u32>() / (blur + 1)) as u8;
            colors.extend([level; 3]);
        }
    }
    RgbdFrame {
        camera_id: CameraId(0),
        stamp: 0,
        color: Arc::new(ColorImage::new(WIDTH, HEIGHT, colors).unwrap()),
        depth: Arc::new(DepthImage::new(WIDTH, HEIGHT, depths).unwrap()),
        camera,
        world_from_camera,
    }
}

/// Rounds on an ellipse, looking outwards and about.
fn walk(frames: usize, rounds: f64) -> impl Iterator<Item = Isometry3<f64>> {
    (0..frames).map(move |i| {
        let angle = TAU * rounds * i as f64 / frames as f64;
        pose(1.2 * angle.cos(), 0.8 * angle.sin(), angle + 0.9 * (7.0 * angle).sin())
    })
}

fn seen(store: &KeyframeStore) -> BTreeSet<CellKey> {
    store.keyframes().iter().flat_map(|k| k.visible_cells()).copied().collect()
}

#[test]
fn a_camera_that_stands_still_makes_one_keyframe() {
    let mut store = KeyframeStore::new(KeyframeConfig::default());
    let stored: Vec<_> = (0..100).filter_map(|_| store.offer(&frame(pose(0.0, 0.0, 0.3), 0))).collect();
    assert_eq!((stored, store.keyframes().len()), (vec![0], 1));
}

#[test]
fn a_view_that_was_seen_twice_is_not_kept_again() {
    let mut store = KeyframeStore::new(KeyframeConfig::default());
    let (here, there) = (pose(0.0, 0.0, 0.0), pose(0.0, 0.0, 0.4));
    let kept: Vec<bool> =
        (0..10).map(|i| store.offer(&frame(if i % 2 == 0 { here } else { there }, 0)).is_some()).collect();
    assert_eq!(kept.iter().filter(|k| **k).count(), 4, "two of either: {kept:?}");
    assert!(kept[..4].iter().all(|k| *k));
}

#[test]
fn a_blurred_frame_gives_way_to_a_sharp_one_of_the_same_view() {
    let mut store = KeyframeStore::new(KeyframeConfig::default());
    for _ in 0..5 {
        store.offer(&frame(pose(0.0, 0.0, 0.0), 0));
    }
    let (blurred, sharp) = (frame(pose(0.0, 0.0, 0.5), 2), frame(pose(0.0, 0.0, 0.52), 0));
    assert_eq!(store.offer(&blurred), Some(1));
    assert_eq!(store.offer(&blurred), None);
    assert_eq!(store.offer(&sharp), Some(2));
    let ids: Vec<u32> = store.keyframes().iter().map(|k| k.id).collect();
    assert_eq!(ids, [0, 2], "the blurred one is gone, its id is not used again");
    assert!(Arc::ptr_eq(&store.keyframes()[1].frame.color, &sharp.color));
    assert_eq!(store.bytes(), 2 * FRAME_BYTES);
    // a sharp one is not replaced by another
    assert_eq!(store.offer(&sharp), None);
    // where no sharper one follows, the blurred one is better than nothing
    assert_eq!(store.offer(&frame(pose(0.0, 0.0, 1.2), 2)), Some(3));
    assert!(store.offer(&frame(pose(0.0, 0.0, 1.8), 0)).is_some());
    assert_eq!(store.keyframes().len(), 4);
}

#[test]
fn the_bounds_hold_for_a_thousand_frames() {
    let by_number = KeyframeConfig { max_keyframes: 9, ..KeyframeConfig::default() };
    let by_bytes = KeyframeConfig { max_bytes: 9 * FRAME_BYTES + 1, ..KeyframeConfig::default() };
    for config in [by_number, by_bytes] {
        let mut store = KeyframeStore::new(config);
        let mut newest = None;
        for view in walk(1000, 5.0) {
            let id = store.offer(&frame(view, 0));
            assert!(id.is_none() || id > newest, "ids only grow");
            newest = newest.max(id);
            assert!(store.keyframes().len() <= 9 && store.bytes() == store.keyframes().len() * FRAME_BYTES);
        }
        assert_eq!(store.keyframes().len(), 9);
        assert!(newest > Some(9), "some left: {newest:?}");
    }
    let mut nothing_fits =
        KeyframeStore::new(KeyframeConfig { max_bytes: FRAME_BYTES - 1, ..KeyframeConfig::default() });
    assert_eq!(nothing_fits.offer(&frame(pose(0.0, 0.0, 0.0), 0)), None);
}

#[test]
fn what_was_seen_stays_covered_when_keyframes_must_leave() {
    let config = KeyframeConfig { max_keyframes: 20, new_surface_share: 0.0, ..KeyframeConfig::default() };
    let mut store = KeyframeStore::new(config);
    let mut ever = BTreeSet::new();
    for view in walk(600, 3.0) {
        let frame = frame(view, 0);
        if let Some(id) = store.offer(&frame) {
            ever.extend(visible_cells(&frame, config.visibility_cell_m, config.visibility_range_m));
            assert_eq!(store.keyframes().last().unwrap().id, id);
        }
    }
    let newest = store.keyframes().last().unwrap().id;
    assert!(newest > 60, "pressure: {newest} offered for 20 places");
    let covered = seen(&store).len() as f64 / ever.len() as f64;
    assert!(covered >= 0.95, "{covered:.3} of {} cells", ever.len());
}

#[test]
fn keyframes_whose_surface_vanished_leave_first() {
    let config = KeyframeConfig { max_keyframes: 3, ..KeyframeConfig::default() };
    let mut store = KeyframeStore::new(config);
    for yaw in [0.0, 2.0, 4.0] {
        store.offer(&frame(pose(0.0, 0.0, yaw), 0));
    }
    let moved: BTreeSet<CellKey> = store.keyframes()[1].visible_cells().iter().copied().collect();
    let first: Vec<CellKey> = store.keyframes()[0].visible_cells().to_vec();
    store.retain_cells(|cell| !moved.contains(&cell));
    assert!(store.keyframes()[1].visible_cells().is_empty());
    assert!(store.keyframes()[0].visible_cells().iter().all(|c| first.contains(c) && !moved.contains(c)));
    store.offer(&frame(pose(0.6, 0.0, 5.0), 0));
    assert_eq!(store.keyframes().iter().map(|k| k.id).collect::<Vec<_>>(), [0, 2, 3]);
}

#[test]
fn cameras_do_not_share_their_way() {
    let mut store = KeyframeStore::new(KeyframeConfig::default());
    for i in 0..20 {
        for (camera, yaw) in [(0, 0.0), (1, 3.0)] {
            let mut view = frame(pose(0.0, 0.0, yaw), 0);
            view.camera_id = CameraId(camera);
            assert_eq!(store.offer(&view).is_some(), i == 0);
        }
    }
}

#[test]
fn the_same_walk_gives_the_same_keyframes() {
    let run = || {
        let mut store = KeyframeStore::new(KeyframeConfig { max_keyframes: 7, ..KeyframeConfig::default() });
        let ids: Vec<_> = walk(300, 2.0).map(|view| store.offer(&frame(view, 0))).collect();
        (ids, seen(&store), store.keyframes().iter().map(|k| k.id).collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}
