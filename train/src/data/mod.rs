//! Questions about scenes as files: one record for all datasets.

mod record;

pub use record::{RECORD_FORMAT_VERSION, SceneQuestion, Situation, Turn};
