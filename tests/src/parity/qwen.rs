//! The whole Qwen2.5-VL against transformers: logits of every position of a prompt with pictures, and the greedy text.

use std::ops::ControlFlow;

use anyhow::{Context, Result, ensure};
use burn::tensor::FloatDType;
use vantage_model::import::import_merged;
use vantage_model::packed::MatrixType;
use vantage_model::qwen::{Ending, QwenVl, ReplyOptions};
use vantage_model::sampling::SamplerConfig;
use vantage_scene::ColorImage;

use super::{Case, Line};

const TOLERANCE: f64 = 1e-4;

pub(super) fn compare(case: &Case) -> Result<Vec<Line>> {
    let (_, ids) = case.integers("ids")?;
    let mut pictures = Vec::new();
    while case.has(&format!("image_{}", pictures.len())) {
        let (shape, bytes) = case.integers(&format!("image_{}", pictures.len()))?;
        ensure!(shape.len() == 3 && shape[2] == 3, "a picture of shape {shape:?}");
        let data = bytes.into_iter().map(|b| b as u8).collect();
        pictures.push(ColorImage { width: shape[1] as u32, height: shape[0] as u32, data });
    }
    let images: Vec<&ColorImage> = pictures.iter().collect();
    let mut lines = Vec::new();
    if let Some(placement) = case.placements_of(MatrixType::Bf16)?.into_iter().next() {
        let rounded = QwenVl::load(&case.folder, placement.clone())?;
        let logits = rounded.logits(&ids, &images)?.cast(FloatDType::F32);
        lines.push(case.rounded_line("logits", logits, &placement)?);
    }
    let placement = case.placements()?.into_iter().next().context("nowhere to put the weights")?;
    if case.has("logits_adapted") {
        // merged on import, as the reference merges it
        let merged = std::env::temp_dir().join(format!("vantage-parity-merged-{}", std::process::id()));
        import_merged(&case.folder, Some(&case.folder.join("adapter")), &merged, "m", None, &mut |_, _| {})?;
        let adapted = QwenVl::load(&merged, placement.clone()).and_then(|model| model.logits(&ids, &images));
        std::fs::remove_dir_all(&merged)?;
        lines.push(case.line("logits_adapted", adapted?, TOLERANCE)?);
    }
    let mut model = QwenVl::load(&case.folder, placement)?;
    lines.push(case.line("logits", model.logits(&ids, &images)?, TOLERANCE)?);

    let (shape, written) = case.values("written")?;
    let options =
        ReplyOptions { max_tokens: written.len(), sampling: Some(SamplerConfig::greedy()), ..ReplyOptions::default() };
    let write = |model: &mut QwenVl| model.reply_to_ids(&ids, &images, &options, &mut |_| ControlFlow::Continue(()));
    let whole = |tokens: &[u32]| tokens.iter().map(|t| f64::from(*t)).collect::<Vec<_>>();
    let first = write(&mut model)?;
    lines.push(case.line_of("written", &shape, &whole(&first.tokens), 0.0)?);
    // once more, on what is cached: all but the last token of the prompt
    let again = write(&mut model)?;
    ensure!(
        again.reused_tokens + 1 == again.prompt_tokens && first.reused_tokens == 0,
        "{} of {} tokens were reused",
        again.reused_tokens,
        again.prompt_tokens
    );
    lines.push(case.line_of("written", &shape, &whole(&again.tokens), 0.0)?);
    // stopped after five tokens, and at once
    let mut left = 5;
    let mut stopping = |text: &str| {
        left -= usize::from(!text.is_empty() && left > 0);
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let cut = model.reply_to_ids(&ids, &images, &options, &mut stopping)?;
    ensure!(cut.ending == Ending::Cancelled && cut.tokens.len() < written.len(), "it did not stop: {:?}", cut.ending);
    lines.push(case.line_of("written", &shape, &whole(&write(&mut model)?.tokens), 0.0)?);
    let mut none = ids.clone();
    none.push(*ids.first().context("no tokens")?);
    let other = model.reply_to_ids(&none, &images, &options, &mut |_| ControlFlow::Break(()))?;
    ensure!(other.tokens.is_empty() && other.ending == Ending::Cancelled, "it did not stop before the prompt was read");
    lines.push(case.line_of("written", &shape, &whole(&write(&mut model)?.tokens), 0.0)?);
    Ok(lines)
}
