//! Procedural furnished rooms by seed: geometry with exact boxes, a depth camera that walks through, questions with answers.

mod appearance;
mod camera;
mod catalog;
pub mod export;
mod lattice;
mod layout;
mod light;
mod placement;
mod pose_noise;
mod questions;
mod record;
mod sensing;
mod sensor;
mod texture;
mod walk;
mod wording;

pub use appearance::Appearance;
pub use catalog::{CLASS_NAMES, COLORS};
pub use layout::{Object, Part, PartShape, Room, RoomConfig, generate, object_at};
pub use pose_noise::PoseNoise;
pub use questions::{Question, Span, questions};
pub use record::{RecordConfig, Recording, record};
pub use sensing::SensingArgs;
pub use sensor::Sensor;
