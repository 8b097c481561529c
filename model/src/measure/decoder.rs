//! A decoder's size and a placement in, the times of reading a prompt and of generating out.

use std::time::Instant;

use burn::tensor::Tensor;
use serde::Serialize;

use super::median;
use crate::config::DecoderConfig;
use crate::decoder::{Decoder, Position3};
use crate::weights::{Placement, WeightReader};

/// Tokens of a prompt that are read at a time.
const CHUNK: usize = 512;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct DecoderWork {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens that are generated behind it.
    pub tokens: usize,
    /// Times that the prompt is read; the median counts.
    pub runs: usize,
}

/// A decoder's figures.
#[derive(Debug, Clone, Serialize)]
pub struct DecoderReport {
    /// All weights.
    pub parameters: u64,
    /// Bytes of all weights where they are.
    pub bytes: u64,
    /// Bytes of the weights that every generated token is multiplied with.
    pub bytes_per_token: u64,
    /// Bytes of keys and values that a token leaves behind.
    pub cache_bytes_per_token: u64,
    /// Multiplications and additions of a generated token, the attention to the prompt included.
    pub flops_per_token: u64,
    /// Reading the prompt, milliseconds.
    pub prefill_ms: f64,
    /// A generated token, milliseconds.
    pub decode_ms: f64,
    /// Generated tokens a second.
    pub tokens_per_s: f64,
    /// Bytes of weights read a second while generating.
    pub decode_bytes_per_s: f64,
    /// Making up and placing the weights, seconds.
    pub place_s: f64,
}

/// Measures a decoder of random weights.
pub fn decoder(config: &DecoderConfig, placement: &Placement, work: &DecoderWork) -> DecoderReport {
    let start = Instant::now();
    let reader = WeightReader::synthetic(placement.clone(), 1);
    let decoder = Decoder::read(config, &reader.enter("model"), &reader);
    let place_s = start.elapsed().as_secs_f64();
    let placed = reader.placed();
    let table = placed.iter().find(|p| p.name == "model.embed_tokens.weight");
    let head = table.filter(|_| config.tie_word_embeddings);
    let multiplied = || placed.iter().filter(|p| p.multiplied).chain(head);
    let bytes_per_token: u64 = multiplied().map(|p| p.bytes).sum();
    let width = config.key_width() as u64;
    let layers = config.num_hidden_layers as u64;
    let attention = 4 * layers * config.query_width() as u64 * work.prompt as u64;

    let device = &placement.device;
    let ids: Vec<u32> = (0..work.prompt).map(|i| (i * 7919 % config.vocab_size) as u32).collect();
    let positions: Vec<Position3> = (0..work.prompt + work.tokens).map(|i| [i as u32; 3]).collect();
    let next = |hidden: Tensor<3>| {
        let [_, n, d] = hidden.dims();
        let logits = decoder.logits(hidden.narrow(1, n - 1, 1).reshape([1, d]));
        logits.argmax(1).into_data().iter::<u32>().next().unwrap_or(0)
    };
    let mut cache = decoder.cache(work.prompt + work.tokens);
    let mut token = 0;
    let mut prefill: Vec<f64> = Vec::with_capacity(work.runs);
    for _ in 0..work.runs {
        cache.truncate(0);
        let start = Instant::now();
        let embedded = decoder.embed(&ids, device);
        let read = decoder.read_sequence(embedded, &positions[..work.prompt], &mut cache, CHUNK, false, &mut || true);
        if let Some(hidden) = read {
            token = next(hidden);
        }
        prefill.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let mut decode: Vec<f64> = Vec::with_capacity(work.tokens);
    for position in &positions[work.prompt..] {
        let start = Instant::now();
        let embedded = decoder.embed(&[token], device);
        if let Some(hidden) = decoder.read_sequence(embedded, &[*position], &mut cache, 1, false, &mut || true) {
            token = next(hidden);
        }
        decode.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let decode_ms = median(&mut decode);
    DecoderReport {
        parameters: placed.iter().map(|p| p.parameters).sum(),
        bytes: placed.iter().map(|p| p.bytes).sum(),
        bytes_per_token,
        cache_bytes_per_token: 2 * layers * width * if placement.packed { 4 } else { 2 },
        flops_per_token: 2 * multiplied().map(|p| p.parameters).sum::<u64>() + attention,
        prefill_ms: median(&mut prefill),
        decode_ms,
        tokens_per_s: 1e3 / decode_ms,
        decode_bytes_per_s: bytes_per_token as f64 / (decode_ms * 1e-3),
        place_s,
    }
}
