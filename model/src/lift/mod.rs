//! A fused scene, a question and a plain 2D vision-language model in; an [`Answer`](crate::Answer) with 3D boxes out, without
//! any 3D training.
//!
//! Views are chosen by what they newly see, the model reports rectangles in each (the grounding format of Qwen2.5-VL, Bai et
//! al. 2025, arXiv 2502.13923), each rectangle is lifted onto the fused map, and views of one object are merged.

mod answer;
mod evidence;
mod items;
mod lifting;
mod merge;
mod on_wall;
mod parse;
mod pick;
mod prompt;
mod prose;
mod qwen;
mod region;
mod relaxed;
mod segments;
mod solid;
mod views;
mod wall;
mod wording;

pub use answer::{DEFAULT_VIEWS, LiftReasoner, LiftReport, ViewReader};
pub use parse::{Ignored, IgnoredReason, MAX_BOXES, ReadBox, Reading, parse};
pub use prompt::prompt;
pub use region::Rect;
pub use views::by_coverage;
