//! Procedural furnished rooms by seed: geometry with exact boxes, a depth camera that walks through, questions with answers.

mod camera;
mod catalog;
mod config;
mod ellipse;
pub mod export;
mod flat;
mod layout;
mod placement;
mod questions;
mod record;
mod walk;
mod wording;

pub use catalog::{CLASS_NAMES, COLORS, ClassNames, class_names};
pub use config::{Difficulty, RoomConfig};
pub use flat::Region;
pub use layout::{Object, Part, PartShape, Room, generate, object_at};
pub use questions::{Question, Span, questions};
pub use record::{RecordConfig, Recording, record};
