//! A 3D-R1 at full size and a scene's size in, the time of every part on this machine out.

use std::time::Instant;

use burn::tensor::Tensor;
use vantage_scene::Aabb;

use super::report::{ModelReport, PartReport};
use super::{median, text, work};
use crate::memory::MemoryPlan;
use crate::packed::MatrixType;
use crate::points::v3::{PtV3Input, PtV3Plan};
use crate::r1::{Encoder, R1Config, R1Error, R1Network, R1Views, ViewEncoder};
use crate::vision::qwen::Grid;
use crate::weights::{Placed, Placement, WeightFiles, WeightReader};

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct SceneWork {
    /// Views that are shown.
    pub views: usize,
    /// Points of the scene, about.
    pub points: usize,
    /// Tokens of a question.
    pub question: usize,
    /// Tokens that are generated.
    pub tokens: usize,
    /// Times that each part is run; the median counts.
    pub runs: usize,
}

/// What the network takes in `placement` with such a scene.
pub fn r1_plan(config: &R1Config, placement: &Placement, amount: &SceneWork) -> MemoryPlan {
    // a reader of no files counts what it is asked for and makes nothing
    let counting = WeightReader::new(WeightFiles::default(), placement.clone());
    drop(R1Network::read(config, &counting));
    let d = &config.decoder;
    let own = config.own.as_ref().map_or(0, |own| patches_of(own, own.config.patch_size) / 4);
    let image =
        config.image.as_ref().map_or(0, |image| image.grid(image.config.vision_config.patch_size).iter().product());
    let depth = config.depth.as_ref().map_or(0, |depth| depth.grid(depth.config.patch_size).iter().product());
    // of a surface each of four halvings leaves a quarter
    let points = config.points.as_ref().map_or(0, |points| amount.points >> (2 * (points.enc_channels.len() - 1)));
    let tokens = amount.views * (own + image + depth) + points + amount.question + amount.tokens;
    let number: u64 = if placement.packed || placement.matrices == MatrixType::F32 { 4 } else { 2 };
    let per_token = 2 * (d.num_hidden_layers * d.key_width()) as u64 * number;
    // the scene is read whole: its streams, and the scores of all heads where they are held
    let read = tokens * (4 * d.hidden_size + 3 * d.intermediate_size) + d.num_attention_heads * tokens * tokens;
    MemoryPlan::new(placement, &counting.placed(), tokens, per_token, read as u64 * number)
}

