//! A class name and a random generator in, the parts of one piece of furniture out: what each class looks like.
//!
//! Names are those of NYU40 and ScanNet. An object's own frame has its footprint's centre at the origin, z up from what it
//! stands on, and its front towards -y (its back, +y, goes to the wall).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::layout::PartShape;
use super::placement::{Extent, Surface};

/// The colours, well apart from each other and from walls and floors.
pub const COLORS: [(&str, [u8; 3]); 10] = [
    ("red", [200, 35, 35]),
    ("green", [40, 150, 60]),
    ("blue", [40, 80, 205]),
    ("yellow", [235, 205, 45]),
    ("orange", [240, 125, 20]),
    ("purple", [125, 50, 170]),
    ("pink", [245, 140, 185]),
    ("brown", [115, 70, 35]),
    ("white", [245, 245, 245]),
    ("black", [25, 25, 28]),
];

/// Where a class stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the floor, its back to a wall.
    Wall,
    /// On the floor, anywhere.
    Floor,
    /// On top of furniture of these classes.
    On(&'static [&'static str]),
    /// On the floor, or on top of furniture of these classes.
    FloorOrOn(&'static [&'static str]),
}

/// A class.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Chance that a room has any.
    pub(crate) share: f64,
    /// Most copies in a room that has some; each number is equally likely.
    pub(crate) most: usize,
    /// Whether some of them stand askew.
    pub(crate) turned: bool,
}

const ON_TABLES: &[&str] = &["table", "desk", "dresser", "cabinet", "night stand"];
const ON_DESKS: &[&str] = &["table", "desk", "dresser", "cabinet"];
const ON_SOFT: &[&str] = &["bed", "sofa"];

const fn class(name: &'static str, place: Place, share: f64, most: usize) -> Class {
    Class { name, place, share, most, turned: false }
}

const fn askew(class: Class) -> Class {
    Class { turned: true, ..class }
}

/// All classes; those that carry others come first.
pub(crate) const CLASSES: [Class; 18] = [
    class("bed", Place::Wall, 0.55, 1),
    class("sofa", Place::Wall, 0.55, 1),
    class("bookshelf", Place::Wall, 0.4, 1),
    class("refrigerator", Place::Wall, 0.35, 1),
    class("cabinet", Place::Wall, 0.45, 2),
    class("dresser", Place::Wall, 0.5, 1),
    class("desk", Place::Wall, 0.6, 1),
    class("night stand", Place::Wall, 0.5, 2),
    class("table", Place::Floor, 0.65, 1),
    askew(class("chair", Place::Floor, 0.75, 4)),
    class("garbage bin", Place::Floor, 0.5, 1),
    askew(class("box", Place::FloorOrOn(ON_DESKS), 0.6, 3)),
    class("lamp", Place::On(ON_TABLES), 0.7, 2),
    class("monitor", Place::On(ON_DESKS), 0.5, 1),
    class("television", Place::On(ON_DESKS), 0.55, 1),
    class("books", Place::On(ON_TABLES), 0.6, 2),
    class("bag", Place::FloorOrOn(ON_TABLES), 0.5, 1),
    class("pillow", Place::On(ON_SOFT), 0.8, 4),
];

/// Names of the classes, in order.
pub const CLASS_NAMES: [&str; CLASSES.len()] = {
    let mut names = [""; CLASSES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = CLASSES[i].name;
        i += 1;
    }
    names
};

/// What colour a part has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tint {
    /// The object's colour at this brightness.
    Shade(f64),
    /// One of its own.
    Own([u8; 3]),
}

/// A part in the object's frame: shape, centre and colour.
pub(crate) type ModelPart = (PartShape, [f64; 3], Tint);

/// Spines of the books in a shelf: dull, so that they are not taken for the shelf's colour.
const SPINES: [[u8; 3]; 4] = [[120, 70, 66], [70, 84, 104], [92, 104, 80], [134, 118, 88]];

fn cuboid(size: [f64; 3], center: [f64; 3], shade: f64) -> ModelPart {
    (PartShape::Box { size }, center, Tint::Shade(shade))
}

fn cylinder(radius: f64, height: f64, center: [f64; 3], shade: f64) -> ModelPart {
    (PartShape::Cylinder { radius, height }, center, Tint::Shade(shade))
}

/// What things can stand on: the mattress of a bed, the seat of a sofa between its arms, else the whole top.
pub(crate) fn top_of(name: &str, parts: &[ModelPart]) -> Surface {
    let whole = Extent::around(parts);
    match (name, parts) {
        ("bed", [_, mattress, ..]) => {
            let Extent { min, max } = Extent::around(std::slice::from_ref(mattress));
            Surface { min: [min[0], min[1]], max: [max[0], max[1]], height: max[2] }
        }
        ("sofa", [seat, back, left, right, ..]) => {
            let [seat, back, left, right] = [seat, back, left, right].map(|p| Extent::around(std::slice::from_ref(p)));
            Surface { min: [left.max[0], seat.min[1]], max: [right.min[0], back.min[1]], height: seat.max[2] }
        }
        _ => Surface { min: [whole.min[0], whole.min[1]], max: [whole.max[0], whole.max[1]], height: whole.max[2] },
    }
}

