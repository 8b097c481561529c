//! Depth-Anything-V2 against transformers' `DepthAnythingForDepthEstimation` and `DPTImageProcessor`: pixel values from bytes, every
//! hidden state of the backbone, what the neck reads and fuses, depth.

use anyhow::{Context, Result};
use burn::tensor::Tensor;
use vantage_model::vision::depth_anything::{DepthAnything, DepthAnythingConfig, DepthPreprocessor};
use vantage_model::weights::{WeightFiles, WeightReader};

use super::{Case, Line};

const TOLERANCE: f64 = 1e-4;

pub(super) fn compare(case: &Case) -> Result<Vec<Line>> {
    let device = case.device()?;
    let file = |name: &str| std::fs::read(case.folder.join(name)).with_context(|| format!("reading {name}"));
    let config = DepthAnythingConfig::from_json("case", &file("config.json")?)?;
    let preprocessor = DepthPreprocessor::from_json(&file("preprocessor_config.json")?, "preprocessor_config.json")?;
    let images = case.images()?;
    let mut lines = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let name = format!("{number}.pixel_values");
        lines.push(case.line(&name, preprocessor.pixels(&[image], &device)?, 0.0)?);
    }
    for placement in case.placements()? {
        let reader = WeightReader::new(WeightFiles::open(&case.folder)?, placement);
        let model = DepthAnything::read(&config, &reader);
        reader.finish()?;
        for number in 0..images.len() {
            picture_lines(case, &model, number, &mut lines)?;
        }
        let depth = model.forward(&case.tensor("batch.pixel_values")?)?;
        lines.push(case.line("batch.depth", depth, TOLERANCE)?);
    }
    Ok(lines)
}

/// Every stage of one picture, from the reference's own pixels.
fn picture_lines(case: &Case, model: &DepthAnything, number: usize, lines: &mut Vec<Line>) -> Result<()> {
    let pixels: Tensor<4> = case.tensor(&format!("{number}.pixel_values"))?;
    let mut hidden = Vec::new();
    model.backbone.observe(&pixels, &mut |x| hidden.push(x.clone()))?;
    for (k, ours) in hidden.into_iter().enumerate() {
        lines.push(case.line(&format!("{number}.hidden.{k}"), ours, TOLERANCE)?);
    }
    lines.push(case.line(&format!("{number}.encoder"), model.backbone.forward(&pixels)?, TOLERANCE)?);
    for (k, ours) in model.backbone.stages(&pixels)?.into_iter().enumerate() {
        lines.push(case.line(&format!("{number}.stage.{k}"), ours, TOLERANCE)?);
    }
    for (k, ours) in model.feature_maps(&pixels)?.into_iter().enumerate() {
        lines.push(case.line(&format!("{number}.map.{k}"), ours, TOLERANCE)?);
    }
    lines.push(case.line(&format!("{number}.depth"), model.forward(&pixels)?, TOLERANCE)?);
    Ok(())
}
