//! A view and boxes in, the picture with the boxes drawn in out.

use image::{Rgb, RgbImage};
use nalgebra::{Isometry3, Point3};
use vantage_calibration::PinholeCamera;
use vantage_scene::{OrientedBox, RgbdFrame};

/// Nearest depth at which an edge is drawn, metres.
const NEAR_M: f64 = 0.05;
/// Pieces that an edge is drawn in, so that lens distortion bends it.
const PIECES: usize = 24;
/// Pictures are enlarged to at least this width.
const MIN_WIDTH: u32 = 640;
/// Colours of successive boxes.
const COLORS: [[u8; 3]; 6] =
    [[255, 64, 64], [64, 220, 96], [80, 140, 255], [255, 200, 40], [240, 90, 240], [60, 220, 220]];
/// Corner numbers of a box's twelve edges.
const EDGES: [(usize, usize); 12] =
    [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)];

/// The colour picture of `frame` with the edges of `boxes`, enlarged to at least 640 pixels.
pub fn view_with_boxes(frame: &RgbdFrame, boxes: &[OrientedBox]) -> RgbImage {
    let color = &frame.color;
    let scale = MIN_WIDTH.div_ceil(color.width).max(1);
    let mut picture = RgbImage::from_fn(color.width * scale, color.height * scale, |u, v| {
        let at = 3 * ((v / scale) as usize * color.width as usize + (u / scale) as usize);
        Rgb([color.data[at], color.data[at + 1], color.data[at + 2]])
    });
    let camera = frame.camera.scaled(picture.width(), picture.height());
    let camera_from_world = frame.world_from_camera.inverse();
    for (i, b) in boxes.iter().enumerate() {
        draw_box(&mut picture, &camera, &camera_from_world, b, Rgb(COLORS[i % COLORS.len()]));
    }
    picture
}

fn draw_box(
    picture: &mut RgbImage,
    camera: &PinholeCamera,
    camera_from_world: &Isometry3<f64>,
    b: &OrientedBox,
    color: Rgb<u8>,
) {
    let corners = b.corners().map(|c| camera_from_world * Point3::from(c));
    for (from, to) in EDGES {
        let at = |i: usize| corners[from] + (corners[to] - corners[from]) * (i as f64 / PIECES as f64);
        for i in 0..PIECES {
            let (a, b) = (at(i), at(i + 1));
            if a.z < NEAR_M || b.z < NEAR_M {
                continue;
            }
            if let (Some(p), Some(q)) = (camera.project(&a), camera.project(&b)) {
                line(picture, [p.x, p.y], [q.x, q.y], color);
            }
        }
    }
}

/// A line two pixels wide; what lies outside the picture is left out.
fn line(picture: &mut RgbImage, from: [f64; 2], to: [f64; 2], color: Rgb<u8>) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let far =
        |p: [f64; 2]| p[0].abs() > 4.0 * width || p[1].abs() > 4.0 * height || !p[0].is_finite() || !p[1].is_finite();
    if far(from) || far(to) {
        return;
    }
    let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
    for i in 0..=steps as u32 {
        let t = f64::from(i) / steps;
        let (x, y) = (from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1]));
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)] {
            let (u, v) = (x + dx, y + dy);
            if u >= 0.0 && v >= 0.0 && u < width && v < height {
                picture.put_pixel(u as u32, v as u32, color);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use vantage_calibration::Distortion;
    use vantage_scene::{CameraId, ColorImage, DepthImage};

    #[test]
    fn a_boxs_corner_is_drawn_where_the_pinhole_says() {
        let frame = RgbdFrame {
            camera_id: CameraId::default(),
            stamp: 0,
            color: Arc::new(ColorImage::new(640, 480, vec![0; 640 * 480 * 3]).unwrap()),
            depth: Arc::new(DepthImage::new(640, 480, vec![1.0; 640 * 480]).unwrap()),
            camera: PinholeCamera::new(640, 480, 500.0, 500.0, 319.5, 239.5, Distortion::None).unwrap(),
            world_from_camera: Isometry3::identity(),
        };
        let b = OrientedBox { center: [0.0, 0.0, 2.0], size: [0.5, 0.5, 0.5], yaw: 0.0 };
        let picture = view_with_boxes(&frame, &[b]);
        // corner (0.25, 0.25, 1.75): 319.5 + 500 * 0.25 / 1.75
        assert_eq!(picture.get_pixel(390, 310).0, COLORS[0]);
        assert_eq!(picture.get_pixel(320, 240).0, [0, 0, 0]);
        let behind = OrientedBox { center: [0.0, 0.0, -2.0], ..b };
        assert!(view_with_boxes(&frame, &[behind]).pixels().all(|p| p.0 == [0, 0, 0]));
    }
}
