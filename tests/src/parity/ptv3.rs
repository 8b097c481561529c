//! Point Transformer v3 against an independent transcription of its paper and published code (`parity_ptv3.py`): codes along the
//! curves, pooled voxels, and the features after stem, every encoder stage and every decoder stage.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::{Int, Tensor, TensorData};
use vantage_model::points::v3::{PtV3, PtV3Config, PtV3Input, PtV3Plan};

use super::{Case, Line};

const TOLERANCE: f64 = 1e-4;

pub(super) fn compare(case: &Case) -> Result<Vec<Line>> {
    let json = std::fs::read(case.folder.join("config.json")).context("reading config.json")?;
    let config = PtV3Config::from_json("config.json", &json)?;
    let (_, flat) = case.integers("voxels")?;
    let voxels: Vec<[u32; 3]> = flat.as_chunks().0.to_vec();
    let (_, scene_of) = case.integers("scene")?;
    let scenes = scene_of.last().map_or(0, |last| last + 1);
    let inputs = (0..scenes)
        .map(|scene| {
            let own: Vec<[u32; 3]> =
                voxels.iter().zip(&scene_of).filter(|(_, of)| **of == scene).map(|(voxel, _)| *voxel).collect();
            let positions = vec![[0.0; 3]; own.len()];
            Ok(PtV3Input::new(own, positions)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let plan = PtV3Plan::new(&inputs.iter().collect::<Vec<_>>(), &config)?;
    let mut lines = vec![codes(case, &config, &voxels)?];

    // each stage's rows by scene and voxel, as the reference gives them
    let mut order: Vec<Vec<i32>> = Vec::new();
    for stage in 0..config.enc_channels.len() {
        let scenes = plan.ranges(stage).iter().zip(0u32..).flat_map(|(range, scene)| range.clone().map(move |_| scene));
        let rows: BTreeMap<(u32, [u32; 3]), i32> = scenes.zip(plan.voxels(stage).iter().copied()).zip(0..).collect();
        let places: Vec<f64> = rows.keys().flat_map(|(scene, [x, y, z])| [*scene, *x, *y, *z].map(f64::from)).collect();
        lines.push(case.line_of(&format!("enc{stage}_voxels"), &[plan.voxels(stage).len(), 4], &places, 0.0)?);
        order.push(rows.into_values().collect());
    }

    for placement in case.placements()? {
        let saved = case.folder.join("checkpoint.pth");
        let model = PtV3::load(if saved.is_file() { &saved } else { &case.folder }, &config, placement)?;
        let mut stages: Vec<(String, Tensor<2>)> = Vec::new();
        model.forward_observed(case.tensor("features")?, &plan, &mut |name, x| {
            stages.push((name.to_owned(), x.clone()));
        })?;
        for (name, ours) in stages {
            let ours = match name.strip_prefix("enc").or_else(|| name.strip_prefix("dec")) {
                Some(number) => {
                    let rows = order.get(number.parse::<usize>()?).context("a stage beyond the config's")?;
                    let rows = TensorData::new(rows.clone(), [rows.len()]);
                    let rows = Tensor::<1, Int>::from_data(rows, &ours.device());
                    ours.select(0, rows)
                }
                None => ours,
            };
            lines.push(case.line(&name, ours, TOLERANCE)?);
        }
    }
    Ok(lines)
}

/// Places of all voxels along every curve; as the reference's they fit an f64.
fn codes(case: &Case, config: &PtV3Config, voxels: &[[u32; 3]]) -> Result<Line> {
    let most = voxels.iter().flatten().copied().max().unwrap_or(0);
    let bits = u32::BITS - (most + 1).leading_zeros();
    let ours: Vec<f64> = config
        .order
        .iter()
        .flat_map(|order| voxels.iter().map(move |voxel| order.code_of_bits(*voxel, bits) as f64))
        .collect();
    case.line_of("codes", &[config.order.len(), voxels.len()], &ours, 0.0)
}
