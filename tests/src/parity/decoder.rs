//! The text decoder against transformers' `Qwen2_5_VLTextModel`: hidden states of every position, logits, the same in
//! chunks, and from a cache that was cut back.

use anyhow::Result;
use burn::tensor::{FloatDType, Tensor};
use vantage_model::DecoderConfig;
use vantage_model::decoder::{Decoder, KvCache, Position3};
use vantage_model::packed::MatrixType;
use vantage_model::weights::{WeightFiles, WeightReader};

use super::{Case, Line};

const TOLERANCE: f64 = 1e-4;

pub(super) fn compare(case: &Case) -> Result<Vec<Line>> {
    let config: DecoderConfig = serde_json::from_value(case.description["decoder"].clone())?;
    let (_, ids) = case.integers("ids")?;
    let (_, flat) = case.integers("positions")?;
    let tokens = ids.len();
    let positions: Vec<Position3> = (0..tokens).map(|i| std::array::from_fn(|row| flat[row * tokens + i])).collect();
    let mut lines = Vec::new();
    for placement in case.placements()? {
        let reader = WeightReader::new(WeightFiles::open(&case.folder)?, placement.clone());
        let decoder = Decoder::read(&config, &reader.enter("model"), &reader);
        reader.finish()?;
        let device = placement.device.clone();
        let embedded = decoder.embed(&ids, &device);
        let read = |cache: &mut KvCache, from: usize, chunk: usize| {
            let part = embedded.clone().narrow(1, from, tokens - from);
            decoder.read_sequence(part, &positions[from..], cache, chunk, true, &mut || true)
        };
        let logits = |hidden: Tensor<3>| {
            let [_, n, width] = hidden.dims();
            decoder.logits(hidden.reshape([n, width]))
        };
        let mut cache = decoder.cache(tokens);
        let Some(whole) = read(&mut cache, 0, tokens) else { continue };
        lines.push(case.line("hidden", whole.clone(), TOLERANCE)?);
        lines.push(case.line("logits", logits(whole), TOLERANCE)?);
        // in chunks that do not divide the text, in a cache that has to grow
        let mut cache = decoder.cache(3);
        if let Some(chunked) = read(&mut cache, 0, 5) {
            lines.push(case.line("hidden", chunked, TOLERANCE)?);
        }
        // cut back and read again, one token at a time
        let kept = tokens / 2;
        cache.truncate(kept);
        if let Some(again) = read(&mut cache, kept, 1) {
            let whole = case.tensor::<3>("hidden")?;
            let width = whole.dims()[2];
            let joined = Tensor::cat(vec![whole.narrow(1, 0, kept), again], 1).reshape([1, tokens, width]);
            lines.push(case.line("hidden", joined, TOLERANCE)?);
        }
    }
    // rounded to 16 bits, ours may be as far from the exact logits as the reference's own 16 bits are
    for placement in case.placements_of(MatrixType::Bf16)? {
        let reader = WeightReader::new(WeightFiles::open(&case.folder)?, placement.clone());
        let decoder = Decoder::read(&config, &reader.enter("model"), &reader);
        reader.finish()?;
        let embedded = decoder.embed(&ids, &placement.device).cast(placement.activations());
        let mut cache = decoder.cache(tokens);
        if let Some(hidden) = decoder.read_sequence(embedded, &positions, &mut cache, tokens, true, &mut || true) {
            let [_, n, width] = hidden.dims();
            let logits = decoder.logits(hidden.reshape([n, width])).cast(FloatDType::F32);
            lines.push(case.rounded_line("logits", logits, &placement)?);
        }
    }
    Ok(lines)
}
