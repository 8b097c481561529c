//! Random sizes in, the parts of one thing on a wall out. The back, +y, is the wall's side; z counts from the lower edge.

use super::parts::{Axis, ModelPart, Sizes, cuboid, cylinder};

/// Sky behind a window, and what a mirror shows.
const SKY: [u8; 3] = [186, 212, 236];
const SILVER: [u8; 3] = [196, 206, 212];
/// Handles, rods and trays.
const METAL: [u8; 3] = [120, 122, 126];
/// Hands and face of a clock.
const FACE: [u8; 3] = [236, 234, 226];
const INK: [u8; 3] = [34, 34, 38];
/// Frames of pictures.
const FRAME: [u8; 3] = [96, 78, 60];

/// Four bars of width `bar` around w x h, `depth` thick.
fn frame(w: f64, h: f64, bar: f64, depth: f64) -> Vec<ModelPart> {
    let mut parts = Vec::new();
    for side in [-1.0, 1.0] {
        parts.push(cuboid([bar, depth, h], [side * 0.5 * (w - bar), 0.0, 0.5 * h], 1.0));
        parts.push(cuboid([w - 2.0 * bar, depth, bar], [0.0, 0.0, 0.5 * h + side * 0.5 * (h - bar)], 0.95));
    }
    parts
}

/// A leaf with two panels and a handle, in a frame.
pub(super) fn door(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.82, 0.95), s.draw(1.95, 2.1));
    let mut parts = vec![cuboid([w, 0.05, h], [0.0, 0.005, 0.5 * h], 0.92)];
    for (z, height) in [(0.27, 0.36), (0.72, 0.4)] {
        parts.push(cuboid([0.62 * w, 0.02, height * h], [0.0, -0.02, z * h], 1.0));
    }
    parts.push(cuboid([0.12, 0.05, 0.03], [0.5 * w - 0.1, -0.045, 0.49 * h], 1.0).own(METAL));
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.06, 0.09, h + 0.06], [side * (0.5 * w + 0.03), -0.015, 0.5 * (h + 0.06)], 0.75));
    }
    parts.push(cuboid([w, 0.09, 0.06], [0.0, -0.015, h + 0.03], 0.75));
    parts
}

/// A thick frame with a mullion and panes that show sky, and a sill.
pub(super) fn window(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.9, 1.4), s.draw(0.9, 1.2));
    let mut parts = frame(w, h, 0.11, 0.08);
    parts.push(cuboid([0.1, 0.07, h - 0.22], [0.0, 0.005, 0.5 * h], 1.0));
    parts.push(cuboid([w - 0.22, 0.02, h - 0.22], [0.0, 0.03, 0.5 * h], 1.0).own(SKY));
    parts.push(cuboid([w + 0.06, 0.14, 0.04], [0.0, -0.03, 0.02], 0.9));
    parts
}

/// Folds that hang from a rod.
pub(super) fn curtain(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.8, 1.3), s.draw(1.5, 1.9));
    let folds = 7;
    let pitch = w / f64::from(folds);
    let mut parts = vec![cylinder(0.02, w + 0.16, [0.0, 0.0, h + 0.02], 1.0).along(Axis::X).own(METAL)];
    for i in 0..folds {
        let x = (f64::from(i) - 0.5 * f64::from(folds - 1)) * pitch;
        let (y, shade) = if i % 2 == 0 { (-0.02, 1.0) } else { (0.02, 0.85) };
        parts.push(cuboid([pitch, 0.06, h], [x, y, 0.5 * h], shade));
    }
    parts
}

/// A canvas of the object's colour with a motif, in a dull frame: deep enough that a map of 4 cm voxels tells it from the wall.
pub(super) fn picture(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.45, 0.9), s.draw(0.4, 0.7));
    let mut parts: Vec<ModelPart> = frame(w, h, 0.04, 0.07).into_iter().map(|p| p.own(FRAME)).collect();
    parts.push(cuboid([w - 0.08, 0.06, h - 0.08], [0.0, 0.005, 0.5 * h], 1.0));
    let (a, b) = (s.draw(0.2, 0.4), s.draw(0.2, 0.4));
    parts.push(cuboid([a * w, 0.01, 0.3 * h], [-0.18 * w, -0.026, 0.4 * h], 0.7));
    parts.push(cuboid([0.2 * w, 0.01, b * h], [0.22 * w, -0.026, 0.55 * h], 0.8));
    parts
}

/// Glass in a thick frame.
pub(super) fn mirror(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.5, 0.7), s.draw(0.8, 1.1));
    let mut parts = frame(w, h, 0.1, 0.06);
    parts.push(cuboid([w - 0.2, 0.02, h - 0.2], [0.0, 0.02, 0.5 * h], 1.0).own(SILVER));
    parts
}

/// A wide board in a thin metal frame with a tray.
pub(super) fn whiteboard(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(1.2, 1.7), s.draw(0.8, 1.0));
    let mut parts: Vec<ModelPart> = frame(w, h, 0.03, 0.04).into_iter().map(|p| p.own(METAL)).collect();
    parts.push(cuboid([w - 0.06, 0.02, h - 0.06], [0.0, 0.01, 0.5 * h], 1.0));
    parts.push(cuboid([0.6 * w, 0.1, 0.03], [0.0, -0.03, 0.015], 1.0).own(METAL));
    parts
}

/// Round: a thick rim of the object's colour, a pale face, two hands.
pub(super) fn clock(s: &mut Sizes) -> Vec<ModelPart> {
    let r = s.draw(0.17, 0.24);
    let disc = |radius: f64, depth: f64, y: f64| cylinder(radius, depth, [0.0, y, r], 1.0).along(Axis::Y);
    vec![
        disc(r, 0.06, 0.0),
        disc(0.66 * r, 0.01, -0.032).own(FACE),
        cuboid([0.03, 0.008, 0.5 * r], [0.0, -0.04, 1.25 * r], 1.0).own(INK),
        cuboid([0.36 * r, 0.008, 0.03], [0.18 * r, -0.04, r], 1.0).own(INK),
    ]
}
