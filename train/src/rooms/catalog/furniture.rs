//! Random sizes in, the parts of one piece of furniture out: what stands on the floor and is too heavy to carry.

use super::parts::{Axis, ModelPart, Sizes, ball, cuboid, cylinder, on_legs, with_drawers};

/// Spines of the books in a shelf: dull, so that they are not taken for the shelf's colour.
const SPINES: [[u8; 3]; 4] = [[120, 70, 66], [70, 84, 104], [92, 104, 80], [134, 118, 88]];
/// Metal of taps and rails.
const METAL: [u8; 3] = [150, 154, 160];
/// Water-filled or hollow insides.
const HOLLOW: [u8; 3] = [176, 186, 190];
/// Clothes on a rack: dull as well.
const CLOTHES: [[u8; 3]; 4] = [[88, 92, 110], [126, 112, 104], [104, 122, 112], [140, 132, 120]];

pub(super) fn bed(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(1.3, 1.7), s.draw(1.9, 2.1), s.draw(0.42, 0.55));
    vec![
        cuboid([w, d, 0.6 * h], [0.0, 0.0, 0.3 * h], 0.8),
        cuboid([w - 0.06, d - 0.1, 0.4 * h], [0.0, -0.03, 0.8 * h], 1.0),
        cuboid([w, 0.06, h + 0.45], [0.0, 0.5 * d - 0.03, 0.5 * (h + 0.45)], 0.85),
    ]
}

pub(super) fn sofa(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(1.5, 2.1), s.draw(0.8, 0.95), s.draw(0.75, 0.9));
    let mut parts = vec![
        cuboid([w, d, 0.42], [0.0, 0.0, 0.21], 1.0),
        cuboid([w, 0.22, h - 0.42], [0.0, 0.5 * d - 0.11, 0.42 + 0.5 * (h - 0.42)], 0.95),
    ];
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.18, d - 0.22, 0.2], [side * (0.5 * w - 0.09), -0.11, 0.52], 0.9));
    }
    parts
}

pub(super) fn bookshelf(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.8, 1.1), s.draw(0.28, 0.38), s.draw(1.6, 1.95));
    let mut parts = vec![cuboid([w, 0.03, h], [0.0, 0.5 * d - 0.015, 0.5 * h], 0.8)];
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.04, d - 0.03, h], [side * (0.5 * w - 0.02), -0.015, 0.5 * h], 0.95));
    }
    for i in 0..6 {
        let z = 0.02 + (h - 0.04) * f64::from(i) / 5.0;
        parts.push(cuboid([w - 0.08, d - 0.03, 0.04], [0.0, -0.015, z], 1.0));
    }
    // a row of books on the inner boards
    let pitch = (h - 0.04) / 5.0;
    for i in 1..4 {
        let (width, height) = (s.draw(0.25, 0.5) * w, s.draw(0.45, 0.7) * pitch);
        let x = s.draw(-0.15, 0.15) * w;
        let z = 0.04 + pitch * f64::from(i) + 0.5 * height;
        let row = cuboid([width, 0.6 * d, height], [x, 0.1 * d - 0.015, z], 1.0);
        parts.push(row.own(s.one_of(SPINES)));
    }
    parts
}

pub(super) fn refrigerator(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.6, 0.75), s.draw(0.6, 0.7), s.draw(1.6, 1.85));
    vec![
        cuboid([w, d - 0.05, h], [0.0, 0.025, 0.5 * h], 0.95),
        cuboid([w - 0.03, 0.05, 0.62 * h], [0.0, -0.5 * d + 0.025, 0.34 * h], 1.0),
        cuboid([w - 0.03, 0.05, 0.3 * h], [0.0, -0.5 * d + 0.025, 0.84 * h], 1.0),
    ]
}

pub(super) fn cabinet(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.8, 1.2), s.draw(0.4, 0.5), s.draw(1.0, 1.3));
    let mut parts = vec![cuboid([w, d - 0.03, h], [0.0, 0.015, 0.5 * h], 0.95)];
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.5 * w - 0.05, 0.03, h - 0.1], [side * 0.25 * w, -0.5 * d + 0.015, 0.5 * h], 1.0));
    }
    parts
}

pub(super) fn dresser(s: &mut Sizes) -> Vec<ModelPart> {
    with_drawers(s.draw(1.0, 1.4), s.draw(0.42, 0.52), s.draw(0.72, 0.9), 3)
}

pub(super) fn night_stand(s: &mut Sizes) -> Vec<ModelPart> {
    with_drawers(s.draw(0.4, 0.5), s.draw(0.36, 0.44), s.draw(0.45, 0.58), 2)
}

