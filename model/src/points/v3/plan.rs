//! Voxels of a batch of scenes in, every index array that the published Point Transformer v3 needs out.

use std::ops::Range;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::config::PtV3Config;
use super::error::PtV3InputError;
use crate::error::ModelError;
use crate::points::PointSample;
use crate::points::plan::{CONV_SIDE, Cells, Patches, Stage, append, patches, pool};
use crate::points::serialize::{BITS, SerializedOrder};
use crate::points::sparse_conv::{ConvPairs, ConvPlan};

/// Side of the neighbourhood that the stem reads.
const STEM_SIDE: usize = 5;

/// One scene: voxels, at most one point in each, counted from the scene's lowest.
#[derive(Debug, Clone, Default)]
pub struct PtV3Input {
    voxels: Vec<[u32; 3]>,
    positions: Vec<[f32; 3]>,
}

impl PtV3Input {
    /// Voxels and the positions of what lies in them, world, metres.
    ///
    /// # Errors
    /// [`PtV3InputError`] naming the voxel.
    pub fn new(voxels: Vec<[u32; 3]>, positions: Vec<[f32; 3]>) -> Result<Self, PtV3InputError> {
        if voxels.len() != positions.len() {
            return Err(PtV3InputError::Positions { positions: positions.len(), voxels: voxels.len() });
        }
        if let Some((index, voxel)) = voxels.iter().enumerate().find(|(_, v)| v.iter().any(|c| *c >= 1 << BITS)) {
            return Err(PtV3InputError::Far { index, voxel: *voxel });
        }
        let mut sorted = voxels.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PtV3InputError::Crowded { voxel: pair[0] });
        }
        Ok(Self { voxels, positions })
    }

    /// A sampled cloud, with the features of each point that is kept: colour from -1 to 1, then normal, `[points, 6]`. Of two
    /// samples that share a voxel the first is kept.
    pub fn of_sample(sample: &PointSample) -> (Self, Vec<f32>) {
        let voxels = crate::points::plan::voxels(&sample.positions, sample.grid_m);
        let mut rows: Vec<usize> = (0..voxels.len()).collect();
        rows.sort_by_key(|&i| voxels[i]);
        rows.dedup_by_key(|i| voxels[*i]);
        let features = rows.iter().flat_map(|&i| sample.features[i][3..].iter().copied()).collect();
        let input = Self {
            voxels: rows.iter().map(|&i| voxels[i]).collect(),
            positions: rows.iter().map(|&i| sample.positions[i]).collect(),
        };
        (input, features)
    }

    /// Points.
    pub fn len(&self) -> usize {
        self.voxels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.voxels.is_empty()
    }
}

/// Everything that depends on where the points are, for a batch of scenes.
#[derive(Debug, Clone)]
pub struct PtV3Plan {
    /// The neighbourhoods of the stem.
    pub(super) stem: ConvPlan,
    /// One for each resolution; its `patches` are one for each curve, in the sequence in which blocks take them.
    pub(super) stages: Vec<Stage>,
    /// Of each stage.
    voxels: Vec<Vec<[u32; 3]>>,
    coarse_positions: Vec<[f32; 3]>,
}

/// One resolution of one scene.
struct Level {
    cells: Cells,
    /// As in [`Stage`].
    parent: Vec<i32>,
    children: Vec<i32>,
}

impl PtV3Plan {
    /// Plans a batch of scenes. As in the reference the curves' cube is that of the largest scene.
    ///
    /// A stage's patches are never longer than its largest scene: beyond it there is only padding, which no point reads.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn new(scenes: &[&PtV3Input], config: &PtV3Config) -> Result<Self, ModelError> {
        config.checked("the plan of a cloud")?;
        let count = config.enc_channels.len();
        let most = scenes.iter().flat_map(|s| s.voxels.iter().flatten()).copied().max().unwrap_or(0);
        let bits = (u32::BITS - (most + 1).leading_zeros()).min(BITS);
        let orders = sequences(config, count);
        let (scenes, positions): (Vec<_>, Vec<_>) = scenes.iter().map(|scene| levels(scene, count)).unzip();
        let largest = |s: usize| scenes.iter().map(|levels| levels[s].cells.len()).max().unwrap_or(0);
        let sizes: Vec<usize> = (0..count).map(|s| config.enc_patch_size[s].min(largest(s)).max(1)).collect();

