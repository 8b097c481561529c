//! Blocks in, fewer blocks out: which ones make room for new ones, and which ones have not been seen for too long.

use rayon::prelude::*;

use super::block::{SIDE, WEIGHT_ONE};
use super::config::TsdfConfig;
use super::store::{Header, Store};

/// One more range of the camera away counts as much as being unseen for this long, seconds.
const AGE_OF_A_RANGE_S: f64 = 30.0;
/// At least this share of all blocks is given up at once, so that room is not made for every frame.
const EVICTED_SHARE: usize = 32;
/// Weights decay in steps of this time, nanoseconds.
const DECAY_STEP_NANOS: i64 = 1_000_000_000;

/// Seconds from `then` to `now`; 0 when the clock was set back.
fn elapsed_s(then: i64, now: i64) -> f64 {
    now.saturating_sub(then).max(0) as f64 * 1e-9
}

/// Gives up at least `wanted` blocks, far and old ones first; none that frame `frame` touched. Returns how many it gave up.
pub(super) fn evict(
    store: &mut Store,
    wanted: usize,
    frame: u64,
    now_nanos: i64,
    camera: [f64; 3],
    config: &TsdfConfig,
) -> usize {
    let block_m = f64::from(config.voxel_size_m) * SIDE as f64;
    let staleness = |header: &Header| {
        let square: f64 = (0..3).map(|k| ((f64::from(header.key[k]) + 0.5) * block_m - camera[k]).powi(2)).sum();
        square.sqrt() / f64::from(config.max_depth_m) + elapsed_s(header.seen_nanos, now_nanos) / AGE_OF_A_RANGE_S
    };
    let mut candidates: Vec<(f64, u32)> = (0u32..)
        .zip(&store.headers)
        .filter(|(_, header)| header.used && header.frame != frame)
        .map(|(i, header)| (staleness(header), i))
        .collect();
    let count = wanted.max(store.max_blocks() / EVICTED_SHARE).min(candidates.len());
    if count == 0 {
        return 0;
    }
    // the stalest first; of equals the one with the smaller key, so that equal maps stay equal
    let headers = &store.headers;
    let order = |a: &(f64, u32), b: &(f64, u32)| {
        b.0.total_cmp(&a.0).then_with(|| headers[a.1 as usize].key.cmp(&headers[b.1 as usize].key))
    };
    candidates.select_nth_unstable_by(count - 1, order);
    candidates.truncate(count);
    candidates.sort_unstable_by(order);
    for (_, i) in candidates {
        store.release(i);
    }
    count
}

/// Lets the weights of blocks that were not seen for a while halve every `half_life_s`; a block whose weights all fall below
/// `min_weight` is given up. Returns how many were.
pub(super) fn decay(store: &mut Store, now_nanos: i64, half_life_s: f32, min_weight: f32) -> usize {
    let least = (min_weight * WEIGHT_ONE).max(1.0) as u16;
    let blocks = store.headers.par_iter_mut().zip(&mut store.voxels).enumerate();
    let gone: Vec<u32> = blocks
        .filter_map(|(i, (header, voxels))| {
            let unseen_nanos = now_nanos.saturating_sub(header.decayed_nanos);
            if unseen_nanos < 0 {
                // the clock was set back: time counts anew from here
                (header.seen_nanos, header.decayed_nanos) = (now_nanos, now_nanos);
            }
            if !header.used || unseen_nanos < DECAY_STEP_NANOS {
                return None;
            }
            let kept = 0.5f64.powf(elapsed_s(header.decayed_nanos, now_nanos) / f64::from(half_life_s)) as f32;
            header.decayed_nanos = now_nanos;
            for weight in &mut voxels.weight {
                *weight = (f32::from(*weight) * kept) as u16;
            }
            voxels.weight.iter().all(|w| *w < least).then_some(i as u32)
        })
        .collect();
    for i in &gone {
        store.release(*i);
    }
    gone.len()
}
