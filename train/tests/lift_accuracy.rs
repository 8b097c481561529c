//! Rooms whose every box is known, true rectangles in their keyframes, also ones drawn badly: how well they are lifted to 3D.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use nalgebra::Point3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vantage_model::lift::{LiftReasoner, ViewReader};
use vantage_model::{AskOptions, ModelError};
use vantage_scene::{ColorImage, RgbdFrame, Scene, SceneConfig, TsdfConfig};
use vantage_train::rooms::{RecordConfig, Room, RoomConfig, generate, object_at, record};

const VOXEL_M: f32 = 0.02;
const SEEDS: std::ops::Range<u64> = 300..306;
/// A reading is an object's within this, metres; the noise of the depth camera stays below it up to some metres.
const OWN_M: f64 = 0.03;
/// A picture (320 x 240) shows an object from so many pixels on; it shows enough of it when these are off the picture's edge.
const MIN_PIXELS: usize = 150;

/// For each object the pixels that show it and the rectangle around them: x1, y1, x2, y2.
fn rectangles(room: &Room, frame: &RgbdFrame) -> Vec<Option<[f64; 4]>> {
    let mut found = vec![(0usize, [f64::INFINITY, f64::INFINITY, 0.0, 0.0]); room.objects.len()];
    let width = frame.depth.width as usize;
    for (i, z) in frame.depth.data.iter().enumerate().filter(|(_, z)| **z > 0.0) {
        let (u, v) = ((i % width) as f64, (i / width) as f64);
        let p = frame.world_from_camera * Point3::from(frame.camera.ray(u, v) * f64::from(*z));
        let shell = (0..3).map(|k| p[k].abs().min((room.size[k] - p[k]).abs())).fold(f64::INFINITY, f64::min);
        if shell < OWN_M {
            continue;
        }
        if let Some(k) = object_at(room, p.coords.cast::<f32>().into(), OWN_M) {
            let (count, r) = &mut found[k];
            *count += 1;
            *r = [r[0].min(u), r[1].min(v), r[2].max(u + 1.0), r[3].max(v + 1.0)];
        }
    }
    found.into_iter().map(|(count, r)| (count >= MIN_PIXELS).then_some(r)).collect()
}

/// A model that knows where things are in each picture, and draws each side off by up to `jitter` of the rectangle.
struct Scripted {
    views: Vec<(Arc<ColorImage>, Vec<Option<[f64; 4]>>)>,
    jitter: f64,
    rng: ChaCha8Rng,
}

impl ViewReader for Scripted {
    fn read(
        &mut self,
        images: &[&ColorImage],
        _prompt: &str,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<String, ModelError> {
        let known = self.views.iter().find(|(image, _)| image.as_ref() == images[0]);
        let mut items = Vec::new();
        for (k, r) in known.iter().flat_map(|view| view.1.iter().enumerate()) {
            let Some(r) = r else { continue };
            let side = [r[2] - r[0], r[3] - r[1]];
            let drawn: [f64; 4] =
                std::array::from_fn(|i| 2.0 * (r[i] + self.jitter * side[i % 2] * self.rng.random_range(-1.0..=1.0)));
            items.push(format!("{{\"bbox_2d\": {drawn:?}, \"label\": \"thing{k}x\"}}"));
        }
        let text = format!("```json\n[{}]\n```\nAnswer: here.", items.join(",\n"));
        on_text(&text);
        Ok(text)
    }

    fn seen_size(&self, width: u32, height: u32) -> (u32, u32) {
        (2 * width, 2 * height)
    }
}

/// Overlaps of all objects that the chosen views show enough of: no box counts as 0.
fn overlaps(room: &Room, scene: &Scene, views: usize, jitter: f64) -> Vec<f64> {
    let known: Vec<_> =
        scene.keyframes().iter().map(|k| (Arc::clone(&k.frame.color), rectangles(room, &k.frame))).collect();
    let rng = ChaCha8Rng::seed_from_u64(room.seed);
    let mut reasoner = LiftReasoner::new(Box::new(Scripted { views: known.clone(), jitter, rng }));
    let options = AskOptions { max_views: Some(views), ..AskOptions::default() };
    let answer = reasoner.ask(scene, "what is here?", &options, &mut |_| {}).unwrap();
    let shown = |k: &usize| {
        answer.views.iter().any(|view| {
            let at = scene.keyframes().iter().position(|key| key.id == view.keyframe).unwrap();
            let size = [scene.keyframes()[at].frame.depth.width, scene.keyframes()[at].frame.depth.height];
            let off_edge = |r: [f64; 4]| (0..2).all(|i| r[i] >= 2.0 && r[i + 2] <= f64::from(size[i]) - 2.0);
            known[at].1[*k].is_some_and(off_edge)
        })
    };
    let best = |k: usize| {
        let named = answer.boxes.iter().filter(|b| b.label == format!("thing{k}x"));
        named.map(|b| b.bbox.iou(&room.objects[k].bbox)).fold(0.0, f64::max)
    };
    (0..room.objects.len()).filter(shown).map(best).collect()
}

#[test]
fn rectangles_are_lifted_to_boxes() {
    let tsdf = TsdfConfig { voxel_size_m: VOXEL_M, truncation_m: 4.0 * VOXEL_M, ..TsdfConfig::default() };
    let walk = RecordConfig { width: 320, height: 240, frames: 72, ..RecordConfig::default() };
    let scenes: Vec<(Room, Scene)> = SEEDS
        .map(|seed| {
            let room = generate(seed, &RoomConfig::default());
            let mut scene = Scene::new(SceneConfig { tsdf, ..SceneConfig::default() }).unwrap();
            for frame in &record(&room, &walk).frames {
                scene.fuse(frame).unwrap();
            }
            (room, scene)
        })
        .collect();
    for jitter in [0.0, 0.1] {
        for views in [1, 2, 4] {
            let mut all: Vec<f64> =
                scenes.iter().flat_map(|(room, scene)| overlaps(room, scene, views, jitter)).collect();
            all.sort_by(f64::total_cmp);
            let share = |least: f64| all.iter().filter(|iou| **iou >= least).count() as f64 / all.len() as f64;
            let (median, quarter, half) = (all[all.len() / 2], share(0.25), share(0.5));
            eprintln!(
                "{views} views, off by {jitter}: {} objects, median {median:.3}, >= 0.25: {quarter:.3}, >= 0.5: {half:.3}",
                all.len()
            );
            let least = if jitter > 0.0 { 0.4 } else { 0.5 };
            assert!(all.len() >= 20 && median >= least && quarter >= 0.6, "median {median}, {quarter} overlap at all");
        }
    }
}