pub(super) fn desk(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(1.15, 1.5), s.draw(0.6, 0.72), s.draw(0.7, 0.76));
    vec![
        cuboid([w, d, 0.05], [0.0, 0.0, h - 0.025], 1.0),
        cuboid([0.05, d, h - 0.05], [0.5 * w - 0.025, 0.0, 0.5 * (h - 0.05)], 0.85),
        cuboid([0.36, d - 0.04, h - 0.05], [-0.5 * w + 0.18, 0.0, 0.5 * (h - 0.05)], 0.9),
    ]
}

pub(super) fn table(s: &mut Sizes) -> Vec<ModelPart> {
    on_legs(s.draw(0.9, 1.5), s.draw(0.75, 0.95), s.draw(0.68, 0.76), 0.05, 0.07, 0.85)
}

pub(super) fn chair(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.42, 0.5), s.draw(0.82, 0.98));
    let mut parts = on_legs(w, w, 0.46, 0.06, 0.05, 0.85);
    parts.push(cuboid([w, 0.05, h - 0.46], [0.0, 0.5 * w - 0.025, 0.46 + 0.5 * (h - 0.46)], 0.95));
    parts
}

/// A kitchen counter: an overhanging worktop on a base that is set back at the floor.
pub(super) fn counter(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(1.3, 1.9), s.draw(0.58, 0.66), s.draw(0.88, 0.95));
    let mut parts = vec![
        cuboid([w, d, 0.05], [0.0, 0.0, h - 0.025], 0.7),
        cuboid([w - 0.04, d - 0.08, h - 0.15], [0.0, 0.04, 0.1 + 0.5 * (h - 0.15)], 0.95),
        cuboid([w - 0.1, d - 0.16, 0.1], [0.0, 0.08, 0.05], 0.5),
    ];
    for i in 0..3 {
        let x = (f64::from(i) - 1.0) * (w - 0.04) / 3.0;
        let front = [(w - 0.04) / 3.0 - 0.04, 0.02, h - 0.23];
        parts.push(cuboid(front, [x, -0.5 * d + 0.07, 0.1 + 0.5 * (h - 0.15)], 1.0));
    }
    parts
}

pub(super) fn toilet(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, h) = (s.draw(0.36, 0.42), s.draw(0.38, 0.43));
    let (r, tank) = (0.5 * w, 0.2);
    let depth = tank + 2.0 * r + 0.08;
    let bowl = -0.5 * depth + r;
    vec![
        cylinder(0.6 * r, h - 0.12, [0.0, bowl + 0.06, 0.5 * (h - 0.12)], 0.85),
        cylinder(r, 0.14, [0.0, bowl, h - 0.07], 0.95),
        cylinder(0.6 * r, 0.02, [0.0, bowl, h + 0.005], 1.0).own(HOLLOW),
        cuboid([0.7 * w, depth - r - tank, h - 0.05], [0.0, 0.5 * (bowl + 0.5 * depth - tank), 0.5 * (h - 0.05)], 0.9),
        cuboid([w + 0.02, tank, h + 0.36], [0.0, 0.5 * depth - 0.5 * tank, 0.5 * (h + 0.36)], 1.0),
    ]
}

/// A basin on a pedestal, with a tap.
pub(super) fn sink(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.5, 0.65), s.draw(0.42, 0.5), s.draw(0.8, 0.88));
    vec![
        cylinder(0.1, h - 0.16, [0.0, 0.08, 0.5 * (h - 0.16)], 0.85),
        cuboid([w, d, 0.16], [0.0, 0.0, h - 0.08], 1.0),
        cuboid([0.7 * w, 0.55 * d, 0.01], [0.0, -0.06, h + 0.002], 1.0).own(HOLLOW),
        cylinder(0.02, 0.18, [0.0, 0.5 * d - 0.06, h + 0.09], 1.0).own(METAL),
        cylinder(0.018, 0.14, [0.0, 0.5 * d - 0.12, h + 0.17], 1.0).along(Axis::Y).own(METAL),
    ]
}

/// Its long side at the wall: four walls around a low floor.
pub(super) fn bathtub(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(1.5, 1.75), s.draw(0.7, 0.8), s.draw(0.52, 0.6));
    let rim = 0.09;
    let mut parts = vec![cuboid([w, d, 0.15], [0.0, 0.0, 0.075], 0.9)];
    for side in [-1.0, 1.0] {
        let z = 0.15 + 0.5 * (h - 0.15);
        parts.push(cuboid([w, rim, h - 0.15], [0.0, side * 0.5 * (d - rim), z], 1.0));
        parts.push(cuboid([rim, d - 2.0 * rim, h - 0.15], [side * 0.5 * (w - rim), 0.0, z], 0.95));
    }
    parts.push(cuboid([w - 2.0 * rim, d - 2.0 * rim, 0.01], [0.0, 0.0, 0.155], 1.0).own(HOLLOW));
    parts.push(cylinder(0.025, 0.2, [0.5 * w - 0.05, 0.0, h + 0.1], 1.0).own(METAL));
    parts
}

