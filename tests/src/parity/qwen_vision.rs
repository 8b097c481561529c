//! Qwen2.5-VL's pictures against transformers' `Qwen2VLImageProcessor` and `Qwen2_5_VisionTransformerPretrainedModel`: pixel values from
//! bytes, grids, window index, rotary table, patch embedding, every block, and the tokens for the decoder.

use anyhow::{Context, Result};
use burn::tensor::Tensor;
use vantage_model::vision::qwen::{QwenPreprocessor, QwenVision, QwenVisionConfig};
use vantage_model::weights::{WeightFiles, WeightReader};

use super::{Case, Line};

const TOLERANCE: f64 = 1e-4;

pub(super) fn compare(case: &Case) -> Result<Vec<Line>> {
    let file = |name: &str| std::fs::read(case.folder.join(name)).with_context(|| format!("reading {name}"));
    let config = QwenVisionConfig::from_json(&file("config.json")?, "config.json")?;
    let preprocessor = QwenPreprocessor::from_json(&file("preprocessor_config.json")?, "preprocessor_config.json")?;
    preprocessor.check_against(&config, "preprocessor_config.json")?;

    let images = case.images()?;
    let pixels = preprocessor.pixels(&images.iter().collect::<Vec<_>>())?;
    let grids = pixels.grids.clone();
    let thw: Vec<f64> = grids.iter().flat_map(|g| [g.frames, g.height, g.width]).map(|side| side as f64).collect();
    let mut lines = vec![case.line_of("grid_thw", &[grids.len(), 3], &thw, 0.0)?];
    lines.push(case.line("pixel_values", pixels.into_tensor(&case.device()?), 0.0)?);

    for placement in case.placements()? {
        let reader = WeightReader::new(WeightFiles::open(&case.folder)?, placement);
        let tower = QwenVision::read(&config, &reader.enter("visual"));
        reader.finish()?;
        // the reference's own pixels, so that a stage shows its own error alone
        let stages = tower.stages(case.tensor("pixel_values")?, &grids)?;
        for (name, ours) in [("window_index", &stages.window_index), ("window_ends", &stages.window_ends)] {
            let ours: Vec<f64> = ours.iter().map(|&x| x as f64).collect();
            lines.push(case.line_of(name, &[ours.len()], &ours, 0.0)?);
        }
        // the reference keeps every angle twice, once for each half of a head
        let twice = |half: Tensor<2>| Tensor::cat(vec![half.clone(), half], 1);
        lines.push(case.line("cos", twice(stages.angles.clone().cos()), TOLERANCE)?);
        lines.push(case.line("sin", twice(stages.angles.sin()), TOLERANCE)?);
        for (number, hidden) in stages.hidden.into_iter().enumerate() {
            lines.push(case.line(&format!("hidden.{number}"), hidden, TOLERANCE)?);
        }
        lines.push(case.line("tokens", stages.tokens, TOLERANCE)?);
    }
    Ok(lines)
}
