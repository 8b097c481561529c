//! Points in, the mean position, colour and direction of each filled voxel out.

use rayon::prelude::*;

use super::CloudError;
use super::cell_map::{Cell, CellMap, NOWHERE, cells_from_coordinates};
use super::normals::unit_or_up;

/// Points that one task averages on its own before the results are merged, in order. Fixed, so that sums are added in
/// the same order on every machine; enough that few voxels are left to merge, few enough that a core's cache holds them.
const POINTS_PER_TASK: usize = 1 << 17;
/// Tasks that run at once, each with tables that the tasks after it use again.
const TASKS: usize = 16;
/// Points whose cells are computed at once, as vectors.
const POINTS_PER_BLOCK: usize = 256;

/// Means of filled voxels, in order of first appearance among the points; the lists are equally long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VoxelMeans {
    /// Integer coordinates: the voxel spans `cell * voxel_m` to `(cell + 1) * voxel_m`.
    pub cells: Vec<[i32; 3]>,
    /// Metres.
    pub positions: Vec<[f32; 3]>,
    /// Red, green, blue, rounded to the nearest.
    pub colors: Vec<[u8; 3]>,
    /// Unit length; empty when no normals were given. The z axis where a voxel's normals cancel out.
    pub normals: Vec<[f32; 3]>,
}

/// Averages `positions` (metres) and `colors` (`[points]` each), and `normals` if given, over the voxels of side `voxel_m`.
///
/// Points that are not finite are left out; coordinates beyond 2^22 voxels count to the outermost voxel. Sums are kept in
/// f64 and merged in a fixed order: the result does not depend on the number of threads. `out` is overwritten, its memory
/// reused; memory grows with the filled voxels only.
///
/// # Errors
/// [`CloudError`] for a voxel that is not positive and finite, and for lists of different lengths.
pub fn voxel_downsample(
    positions: &[[f32; 3]],
    colors: &[[u8; 3]],
    normals: Option<&[[f32; 3]]>,
    voxel_m: f32,
    out: &mut VoxelMeans,
) -> Result<(), CloudError> {
    CloudError::check_count(positions.len())?;
    CloudError::check_positive("voxel_m", voxel_m)?;
    CloudError::check_length("colors", colors.len(), positions.len())?;
    CloudError::check_length("normals", normals.map_or(positions.len(), <[_]>::len), positions.len())?;
    let mut merged = VoxelSums::new();
    let mut tasks = vec![VoxelSums::new(); positions.len().div_ceil(POINTS_PER_TASK).min(TASKS)];
    for start in (0..positions.len()).step_by(TASKS * POINTS_PER_TASK) {
        let filled = tasks.len().min((positions.len() - start).div_ceil(POINTS_PER_TASK));
        tasks[..filled].par_iter_mut().enumerate().for_each(|(task, sums)| {
            let first = start + task * POINTS_PER_TASK;
            let range = first..(first + POINTS_PER_TASK).min(positions.len());
            sums.set_from_points(
                &positions[range.clone()],
                &colors[range.clone()],
                normals.map(|n| &n[range]),
                voxel_m,
            );
        });
        for task in &tasks[..filled] {
            merged.merge(task);
        }
    }
    merged.means(out);
    Ok(())
}

/// What is added up over a voxel's points: x, y, z, red, green, blue, number. One type for all, so that they are added
/// as vectors; f64 holds the integers among them exactly.
type Sum = [f64; 7];

/// The sum of a run of at most [`POINTS_PER_TASK`] points.
#[inline(always)]
fn sum_from(position: [f64; 3], color: [u32; 3], count: u32) -> Sum {
    let ([x, y, z], [r, g, b]) = (position, color.map(f64::from));
    [x, y, z, r, g, b, f64::from(count)]
}

/// Sums by voxel, in order of first appearance.
#[derive(Clone)]
struct VoxelSums {
    numbers: CellMap,
    sums: Vec<Sum>,
    /// Sums of the normals; empty without normals.
    normals: Vec<[f64; 3]>,
}

impl VoxelSums {
    fn new() -> Self {
        Self { numbers: CellMap::new(), sums: Vec::new(), normals: Vec::new() }
    }