/// A slab on four legs.
fn on_legs(w: f64, d: f64, h: f64, slab: f64, leg: f64, shade: f64) -> Vec<ModelPart> {
    let mut parts = vec![cuboid([w, d, slab], [0.0, 0.0, h - 0.5 * slab], 1.0)];
    let (x, y) = (0.5 * (w - leg), 0.5 * (d - leg));
    for (sx, sy) in [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)] {
        parts.push(cuboid([leg, leg, h - slab], [sx * x, sy * y, 0.5 * (h - slab)], shade));
    }
    parts
}

/// A closed body with `drawers` protruding fronts.
fn with_drawers(w: f64, d: f64, h: f64, drawers: usize) -> Vec<ModelPart> {
    let mut parts = vec![cuboid([w, d - 0.03, h], [0.0, 0.015, 0.5 * h], 0.95)];
    let pitch = h / drawers as f64;
    for i in 0..drawers {
        let z = (i as f64 + 0.5) * pitch;
        parts.push(cuboid([w - 0.06, 0.03, pitch - 0.05], [0.0, -0.5 * d + 0.015, z], 1.0));
    }
    parts
}

/// Parts of one random instance of `name`.
pub(crate) fn build(name: &str, rng: &mut ChaCha8Rng) -> Vec<ModelPart> {
    let mut size = |low: f64, high: f64| rng.random_range(low..high);
    match name {
        "bed" => {
            let (w, d, h) = (size(1.3, 1.7), size(1.9, 2.1), size(0.42, 0.55));
            vec![
                cuboid([w, d, 0.6 * h], [0.0, 0.0, 0.3 * h], 0.8),
                cuboid([w - 0.06, d - 0.1, 0.4 * h], [0.0, -0.03, 0.8 * h], 1.0),
                cuboid([w, 0.06, h + 0.45], [0.0, 0.5 * d - 0.03, 0.5 * (h + 0.45)], 0.85),
            ]
        }
        "sofa" => {
            let (w, d, h) = (size(1.5, 2.1), size(0.8, 0.95), size(0.75, 0.9));
            let mut parts = vec![
                cuboid([w, d, 0.42], [0.0, 0.0, 0.21], 1.0),
                cuboid([w, 0.22, h - 0.42], [0.0, 0.5 * d - 0.11, 0.42 + 0.5 * (h - 0.42)], 0.95),
            ];
            for side in [-1.0, 1.0] {
                parts.push(cuboid([0.18, d - 0.22, 0.2], [side * (0.5 * w - 0.09), -0.11, 0.52], 0.9));
            }
            parts
        }
        "bookshelf" => {
            let (w, d, h) = (size(0.8, 1.1), size(0.28, 0.38), size(1.6, 1.95));
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
                let (width, height) = (size(0.25, 0.5) * w, size(0.45, 0.7) * pitch);
                let x = size(-0.15, 0.15) * w;
                let z = 0.04 + pitch * f64::from(i) + 0.5 * height;
                let spine = SPINES[(size(0.0, 4.0) as usize).min(SPINES.len() - 1)];
                let shape = PartShape::Box { size: [width, 0.6 * d, height] };
                parts.push((shape, [x, 0.1 * d - 0.015, z], Tint::Own(spine)));
            }
            parts
        }
        "refrigerator" => {
            let (w, d, h) = (size(0.6, 0.75), size(0.6, 0.7), size(1.6, 1.85));
            vec![
                cuboid([w, d - 0.05, h], [0.0, 0.025, 0.5 * h], 0.95),
                cuboid([w - 0.03, 0.05, 0.62 * h], [0.0, -0.5 * d + 0.025, 0.34 * h], 1.0),
                cuboid([w - 0.03, 0.05, 0.3 * h], [0.0, -0.5 * d + 0.025, 0.84 * h], 1.0),
            ]
        }
        "cabinet" => {
            let (w, d, h) = (size(0.8, 1.2), size(0.4, 0.5), size(1.0, 1.3));
            let mut parts = vec![cuboid([w, d - 0.03, h], [0.0, 0.015, 0.5 * h], 0.95)];
            for side in [-1.0, 1.0] {
                parts.push(cuboid([0.5 * w - 0.05, 0.03, h - 0.1], [side * 0.25 * w, -0.5 * d + 0.015, 0.5 * h], 1.0));
            }
            parts
        }
        "dresser" => with_drawers(size(1.0, 1.4), size(0.42, 0.52), size(0.72, 0.9), 3),
        "night stand" => with_drawers(size(0.4, 0.5), size(0.36, 0.44), size(0.45, 0.58), 2),
        "desk" => {
            let (w, d, h) = (size(1.15, 1.5), size(0.6, 0.72), size(0.7, 0.76));
            vec![
                cuboid([w, d, 0.05], [0.0, 0.0, h - 0.025], 1.0),
                cuboid([0.05, d, h - 0.05], [0.5 * w - 0.025, 0.0, 0.5 * (h - 0.05)], 0.85),
                cuboid([0.36, d - 0.04, h - 0.05], [-0.5 * w + 0.18, 0.0, 0.5 * (h - 0.05)], 0.9),
            ]
        }
        "table" => on_legs(size(0.9, 1.5), size(0.75, 0.95), size(0.68, 0.76), 0.05, 0.07, 0.85),
        "chair" => {
            let (w, h) = (size(0.42, 0.5), size(0.82, 0.98));
            let mut parts = on_legs(w, w, 0.46, 0.06, 0.05, 0.85);
            parts.push(cuboid([w, 0.05, h - 0.46], [0.0, 0.5 * w - 0.025, 0.46 + 0.5 * (h - 0.46)], 0.95));
            parts
        }
        "garbage bin" => {
            let (r, h) = (size(0.13, 0.17), size(0.35, 0.5));
            vec![
                cylinder(r, h - 0.03, [0.0, 0.0, 0.5 * (h - 0.03)], 0.95),
                cylinder(r + 0.015, 0.03, [0.0, 0.0, h - 0.015], 1.0),
            ]
        }
        "box" => {
            let (w, d, h) = (size(0.4, 0.6), size(0.35, 0.5), size(0.3, 0.45));
            vec![cuboid([w, d, h], [0.0, 0.0, 0.5 * h], 1.0)]
        }
        "lamp" => {
            let (h, r) = (size(0.42, 0.55), size(0.12, 0.16));
            let shade = 0.45 * h;
            // a drum or a globe
            let light = if size(0.0, 1.0) < 0.6 {
                cylinder(r, shade, [0.0, 0.0, h - 0.5 * shade], 1.0)
            } else {
                (PartShape::Sphere { radius: r }, [0.0, 0.0, h - r], Tint::Shade(1.0))
            };
            vec![
                cylinder(0.09, 0.03, [0.0, 0.0, 0.015], 0.8),
                cylinder(0.025, h - 0.2, [0.0, 0.0, 0.5 * (h - 0.2)], 0.8),
                light,
            ]
        }
        "monitor" => {
            let (w, h) = (size(0.48, 0.6), size(0.4, 0.48));
            vec![
                cuboid([0.24, 0.18, 0.02], [0.0, 0.0, 0.01], 0.8),
                cuboid([0.05, 0.05, 0.16], [0.0, 0.03, 0.09], 0.8),
                cuboid([w, 0.05, h - 0.12], [0.0, 0.0, 0.12 + 0.5 * (h - 0.12)], 1.0),
                cuboid([w - 0.08, 0.01, h - 0.2], [0.0, -0.03, 0.12 + 0.5 * (h - 0.12)], 0.7),
            ]
        }
        "television" => {
            let (w, h) = (size(0.8, 1.0), size(0.5, 0.62));
            vec![
                cuboid([0.5 * w, 0.2, 0.03], [0.0, 0.0, 0.015], 0.8),
                cuboid([w, 0.07, h - 0.03], [0.0, 0.0, 0.03 + 0.5 * (h - 0.03)], 1.0),
                cuboid([w - 0.1, 0.01, h - 0.13], [0.0, -0.04, 0.03 + 0.5 * (h - 0.03)], 0.7),
            ]
        }
        "books" => {
            let (w, d) = (size(0.2, 0.28), size(0.16, 0.22));
            (0..4)
                .map(|i| {
                    cuboid(
                        [w - 0.02 * f64::from(i % 2), d, 0.04],
                        [0.0, 0.0, 0.02 + 0.04 * f64::from(i)],
                        1.0 - 0.05 * f64::from(i % 2),
                    )
                })
                .collect()
        }
        "bag" => {
            let (w, d, h) = (size(0.3, 0.38), size(0.16, 0.22), size(0.24, 0.3));
            vec![
                cuboid([w, d, h], [0.0, 0.0, 0.5 * h], 1.0),
                cuboid([0.03, 0.03, 0.12], [-0.08, 0.0, h + 0.06], 0.85),
                cuboid([0.03, 0.03, 0.12], [0.08, 0.0, h + 0.06], 0.85),
                cuboid([0.19, 0.03, 0.03], [0.0, 0.0, h + 0.135], 0.85),
            ]
        }
        // a pillow: a soft slab with a bulge
        _ => {
            let (w, d) = (size(0.45, 0.55), size(0.3, 0.38));
            vec![cuboid([w, d, 0.1], [0.0, 0.0, 0.05], 0.95), cuboid([0.7 * w, 0.7 * d, 0.16], [0.0, 0.0, 0.08], 1.0)]
        }
    }
}
