//! A decoder that has read a scene in, the times of the texts behind it out.

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::median;
use crate::decoder::{Decoder, KvCache};

/// Token ids of a question: the time does not depend on what is asked.
pub(super) fn question(tokens: usize, vocab_size: usize) -> Vec<u32> {
    (0..tokens).map(|i| (i * 7919 % vocab_size) as u32).collect()
}

/// Reads `ids` behind what `cache` holds, and chooses the token that follows.
pub(super) fn next(decoder: &Decoder, ids: &[u32], cache: &mut KvCache, device: &Device) -> u32 {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let count = ids.len();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, count]), device);
    let hidden = decoder.read_text(ids, None, cache);
    let [_, n, width] = hidden.dims();
    let logits = decoder.logits(hidden.narrow(1, n - 1, 1).reshape([1, width]));
    logits.argmax(1).into_data().iter::<u32>().next().unwrap_or(0)
}

/// Asks again about the first `scene_tokens` of `cache`, and generates `tokens` behind it. Returns the time to the first token,
/// and of a token behind it, milliseconds.
pub(super) fn ask_again(
    decoder: &Decoder,
    cache: &mut KvCache,
    scene_tokens: usize,
    question: &[u32],
    tokens: usize,
    device: &Device,
) -> (f64, f64) {
    cache.truncate(scene_tokens);
    let start = Instant::now();
    let mut token = next(decoder, question, cache, device);
    let first_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut times: Vec<f64> = (1..tokens.max(2))
        .map(|_| {
            let start = Instant::now();
            token = next(decoder, &[token], cache, device);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    (first_ms, median(&mut times))
}
