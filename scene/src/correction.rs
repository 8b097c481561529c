//! A camera's calibrated corrections and a sensor event in, the event as it should have been out.

use std::sync::Arc;

use crate::frame::SensorEvent;

/// What calibration found to be wrong with a camera's streams. The default corrects nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamCorrection {
    /// Added to the stamps of colour images, nanoseconds.
    pub color_offset_nanos: i64,
    /// Added to the stamps of depth images, nanoseconds.
    pub depth_offset_nanos: i64,
    /// Depths are multiplied by this...
    pub depth_scale: f64,
    /// ...and this is added, metres. A reading that is not positive then is none.
    pub depth_bias_m: f64,
}

impl Default for StreamCorrection {
    fn default() -> Self {
        Self { color_offset_nanos: 0, depth_offset_nanos: 0, depth_scale: 1.0, depth_bias_m: 0.0 }
    }
}

impl StreamCorrection {
    /// Corrects an image; other events pass.
    pub fn apply(&self, event: &mut SensorEvent) {
        match event {
            SensorEvent::Color { stamp, .. } => *stamp = stamp.saturating_add(self.color_offset_nanos),
            SensorEvent::Depth { stamp, image, .. } => {
                *stamp = stamp.saturating_add(self.depth_offset_nanos);
                let unchanged = Self::default();
                if (self.depth_scale, self.depth_bias_m) != (unchanged.depth_scale, unchanged.depth_bias_m) {
                    let image = Arc::make_mut(image);
                    correct_depths(&mut image.data, self.depth_scale, self.depth_bias_m);
                }
            }
            SensorEvent::CameraInfo { .. } | SensorEvent::Transform { .. } => {}
        }
    }
}

/// `scale * depth + bias_m` for every reading; what is no depth afterwards is no reading, as in a new image.
fn correct_depths(depths: &mut [f32], scale: f64, bias_m: f64) {
    for z in depths.iter_mut().filter(|z| **z > 0.0) {
        let corrected = (scale * f64::from(*z) + bias_m) as f32;
        *z = if corrected.is_finite() && corrected > 0.0 { corrected } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, DepthImage};

    #[test]
    fn stamps_move_and_readings_are_scaled_but_no_reading_stays_none() {
        let correction =
            StreamCorrection { depth_offset_nanos: -5, depth_scale: 1.5, depth_bias_m: -0.5, ..Default::default() };
        let image = Arc::new(DepthImage::new(2, 2, vec![0.0, 2.0, 0.25, 4.0]).unwrap());
        let kept = Arc::clone(&image);
        let mut event = SensorEvent::Depth { camera_id: CameraId(0), stamp: 7, frame_id: "d".to_owned(), image };
        correction.apply(&mut event);
        let SensorEvent::Depth { stamp, image, .. } = event else { panic!("it is still a depth image") };
        assert_eq!((stamp, image.data.as_slice()), (2, [0.0, 2.5, 0.0, 5.5].as_slice()));
        assert_eq!(kept.data[1], 2.0, "the sender's image is not touched");
    }

    #[test]
    fn absurd_numbers_leave_no_absurd_depths() {
        for (scale, bias_m) in [(f64::NAN, 0.0), (f64::INFINITY, 0.0), (-1.0, 0.0), (1e300, -1e300)] {
            let mut depths = [0.0, 1.0, f32::MAX];
            correct_depths(&mut depths, scale, bias_m);
            assert!(depths.iter().all(|z| z.is_finite() && *z >= 0.0), "{depths:?}");
        }
    }
}
