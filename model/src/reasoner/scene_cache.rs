//! A scene in; what is kept of it and of its views from question to question out.

use std::time::Instant;

use burn::tensor::Tensor;
use vantage_scene::{Aabb, Keyframe, PointOfInterest, RgbdFrame, Scene, ViewEmbeddings, shell_mask, visible_points};

use super::Reasoner;
use crate::answer::{Encoders, ViewId};
use crate::decoder::KvCache;
use crate::error::ModelError;
use crate::map_views::{MapView, around, overview};
use crate::network::SceneInput;
use crate::pointing::rows;
use crate::points::{PointFeatures, PointPlan, PointSample};
use crate::view_choice::{AskedPoints, Candidate, Candidates, LEAST_PROBABILITY, LIKELY};
use crate::view_input::ViewInput;

/// A keyframe sees a sampled point when its depth there agrees within this, metres.
pub const VISIBILITY_TOLERANCE_M: f32 = 0.12;

/// Views of the map are taken around the points that are at least this share as likely what a question is about as the likeliest.
const AROUND_SHARE: f32 = 0.5;

/// What is kept of a view; the image side never changes once stored.
#[derive(Clone)]
pub(super) struct CachedView {
    pub(super) stamp: i64,
    pub(super) input: ViewInput,
    pub(super) image: Vec<f32>,
    pub(super) clip_image: Vec<f32>,
}

/// What is kept of a scene until its map changes.
pub(super) struct SceneCache {
    pub(super) revision: u64,
    pub(super) bounds: Aabb,
    pub(super) sample: PointSample,
    pub(super) plan: PointPlan,
    pub(super) features: PointFeatures,
    /// What the decoder reads of the points.
    pub(super) point_tokens: Tensor<2>,
    pub(super) points: AskedPoints,
    pub(super) candidates: Candidates,
    /// The views of the whole map, where they were asked for.
    pub(super) overview: Option<Vec<(MapView, CachedView)>>,
    /// What the decoder read of the scene for the last question.
    pub(super) read: Option<ReadScene>,
}

impl SceneCache {
    /// The points that are likelier what a question is about than not.
    pub(super) fn interest(&self, probabilities: &[f32]) -> Vec<PointOfInterest> {
        let points = self.sample.positions.iter().zip(probabilities).enumerate();
        points
            .filter(|(_, (_, probability))| **probability > LIKELY)
            .map(|(i, (position, probability))| PointOfInterest {
                position: position.map(f64::from),
                weight: f64::from(*probability),
                seen: self.candidates.seen_by(i),
            })
            .collect()
    }
}

/// The scene's tokens as the decoder has read them. They do not depend on the question, only on which views are shown.
pub(super) struct ReadScene {
    /// The views, ascending.
    pub(super) views: Vec<ViewId>,
    /// Whose tokens were read.
    pub(super) encoders: Encoders,
    /// Keys and values: those of the scene, then those of the last question and its answer.
    pub(super) kv: KvCache,
    /// Tokens of the scene.
    pub(super) tokens: usize,
}

impl Reasoner {
    /// Brings the caches up to the scene's current map.
    pub(super) fn encode_scene(&mut self, scene: &Scene) -> Result<(), ModelError> {
        if self.scene.as_ref().is_some_and(|cache| cache.revision == scene.revision()) {
            return Ok(());
        }
        let bounds = scene.bounds().ok_or(ModelError::EmptyScene)?;
        let cloud = scene.surface();
        let shell = shell_mask(&cloud);
        let sample = PointSample::from_cloud(&cloud, &shell, &bounds, &self.config.point_sample);
        if sample.positions.is_empty() {
            return Err(ModelError::EmptyScene);
        }
        let (plan, features) = self.network.encode_points(&[&sample], &self.config, &self.device);
        self.encode_keyframes(scene.keyframes());
        let points = AskedPoints::new(&self.network, &features, &sample, &bounds, &self.device);
        let candidates = self.candidates(scene, &sample, &features, &points, &[]);
        let scene_input = SceneInput { points: &sample, bounds: &bounds, views: &[] };
        let point_tokens = self.network.point_tokens(&[scene_input], &plan, &features, &self.device);
        let revision = scene.revision();
        self.scene = Some(SceneCache {
            revision,
            bounds,
            sample,
            plan,
            features,
            point_tokens,
            points,
            candidates,
            overview: None,
            read: None,
        });
        Ok(())
    }

