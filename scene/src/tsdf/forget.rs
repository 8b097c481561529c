//! Blocks in, fewer blocks out: which ones make room for new ones, and which ones have not been seen for too long.

use rayon::prelude::*;

use super::block::{Key, SIDE, WEIGHT_ONE};
use super::config::TsdfConfig;
use super::store::{Header, Store};

/// One more range of the camera away counts as much as being unseen for this long, seconds.
const AGE_OF_A_RANGE_S: f64 = 30.0;
/// At least this share of all blocks is given up at once, so that room is not made for every frame.
const EVICTED_SHARE: usize = 32;
/// Weights decay in steps of this share of the half-life, so that rounding takes little of them: a step is 4%.
const DECAY_STEP_SHARE: f64 = 1.0 / 16.0;

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
/// `min_weight` is given up. Returns the keys of those, in order.
pub(super) fn decay(store: &mut Store, now_nanos: i64, half_life_s: f32, min_weight: f32) -> Vec<Key> {
    let step_s = DECAY_STEP_SHARE * f64::from(half_life_s);
    let least = (min_weight * WEIGHT_ONE).max(1.0) as u16;
    let blocks = store.headers.par_iter_mut().zip(&mut store.voxels).enumerate();
    let gone: Vec<u32> = blocks
        .filter_map(|(i, (header, voxels))| {
            let unseen_nanos = now_nanos.saturating_sub(header.decayed_nanos);
            if unseen_nanos < 0 {
                // the clock was set back: time counts anew from here
                (header.seen_nanos, header.decayed_nanos) = (now_nanos, now_nanos);
            }
            let unseen_s = elapsed_s(header.decayed_nanos, now_nanos);
            if !header.used || unseen_s < step_s {
                return None;
            }
            let kept = 0.5f64.powf(unseen_s / f64::from(half_life_s)) as f32;
            header.decayed_nanos = now_nanos;
            for weight in &mut voxels.weight {
                *weight = (f32::from(*weight) * kept).round() as u16;
            }
            voxels.weight.iter().all(|w| *w < least).then_some(i as u32)
        })
        .collect();
    let mut keys: Vec<Key> = gone.iter().map(|&i| store.headers[i as usize].key).collect();
    keys.sort_unstable();
    for i in gone {
        store.release(i);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::super::store::Request;
    use super::*;

    #[test]
    fn weights_halve_in_their_half_life_however_long_it_is() {
        for half_life_s in [2.0f32, 60.0, 600.0, 86_400.0] {
            let mut store = Store::new(1 << 20);
            let Request::Added(i) = store.request([1, 2, 3]) else { panic!("there is room") };
            store.voxels[i as usize].weight = [1000; 512];
            // seen at a frame rate, all but this block
            let frames = 400;
            for frame in 1..=frames {
                let now = (f64::from(half_life_s) * 1e9 * f64::from(frame) / f64::from(frames)) as i64;
                assert!(decay(&mut store, now, half_life_s, 0.01).is_empty());
            }
            let weight = store.voxels[i as usize].weight[0];
            assert!((470..=530).contains(&weight), "half-life {half_life_s} s: {weight} of 1000 left");
        }
    }
}
