//! Random sizes in, the parts of one thing out: what stands on furniture or can be carried.

use super::parts::{Axis, ModelPart, Sizes, ball, cuboid, cylinder};

/// Switched-off screens, glass doors.
const DARK_GLASS: [u8; 3] = [44, 48, 56];
/// Key tops and labels.
const PALE: [u8; 3] = [206, 208, 204];

pub(super) fn box_(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.4, 0.6), s.draw(0.35, 0.5), s.draw(0.3, 0.45));
    vec![cuboid([w, d, h], [0.0, 0.0, 0.5 * h], 1.0)]
}

pub(super) fn lamp(s: &mut Sizes) -> Vec<ModelPart> {
    let (h, r) = (s.draw(0.42, 0.55), s.draw(0.12, 0.16));
    let shade = 0.45 * h;
    // a drum or a globe
    let light = if s.draw(0.0, 1.0) < 0.6 {
        cylinder(r, shade, [0.0, 0.0, h - 0.5 * shade], 1.0)
    } else {
        ball(r, [0.0, 0.0, h - r], 1.0)
    };
    vec![
        cylinder(0.09, 0.03, [0.0, 0.0, 0.015], 0.8),
        cylinder(0.025, h - 0.2, [0.0, 0.0, 0.5 * (h - 0.2)], 0.8),
        light,
    ]
}

pub(super) fn monitor(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.48, 0.6), s.draw(0.4, 0.48));
    vec![
        cuboid([0.24, 0.18, 0.02], [0.0, 0.0, 0.01], 0.8),
        cuboid([0.05, 0.05, 0.16], [0.0, 0.03, 0.09], 0.8),
        cuboid([w, 0.05, h - 0.12], [0.0, 0.0, 0.12 + 0.5 * (h - 0.12)], 1.0),
        cuboid([w - 0.08, 0.01, h - 0.2], [0.0, -0.03, 0.12 + 0.5 * (h - 0.12)], 0.7),
    ]
}

pub(super) fn television(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.8, 1.0), s.draw(0.5, 0.62));
    vec![
        cuboid([0.5 * w, 0.2, 0.03], [0.0, 0.0, 0.015], 0.8),
        cuboid([w, 0.07, h - 0.03], [0.0, 0.0, 0.03 + 0.5 * (h - 0.03)], 1.0),
        cuboid([w - 0.1, 0.01, h - 0.13], [0.0, -0.04, 0.03 + 0.5 * (h - 0.03)], 0.7),
    ]
}

pub(super) fn books(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d) = (s.draw(0.2, 0.28), s.draw(0.16, 0.22));
    let book = |i: i32| {
        let size = [w - 0.02 * f64::from(i % 2), d, 0.04];
        cuboid(size, [0.0, 0.0, 0.02 + 0.04 * f64::from(i)], 1.0 - 0.05 * f64::from(i % 2))
    };
    (0..4).map(book).collect()
}

pub(super) fn bag(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.3, 0.38), s.draw(0.16, 0.22), s.draw(0.24, 0.3));
    vec![
        cuboid([w, d, h], [0.0, 0.0, 0.5 * h], 1.0),
        cuboid([0.03, 0.03, 0.12], [-0.08, 0.0, h + 0.06], 0.85),
        cuboid([0.03, 0.03, 0.12], [0.08, 0.0, h + 0.06], 0.85),
        cuboid([0.19, 0.03, 0.03], [0.0, 0.0, h + 0.135], 0.85),
    ]
}

/// A soft slab with a bulge.
pub(super) fn pillow(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d) = (s.draw(0.45, 0.55), s.draw(0.3, 0.38));
    vec![cuboid([w, d, 0.1], [0.0, 0.0, 0.05], 0.95), cuboid([0.7 * w, 0.7 * d, 0.16], [0.0, 0.0, 0.08], 1.0)]
}

/// Open, its screen upright.
pub(super) fn laptop(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d) = (s.draw(0.34, 0.42), s.draw(0.24, 0.29));
    let lid = 0.9 * d;
    vec![
        cuboid([w, d, 0.03], [0.0, 0.0, 0.015], 0.95),
        cuboid([0.85 * w, 0.45 * d, 0.005], [0.0, 0.08, 0.0325], 1.0).own(DARK_GLASS),
        cuboid([w, 0.02, lid], [0.0, 0.5 * d - 0.01, 0.03 + 0.5 * lid], 1.0),
        cuboid([w - 0.07, 0.004, lid - 0.07], [0.0, 0.5 * d - 0.022, 0.03 + 0.5 * lid], 1.0).own(DARK_GLASS),
    ]
}

