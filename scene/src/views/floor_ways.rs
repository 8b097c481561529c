//! The floor's cells and a place in, the cells that a robot can get to from there out, with the lengths of the shortest ways.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::floor_grid::FloorGrid;

/// Length of a step to the next cell and across a corner, in thousandths of a cell: whole numbers, so that ties are ties.
const STRAIGHT: u32 = 1_000;
const DIAGONAL: u32 = 1_414;
/// Length of no way.
const NO_WAY: u32 = u32::MAX;

/// Cells that can be reached from one place by steps to the eight neighbours, each step between passable cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Reachable {
    start: usize,
    /// Of each cell of the floor, thousandths of a cell.
    lengths: Vec<u32>,
    cell_m: f64,
}

impl Reachable {
    /// From the passable cell nearest to `from` and within `reach_m` of it: a robot's pose is not exact, and it may stand closer to
    /// something than it would go. Cells are visited in order of their distance (Dijkstra 1959; with steps of one length it would
    /// be a breadth-first search).
    pub(super) fn new(grid: &FloorGrid, is_passable: &[bool], from: [f64; 2], reach_m: f64) -> Option<Self> {
        let away = |cell: usize| {
            let at = grid.center(cell);
            (at[0] - from[0]).hypot(at[1] - from[1])
        };
        let near = grid.cells_within(from, reach_m).filter(|cell| is_passable[*cell]);
        let start = near.min_by(|a, b| away(*a).total_cmp(&away(*b)).then(a.cmp(b)))?;
        let mut lengths = vec![NO_WAY; is_passable.len()];
        lengths[start] = 0;
        let mut next = BinaryHeap::from([Reverse((0, start))]);
        while let Some(Reverse((length, cell))) = next.pop() {
            if length > lengths[cell] {
                continue;
            }
            let [column, row] = grid.column_row(cell);
            for other in grid.neighbours(cell).filter(|other| is_passable[*other]) {
                let [other_column, other_row] = grid.column_row(other);
                let is_diagonal = column != other_column && row != other_row;
                // not around a corner that the robot would touch
                if is_diagonal
                    && !(is_passable[grid.cell(other_column, row)] && is_passable[grid.cell(column, other_row)])
                {
                    continue;
                }
                let through = length.saturating_add(if is_diagonal { DIAGONAL } else { STRAIGHT });
                if through < lengths[other] {
                    lengths[other] = through;
                    next.push(Reverse((through, other)));
                }
            }
        }
        Some(Self { start, lengths, cell_m: grid.cell_m })
    }

    /// The cell that the ways start at.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Length of the shortest way to a cell, metres; `None` where there is none.
    pub fn distance_m(&self, cell: usize) -> Option<f64> {
        let length = self.lengths.get(cell).copied().filter(|length| *length != NO_WAY)?;
        Some(f64::from(length) / f64::from(STRAIGHT) * self.cell_m)
    }

    /// The cells that can be reached, in order, the start among them.
    pub fn cells(&self) -> impl Iterator<Item = usize> {
        self.lengths.iter().enumerate().filter(|(_, length)| **length != NO_WAY).map(|(cell, _)| cell)
    }
}

#[cfg(test)]
mod tests {
    use super::super::free_space::tests::two_rooms;
    use super::super::free_space::{FreeSpace, FreeSpaceConfig};

    #[test]
    fn every_way_leads_back_step_by_step_over_passable_cells() {
        let free = FreeSpace::new(&two_rooms(0.9), &[], &FreeSpaceConfig::default()).unwrap();
        let reachable = free.reachable([0.5, 1.5]).unwrap();
        assert!(reachable.cells().count() > 1000);
        assert_eq!(reachable.distance_m(reachable.start()), Some(0.0));
        for cell in reachable.cells() {
            assert!(free.is_passable(cell));
            let length = reachable.distance_m(cell).unwrap();
            let [from, to] = [reachable.start(), cell].map(|c| free.center(c));
            assert!(length >= (to[0] - from[0]).hypot(to[1] - from[1]) - 1e-3, "no shorter than the straight line");
            let before =
                free.grid.neighbours(cell).filter_map(|c| reachable.distance_m(c)).fold(f64::INFINITY, f64::min);
            let step = length - before;
            assert!(cell == reachable.start() || step > 0.99 * free.cell_m(), "{step}");
        }
        let passable = (0..free.cells().len()).filter(|c| free.is_passable(*c)).count();
        assert_eq!(reachable.cells().count(), passable, "all of both rooms");
    }

    #[test]
    fn a_robot_beside_no_floor_goes_nowhere_and_one_too_near_a_wall_starts_beside_it() {
        let free = FreeSpace::new(&two_rooms(0.9), &[], &FreeSpaceConfig::default()).unwrap();
        for lost in [[9.0, 9.0], [f64::NAN, 1.0], [f64::INFINITY, 1.0], [-0.2, 1.0]] {
            assert!(free.reachable(lost).is_none(), "{lost:?}");
        }
        let near_wall = free.reachable([0.15, 1.0]).unwrap();
        let start = free.center(near_wall.start());
        assert!(start[0] > 0.25 && start[0] < 0.4 && (start[1] - 1.0).abs() < 0.05, "{start:?}");
        assert_eq!(near_wall.distance_m(usize::MAX), None);
    }
}
