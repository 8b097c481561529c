//! A random generator in, the floor plan of a flat out: rooms in a row along x, the walls between them and the openings in those.

use nalgebra::Isometry3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::config::RoomConfig;
use super::layout::{Part, PartShape};

/// Height of the ceiling, metres.
const CEILING_M: (f64, f64) = (2.4, 2.8);
/// Sides of a room that is one of several: along the row and across it, metres.
const ROW_SIDE_M: (f64, f64) = (2.9, 4.2);
const ACROSS_SIDE_M: (f64, f64) = (3.4, 4.8);
/// Thickness of a wall between two rooms, metres.
const WALL_M: (f64, f64) = (0.1, 0.18);
/// Width and height of an opening, metres.
const OPENING_WIDTH_M: (f64, f64) = (0.85, 1.1);
const OPENING_HEIGHT_M: (f64, f64) = (2.0, 2.15);
/// An opening's least distance from the corners, metres.
const OPENING_MARGIN_M: f64 = 0.5;
/// Free floor on both sides of an opening, metres.
const OPENING_FREE_M: f64 = 0.75;

/// A level rectangle along the walls, metres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Region {
    /// Smallest x, y.
    pub min: [f64; 2],
    /// Largest x, y.
    pub max: [f64; 2],
}

impl Region {
    /// Its side along `axis`, metres.
    pub(super) fn side(&self, axis: usize) -> f64 {
        self.max[axis] - self.min[axis]
    }

    /// Whether the rectangle from `min` to `max` is wholly inside.
    pub(super) fn contains(&self, min: [f64; 3], max: [f64; 3]) -> bool {
        (0..2).all(|k| min[k] >= self.min[k] && max[k] <= self.max[k])
    }

    /// Whether the rectangle from `min` to `max` shares floor with it.
    pub(super) fn meets(&self, min: [f64; 3], max: [f64; 3]) -> bool {
        (0..2).all(|k| min[k] < self.max[k] && max[k] > self.min[k])
    }
}

/// A floor plan.
pub(super) struct Plan {
    pub(super) size: [f64; 3],
    pub(super) regions: Vec<Region>,
    /// The parts of each wall between two rooms: shape and centre.
    pub(super) walls: Vec<(PartShape, [f64; 3])>,
    /// Middle of each opening on the floor; the i-th joins regions i and i + 1.
    pub(super) openings: Vec<[f64; 2]>,
    /// Floor at the openings where nothing may stand.
    pub(super) clear: Vec<Region>,
}

impl Plan {
    pub(super) fn draw(config: &RoomConfig, rng: &mut ChaCha8Rng) -> Self {
        let mut rooms = config.rooms.0.max(1);
        while rooms < config.rooms.1 && rng.random::<f64>() < config.next_room {
            rooms += 1;
        }
        let mut side = |(low, high): (f64, f64)| rng.random_range(low..high);
        if rooms == 1 {
            let size = [side(config.side_m), side(config.side_m), side(CEILING_M)];
            let whole = Region { min: [0.0; 2], max: [size[0], size[1]] };
            return Self { size, regions: vec![whole], walls: Vec::new(), openings: Vec::new(), clear: Vec::new() };
        }
        let (across, height) = (side(ACROSS_SIDE_M), side(CEILING_M));
        let mut plan = Self {
            size: [0.0, across, height],
            regions: Vec::new(),
            walls: Vec::new(),
            openings: Vec::new(),
            clear: Vec::new(),
        };
        let mut x = 0.0;
        for room in 0..rooms {
            if room > 0 {
                let thickness = side(WALL_M);
                let (width, top) = (side(OPENING_WIDTH_M), side(OPENING_HEIGHT_M));
                let reach = OPENING_MARGIN_M + 0.5 * width;
                let middle = side((reach, across - reach));
                plan.add_wall(x, thickness, middle, width, top);
                x += thickness;
            }
            let end = x + side(ROW_SIDE_M);
            plan.regions.push(Region { min: [x, 0.0], max: [end, across] });
            x = end;
        }
        plan.size[0] = x;
        plan
    }

    /// A wall from `x` on with an opening around y = `middle`.
    fn add_wall(&mut self, x: f64, thickness: f64, middle: f64, width: f64, top: f64) {
        let [_, across, height] = self.size;
        let (low, high) = (middle - 0.5 * width, middle + 0.5 * width);
        let center_x = x + 0.5 * thickness;
        for (from, to, bottom) in [(0.0, low, 0.0), (high, across, 0.0), (low, high, top)] {
            let size = [thickness, to - from, height - bottom];
            self.walls.push((PartShape::Box { size }, [center_x, 0.5 * (from + to), 0.5 * (bottom + height)]));
        }
        self.openings.push([center_x, middle]);
        self.clear
            .push(Region { min: [x - OPENING_FREE_M, low - 0.1], max: [x + thickness + OPENING_FREE_M, high + 0.1] });
    }

    /// The walls between the rooms in their colour.
    pub(super) fn wall_parts(&self, rgb: [u8; 3]) -> Vec<Part> {
        let part = |&(shape, [x, y, z]): &(PartShape, [f64; 3])| Part {
            shape,
            room_from_part: Isometry3::translation(x, y, z),
            rgb,
        };
        self.walls.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::config::Difficulty;
    use rand::SeedableRng;

    #[test]
    fn rooms_and_walls_fill_the_flat_and_openings_let_a_person_through() {
        let mut counts = [0usize; 4];
        for seed in 0..400 {
            let plan = Plan::draw(&RoomConfig::of(Difficulty::Hard), &mut ChaCha8Rng::seed_from_u64(seed));
            counts[plan.regions.len()] += 1;
            assert_eq!((plan.openings.len() + 1, 3 * plan.openings.len()), (plan.regions.len(), plan.walls.len()));
            let volume = |shape: &PartShape| 8.0 * shape.half_extents().iter().product::<f64>();
            let walls: f64 = plan.walls.iter().map(|(shape, _)| volume(shape)).sum();
            let rooms: f64 = plan.regions.iter().map(|r| r.side(0) * r.side(1) * plan.size[2]).sum();
            let rest = plan.size.iter().product::<f64>() - walls - rooms;
            let most = plan.openings.len() as f64 * WALL_M.1 * OPENING_WIDTH_M.1 * OPENING_HEIGHT_M.1;
            assert!((-1e-9..=most).contains(&rest), "seed {seed}: {rest} of at most {most}");
            for &[x, y] in &plan.openings {
                let person = ([x - 0.01, y - 0.4, 0.0], [x + 0.01, y + 0.4, 1.95]);
                assert!(plan.walls.iter().all(|(shape, c)| {
                    let half = shape.half_extents();
                    (0..3).any(|k| person.1[k] <= c[k] - half[k] || person.0[k] >= c[k] + half[k])
                }));
            }
        }
        assert!(counts[1] > 100 && counts[2] > 60 && counts[3] > 90, "{counts:?}");
    }
}
