//! Points in, the number of each one's cluster out: DBSCAN (Ester et al. 1996), with one point as the least it is
//! Euclidean clustering.
//!
//! A grid does the work (Gunawan 2013; de Berg et al. 2019): two points of a cell whose diagonal is the radius are always
//! neighbours, so that cells are joined rather than points, and a cell with enough points asks nobody who is near. The
//! partition is the textbook's, not an approximation.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::CloudError;
use super::cell_map::{Cell, CellMap, cell_from_point};

/// Cells that one task looks around in. Results do not depend on it.
const CELLS_PER_TASK: usize = 1 << 11;
/// How much smaller than the radius a cell's diagonal is, so that rounding cannot part two points of a cell.
const DIAGONAL: f64 = 1.0 - 1.0e-6;
/// Cells apart on an axis, at most, of points within the radius: one diagonal is less than two sides.
const REACH: i32 = 2;

/// Numbers the clusters of `points` (metres) into `labels` (`[points]`, overwritten) and returns how many there are.
///
/// A point with at least `min_points` points within `radius_m` of it (inclusive, itself counted) is a core; cores within
/// the radius of each other share a cluster. Clusters are numbered in the order of their first core. A point that is no
/// core belongs to the lowest numbered cluster of a core within the radius, and to none (`None`) without such. These are
/// the rules of Open3D's `cluster_dbscan`, whose radius is exclusive. `min_points` 0 means 1.
///
/// Points that are not finite, and those more than 6e8 radii from the origin, belong to none and count for none. Memory
/// grows with the points only.
///
/// # Errors
/// [`CloudError`] for a radius that is not positive and finite, and for more points than 32 bits can number.
pub fn cluster_points(
    points: &[[f32; 3]],
    radius_m: f32,
    min_points: usize,
    labels: &mut Vec<Option<u32>>,
) -> Result<u32, CloudError> {
    CloudError::check_count(points.len())?;
    CloudError::check_positive("radius_m", radius_m)?;
    labels.clear();
    labels.resize(points.len(), None);
    let grid = Grid::from_points(points, radius_m);
    let is_core = grid.cores(min_points);
    let parents = grid.join(&is_core);

    let mut count = 0;
    let mut label_of_root: Vec<Option<u32>> = vec![None; grid.cells.len()];
    let mut rank_of_point = vec![u32::MAX; points.len()];
    for (rank, point) in grid.order.iter().enumerate() {
        rank_of_point[*point as usize] = rank as u32;
    }
    for (label, rank) in labels.iter_mut().zip(&rank_of_point) {
        if is_core.get(*rank as usize).copied().unwrap_or(false) {
            let root = root(&parents, grid.cell_of_rank[*rank as usize]) as usize;
            *label = Some(*label_of_root[root].get_or_insert_with(|| {
                count += 1;
                count - 1
            }));
        }
    }
    if is_core.iter().any(|core| !core) {
        for (point, label) in grid.borders(&is_core, labels) {
            labels[point as usize] = Some(label);
        }
    }
    Ok(count)
}

/// Points sorted by cell, cells in lexicographic order.
struct Grid {
    radius_squared: f32,
    cells: Vec<Cell>,
    /// Where each cell's points start among the sorted ones; one more entry than cells.
    starts: Vec<u32>,
    points: Vec<[f32; 3]>,
    /// Index of each sorted point in the caller's list, ascending within a cell.
    order: Vec<u32>,
    /// Cell of each sorted point.
    cell_of_rank: Vec<u32>,
}

