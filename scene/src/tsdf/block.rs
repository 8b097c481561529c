//! The voxels of one block: eight a side, each field in an array of its own so that loops over them vectorise.

/// Voxels along a block's side.
pub(super) const SIDE: usize = 8;
/// Voxels of one layer of a block.
pub(super) const LAYER: usize = SIDE * SIDE;
/// Voxels of a block.
pub(super) const VOXELS: usize = SIDE * LAYER;
/// A distance of one truncation in stored steps.
pub(super) const DISTANCE_ONE: f32 = 32_767.0;
/// A weight of one reading at a metre in stored steps.
pub(super) const WEIGHT_ONE: f32 = 1_024.0;
/// A colour level in stored steps.
pub(super) const COLOR_ONE: f32 = 256.0;

/// Place of a block: its first corner is `key * 8 * voxel_size_m`, in the world.
pub(super) type Key = [i32; 3];

/// The voxels of a block, x fastest, then y, then z.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Voxels {
    /// Signed distance in steps of a truncation over [`DISTANCE_ONE`], positive in front of the surface.
    pub(super) distance: [i16; VOXELS],
    /// Weight in steps of 1 over [`WEIGHT_ONE`]; 0 where nothing was observed.
    pub(super) weight: [u16; VOXELS],
    /// Running means of red, green and blue in steps of a level over [`COLOR_ONE`].
    pub(super) color: [[u16; VOXELS]; 3],
}

impl Voxels {
    /// Nothing observed.
    pub(super) const EMPTY: Self = Self { distance: [i16::MAX; VOXELS], weight: [0; VOXELS], color: [[0; VOXELS]; 3] };
}

/// Index of the voxel at `x, y, z` within its block.
pub(super) fn voxel_at(x: usize, y: usize, z: usize) -> usize {
    x + SIDE * (y + SIDE * z)
}