    fn set_from_points(
        &mut self,
        positions: &[[f32; 3]],
        colors: &[[u8; 3]],
        normals: Option<&[[f32; 3]]>,
        voxel_m: f32,
    ) {
        self.numbers.clear();
        self.sums.clear();
        self.normals.clear();
        let mut cells = [[0; 3]; POINTS_PER_BLOCK];
        // Neighbours in an image mostly share a voxel: a run of such points is added up in registers before its voxel
        // is looked up.
        let (mut cell, mut count) = ([NOWHERE; 3], 0u32);
        let (mut position, mut color, mut normal) = ([0.0f64; 3], [0u32; 3], [0.0f64; 3]);
        for (block, (positions, colors)) in
            positions.chunks(POINTS_PER_BLOCK).zip(colors.chunks(POINTS_PER_BLOCK)).enumerate()
        {
            cells_from_coordinates(positions.as_flattened(), voxel_m, cells.as_flattened_mut());
            for (i, ((p, c), next)) in positions.iter().zip(colors).zip(&cells).enumerate() {
                if *next != cell {
                    if !cell.contains(&NOWHERE) {
                        self.add(cell, sum_from(position, color, count), normals.is_some().then_some(normal));
                    }
                    (cell, count) = (*next, 0);
                    (position, color, normal) = ([0.0; 3], [0; 3], [0.0; 3]);
                }
                count += 1;
                for k in 0..3 {
                    position[k] += f64::from(p[k]);
                    color[k] += u32::from(c[k]);
                }
                if let Some(normals) = normals {
                    let n = normals[block * POINTS_PER_BLOCK + i];
                    for k in 0..3 {
                        normal[k] += f64::from(n[k]);
                    }
                }
            }
        }
        if !cell.contains(&NOWHERE) {
            self.add(cell, sum_from(position, color, count), normals.is_some().then_some(normal));
        }
    }

