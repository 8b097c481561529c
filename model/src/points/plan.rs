//! Sampled points of a batch of scenes in, every index array that the network needs out: patches, neighbours, pools.
//!
//! No patch, neighbour or pool crosses from one scene to another.

use std::ops::Range;

use rayon::prelude::*;

use super::config::PointEncoderConfig;
use super::sample::PointSample;
use super::serialize::{BITS, SerializedOrder};
use super::sparse_conv::{ConvPairs, ConvPlan};

/// Side of the neighbourhood that a convolution reads.
pub(super) const CONV_SIDE: usize = 3;
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
    /// Who is next to whom, for the sparse convolution.
    pub(crate) conv: ConvPlan,
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
    stages: Vec<(Stage, ConvPairs)>,
    coarse_positions: Vec<[f32; 3]>,
}

impl PointPlan {
    /// Plans a batch of scenes; a scene without points has empty ranges.
    pub fn new(samples: &[&PointSample], config: &PointEncoderConfig) -> Self {
        let scenes: Vec<ScenePlan> = samples.par_iter().map(|s| plan_scene(s, config)).collect();
        let count = config.channels.len();
        let mut stages: Vec<Stage> = (0..count)
            .map(|s| Stage { patches: vec![Patches::default(); config.depths[s]], ..Stage::default() })
            .collect();
        let mut pairs: Vec<ConvPairs> = vec![ConvPairs::empty(CONV_SIDE); count];
        let mut coarse_positions = Vec::new();
        for scene in scenes {
            let starts: Vec<usize> = stages.iter().map(|s| s.ranges.last().map_or(0, |r| r.end)).collect();
            for (s, (stage, own_pairs)) in scene.stages.into_iter().enumerate() {
                append(&mut stages[s], stage, starts[s], starts.get(s + 1).copied().unwrap_or(0));
                pairs[s].append(own_pairs, starts[s]);
            }
            coarse_positions.extend(scene.coarse_positions);
        }
        for (stage, pairs) in stages.iter_mut().zip(&pairs) {
            stage.conv = ConvPlan::new(pairs, stage.ranges.last().map_or(0, |r| r.end));
            for patches in &mut stage.patches {
                if patches.hidden.iter().all(|h| !h) {
                    patches.hidden.clear();
                }
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

/// Adds one scene's stage behind the others.
pub(super) fn append(to: &mut Stage, own: Stage, start: usize, coarse_start: usize) {
    let points = own.ranges.last().map_or(0, |r| r.end);
    let shift = |rows: Vec<i32>, by: usize| rows.into_iter().map(move |i| i + by as i32);
    to.ranges.push(start..start + points);
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

/// The voxels of one stage of one scene.
pub(super) struct Cells {
    /// Voxel of each row.
    pub(super) voxels: Vec<[u32; 3]>,
    /// Rows by voxel, then by position: nothing depends on the order in which the points came.
    pub(super) sorted: Vec<u32>,
}

impl Cells {
    pub(super) fn new(voxels: Vec<[u32; 3]>, positions: &[[f32; 3]]) -> Self {
        let mut sorted: Vec<u32> = (0..voxels.len() as u32).collect();
        let place = |i: u32| positions[i as usize];
        sorted.sort_unstable_by(|&a, &b| {
            let by_voxel = voxels[a as usize].cmp(&voxels[b as usize]);
            (0..3).fold(by_voxel, |order, k| order.then_with(|| place(a)[k].total_cmp(&place(b)[k]))).then(a.cmp(&b))
        });
        Self { voxels, sorted }
    }

    pub(super) fn len(&self) -> usize {
        self.voxels.len()
    }

    /// The first row of each occupied voxel, by voxel.
    pub(super) fn first_rows(&self) -> Vec<u32> {
        let mut rows = self.sorted.clone();
        rows.dedup_by_key(|&mut i| self.voxels[i as usize]);
        rows
    }
}

fn plan_scene(sample: &PointSample, config: &PointEncoderConfig) -> ScenePlan {
    let mut positions = sample.positions.clone();
    let mut weights = vec![1.0f32; positions.len()];
    let mut cells = Cells::new(voxels(&positions, sample.grid_m), &positions);
    let mut stages = Vec::with_capacity(config.channels.len());
    let mut orders = SerializedOrder::ALL.into_iter().cycle();
    for s in 0..config.channels.len() {
        let mut stage = Stage { ranges: std::iter::once(0..cells.len()).collect(), ..Stage::default() };
        stage.patches =
            orders.by_ref().take(config.depths[s]).map(|o| patches(&cells, |v| o.code(v), config.patch_size)).collect();
        let pairs = ConvPairs::new(&cells.voxels, &cells.sorted, &cells.first_rows(), CONV_SIDE);
        if s + 1 < config.channels.len() {
            let (coarse, parent, children) = pool(&cells);
            let mut sums = vec![([0.0f32; 3], 0.0f32); coarse.len()];
            for &i in &cells.sorted {
                let (p, weight) = (positions[i as usize], weights[i as usize]);
                let (sum, total) = &mut sums[parent[i as usize] as usize];
                for k in 0..3 {
                    sum[k] += p[k] * weight;
                }
                *total += weight;
            }
            (positions, weights) = sums.into_iter().map(|(sum, total)| (sum.map(|x| x / total), total)).unzip();
            stage.parent = parent;
            stage.children = children;
            cells = Cells::new(coarse, &positions);
        }
        stages.push((stage, pairs));
    }
    ScenePlan { stages, coarse_positions: positions }
}

/// Voxels of side `grid_m`, counted from the scene's lowest. The voxels' borders lie where the sampling puts them, at
/// multiples of the side, so that two averages of different sampling voxels do not fall together.
pub(super) fn voxels(positions: &[[f32; 3]], grid_m: f32) -> Vec<[u32; 3]> {
    let limit = f64::from((1u32 << BITS) - 1);
    let cells: Vec<[f64; 3]> = positions.iter().map(|p| p.map(|x| f64::from((x / grid_m).floor()))).collect();
    let low: [f64; 3] = std::array::from_fn(|k| cells.iter().map(|c| c[k]).fold(f64::INFINITY, f64::min));
    cells.iter().map(|c| std::array::from_fn(|k| (c[k] - low[k]).clamp(0.0, limit) as u32)).collect()
}

/// Cuts the points into patches of `size` along the curve on which a voxel has the place `code`. As in Pointcept's code, the last patch of a scene that does not
/// divide evenly borrows points from the patch before it; a scene smaller than one patch is padded.
pub(super) fn patches(cells: &Cells, code: impl Fn([u32; 3]) -> u64, size: usize) -> Patches {
    let mut along: Vec<(u64, u32, u32)> =
        cells.sorted.iter().zip(0u32..).map(|(&row, rank)| (code(cells.voxels[row as usize]), rank, row)).collect();
    along.sort_unstable();
    let points = along.len();
    let mut out = Patches { slot: vec![0; points], size, ..Patches::default() };
    for start in (0..points).step_by(size) {
        let from = if start + size <= points { start } else { points.saturating_sub(size) };
        for at in from..from + size {
            let row = along[at.min(points - 1)].2;
            if (start..points).contains(&at) {
                out.slot[row as usize] = out.index.len() as i32;
            }
            out.index.push(row as i32);
            out.hidden.push(at >= points);
        }
    }
    out
}

/// Voxels of twice the side, in Z-order: their coordinates, each point's parent, and each parent's children. Of points
/// that share a voxel only the first is pooled, so that a parent has eight children at most.
pub(super) fn pool(cells: &Cells) -> (Vec<[u32; 3]>, Vec<i32>, Vec<i32>) {
    let halved = |row: u32| cells.voxels[row as usize].map(|x| x >> 1);
    let mut along: Vec<(u64, u32)> =
        cells.first_rows().into_iter().map(|i| (SerializedOrder::Z.code(halved(i)), i)).collect();
    along.sort_by_key(|&(code, _)| code);
    let mut coarse = Vec::new();
    let mut children: Vec<i32> = Vec::new();
    let mut parent = vec![0; cells.len()];
    for family in along.chunk_by(|a, b| a.0 == b.0) {
        let first = family[0].1;
        children.extend((0..CHILDREN).map(|k| family.get(k).map_or(first, |c| c.1) as i32));
        for &(_, row) in family {
            parent[row as usize] = coarse.len() as i32;
        }
        coarse.push(halved(first));
    }
    // the other points of a voxel follow its first
    let mut last: Option<u32> = None;
    for &row in &cells.sorted {
        match last {
            Some(first) if cells.voxels[first as usize] == cells.voxels[row as usize] => {
                parent[row as usize] = parent[first as usize];
            }
            _ => last = Some(row),
        }
    }
    (coarse, parent, children)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(voxels: Vec<[u32; 3]>) -> Cells {
        let positions = vec![[0.0; 3]; voxels.len()];
        Cells::new(voxels, &positions)
    }

    fn grid(side: u32) -> Vec<[u32; 3]> {
        (0..side * side * side).map(|i| [i % side, i / side % side, i / side / side]).collect()
    }

    #[test]
    fn every_point_has_one_slot_that_points_back() {
        for count in [1usize, 5, 8, 9, 23, 64] {
            let p = patches(&cells(grid(4)[..count].to_vec()), |v| SerializedOrder::Hilbert.code(v), 8);
            assert_eq!(p.index.len(), count.div_ceil(8) * 8);
            for (i, &slot) in p.slot.iter().enumerate() {
                assert_eq!(p.index[slot as usize], i as i32);
                assert!(!p.hidden[slot as usize]);
            }
            assert_eq!(p.hidden.iter().filter(|&&h| h).count(), 8usize.saturating_sub(count));
        }
    }

    #[test]
    fn pooling_halves_the_resolution() {
        let (coarse, parent, children) = pool(&cells(grid(4)));
        assert_eq!((coarse.len(), children.len()), (8, 64));
        for (i, &p) in parent.iter().enumerate() {
            assert!(children[p as usize * CHILDREN..][..CHILDREN].contains(&(i as i32)));
        }
    }

    #[test]
    fn a_crowded_voxel_is_pooled_once() {
        let (coarse, parent, children) = pool(&cells(vec![[5, 5, 5]; 20]));
        assert_eq!((coarse, parent), (vec![[2, 2, 2]], vec![0; 20]));
        assert_eq!(children, [0; CHILDREN]);
    }

    #[test]
    fn means_of_sampling_voxels_keep_their_voxel() {
        // 0.069 and 0.071 are averages of neighbouring voxels although they are 2 mm apart
        let at = |x: f32| [x, 0.0, 0.0];
        assert_eq!(
            voxels(&[at(-0.01), at(0.069), at(0.071), at(0.209)], 0.07),
            [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]
        );
        // far away, but in range
        assert!(voxels(&[at(-1.0e9), at(1.0e9)], 0.07)[1][0] < 1 << BITS);
    }

    #[test]
    fn scenes_are_kept_apart_and_an_empty_one_is_no_harm() {
        let sample = |count: usize| PointSample {
            positions: (0..count).map(|i| [i as f32 * 0.07 + 0.03, 0.0, 0.0]).collect(),
            features: vec![[0.0; 9]; count],
            grid_m: 0.07,
        };
        let (a, empty, b) = (sample(100), sample(0), sample(30));
        let config = PointEncoderConfig::nano();
        let plan = PointPlan::new(&[&a, &empty, &b], &config);
        assert_eq!(plan.fine_ranges(), [0..100, 100..100, 100..130]);
        assert_eq!(plan.coarse_ranges(), [0..25, 25..25, 25..33]);
        assert_eq!(plan.coarse_positions().len(), 33);
        for stage in &plan.stages {
            let scene = |row: i32| stage.ranges.iter().position(|r| r.contains(&(row as usize)));
            for patches in &stage.patches {
                assert!(patches.index.chunks(config.patch_size).all(|p| p.iter().all(|&i| scene(i) == scene(p[0]))));
            }
            assert!(stage.children.chunks(CHILDREN).all(|c| c.iter().all(|&i| scene(i) == scene(c[0]))));
        }
    }
}
