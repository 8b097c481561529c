//! A view and points in, the points that the view sees out.

use nalgebra::Point3;

use crate::frame::RgbdFrame;

/// Indices of the points that project into `frame` where its depth agrees with theirs within `tolerance_m`.
pub fn visible_points(frame: &RgbdFrame, positions: &[[f32; 3]], tolerance_m: f32) -> Vec<u32> {
    let camera_from_world = frame.world_from_camera.inverse();
    let (width, height) = (frame.depth.width as usize, frame.depth.height as usize);
    let sees = |p: &[f32; 3]| {
        let point = camera_from_world * Point3::from(p.map(f64::from));
        let Some(pixel) = frame.camera.project(&point) else { return false };
        let (u, v) = ((pixel.x + 0.5).floor(), (pixel.y + 0.5).floor());
        if !(u >= 0.0 && v >= 0.0 && u < width as f64 && v < height as f64) {
            return false;
        }
        let depth = frame.depth.data[v as usize * width + u as usize];
        depth > 0.0 && (depth - point.z as f32).abs() <= tolerance_m
    };
    positions.iter().enumerate().filter(|(_, p)| sees(p)).map(|(i, _)| i as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, ColorImage, DepthImage};
    use nalgebra::Isometry3;
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};

    #[test]
    fn hidden_outside_and_behind_points_are_not_seen() {
        let frame = RgbdFrame {
            camera_id: CameraId(0),
            stamp: 0,
            color: Arc::new(ColorImage::new(4, 4, vec![0; 48]).unwrap()),
            depth: Arc::new(DepthImage::new(4, 4, vec![2.0; 16]).unwrap()),
            camera: PinholeCamera::new(4, 4, 2.0, 2.0, 1.5, 1.5, Distortion::None).unwrap(),
            world_from_camera: Isometry3::identity(),
        };
        let points = [[0.0, 0.0, 2.05], [0.0, 0.0, 3.0], [9.0, 0.0, 2.0], [0.0, 0.0, -2.0], [f32::NAN, 0.0, 2.0]];
        assert_eq!(visible_points(&frame, &points, 0.1), vec![0]);
    }
}
