//! Procedural furnished rooms by seed: geometry with exact boxes and a depth camera that walks through.

mod camera;
mod catalog;
pub mod export;
mod layout;
mod placement;
mod record;
mod walk;

pub use catalog::{CLASS_NAMES, COLORS};
pub use layout::{Object, Part, PartShape, Room, RoomConfig, generate, object_at};
pub use record::{RecordConfig, Recording, record};
