//! What classes of objects there are: their names, where they stand or hang, how often they come up, and their shapes.
//!
//! An object's own frame has its footprint's centre at the origin, z up from what it stands on (or from its lower edge, where it
//! hangs), and its front towards -y (its back, +y, goes to the wall).

mod furniture;
mod names;
mod parts;
mod things;
mod wall;

use std::sync::LazyLock;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use names::{ClassNames, class_names};
pub(crate) use parts::{Axis, ModelPart, Tint};

use super::placement::{Extent, Surface};
use parts::Sizes;

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

/// Where a class stands or hangs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// On the floor, its back to a wall.
    Wall,
    /// On the floor, anywhere.
    Floor,
    /// On top of furniture of these classes.
    On(&'static [&'static str]),
    /// On the floor, or on top of furniture of these classes.
    FloorOrOn(&'static [&'static str]),
    /// On a wall, its lower edge at least and at most so high, metres; what is at height 0 keeps the floor before it free.
    Hung(f64, f64),
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
    /// Its only colour; `None` when it comes in all.
    pub(crate) color: Option<&'static str>,
    /// Draws the sizes of one instance and makes its parts.
    shape: fn(&mut Sizes) -> Vec<ModelPart>,
}

impl Class {
    /// What of one of them one sees first: logs of its longer and shorter side and its height, metres, whether it hangs, and how high it
    /// is, metres.
    fn look(&self) -> [f64; 5] {
        let Extent { min, max } = Extent::around(&self.build(&mut ChaCha8Rng::seed_from_u64(LOOK_SEED)));
        let side = |k: usize| (max[k] - min[k]).max(LEAST_LOOK_M);
        let (hangs, up) = match self.place {
            Place::Wall | Place::Floor => (0.0, 0.0),
            Place::On(_) => (0.0, TABLE_M),
            Place::FloorOrOn(_) => (0.0, 0.5 * TABLE_M),
            Place::Hung(low, high) => (1.0, 0.5 * (low + high)),
        };
        [side(0).max(side(1)).ln(), side(0).min(side(1)).ln(), side(2).ln(), hangs, up]
    }

    /// Parts of one random instance.
    pub(crate) fn build(&self, rng: &mut ChaCha8Rng) -> Vec<ModelPart> {
        (self.shape)(&mut Sizes(rng))
    }
}

const ON_TABLES: &[&str] = &["table", "desk", "dresser", "cabinet", "night stand", "counter"];
const ON_DESKS: &[&str] = &["table", "desk", "dresser", "cabinet", "counter"];
const ON_SOFT: &[&str] = &["bed", "sofa"];
const ON_SEATS: &[&str] = &["bed", "sofa", "bench"];

/// The instance by which a class is compared with others, and its least side, metres.
const LOOK_SEED: u64 = 1;
const LEAST_LOOK_M: f64 = 0.01;
/// How high things stand that stand on furniture, about, metres.
const TABLE_M: f64 = 0.75;

type Shape = fn(&mut Sizes) -> Vec<ModelPart>;

const fn class(name: &'static str, place: Place, share: f64, most: usize, shape: Shape) -> Class {
    Class { name, place, share, most, turned: false, color: None, shape }
}

const fn askew(class: Class) -> Class {
    Class { turned: true, ..class }
}

const fn always(color: &'static str, class: Class) -> Class {
    Class { color: Some(color), ..class }
}

/// How many classes the simplest rooms know: the first ones, by which the embedded model was trained.
pub(crate) const FIRST_CLASSES: usize = 18;