/// Flat, with four rows of pale keys.
pub(super) fn keyboard(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d) = (s.draw(0.42, 0.5), s.draw(0.17, 0.21));
    let mut parts = vec![cuboid([w, d, 0.035], [0.0, 0.0, 0.0175], 1.0)];
    for i in 0..4 {
        let y = (f64::from(i) - 1.5) * 0.22 * d;
        parts.push(cuboid([w - 0.06, 0.1 * d, 0.01], [0.0, y, 0.04], 1.0).own(PALE));
    }
    parts
}

pub(super) fn microwave(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.46, 0.56), s.draw(0.34, 0.42), s.draw(0.27, 0.32));
    let front = -0.5 * d + 0.01;
    vec![
        cuboid([w, d - 0.02, h], [0.0, 0.01, 0.5 * h], 0.95),
        cuboid([0.72 * w, 0.02, h - 0.04], [-0.13 * w, front, 0.5 * h], 1.0),
        cuboid([0.5 * w, 0.006, 0.55 * h], [-0.16 * w, front - 0.012, 0.5 * h], 1.0).own(DARK_GLASS),
        cuboid([0.14 * w, 0.012, 0.2 * h], [0.37 * w, front + 0.004, 0.72 * h], 1.0).own(PALE),
    ]
}

/// A belly, a neck and a lip.
pub(super) fn vase(s: &mut Sizes) -> Vec<ModelPart> {
    let (r, h) = (s.draw(0.09, 0.13), s.draw(0.34, 0.46));
    vec![
        cylinder(0.7 * r, 0.04, [0.0, 0.0, 0.02], 0.85),
        ball(r, [0.0, 0.0, 0.02 + r], 1.0),
        cylinder(0.42 * r, h - 1.6 * r, [0.0, 0.0, h - 0.5 * (h - 1.6 * r)], 0.95),
        cylinder(0.7 * r, 0.025, [0.0, 0.0, h - 0.0125], 0.9),
    ]
}

/// Sitting: belly, head with ears and snout, arms and legs.
pub(super) fn teddy_bear(s: &mut Sizes) -> Vec<ModelPart> {
    let r = s.draw(0.11, 0.15);
    let head = [0.0, 0.0, 2.45 * r];
    let mut parts = vec![ball(r, [0.0, 0.0, r], 0.9), ball(0.72 * r, head, 1.0)];
    parts.push(ball(0.3 * r, [0.0, -0.62 * r, 2.35 * r], 1.0).own(PALE));
    for side in [-1.0, 1.0] {
        parts.push(ball(0.28 * r, [side * 0.6 * r, 0.0, 3.0 * r], 0.85));
        parts.push(ball(0.36 * r, [side * 0.95 * r, -0.35 * r, 1.3 * r], 0.85));
        parts.push(ball(0.42 * r, [side * 0.6 * r, -0.95 * r, 0.42 * r], 0.85));
    }
    parts
}

/// Upright on four feet, its handle drawn out.
pub(super) fn suitcase(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.38, 0.46), s.draw(0.22, 0.27), s.draw(0.52, 0.65));
    let mut parts = vec![
        cuboid([w, d, h], [0.0, 0.0, 0.04 + 0.5 * h], 1.0),
        cuboid([0.24, 0.03, 0.03], [0.0, 0.25 * d, h + 0.285], 1.0).own(DARK_GLASS),
    ];
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.025, 0.025, 0.24], [side * 0.1, 0.25 * d, h + 0.16], 1.0).own(DARK_GLASS));
        parts.push(cuboid([0.05, d, 0.04], [side * (0.5 * w - 0.05), 0.0, 0.02], 0.5));
        parts.push(cuboid([0.05, 0.012, 0.85 * h], [side * 0.25 * w, -0.5 * d - 0.006, 0.04 + 0.5 * h], 0.85));
    }
    parts
}

/// A rounded top, a pocket in front, straps at the back.
pub(super) fn backpack(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.29, 0.35), s.draw(0.16, 0.2), s.draw(0.4, 0.48));
    let body = h - 0.5 * w;
    let mut parts = vec![
        cuboid([w, d, body], [0.0, 0.0, 0.5 * body], 1.0),
        cylinder(0.5 * w, d, [0.0, 0.0, body], 1.0).along(Axis::Y),
        cuboid([0.75 * w, 0.07, 0.5 * body], [0.0, -0.5 * d - 0.035, 0.35 * body], 0.85),
    ];
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.05, 0.03, 0.8 * h], [side * 0.28 * w, 0.5 * d + 0.015, 0.45 * h], 0.7));
    }
    parts
}

pub(super) fn floor_mat(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d) = (s.draw(0.8, 1.3), s.draw(0.5, 0.8));
    vec![cuboid([w, d, 0.02], [0.0, 0.0, 0.01], 1.0), cuboid([w - 0.16, d - 0.16, 0.006], [0.0, 0.0, 0.023], 0.8)]
}
