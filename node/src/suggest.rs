//! An answer that is not sure of having seen what was asked about in, the pose from which the robot would see more out.

use nalgebra::{Isometry3, Vector3};
use vantage_model::Answer;
use vantage_scene::{
    FreeSpace, FreeSpaceConfig, NextBestView, NextBestViewConfig, RobotPose, Scene, ViewError, next_best_view,
};

/// From this confidence on, what was asked about has been seen.
pub const SURE: f32 = 0.5;
/// A camera is taken to be mounted at least this high, metres.
const LEAST_HEIGHT_M: f64 = 0.1;
/// Its pitch is taken to be within this, radians.
const MOST_PITCH_RAD: f64 = 1.0;

/// Where to go and look, when `answer` is not sure; `None` when it is, when it cannot tell, or when no pose that can be reached is
/// worth the way. The robot is taken to stand below the camera of the newest frame, and to look where that does.
///
/// # Errors
/// [`ViewError`] when the floor cannot be found, or the camera or its pose is unusable.
pub fn suggested_view(scene: &Scene, answer: &Answer) -> Result<Option<NextBestView>, ViewError> {
    let Some((camera, pose)) = scene.newest_view() else { return Ok(None) };
    if answer.confidence.is_none_or(|confidence| confidence >= SURE) {
        return Ok(None);
    }
    let below = |pose: &Isometry3<f64>| [pose.translation.vector.x, pose.translation.vector.y];
    let stood: Vec<[f64; 2]> =
        scene.keyframes().iter().map(|k| below(&k.frame.world_from_camera)).chain([below(&pose)]).collect();
    let free = FreeSpace::new(&scene.surface(), &stood, &FreeSpaceConfig::default())?;
    let forward = pose * Vector3::z();
    let robot = RobotPose { position: below(&pose), yaw: forward.y.atan2(forward.x) };
    let height_m = (pose.translation.vector.z - free.floor_m()).max(LEAST_HEIGHT_M);
    let pitch_rad = (-forward.z).clamp(-1.0, 1.0).asin().clamp(-MOST_PITCH_RAD, MOST_PITCH_RAD);
    let config = NextBestViewConfig { pitch_rad, ..NextBestViewConfig::new(camera, height_m) };
    next_best_view(scene.map(), &free, &robot, &answer.interest, &config)
}
