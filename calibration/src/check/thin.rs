//! A depth image and its camera in, a smaller image with the camera that would have taken it out.

use super::raster::Raster;
use crate::camera::PinholeCamera;

/// The camera of [`thin_depth`]'s images: one pixel in `stride` along each side.
pub fn thin_camera(camera: &PinholeCamera, stride: u32) -> PinholeCamera {
    let stride = stride.max(1);
    let first = f64::from(stride / 2);
    let step = f64::from(stride);
    PinholeCamera {
        width: kept(camera.width, stride),
        height: kept(camera.height, stride),
        fx: camera.fx / step,
        fy: camera.fy / step,
        cx: (camera.cx - first) / step,
        cy: (camera.cy - first) / step,
        distortion: camera.distortion,
    }
}

/// One pixel in `stride` along each side, row-major; depths are left as they are, for a mean across an outline is no depth.
pub fn thin_depth(depth_m: &Raster<'_, f32>, stride: u32) -> Vec<f32> {
    let stride = stride.max(1) as usize;
    let first = stride / 2;
    let (last_row, last_column) = (depth_m.height() - 1, depth_m.width() - 1);
    let rows = depth_m.rows().skip(first.min(last_row)).step_by(stride);
    rows.flat_map(|row| row.iter().skip(first.min(last_column)).step_by(stride).copied()).collect()
}

/// Pixels kept of a side.
fn kept(side: u32, stride: u32) -> u32 {
    side.saturating_sub((stride / 2).min(side.saturating_sub(1))).div_ceil(stride)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distortion::Distortion;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_kept_pixel_keeps_its_ray(width in 1u32..50, height in 1u32..50, stride in 0u32..9) {
            let camera = PinholeCamera::new(width, height, 30.0, 31.0, 20.0, 11.0, Distortion::None).unwrap();
            // each pixel's depth is its own number
            let depth: Vec<f32> = (0..width * height).map(|at| at as f32).collect();
            let thin = thin_depth(&Raster::new(width, height, &depth).unwrap(), stride);
            let small = thin_camera(&camera, stride);
            prop_assert_eq!(thin.len(), small.width as usize * small.height as usize);
            if stride / 2 < width.min(height) {
                for (at, number) in thin.iter().enumerate() {
                    let from = *number as u32;
                    let before = camera.ray(f64::from(from % width), f64::from(from / width));
                    let at = at as u32;
                    let after = small.ray(f64::from(at % small.width), f64::from(at / small.width));
                    prop_assert!((before - after).norm() < 1e-9);
                }
            }
        }
    }
}
