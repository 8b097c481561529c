//! Point Transformer v3 against an independent transcription of its paper and published code (`parity_ptv3.py`): codes along the
//! curves, pooled voxels, and the features after stem, every encoder stage and every decoder stage.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::{Int, Tensor, TensorData};
use vantage_model::points::v3::{PtV3, PtV3Config, PtV3Input, PtV3Plan};
use vantage_model::weights::{WeightFiles, WeightReader};

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
    let plan = PtV3Plan::new(&inputs.iter().collect::<Vec<_>>(), &config);
    let mut lines = vec![codes(case, &config, &voxels)?];

    // each stage's rows by scene and voxel, as the reference gives them
    let mut keys: Vec<(u32, [u32; 3])> = scene_of.iter().copied().zip(voxels.iter().copied()).collect();
    let coarse = plan.coarse_voxels();
    let coarse_scene = |row: usize| plan.coarse_ranges().iter().position(|range| range.contains(&row)).unwrap_or(0);
    let coarse_keys: Vec<(u32, [u32; 3])> =
        coarse.iter().enumerate().map(|(row, voxel)| (coarse_scene(row) as u32, *voxel)).collect();
    let places: Vec<f64> = sorted(&coarse_keys).flat_map(|row| coarse[row].map(f64::from)).collect();
    lines.push(case.line_of("coarse_voxels", &[coarse.len(), 3], &places, 0.0)?);
    let mut order: Vec<Vec<usize>> = Vec::new();
    for _ in 0..config.enc_channels.len() {
        order.push(sorted(&keys).collect());
        keys = halved(&keys);
    }

    for placement in case.placements()? {
        let reader = WeightReader::new(WeightFiles::open(&case.folder)?, placement);
        let model = PtV3::read(&config, &reader);
        reader.finish()?;
        let mut stages: Vec<(String, Tensor<2>)> = Vec::new();
        model.forward_observed(case.tensor("features")?, &plan, &mut |name, x| {
            stages.push((name.to_owned(), x.clone()))
        });
        for (name, ours) in stages {
            let ours = match name.strip_prefix("enc").or_else(|| name.strip_prefix("dec")) {
                Some(number) => {
                    let rows: Vec<i32> = order[number.parse::<usize>()?].iter().map(|&row| row as i32).collect();
                    let count = rows.len();
                    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &ours.device());
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

fn sorted(keys: &[(u32, [u32; 3])]) -> impl Iterator<Item = usize> {
    let rows: BTreeMap<(u32, [u32; 3]), usize> = keys.iter().copied().zip(0..).collect();
    rows.into_values()
}

/// The voxels of the next stage in the order in which the network numbers them: along the Z-curve, scene by scene.
fn halved(keys: &[(u32, [u32; 3])]) -> Vec<(u32, [u32; 3])> {
    let z = vantage_model::points::SerializedOrder::Z;
    let coarse = keys.iter().map(|(scene, voxel)| (*scene, voxel.map(|c| c >> 1)));
    let along: BTreeMap<(u32, u64), [u32; 3]> = coarse.map(|(s, voxel)| ((s, z.code(voxel)), voxel)).collect();
    along.into_iter().map(|((scene, _), voxel)| (scene, voxel)).collect()
}