    /// The keyframes, then `map_views`, ready to be chosen from.
    pub(super) fn candidates(
        &self,
        scene: &Scene,
        sample: &PointSample,
        features: &PointFeatures,
        points: &AskedPoints,
        map_views: &[(MapView, CachedView)],
    ) -> Candidates {
        let keyframes =
            scene.keyframes().iter().filter_map(|k| Some((ViewId::Keyframe(k.id), &k.frame, self.views.get(&k.id)?)));
        let of_map = map_views.iter().enumerate().map(|(i, (view, cached))| (ViewId::Map(i), &view.frame, cached));
        let views: Vec<(ViewId, &RgbdFrame, &CachedView)> = keyframes.chain(of_map).collect();
        let visible: Vec<Vec<u32>> = views
            .iter()
            .map(|(_, frame, _)| visible_points(frame, &sample.positions, VISIBILITY_TOLERANCE_M))
            .collect();
        let point_rows = if visible.is_empty() {
            Vec::new()
        } else {
            rows(self.network.embed_view_points(features, &visible, &self.device))
        };
        let candidate = |(((id, frame, cached), visible), points): (((ViewId, _, &CachedView), _), _)| {
            let embeddings =
                ViewEmbeddings { image: cached.image.clone(), points, clip_image: cached.clip_image.clone() };
            Candidate { id, frame, visible, embeddings }
        };
        let candidates = views.into_iter().zip(visible).zip(point_rows).map(candidate).collect();
        Candidates::new(&self.network, points, candidates)
    }

    /// Embeds the keyframes of `scene` that are new and forgets those that are gone, so that a question need not: call it when a
    /// keyframe is stored.
    pub fn keep_up(&mut self, scene: &Scene) {
        self.encode_keyframes(scene.keyframes());
    }

    fn encode_keyframes(&mut self, keyframes: &[Keyframe]) {
        self.views.retain(|id, view| keyframes.iter().any(|k| k.id == *id && k.frame.stamp == view.stamp));
        for keyframe in keyframes {
            if !self.views.contains_key(&keyframe.id) {
                let start = Instant::now();
                self.views.insert(keyframe.id, self.encode_view(&keyframe.frame));
                self.view_time.get_or_insert_with(|| start.elapsed());
            }
        }
    }

    fn encode_view(&self, frame: &RgbdFrame) -> CachedView {
        let input = ViewInput::from_frame(frame, &self.config.image);
        let (features, _) = self.network.encode_views(&[&input], &self.config, &self.device);
        let (image, clip_image) = self.network.embed_images(&features);
        CachedView { stamp: frame.stamp, input, image: rows(image).concat(), clip_image: rows(clip_image).concat() }
    }

    /// Views of the whole map, kept with it, and of what is likely what a question is about.
    pub(super) fn map_views(
        &mut self,
        scene: &Scene,
        probabilities: &[f32],
    ) -> Result<Vec<(MapView, CachedView)>, ModelError> {
        let vision = &self.config.image;
        let Some(cache) = &self.scene else { return Err(ModelError::EmptyScene) };
        let least = probabilities.iter().fold(LEAST_PROBABILITY, |least, p| least.max(AROUND_SHARE * p));
        let likely = cache.sample.positions.iter().zip(probabilities).filter(|(_, p)| **p > least);
        let region = Aabb::containing(likely.map(|(position, _)| position.map(f64::from)));
        let whole = match &cache.overview {
            Some(whole) => whole.clone(),
            None => self.encoded(overview(scene, &cache.bounds, vision)?),
        };
        let mut views = whole.clone();
        if let Some(region) = region {
            views.extend(self.encoded(around(scene, &region, vision)?));
        }
        if let Some(cache) = &mut self.scene {
            cache.overview = Some(whole);
        }
        Ok(views)
    }

    fn encoded(&self, views: Vec<MapView>) -> Vec<(MapView, CachedView)> {
        views
            .into_iter()
            .map(|view| {
                let cached = self.encode_view(&view.frame);
                (view, cached)
            })
            .collect()
    }
}
