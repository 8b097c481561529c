//! The sizes of this project's own model and a scene's size in, the time of every part on this machine out.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use vantage_scene::Aabb;

use super::r1::SceneWork;
use super::report::{ModelReport, PartReport};
use super::{median, text, work};
use crate::answer::Encoders;
use crate::config::{ModelConfig, VisionConfig};
use crate::network::{Network, SceneInput};
use crate::points::{PointPlan, PointSample};
use crate::view_input::ViewInput;

/// Measures a network of random weights, part by part.
pub fn own(config: &ModelConfig, device: &Device, amount: &SceneWork) -> ModelReport {
    let network = Network::new(config, device);
    let c = config;
    let mut parts = Vec::new();
    let mut measured = |part, parameters: usize, flops, run: &dyn Fn()| {
        let mut times: Vec<f64> = (0..amount.runs.max(1))
            .map(|_| {
                let start = Instant::now();
                run();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let (parameters, ms) = (parameters as u64, median(&mut times));
        parts.push(PartReport { part, parameters, bytes: 4 * parameters, flops, ms, share: 0.0 });
    };
    let sample = plane(amount.points.min(c.point_sample.max_points), c.point_sample.grid_m);
    let plan = PointPlan::new(&[&sample], &c.points);
    // the plan belongs to the part: it is made anew for every scene
    measured("points", network.points.num_params(), work::point_encoder(&c.points, &plan), &|| {
        let (_, features) = network.encode_points(&[&sample], config, device);
        let _ = features.coarse.sum().into_data();
    });
    let view = view(&c.image);
    let views: Vec<&ViewInput> = vec![&view; amount.views];
    let pixels = |channels: usize, v: &VisionConfig| {
        Tensor::<4>::ones([amount.views, channels, v.image_height, v.image_width], device)
    };
    for (part, vit, v) in [("image", &network.image, &c.image), ("depth", &network.depth, &c.depth)] {
        let (across, down) = v.patches();
        let rows = amount.views * across * down;
        let (parameters, width) = (vit.num_params(), v.width);
        let attended = v.layers as u64 * work::attention(rows, across * down, width);
        let input = pixels(v.in_channels, v);
        measured(part, parameters, 2 * (parameters * rows) as u64 + attended, &|| {
            let _ = vit.forward(input.clone()).tokens.sum().into_data();
        });
    }
    let words = text::question(amount.question, c.decoder.vocab_size);
    // the table of words is read, not multiplied
    let tower = network.text_tower.num_params();
    let multiplied = tower.saturating_sub(c.decoder.vocab_size * c.text_tower.width);
    measured("text_tower", tower, 2 * (multiplied * amount.question) as u64, &|| {
        let _ = network.embed_texts(std::slice::from_ref(&words), device).text.sum().into_data();
    });

    let bounds = Aabb { min: [0.0; 3], max: [6.0, 5.0, 2.5] };
    let input = SceneInput { points: &sample, bounds: &bounds, views: &views };
    let (plan, points) = network.encode_points(&[&sample], config, device);
    let seen = (!views.is_empty()).then(|| network.encode_views(&views, config, device));
    let features = seen.as_ref().map(|(image, depth)| (image, depth));
    let (tokens, lengths) = network.scene_tokens(&[input], &plan, &points, features, Encoders::default(), device);
    let scene_tokens = tokens.dims()[1];
    let length = scene_tokens + amount.question;
    let d = &c.decoder;
    let parameters = network.decoder.num_params();
    // the tied table is multiplied once, for the head of the last token
    let one_token = 2 * (parameters - d.vocab_size * d.hidden_size) as u64;
    let head = 2 * (d.vocab_size * d.hidden_size) as u64;
    let layers = d.num_hidden_layers as u64;
    let flops = one_token * length as u64 + head + layers * work::attention(length, length, d.query_width());
    let read = || {
        let mut cache = network.read_scenes(tokens.clone(), &lengths, length + amount.tokens);
        text::next(&network.decoder, &words, &mut cache, device);
        cache
    };
    measured("decoder", parameters, flops, &|| drop(read()));
    let (next_first_token_ms, decode_ms) =
        text::ask_again(&network.decoder, &mut read(), scene_tokens, &words, amount.tokens, device);
    let cached = 2 * layers * (d.key_width() * length * 4) as u64;
    let report = ModelReport {
        parts,
        scene_tokens,
        question_tokens: amount.question,
        first_token_ms: 0.0,
        next_first_token_ms,
        decode_ms,
        tokens_per_s: 0.0,
        decode_bytes: 4 * parameters as u64 + cached,
        decode_flops: one_token + head + layers * work::attention(1, length, d.query_width()),
    };
    report.summed()
}

/// `points` on a floor, one a voxel.
pub(super) fn plane(points: usize, grid_m: f32) -> PointSample {
    let side = (points as f64).sqrt().ceil().max(1.0) as usize;
    let middle = |i: usize| (i as f32 + 0.5) * grid_m;
    PointSample {
        positions: (0..points.max(1)).map(|i| [middle(i % side), middle(i / side), middle(0)]).collect(),
        features: vec![[0.5; crate::points::INPUT_WIDTH]; points.max(1)],
        grid_m,
    }
}

fn view(config: &VisionConfig) -> ViewInput {
    let pixels = config.image_width * config.image_height;
    ViewInput {
        image: vec![0.5; 3 * pixels],
        depth: vec![0.5; 2 * pixels],
        token_positions: vec![[1.0; 3]; config.tokens()],
    }
}