    #[inline]
    fn add(&mut self, cell: Cell, sum: Sum, normal: Option<[f64; 3]>) {
        let number = self.numbers.number(cell) as usize;
        if number == self.sums.len() {
            self.sums.push(sum);
            self.normals.extend(normal);
            return;
        }
        for (total, x) in self.sums[number].iter_mut().zip(sum) {
            *total += x;
        }
        if let Some(normal) = normal {
            for (total, x) in self.normals[number].iter_mut().zip(normal) {
                *total += x;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (i, (cell, sum)) in other.numbers.cells().iter().zip(&other.sums).enumerate() {
            self.add(*cell, *sum, other.normals.get(i).copied());
        }
    }

    fn means(self, out: &mut VoxelMeans) {
        out.cells.clear();
        out.cells.extend_from_slice(self.numbers.cells());
        out.positions.clear();
        out.positions.extend(self.sums.iter().map(|s| [s[0], s[1], s[2]].map(|x| (x / s[6]) as f32)));
        out.colors.clear();
        out.colors.extend(self.sums.iter().map(|s| [s[3], s[4], s[5]].map(|c| (c / s[6]).round() as u8)));
        out.normals.clear();
        out.normals.extend(self.normals.iter().map(|n| unit_or_up(*n)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    struct Points {
        positions: Vec<[f32; 3]>,
        colors: Vec<[u8; 3]>,
        normals: Vec<[f32; 3]>,
    }

    /// A walk, so that neighbours share voxels, with jumps and points that are not finite.
    fn walk(count: usize, spread_m: f32, seed: u64) -> Points {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut points = Points { positions: Vec::new(), colors: Vec::new(), normals: Vec::new() };
        let mut at = [0.0f32; 3];
        for _ in 0..count {
            at = match rng.random_range(0..50) {
                0 => std::array::from_fn(|_| rng.random_range(-spread_m..spread_m)),
                _ => at.map(|x| x + rng.random_range(-0.01..0.01)),
            };
            let broken = rng.random_range(0..200);
            let mut position = at;
            if broken < 3 {
                position[broken] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][rng.random_range(0..3)];
            }
            points.positions.push(position);
            points.colors.push(std::array::from_fn(|_| rng.random()));
            points.normals.push(std::array::from_fn(|_| rng.random_range(-1.0..1.0)));
        }
        points
    }

    /// Count, mean position, mean colour, sum of normals.
    type Voxel = (f64, [f64; 3], [f64; 3], [f64; 3]);

    fn naive(points: &Points, voxel_m: f32) -> BTreeMap<[i32; 3], Voxel> {
        let mut voxels = BTreeMap::new();
        for i in (0..points.positions.len()).filter(|&i| points.positions[i].iter().all(|x| x.is_finite())) {
            let cell = points.positions[i].map(|x| (x / voxel_m).floor() as i32);
            let sums: &mut Voxel = voxels.entry(cell).or_default();
            sums.0 += 1.0;
            for k in 0..3 {
                sums.1[k] += f64::from(points.positions[i][k]);
                sums.2[k] += f64::from(points.colors[i][k]);
                sums.3[k] += f64::from(points.normals[i][k]);
            }
        }
        for sums in voxels.values_mut() {
            for k in 0..3 {
                sums.1[k] /= sums.0;
                sums.2[k] /= sums.0;
            }
        }
        voxels
    }

    fn check_against_naive(points: &Points, voxel_m: f32) {
        let mut means = VoxelMeans::default();
        voxel_downsample(&points.positions, &points.colors, Some(&points.normals), voxel_m, &mut means).unwrap();
        let expected = naive(points, voxel_m);
        assert_eq!(means.cells.len(), expected.len());
        for (i, cell) in means.cells.iter().enumerate() {
            let (_, position, color, normal) = &expected[cell];
            let length = normal.iter().map(|x| x * x).sum::<f64>().sqrt();
            for k in 0..3 {
                let (found, wanted) = (f64::from(means.positions[i][k]), position[k]);
                // a hundred-thousandth of the voxel, and what an f32 of that size can hold
                assert!(
                    (found - wanted).abs() < 1.0e-5 * f64::from(voxel_m) + 6.0e-8 * wanted.abs(),
                    "{found} {wanted}"
                );
                assert!((f64::from(means.colors[i][k]) - color[k]).abs() <= 0.5 + 1.0e-9);
                assert!(length < 1.0e-6 || (f64::from(means.normals[i][k]) - normal[k] / length).abs() < 1.0e-6);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn means_are_those_of_the_naive_sums(
            count in 0..3000usize, voxel_m in 0.005..0.5f32, spread_m in 0.1..50.0f32, seed: u64,
        ) {
            check_against_naive(&walk(count, spread_m, seed), voxel_m);
        }
    }

    #[test]
    fn many_tasks_give_what_one_gives_and_threads_change_no_bit() {
        let points = walk(3 * POINTS_PER_TASK + 77, 1.0, 5);
        check_against_naive(&points, 0.02);
        let on_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = VoxelMeans::default();
            pool.install(|| voxel_downsample(&points.positions, &points.colors, None, 0.02, &mut out)).unwrap();
            out
        };
        assert_eq!(on_threads(1), on_threads(5));
    }

    #[test]
    fn voxels_come_in_order_of_first_appearance() {
        let mut out = VoxelMeans::default();
        let positions = [[0.5, 0.5, 0.5], [-0.5, 0.5, 0.5], [0.6, 0.5, 0.5], [9.0, 0.0, 0.0]];
        voxel_downsample(&positions, &[[9; 3]; 4], None, 1.0, &mut out).unwrap();
        assert_eq!(out.cells, [[0, 0, 0], [-1, 0, 0], [9, 0, 0]]);
        assert!(out.normals.is_empty());
    }

    #[test]
    fn bad_input_is_an_error_and_far_points_are_no_memory() {
        let mut out = VoxelMeans::default();
        let error = voxel_downsample(&[[0.0; 3]], &[], None, 0.1, &mut out).unwrap_err();
        assert_eq!(error.to_string(), "colors has 0 entries for 1 points; give one a point");
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(voxel_downsample(&[[0.0; 3]], &[[0; 3]], None, bad, &mut out).is_err());
        }
        let far = [[1.0e9, -1.0e9, 3.0e38], [f32::MAX; 3], [0.0; 3]];
        voxel_downsample(&far, &[[1; 3]; 3], None, 0.001, &mut out).unwrap();
        assert_eq!(out.positions.len(), 3);
    }
}
