//! What the synchroniser counts: events in, frames out, and what was dropped for which reason.

/// Why a depth image did not become a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// No colour image within the tolerance.
    NoColor,
    /// No camera_info came.
    NoCameraInfo,
    /// The camera_info is for another shape of image.
    CameraSize,
    /// The transform at its stamp never came.
    NoTransform,
    /// The transforms begin after its stamp.
    TransformTooLate,
    /// The clock was set back while it waited.
    ClockJump,
}

impl DropReason {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Self; 6] = [
        Self::NoColor,
        Self::NoCameraInfo,
        Self::CameraSize,
        Self::NoTransform,
        Self::TransformTooLate,
        Self::ClockJump,
    ];
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoColor => "no colour image near in time",
            Self::NoCameraInfo => "no camera_info",
            Self::CameraSize => "camera_info for another image shape",
            Self::NoTransform => "no transform at its stamp",
            Self::TransformTooLate => "transforms begin after its stamp",
            Self::ClockJump => "clock set back",
        })
    }
}

/// Counts since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncStats {
    /// Colour images in.
    pub color: u64,
    /// Depth images in.
    pub depth: u64,
    /// Camera infos in.
    pub camera_infos: u64,
    /// Transforms in.
    pub transforms: u64,
    /// Transforms that the buffer refused.
    pub transforms_refused: u64,
    /// Frames out.
    pub frames: u64,
    /// Frames whose colour was carried over from another camera's view.
    pub registered: u64,
    /// Times that the clock was set back.
    pub clock_jumps: u64,
    /// What the transform buffer said last when it refused a transform.
    pub last_refused_transform: Option<String>,
    /// Why the last frame has no pose, or not yet; `None` when it had.
    pub last_transform_error: Option<String>,
    dropped: [u64; DropReason::ALL.len()],
}

impl SyncStats {
    /// Depth images dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Depth images dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.dropped).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn count(&mut self, reason: DropReason, by: u64) {
        self.dropped[reason as usize] += by;
    }
}
