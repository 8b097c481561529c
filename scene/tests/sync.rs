//! Whatever order, loss and repetition events come with: frames come in order, none twice, and every image is accounted for.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use nalgebra::Isometry3;
use proptest::prelude::*;
use vantage_calibration::{DepthModel, Distortion, PinholeCamera};
use vantage_scene::{
    CameraId, ColorImage, DepthImage, DropReason, RgbdFrame, SensorEvent, StampNanos, Stream, StreamCorrection,
    SyncConfig, Synchronizer,
};

const MS: i64 = 1_000_000;
const SIDE: u32 = 4;
const COLOR_BYTES: usize = 3 * (SIDE * SIDE) as usize;
const DEPTH_BYTES: usize = 4 * (SIDE * SIDE) as usize;

fn frame_id(camera: u8) -> String {
    format!("optical_{camera}")
}

fn color(camera: u8, stamp: StampNanos) -> SensorEvent {
    let image = Arc::new(ColorImage::new(SIDE, SIDE, vec![9; COLOR_BYTES]).unwrap());
    SensorEvent::Color { camera_id: CameraId(camera), stamp, frame_id: frame_id(camera), image }
}

fn depth(camera: u8, stamp: StampNanos) -> SensorEvent {
    let image = Arc::new(DepthImage::new(SIDE, SIDE, vec![1.0; (SIDE * SIDE) as usize]).unwrap());
    SensorEvent::Depth { camera_id: CameraId(camera), stamp, frame_id: frame_id(camera), image }
}

fn info(camera: u8) -> SensorEvent {
    let pinhole = PinholeCamera::new(SIDE, SIDE, 4.0, 4.0, 1.5, 1.5, Distortion::None).unwrap();
    let camera_id = CameraId(camera);
    SensorEvent::CameraInfo { camera_id, stream: Stream::Depth, stamp: 0, frame_id: frame_id(camera), camera: pinhole }
}

fn moved(camera: u8, stamp: StampNanos) -> SensorEvent {
    SensorEvent::Transform {
        stamp,
        parent: "odom".to_owned(),
        child: frame_id(camera),
        parent_from_child: Isometry3::translation(f64::from(camera), 0.0, 0.0),
        is_static: false,
    }
}

fn fixed(camera: u8) -> SensorEvent {
    let mut event = moved(camera, 0);
    if let SensorEvent::Transform { is_static, .. } = &mut event {
        *is_static = true;
    }
    event
}

fn push_all(sync: &mut Synchronizer, events: impl IntoIterator<Item = SensorEvent>) -> Vec<RgbdFrame> {
    events.into_iter().flat_map(|event| sync.push(event)).collect()
}

/// Every image that came in is in a frame, dropped, or waits.
fn accounted(sync: &Synchronizer) -> Result<(), TestCaseError> {
    for (id, camera) in &sync.stats().cameras {
        let depth = camera.frames + camera.dropped_total(Stream::Depth) + sync.waiting(*id, Stream::Depth) as u64;
        prop_assert_eq!(camera.depth, depth, "{}", id);
        let color =
            camera.color_matched + camera.dropped_total(Stream::Color) + sync.waiting(*id, Stream::Color) as u64;
        prop_assert_eq!(camera.color, color, "{}", id);
    }
    Ok(())
}

/// Stamps as they come (a lattice of 10 ms, so that many meet), and as they never should.
fn any_stamp() -> impl Strategy<Value = StampNanos> {
    prop_oneof![
        12 => (0..60i64).prop_map(|i| i * 10 * MS),
        2 => (0..60i64).prop_map(|i| (60_000 + i * 10) * MS),
        1 => prop::sample::select(vec![i64::MIN, -1, 0, i64::MAX, i64::MAX - MS]),
    ]
}

