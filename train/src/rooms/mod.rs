//! Procedural furnished rooms by seed: geometry with exact boxes, a depth camera that walks through, questions with answers.

mod camera;
mod catalog;
pub mod export;
mod layout;
mod placement;
mod questions;
mod record;
mod walk;
mod wording;

pub use catalog::{CLASS_NAMES, COLORS};
pub use layout::{Object, Part, PartShape, Room, RoomConfig, generate, object_at};
pub use questions::{Question, Span, questions};
pub use record::{RecordConfig, Recording, record};
