//! Questions about scenes as files: one record for all datasets, and loaders of the published ones.

mod check;
pub mod cli;
pub mod loaders;
mod record;

pub use check::check_folder;
pub use record::{RECORD_FORMAT_VERSION, SceneQuestion, Situation, Turn};
