//! Questions about scenes as files: one record for all datasets, and the engine that writes new ones.

pub mod cli;
pub mod engine;
mod record;

pub use record::{RECORD_FORMAT_VERSION, SceneQuestion, Situation, Turn};