/// A round seat on one column and a foot.
pub(super) fn stool(s: &mut Sizes) -> Vec<ModelPart> {
    let (r, h) = (s.draw(0.16, 0.2), s.draw(0.55, 0.75));
    vec![
        cylinder(0.9 * r, 0.03, [0.0, 0.0, 0.015], 0.75),
        cylinder(0.03, h - 0.08, [0.0, 0.0, 0.5 * (h - 0.08)], 0.8),
        cylinder(r, 0.08, [0.0, 0.0, h - 0.04], 1.0),
    ]
}

/// A round upholstered seat without a back.
pub(super) fn ottoman(s: &mut Sizes) -> Vec<ModelPart> {
    let (r, h) = (s.draw(0.27, 0.36), s.draw(0.36, 0.44));
    vec![
        cylinder(0.85 * r, 0.05, [0.0, 0.0, 0.025], 0.5),
        cylinder(r, h - 0.17, [0.0, 0.0, 0.05 + 0.5 * (h - 0.17)], 0.9),
        cylinder(1.04 * r, 0.12, [0.0, 0.0, h - 0.06], 1.0),
    ]
}

/// A long seat on two slabs, without a back.
pub(super) fn bench(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(1.1, 1.5), s.draw(0.34, 0.42), s.draw(0.42, 0.48));
    let mut parts = vec![cuboid([w, d, 0.06], [0.0, 0.0, h - 0.03], 1.0)];
    for side in [-1.0, 1.0] {
        parts.push(cuboid([0.07, d - 0.04, h - 0.06], [side * (0.5 * w - 0.15), 0.0, 0.5 * (h - 0.06)], 0.85));
    }
    parts.push(cuboid([w - 0.37, 0.04, 0.08], [0.0, 0.0, 0.55 * h], 0.8));
    parts
}

/// Two posts on feet, a rail, and clothes that hang from it.
pub(super) fn clothes_rack(s: &mut Sizes) -> Vec<ModelPart> {
    let (w, d, h) = (s.draw(0.9, 1.3), s.draw(0.42, 0.52), s.draw(1.45, 1.7));
    let post = 0.05;
    let mut parts = vec![cylinder(0.022, w, [0.0, 0.0, h - 0.022], 1.0).along(Axis::X)];
    for side in [-1.0, 1.0] {
        let x = side * 0.5 * (w - post);
        parts.push(cuboid([post, post, h], [x, 0.0, 0.5 * h], 1.0));
        parts.push(cuboid([post, d, 0.05], [x, 0.0, 0.025], 0.9));
    }
    parts.push(cuboid([w - 2.0 * post, 0.3 * d, 0.03], [0.0, 0.0, 0.2], 0.95));
    for i in 0..5 {
        let x = (f64::from(i) - 2.0) * (w - 0.3) / 5.0;
        let length = s.draw(0.6, 0.95);
        let hanging = cuboid([0.07, 0.75 * d, length], [x, 0.0, h - 0.08 - 0.5 * length], 1.0);
        parts.push(if i % 2 == 0 {
            cuboid([0.07, 0.75 * d, length], hanging.center, 0.9)
        } else {
            hanging.own(s.one_of(CLOTHES))
        });
    }
    parts
}

/// A pot with a plant whose blossoms have the object's colour.
pub(super) fn potted_plant(s: &mut Sizes) -> Vec<ModelPart> {
    const LEAVES: [u8; 3] = [72, 116, 62];
    const CLAY: [u8; 3] = [150, 104, 80];
    let (r, pot, bush) = (s.draw(0.11, 0.16), s.draw(0.18, 0.28), s.draw(0.15, 0.21));
    let top = pot + 1.5 * bush;
    let mut parts = vec![
        cylinder(r, pot, [0.0, 0.0, 0.5 * pot], 1.0).own(CLAY),
        cylinder(r + 0.02, 0.04, [0.0, 0.0, pot - 0.02], 1.0).own(CLAY),
        cylinder(0.6 * bush, 0.06, [0.0, 0.0, pot + 0.03], 1.0).own(LEAVES),
        ball(0.8 * bush, [0.0, 0.0, top], 1.0),
    ];
    for i in 0..4 {
        let (sin, cos) = (f64::from(i) * std::f64::consts::FRAC_PI_2 + 0.6).sin_cos();
        let at = [0.75 * bush * cos, 0.75 * bush * sin, pot + 0.75 * bush];
        parts.push(if i == 0 { ball(0.6 * bush, at, 1.0).own(LEAVES) } else { ball(0.6 * bush, at, 0.9) });
    }
    parts
}

pub(super) fn garbage_bin(s: &mut Sizes) -> Vec<ModelPart> {
    let (r, h) = (s.draw(0.13, 0.17), s.draw(0.35, 0.5));
    vec![
        cylinder(r, h - 0.03, [0.0, 0.0, 0.5 * (h - 0.03)], 0.95),
        cylinder(r + 0.015, 0.03, [0.0, 0.0, h - 0.015], 1.0),
    ]
}
