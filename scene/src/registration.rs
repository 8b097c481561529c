//! A depth image and the colour image of another camera in, colour as the depth camera would see it out.

use nalgebra::{Isometry3, Point3};
use rayon::prelude::*;
use vantage_calibration::{PinholeCamera, RayTable};

use crate::frame::{ColorImage, DepthImage};

/// Distance assumed where a row has no reading yet, metres; only the colour of such pixels depends on it.
const DEFAULT_DEPTH_M: f32 = 2.0;

/// Colour for each pixel of `depth`: its point is carried into the colour camera and the nearest pixel taken. Where there
/// is no reading, the row's last one stands in; black outside of the colour image. What only the depth camera sees takes
/// the colour of what hides it, which matters at edges within the cameras' small distance.
///
/// `rays` are those of the depth camera and as many as `depth` has pixels; excess pixels stay black.
pub fn register_color(
    depth: &DepthImage,
    rays: &RayTable,
    color: &ColorImage,
    color_camera: &PinholeCamera,
    color_from_depth: &Isometry3<f64>,
) -> ColorImage {
    let width = depth.width as usize;
    let camera = color_camera.scaled(color.width, color.height);
    let mut data = vec![0; depth.data.len() * 3];
    let rows = data.par_chunks_mut(3 * width).zip(depth.data.par_chunks(width)).zip(rays.rays.par_chunks(width));
    rows.for_each(|((out, row), rays)| {
        let mut last = DEFAULT_DEPTH_M;
        for ((out, &reading), ray) in out.chunks_exact_mut(3).zip(row).zip(rays) {
            last = if reading > 0.0 { reading } else { last };
            let point = Point3::new(ray[0] * last, ray[1] * last, last).cast::<f64>();
            let Some(pixel) = camera.project(&(color_from_depth * point)) else { continue };
            let (u, v) = ((pixel.x + 0.5).floor(), (pixel.y + 0.5).floor());
            if u >= 0.0 && v >= 0.0 && u < f64::from(color.width) && v < f64::from(color.height) {
                let at = 3 * (v as usize * color.width as usize + u as usize);
                out.copy_from_slice(&color.data[at..at + 3]);
            }
        }
    });
    ColorImage { width: depth.width, height: depth.height, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vantage_calibration::Distortion;

    /// Red left of the world's x = 0, blue right of it, seen by a colour camera 0.1 m to the right of the depth camera.
    #[test]
    fn an_edge_in_the_world_lies_at_the_same_place_in_depth() {
        let depth_camera = PinholeCamera::new(80, 60, 50.0, 50.0, 39.5, 29.5, Distortion::None).unwrap();
        let color_camera = PinholeCamera::new(160, 120, 150.0, 150.0, 79.5, 59.5, Distortion::None).unwrap();
        let color_from_depth = Isometry3::translation(-0.1, 0.0, 0.0);
        // at 2 m the edge x = 0 is seen by the colour camera at u = 79.5 - 150 * 0.1 / 2 = 72
        let pixels = (0..120 * 160).flat_map(|i| if i % 160 < 72 { [255, 0, 0] } else { [0, 0, 255] }).collect();
        let color = ColorImage::new(160, 120, pixels).unwrap();
        let mut readings = vec![2.0; 80 * 60];
        readings[30 * 80 + 41] = 0.0;
        let depth = DepthImage::new(80, 60, readings).unwrap();
        let seen = register_color(&depth, &RayTable::new(&depth_camera), &color, &color_camera, &color_from_depth);
        let at = |u: usize| &seen.data[3 * (30 * 80 + u)..][..3];
        assert_eq!((at(38), at(41)), ([255, 0, 0].as_slice(), [0, 0, 255].as_slice()));
        // the depth camera sees further to the left than the colour camera does
        assert_eq!(at(0), [0, 0, 0]);
    }
}
