//! Calibration of a robot's RGB-D cameras: camera models, depth models, the files that hold them, and the checks of recordings.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod brown;
mod camera;
mod camera_info;
pub mod check;
mod depth;
mod distortion;
mod equidistant;
mod positivity;
mod rectify;
mod rig;
mod rigid_transform;
mod ros_camera;
mod text_file;

pub use camera::{CameraError, MAX_IMAGE_SIDE, PinholeCamera, Projector, RayTable};
pub use camera_info::{CameraInfoError, CameraInfoFile};
pub use depth::{DepthModel, DepthModelError, DepthNoise};
pub use distortion::Distortion;
pub use rectify::DepthRectifier;
pub use rig::{ColorStream, DepthEncoding, DepthStream, RIG_VERSION, Rig, RigCamera, RigError};
pub use rigid_transform::RigidTransform;
pub use text_file::{FileError, write_whole};
