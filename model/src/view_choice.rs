//! A question's embeddings and a scene's candidates in; all candidates' scores and the chosen ones out.

use burn::tensor::Device;
use burn::tensor::activation::sigmoid;
use nalgebra::Isometry3;
use vantage_scene::{
    Aabb, Diversity, Goal, Keyframe, Pick, PointViews, QueryEmbeddings, Shown, Stop, UtilityWeights, ViewEmbeddings,
    ViewTable, VisibleSets, gains_alone, patch_pixels, select_by_coverage, select_greedy, select_random, select_ring,
    select_uniform, things,
};

use crate::answer::{AskOptions, SelectedView, ViewStrategy};
use crate::network::{Network, TextEmbeddings};
use crate::pointing::rows;
use crate::points::{PointFeatures, PointSample};
use crate::relevance::{RelevancePoints, points_given};

/// Where no number is asked for, the choice ends before a view that newly shows, or shows better, less than this share of what the
/// question is about.
const LEAST_NEW_SHARE: f32 = 0.05;

/// What is less likely than this to be what a question is about counts for nothing.
pub const LEAST_PROBABILITY: f32 = 0.2;

/// What a point counts that is with `probability` what a question is about, up to 1; not above 0 below [`LEAST_PROBABILITY`].
fn relevance_of(probability: f32) -> f32 {
    (probability - LEAST_PROBABILITY) / (1.0 - LEAST_PROBABILITY)
}

/// The keyframes of a scene, ready to be chosen from.
pub(crate) struct Candidates {
    keyframes: Vec<u32>,
    poses: Vec<Isometry3<f64>>,
    table: ViewTable,
    /// The sampled points as questions look at them; none where there is none.
    points: Option<RelevancePoints>,
    bounds: Aabb,
    /// Where these are, metres.
    positions: Vec<[f32; 3]>,
    /// The thing that each point is of.
    things: Vec<u32>,
    /// The keyframes that see each point.
    point_views: PointViews,
    weights: UtilityWeights,
    diversity: Diversity,
    /// For each sampled point, the keyframes that see it.
    seen_by: Vec<u32>,
    /// Most views where no number is asked for.
    default_views: usize,
}

/// What was chosen, and how all candidates did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    /// Best first.
    pub(crate) chosen: Vec<SelectedView>,
    /// All, in the order of time.
    pub(crate) candidates: Vec<SelectedView>,
    /// How likely each sampled point is what the question is about, 0 to 1.
    pub(crate) probabilities: Vec<f32>,
}

impl Candidates {
    /// `views`: each keyframe with its embeddings, and the points of `sample` that it sees.
    pub(crate) fn new(
        network: &Network,
        features: &PointFeatures,
        sample: &PointSample,
        bounds: &Aabb,
        keyframes: &[Keyframe],
        views: &[ViewEmbeddings],
        visible: &[Vec<u32>],
        default_views: usize,
        device: &Device,
    ) -> Self {
        let points = features.fine.dims()[0];
        let origins: Vec<[f32; 3]> = keyframes.iter().map(|k| k.frame.optical_center()).collect();
        let mut sets = VisibleSets::new(points);
        visible.iter().for_each(|list| sets.push(list));
        let pixels = patch_pixels(visible, &origins, &sample.positions, &sample.normals());
        let mut seen_by = vec![0u32; points];
        for &point in visible.iter().flatten() {
            if let Some(count) = seen_by.get_mut(point as usize) {
                *count += 1;
            }
        }
        let (weights, diversity) = network.view_head.values();
        Self {
            keyframes: keyframes.iter().map(|k| k.id).collect(),
            poses: keyframes.iter().map(|k| k.frame.world_from_camera).collect(),
            table: ViewTable::new(views, sets),
            points: (points > 0).then(|| network.relevance.points(features, sample, bounds, device)),
            bounds: *bounds,
            positions: sample.positions.clone(),
            things: things(&sample.positions, &network.point_kinds(features)),
            point_views: PointViews::new(points, visible, &pixels),
            weights,
            diversity,
            seen_by,
            default_views,
        }
    }

    /// Scores all candidates against the one question, `text` as `question` embeds it, and chooses as `options` say, but no more
    /// than `most`.
    pub(crate) fn choose(
        &self,
        network: &Network,
        text: &str,
        question: &TextEmbeddings,
        options: &AskOptions,
        most: Option<usize>,
        device: &Device,
    ) -> Choice {
        let given = points_given(text, &self.bounds, &self.positions);
        let probabilities = self.probabilities(network, question, given, device);
        let values: Vec<f32> = probabilities.iter().map(|p| relevance_of(*p)).collect();
        let shown = Shown::new(&values, &self.things, &self.point_views);
        let (text, clip_text) = (rows(question.text.clone()).concat(), rows(question.clip_text.clone()).concat());
        let query = QueryEmbeddings { text: &text, clip_text: &clip_text };
        let scores = self.table.scores(&query, &self.weights);
        let utilities: Vec<f32> = scores.iter().map(|s| s.utility).collect();
        let all = scores.len();
        let count = options.max_views.unwrap_or(self.default_views).min(most.unwrap_or(usize::MAX)).min(all);
        let min_new = if options.max_views.is_some() { 0.0 } else { LEAST_NEW_SHARE };
        let sets = self.table.sets();
        let alone = gains_alone(&utilities, sets, Goal::Things(&shown), &self.diversity);
        let picked = |views: Vec<usize>| views.into_iter().map(|view| alone[view]).collect();
        let chosen: Vec<Pick> = match &options.strategy {
            ViewStrategy::Utility => {
                let stop = Stop { max_views: count, min_new };
                select_greedy(&utilities, sets, Goal::Things(&shown), &self.diversity, &stop)
            }
            ViewStrategy::Coverage => picked(select_by_coverage(sets, count)),
            strategy => picked(without_scores(strategy, &self.keyframes, &self.poses, count)),
        };
        let selected = |pick: &Pick| SelectedView {
            keyframe: self.keyframes[pick.view],
            scores: scores[pick.view],
            gain: pick.gain,
            new: pick.new,
        };
        Choice {
            chosen: chosen.iter().map(selected).collect(),
            candidates: alone.iter().map(selected).collect(),
            probabilities,
        }
    }

    /// How likely each point is what the question is about.
    fn probabilities(
        &self,
        network: &Network,
        question: &TextEmbeddings,
        given: Vec<Vec<u32>>,
        device: &Device,
    ) -> Vec<f32> {
        let Some(points) = &self.points else { return Vec::new() };
        sigmoid(network.relevance.forward(&question.states, points, &[given], device))
            .into_data()
            .iter::<f32>()
            .collect()
    }

    /// Keyframes that see a point.
    pub(crate) fn seen_by(&self, point: usize) -> u32 {
        self.seen_by.get(point).copied().unwrap_or(0)
    }
}

/// What a strategy that needs nothing but the keyframes' ids and poses chooses, by index; of the others the evenly spaced.
pub(crate) fn without_scores(
    strategy: &ViewStrategy,
    keyframes: &[u32],
    poses: &[Isometry3<f64>],
    count: usize,
) -> Vec<usize> {
    let all = keyframes.len();
    match strategy {
        ViewStrategy::Random(seed) => select_random(all, count, *seed),
        ViewStrategy::Ring => select_ring(poses, count),
        ViewStrategy::All => (0..all).collect(),
        ViewStrategy::Given(ids) => ids.iter().filter_map(|id| keyframes.iter().position(|k| k == id)).collect(),
        ViewStrategy::Utility | ViewStrategy::Coverage | ViewStrategy::UniformInTime => select_uniform(all, count),
    }
}
