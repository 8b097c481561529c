//! What can be wrong with the input of a view: one error for all of this folder.

use vantage_calibration::CameraError;

use crate::cloud::CloudError;

/// Why no view was made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ViewError {
    /// The camera's calibration is not usable.
    #[error("the camera of a view: {0}")]
    Camera(#[from] CameraError),
    /// The cloud's lists do not fit together, or are too long.
    #[error("the cloud of a view: {0}")]
    Cloud(#[from] CloudError),
    /// The pose is not finite.
    #[error("the pose of a view is not finite; check the transform world_from_camera or the robot's pose")]
    Pose,
    /// Bounds that no view can be taken of.
    #[error("bounds from {min:?} to {max:?} m: {reason}")]
    Bounds {
        /// Their least x, y, z.
        min: [f64; 3],
        /// Their largest x, y, z.
        max: [f64; 3],
        /// What is wrong with them.
        reason: &'static str,
    },
    /// No floor was found.
    #[error("no floor was found: no height has enough points that face up; give its height (floor_m)")]
    NoFloor,
    /// The floor is too large for its cells.
    #[error(
        "the floor would take {columns:.0} x {rows:.0} cells, at most {max_cells} in all are allowed; take larger cells (cell_m) or clip the cloud"
    )]
    TooManyCells {
        /// Cells along x.
        columns: f64,
        /// Cells along y.
        rows: f64,
        /// Most cells.
        max_cells: usize,
    },
    /// A setting is not usable.
    #[error("view setting {field} is {value}: {reason}")]
    Setting {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl ViewError {
    /// Refuses a setting that does not lie from `least` to `most`; NaN never does.
    pub(super) fn check(
        field: &'static str,
        value: f64,
        [least, most]: [f64; 2],
        reason: &'static str,
    ) -> Result<(), Self> {
        if (least..=most).contains(&value) { Ok(()) } else { Err(Self::Setting { field, value, reason }) }
    }
}
