//! A block in, the voxels of it and of the blocks around it out.

use super::block::{Key, SIDE, Voxels, voxel_at};
use super::store::Store;

/// A block and its 26 neighbours.
pub(super) struct Neighbourhood<'a> {
    pub(super) key: Key,
    blocks: [Option<&'a Voxels>; 27],
}

/// A voxel's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Voxel {
    pub(super) distance: i16,
    pub(super) weight: u16,
    pub(super) color: [u16; 3],
}

impl<'a> Neighbourhood<'a> {
    pub(super) fn new(store: &'a Store, key: Key) -> Self {
        let blocks = std::array::from_fn(|i| {
            let offset = [i % 3, i / 3 % 3, i / 9].map(|x| x as i32 - 1);
            store.get(&std::array::from_fn(|k| key[k].wrapping_add(offset[k])))
        });
        Self { key, blocks }
    }

    /// The block itself.
    pub(super) fn own(&self) -> Option<&'a Voxels> {
        self.blocks[13]
    }

    /// Block and index of the voxel at `at`, counted from the block's corner: -8 to 15 along each axis.
    #[inline]
    fn place(&self, at: [i32; 3]) -> Option<(&'a Voxels, usize)> {
        let side = SIDE as i32;
        let block = at.map(|x| ((x + side) / side) as usize);
        let voxels = (*self.blocks.get(block[0] + 3 * (block[1] + 3 * block[2]))?)?;
        let [x, y, z] = at.map(|x| (x & (side - 1)) as usize);
        Some((voxels, voxel_at(x, y, z)))
    }

    /// The voxel at `at`.
    #[inline]
    pub(super) fn voxel(&self, at: [i32; 3]) -> Option<Voxel> {
        let (voxels, i) = self.place(at)?;
        let color = std::array::from_fn(|channel| voxels.color[channel][i]);
        Some(Voxel { distance: voxels.distance[i], weight: voxels.weight[i], color })
    }

    /// Distance at `at`, where it was observed.
    #[inline]
    pub(super) fn distance(&self, at: [i32; 3]) -> Option<f32> {
        let (voxels, i) = self.place(at)?;
        (voxels.weight[i] > 0).then(|| f32::from(voxels.distance[i]))
    }

    /// Unit direction of growing distance at a voxel of the block itself, from the neighbours that were observed; zero when there
    /// is none.
    pub(super) fn gradient(&self, at: [i32; 3]) -> [f32; 3] {
        let own = self.distance(at).unwrap_or(0.0);
        let gradient: [f32; 3] = std::array::from_fn(|k| {
            let step = |by: i32| {
                let mut p = at;
                p[k] += by;
                self.distance(p)
            };
            match (step(-1), step(1)) {
                (Some(low), Some(high)) => 0.5 * (high - low),
                (Some(low), None) => own - low,
                (None, Some(high)) => high - own,
                (None, None) => 0.0,
            }
        });
        let length = gradient.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 { gradient.map(|x| x / length) } else { gradient }
    }
}
