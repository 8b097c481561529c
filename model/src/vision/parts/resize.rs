//! RGB bytes `[height, width, 3]` in, the same picture at another size out: antialiased resampling in fixed point, bit for
//! bit what PyTorch's `interpolate(mode="bicubic", antialias=True)` (or bilinear) makes of bytes, which is what the default
//! (torchvision) image processors of transformers call.
//!
//! Weights are 16-bit integers with as many fraction bits as the axis's largest weight leaves. Rows are resampled first,
//! then columns, and the bytes between both are rounded and clamped. Pillow differs in two ways: it keeps 22 fraction
//! bits (at most two levels of difference) and goes column-first where that is cheaper, so that the clamping in between
//! falls differently: about twenty levels on noise at full contrast, one or two on photographs.

use rayon::prelude::*;

use super::resample::{Axis, Filter};

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelSize {
    pub width: usize,
    pub height: usize,
}

/// Bytes of a pixel.
const CHANNELS: usize = 3;
/// A weight is below this in its fixed-point unit.
const WEIGHT_LIMIT: f64 = 32_768.0;
/// Fraction bits never exceed this.
const MAX_PRECISION: u32 = 22;

/// What one sample along the new axis reads of the old one.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// An axis whose weights are in units of `2^-precision`.
struct FixedAxis {
    taps: Vec<Taps>,
    precision: u32,
}

impl FixedAxis {
    /// `None` when there is nothing to resample.
    fn new(from: usize, to: usize, filter: Filter) -> Option<Self> {
        if from == to {
            return None;
        }
        let axis = Axis::new(from, to, filter)?;
        let largest = axis.taps().flat_map(|(_, weights)| weights).fold(0.0, |m: f64, &w| m.max(w));
        let unit = |precision: u32| f64::from(1u32 << precision);
        let fits = |precision: u32| largest * unit(precision) + 0.5 < WEIGHT_LIMIT;
        let precision = (0..MAX_PRECISION).find(|&p| !fits(p + 1)).unwrap_or(MAX_PRECISION);
        // the cast truncates: half away from zero
        let fixed = |weight: f64| (weight * unit(precision) + 0.5_f64.copysign(weight)) as i32;
        let taps = axis
            .taps()
            .map(|(first, weights)| Taps { first, weights: weights.iter().map(|&w| fixed(w)).collect() })
            .collect();
        Some(Self { taps, precision })
    }

    /// Half a unit, from which sums start, so that the shift in [`FixedAxis::byte`] rounds.
    fn half(&self) -> i32 {
        (1 << self.precision) >> 1
    }

    /// A sum of weighted bytes as a byte. Weights of one sample sum to about `2^22` at the most and their positive part
    /// to less than one and a half times that, so no sum leaves 32 bits.
    fn byte(&self, sum: i32) -> u8 {
        (sum >> self.precision).clamp(0, 255) as u8
    }
}

/// Resamples `rgb`, `from.height * from.width * 3` bytes, to the size `to`. No side is 0.
pub(crate) fn resize_bytes(rgb: &[u8], from: PixelSize, to: PixelSize, filter: Filter) -> Vec<u8> {
    let wide = match FixedAxis::new(from.width, to.width, filter) {
        Some(axis) => resize_rows(rgb, from.width, &axis),
        None => rgb.to_vec(),
    };
    match FixedAxis::new(from.height, to.height, filter) {
        Some(axis) => resize_columns(&wide, to.width, &axis),
        None => wide,
    }
}

fn resize_rows(rgb: &[u8], from: usize, axis: &FixedAxis) -> Vec<u8> {
    let to = axis.taps.len();
    let mut out = vec![0; rgb.len() / from * to];
    out.par_chunks_exact_mut(to * CHANNELS).zip(rgb.par_chunks_exact(from * CHANNELS)).for_each(|(out, row)| {
        let (pixels, _) = row.as_chunks::<CHANNELS>();
        let (out, _) = out.as_chunks_mut::<CHANNELS>();
        for (out, taps) in out.iter_mut().zip(&axis.taps) {
            let mut sums = [axis.half(); CHANNELS];
            for (pixel, &weight) in pixels[taps.first..].iter().zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            *out = sums.map(|sum| axis.byte(sum));
        }
    });
    out
}

fn resize_columns(rgb: &[u8], width: usize, axis: &FixedAxis) -> Vec<u8> {
    let stride = width * CHANNELS;
    let mut out = vec![0; stride * axis.taps.len()];
    out.par_chunks_exact_mut(stride).zip(axis.taps.par_iter()).for_each(|(out, taps)| {
        let mut sums = vec![axis.half(); stride];
        for (row, &weight) in rgb[taps.first * stride..].chunks_exact(stride).zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = axis.byte(sum);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILTERS: [Filter; 2] = [Filter::TriangleAntialias, Filter::CubicAntialias];

    #[test]
    fn one_pixel_fills_any_size() {
        let (one, many) = (PixelSize { width: 1, height: 1 }, PixelSize { width: 28, height: 56 });
        for filter in FILTERS {
            let out = resize_bytes(&[7, 100, 255], one, many, filter);
            assert!(out.as_chunks::<3>().0.iter().all(|p| *p == [7, 100, 255]));
        }
    }

    proptest! {
        #[test]
        fn one_colour_stays_one_colour(
            color in prop::array::uniform3(any::<u8>()), w in 1usize..300, h in 1usize..40, to_w in 1usize..90, to_h in 1usize..90,
            filter in prop::sample::select(&FILTERS[..])
        ) {
            let to = PixelSize { width: to_w, height: to_h };
            let out = resize_bytes(&color.repeat(w * h), PixelSize { width: w, height: h }, to, filter);
            prop_assert_eq!(out.len(), to_w * to_h * 3);
            // weights are rounded one by one: their sum may miss one by a level an axis
            for pixel in out.as_chunks::<3>().0 {
                for (a, b) in pixel.iter().zip(&color) {
                    prop_assert!(a.abs_diff(*b) <= 2, "{:?} against {:?}", pixel, color);
                }
            }
        }

        #[test]
        fn mirrored_in_mirrored_out(data in prop::collection::vec(any::<u8>(), 9 * 3), to in 1usize..60) {
            let mirror = |row: &[u8]| row.as_chunks::<3>().0.iter().rev().flatten().copied().collect::<Vec<u8>>();
            let size = |width| PixelSize { width, height: 1 };
            let forward = resize_bytes(&data, size(9), size(to), Filter::CubicAntialias);
            let backward = resize_bytes(&mirror(&data), size(9), size(to), Filter::CubicAntialias);
            for (a, b) in forward.iter().zip(mirror(&backward)) {
                prop_assert!(a.abs_diff(b) <= 1);
            }
        }
    }
}
