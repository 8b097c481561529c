//! Calibration of a robot's RGB-D cameras: camera models, the rig files that hold them, and the checks of recordings.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod camera;
pub mod check;
mod rig;

pub use camera::{CameraError, Distortion, MAX_IMAGE_SIDE, PinholeCamera, RayTable};
pub use rig::{ColorStream, DepthEncoding, DepthStream, RIG_VERSION, Rig, RigCamera, RigError, RigidTransform};
