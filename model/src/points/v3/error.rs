//! What can be wrong with the voxels and features that a Point Transformer v3 is given.

use crate::points::serialize::BITS;

/// Why voxels cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PtV3InputError {
    /// A coordinate is too large.
    #[error("voxel {index} is at {voxel:?}, coordinates must be below {limit}", limit = 1u32 << BITS)]
    Far {
        /// Which of them.
        index: usize,
        /// Where it is.
        voxel: [u32; 3],
    },
    /// Two points in one voxel.
    #[error("two points lie in voxel {voxel:?}; sample the cloud to one point a voxel first")]
    Crowded {
        /// The voxel.
        voxel: [u32; 3],
    },
    /// Not one position a voxel.
    #[error("{positions} positions for {voxels} voxels")]
    Positions {
        /// Positions given.
        positions: usize,
        /// Voxels given.
        voxels: usize,
    },
}

/// Why features cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PtV3ForwardError {
    /// Not one row a point.
    #[error("the features have {given} rows, the plan has {planned} points; plan the cloud that the features are of")]
    Rows {
        /// Rows given.
        given: usize,
        /// Points of the plan.
        planned: usize,
    },
    /// Another number of channels.
    #[error("the features have {given} channels, the model reads {expected} (in_channels)")]
    Channels {
        /// Channels given.
        given: usize,
        /// Channels that the model reads.
        expected: usize,
    },
    /// A plan for another model.
    #[error("the plan has {planned} stages, the model {expected}; plan the cloud with the model's own config")]
    Stages {
        /// Stages of the plan.
        planned: usize,
        /// Stages of the model.
        expected: usize,
    },
}
