//! Relevance of points in, the same relevance with small things as heavy as large ones out.

use std::collections::HashMap;

/// Side of a cell of space, metres: relevance within a cell and those around it, a cube of 0.75 m, is taken as one thing's.
const CELL_M: f32 = 0.25;

type Cell = [i32; 3];

/// Of the values of some points.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    values: f32,
    squares: f32,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.squares += other.squares;
    }
}

/// `values`, each divided by all of them close to its point, times the mean of these weighted by themselves, and scaled so that
/// the largest is 1: a cup of four points then counts as much as a piece of a bed of two hundred, and either in proportion to
/// how relevant its points are. Values of 0 and less, of points that are not finite, and without a
/// position are 0.
pub fn balanced(values: &[f32], positions: &[[f32; 3]]) -> Vec<f32> {
    let cell_of = |p: &[f32; 3]| -> Cell { p.map(|x| (x / CELL_M).floor() as i32) };
    let relevant = |value: &f32, p: &[f32; 3]| *value > 0.0 && p.iter().all(|x| x.is_finite());
    let mut sums: HashMap<Cell, Sums> = HashMap::new();
    for (value, p) in values.iter().zip(positions).filter(|(value, p)| relevant(value, p)) {
        sums.entry(cell_of(p)).or_default().add(Sums { values: *value, squares: value * value });
    }
    // each cell's own and its neighbours'
    let around: HashMap<Cell, Sums> = sums.keys().map(|cell| (*cell, sum_around(cell, &sums))).collect();
    let mut out: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(i, value)| match positions.get(i).filter(|p| relevant(value, p)) {
            Some(p) => around.get(&cell_of(p)).map_or(0.0, |near| value * near.squares / (near.values * near.values)),
            None => 0.0,
        })
        .collect();
    let largest = out.iter().copied().fold(0.0, f32::max);
    if largest > 0.0 {
        out.iter_mut().for_each(|value| *value /= largest);
    }
    out
}

fn sum_around(cell: &Cell, sums: &HashMap<Cell, Sums>) -> Sums {
    let mut sum = Sums::default();
    for x in -1..=1 {
        for y in -1..=1 {
            for z in -1..=1 {
                let [dx, dy, dz] = [x, y, z];
                let other = [cell[0].saturating_add(dx), cell[1].saturating_add(dy), cell[2].saturating_add(dz)];
                sum.add(sums.get(&other).copied().unwrap_or_default());
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_weigh_as_much_as_large_ones() {
        // 4 points of a cup, 100 of a crate two metres away
        let mut positions: Vec<[f32; 3]> = (0..4).map(|i| [0.05, 0.05, 0.02 * i as f32]).collect();
        positions.extend((0..100).map(|i| [2.0 + 0.02 * (i % 10) as f32, 0.02 * (i / 10) as f32, 0.0]));
        let values = balanced(&vec![0.8; 104], &positions);
        let (cup, crate_): (f32, f32) = (values[..4].iter().sum(), values[4..].iter().sum());
        assert!((cup / crate_ - 1.0).abs() < 1e-3, "{cup} {crate_}");
        assert_eq!(values[0], 1.0);
    }

    #[test]
    fn a_thing_weighs_as_much_as_it_is_relevant() {
        let positions: Vec<[f32; 3]> =
            (0..20).map(|i| [if i < 10 { 0.1 } else { 3.1 }, 0.1, 0.01 * i as f32]).collect();
        let values: Vec<f32> = (0..20).map(|i| if i < 10 { 0.9 } else { 0.3 }).collect();
        let values = balanced(&values, &positions);
        let (likely, unlikely): (f32, f32) = (values[..10].iter().sum(), values[10..].iter().sum());
        assert!((likely / unlikely - 3.0).abs() < 1e-3, "{likely} {unlikely}");
    }

    #[test]
    fn what_is_not_relevant_or_nowhere_stays_out() {
        let positions = [[0.0; 3], [f32::NAN, 0.0, 0.0], [f32::INFINITY, 0.0, 0.0], [3.0e38, 0.0, 0.0]];
        assert_eq!(balanced(&[-0.5, 1.0, 1.0, 0.5, 1.0], &positions), [0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(balanced(&[f32::NAN, 0.0], &positions), [0.0, 0.0]);
        assert!(balanced(&[], &[]).is_empty());
    }
}