impl Grid {
    fn from_points(points: &[[f32; 3]], radius_m: f32) -> Self {
        let side_m = f64::from(radius_m) / 3.0f64.sqrt() * DIAGONAL;
        let mut numbers = CellMap::new();
        let number_of: Vec<Option<u32>> =
            points.iter().map(|p| cell_from_point(p, side_m).map(|cell| numbers.number(cell))).collect();
        let mut by_cell: Vec<u32> = (0..numbers.cells().len() as u32).collect();
        by_cell.sort_unstable_by_key(|&number| numbers.cells()[number as usize]);
        let cells: Vec<Cell> = by_cell.iter().map(|&number| numbers.cells()[number as usize]).collect();
        let mut sorted_from_number = vec![0u32; cells.len()];
        for (sorted, &number) in by_cell.iter().enumerate() {
            sorted_from_number[number as usize] = sorted as u32;
        }
        // counting sort: stable, so that a cell's points stay in the caller's order
        let mut starts = vec![0u32; cells.len() + 1];
        for number in number_of.iter().flatten() {
            starts[sorted_from_number[*number as usize] as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let kept = starts.last().copied().unwrap_or(0) as usize;
        let mut next = starts.clone();
        let mut grid = Self {
            radius_squared: radius_m * radius_m,
            cells,
            starts,
            points: vec![[0.0; 3]; kept],
            order: vec![0; kept],
            cell_of_rank: vec![0; kept],
        };
        for (i, number) in number_of.iter().enumerate() {
            let Some(number) = number else { continue };
            let cell = sorted_from_number[*number as usize];
            let rank = next[cell as usize] as usize;
            next[cell as usize] += 1;
            (grid.points[rank], grid.order[rank], grid.cell_of_rank[rank]) = (points[i], i as u32, cell);
        }
        grid
    }

    fn ranks(&self, cell: usize) -> Range<usize> {
        self.starts[cell] as usize..self.starts[cell + 1] as usize
    }

    fn near(&self, a: &[f32; 3], b: &[f32; 3]) -> bool {
        let [x, y, z]: [f32; 3] = std::array::from_fn(|k| a[k] - b[k]);
        x * x + y * y + z * z <= self.radius_squared
    }

    fn tasks(&self) -> impl IndexedParallelIterator<Item = Range<usize>> {
        let count = self.cells.len();
        (0..count.div_ceil(CELLS_PER_TASK))
            .into_par_iter()
            .map(move |task| task * CELLS_PER_TASK..((task + 1) * CELLS_PER_TASK).min(count))
    }

    /// Whether each sorted point has at least `min_points` within the radius.
    fn cores(&self, min_points: usize) -> Vec<bool> {
        let parts: Vec<Vec<bool>> = self
            .tasks()
            .map(|cells| {
                let mut around = Around::new(&self.cells, cells.start, Side::Both);
                let mut neighbours = Vec::new();
                let mut is_core = Vec::new();
                for cell in cells {
                    let own = self.ranks(cell);
                    if own.len() >= min_points {
                        is_core.resize(is_core.len() + own.len(), true);
                        continue;
                    }
                    around.collect(cell, &mut neighbours);
                    is_core.extend(self.points[own.clone()].iter().map(|p| {
                        let mut found = own.len();
                        neighbours.iter().any(|&other| {
                            found += self.points[self.ranks(other)].iter().filter(|q| self.near(p, q)).count();
                            found >= min_points
                        })
                    }));
                }
                is_core
            })
            .collect();
        parts.concat()
    }

    /// A forest over the cells in which two cells with cores share a tree if they share a cluster. Which cell is the root
    /// does not depend on the order of the joins: it is the tree's first.
    fn join(&self, is_core: &[bool]) -> Vec<AtomicU32> {
        let parents: Vec<AtomicU32> = (0..self.cells.len() as u32).map(AtomicU32::new).collect();
        let cores = |cell: usize| self.ranks(cell).filter(|&rank| is_core[rank]);
        self.tasks().for_each(|cells| {
            let mut around = Around::new(&self.cells, cells.start, Side::Later);
            let mut neighbours = Vec::new();
            for cell in cells {
                around.collect(cell, &mut neighbours);
                for &other in &neighbours {
                    if root(&parents, cell as u32) != root(&parents, other as u32)
                        && cores(cell).any(|a| cores(other).any(|b| self.near(&self.points[a], &self.points[b])))
                    {
                        unite(&parents, cell as u32, other as u32);
                    }
                }
            }
        });
        parents
    }

    /// Points that are no cores but near one, with the least label among such; by index in the caller's list.
    fn borders(&self, is_core: &[bool], labels: &[Option<u32>]) -> Vec<(u32, u32)> {
        let label = |rank: usize| labels[self.order[rank] as usize].unwrap_or(u32::MAX);
        let parts: Vec<Vec<(u32, u32)>> = self
            .tasks()
            .map(|cells| {
                let mut around = Around::new(&self.cells, cells.start, Side::Both);
                let (mut neighbours, mut found) = (Vec::new(), Vec::new());
                for cell in cells.filter(|&cell| self.ranks(cell).any(|rank| !is_core[rank])) {
                    around.collect(cell, &mut neighbours);
                    neighbours.push(cell);
                    for rank in self.ranks(cell).filter(|&rank| !is_core[rank]) {
                        let near_cores = neighbours
                            .iter()
                            .flat_map(|&other| self.ranks(other))
                            .filter(|&other| is_core[other] && self.near(&self.points[rank], &self.points[other]));
                        found.extend(near_cores.map(label).min().map(|label| (self.order[rank], label)));
                    }
                }
                found
            })
            .collect();
        parts.concat()
    }
}

/// Which neighbours are asked for.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// All.
    Both,
    /// Those behind the cell in the order, so that each pair is seen once.
    Later,
}

/// Finds the filled cells around one after another: a cursor for each column of cells along z moves only forward.
struct Around<'a> {
    cells: &'a [Cell],
    side: Side,
    columns: Vec<([i32; 2], usize)>,
}

