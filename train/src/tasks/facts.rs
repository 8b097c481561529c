//! A room and what was seen of it in, what can be said of it without doubt out: names, supports, distances, sizes, sides.
//!
//! Every relation has a margin: where it is not met, nothing is said, so that no answer hangs on centimetres.

use std::cmp::Ordering;

use super::words::thing;
use crate::rooms::{Object, Room, unlikeness};

/// One distance is clearly less than another when it is by this much, metres.
const CLEARLY_NEARER_M: f64 = 0.3;
/// Something is next to another when their outlines are this close, metres.
const NEXT_TO_M: f64 = 0.6;
/// One is clearly larger when it has this many times the volume.
const CLEARLY_LARGER: f64 = 1.6;
/// One is clearly taller when it is by this factor, and by this much, metres.
const CLEARLY_TALLER: (f64, f64) = (1.15, 0.12);
/// What is fixed to a wall may have its middle this far outside the floor of its room, metres.
const IN_WALL_M: f64 = 0.1;
/// Between two: within this of the line that joins them, metres, and in the middle part of it; and clear of others to here.
const BETWEEN_M: (f64, f64) = (0.35, 0.7);
const BETWEEN_SHARE: (f64, f64) = (0.2, 0.8);

/// What an object rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rest<'a> {
    /// The floor.
    Floor,
    /// A wall, hung or built in.
    Wall,
    /// Another object.
    On(&'a Object),
}

/// A room to ask about.
pub(super) struct Facts<'a> {
    pub(super) room: &'a Room,
    /// For each class its objects, by place; only classes of which every instance was seen.
    known: Vec<(&'static str, Vec<&'a Object>)>,
}

impl<'a> Facts<'a> {
    /// `seen[i]`: whether object i was observed well; classes with an instance that was not are left out.
    pub(super) fn new(room: &'a Room, seen: &[bool]) -> Self {
        let known = room
            .class_names
            .iter()
            .map(|&class| (class, in_order(room.objects.iter().filter(|o| o.class == class))))
            .filter(|(_, objects)| objects.iter().all(|o| seen.get(o.id).copied().unwrap_or(false)))
            .collect();
        Self { room, known }
    }

