//! Procedural furnished rooms by seed: geometry with exact boxes and a depth camera that walks through.

mod appearance;
mod camera;
mod catalog;
mod config;
mod ellipse;
pub mod export;
mod flat;
mod lattice;
mod layout;
mod light;
mod placement;
mod pose_noise;
mod record;
mod sensing;
mod sensor;
mod texture;
mod walk;

pub use appearance::Appearance;
pub(crate) use catalog::unlikeness;
pub use catalog::{CLASS_NAMES, COLORS, ClassNames, class_names};
pub use config::{Difficulty, RoomConfig};
pub use flat::Region;
pub use layout::{Object, Part, PartShape, Room, generate, object_at};
pub use pose_noise::PoseNoise;
pub use record::{RecordConfig, Recording, record};
pub use sensing::SensingArgs;
pub use sensor::Sensor;
