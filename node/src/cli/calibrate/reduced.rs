//! A color image in, a picture small enough to look for edges in out.

use vantage_scene::ColorImage;

/// Color pictures are reduced so that no side is longer before edges are sought: more pixels only add noise.
const MAX_SIDE: u32 = 1_000;

/// A color picture, reduced.
#[derive(Clone)]
pub(super) struct Reduced {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgb: Vec<u8>,
    pub(super) gray: Vec<u8>,
}

/// Means over square blocks, so that no side is above [`MAX_SIDE`]; gray by Rec. 601.
pub(super) fn reduce(image: &ColorImage) -> Reduced {
    let block = image.width.max(image.height).div_ceil(MAX_SIDE).max(1);
    let (width, height) = ((image.width / block).max(1), (image.height / block).max(1));
    let (w, b) = (image.width as usize, block as usize);
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for v in 0..height as usize {
        for u in 0..width as usize {
            let mut sum = [0u32; 3];
            let mut count = 0;
            for y in (v * b)..((v + 1) * b).min(image.height as usize) {
                for x in (u * b)..((u + 1) * b).min(w) {
                    (0..3).for_each(|c| sum[c] += u32::from(image.data[3 * (y * w + x) + c]));
                    count += 1;
                }
            }
            rgb.extend(sum.map(|s| (s / count.max(1)) as u8));
        }
    }
    let gray = rgb
        .chunks_exact(3)
        .map(|p| ((299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2])) / 1000) as u8)
        .collect();
    Reduced { width, height, rgb, gray }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_reduced_by_whole_blocks() {
        let image = ColorImage::new(2562, 3, (0..2562 * 3 * 3).map(|i| (i % 3) as u8 * 50).collect()).unwrap();
        let small = reduce(&image);
        assert_eq!((small.width, small.height), (854, 1));
        assert!(small.rgb.chunks(3).all(|p| p == [0, 50, 100]) && small.gray.iter().all(|g| *g == 40));
    }
}