/// All classes.
pub(crate) const CLASSES: [Class; 42] = [
    class("bed", Place::Wall, 0.55, 1, furniture::bed),
    class("sofa", Place::Wall, 0.55, 1, furniture::sofa),
    class("bookshelf", Place::Wall, 0.4, 1, furniture::bookshelf),
    class("refrigerator", Place::Wall, 0.35, 1, furniture::refrigerator),
    class("cabinet", Place::Wall, 0.45, 2, furniture::cabinet),
    class("dresser", Place::Wall, 0.5, 1, furniture::dresser),
    class("desk", Place::Wall, 0.6, 1, furniture::desk),
    class("night stand", Place::Wall, 0.5, 2, furniture::night_stand),
    class("table", Place::Floor, 0.65, 1, furniture::table),
    askew(class("chair", Place::Floor, 0.75, 4, furniture::chair)),
    class("garbage bin", Place::Floor, 0.5, 1, furniture::garbage_bin),
    askew(class("box", Place::FloorOrOn(ON_DESKS), 0.6, 3, things::box_)),
    class("lamp", Place::On(ON_TABLES), 0.7, 2, things::lamp),
    class("monitor", Place::On(ON_DESKS), 0.5, 1, things::monitor),
    class("television", Place::On(ON_DESKS), 0.55, 1, things::television),
    class("books", Place::On(ON_TABLES), 0.6, 2, things::books),
    class("bag", Place::FloorOrOn(ON_TABLES), 0.5, 1, things::bag),
    class("pillow", Place::On(ON_SOFT), 0.8, 4, things::pillow),
    class("counter", Place::Wall, 0.4, 1, furniture::counter),
    class("toilet", Place::Wall, 0.3, 1, furniture::toilet),
    class("sink", Place::Wall, 0.35, 1, furniture::sink),
    class("bathtub", Place::Wall, 0.3, 1, furniture::bathtub),
    class("clothes rack", Place::Wall, 0.3, 1, furniture::clothes_rack),
    askew(class("stool", Place::Floor, 0.4, 3, furniture::stool)),
    class("ottoman", Place::Floor, 0.35, 2, furniture::ottoman),
    askew(class("bench", Place::Floor, 0.35, 1, furniture::bench)),
    class("potted plant", Place::FloorOrOn(ON_TABLES), 0.5, 2, furniture::potted_plant),
    askew(class("floor mat", Place::Floor, 0.4, 1, things::floor_mat)),
    class("laptop", Place::On(ON_DESKS), 0.5, 2, things::laptop),
    class("keyboard", Place::On(ON_DESKS), 0.4, 1, things::keyboard),
    class("microwave", Place::On(ON_DESKS), 0.4, 1, things::microwave),
    class("vase", Place::On(ON_TABLES), 0.5, 2, things::vase),
    askew(class("teddy bear", Place::FloorOrOn(ON_SEATS), 0.4, 2, things::teddy_bear)),
    askew(class("suitcase", Place::Floor, 0.35, 2, things::suitcase)),
    askew(class("backpack", Place::FloorOrOn(ON_SEATS), 0.4, 2, things::backpack)),
    class("door", Place::Hung(0.0, 0.0), 0.6, 1, wall::door),
    class("window", Place::Hung(0.8, 1.0), 0.6, 2, wall::window),
    class("curtain", Place::Hung(0.1, 0.4), 0.35, 2, wall::curtain),
    class("picture", Place::Hung(1.15, 1.5), 0.6, 3, wall::picture),
    class("mirror", Place::Hung(0.9, 1.1), 0.4, 1, wall::mirror),
    always("white", class("whiteboard", Place::Hung(0.9, 1.2), 0.35, 1, wall::whiteboard)),
    class("clock", Place::Hung(1.5, 1.8), 0.4, 1, wall::clock),
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

/// Whether objects of the class called `name` are fixed to a wall instead of standing on something.
pub(crate) fn is_hung(name: &str) -> bool {
    CLASSES.iter().any(|c| c.name == name && matches!(c.place, Place::Hung(..)))
}

/// How little objects of the classes called `a` and `b` look alike, by the extents of one of each, their place, and their height over
/// the floor: 0 for one class, more for others, without a unit; infinite for what is no class.
pub(crate) fn unlikeness(a: &str, b: &str) -> f64 {
    static LOOKS: LazyLock<Vec<[f64; 5]>> = LazyLock::new(|| CLASSES.iter().map(Class::look).collect());
    let look = |name: &str| CLASS_NAMES.iter().position(|class| *class == name).map(|i| &LOOKS[i]);
    match (look(a), look(b)) {
        (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum(),
        _ => f64::INFINITY,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Smallest largest side that the encoder's 7 cm samples and 160 x 120 pictures still show, metres.
    const LEAST_SIDE_M: f64 = 0.2;

    #[test]
    fn every_shape_is_big_enough_stands_on_its_origin_and_is_centred() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for class in &CLASSES {
            for _ in 0..20 {
                let Extent { min, max } = Extent::around(&class.build(&mut rng));
                let sides: [f64; 3] = std::array::from_fn(|k| max[k] - min[k]);
                assert!(sides.iter().any(|s| *s >= LEAST_SIDE_M), "{}: {sides:?}", class.name);
                assert!(sides[2] < 2.2 && min[2].abs() < 1e-9, "{}: {min:?} {max:?}", class.name);
                assert!((0..2).all(|k| min[k] < 0.0 && max[k] > 0.0), "{}: {min:?} {max:?}", class.name);
            }
        }
    }

    #[test]
    fn what_looks_alike_is_told_from_what_does_not() {
        let most_alike = |to: &str| {
            let others = CLASS_NAMES.into_iter().filter(|class| *class != to);
            others.min_by(|a, b| unlikeness(to, a).total_cmp(&unlikeness(to, b))).unwrap()
        };
        assert_eq!(unlikeness("chair", "chair"), 0.0);
        assert_eq!(unlikeness("vase", "door"), unlikeness("door", "vase"));
        assert!(unlikeness("chair", "unicorn").is_infinite());
        for (class, alike) in [
            ("television", &["monitor", "microwave"][..]),
            ("whiteboard", &["window", "picture", "mirror"]),
            ("sofa", &["bed", "bathtub", "bench", "counter"]),
            ("stool", &["night stand", "ottoman", "suitcase", "chair"]),
        ] {
            assert!(alike.contains(&most_alike(class)), "{class}: {}", most_alike(class));
        }
    }

    #[test]
    fn hosts_and_colours_are_known() {
        for class in &CLASSES {
            if let Place::On(hosts) | Place::FloorOrOn(hosts) = class.place {
                assert!(hosts.iter().all(|h| CLASS_NAMES.contains(h)), "{}", class.name);
            }
            assert!(class.color.is_none_or(|name| COLORS.iter().any(|c| c.0 == name)), "{}", class.name);
            assert!((0.0..=1.0).contains(&class.share) && class.most > 0);
        }
    }
}
