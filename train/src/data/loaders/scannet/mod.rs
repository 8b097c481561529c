//! A scan of ScanNet v2 in (`scans/<scene>/`), its objects' boxes in the axis-aligned frame and its RGB-D frames out.

mod alignment;
mod instances;
mod labels;
mod sens;

pub use instances::load_scene;
pub(crate) use instances::{beside, is_scene_folder};
pub use labels::Labels;
pub(crate) use sens::as_fault;
pub use sens::{SensCheck, SensFault, SensFrame, SensHeader, SensReader};
