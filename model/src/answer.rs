//! A question's options, and its result: text, reasoning, chosen views, grounded boxes and where the time went.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use vantage_scene::{Aabb, Keyframe, OrientedBox, PointOfInterest, RgbdFrame, ViewScores};

use crate::error::ModelError;
use crate::map_views::MapView;

/// Longest question, characters; its tokens attend to each other, so that the cost grows with the square.
const MAX_QUESTION_CHARACTERS: usize = 2000;

/// Refuses a question without text, or one longer than any model reads.
///
/// # Errors
/// [`ModelError::EmptyQuestion`], [`ModelError::QuestionTooLong`].
pub fn check_question(question: &str) -> Result<(), ModelError> {
    if question.trim().is_empty() {
        return Err(ModelError::EmptyQuestion);
    }
    let characters = question.chars().count();
    if characters > MAX_QUESTION_CHARACTERS {
        return Err(ModelError::QuestionTooLong { characters, limit: MAX_QUESTION_CHARACTERS });
    }
    Ok(())
}

/// How the views given to the decoder are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ViewStrategy {
    /// The highest utilities U(v), and what they newly show of what the question is about.
    #[default]
    Utility,
    /// Evenly spaced in time, blind to the question, as all that follow.
    UniformInTime,
    /// Each as likely as any, by this seed.
    Random(u64),
    /// Evenly around the vertical, by where they look.
    Ring,
    /// Those that together see most of the scene.
    Coverage,
    /// All, in the order of time, whatever the number asked for.
    All,
    /// These keyframes, whatever the number asked for; unknown ones are left out.
    Given(Vec<u32>),
}

impl ViewStrategy {
    /// Names of the strategies that can be asked for by name; `random` is by seed 0.
    pub const NAMES: [&str; 6] = ["utility", "uniform", "random", "ring", "coverage", "all"];
}

impl FromStr for ViewStrategy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "utility" => Ok(Self::Utility),
            "uniform" => Ok(Self::UniformInTime),
            "random" => Ok(Self::Random(0)),
            "ring" => Ok(Self::Ring),
            "coverage" => Ok(Self::Coverage),
            "all" => Ok(Self::All),
            other => Err(format!("strategy `{other}`: it is one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// Which encoders' tokens the decoder reads of a scene. Boxes are found on the points in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoders {
    /// Those of the points.
    pub points: bool,
    /// Those of the views' pictures.
    pub image: bool,
    /// Those of the views' depths.
    pub depth: bool,
}

impl Default for Encoders {
    fn default() -> Self {
        Self { points: true, image: true, depth: true }
    }
}

impl fmt::Display for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [(self.points, "points"), (self.image, "image"), (self.depth, "depth")];
        f.write_str(&all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect::<Vec<_>>().join(","))
    }
}

/// Names between commas, at least one.
impl FromStr for Encoders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut out = Self { points: false, image: false, depth: false };
        for name in text.split(',').map(str::trim) {
            match name {
                "points" => out.points = true,
                "image" => out.image = true,
                "depth" => out.depth = true,
                other => return Err(format!("encoder `{other}`: give some of points, image and depth")),
            }
        }
        Ok(out)
    }
}

/// Options of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct AskOptions {
    /// Views given to the decoder. `None`: at most as many as the model was trained with, and with [`ViewStrategy::Utility`], beyond
    /// two, no more than newly show some of what the question is about; in mode `lift` [`DEFAULT_VIEWS`](crate::lift::DEFAULT_VIEWS).
    pub max_views: Option<usize>,
    /// How long encoding and reading the views may take, by what a view took last; fewer are chosen where more would take longer,
    /// never fewer than one. Before the first answer what encoding a keyframe took counts. Mode `lift`, [`ViewStrategy::All`] and
    /// [`ViewStrategy::Given`] do without it.
    pub view_budget: Option<Duration>,
    /// Most tokens to generate; in `lift` of each view.
    pub max_tokens: usize,
    /// No token is begun after this; what was written until then is the answer, as when the tokens are spent.
    pub deadline: Option<Instant>,
    /// Keep the text in the output grammar: of the tokens that may follow, the likeliest is taken.
    pub guided: bool,
    /// How views are chosen.
    pub strategy: ViewStrategy,
    /// Choose among views of the map too, rendered from above, from its upper corners and from around what the question is about.
    /// They cost time with every question; mode `lift`, and strategies that are blind to the question, do without them.
    pub map_views: bool,
    /// What the decoder reads; for ablations. Mode `lift` does without it.
    pub encoders: Encoders,
    /// 0 takes the likeliest token each time.
    pub temperature: f32,
    /// Seed of the sampling, used above temperature 0.
    pub seed: u64,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self {
            max_views: None,
            view_budget: None,
            max_tokens: 320,
            deadline: None,
            guided: true,
            strategy: ViewStrategy::Utility,
            map_views: false,
            encoders: Encoders::default(),
            temperature: 0.0,
            seed: 0,
        }
    }
}

