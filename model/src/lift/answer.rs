//! A scene, a question and a model that reads pictures in, an [`Answer`] with boxes in the world out.

use std::ops::ControlFlow;
use std::time::Instant;

use vantage_scene::{ColorImage, Keyframe, Scene, ViewScores};

use super::evidence::ViewEvidence;
use super::lifting::lift;
use super::merge::merge;
use super::parse::{Reading, parse};
use super::prompt::prompt;
use super::segments::MapSegments;
use super::views::by_coverage;
use super::wording;
use crate::answer::{Answer, AskOptions, Grounding, Latency, SelectedView, ViewChoice, ViewStrategy, check_question};
use crate::error::ModelError;
use crate::grounding::ObjectRegistry;
use crate::qwen::ReplyOptions;
use crate::view_choice::without_scores;

/// Views read where the question's options name no number.
pub const DEFAULT_VIEWS: usize = 4;

/// A vision-language model that looks at pictures and writes.
pub trait ViewReader {
    /// What the model writes to `prompt` about `images`, within the options' budget; `on_text` sees it as it comes, and stops
    /// it with `ControlFlow::Break`. While nothing is written yet it may be asked with an empty text.
    ///
    /// # Errors
    /// [`ModelError`] when the model cannot be run.
    fn read(
        &mut self,
        images: &[&ColorImage],
        prompt: &str,
        options: &ReplyOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<String, ModelError>;

    /// The size (width, height), pixels, to which the model resizes a picture of the given size; its rectangles are in
    /// pixels of that.
    ///
    /// # Errors
    /// [`ModelError`] when the model reads no picture of that size.
    fn seen_size(&self, width: u32, height: u32) -> Result<(u32, u32), ModelError>;
}

/// What was read off one view for the last answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LiftReport {
    /// Keyframe id.
    pub keyframe: u32,
    /// What the model said, with what was ignored and why.
    pub reading: Reading,
    /// Of its rectangles, those that frame nothing on the map but floor, ceiling or walls, by index.
    pub not_lifted: Vec<usize>,
}

/// Answers with a model that knows nothing of 3D.
pub struct LiftReasoner {
    reader: Box<dyn ViewReader + Send>,
    /// The map in pieces, by the scene's revision.
    segments: Option<(u64, MapSegments)>,
    registry: ObjectRegistry,
    report: Vec<LiftReport>,
}

impl LiftReasoner {
    /// Wraps a model.
    pub fn new(reader: Box<dyn ViewReader + Send>) -> Self {
        Self { reader, segments: None, registry: ObjectRegistry::default(), report: Vec::new() }
    }

    /// Forgets everything of the last scene, object ids included; call it when another scene begins.
    pub fn reset(&mut self) {
        self.segments = None;
        self.registry = ObjectRegistry::default();
        self.report.clear();
    }

    /// What was read off each view for the last answer, in the order of [`Answer::views`].
    pub fn report(&self) -> &[LiftReport] {
        &self.report
    }

    /// The views that [`Self::ask`] would read, in their order.
    ///
    /// # Errors
    /// [`ModelError::EmptyScene`], [`ModelError::EmptyQuestion`], [`ModelError::QuestionTooLong`].
    pub fn select_views(&self, scene: &Scene, question: &str, options: &AskOptions) -> Result<ViewChoice, ModelError> {
        check_question(question)?;
        if scene.keyframes().is_empty() {
            return Err(ModelError::EmptyScene);
        }
        let chosen = choose(scene.keyframes(), options).into_iter().map(selected).collect();
        Ok(ViewChoice { chosen, ..ViewChoice::default() })
    }

