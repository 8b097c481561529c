//! Rectangles and points of a picture: their sizes, overlap and scale.

/// A rectangle of a picture, pixels; the picture spans from 0 to its width and height, the first pixel's centre is at 0.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left and top.
    pub min: [f32; 2],
    /// Right and bottom.
    pub max: [f32; 2],
}

impl Rect {
    /// Nothing: the start of a union.
    pub(super) const EMPTY: Self = Self { min: [f32::INFINITY; 2], max: [f32::NEG_INFINITY; 2] };

    /// Square pixels; 0 for what is empty.
    pub fn area(&self) -> f32 {
        (self.max[0] - self.min[0]).max(0.0) * (self.max[1] - self.min[1]).max(0.0)
    }

    /// Intersection over union; 0 when either is empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let common = Self {
            min: std::array::from_fn(|k| self.min[k].max(other.min[k])),
            max: std::array::from_fn(|k| self.max[k].min(other.max[k])),
        }
        .area();
        let union = self.area() + other.area() - common;
        if union > 0.0 && union.is_finite() { common / union } else { 0.0 }
    }

    /// The same, wider by `by` pixels on every side.
    pub(super) fn grown(&self, by: [f32; 2]) -> Self {
        Self { min: std::array::from_fn(|k| self.min[k] - by[k]), max: std::array::from_fn(|k| self.max[k] + by[k]) }
    }

    /// Whether a place lies in it.
    pub(super) fn contains(&self, place: &[f32; 2]) -> bool {
        (0..2).all(|k| place[k] >= self.min[k] && place[k] <= self.max[k])
    }

    /// The smallest rectangle around both.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self {
            min: std::array::from_fn(|k| self.min[k].min(other.min[k])),
            max: std::array::from_fn(|k| self.max[k].max(other.max[k])),
        }
    }

    /// The same with each coordinate scaled.
    pub(super) fn scaled(&self, by: [f32; 2]) -> Self {
        Self { min: std::array::from_fn(|k| self.min[k] * by[k]), max: std::array::from_fn(|k| self.max[k] * by[k]) }
    }
}