    /// Classes whose instances are all known, none for classes that are not there.
    pub(super) fn classes(&self) -> impl Iterator<Item = (&'static str, &[&'a Object])> {
        self.known.iter().map(|(class, objects)| (*class, objects.as_slice()))
    }

    /// All instances of a class; `None` when some were not seen.
    pub(super) fn of(&self, class: &str) -> Option<&[&'a Object]> {
        self.known.iter().find(|(known, _)| *known == class).map(|(_, objects)| objects.as_slice())
    }

    /// All objects of known classes.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a Object> {
        self.known.iter().flat_map(|(_, objects)| objects.iter().copied())
    }

    /// Whether the object's class is known.
    pub(super) fn knows(&self, o: &Object) -> bool {
        self.of(o.class).is_some()
    }

    /// The least that tells the object from others: its class, or colour and class; `None` when neither does.
    pub(super) fn name(&self, o: &Object) -> Option<String> {
        let all = self.of(o.class)?;
        match all.len() {
            1 => Some(o.class.to_owned()),
            _ if all.iter().filter(|other| other.color == o.color).count() == 1 => Some(thing(o)),
            _ => None,
        }
    }

    /// What one looks at who looks for more of `class` than `fit`: another of the class, else what looks most like one, the first by
    /// place. So where the look falls does not tell whether it fits.
    pub(super) fn next_look(&self, class: &str, fit: &[&Object]) -> Option<&'a Object> {
        let others = in_order(self.objects().filter(|o| fit.iter().all(|own| own.id != o.id)));
        others.into_iter().min_by(|a, b| unlikeness(class, a.class).total_cmp(&unlikeness(class, b.class)))
    }

    /// What one looks at who looks for more on `host` than `fit`: the nearest other thing.
    pub(super) fn look_beside(&self, host: &Object, fit: &[&Object]) -> Option<&'a Object> {
        let others = in_order(self.objects().filter(|o| o.id != host.id && fit.iter().all(|own| own.id != o.id)));
        others.into_iter().min_by(|a, b| distance(host, a).total_cmp(&distance(host, b)))
    }

    /// Objects with a name.
    pub(super) fn named(&self) -> Vec<(&'a Object, String)> {
        self.objects().filter_map(|o| Some((o, self.name(o)?))).collect()
    }

    /// What the object rests on.
    pub(super) fn rest(&self, o: &Object) -> Rest<'a> {
        if let Some(host) = o.supported_by.and_then(|i| self.room.objects.get(i)) {
            return Rest::On(host);
        }
        if o.is_hung() { Rest::Wall } else { Rest::Floor }
    }

    /// Which room of the flat the object is in.
    fn region(&self, o: &Object) -> Option<usize> {
        let c = center(o);
        self.room
            .regions
            .iter()
            .position(|r| (0..2).all(|k| c[k] > r.min[k] - IN_WALL_M && c[k] < r.max[k] + IN_WALL_M))
    }

    /// Whether no wall is between the two.
    pub(super) fn same_room(&self, a: &Object, b: &Object) -> bool {
        self.region(a).is_some_and(|region| self.region(b) == Some(region))
    }

    /// Whether the object stands on the floor.
    pub(super) fn on_floor(&self, o: &Object) -> bool {
        self.rest(o) == Rest::Floor
    }

    /// All that stands on `host`, seen or not, by place.
    pub(super) fn loads(&self, host: &Object) -> Vec<&'a Object> {
        in_order(self.room.objects.iter().filter(|o| o.supported_by == Some(host.id)))
    }

    /// Whether anything stands on `o`.
    pub(super) fn has_loads(&self, o: &Object) -> bool {
        self.room.objects.iter().any(|other| other.supported_by == Some(o.id))
    }

    /// Of `candidates` the one clearly nearest to `anchor`, or clearly farthest; distances along the floor.
    pub(super) fn extreme(anchor: &Object, candidates: &[&'a Object], order: Ordering) -> Option<&'a Object> {
        candidates.iter().copied().find(|best| {
            let mut others = candidates.iter().filter(|o| o.id != best.id).peekable();
            others.peek().is_some() && others.all(|o| nearer(anchor, best, o) == Some(order))
        })
    }

    /// The one thing next to `o`: on the same level, close, and clearly closer than any other.
    pub(super) fn next_to(&self, o: &Object) -> Option<&'a Object> {
        let level = self.rest(o);
        if level == Rest::Wall {
            return None;
        }
        let others = self
            .room
            .objects
            .iter()
            .filter(|other| other.id != o.id && self.rest(other) == level && self.same_room(o, other));
        let mut by_gap: Vec<(f64, &Object)> = others.map(|other| (gap(o, other), other)).collect();
        by_gap.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (least, best) = *by_gap.first()?;
        let clear = by_gap.get(1).is_none_or(|(next, _)| *next > least + CLEARLY_NEARER_M);
        (least < NEXT_TO_M && clear && self.knows(best)).then_some(best)
    }

    /// The one thing on the floor between two others.
    pub(super) fn between(&self, a: &Object, b: &Object) -> Option<&'a Object> {
        if !self.same_room(a, b) {
            return None;
        }
        let (from, to) = (center(a), center(b));
        let along = [to[0] - from[0], to[1] - from[1]];
        let length = along[0].hypot(along[1]);
        let mut found = None;
        for o in self.room.objects.iter().filter(|o| o.id != a.id && o.id != b.id && self.on_floor(o)) {
            let [dx, dy] = [center(o)[0] - from[0], center(o)[1] - from[1]];
            let share = (dx * along[0] + dy * along[1]) / (length * length);
            let off = (dx * along[1] - dy * along[0]).abs() / length;
            if !(0.0..=1.0).contains(&share) || off > BETWEEN_M.1 {
                continue;
            }
            let inside = off < BETWEEN_M.0 && share > BETWEEN_SHARE.0 && share < BETWEEN_SHARE.1;
            if !inside || found.replace(o).is_some() {
                return None;
            }
        }
        found.filter(|o| self.knows(o))
    }
}

/// Objects from left to right as boxes are written: by x, then y of the centre.
pub(super) fn in_order<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<&'a Object> {
    let mut all: Vec<&Object> = objects.into_iter().collect();
    all.sort_by(|a, b| {
        let (a, b) = (a.bbox.center, b.bbox.center);
        a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1]))
    });
    all
}

/// The centre on the floor plan, metres.
pub(super) fn center(o: &Object) -> [f64; 2] {
    [o.bbox.center[0], o.bbox.center[1]]
}

