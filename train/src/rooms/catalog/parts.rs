//! Sizes, places and colours in, the parts of a model out: what all classes are built of.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::rooms::layout::PartShape;

/// What colour a part has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tint {
    /// The object's colour at this brightness.
    Shade(f64),
    /// One of its own.
    Own([u8; 3]),
}

/// The object's axis along which a part's own z lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Lying, left to right.
    X,
    /// Lying, front to back.
    Y,
    /// Upright.
    Z,
}

/// A part in the object's frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ModelPart {
    pub(crate) shape: PartShape,
    /// Metres.
    pub(crate) center: [f64; 3],
    pub(crate) tint: Tint,
    pub(crate) axis: Axis,
}

impl ModelPart {
    /// Half extents along the object's x, y, z, metres.
    pub(crate) fn half_extents(&self) -> [f64; 3] {
        let [x, y, z] = self.shape.half_extents();
        match self.axis {
            Axis::X => [z, y, x],
            Axis::Y => [x, z, y],
            Axis::Z => [x, y, z],
        }
    }

    /// The same part in a colour of its own.
    pub(super) fn own(self, rgb: [u8; 3]) -> Self {
        Self { tint: Tint::Own(rgb), ..self }
    }

    /// The same part with its z along `axis`.
    pub(super) fn along(self, axis: Axis) -> Self {
        Self { axis, ..self }
    }
}

/// Draws the sizes of one instance.
pub(crate) struct Sizes<'a>(pub(crate) &'a mut ChaCha8Rng);

impl Sizes<'_> {
    /// From `low` to `high`.
    pub(super) fn draw(&mut self, low: f64, high: f64) -> f64 {
        self.0.random_range(low..high)
    }

    /// One of `choices`.
    pub(super) fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[(self.draw(0.0, N as f64) as usize).min(N - 1)]
    }
}

fn part(shape: PartShape, center: [f64; 3], shade: f64) -> ModelPart {
    ModelPart { shape, center, tint: Tint::Shade(shade), axis: Axis::Z }
}

pub(super) fn cuboid(size: [f64; 3], center: [f64; 3], shade: f64) -> ModelPart {
    part(PartShape::Box { size }, center, shade)
}

pub(super) fn cylinder(radius: f64, height: f64, center: [f64; 3], shade: f64) -> ModelPart {
    part(PartShape::Cylinder { radius, height }, center, shade)
}

pub(super) fn ball(radius: f64, center: [f64; 3], shade: f64) -> ModelPart {
    part(PartShape::Sphere { radius }, center, shade)
}

/// A slab on four legs.
pub(super) fn on_legs(w: f64, d: f64, h: f64, slab: f64, leg: f64, shade: f64) -> Vec<ModelPart> {
    let mut parts = vec![cuboid([w, d, slab], [0.0, 0.0, h - 0.5 * slab], 1.0)];
    let (x, y) = (0.5 * (w - leg), 0.5 * (d - leg));
    for (sx, sy) in [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)] {
        parts.push(cuboid([leg, leg, h - slab], [sx * x, sy * y, 0.5 * (h - slab)], shade));
    }
    parts
}

/// A closed body with `drawers` protruding fronts.
pub(super) fn with_drawers(w: f64, d: f64, h: f64, drawers: usize) -> Vec<ModelPart> {
    let mut parts = vec![cuboid([w, d - 0.03, h], [0.0, 0.015, 0.5 * h], 0.95)];
    let pitch = h / drawers as f64;
    for i in 0..drawers {
        let z = (i as f64 + 0.5) * pitch;
        parts.push(cuboid([w - 0.06, 0.03, pitch - 0.05], [0.0, -0.5 * d + 0.015, z], 1.0));
    }
    parts
}