    /// Answers `question` about `scene`; `on_text` sees the model's text as it comes, view after view, and stops it with
    /// `ControlFlow::Break`: no further view is read then, nor after the deadline, and the answer is that of what was read. Of
    /// the options, the sampling does not count, it is the model's own. `grammar_valid` says that every view's text held a
    /// complete list.
    ///
    /// # Errors
    /// [`ModelError::EmptyScene`] when nothing was fused yet, [`ModelError::EmptyQuestion`],
    /// [`ModelError::QuestionTooLong`], and what the reader gives.
    pub fn ask(
        &mut self,
        scene: &Scene,
        question: &str,
        options: &AskOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Answer, ModelError> {
        check_question(question)?;
        let start = Instant::now();
        let bounds = scene.bounds().ok_or(ModelError::EmptyScene)?;
        let chosen = choose(scene.keyframes(), options);
        let select_ms = millis(start);
        let map = match self.segments.take() {
            Some((revision, map)) if revision == scene.revision() => map,
            _ => MapSegments::from_surface(&scene.surface(), scene.map().config().voxel_size_m),
        };
        let (_, map) = self.segments.insert((scene.revision(), map));
        let evidence: Vec<ViewEvidence> =
            chosen.iter().map(|(view, _)| ViewEvidence::new(&view.frame, map, Some(scene.map()))).collect();
        let encode_ms = millis(start) - select_ms;

        let mut first_token_ms = None;
        let reply =
            ReplyOptions { max_tokens: options.max_tokens, deadline: options.deadline, ..ReplyOptions::default() };
        let mut stopped = false;
        let (mut raw, mut lifted) = (String::new(), Vec::new());
        self.report.clear();
        for (i, ((view, _), seen_there)) in chosen.iter().zip(&evidence).enumerate() {
            if stopped || options.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            let color = view.frame.color.as_ref();
            let seen = self.reader.seen_size(color.width, color.height)?;
            let text = self.reader.read(&[color], &prompt(question, seen), &reply, &mut |piece| {
                if !piece.is_empty() {
                    first_token_ms.get_or_insert_with(|| millis(start));
                }
                let flow = on_text(piece);
                stopped |= flow.is_break();
                flow
            })?;
            if !raw.is_empty() {
                raw.push('\n');
            }
            raw.push_str(&text);
            let reading = parse(&text, &[seen]);
            // colour and depth show the same view, perhaps at other sizes
            let depth = &view.frame.depth;
            let scale = [depth.width as f32 / seen.0.max(1) as f32, depth.height as f32 / seen.1.max(1) as f32];
            let mut not_lifted = Vec::new();
            for (k, found) in reading.boxes.iter().enumerate() {
                match lift(map, seen_there, i, found.rect.scaled(scale), &found.label) {
                    Some(one) => lifted.push(one),
                    None => not_lifted.push(k),
                }
            }
            self.report.push(LiftReport { keyframe: view.id, reading, not_lifted });
        }
        let merged = merge(map, &evidence, lifted);
        let ids = self.registry.identify_all(&merged.iter().map(|one| one.bbox).collect::<Vec<_>>());
        let is_whole = |view: &LiftReport| view.reading.has_list && !view.reading.truncated;
        let boxes: Vec<Grounding> = merged
            .into_iter()
            .zip(ids)
            .map(|(one, id)| Grounding { id, label: one.label, bbox: one.bbox, score: one.score })
            .collect();
        let total_ms = millis(start);
        Ok(Answer {
            question: question.to_owned(),
            answer: wording::answer(&self.report, &boxes),
            reasoning: wording::reasoning(&self.report),
            raw,
            grammar_valid: !self.report.is_empty() && self.report.iter().all(is_whole),
            views: chosen.into_iter().take(self.report.len()).map(selected).collect(),
            candidates: Vec::new(),
            map_views: Vec::new(),
            confidence: None,
            interest: Vec::new(),
            boxes,
            bounds,
            latency: Latency { select_ms, encode_ms, first_token_ms: first_token_ms.unwrap_or(total_ms), total_ms },
        })
    }
}

fn selected((keyframe, scores): (&Keyframe, ViewScores)) -> SelectedView {
    SelectedView::keyframe(keyframe.id, scores)
}

/// The keyframes to read. The utility of one is the share of all seen cells that it adds; blind to the question, as there
/// is no shared space of text and views here.
fn choose<'a>(keyframes: &'a [Keyframe], options: &AskOptions) -> Vec<(&'a Keyframe, ViewScores)> {
    let count = options.max_views.unwrap_or(DEFAULT_VIEWS);
    let chosen = match &options.strategy {
        ViewStrategy::Utility | ViewStrategy::Coverage => {
            by_coverage(&keyframes.iter().map(Keyframe::visible_cells).collect::<Vec<_>>(), count)
        }
        strategy => {
            let (ids, poses): (Vec<_>, Vec<_>) = keyframes.iter().map(|k| (k.id, k.frame.world_from_camera)).unzip();
            without_scores(strategy, &ids, &poses, count).into_iter().map(|i| (i, 0.0)).collect()
        }
    };
    let scored = |(i, utility)| Some((keyframes.get(i)?, ViewScores { utility, ..ViewScores::default() }));
    chosen.into_iter().filter_map(scored).collect()
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