impl<'a> Around<'a> {
    /// `cells` in lexicographic order; `start` is the first one asked for.
    fn new(cells: &'a [Cell], start: usize, side: Side) -> Self {
        let offsets = (-REACH..=REACH).flat_map(|x| (-REACH..=REACH).map(move |y| [x, y]));
        let columns = offsets
            .filter(|offset| side == Side::Both || *offset >= [0, 0])
            .map(|[x, y]| {
                let from = cells.get(start).map(|c| [c[0] + x, c[1] + y, c[2] - REACH]);
                ([x, y], from.map_or(cells.len(), |from| cells.partition_point(|c| *c < from)))
            })
            .collect();
        Self { cells, side, columns }
    }

    /// The filled cells within reach of `cell`, itself excluded; cells are asked for in ascending order.
    fn collect(&mut self, cell: usize, neighbours: &mut Vec<usize>) {
        neighbours.clear();
        let [x, y, z] = self.cells[cell];
        for ([dx, dy], cursor) in &mut self.columns {
            let (low, high) = ([x + *dx, y + *dy, z - REACH], [x + *dx, y + *dy, z + REACH]);
            *cursor += self.cells[*cursor..].iter().take_while(|c| **c < low).count();
            let column = self.cells[*cursor..].iter().take_while(|c| **c <= high);
            neighbours.extend((*cursor..).zip(column).map(|(other, _)| other).filter(|&other| match self.side {
                Side::Both => other != cell,
                Side::Later => other > cell,
            }));
        }
    }
}

/// The root of a cell's tree; halves the path on the way (Tarjan and van Leeuwen 1984).
fn root(parents: &[AtomicU32], mut cell: u32) -> u32 {
    loop {
        let parent = parents[cell as usize].load(Ordering::Relaxed);
        if parent == cell {
            return cell;
        }
        let grandparent = parents[parent as usize].load(Ordering::Relaxed);
        // only ever replaces an ancestor by a higher one; if another thread was faster, nothing is lost
        let _ = parents[cell as usize].compare_exchange_weak(parent, grandparent, Ordering::Relaxed, Ordering::Relaxed);
        cell = grandparent;
    }
}

