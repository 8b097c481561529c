//! A picture's sides in, the sides that Qwen's processor resizes it to out: multiples of a merged patch, close to the
//! picture's own ratio, with a bounded number of pixels (`smart_resize` of Qwen2-VL, arXiv 2409.12191).

/// Largest ratio of the sides that is resized.
pub const MAX_ASPECT_RATIO: u32 = 200;

/// The `(height, width)` for a picture of `height` by `width` pixels: multiples of `factor` with about
/// `min_pixels` to `max_pixels` pixels. `None` when a side is 0, one is more than [`MAX_ASPECT_RATIO`] times the other,
/// or `factor` is 0.
///
/// Halves are rounded to even and all is computed in 64-bit floats, as in the reference, so that sizes agree on
/// the borders too. A thin picture may end above `max_pixels`, because no side goes below `factor`.
pub fn smart_resize(height: u32, width: u32, factor: u32, min_pixels: u64, max_pixels: u64) -> Option<(u32, u32)> {
    let (long, short) = (height.max(width), height.min(width));
    if short == 0 || factor == 0 || f64::from(long) / f64::from(short) > f64::from(MAX_ASPECT_RATIO) {
        return None;
    }
    let (factor, h, w) = (f64::from(factor), f64::from(height), f64::from(width));
    let rounded = |side: f64| (side / factor).round_ties_even() * factor;
    let (mut to_h, mut to_w) = (rounded(h), rounded(w));
    let (min_pixels, max_pixels) = (min_pixels as f64, max_pixels as f64);
    if to_h * to_w > max_pixels {
        let shrink = (h * w / max_pixels).sqrt();
        let fit = |side: f64| ((side / shrink / factor).floor() * factor).max(factor);
        (to_h, to_w) = (fit(h), fit(w));
    } else if to_h * to_w < min_pixels {
        let grow = (min_pixels / (h * w)).sqrt();
        let fit = |side: f64| (side * grow / factor).ceil() * factor;
        (to_h, to_w) = (fit(h), fit(w));
    }
    let side = |side: f64| (side >= factor && side <= f64::from(u32::MAX)).then_some(side as u32);
    Some((side(to_h)?, side(to_w)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIN: u64 = 56 * 56;
    const MAX: u64 = 28 * 28 * 1280;

    /// `(height, width, factor, min_pixels, max_pixels)` and what the reference's function returned for it.
    #[allow(clippy::type_complexity)] // a table
    const REFERENCE: &[((u32, u32, u32, u64, u64), (u32, u32))] = &[
        ((480, 640, 28, 3136, 1_003_520), (476, 644)),
        ((640, 480, 28, 3136, 1_003_520), (644, 476)),
        ((1080, 1920, 28, 3136, 1_003_520), (728, 1316)),
        ((2160, 3840, 28, 3136, 12_845_056), (2156, 3836)),
        ((4000, 6000, 28, 3136, 12_845_056), (2912, 4368)),
        ((1, 1, 28, 3136, 1_003_520), (56, 56)),
        ((27, 29, 28, 3136, 1_003_520), (56, 84)),
        ((14, 14, 28, 3136, 1_003_520), (56, 56)),
        ((42, 42, 28, 3136, 1_003_520), (56, 56)),
        ((70, 98, 28, 3136, 1_003_520), (56, 112)),
        ((126, 154, 28, 3136, 1_003_520), (112, 168)),
        ((14, 2800, 28, 3136, 1_003_520), (28, 812)),
        ((2800, 14, 28, 3136, 1_003_520), (812, 28)),
        ((1, 200, 28, 3136, 1_003_520), (28, 812)),
        ((55, 57, 28, 3136, 1_003_520), (56, 56)),
        ((448, 448, 28, 3136, 1_003_520), (448, 448)),
        ((1000, 5, 28, 3136, 1_003_520), (812, 28)),
        ((3000, 3000, 28, 3136, 1_003_520), (980, 980)),
        ((6, 10, 4, 16, 4096), (8, 8)),
        ((2, 2, 4, 16, 4096), (4, 4)),
        ((63, 65, 4, 16, 4096), (64, 64)),
        ((200, 1, 4, 16, 4096), (60, 4)),
        ((64, 63, 4, 16, 4096), (64, 64)),
        ((720, 1280, 32, 65_536, 16_777_216), (704, 1280)),
        ((10, 14, 4, 16, 4096), (8, 16)),
        ((100_000, 500, 28, 3136, 1_003_520), (14_140, 56)),
    ];

    #[test]
    fn sizes_equal_the_reference() {
        for &((height, width, factor, min, max), expected) in REFERENCE {
            assert_eq!(smart_resize(height, width, factor, min, max), Some(expected), "{height}x{width} by {factor}");
        }
    }

    #[test]
    fn thin_and_empty_pictures_are_refused() {
        assert_eq!(smart_resize(1, 200, 28, MIN, MAX), Some((28, 812)));
        for (height, width) in [(1, 201), (5000, 1), (0, 10), (10, 0), (u32::MAX, 1)] {
            assert_eq!(smart_resize(height, width, 28, MIN, MAX), None, "{height}x{width}");
        }
        assert_eq!(smart_resize(10, 10, 0, MIN, MAX), None);
    }

    proptest! {
        #[test]
        fn sides_are_multiples_and_pixels_are_bounded(h in 1u32.., w in 1u32..) {
            if let Some((height, width)) = smart_resize(h, w, 28, MIN, MAX) {
                prop_assert!(height % 28 == 0 && width % 28 == 0 && height > 0 && width > 0);
                let pixels = u64::from(height) * u64::from(width);
                prop_assert!((MIN..=MAX).contains(&pixels), "{height}x{width}");
            }
        }
    }
}
