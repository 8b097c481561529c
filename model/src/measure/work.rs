//! Sizes in, multiplications and additions out.

use crate::points::v3::{PtV3Config, PtV3Plan};
use crate::points::{PointEncoderConfig, PointPlan};
use crate::weights::Placed;

/// `rows` rows through every matrix whose name begins with `prefix`.
pub(super) fn matrices(placed: &[Placed], prefix: &str, rows: usize) -> u64 {
    let numbers: u64 = placed.iter().filter(|p| p.multiplied && p.name.starts_with(prefix)).map(|p| p.parameters).sum();
    2 * numbers * rows as u64
}

/// Scores and sums of `readers` that attend to `read` others, over all heads of `width` channels.
pub(super) fn attention(readers: usize, read: usize, width: usize) -> u64 {
    4 * (readers * read * width) as u64
}

/// A block over `rows` points with `pairs` of neighbours: the convolution of the pairs that exist, linear maps, attention within
/// patches.
fn point_block(rows: usize, pairs: usize, channels: usize, patch: usize, mlp_ratio: usize) -> u64 {
    let (n, c) = (rows as u64, channels as u64);
    let convolved = 2 * (pairs as u64 + n) * c * c;
    let mapped = 2 * n * c * c * (5 + 2 * mlp_ratio as u64);
    convolved + mapped + attention(rows, patch.min(rows), channels)
}

/// This project's small point encoder over a planned scene.
pub(super) fn point_encoder(config: &PointEncoderConfig, plan: &PointPlan) -> u64 {
    let c = &config.channels;
    let rows: Vec<usize> = plan.stages.iter().map(|stage| stage.ranges.last().map_or(0, |r| r.end)).collect();
    let map = |rows: usize, from: usize, to: usize| 2 * (rows * from * to) as u64;
    let mut all = map(rows[0], config.in_channels, c[0]);
    for (s, stage) in plan.stages.iter().enumerate() {
        let block = point_block(rows[s], stage.conv.pairs(rows[s]), c[s], config.patch_size, config.mlp_ratio);
        all += config.depths[s] as u64 * block;
        if let Some(&coarser) = c.get(s + 1) {
            // pooled on the way down; spread and joined with the skipped on the way up
            all += map(rows[s], c[s], coarser) + map(rows[s + 1], coarser, c[s]) + map(rows[s], c[s], c[s]);
        }
    }
    all
}

/// Point Transformer v3 over a planned scene: convolutions of the pairs that exist, linear maps, attention within patches.
pub(super) fn point_transformer(config: &PtV3Config, plan: &PtV3Plan) -> u64 {
    let rows = plan.rows();
    let (stem_pairs, pairs) = plan.pairs();
    let block = |stage: usize, channels: usize| {
        point_block(rows[stage], pairs[stage], channels, config.enc_patch_size[stage], config.mlp_ratio)
    };
    let map = |rows: usize, from: usize, to: usize| 2 * (rows * from * to) as u64;
    let c = &config.enc_channels;
    let mut all = 2 * ((stem_pairs + rows[0]) * config.in_channels * c[0]) as u64;
    for s in 0..c.len() {
        all += config.enc_depths[s] as u64 * block(s, c[s]);
        if s > 0 {
            all += map(rows[s - 1], c[s - 1], c[s]);
        }
    }
    for (s, &to) in config.dec_channels.iter().enumerate() {
        let coarser = config.dec_channels.get(s + 1).copied().unwrap_or(c[s + 1]);
        all += map(rows[s + 1], coarser, to) + map(rows[s], c[s], to) + config.dec_depths[s] as u64 * block(s, to);
    }
    all
}
