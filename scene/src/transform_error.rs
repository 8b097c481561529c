//! What can be wrong with a transform, or with the question for one: the frames or the edge are named, with what to do.

use crate::frame::StampNanos;

/// Most frames of a tree; a publisher that makes up names cannot fill the memory.
pub(crate) const MAX_FRAMES: usize = 1_024;
/// Longest name of a frame, bytes.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// Why a transform was refused, or could not be given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TransformError {
    /// A frame's name is empty or far too long.
    #[error("a frame name has {bytes} bytes; it must have from 1 to {MAX_NAME_BYTES}")]
    Name {
        /// Its length.
        bytes: usize,
    },
    /// There are too many frames.
    #[error("frame {frame} was refused: there are {MAX_FRAMES} frames already; does a publisher make up new names?")]
    TooManyFrames {
        /// The frame that was one too many.
        frame: String,
    },
    /// The transform is not a rigid motion.
    #[error("transform {parent} <- {child} is not finite or its rotation is not of unit length; check its publisher")]
    NotRigid {
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
    },
    /// A loop of frames.
    #[error("transform {parent} <- {child} was refused: {parent} already hangs below {child}; check who publishes it")]
    Cycle {
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
    },
    /// Older than all that is remembered.
    #[error(
        "transform {parent} <- {child} at {stamp} ns is {age_nanos} ns older than the newest; check the publisher's clock"
    )]
    TooOld {
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
        /// Its stamp.
        stamp: StampNanos,
        /// How far it lies behind the newest of its edge.
        age_nanos: i64,
    },
    /// Nobody has named this frame.
    #[error("frame {frame} is in no transform received so far; is its publisher running?")]
    UnknownFrame {
        /// The frame.
        frame: String,
    },
    /// Both frames are known, but nothing joins them.
    #[error("frames {target_frame} and {source_frame} are not connected by any transform received so far")]
    NotConnected {
        /// The target frame asked for.
        target_frame: String,
        /// The source frame asked for.
        source_frame: String,
    },
    /// The samples on both sides of the moment are far apart in time and in place.
    #[error(
        "transform {parent} <- {child} at {stamp} ns lies in a gap of {gap_nanos} ns, in which the frame moved too far to guess its way; \
         did its publisher stop?"
    )]
    Gap {
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
        /// Stamp asked for.
        stamp: StampNanos,
        /// Time between the two samples.
        gap_nanos: u64,
    },
    /// The moment lies before the edge's first sample.
    #[error("transform {parent} <- {child} begins at {oldest} ns, after {stamp} ns")]
    BeforeOldest {
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
        /// Stamp asked for.
        stamp: StampNanos,
        /// The edge's oldest stamp.
        oldest: StampNanos,
    },
    /// The moment lies after the edge's last sample; it may still come.
    #[error("transform {parent} <- {child} ends at {newest} ns, before {stamp} ns")]
    AfterNewest {
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
        /// Stamp asked for.
        stamp: StampNanos,
        /// The edge's newest stamp.
        newest: StampNanos,
    },
}

impl TransformError {
    /// True when a later transform can still make the same look-up succeed.
    pub fn may_resolve(&self) -> bool {
        matches!(self, Self::UnknownFrame { .. } | Self::NotConnected { .. } | Self::AfterNewest { .. })
    }
}