        let mut stem = ConvPairs::empty(STEM_SIDE);
        let mut stages: Vec<Stage> = orders
            .iter()
            .map(|orders| Stage { patches: vec![Patches::default(); orders.len()], ..Stage::default() })
            .collect();
        let mut pairs = vec![ConvPairs::empty(CONV_SIDE); count];
        let mut voxels = vec![Vec::new(); count];
        for levels in scenes {
            let starts: Vec<usize> = stages.iter().map(|s| s.ranges.last().map_or(0, |r| r.end)).collect();
            let around = |cells: &Cells, side| ConvPairs::new(&cells.voxels, &cells.sorted, &cells.sorted, side);
            for (s, Level { cells, parent, children }) in levels.into_iter().enumerate() {
                if s == 0 {
                    stem.append(around(&cells, STEM_SIDE), starts[0]);
                }
                let bits = bits.saturating_sub(s as u32);
                let cut = |order: &SerializedOrder| patches(&cells, |voxel| order.code_of_bits(voxel, bits), sizes[s]);
                let stage = Stage {
                    ranges: std::iter::once(0..cells.len()).collect(),
                    patches: orders[s].iter().map(cut).collect(),
                    parent,
                    children,
                    ..Stage::default()
                };
                pairs[s].append(around(&cells, CONV_SIDE), starts[s]);
                append(&mut stages[s], stage, starts[s], starts.get(s + 1).copied().unwrap_or(0));
                voxels[s].extend(cells.voxels);
            }
        }
        let points = |stage: &Stage| stage.ranges.last().map_or(0, |r| r.end);
        let stem = ConvPlan::new(&stem, stages.first().map_or(0, points));
        for (stage, pairs) in stages.iter_mut().zip(&pairs) {
            stage.conv = ConvPlan::new(pairs, points(stage));
            for patches in &mut stage.patches {
                if patches.hidden.iter().all(|h| !h) {
                    patches.hidden.clear();
                }
            }
        }
        Ok(Self { stem, stages, voxels, coarse_positions: positions.concat() })
    }

    /// Rows of each scene at a stage, the finest being 0.
    pub fn ranges(&self, stage: usize) -> &[Range<usize>] {
        self.stages.get(stage).map_or(&[], |s| &s.ranges)
    }

    /// The voxel of each row at a stage, the finest being 0; their side doubles from stage to stage.
    pub fn voxels(&self, stage: usize) -> &[[u32; 3]] {
        self.voxels.get(stage).map_or(&[], Vec::as_slice)
    }

    /// Rows of each scene at the finest stage.
    pub fn fine_ranges(&self) -> &[Range<usize>] {
        self.stages.first().map_or(&[], |s| &s.ranges)
    }

    /// Rows of each scene at the coarsest stage.
    pub fn coarse_ranges(&self) -> &[Range<usize>] {
        self.stages.last().map_or(&[], |s| &s.ranges)
    }

    /// Points of every stage.
    pub fn rows(&self) -> Vec<usize> {
        self.stages.iter().map(|stage| stage.ranges.last().map_or(0, |r| r.end)).collect()
    }

    /// Pairs of neighbours, a point itself left out: of the stem, and of every stage.
    pub fn pairs(&self) -> (usize, Vec<usize>) {
        let rows = self.rows();
        let stages = self.stages.iter().zip(&rows).map(|(stage, rows)| stage.conv.pairs(*rows)).collect();
        (self.stem.pairs(rows.first().copied().unwrap_or(0)), stages)
    }

    /// Mean position of what each coarsest voxel covers, world, metres.
    pub fn coarse_positions(&self) -> &[[f32; 3]] {
        &self.coarse_positions
    }
}

/// The resolutions of a scene, the finest first, and the mean positions at the coarsest.
fn levels(scene: &PtV3Input, count: usize) -> (Vec<Level>, Vec<[f32; 3]>) {
    let mut positions = scene.positions.clone();
    let mut weights = vec![1.0f32; positions.len()];
    let mut cells = Cells::new(scene.voxels.clone(), &positions);
    let mut levels = Vec::with_capacity(count);
    for _ in 1..count {
        let (coarse, parent, children) = pool(&cells);
        let mut sums = vec![([0.0f32; 3], 0.0f32); coarse.len()];
        for ((p, weight), parent) in positions.iter().zip(&weights).zip(&parent) {
            let (sum, total) = &mut sums[*parent as usize];
            for k in 0..3 {
                sum[k] += p[k] * weight;
            }
            *total += weight;
        }
        (positions, weights) = sums.into_iter().map(|(sum, total)| (sum.map(|x| x / total), total)).unzip();
        levels.push(Level { cells, parent, children });
        cells = Cells::new(coarse, &positions);
    }
    levels.push(Level { cells, parent: Vec::new(), children: Vec::new() });
    (levels, positions)
}

/// The curves of each stage in the sequence in which its blocks take them.
fn sequences(config: &PtV3Config, stages: usize) -> Vec<Vec<SerializedOrder>> {
    let mut orders = config.order.clone();
    let mut rng = config.shuffle_seed.map(ChaCha8Rng::seed_from_u64);
    (0..stages)
        .map(|_| {
            if let Some(rng) = &mut rng {
                orders.shuffle(rng);
            }
            orders.clone()
        })
        .collect()
}
