//! Results in, the lines of the `--json` contract out (DESIGN section 8).

use serde::Serialize;
use vantage_model::Answer;
use vantage_scene::{Aabb, FuseReport, NextBestView, RgbdFrame, Scene};

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// A fused frame.
    Frame {
        /// Nanoseconds.
        stamp: i64,
        /// Map blocks that it touched.
        blocks: usize,
        /// Keyframe id, when it became one.
        keyframe: Option<u32>,
    },
    /// The scene after the last frame.
    Scene {
        /// Surface points.
        points: usize,
        /// Observed voxels.
        voxels: usize,
        /// Keyframes kept.
        keyframes: usize,
        /// Frames fused.
        frames: u64,
        /// Bounds of the surface, null without one.
        bounds: Option<Aabb>,
    },
    /// An answer.
    Answer {
        /// The question.
        question: &'a str,
        /// The answer's text.
        answer: &'a str,
        /// The reasoning's text.
        reasoning: &'a str,
        /// Whether the model's text was in the grammar.
        grammar: bool,
        /// The chosen views.
        views: Vec<View>,
        /// The answer's boxes.
        boxes: Vec<Box<'a>>,
        /// How likely the scene shows what was asked about, 0 to 1; null in mode lift.
        confidence: Option<f32>,
        /// Where to look for it, where that is unlikely; null otherwise.
        suggested_view: Option<Suggestion>,
        /// Milliseconds.
        latency_ms: LatencyMs,
    },
    /// What is true, for questions whose answer is known.
    Truth {
        /// The question.
        question: &'a str,
        /// Accepted answers.
        answers: &'a [String],
        /// True boxes.
        boxes: Vec<TrueBox>,
        /// Overlap of the best given box with the first true one.
        iou: Option<f64>,
    },
}

/// A chosen view.
#[derive(Debug, Serialize)]
pub struct View {
    /// Keyframe id; null for a view of the map.
    pub keyframe: Option<u32>,
    /// Where the map was looked at from; left out for a keyframe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_view: Option<String>,
    /// U(v).
    pub utility: f32,
    /// S_text.
    pub text: f32,
    /// S_img.
    pub image: f32,
    /// S_clip.
    pub clip: f32,
    /// What it added to the views before it: the utility, and what it newly shows.
    pub gain: f32,
    /// Share of what the question is about that it newly shows.
    pub new: f32,
}

/// A pose to look from.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// On the floor, metres, in the world.
    pub position: [f64; 3],
    /// Heading about z, radians.
    pub yaw: f64,
    /// Share of what matters that would be seen from there.
    pub points_gain: f64,
    /// Share of a picture full of unknown floor.
    pub frontier_gain: f64,
    /// Length of the way, metres.
    pub way: f64,
}

/// A grounded box.
#[derive(Debug, Serialize)]
pub struct Box<'a> {
    /// Stable object id.
    pub id: &'a str,
    /// Phrase.
    pub label: &'a str,
    /// Centre, metres, world.
    pub center: [f64; 3],
    /// Full extents, metres.
    pub size: [f64; 3],
    /// Radians.
    pub yaw: f64,
    /// 0 to 1.
    pub score: f32,
}

/// A true box.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, serde::Deserialize)]
pub struct TrueBox {
    /// Centre, metres, world.
    pub center: [f64; 3],
    /// Full extents, metres.
    pub size: [f64; 3],
    /// Radians.
    pub yaw: f64,
}

/// Latencies; all null unless timing was asked for, so that equal replays print equal bytes.
#[derive(Debug, Serialize)]
pub struct LatencyMs {
    /// View selection.
    pub select: Option<f64>,
    /// Encoders.
    pub encode: Option<f64>,
    /// Until the first token.
    pub first_token: Option<f64>,
    /// Until the answer.
    pub total: Option<f64>,
}

impl<'a> Line<'a> {
    /// The line of a fused frame.
    pub fn frame(frame: &RgbdFrame, report: &FuseReport) -> Self {
        Self::Frame { stamp: frame.stamp, blocks: report.map.blocks_touched, keyframe: report.keyframe }
    }

    /// The line of a scene.
    pub fn scene(scene: &Scene) -> Self {
        Self::Scene {
            points: scene.surface().len(),
            voxels: scene.map().voxel_count(),
            keyframes: scene.keyframes().len(),
            frames: scene.frames_fused(),
            bounds: scene.bounds(),
        }
    }

    /// The line of an answer, with the pose to look from where it is not sure; `timing` fills the latencies in.
    pub fn answer(answer: &'a Answer, suggested: Option<&NextBestView>, timing: bool) -> Self {
        let ms = |x: f64| timing.then_some(x);
        let view = |v: &vantage_model::SelectedView| View {
            keyframe: v.view.keyframe(),
            map_view: v.view.keyframe().is_none().then(|| v.view.name(&answer.map_views)),
            utility: v.scores.utility,
            text: v.scores.text,
            image: v.scores.image,
            clip: v.scores.clip,
            gain: v.gain,
            new: v.new,
        };
        Self::Answer {
            question: &answer.question,
            answer: &answer.answer,
            reasoning: &answer.reasoning,
            grammar: answer.grammar_valid,
            views: answer.views.iter().map(view).collect(),
            boxes: answer
                .boxes
                .iter()
                .map(|b| Box {
                    id: &b.id,
                    label: &b.label,
                    center: b.bbox.center,
                    size: b.bbox.size,
                    yaw: b.bbox.yaw,
                    score: b.score,
                })
                .collect(),
            confidence: answer.confidence,
            suggested_view: suggested.map(|view| Suggestion {
                position: view.position,
                yaw: view.yaw,
                points_gain: view.points_gain,
                frontier_gain: view.frontier_gain,
                way: view.way_m,
            }),
            latency_ms: LatencyMs {
                select: ms(answer.latency.select_ms),
                encode: ms(answer.latency.encode_ms),
                first_token: ms(answer.latency.first_token_ms),
                total: ms(answer.latency.total_ms),
            },
        }
    }

    /// The line as JSON, without the line's end.
    ///
    /// # Errors
    /// When a number cannot be written.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}
