//! A camera's calibrated corrections and a sensor event in, the event as it should have been out.

use std::sync::Arc;

use vantage_calibration::DepthModel;

use crate::frame::SensorEvent;

/// What calibration found to be wrong with a camera's streams. The default corrects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamCorrection {
    /// Added to the stamps of colour images, nanoseconds.
    pub color_offset_nanos: i64,
    /// Added to the stamps of depth images, nanoseconds.
    pub depth_offset_nanos: i64,
    /// Scale and bias of the readings.
    pub depth: DepthModel,
    /// Nearest and furthest depth that the sensor measures well, metres; readings outside of it are none. All are taken without it.
    pub depth_range_m: Option<[f64; 2]>,
}

impl StreamCorrection {
    /// Corrects an image; other events pass.
    pub fn apply(&self, event: &mut SensorEvent) {
        match event {
            SensorEvent::Color { stamp, .. } => *stamp = stamp.saturating_add(self.color_offset_nanos),
            SensorEvent::Depth { stamp, image, .. } => {
                *stamp = stamp.saturating_add(self.depth_offset_nanos);
                let unchanged = DepthModel::default();
                if (self.depth.scale, self.depth.bias_m) != (unchanged.scale, unchanged.bias_m) {
                    self.depth.correct(&mut Arc::make_mut(image).data);
                }
                if let Some(range_m) = self.depth_range_m {
                    let [near, far] = range_m.map(|z| z as f32);
                    for z in Arc::make_mut(image).data.iter_mut().filter(|z| !(near..=far).contains(*z)) {
                        *z = 0.0;
                    }
                }
            }
            SensorEvent::CameraInfo { .. } | SensorEvent::Transform { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, DepthImage};

    #[test]
    fn stamps_move_and_readings_are_scaled_but_no_reading_stays_none() {
        let depth = DepthModel { scale: 1.5, bias_m: -0.5, ..DepthModel::default() };
        let correction = StreamCorrection { depth_offset_nanos: -5, depth, ..StreamCorrection::default() };
        let image = Arc::new(DepthImage::new(2, 2, vec![0.0, 2.0, 0.25, 4.0]).unwrap());
        let kept = Arc::clone(&image);
        let mut event = SensorEvent::Depth { camera_id: CameraId(0), stamp: 7, frame_id: "d".to_owned(), image };
        correction.apply(&mut event);
        let SensorEvent::Depth { stamp, image, .. } = event else { panic!("it is still a depth image") };
        assert_eq!((stamp, image.data.as_slice()), (2, [0.0, 2.5, 0.0, 5.5].as_slice()));
        assert_eq!(kept.data[1], 2.0, "the sender's image is not touched");
    }

    #[test]
    fn readings_outside_of_the_range_are_none() {
        let depth = DepthModel { scale: 2.0, ..DepthModel::default() };
        let correction = StreamCorrection { depth, depth_range_m: Some([1.0, 3.0]), ..StreamCorrection::default() };
        let image = Arc::new(DepthImage::new(4, 1, vec![0.25, 0.5, 1.5, 2.0]).unwrap());
        let mut event = SensorEvent::Depth { camera_id: CameraId(0), stamp: 7, frame_id: "d".to_owned(), image };
        correction.apply(&mut event);
        let SensorEvent::Depth { image, .. } = event else { panic!("it is still a depth image") };
        assert_eq!(image.data, [0.0, 1.0, 3.0, 0.0]);
    }

    #[test]
    fn a_stamp_at_the_end_of_time_stays_there() {
        let correction = StreamCorrection { depth_offset_nanos: 9, ..StreamCorrection::default() };
        let image = Arc::new(DepthImage::new(1, 1, vec![1.0]).unwrap());
        let mut event = SensorEvent::Depth { camera_id: CameraId(0), stamp: i64::MAX, frame_id: String::new(), image };
        correction.apply(&mut event);
        assert!(matches!(event, SensorEvent::Depth { stamp: i64::MAX, .. }));
    }
}
