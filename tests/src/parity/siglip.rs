//! SigLIP and SigLIP-2 against transformers' `SiglipModel`, `Siglip2Model` and their image processors: pixel values from bytes, every
//! hidden state of both towers, pooled vectors, logits.

use anyhow::{Context, Result};
use burn::tensor::Tensor;
use vantage_model::vision::siglip::{ImageInput, PatchBatch, Siglip, SiglipConfig, SiglipPreprocessor, TextBatch};
use vantage_model::weights::{WeightFiles, WeightReader};

use super::{Case, Line};

const TOLERANCE: f64 = 1e-4;

pub(super) fn compare(case: &Case) -> Result<Vec<Line>> {
    let device = case.device()?;
    let file = |name: &str| std::fs::read(case.folder.join(name)).with_context(|| format!("reading {name}"));
    let config = SiglipConfig::from_json("case", &file("config.json")?)?;
    let file = file("preprocessor_config.json")?;
    let preprocessor = SiglipPreprocessor::from_json(&file, "preprocessor_config.json", &config)?;
    let images = case.images()?;
    let mut lines = pixel_lines(case, &preprocessor.read(&images.iter().collect::<Vec<_>>(), &device)?)?;

    for placement in case.placements()? {
        let reader = WeightReader::new(WeightFiles::open(&case.folder)?, placement);
        let model = Siglip::read(&config, &reader);
        reader.finish()?;
        let images = image_lines(case, &model, "vision", &reference_input(case)?, &mut lines)?;
        if case.has("odd.pixel_values") {
            image_lines(case, &model, "odd", &ImageInput::Pixels(case.tensor("odd.pixel_values")?), &mut lines)?;
        }
        let texts = text_lines(case, &model, "text", false, &mut lines)?;
        text_lines(case, &model, "masked", true, &mut lines)?;
        if let (Some(images), true) = (images, case.has("logits")) {
            lines.push(case.line("logits", model.logits(images, texts), TOLERANCE)?);
        }
    }
    Ok(lines)
}

/// Our preprocessing beside the reference's.
fn pixel_lines(case: &Case, ours: &ImageInput) -> Result<Vec<Line>> {
    match ours {
        ImageInput::Pixels(pixels) => Ok(vec![case.line("pixel_values", pixels.clone(), 0.0)?]),
        ImageInput::Patches(batch) => {
            let grids = batch.grids();
            let sides: Vec<f64> = grids.iter().flatten().map(|&side| side as f64).collect();
            let [views, room, _] = batch.patches().dims();
            let read: Vec<f64> = grids
                .iter()
                .flat_map(|[rows, columns]| (0..room).map(move |i| f64::from(u8::from(i < rows * columns))))
                .collect();
            Ok(vec![
                case.line("pixel_values", batch.patches().clone(), 0.0)?,
                case.line_of("spatial_shapes", &[views, 2], &sides, 0.0)?,
                case.line_of("pixel_attention_mask", &[views, room], &read, 0.0)?,
            ])
        }
    }
}

/// The reference's own pixels, so that a stage shows its own error alone.
fn reference_input(case: &Case) -> Result<ImageInput> {
    if !case.has("spatial_shapes") {
        return Ok(ImageInput::Pixels(case.tensor("pixel_values")?));
    }
    let (_, sides) = case.integers("spatial_shapes")?;
    let grids = sides.as_chunks().0.iter().map(|[rows, columns]| [*rows as usize, *columns as usize]).collect();
    Ok(ImageInput::Patches(PatchBatch::new(case.tensor("pixel_values")?, grids)?))
}

fn image_lines(
    case: &Case,
    model: &Siglip,
    prefix: &str,
    input: &ImageInput,
    lines: &mut Vec<Line>,
) -> Result<Option<Tensor<2>>> {
    let mut hidden = Vec::new();
    let features = model.image.forward_observed(input, &mut |x| hidden.push(x.clone()))?;
    for (number, ours) in hidden.into_iter().enumerate() {
        lines.push(case.line(&format!("{prefix}.hidden.{number}"), ours, TOLERANCE)?);
    }
    lines.push(case.line(&format!("{prefix}.tokens"), features.tokens, TOLERANCE)?);
    if let Some(pooled) = &features.pooled {
        lines.push(case.line(&format!("{prefix}.pooled"), pooled.clone(), TOLERANCE)?);
    }
    Ok(features.pooled)
}

fn text_lines(case: &Case, model: &Siglip, prefix: &str, masked: bool, lines: &mut Vec<Line>) -> Result<Tensor<2>> {
    let (shape, ids) = case.integers("input_ids")?;
    let (_, mask) = case.integers("text_mask")?;
    let length = shape.last().copied().context("input_ids has no shape")?;
    let rows = ids.chunks(length).map(<[u32]>::to_vec).collect();
    let read: Vec<Vec<bool>> = mask.chunks(length).map(|row| row.iter().map(|&read| read == 1).collect()).collect();
    let batch = TextBatch::masked(rows, masked.then_some(&read[..]));
    let mut hidden = Vec::new();
    let pooled = model.text.forward_observed(&batch, &case.device()?, &mut |x| hidden.push(x.clone()))?;
    for (number, ours) in hidden.into_iter().enumerate() {
        lines.push(case.line(&format!("{prefix}.hidden.{number}"), ours, TOLERANCE)?);
    }
    lines.push(case.line(&format!("{prefix}.pooled"), pooled.clone(), TOLERANCE)?);
    Ok(pooled)
}
