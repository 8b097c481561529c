//! Sampled points of a batch of scenes in, every index array that the network needs out: patches, neighbours, pools.
//!
//! No patch, neighbour or pool crosses from one scene to another.

use std::ops::Range;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::config::PointEncoderConfig;
use super::sample::PointSample;
use super::serialize::{BITS, SerializedOrder};

/// Voxels of a 3x3x3 neighbourhood.
pub(crate) const NEIGHBOURS: usize = 27;
/// Voxels that a pooled voxel covers.
pub(crate) const CHILDREN: usize = 8;

/// Points cut into patches along one curve.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patches {
    /// `[patches, patch_size]`: rows of the stage's features.
    pub(crate) index: Vec<i32>,
    /// True where a slot is padding that no one may read; empty when there is none.
    pub(crate) hidden: Vec<bool>,
    /// `[points]`: each point's slot in `index`.
    pub(crate) slot: Vec<i32>,
    /// Slots of a patch.
    pub(crate) size: usize,
}

/// One resolution.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    /// Rows of each scene.
    pub(crate) ranges: Vec<Range<usize>>,
    /// One for each block.
    pub(crate) patches: Vec<Patches>,
    /// `[points, 27]`: rows of neighbouring voxels; the number of points stands for none.
    pub(crate) neighbours: Vec<i32>,
    /// `[coarser points, 8]`: rows pooled into each point of the next stage, the first repeated. Empty at the last stage.
    pub(crate) children: Vec<i32>,
    /// `[points]`: row of the next stage that each point is pooled into. Empty at the last stage.
    pub(crate) parent: Vec<i32>,
}

/// Everything that depends on where the points are, for a batch of scenes.
#[derive(Debug, Clone)]
pub struct PointPlan {
    pub(crate) stages: Vec<Stage>,
    coarse_positions: Vec<[f32; 3]>,
}

/// The stages of one scene, rows counted from 0.
struct ScenePlan {
    stages: Vec<Stage>,
    coarse_positions: Vec<[f32; 3]>,
}

impl PointPlan {
    /// Plans a batch of scenes with at least one point each.
    pub fn new(samples: &[&PointSample], config: &PointEncoderConfig) -> Self {
        let scenes: Vec<ScenePlan> = samples.par_iter().map(|s| plan_scene(s, config)).collect();
        let count = config.channels.len();
        let mut stages: Vec<Stage> = (0..count)
            .map(|s| Stage { patches: vec![Patches::default(); config.depths[s]], ..Stage::default() })
            .collect();
        let mut coarse_positions = Vec::new();
        let sizes: Vec<usize> =
            (0..count).map(|s| scenes.iter().map(|p| p.stages[s].ranges[0].len()).sum()).collect();
        for scene in scenes {
            let starts: Vec<usize> = stages.iter().map(|s| s.ranges.last().map_or(0, |r| r.end)).collect();
            for (s, own) in scene.stages.into_iter().enumerate() {
                append(&mut stages[s], own, starts[s], starts.get(s + 1).copied().unwrap_or(0), sizes[s]);
            }
            coarse_positions.extend(scene.coarse_positions);
        }
        for patches in stages.iter_mut().flat_map(|s| &mut s.patches) {
            if patches.hidden.iter().all(|h| !h) {
                patches.hidden.clear();
            }
        }
        Self { stages, coarse_positions }
    }

    /// Rows of each scene at the finest stage.
    pub fn fine_ranges(&self) -> &[Range<usize>] {
        self.stages.first().map_or(&[], |s| &s.ranges)
    }

    /// Rows of each scene at the coarsest stage.
    pub fn coarse_ranges(&self) -> &[Range<usize>] {
        self.stages.last().map_or(&[], |s| &s.ranges)
    }

    /// Mean position of what each coarsest voxel covers, world, metres.
    pub fn coarse_positions(&self) -> &[[f32; 3]] {
        &self.coarse_positions
    }
}

/// Adds one scene's stage behind the others; `none` is the row that stands for a missing neighbour.
fn append(to: &mut Stage, own: Stage, start: usize, coarse_start: usize, none: usize) {
    let points = own.ranges[0].len();
    let shift = |rows: Vec<i32>, by: usize| rows.into_iter().map(move |i| i + by as i32);
    to.ranges.push(start..start + points);
    to.neighbours
        .extend(own.neighbours.into_iter().map(|i| if i as usize == points { none as i32 } else { i + start as i32 }));
    to.children.extend(shift(own.children, start));
    to.parent.extend(shift(own.parent, coarse_start));
    for (all, patches) in to.patches.iter_mut().zip(own.patches) {
        all.size = patches.size;
        let slots = all.index.len();
        all.slot.extend(shift(patches.slot, slots));
        all.index.extend(shift(patches.index, start));
        all.hidden.extend(patches.hidden);
    }
}

