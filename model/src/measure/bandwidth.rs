//! Nothing in, bytes a second out: how fast all of the processor's cores together read memory.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

/// Bytes read at a time, beyond every cache.
const BYTES: usize = 1 << 30;
/// Bytes that a task reads.
const TASK_WORDS: usize = 1 << 17;
/// Passes; the best counts, as it was disturbed least.
const PASSES: usize = 7;
/// Sums kept side by side, so that the adders are not what is measured.
const LANES: usize = 64;

/// Adds up one word after another.
struct Sum<'a>(&'a [u64]);

impl pulp::WithSimd for Sum<'_> {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> u64 {
        let mut sums = [0u64; LANES];
        for words in self.0.as_chunks::<LANES>().0 {
            for i in 0..LANES {
                sums[i] = sums[i].wrapping_add(words[i]);
            }
        }
        sums.iter().fold(0, |a, b| a.wrapping_add(*b))
    }
}

/// Bytes a second that plain sums over memory reach, the best of several passes over a GiB.
pub fn read_bandwidth() -> f64 {
    let arch = pulp::Arch::new();
    let words = vec![1u64; BYTES / size_of::<u64>()];
    let mut best = 0.0f64;
    for _ in 0..PASSES {
        let start = Instant::now();
        let sum = words.par_chunks(TASK_WORDS).map(|part| arch.dispatch(Sum(part))).reduce(|| 0, u64::wrapping_add);
        black_box(sum);
        best = best.max(BYTES as f64 / start.elapsed().as_secs_f64());
    }
    best
}
