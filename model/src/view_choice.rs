//! A question's embeddings and a scene's candidates in; all candidates' scores and the chosen ones out.

use burn::tensor::Device;
use burn::tensor::activation::sigmoid;
use nalgebra::Isometry3;
use vantage_scene::{
    Aabb, Diversity, Goal, Pick, PointViews, QueryEmbeddings, RgbdFrame, Shown, Stop, UtilityWeights, ViewEmbeddings,
    ViewTable, VisibleSets, gains_alone, patch_pixels, select_by_coverage, select_greedy, select_random, select_ring,
    select_uniform, things,
};

use crate::answer::{AskOptions, SelectedView, ViewId, ViewStrategy};
use crate::network::{Network, TextEmbeddings};
use crate::pointing::rows;
use crate::points::{PointFeatures, PointSample};
use crate::relevance::{RelevancePoints, points_given};

/// Where no number is asked for, the choice ends before a view that newly shows, or shows better, less than this share of what the
/// question is about.
const LEAST_NEW_SHARE: f32 = 0.05;

/// As many views are chosen in any case: a decoder that was trained with several finds fewer boxes with one, whichever it is
/// (nano at room seed 31: 76% of single boxes with one, 87% with two to six).
const LEAST_VIEWS: usize = 2;

/// What is less likely than this to be what a question is about counts for nothing.
pub const LEAST_PROBABILITY: f32 = 0.2;

/// A point is likely what a question is about above this.
pub(crate) const LIKELY: f32 = 0.5;

/// What a point counts that is with `probability` what a question is about, up to 1; not above 0 below [`LEAST_PROBABILITY`].
fn relevance_of(probability: f32) -> f32 {
    (probability - LEAST_PROBABILITY) / (1.0 - LEAST_PROBABILITY)
}

/// The sampled points of a scene, ready to be asked about.
pub(crate) struct AskedPoints {
    /// As questions look at them; none where there is none.
    points: Option<RelevancePoints>,
    bounds: Aabb,
    /// Where these are, metres.
    positions: Vec<[f32; 3]>,
    /// Unit length, or zero where unknown.
    normals: Vec<[f32; 3]>,
    /// The thing that each is of.
    things: Vec<u32>,
}

impl AskedPoints {
    pub(crate) fn new(
        network: &Network,
        features: &PointFeatures,
        sample: &PointSample,
        bounds: &Aabb,
        device: &Device,
    ) -> Self {
        let any = !sample.positions.is_empty();
        Self {
            points: any.then(|| network.relevance.points(features, sample, bounds, device)),
            bounds: *bounds,
            positions: sample.positions.clone(),
            normals: sample.normals(),
            things: things(&sample.positions, &network.point_kinds(features)),
        }
    }

    /// How likely each point is what the one question is about, 0 to 1; `text` as `question` embeds it.
    pub(crate) fn probabilities(
        &self,
        network: &Network,
        text: &str,
        question: &TextEmbeddings,
        device: &Device,
    ) -> Vec<f32> {
        let Some(points) = &self.points else { return Vec::new() };
        let given = points_given(text, &self.bounds, &self.positions);
        sigmoid(network.relevance.forward(&question.states, points, &[given], device))
            .into_data()
            .iter::<f32>()
            .collect()
    }
}

/// A view that can be chosen.
pub(crate) struct Candidate<'a> {
    pub(crate) id: ViewId,
    pub(crate) frame: &'a RgbdFrame,
    /// The points that it sees.
    pub(crate) visible: Vec<u32>,
    pub(crate) embeddings: ViewEmbeddings,
}

/// Views of a scene, ready to be chosen from.
pub(crate) struct Candidates {
    ids: Vec<ViewId>,
    poses: Vec<Isometry3<f64>>,
    table: ViewTable,
    /// The views that see each point.
    point_views: PointViews,
    weights: UtilityWeights,
    diversity: Diversity,
    /// For each sampled point, the views that see it.
    seen_by: Vec<u32>,
}

/// How many views are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Where no number is asked for.
    pub(crate) default: usize,
    /// In any case.
    pub(crate) most: Option<usize>,
}

impl Candidates {
    pub(crate) fn new(network: &Network, points: &AskedPoints, views: Vec<Candidate<'_>>) -> Self {
        let count = points.positions.len();
        let origins: Vec<[f32; 3]> = views.iter().map(|v| v.frame.optical_center()).collect();
        let (ids, poses) = views.iter().map(|v| (v.id, v.frame.world_from_camera)).unzip();
        let (visible, embeddings): (Vec<Vec<u32>>, Vec<ViewEmbeddings>) =
            views.into_iter().map(|v| (v.visible, v.embeddings)).unzip();
        let mut sets = VisibleSets::new(count);
        visible.iter().for_each(|list| sets.push(list));
        let pixels = patch_pixels(&visible, &origins, &points.positions, &points.normals);
        let mut seen_by = vec![0u32; count];
        for &point in visible.iter().flatten() {
            if let Some(count) = seen_by.get_mut(point as usize) {
                *count += 1;
            }
        }
        let (weights, diversity) = network.view_head.values();
        Self {
            ids,
            poses,
            table: ViewTable::new(&embeddings, sets),
            point_views: PointViews::new(count, &visible, &pixels),
            weights,
            diversity,
            seen_by,
        }
    }

    /// Scores all candidates against the one question and chooses as `options` say; `probabilities` as [`AskedPoints`] gives them.
    /// The chosen views, best first, and all, in their order.
    pub(crate) fn choose(
        &self,
        points: &AskedPoints,
        probabilities: &[f32],
        question: &TextEmbeddings,
        options: &AskOptions,
        limits: Limits,
    ) -> [Vec<SelectedView>; 2] {
        let values: Vec<f32> = probabilities.iter().map(|p| relevance_of(*p)).collect();
        let shown = Shown::new(&values, &points.things, &self.point_views);
        let (text, clip_text) = (rows(question.text.clone()).concat(), rows(question.clip_text.clone()).concat());
        let query = QueryEmbeddings { text: &text, clip_text: &clip_text };
        let scores = self.table.scores(&query, &self.weights);
        let utilities: Vec<f32> = scores.iter().map(|s| s.utility).collect();
        let all = scores.len();
        let count = options.max_views.unwrap_or(limits.default).min(limits.most.unwrap_or(usize::MAX)).min(all);
        let min_new = if options.max_views.is_some() { 0.0 } else { LEAST_NEW_SHARE };
        let sets = self.table.sets();
        let alone = gains_alone(&utilities, sets, Goal::Things(&shown), &self.diversity);
        let picked = |views: Vec<usize>| views.into_iter().map(|view| alone[view]).collect();
        let chosen: Vec<Pick> = match &options.strategy {
            ViewStrategy::Utility => {
                let stop = Stop { max_views: count, min_new, min_views: LEAST_VIEWS };
                select_greedy(&utilities, sets, Goal::Things(&shown), &self.diversity, &stop)
            }
            ViewStrategy::Coverage => picked(select_by_coverage(sets, count)),
            strategy => {
                let keyframes: Vec<u32> = self.ids.iter().filter_map(|id| id.keyframe()).collect();
                picked(without_scores(strategy, &keyframes, &self.poses, count))
            }
        };
        [chosen, alone].map(|picks| {
            let selected = |pick: &Pick| SelectedView {
                view: self.ids[pick.view],
                scores: scores[pick.view],
                gain: pick.gain,
                new: pick.new,
            };
            picks.iter().map(selected).collect()
        })
    }

    /// Views that see a point.
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
