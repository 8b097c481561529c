//! What the synchroniser counts: events in, frames out, and what was dropped of which stream for which reason.

use std::collections::BTreeMap;

use crate::frame::{CameraId, Stream};
use crate::transform_error::TransformError;

/// Why an image did not become part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// A depth image: no colour image within the tolerance.
    NoColor,
    /// A colour image: no depth image within the tolerance.
    NoDepth,
    /// No camera_info came.
    NoCameraInfo,
    /// The camera_info is for another shape of image.
    CameraSize,
    /// The transform at its stamp never came.
    NoTransform,
    /// The transforms begin after its stamp.
    TransformTooLate,
    /// Its stamp lies in a gap of the transforms.
    TransformGap,
    /// The clock was set back while it waited.
    ClockJump,
    /// Its stamp is far from those of the messages around it.
    StrayStamp,
    /// Another image of its stream has the same stamp.
    Repeated,
    /// A later image of its stream had been used before it came.
    Late,
    /// More images wait than may.
    TooMany,
    /// The images that wait hold more memory than they may.
    TooManyBytes,
}

/// Number of reasons.
const REASONS: usize = 13;

impl DropReason {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Self; REASONS] = [
        Self::NoColor,
        Self::NoDepth,
        Self::NoCameraInfo,
        Self::CameraSize,
        Self::NoTransform,
        Self::TransformTooLate,
        Self::TransformGap,
        Self::ClockJump,
        Self::StrayStamp,
        Self::Repeated,
        Self::Late,
        Self::TooMany,
        Self::TooManyBytes,
    ];
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoColor => "no colour image near in time",
            Self::NoDepth => "no depth image near in time",
            Self::NoCameraInfo => "no camera_info",
            Self::CameraSize => "camera_info for another image shape",
            Self::NoTransform => "no transform at its stamp",
            Self::TransformTooLate => "transforms begin after its stamp",
            Self::TransformGap => "transforms pause around its stamp",
            Self::ClockJump => "clock set back",
            Self::StrayStamp => "stamp far from its neighbours'",
            Self::Repeated => "stamp used twice",
            Self::Late => "came after a later one was used",
            Self::TooMany => "more wait than max_waiting",
            Self::TooManyBytes => "those that wait hold more than max_waiting_bytes",
        })
    }
}

/// Counts of one camera since the start. Every image that came in has become part of a frame, was dropped for one reason, or
/// waits: `depth = frames + dropped_total(Depth) + waiting`, and `color = color_matched + dropped_total(Color) + waiting`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CameraStats {
    /// Colour images in.
    pub color: u64,
    /// Colour images that a depth image took; what became of the depth image is counted there.
    pub color_matched: u64,
    /// Depth images in.
    pub depth: u64,
    /// Camera infos in.
    pub camera_infos: u64,
    /// Frames out.
    pub frames: u64,
    /// Frames whose images were brought into one view.
    pub registered: u64,
    /// Why the last frame has no pose, or not yet; `None` when it had.
    pub last_transform_error: Option<TransformError>,
    dropped_color: [u64; REASONS],
    dropped_depth: [u64; REASONS],
}

impl CameraStats {
    /// Images of a stream that came in.
    pub fn received(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Color => self.color,
            Stream::Depth => self.depth,
        }
    }

    /// Images of `stream` dropped for `reason`.
    pub fn dropped(&self, stream: Stream, reason: DropReason) -> u64 {
        self.counts(stream)[reason as usize]
    }

    /// Images of `stream` dropped for any reason.
    pub fn dropped_total(&self, stream: Stream) -> u64 {
        self.counts(stream).iter().sum()
    }

    /// The reasons that occurred, with their counts; depth first, as frames are counted by it.
    pub fn drops(&self) -> impl Iterator<Item = (Stream, DropReason, u64)> {
        [Stream::Depth, Stream::Color].into_iter().flat_map(|stream| {
            let counts = DropReason::ALL.into_iter().zip(*self.counts(stream));
            counts.filter(|(_, count)| *count > 0).map(move |(reason, count)| (stream, reason, count))
        })
    }

    pub(crate) fn count(&mut self, stream: Stream, reason: DropReason, by: usize) {
        let counts = match stream {
            Stream::Color => &mut self.dropped_color,
            Stream::Depth => &mut self.dropped_depth,
        };
        counts[reason as usize] += by as u64;
    }

    fn counts(&self, stream: Stream) -> &[u64; REASONS] {
        match stream {
            Stream::Color => &self.dropped_color,
            Stream::Depth => &self.dropped_depth,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncStats {
    /// Transforms in.
    pub transforms: u64,
    /// Transforms that the buffer refused.
    pub transforms_refused: u64,
    /// Transforms dropped because their stamp was far from those of the messages around them.
    pub transforms_stray: u64,
    /// Times that a frame changed its parent or became static or moving: above a few, two publishers disagree.
    pub transforms_reclaimed: u64,
    /// Times that the clock was set back.
    pub clock_jumps: u64,
    /// Times that it was set forward, or that everything paused.
    pub clock_skips: u64,
    /// What the transform buffer said last when it refused a transform.
    pub last_refused_transform: Option<TransformError>,
    /// The last frame that changed its parent or its kind, in words.
    pub last_reclaimed: Option<String>,
    /// The cameras that anything came from.
    pub cameras: BTreeMap<CameraId, CameraStats>,
}

impl SyncStats {
    /// Frames of all cameras.
    pub fn frames(&self) -> u64 {
        self.cameras.values().map(|camera| camera.frames).sum()
    }

    /// Images of `stream` of all cameras that were dropped for `reason`.
    pub fn dropped(&self, stream: Stream, reason: DropReason) -> u64 {
        self.cameras.values().map(|camera| camera.dropped(stream, reason)).sum()
    }

    /// Images of `stream` of all cameras that were dropped.
    pub fn dropped_total(&self, stream: Stream) -> u64 {
        self.cameras.values().map(|camera| camera.dropped_total(stream)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place() {
        let mut stats = CameraStats::default();
        for (i, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            stats.count(Stream::Color, reason, i + 1);
        }
        assert_eq!(stats.dropped(Stream::Color, DropReason::TooManyBytes), REASONS as u64);
        assert_eq!((stats.drops().count(), stats.dropped_total(Stream::Depth)), (REASONS, 0));
    }
}
