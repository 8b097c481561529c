//! A colour image in, how sharp it is out; and how sharp a camera's images usually are.
//!
//! Sharpness is the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR
//! 2000). It depends on what is seen as much as on motion, so that it is only compared with that of the images around it.

use std::collections::VecDeque;

use crate::frame::ColorImage;

/// Every second pixel of every second row tells enough.
const STEP: usize = 2;
/// Images that make up "usual": half a second at 30 Hz.
const WINDOW: usize = 15;

/// Variance of the Laplacian of the grey image, grey levels squared; 0 for images too small to have any.
pub(crate) fn sharpness(image: &ColorImage) -> f64 {
    let (width, height) = (image.width as usize, image.height as usize);
    let row_bytes = 3 * width;
    let (mut sum, mut squares, mut count) = (0i64, 0i64, 0i64);
    for v in (1..height.saturating_sub(1)).step_by(STEP) {
        let rows = (
            image.data.get((v - 1) * row_bytes..v * row_bytes),
            image.data.get(v * row_bytes..(v + 1) * row_bytes),
            image.data.get((v + 1) * row_bytes..(v + 2) * row_bytes),
        );
        let (Some(above), Some(here), Some(below)) = rows else { break };
        for u in (1..width.saturating_sub(1)).step_by(STEP) {
            let around = grey(above, u) + grey(below, u) + grey(here, u - 1) + grey(here, u + 1);
            let laplacian = around - 4 * grey(here, u);
            sum += laplacian;
            squares += laplacian * laplacian;
            count += 1;
        }
    }
    if count == 0 {
        return 0.0;
    }
    // grey is four times the grey level
    let (mean, mean_square) = (sum as f64 / count as f64, squares as f64 / count as f64);
    (mean_square - mean * mean).max(0.0) / 16.0
}

/// Red, twice green and blue of a pixel: four times its grey level.
fn grey(row: &[u8], u: usize) -> i64 {
    i64::from(row[3 * u]) + 2 * i64::from(row[3 * u + 1]) + i64::from(row[3 * u + 2])
}

/// The sharpness of a camera's recent images.
#[derive(Debug, Clone, Default)]
pub(crate) struct UsualSharpness {
    recent: VecDeque<f64>,
}

impl UsualSharpness {
    /// Median of the recent images; `None` before the first.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    /// Adds an image.
    pub(crate) fn remember(&mut self, sharpness: f64) {
        self.recent.push_back(sharpness);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey levels of a small image.
    fn image(width: u32, height: u32, level: impl Fn(u32, u32) -> u8) -> ColorImage {
        let pixels = (0..height).flat_map(|v| (0..width).map(move |u| (u, v)));
        ColorImage::new(width, height, pixels.flat_map(|(u, v)| [level(u, v); 3]).collect()).unwrap()
    }

    #[test]
    fn a_plain_and_a_sloping_image_have_no_edges() {
        assert_eq!(sharpness(&image(20, 20, |_, _| 77)), 0.0);
        assert_eq!(sharpness(&image(20, 20, |u, v| (5 * u + 3 * v) as u8)), 0.0);
        assert_eq!(sharpness(&image(2, 1, |u, _| (200 * u) as u8)), 0.0);
    }

    #[test]
    fn it_is_the_variance_of_the_laplacian() {
        // one bright pixel under the centre of one of the four Laplacians of a 5x5 image, at (1, 1): -4 * 100, 0, 0, 0
        let spot = image(5, 5, |u, v| if (u, v) == (1, 1) { 100 } else { 0 });
        assert_eq!(sharpness(&spot), 400.0 * 400.0 / 4.0 - (100.0 * 100.0));
    }

    #[test]
    fn blur_lowers_it() {
        let step = |u: u32| if u % 10 < 5 { 20u8 } else { 220 };
        let sharp = sharpness(&image(60, 40, |u, _| step(u)));
        let blurred = sharpness(&image(60, 40, |u, _| ((0..5).map(|k| u32::from(step(u + k))).sum::<u32>() / 5) as u8));
        assert!(blurred < 0.2 * sharp, "{blurred} {sharp}");
    }

    #[test]
    fn the_median_is_of_the_last_images_alone() {
        let mut usual = UsualSharpness::default();
        assert_eq!(usual.median(), None);
        for x in 0..100 {
            usual.remember(f64::from(x));
        }
        assert_eq!(usual.median(), Some(92.0));
    }
}