/// Measures a network of random weights, part by part; `begins` is told of each part before it runs.
///
/// # Errors
/// [`R1Error`] where the sizes of a part and of its views do not fit.
pub fn r1(
    config: &R1Config,
    placement: &Placement,
    amount: &SceneWork,
    begins: &mut dyn FnMut(&str),
) -> Result<ModelReport, R1Error> {
    begins("making up weights");
    let reader = WeightReader::synthetic(placement.clone(), 1);
    let network = R1Network::read(config, &reader);
    let placed = reader.placed();
    let device = &placement.device;
    let views = amount.views;
    let mut parts = Vec::new();
    let mut tokens: Vec<(Encoder, Tensor<2>)> = Vec::new();
    let mut measured = |encoder: Encoder, flops: u64, run: &dyn Fn() -> Result<Tensor<2>, R1Error>| {
        begins(encoder.name());
        let mut times = Vec::with_capacity(amount.runs);
        let mut given = None;
        for _ in 0..amount.runs.max(1) {
            let start = Instant::now();
            let out = run()?;
            // a GPU works on after the call has come back
            let _ = out.clone().sum().into_data();
            times.push(start.elapsed().as_secs_f64() * 1e3);
            given = Some(out);
        }
        let name = encoder.name();
        let projection = format!("projections.{name}.");
        let mut part = part_of(name, &placed, &[&format!("{name}."), &projection]);
        let rows = given.as_ref().map_or(0, |out| out.dims()[0]);
        (part.flops, part.ms) = (flops + work::matrices(&placed, &projection, rows), median(&mut times));
        parts.push(part);
        tokens.extend(given.map(|given| (encoder, given)));
        Ok::<(), R1Error>(())
    };
    if let Some(points) = &config.points {
        let input = room(amount.points);
        let count = input.len();
        let plan = PtV3Plan::new(&[&input], points)?;
        let features = Tensor::<2>::ones([count, points.in_channels], device);
        // the plan belongs to the part: it is made anew for every scene
        measured(Encoder::Points, work::point_transformer(points, &plan), &|| {
            network.encode_points(features.clone(), &PtV3Plan::new(&[&input], points)?)
        })?;
    }
    if let Some(own) = &config.own {
        let c = &own.config;
        let [height, width] = [own.image_height / c.patch_size, own.image_width / c.patch_size];
        let patches = height * width;
        let full = c.fullatt_block_indexes.len();
        let seen = full * patches + c.depth.saturating_sub(full) * c.window_tokens().min(patches);
        let flops = work::matrices(&placed, "own.", views * patches)
            - work::matrices(&placed, "own.merger", views * patches)
            + work::matrices(
                &placed,
                "own.merger",
                views * patches / (c.spatial_merge_size * c.spatial_merge_size).max(1),
            )
            + work::attention(views * patches, seen, c.hidden_size);
        let pixels = Tensor::ones([views * patches, c.patch_width()], device);
        let input = R1Views::Own(pixels, vec![Grid { frames: 1, height, width }; views]);
        measured(Encoder::Own, flops, &|| network.encode_views(&input))?;
    }
    if let Some(image) = &config.image {
        let v = &image.config.vision_config;
        let patches = patches_of(image, v.patch_size);
        let flops = work::matrices(&placed, "image.", views * patches)
            + v.num_hidden_layers as u64 * work::attention(views * patches, patches, v.hidden_size);
        let input =
            R1Views::Image(Tensor::ones([views, v.num_channels, image.image_height, image.image_width], device));
        measured(Encoder::Image, flops, &|| network.encode_views(&input))?;
    }
    if let Some(depth) = &config.depth {
        let c = &depth.config;
        let seen = patches_of(depth, c.patch_size) + 1;
        let flops = work::matrices(&placed, "depth.", views * seen)
            + c.num_hidden_layers as u64 * work::attention(views * seen, seen, c.hidden_size);
        let input =
            R1Views::Depth(Tensor::ones([views, c.num_channels, depth.image_height, depth.image_width], device));
        measured(Encoder::Depth, flops, &|| network.encode_views(&input))?;
    }

    let bounds = Aabb { min: [0.0; 3], max: [6.0, 5.0, 2.5] };
    let places: Vec<Vec<[f32; 3]>> = tokens.iter().map(|(_, t)| vec![[1.0; 3]; t.dims()[0]]).collect();
    let given: Vec<(Encoder, Tensor<2>, &[[f32; 3]])> =
        tokens.into_iter().zip(&places).map(|((encoder, t), places)| (encoder, t, places.as_slice())).collect();
    let scene = network.scene_tokens(&given, &bounds, device)?;
    let scene_tokens = scene.dims()[1];
    let ids = text::question(amount.question, config.decoder.vocab_size);
    begins("decoder");
    let start = Instant::now();
    let capacity = scene_tokens + amount.question + amount.tokens;
    let mut cache = network.decoder.read_scenes(scene, &[scene_tokens], capacity);
    text::next(&network.decoder, &ids, &mut cache, device);
    let read_ms = start.elapsed().as_secs_f64() * 1e3;
    let (next_first_token_ms, decode_ms) =
        text::ask_again(&network.decoder, &mut cache, scene_tokens, &ids, amount.tokens, device);

    let d = &config.decoder;
    let length = scene_tokens + amount.question;
    let mut decoder = part_of("decoder", &placed, &["decoder.", "projections.place", "projections.kind"]);
    let layers = d.num_hidden_layers as u64;
    let head = work::matrices(&placed, "decoder.lm_head", 1);
    let one_token = work::matrices(&placed, "decoder.model.", 1);
    decoder.flops = one_token * length as u64 + head + layers * work::attention(length, length, d.query_width());
    decoder.ms = read_ms;
    parts.push(decoder);
    let multiplied: u64 =
        placed.iter().filter(|p| p.multiplied && p.name.starts_with("decoder.")).map(|p| p.bytes).sum();
    let cached = 2 * layers * (d.key_width() * length) as u64 * if placement.packed { 4 } else { 2 };
    let report = ModelReport {
        parts,
        scene_tokens,
        question_tokens: amount.question,
        first_token_ms: 0.0,
        next_first_token_ms,
        decode_ms,
        tokens_per_s: 0.0,
        decode_bytes: multiplied + cached,
        decode_flops: one_token + head + layers * work::attention(1, length, d.query_width()),
    };
    Ok(report.summed())
}

fn patches_of<C>(encoder: &ViewEncoder<C>, patch: usize) -> usize {
    encoder.image_height / patch * (encoder.image_width / patch)
}

/// Parameters and bytes of everything whose name begins with one of `prefixes`.
fn part_of(part: &'static str, placed: &[Placed], prefixes: &[&str]) -> PartReport {
    let own = || placed.iter().filter(|p| prefixes.iter().any(|prefix| p.name.starts_with(prefix)));
    PartReport {
        part,
        parameters: own().map(|p| p.parameters).sum(),
        bytes: own().map(|p| p.bytes).sum(),
        flops: 0,
        ms: 0.0,
        share: 0.0,
    }
}

/// About `points` voxels of an empty room of 6 by 5 by 2.5 metres: surfaces, as a map has them.
fn room(points: usize) -> PtV3Input {
    const METRES: [f64; 3] = [6.0, 5.0, 2.5];
    let [x, y, z] = METRES;
    let area = 2.0 * (x * y + x * z + y * z);
    let voxel = (area / points.max(1) as f64).sqrt();
    let cells = METRES.map(|side| ((side / voxel) as u32).max(1));
    let mut voxels = Vec::new();
    for i in 0..=cells[0] {
        for j in 0..=cells[1] {
            for k in 0..=cells[2] {
                if [(i, cells[0]), (j, cells[1]), (k, cells[2])].iter().any(|(c, last)| *c == 0 || c == last) {
                    voxels.push([i, j, k]);
                }
            }
        }
    }
    let positions = voxels.iter().map(|v| v.map(|c| (f64::from(c) * voxel) as f32)).collect();
    PtV3Input::new(voxels, positions).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_about_the_points_that_were_asked_for() {
        for points in [1, 1000, 30_000] {
            let count = room(points).len();
            assert!((points / 2..=2 * points + 8).contains(&count), "{count} of {points}");
        }
    }
}