/// Joins two trees under the lesser root; safe with others doing the same (Anderson and Woll 1991).
fn unite(parents: &[AtomicU32], a: u32, b: u32) {
    loop {
        let (a, b) = (root(parents, a), root(parents, b));
        let (low, high) = (a.min(b), a.max(b));
        if low == high
            || parents[high as usize].compare_exchange(high, low, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// DBSCAN by the book: all pairs, clusters grown one after another from the first core not yet reached.
    fn naive(points: &[[f32; 3]], radius_m: f32, min_points: usize) -> Vec<Option<u32>> {
        let near = |i: usize, j: usize| {
            let d: [f32; 3] = std::array::from_fn(|k| points[i][k] - points[j][k]);
            d[0] * d[0] + d[1] * d[1] + d[2] * d[2] <= radius_m * radius_m
        };
        let around = |i: usize| (0..points.len()).filter(|&j| near(i, j)).collect::<Vec<_>>();
        let mut labels = vec![None; points.len()];
        let mut count = 0;
        for start in 0..points.len() {
            if labels[start].is_some() || around(start).len() < min_points {
                continue;
            }
            labels[start] = Some(count);
            let mut open = around(start);
            while let Some(i) = open.pop() {
                if labels[i].is_none() {
                    labels[i] = Some(count);
                    let own = around(i);
                    if own.len() >= min_points {
                        open.extend(own);
                    }
                }
            }
            count += 1;
        }
        labels
    }

    /// Loose heaps on a coarse raster, so that equal points and distances of exactly the radius occur.
    fn heaps() -> impl Strategy<Value = Vec<[f32; 3]>> {
        let heap = ([-4..4i32, -4..4i32, -2..2i32], prop::collection::vec([-6..7i32, -6..7i32, -3..4i32], 1..40));
        prop::collection::vec(heap, 0..8).prop_map(|heaps| {
            let mut points: Vec<[f32; 3]> = heaps
                .iter()
                .flat_map(|(center, offsets)| {
                    offsets.iter().map(|o| std::array::from_fn(|k| center[k] as f32 * 1.5 + o[k] as f32 * 0.125))
                })
                .collect();
            // the caller's order has nothing to do with space
            let count = points.len();
            for i in 0..count {
                points.swap(i, (i * 7919 + 13) % count);
            }
            points
        })
    }

    proptest! {
        #[test]
        fn the_partition_and_the_numbers_are_the_books(
            points in heaps(), radius_m in prop::sample::select(vec![0.125f32, 0.2, 0.25, 0.5, 3.0]), min_points in 0..12usize,
        ) {
            let mut labels = Vec::new();
            let count = cluster_points(&points, radius_m, min_points, &mut labels).unwrap();
            let expected = naive(&points, radius_m, min_points.max(1));
            prop_assert_eq!(count, expected.iter().flatten().max().map_or(0, |m| m + 1));
            prop_assert_eq!(labels, expected);
        }
    }

    #[test]
    fn many_tasks_on_many_threads_find_two_sheets_and_the_dust() {
        let mut points = Vec::new();
        for i in 0..160 {
            for j in 0..160 {
                points.push([i as f32 * 0.02, j as f32 * 0.02, 0.0]);
                points.push([i as f32 * 0.02, j as f32 * 0.02, 0.3]);
            }
        }
        points.push([1.0, 1.0, 0.15]);
        let on_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut labels = Vec::new();
            assert_eq!(pool.install(|| cluster_points(&points, 0.05, 5, &mut labels)), Ok(2));
            labels
        };
        let labels = on_threads(4);
        assert_eq!(labels, on_threads(1));
        assert!(labels[..points.len() - 1].iter().enumerate().all(|(i, label)| *label == Some(i as u32 % 2)));
        assert_eq!(labels.last(), Some(&None));
    }

    #[test]
    fn broken_and_far_points_belong_to_none() {
        let points = [[f32::NAN, 0.0, 0.0], [0.0; 3], [f32::INFINITY; 3], [3.0e38; 3], [1.0e9; 3], [0.05, 0.0, 0.0]];
        let mut labels = vec![Some(7)];
        assert_eq!(cluster_points(&points, 0.1, 1, &mut labels), Ok(1));
        assert_eq!(labels, [None, Some(0), None, None, None, Some(0)]);
        assert_eq!(cluster_points(&[], 0.1, 1, &mut labels), Ok(0));
        assert!(labels.is_empty());
        let error = cluster_points(&points, f32::NAN, 1, &mut labels).unwrap_err();
        assert_eq!(error.to_string(), "radius_m is NaN; it must be positive and finite");
    }
}
