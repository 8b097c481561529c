//! A map in, its surface as coloured points with normals out.

use rayon::prelude::*;

use super::TsdfMap;
use super::block::{COLOR_ONE, Key, SIDE, VOXELS, WEIGHT_ONE};
use super::neighbours::{Neighbourhood, Voxel};
use crate::cloud::PointCloud;

impl TsdfMap {
    /// One point where the distance changes sign between neighbouring voxels, interpolated; blocks in order of their keys,
    /// so that equal maps give equal clouds. World frame, metres.
    pub fn surface_points(&self) -> PointCloud {
        let least = self.least_surface_weight();
        let keys = self.surface_blocks(1);
        let parts: Vec<PointCloud> = keys
            .par_iter()
            .with_min_len(16)
            .map(|key| block_surface(&Neighbourhood::new(&self.store, *key), self.config.voxel_size_m, least))
            .collect();
        let count = parts.iter().map(PointCloud::len).sum();
        let mut all = PointCloud {
            positions: Vec::with_capacity(count),
            colors: Vec::with_capacity(count),
            normals: Vec::with_capacity(count),
        };
        for part in parts {
            all.positions.extend(part.positions);
            all.colors.extend(part.colors);
            all.normals.extend(part.normals);
        }
        all
    }

    /// Stored weight from which a voxel takes part in the surface.
    pub(super) fn least_surface_weight(&self) -> u16 {
        (self.config.min_surface_weight() * WEIGHT_ONE).clamp(1.0, f32::from(u16::MAX)) as u16
    }

    /// Keys, in order, of the blocks that hold a surface, or between which and the next block along an axis one passes. `towards` is
    /// 1 for the next block, -1 for the one before.
    pub(super) fn surface_blocks(&self, towards: i32) -> Vec<Key> {
        let solid = |key: &Key| self.store.index_of(key).is_some_and(|i| self.store.headers[i as usize].solid);
        let beside_solid = |key: &Key| {
            (0..3).any(|axis| {
                let mut next = *key;
                next[axis] += towards;
                solid(&next)
            })
        };
        let headers = self.store.headers.par_iter();
        let mut keys: Vec<Key> = headers
            .filter(|header| header.used && (header.solid || beside_solid(&header.key)))
            .map(|header| header.key)
            .collect();
        keys.par_sort_unstable();
        keys
    }
}

fn block_surface(around: &Neighbourhood<'_>, voxel_m: f32, least: u16) -> PointCloud {
    let mut out = PointCloud::default();
    let Some(own) = around.own() else { return out };
    let usable = |distance: i16, weight: u16| weight >= least && distance.unsigned_abs() < i16::MAX as u16;
    for i in (0..VOXELS).filter(|&i| usable(own.distance[i], own.weight[i])) {
        let at = [i % SIDE, i / SIDE % SIDE, i / (SIDE * SIDE)].map(|x| x as i32);
        for axis in 0..3 {
            let mut next = at;
            next[axis] += 1;
            let Some(other) = around.voxel(next).filter(|v| usable(v.distance, v.weight)) else { continue };
            if (own.distance[i] > 0) == (other.distance > 0) {
                continue;
            }
            let (from, to) = (f32::from(own.distance[i]), f32::from(other.distance));
            let share = from / (from - to);
            out.positions.push(std::array::from_fn(|k| {
                let cell = around.key[k] as f32 * SIDE as f32 + at[k] as f32 + 0.5;
                (cell + if k == axis { share } else { 0.0 }) * voxel_m
            }));
            out.colors.push(mixed(&own.color.map(|channel| channel[i]), &other, share));
            out.normals.push(around.gradient(at));
        }
    }
    out
}

/// The colour at `share` of the way to another voxel.
fn mixed(own: &[u16; 3], other: &Voxel, share: f32) -> [u8; 3] {
    std::array::from_fn(|c| {
        let mix = f32::from(own[c]) * (1.0 - share) + f32::from(other.color[c]) * share;
        (mix / COLOR_ONE).round().clamp(0.0, 255.0) as u8
    })
}
