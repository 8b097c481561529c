//! Questions about scenes as files: one record for all datasets, loaders of the published ones, and the engine that writes new
//! ones.

mod check;
pub mod cli;
pub mod engine;
pub mod loaders;
mod record;

pub use check::check_folder;
pub use record::{RECORD_FORMAT_VERSION, SceneQuestion, Situation, Turn};