fn any_event() -> impl Strategy<Value = SensorEvent> {
    (0..4u8, 0..2u8, any_stamp()).prop_map(|(kind, camera, stamp)| match kind {
        0 => color(camera, stamp),
        1 => depth(camera, stamp),
        2 => moved(camera, stamp),
        _ => info(camera),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_events_give_frames_in_order_and_lose_nothing_unsaid(
        events in prop::collection::vec(any_event(), 0..200),
        max_waiting in 0..6usize,
        images in 0..8usize,
    ) {
        let max_waiting_bytes = images * DEPTH_BYTES;
        let mut sync = Synchronizer::new(SyncConfig { max_waiting, max_waiting_bytes, ..SyncConfig::default() });
        let mut newest: BTreeMap<CameraId, StampNanos> = BTreeMap::new();
        let mut seen = 0;
        for event in events {
            let frames = sync.push(event);
            if sync.stats().clock_jumps > seen {
                seen = sync.stats().clock_jumps;
                newest.clear();
            }
            for frame in frames {
                let before = newest.insert(frame.camera_id, frame.stamp);
                prop_assert!(before.is_none_or(|before| before < frame.stamp));
            }
            accounted(&sync)?;
            // the newest of each stream, and what the clock is not sure of
            let always = 2 * (2 * COLOR_BYTES + DEPTH_BYTES) + 2 * (COLOR_BYTES + DEPTH_BYTES);
            prop_assert!(sync.waiting_bytes() <= max_waiting_bytes.max(always));
        }
        sync.flush();
        accounted(&sync)?;
        for id in [CameraId(0), CameraId(1)] {
            prop_assert_eq!((sync.waiting(id, Stream::Depth), sync.waiting(id, Stream::Color)), (0, 0));
        }
    }

    #[test]
    fn depth_images_in_any_order_before_their_colours_all_become_frames(
        order in Just((0..20i64).collect::<Vec<_>>()).prop_shuffle()
    ) {
        let mut sync = Synchronizer::new(SyncConfig::default());
        push_all(&mut sync, [info(0), fixed(0)]);
        let mut frames = push_all(&mut sync, order.into_iter().map(|i| depth(0, i * 40 * MS)));
        frames.extend(push_all(&mut sync, (0..20).map(|i| color(0, i * 40 * MS))));
        let stamps: Vec<i64> = frames.iter().map(|f| f.stamp / (40 * MS)).collect();
        prop_assert_eq!(stamps, (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_looping_recording_gives_every_frame_in_every_loop() {
    let mut sync = Synchronizer::new(SyncConfig::default());
    sync.push(info(0));
    let start = 1_000_000 * MS;
    let mut frames = Vec::new();
    for _ in 0..3 {
        for i in 0..90 {
            let stamp = start + i * 33 * MS;
            frames.extend(push_all(&mut sync, [moved(0, stamp), color(0, stamp + MS), depth(0, stamp)]));
        }
    }
    frames.extend(sync.flush());
    assert_eq!((frames.len(), sync.stats().clock_jumps), (270, 2));
    assert_eq!(sync.stats().dropped_total(Stream::Depth), 0);
}

#[test]
fn a_stray_far_future_message_of_any_stream_costs_that_message_alone() {
    for stray in [color(0, 9_000_000 * MS), depth(0, 9_000_000 * MS), moved(0, 9_000_000 * MS)] {
        let mut sync = Synchronizer::new(SyncConfig::default());
        sync.push(info(0));
        let mut frames = Vec::new();
        for i in 0..30 {
            let stamp = i * 33 * MS;
            if i == 10 {
                frames.extend(sync.push(stray.clone()));
            }
            frames.extend(push_all(&mut sync, [moved(0, stamp), color(0, stamp), depth(0, stamp)]));
        }
        assert_eq!((frames.len(), sync.stats().clock_jumps, sync.stats().clock_skips), (30, 0, 0));
        let strays = sync.stats().transforms_stray
            + sync.stats().dropped(Stream::Color, DropReason::StrayStamp)
            + sync.stats().dropped(Stream::Depth, DropReason::StrayStamp);
        assert_eq!(strays, 1);
    }
}

#[test]
fn a_stream_that_leaps_ahead_and_returns_does_not_wedge_the_matching() {
    let mut sync = Synchronizer::new(SyncConfig::default());
    push_all(&mut sync, [info(0), fixed(0)]);
    let mut late = 0;
    for i in 0..90 {
        let stamp = i * 33 * MS;
        let leap = if (30..35).contains(&i) { 60_000 * MS } else { 0 };
        let frames = push_all(&mut sync, [color(0, stamp + leap), depth(0, stamp)]);
        late += frames.iter().filter(|f| f.stamp >= 40 * 33 * MS).count();
    }
    assert_eq!(late, 50, "{:?}", sync.stats());
}

#[test]
fn one_camera_without_transform_does_not_hold_back_another() {
    let mut sync = Synchronizer::new(SyncConfig::default());
    push_all(&mut sync, [info(0), info(1), fixed(1)]);
    let frames = push_all(
        &mut sync,
        (0..20).flat_map(|i| [0, 1].map(|c| [color(c, i * 33 * MS), depth(c, i * 33 * MS)])).flatten(),
    );
    assert_eq!(frames.len(), 20);
    assert!(frames.iter().all(|f| f.camera_id == CameraId(1) && f.world_from_camera.translation.x == 1.0));
    // and when its transform comes at last, nothing of it was lost
    assert_eq!(sync.push(fixed(0)).len(), 20);
}

#[test]
fn large_images_do_not_pile_up_but_still_become_frames() {
    let max_waiting_bytes = 3 * (COLOR_BYTES + DEPTH_BYTES);
    let mut sync = Synchronizer::new(SyncConfig { max_waiting_bytes, ..SyncConfig::default() });
    sync.push(info(0));
    for i in 0..30 {
        push_all(&mut sync, [color(0, i * 33 * MS), depth(0, i * 33 * MS)]);
        assert!(sync.waiting_bytes() <= max_waiting_bytes);
    }
    assert_eq!(sync.stats().dropped(Stream::Depth, DropReason::TooManyBytes), 27);
    assert_eq!(sync.push(fixed(0)).iter().map(|f| f.stamp / (33 * MS)).collect::<Vec<_>>(), [27, 28, 29]);

    // a single pair beyond the limit
    let mut sync = Synchronizer::new(SyncConfig { max_waiting_bytes: 1, ..SyncConfig::default() });
    push_all(&mut sync, [info(0), color(0, 0), depth(0, 0)]);
    assert_eq!(sync.push(fixed(0)).len(), 1);
}

#[test]
fn calibrated_offsets_are_applied_before_matching_and_depths_are_corrected() {
    let depth_model = DepthModel { scale: 2.0, ..DepthModel::default() };
    let correction =
        StreamCorrection { color_offset_nanos: -150 * MS, depth: depth_model, ..StreamCorrection::default() };
    let corrections = BTreeMap::from([(CameraId(1), correction)]);
    let mut sync = Synchronizer::new(SyncConfig { corrections, ..SyncConfig::default() });
    push_all(&mut sync, [info(0), info(1), fixed(0), fixed(1)]);
    let frames = push_all(&mut sync, [0, 1].into_iter().flat_map(|c| [depth(c, 500 * MS), color(c, 650 * MS)]));
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].camera_id, frames[0].depth.data[0]), (CameraId(1), 2.0));
}

#[test]
fn two_publishers_of_one_frame_are_reported() {
    let mut sync = Synchronizer::new(SyncConfig::default());
    let mut other = moved(0, 0);
    if let SensorEvent::Transform { parent, .. } = &mut other {
        *parent = "base_link".to_owned();
    }
    push_all(&mut sync, (0..3).flat_map(|_| [moved(0, 0), other.clone()]));
    assert_eq!(sync.stats().transforms_reclaimed, 5);
    let said = sync.stats().last_reclaimed.as_deref().unwrap();
    assert!(said.contains("optical_0") && said.contains("odom") && said.contains("base_link"), "{said}");
}