/// Distance between the centres on the floor plan, metres.
pub(super) fn distance(a: &Object, b: &Object) -> f64 {
    let (a, b) = (center(a), center(b));
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Distance between the outlines on the floor plan, along the axes, metres.
pub(super) fn gap(a: &Object, b: &Object) -> f64 {
    let (a, b) = (a.bbox.aabb(), b.bbox.aabb());
    let apart = |k: usize| (a.min[k] - b.max[k]).max(b.min[k] - a.max[k]).max(0.0);
    apart(0).hypot(apart(1))
}

/// How the distances of `a` and `b` from `anchor` compare: by their centres and by their outlines, or `None` in doubt.
pub(super) fn nearer(anchor: &Object, a: &Object, b: &Object) -> Option<Ordering> {
    let centers = distance(anchor, b) - distance(anchor, a);
    let gaps = gap(anchor, b) - gap(anchor, a);
    if centers > CLEARLY_NEARER_M && gaps > CLEARLY_NEARER_M {
        Some(Ordering::Less)
    } else if centers < -CLEARLY_NEARER_M && gaps < -CLEARLY_NEARER_M {
        Some(Ordering::Greater)
    } else {
        None
    }
}

/// How the volumes compare; `None` in doubt.
pub(super) fn larger(a: &Object, b: &Object) -> Option<Ordering> {
    let ratio = a.bbox.volume() / b.bbox.volume();
    if ratio > CLEARLY_LARGER {
        Some(Ordering::Greater)
    } else if ratio < 1.0 / CLEARLY_LARGER {
        Some(Ordering::Less)
    } else {
        None
    }
}

/// How the heights from foot to top compare; `None` in doubt.
pub(super) fn taller(a: &Object, b: &Object) -> Option<Ordering> {
    let (factor, margin) = CLEARLY_TALLER;
    let (x, y) = (a.bbox.size[2], b.bbox.size[2]);
    if x > factor * y && x > y + margin {
        Some(Ordering::Greater)
    } else if y > factor * x && y > x + margin {
        Some(Ordering::Less)
    } else {
        None
    }
}

/// Of several the one that is clearly more (or less) than each other by `compare`; `None` when there are fewer than two.
pub(super) fn most<'a>(
    objects: &[&'a Object],
    wanted: Ordering,
    compare: fn(&Object, &Object) -> Option<Ordering>,
) -> Option<&'a Object> {
    let beats = |best: &Object| objects.iter().all(|o| o.id == best.id || compare(best, o) == Some(wanted));
    (objects.len() > 1).then(|| objects.iter().copied().find(|o| beats(o))).flatten()
}

/// The angle at which one at `position` who faces `yaw` has `p`: 0 ahead, positive to the left, radians within (-pi, pi].
pub(super) fn bearing(position: [f64; 2], yaw: f64, p: [f64; 2]) -> f64 {
    let (dx, dy) = (p[0] - position[0], p[1] - position[1]);
    let (sin, cos) = yaw.sin_cos();
    (cos * dy - sin * dx).atan2(cos * dx + sin * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{RoomConfig, generate};

    #[test]
    fn left_is_positive() {
        let quarter = std::f64::consts::FRAC_PI_2;
        assert!((bearing([0.0, 0.0], 0.0, [0.0, 2.0]) - quarter).abs() < 1e-12);
        assert!((bearing([1.0, 1.0], quarter, [3.0, 1.0]) + quarter).abs() < 1e-12);
        assert!(bearing([0.0, 0.0], 3.0, [-5.0, 0.0]).abs() < 0.2);
    }

    #[test]
    fn comparisons_turn_around() {
        for seed in 0..30 {
            let room = generate(seed, &RoomConfig::default());
            for a in &room.objects {
                for b in &room.objects {
                    for compare in [larger, taller] {
                        assert_eq!(compare(a, b), compare(b, a).map(Ordering::reverse));
                    }
                    assert_eq!(nearer(&room.objects[0], a, b), nearer(&room.objects[0], b, a).map(Ordering::reverse));
                }
            }
        }
    }

    #[test]
    fn a_look_falls_on_what_is_most_like_the_sought() {
        let (mut of_class, mut elsewhere) = (0, 0);
        for seed in 0..20 {
            let room = generate(seed, &RoomConfig::default());
            let facts = Facts::new(&room, &vec![true; room.objects.len()]);
            for (class, objects) in facts.classes() {
                for fit in 0..=objects.len() {
                    let look = facts.next_look(class, &objects[..fit]).unwrap();
                    match objects.get(fit) {
                        Some(next) => assert_eq!(look.id, next.id),
                        None => {
                            let most = |o: &Object| unlikeness(class, o.class) >= unlikeness(class, look.class);
                            assert!(look.class != class && facts.objects().all(|o| o.class == class || most(o)));
                        }
                    }
                    of_class += usize::from(fit < objects.len());
                    elsewhere += usize::from(fit == objects.len());
                }
            }
        }
        assert!(of_class > 100 && elsewhere > 100, "{of_class} {elsewhere}");
        let empty = Facts::new(&generate(1, &RoomConfig::default()), &[]).next_look("chair", &[]).is_none();
        assert!(empty);
    }

    #[test]
    fn unseen_classes_are_not_known() {
        let room = generate(4, &RoomConfig::default());
        let hidden = room.objects[0].class;
        let seen: Vec<bool> = room.objects.iter().map(|o| o.class != hidden).collect();
        let facts = Facts::new(&room, &seen);
        assert!(facts.of(hidden).is_none() && facts.objects().all(|o| o.class != hidden));
        assert!(facts.named().iter().all(|(o, name)| name.contains(o.class)));
    }
}
