//! A class name and a random generator in, the parts of one piece of furniture out: what each class looks like.
//!
//! Names are those of NYU40 and ScanNet. An object's own frame has its footprint's centre at the origin, z up from what it
//! stands on, and its front towards -y (its back, +y, goes to the wall).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::layout::PartShape;

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
}

/// A class.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Chance that one is tried in a room; above 1, several.
    pub(crate) share: f64,
    /// Whether copies beyond the first get a small extra turn.
    pub(crate) turned: bool,
}

const ON_TABLES: &[&str] = &["table", "desk", "dresser", "cabinet", "night stand"];
const ON_DESKS: &[&str] = &["table", "desk", "dresser", "cabinet"];
const ON_SOFT: &[&str] = &["bed", "sofa"];

const fn class(name: &'static str, place: Place, share: f64, turned: bool) -> Class {
    Class { name, place, share, turned }
}

/// All classes; those that carry others come first.
pub(crate) const CLASSES: [Class; 18] = [
    class("bed", Place::Wall, 0.5, false),
    class("sofa", Place::Wall, 0.5, false),
    class("bookshelf", Place::Wall, 0.5, false),
    class("refrigerator", Place::Wall, 0.35, false),
    class("cabinet", Place::Wall, 0.5, false),
    class("dresser", Place::Wall, 0.45, false),
    class("desk", Place::Wall, 0.5, false),
    class("night stand", Place::Wall, 0.6, false),
    class("table", Place::Floor, 0.7, false),
    class("chair", Place::Floor, 2.2, true),
    class("garbage bin", Place::Floor, 0.7, false),
    class("box", Place::Floor, 1.0, true),
    class("lamp", Place::On(ON_TABLES), 0.8, false),
    class("monitor", Place::On(ON_DESKS), 0.6, false),
    class("television", Place::On(ON_DESKS), 0.4, false),
    class("books", Place::On(ON_TABLES), 0.6, false),
    class("bag", Place::On(ON_TABLES), 0.4, false),
    class("pillow", Place::On(ON_SOFT), 1.2, false),
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

/// A part in the object's frame: shape, centre and brightness of its colour.
pub(crate) type ModelPart = (PartShape, [f64; 3], f64);

fn cuboid(size: [f64; 3], center: [f64; 3], shade: f64) -> ModelPart {
    (PartShape::Box { size }, center, shade)
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
            let (w, h) = (size(0.26, 0.34), size(0.35, 0.5));
            let wall = 0.03;
            let mut parts = vec![cuboid([w, w, wall], [0.0, 0.0, 0.5 * wall], 0.7)];
            for side in [-1.0, 1.0] {
                parts.push(cuboid([wall, w, h], [side * 0.5 * (w - wall), 0.0, 0.5 * h], 1.0));
                parts.push(cuboid([w, wall, h], [0.0, side * 0.5 * (w - wall), 0.5 * h], 0.95));
            }
            parts
        }
        "box" => {
            let (w, d, h) = (size(0.4, 0.6), size(0.35, 0.5), size(0.3, 0.45));
            vec![cuboid([w, d, h], [0.0, 0.0, 0.5 * h], 1.0)]
        }
        "lamp" => {
            let (h, r) = (size(0.42, 0.55), size(0.12, 0.16));
            vec![
                cuboid([0.16, 0.16, 0.03], [0.0, 0.0, 0.015], 0.8),
                cuboid([0.04, 0.04, h - r], [0.0, 0.0, 0.5 * (h - r)], 0.8),
                (PartShape::Sphere { radius: r }, [0.0, 0.0, h - r], 1.0),
            ]
        }
        "monitor" => {
            let (w, h) = (size(0.48, 0.6), size(0.4, 0.48));
            vec![
                cuboid([0.24, 0.18, 0.02], [0.0, 0.0, 0.01], 0.8),
                cuboid([0.05, 0.05, 0.16], [0.0, 0.03, 0.09], 0.8),
                cuboid([w, 0.05, h - 0.12], [0.0, 0.0, 0.12 + 0.5 * (h - 0.12)], 1.0),
            ]
        }
        "television" => {
            let (w, h) = (size(0.8, 1.0), size(0.5, 0.62));
            vec![
                cuboid([0.5 * w, 0.2, 0.03], [0.0, 0.0, 0.015], 0.8),
                cuboid([w, 0.07, h - 0.03], [0.0, 0.0, 0.03 + 0.5 * (h - 0.03)], 1.0),
            ]
        }
        "books" => {
            let (w, d) = (size(0.2, 0.28), size(0.16, 0.22));
            (0..4).map(|i| cuboid([w - 0.02 * f64::from(i % 2), d, 0.04], [0.0, 0.0, 0.02 + 0.04 * f64::from(i)], 1.0 - 0.05 * f64::from(i % 2))).collect()
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
