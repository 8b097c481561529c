//! Rooms in, training samples and batches out.

pub mod batch;
pub mod sample;

pub(crate) use batch::part_and_rows;
pub use batch::{Batch, BatchConfig, ScenePart, TextRow};
pub use sample::{SAMPLE_FORMAT_VERSION, SceneSample, ViewSample, load_or_make, make_scene, scene_config};
pub(crate) use sample::{WELL_SHARE, fuse_recording, keyframe_pixels, least_pixels};
