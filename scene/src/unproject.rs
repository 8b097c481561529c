//! A frame in, its depth readings as coloured points of the world out.

use rayon::prelude::*;
use vantage_calibration::RayTable;

use crate::cloud::PointCloud;
use crate::frame::RgbdFrame;

/// Rows of pixels that are worked on together.
const ROWS: usize = 16;

/// Writes the readings of `frame` from 0 up to `max_depth_m` as points of the world, row by row, with their colours; `out` is
/// overwritten, its memory used again, and its normals are left empty. `rays` are those of the frame's camera; a pixel without a ray
/// gives no point, and a frame that the rays are not for, or whose images do not hold what their sizes say, gives none.
pub fn unproject(frame: &RgbdFrame, rays: &RayTable, max_depth_m: f32, out: &mut PointCloud) {
    out.positions.clear();
    out.colors.clear();
    out.normals.clear();
    if frame.check().is_err() || (rays.width, rays.height) != (frame.depth.width, frame.depth.height) {
        return;
    }
    let width = frame.depth.width as usize;
    let band = width * ROWS;
    let valid = |z: f32, ray: &[f32; 2]| z > 0.0 && z <= max_depth_m && ray[0].is_finite();
    let bands = || frame.depth.data.par_chunks(band).zip(rays.rays.par_chunks(band));
    let counts: Vec<usize> =
        bands().map(|(depth, rays)| depth.iter().zip(rays).filter(|(z, ray)| valid(**z, ray)).count()).collect();
    let total = counts.iter().sum();
    out.positions.resize(total, [0.0; 3]);
    out.colors.resize(total, [0; 3]);
    let rotation = frame.world_from_camera.rotation.to_rotation_matrix();
    let r: [[f32; 3]; 3] = std::array::from_fn(|i| std::array::from_fn(|j| rotation[(i, j)] as f32));
    let origin: [f32; 3] = std::array::from_fn(|k| frame.world_from_camera.translation.vector[k] as f32);
    // each band of rows writes to its own part
    let mut parts = Vec::with_capacity(counts.len());
    let (mut positions, mut colors) = (&mut out.positions[..], &mut out.colors[..]);
    for (i, count) in counts.into_iter().enumerate() {
        let (own, rest) = std::mem::take(&mut positions).split_at_mut(count);
        let (own_colors, rest_colors) = std::mem::take(&mut colors).split_at_mut(count);
        (positions, colors) = (rest, rest_colors);
        parts.push((i * ROWS, own, own_colors));
    }
    let color = &frame.color;
    let (color_w, color_h) = (color.width as usize, color.height as usize);
    parts.into_par_iter().zip(bands()).for_each(|((first_row, positions, colors), (depth, rays))| {
        let mut out = positions.iter_mut().zip(colors);
        let rows = depth.chunks_exact(width).zip(rays.chunks_exact(width)).enumerate();
        for (row, (depth, rays)) in rows {
            let v = (first_row + row) * color_h / frame.depth.height as usize;
            let pixels = &color.data[3 * v * color_w..][..3 * color_w];
            for (u, (&z, ray)) in depth.iter().zip(rays).enumerate().filter(|(_, (z, ray))| valid(**z, ray)) {
                let Some((position, rgb)) = out.next() else { return };
                let (x, y) = (ray[0] * z, ray[1] * z);
                *position = std::array::from_fn(|k| r[k][0] * x + r[k][1] * y + r[k][2] * z + origin[k]);
                let at = if color_w == width { u } else { u * color_w / width };
                rgb.copy_from_slice(&pixels[3 * at..][..3]);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, ColorImage, DepthImage};
    use nalgebra::{Isometry3, Point3, Vector3};
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};

    #[test]
    fn every_reading_becomes_its_point_with_its_color_in_order() {
        let (width, height) = (50u32, 37u32);
        let pixels = (width * height) as usize;
        let depth: Vec<f32> = (0..pixels).map(|i| if i % 7 == 3 { 0.0 } else { 0.5 + (i % 13) as f32 * 0.3 }).collect();
        let color: Vec<u8> = (0..pixels * 3).map(|i| (i % 255) as u8).collect();
        let camera = PinholeCamera::new(width, height, 40.0, 41.0, 24.0, 18.0, Distortion::None).unwrap();
        let frame = RgbdFrame {
            camera_id: CameraId::default(),
            stamp: 0,
            color: Arc::new(ColorImage::new(width, height, color.clone()).unwrap()),
            depth: Arc::new(DepthImage::new(width, height, depth.clone()).unwrap()),
            camera,
            world_from_camera: Isometry3::new(Vector3::new(1.0, -2.0, 0.5), Vector3::new(0.3, -0.8, 1.9)),
        };
        let mut cloud = PointCloud::default();
        unproject(&frame, &RayTable::new(&camera), 3.5, &mut cloud);
        let seen: Vec<usize> = (0..pixels).filter(|&i| depth[i] > 0.0 && depth[i] <= 3.5).collect();
        assert_eq!((cloud.positions.len(), cloud.colors.len()), (seen.len(), seen.len()));
        for (&i, (position, rgb)) in seen.iter().zip(cloud.positions.iter().zip(&cloud.colors)) {
            let ray = camera.ray((i % 50) as f64, (i / 50) as f64);
            let truth = frame.world_from_camera * Point3::from(ray * f64::from(depth[i]));
            assert!((0..3).all(|k| (f64::from(position[k]) - truth[k]).abs() < 1e-5), "{position:?} {truth}");
            assert_eq!(rgb, &color[3 * i..3 * i + 3]);
        }
    }
}
