//! A box in the world in, six integers from 0 to 255 out, and back.

use std::fmt;

use vantage_scene::{Aabb, OrientedBox};

use super::marks::{BOX_CLOSE, BOX_NUMBERS, BOX_OPEN};

/// Steps of a coordinate.
const STEPS: f64 = 255.0;
/// Shortest side of the bounds that coordinates are divided by, metres.
const MIN_LENGTH_M: f64 = 1.0e-6;

/// A box as text: centre, then full extents, as 255ths of the scene's bounds along x, y, z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextBox {
    /// Centre: 0 at the bounds' minimum, 255 at their maximum.
    pub center: [u8; 3],
    /// Extents: 255 is as long as the bounds.
    pub extent: [u8; 3],
}

/// Length of `bounds` along axis `k`; never zero, negative or infinite, so that flat and damaged bounds can be divided by.
fn length_m(bounds: &Aabb, k: usize) -> f64 {
    let length = bounds.max[k] - bounds.min[k];
    if length.is_finite() { length.max(MIN_LENGTH_M) } else { MIN_LENGTH_M }
}

impl TextBox {
    /// The axis-aligned bounds of `bbox`, rounded to 255ths of `bounds`.
    pub fn from_box(bbox: &OrientedBox, bounds: &Aabb) -> Self {
        let own = bbox.aabb();
        let step = |x: f64| (x * STEPS).round().clamp(0.0, STEPS) as u8;
        let length = |k: usize| length_m(bounds, k);
        Self {
            center: std::array::from_fn(|k| step((0.5 * (own.min[k] + own.max[k]) - bounds.min[k]) / length(k))),
            extent: std::array::from_fn(|k| step((own.max[k] - own.min[k]) / length(k))),
        }
    }

    /// Its six numbers in the order of the text.
    pub fn numbers(&self) -> [u8; BOX_NUMBERS] {
        let ([x, y, z], [w, h, l]) = (self.center, self.extent);
        [x, y, z, w, h, l]
    }

    /// The box in the world, yaw 0.
    pub fn to_box(&self, bounds: &Aabb) -> OrientedBox {
        let length = |k: usize| length_m(bounds, k);
        OrientedBox {
            center: std::array::from_fn(|k| bounds.min[k] + f64::from(self.center[k]) / STEPS * length(k)),
            size: std::array::from_fn(|k| f64::from(self.extent[k]) / STEPS * length(k)),
            yaw: 0.0,
        }
    }
}

impl fmt::Display for TextBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z, w, h, l] = self.numbers();
        write!(f, "{BOX_OPEN}{x}, {y}, {z}, {w}, {h}, {l}{BOX_CLOSE}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_box_comes_back_within_half_a_step() {
        let bounds = Aabb { min: [-2.0, 0.0, 0.0], max: [3.1, 5.1, 2.55] };
        let bbox = OrientedBox { center: [0.5, 2.0, 1.0], size: [0.6, 0.8, 1.0], yaw: 0.0 };
        let back = TextBox::from_box(&bbox, &bounds).to_box(&bounds);
        for k in 0..3 {
            let half_step = 0.5 * (bounds.max[k] - bounds.min[k]) / 255.0 + 1e-9;
            assert!(
                (back.center[k] - bbox.center[k]).abs() <= half_step
                    && (back.size[k] - bbox.size[k]).abs() <= half_step
            );
        }
    }

    #[test]
    fn boxes_outside_or_degenerate_bounds_are_clamped() {
        let flat = Aabb { min: [0.0; 3], max: [0.0; 3] };
        let bbox = OrientedBox { center: [9.0, -9.0, f64::NAN], size: [1.0; 3], yaw: 0.3 };
        let text = TextBox::from_box(&bbox, &flat);
        assert_eq!((text.center[0], text.center[1], text.extent[0]), (255, 0, 255));
        let endless = Aabb { min: [0.0; 3], max: [f64::INFINITY, f64::NAN, -1.0] };
        let back = TextBox { center: [255; 3], extent: [0; 3] }.to_box(&endless);
        assert!(back.center.iter().chain(&back.size).all(|x| x.is_finite()));
    }

    #[test]
    fn a_turned_box_is_written_by_its_extents_along_the_axes() {
        let bounds = Aabb { min: [0.0; 3], max: [2.55; 3] };
        let bbox = OrientedBox { center: [1.0, 1.0, 1.0], size: [1.0, 0.2, 0.5], yaw: std::f64::consts::FRAC_PI_2 };
        assert_eq!(TextBox::from_box(&bbox, &bounds), TextBox { center: [100; 3], extent: [20, 100, 50] });
    }

    proptest! {
        #[test]
        fn text_to_box_to_text_changes_nothing(
            center in any::<[u8; 3]>(),
            extent in any::<[u8; 3]>(),
            min in proptest::array::uniform3(-50.0..50.0f64),
            length in proptest::array::uniform3(0.01..60.0f64),
        ) {
            let bounds = Aabb { min, max: std::array::from_fn(|k| min[k] + length[k]) };
            let text = TextBox { center, extent };
            prop_assert_eq!(TextBox::from_box(&text.to_box(&bounds), &bounds), text);
        }
    }
}
