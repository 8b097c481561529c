//! Frames in, a bounded set of views that differ in place or direction out.

use crate::frame::RgbdFrame;

/// When a frame becomes a keyframe, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyframeConfig {
    /// Moved at least this far since the last keyframe, metres, or...
    pub translation_m: f64,
    /// ...turned at least this much, radians.
    pub rotation_rad: f64,
    /// Most keyframes; at the limit every second of the older half is dropped.
    pub max_keyframes: usize,
}

impl Default for KeyframeConfig {
    fn default() -> Self {
        Self { translation_m: 0.3, rotation_rad: 0.35, max_keyframes: 200 }
    }
}

/// A stored view.
#[derive(Debug, Clone)]
pub struct Keyframe {
    /// Grows by one with every keyframe, never used twice.
    pub id: u32,
    /// The frame.
    pub frame: RgbdFrame,
}

/// The keyframes of a scene.
#[derive(Debug, Clone)]
pub struct KeyframeStore {
    config: KeyframeConfig,
    keyframes: Vec<Keyframe>,
    next_id: u32,
}

impl KeyframeStore {
    /// An empty store.
    pub fn new(config: KeyframeConfig) -> Self {
        Self { config, keyframes: Vec::new(), next_id: 0 }
    }

    /// Stores the frame when it moved or turned enough since the last one stored. Returns its id then.
    pub fn offer(&mut self, frame: &RgbdFrame) -> Option<u32> {
        if let Some(last) = self.keyframes.last() {
            let step = last.frame.world_from_camera.inverse() * frame.world_from_camera;
            if step.translation.vector.norm() < self.config.translation_m
                && step.rotation.angle() < self.config.rotation_rad
            {
                return None;
            }
        }
        if self.keyframes.len() >= self.config.max_keyframes.max(2) {
            let half = self.keyframes.len() / 2;
            let mut place = 0;
            self.keyframes.retain(|_| {
                place += 1;
                place > half || place % 2 == 1
            });
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.keyframes.push(Keyframe { id, frame: frame.clone() });
        Some(id)
    }

    /// The keyframes, oldest first.
    pub fn keyframes(&self) -> &[Keyframe] {
        &self.keyframes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, ColorImage, DepthImage};
    use nalgebra::{Isometry3, Vector3};
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};

    fn frame(x: f64, turn: f64) -> RgbdFrame {
        RgbdFrame {
            camera_id: CameraId(0),
            stamp: 0,
            color: Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap()),
            depth: Arc::new(DepthImage::new(1, 1, vec![1.0]).unwrap()),
            camera: PinholeCamera::new(1, 1, 1.0, 1.0, 0.0, 0.0, Distortion::None).unwrap(),
            world_from_camera: Isometry3::new(Vector3::new(x, 0.0, 0.0), Vector3::new(0.0, 0.0, turn)),
        }
    }

    #[test]
    fn motion_or_turning_makes_a_keyframe() {
        let mut store = KeyframeStore::new(KeyframeConfig::default());
        let stored: Vec<bool> = [(0.0, 0.0), (0.1, 0.1), (0.31, 0.0), (0.31, 0.4)]
            .iter()
            .map(|&(x, r)| store.offer(&frame(x, r)).is_some())
            .collect();
        assert_eq!(stored, [true, false, true, true]);
    }

    #[test]
    fn the_number_stays_bounded_and_the_newest_and_first_stay() {
        let mut store = KeyframeStore::new(KeyframeConfig { max_keyframes: 10, ..KeyframeConfig::default() });
        for i in 0..100 {
            store.offer(&frame(f64::from(i), 0.0));
            assert!(store.keyframes().len() <= 10);
        }
        assert_eq!(store.keyframes()[0].id, 0);
        assert_eq!(store.keyframes().last().unwrap().id, 99);
    }
}