/// The answer to one question.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The question as asked.
    pub question: String,
    /// The answer's text, boxes removed; the raw text when it left the grammar.
    pub answer: String,
    /// The reasoning's text, boxes removed; empty when the text left the grammar.
    pub reasoning: String,
    /// Everything the decoder wrote.
    pub raw: String,
    /// Whether `raw` is in the output grammar.
    pub grammar_valid: bool,
    /// The chosen views, best first.
    pub views: Vec<SelectedView>,
    /// All views that could have been chosen, in the order of time; empty in mode `lift`.
    pub candidates: Vec<SelectedView>,
    /// The views of the map among these; empty unless asked for.
    pub map_views: Vec<MapView>,
    /// How likely the scene shows what the question is about: the likeliest of its points, 0 to 1. `None` in mode `lift`.
    pub confidence: Option<f32>,
    /// The points that are likelier what the question is about than not, by this likelihood; empty in mode `lift`.
    pub interest: Vec<PointOfInterest>,
    /// Boxes of the answer, in the world frame.
    pub boxes: Vec<Grounding>,
    /// The bounds that text boxes are normalised by.
    pub bounds: Aabb,
    /// Where the time went.
    pub latency: Latency,
}

/// Which view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViewId {
    /// What a camera saw, by the keyframe's id.
    Keyframe(u32),
    /// What the map shows, by the place among the answer's `map_views`.
    Map(usize),
}

impl ViewId {
    /// The keyframe's id; `None` for a view of the map.
    pub fn keyframe(self) -> Option<u32> {
        match self {
            Self::Keyframe(id) => Some(id),
            Self::Map(_) => None,
        }
    }

    /// What this view saw; `None` where it is among neither.
    pub fn frame<'a>(self, keyframes: &'a [Keyframe], map_views: &'a [MapView]) -> Option<&'a RgbdFrame> {
        match self {
            Self::Keyframe(id) => keyframes.iter().find(|k| k.id == id).map(|k| &k.frame),
            Self::Map(place) => map_views.get(place).map(|view| &view.frame),
        }
    }

    /// Its name for people, such as `keyframe 4` or `map corner 1`.
    pub fn name(self, map_views: &[MapView]) -> String {
        match self {
            Self::Keyframe(id) => format!("keyframe {id}"),
            Self::Map(place) => {
                map_views.get(place).map_or_else(|| "map".to_owned(), |view| format!("map {}", view.place))
            }
        }
    }
}

/// The views for a question, without its answer.
#[derive(Debug, Clone, Default)]
pub struct ViewChoice {
    /// As of [`Answer::views`].
    pub chosen: Vec<SelectedView>,
    /// As of [`Answer::candidates`].
    pub candidates: Vec<SelectedView>,
    /// As of [`Answer::map_views`].
    pub map_views: Vec<MapView>,
}

/// One view, chosen or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectedView {
    /// Which.
    pub view: ViewId,
    /// Its scores.
    pub scores: ViewScores,
    /// What it added to the views chosen before it; of a candidate what it would add as the first.
    pub gain: f32,
    /// Share of what the question is about that it newly shows, 0 to 1, likewise.
    pub new: f32,
}

impl SelectedView {
    /// A keyframe that was chosen for its `scores` alone.
    pub fn keyframe(id: u32, scores: ViewScores) -> Self {
        Self { view: ViewId::Keyframe(id), scores, gain: 0.0, new: 0.0 }
    }
}

/// One grounded box.
#[derive(Debug, Clone, PartialEq)]
pub struct Grounding {
    /// Stable object id: the same object keeps it from question to question on one scene.
    pub id: String,
    /// The phrase the box was given for.
    pub label: String,
    /// World frame, metres.
    pub bbox: OrientedBox,
    /// Expected overlap with the true box, 0 to 1.
    pub score: f32,
}

/// Milliseconds since the question came in, except `encode_ms`, which is the encoders' own share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// View selection, the text encoding included.
    pub select_ms: f64,
    /// Encoding the scene and the chosen views; near zero when cached.
    pub encode_ms: f64,
    /// Until the first token.
    pub first_token_ms: f64,
    /// Until the answer.
    pub total_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_told_by_name() {
        assert!(ViewStrategy::NAMES.iter().all(|name| name.parse::<ViewStrategy>().is_ok()));
        assert!("best".parse::<ViewStrategy>().unwrap_err().contains("coverage"));
    }

    #[test]
    fn encoders_are_read_as_they_are_written() {
        for text in ["points", "image,depth", "points,image,depth"] {
            assert_eq!(text.parse::<Encoders>().unwrap().to_string(), text);
        }
        assert_eq!("depth, points".parse(), Ok(Encoders { points: true, image: false, depth: true }));
        assert!("".parse::<Encoders>().is_err() && "points,sound".parse::<Encoders>().unwrap_err().contains("sound"));
    }
}