fn plan_scene(sample: &PointSample, config: &PointEncoderConfig) -> ScenePlan {
    let low: [f32; 3] = std::array::from_fn(|k| sample.positions.iter().map(|p| p[k]).fold(f32::INFINITY, f32::min));
    let limit = ((1u32 << BITS) - 1) as f32;
    let mut cells: Vec<[u32; 3]> = sample
        .positions
        .iter()
        .map(|p| std::array::from_fn(|k| ((p[k] - low[k]) / sample.grid_m).clamp(0.0, limit) as u32))
        .collect();
    let mut positions: Vec<([f32; 3], f32)> = sample.positions.iter().map(|&p| (p, 1.0)).collect();
    let mut stages = Vec::with_capacity(config.channels.len());
    let mut block = 0;
    for s in 0..config.channels.len() {
        let points = cells.len();
        let mut stage = Stage { ranges: std::iter::once(0..points).collect(), ..Stage::default() };
        for _ in 0..config.depths[s] {
            stage.patches.push(patches(&cells, SerializedOrder::ALL[block % 4], config.patch_size));
            block += 1;
        }
        stage.neighbours = neighbours(&cells);
        if s + 1 < config.channels.len() {
            let (coarse, parent, children) = pool(&cells);
            let mut sums = vec![([0.0f32; 3], 0.0f32); coarse.len()];
            for ((p, weight), &to) in positions.iter().zip(&parent) {
                let (sum, total) = &mut sums[to as usize];
                for k in 0..3 {
                    sum[k] += p[k] * weight;
                }
                *total += weight;
            }
            positions = sums.into_iter().map(|(sum, total)| (sum.map(|x| x / total), total)).collect();
            stage.parent = parent;
            stage.children = children;
            cells = coarse;
        }
        stages.push(stage);
    }
    ScenePlan { stages, coarse_positions: positions.into_iter().map(|(p, _)| p).collect() }
}

/// Cuts the points into patches of `size` along `order`. As in Pointcept's code, the last patch of a scene that does not
/// divide evenly borrows points from the patch before it; a scene smaller than one patch is padded.
fn patches(cells: &[[u32; 3]], order: SerializedOrder, size: usize) -> Patches {
    let mut sorted: Vec<(u64, i32)> = cells.iter().enumerate().map(|(i, &c)| (order.code(c), i as i32)).collect();
    sorted.sort_unstable();
    let points = sorted.len();
    let mut out = Patches { slot: vec![0; points], size, ..Patches::default() };
    for start in (0..points).step_by(size) {
        let from = if start + size <= points { start } else { points.saturating_sub(size) };
        for k in 0..size {
            let row = sorted[(from + k).min(points - 1)].1;
            let hidden = from + k >= points;
            if !hidden {
                out.slot[row as usize] = out.index.len() as i32;
            }
            out.index.push(row);
            out.hidden.push(hidden);
        }
    }
    out
}

fn key([x, y, z]: [u32; 3]) -> u64 {
    (u64::from(x) << 40) | (u64::from(y) << 20) | u64::from(z)
}

/// Rows of the 27 voxels around each point; of points that share a voxel the first stands for it.
fn neighbours(cells: &[[u32; 3]]) -> Vec<i32> {
    let mut row_of: FxHashMap<u64, i32> = FxHashMap::default();
    row_of.reserve(cells.len());
    for (i, &c) in cells.iter().enumerate() {
        row_of.entry(key(c)).or_insert(i as i32);
    }
    let none = cells.len() as i32;
    let mut out = Vec::with_capacity(cells.len() * NEIGHBOURS);
    for (i, &[x, y, z]) in cells.iter().enumerate() {
        for n in 0..NEIGHBOURS as u32 {
            if n == 13 {
                out.push(i as i32);
                continue;
            }
            // 0 - 1 wraps to a coordinate that no voxel has
            let at = [(x + n / 9).wrapping_sub(1), (y + n / 3 % 3).wrapping_sub(1), (z + n % 3).wrapping_sub(1)];
            let inside = at.iter().all(|&c| c < 1 << BITS);
            out.push(if inside { row_of.get(&key(at)).copied().unwrap_or(none) } else { none });
        }
    }
    out
}

/// Voxels of twice the side: their coordinates, each point's parent, and each parent's children.
fn pool(cells: &[[u32; 3]]) -> (Vec<[u32; 3]>, Vec<i32>, Vec<i32>) {
    let mut coarse: Vec<[u32; 3]> = cells.iter().map(|c| c.map(|x| x >> 1)).collect();
    coarse.sort_unstable();
    coarse.dedup();
    let row_of: FxHashMap<u64, usize> = coarse.iter().enumerate().map(|(i, &c)| (key(c), i)).collect();
    let mut members: Vec<Vec<i32>> = vec![Vec::new(); coarse.len()];
    let parent = cells
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let to = row_of[&key(c.map(|x| x >> 1))];
            members[to].push(i as i32);
            to as i32
        })
        .collect();
    let children = members.iter().flat_map(|m| (0..CHILDREN).map(|k| *m.get(k).unwrap_or(&m[0]))).collect();
    (coarse, parent, children)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(side: u32) -> Vec<[u32; 3]> {
        (0..side * side * side).map(|i| [i % side, i / side % side, i / side / side]).collect()
    }

    #[test]
    fn every_point_has_one_slot_that_points_back() {
        for count in [1usize, 5, 8, 9, 23, 64] {
            let cells = &grid(4)[..count];
            let p = patches(cells, SerializedOrder::Hilbert, 8);
            assert_eq!(p.index.len() % 8, 0);
            for (i, &slot) in p.slot.iter().enumerate() {
                assert_eq!(p.index[slot as usize], i as i32);
                assert!(!p.hidden[slot as usize]);
            }
        }
    }

    #[test]
    fn neighbours_are_one_step_away() {
        let cells = grid(3);
        let table = neighbours(&cells);
        let middle = 13;
        assert!(table[middle * NEIGHBOURS..(middle + 1) * NEIGHBOURS].iter().all(|&n| n < 27));
        assert_eq!(table[..NEIGHBOURS].iter().filter(|&&n| n == 27).count(), 19);
        assert_eq!(cells[table[NEIGHBOURS * 13] as usize], [0, 0, 0]);
    }

    #[test]
    fn pooling_halves_the_resolution() {
        let (coarse, parent, children) = pool(&grid(4));
        assert_eq!((coarse.len(), children.len()), (8, 64));
        for (i, &p) in parent.iter().enumerate() {
            assert!(children[p as usize * CHILDREN..][..CHILDREN].contains(&(i as i32)));
        }
    }
}
