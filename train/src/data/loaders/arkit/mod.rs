//! A video of ARKitScenes in (`3dod/{Training,Validation}/<video_id>/`), its objects' boxes and its RGB-D frames out, z
//! up.

mod annotation;
mod frames;

pub(crate) use annotation::is_video_folder;
pub use annotation::load_scene;
pub use frames::ArkitFrames;
