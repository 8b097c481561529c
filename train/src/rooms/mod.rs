//! Procedural furnished rooms by seed: geometry with exact boxes and a depth camera that walks through.

mod camera;
mod catalog;
mod config;
mod ellipse;
pub mod export;
mod flat;
mod layout;
mod placement;
mod record;
mod walk;

pub use catalog::{CLASS_NAMES, COLORS, ClassNames, class_names};
pub use config::{Difficulty, RoomConfig};
pub use flat::Region;
pub use layout::{Object, Part, PartShape, Room, generate, object_at};
pub use record::{RecordConfig, Recording, record};
