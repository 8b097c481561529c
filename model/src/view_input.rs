//! A keyframe in, the arrays that the image and depth encoders read out, with the place in space of every token.

use vantage_scene::RgbdFrame;

use crate::config::VisionConfig;

/// Depth in metres that becomes 1 in the depth encoder's input.
const DEPTH_UNIT_M: f32 = 5.0;

/// One view, resampled to the encoders' size.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewInput {
    /// `[3, height, width]`: colours from -1 to 1.
    pub image: Vec<f32>,
    /// `[2, height, width]`: depth over 5 m, and 1 where there is a reading.
    pub depth: Vec<f32>,
    /// For each merged token, row-major: the mean of what its pixels see, world, metres. A token with no depth reading
    /// stands at the mean of the view's others, or at the camera when the whole view has none.
    pub token_positions: Vec<[f32; 3]>,
}

impl ViewInput {
    /// Area-averages colour and depth (readings alone) of `frame` into the size of `config`.
    pub fn from_frame(frame: &RgbdFrame, config: &VisionConfig) -> Self {
        let (width, height) = (config.image_width, config.image_height);
        let image =
            shrink_color(&frame.color.data, frame.color.width as usize, frame.color.height as usize, width, height);
        let small =
            shrink_depth(&frame.depth.data, frame.depth.width as usize, frame.depth.height as usize, width, height);
        let mut depth: Vec<f32> = small.iter().map(|&z| z / DEPTH_UNIT_M).collect();
        depth.extend(small.iter().map(|&z| if z > 0.0 { 1.0 } else { 0.0 }));

        let camera = frame.camera.scaled(width as u32, height as u32);
        let (across, down) = config.merged();
        let step = config.patch_size * config.merge;
        let mut sums = vec![([0.0f64; 3], 0usize); across * down];
        for v in 0..height {
            for u in 0..width {
                let z = f64::from(small[v * width + u]);
                if z <= 0.0 {
                    continue;
                }
                let point = frame.world_from_camera * nalgebra::Point3::from(camera.ray(u as f64, v as f64) * z);
                let (sum, count) = &mut sums[(v / step) * across + u / step];
                for i in 0..3 {
                    sum[i] += point[i];
                }
                *count += 1;
            }
        }
        let seen: usize = sums.iter().map(|s| s.1).sum();
        let fallback: [f64; 3] = if seen == 0 {
            frame.world_from_camera.translation.vector.into()
        } else {
            std::array::from_fn(|i| sums.iter().map(|s| s.0[i]).sum::<f64>() / seen as f64)
        };
        let token_positions = sums
            .iter()
            .map(|(sum, count)| {
                std::array::from_fn(|i| if *count == 0 { fallback[i] as f32 } else { (sum[i] / *count as f64) as f32 })
            })
            .collect();
        Self { image, depth, token_positions }
    }
}

/// The half-open range of source pixels that target pixel `i` of `to` covers; never empty.
fn covered(i: usize, from: usize, to: usize) -> std::ops::Range<usize> {
    let start = (i * from / to).min(from - 1);
    let end = ((i + 1) * from / to).clamp(start + 1, from);
    start..end
}

fn shrink_color(data: &[u8], from_w: usize, from_h: usize, width: usize, height: usize) -> Vec<f32> {
    let mut out = vec![0.0; 3 * width * height];
    for v in 0..height {
        for u in 0..width {
            let mut sum = [0u32; 3];
            let (rows, columns) = (covered(v, from_h, height), covered(u, from_w, width));
            let count = (rows.len() * columns.len()) as f32;
            for y in rows {
                for x in columns.clone() {
                    for (c, s) in sum.iter_mut().enumerate() {
                        *s += u32::from(data[(y * from_w + x) * 3 + c]);
                    }
                }
            }
            for (c, s) in sum.iter().enumerate() {
                out[(c * height + v) * width + u] = *s as f32 / count / 127.5 - 1.0;
            }
        }
    }
    out
}

fn shrink_depth(data: &[f32], from_w: usize, from_h: usize, width: usize, height: usize) -> Vec<f32> {
    let mut out = vec![0.0; width * height];
    for v in 0..height {
        for u in 0..width {
            let (mut sum, mut count) = (0.0f32, 0usize);
            for y in covered(v, from_h, height) {
                for x in covered(u, from_w, width) {
                    let z = data[y * from_w + x];
                    if z > 0.0 {
                        sum += z;
                        count += 1;
                    }
                }
            }
            if count > 0 {
                out[v * width + u] = sum / count as f32;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_means_and_skips_missing_depth() {
        let color: Vec<u8> = (0..4 * 4 * 3).map(|i| (i * 5) as u8).collect();
        let small = shrink_color(&color, 4, 4, 2, 2);
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let all: Vec<f32> = color.iter().map(|&c| f32::from(c) / 127.5 - 1.0).collect();
        assert!((mean(&small) - mean(&all)).abs() < 1e-5);
        assert_eq!(shrink_depth(&[0.0, 2.0, 0.0, 4.0], 2, 2, 1, 1), vec![3.0]);
        assert_eq!(shrink_depth(&[0.0; 4], 2, 2, 1, 1), vec![0.0]);
    }

    #[test]
    fn enlarging_repeats_pixels() {
        assert_eq!(shrink_depth(&[1.0, 2.0], 2, 1, 4, 2), vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
    }
}
