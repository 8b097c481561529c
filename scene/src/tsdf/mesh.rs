//! A map in, its surface as a mesh out: surface nets (Gibson 1998) block by block, joined where blocks meet.

use fast_surface_nets::ndshape::{ConstShape, ConstShape3u32};
use fast_surface_nets::{SurfaceNetsBuffer, surface_nets};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::TsdfMap;
use super::block::{COLOR_ONE, DISTANCE_ONE, SIDE};
use super::neighbours::Neighbourhood;
use crate::mesh::Mesh;

/// A block with one voxel around it.
const PADDED: usize = SIDE + 2;
type Grid = ConstShape3u32<{ PADDED as u32 }, { PADDED as u32 }, { PADDED as u32 }>;

/// What a block adds to the mesh.
#[derive(Default)]
struct Part {
    /// The cube of eight voxels that each corner lies in, by its lowest voxel, counted in the world.
    cubes: Vec<[i64; 3]>,
    positions: Vec<[f32; 3]>,
    normals: Vec<[f32; 3]>,
    colors: Vec<[u8; 3]>,
    triangles: Vec<[u32; 3]>,
}

impl TsdfMap {
    /// The surface as a mesh in the world frame; equal maps give equal meshes. It is closed wherever both sides of the surface
    /// were observed.
    pub fn mesh(&self) -> Mesh {
        let least = self.least_surface_weight();
        // a block's grid begins one voxel before it: a face belongs to the block of the further voxel of its edge
        let keys = self.surface_blocks(-1);
        let parts: Vec<Part> = keys
            .par_iter()
            .with_min_len(16)
            .map_init(SurfaceNetsBuffer::default, |buffer, key| {
                block_mesh(&Neighbourhood::new(&self.store, *key), self.config.voxel_size_m, least, buffer)
            })
            .collect();
        let mut mesh = Mesh::default();
        let mut known: FxHashMap<[i64; 3], u32> = FxHashMap::default();
        for part in parts {
            let mut joined = |corner: u32| {
                let i = corner as usize;
                *known.entry(part.cubes[i]).or_insert_with(|| {
                    mesh.positions.push(part.positions[i]);
                    mesh.normals.push(part.normals[i]);
                    mesh.colors.push(part.colors[i]);
                    (mesh.positions.len() - 1) as u32
                })
            };
            for triangle in &part.triangles {
                mesh.triangles.push(triangle.map(&mut joined));
            }
        }
        mesh
    }
}

fn block_mesh(around: &Neighbourhood<'_>, voxel_m: f32, least: u16, buffer: &mut SurfaceNetsBuffer) -> Part {
    let mut distance = [1.0f32; Grid::USIZE];
    let mut observed = [false; Grid::USIZE];
    let (mut negative, mut positive) = (false, false);
    for (i, (to, observed)) in (0u32..).zip(distance.iter_mut().zip(&mut observed)) {
        let at = Grid::delinearize(i).map(|x| x as i32 - 1);
        if let Some(voxel) = around.voxel(at).filter(|v| v.weight >= least) {
            *to = f32::from(voxel.distance) / DISTANCE_ONE;
            *observed = true;
            negative |= *to < 0.0;
            positive |= *to >= 0.0;
        }
    }
    let mut part = Part::default();
    if !(negative && positive) {
        return part;
    }
    let last = PADDED as u32 - 1;
    surface_nets(&distance, &Grid {}, [0; 3], [last; 3], buffer);
    // a corner between voxels of which one was never observed is a guess
    let known: Vec<bool> = buffer
        .surface_points
        .iter()
        .map(|&[x, y, z]| {
            (0..8u32).all(|corner| {
                observed[Grid::linearize([x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2)]) as usize]
            })
        })
        .collect();
    for ((position, normal), lowest) in buffer.positions.iter().zip(&buffer.normals).zip(&buffer.surface_points) {
        let lowest = lowest.map(|x| x as i32 - 1);
        part.cubes.push(std::array::from_fn(|k| i64::from(around.key[k]) * SIDE as i64 + i64::from(lowest[k])));
        part.positions.push(std::array::from_fn(|k| {
            // the first voxel of the grid is the one before the block's first; its centre lies half a voxel into it
            (around.key[k] as f32 * SIDE as f32 + position[k] - 0.5) * voxel_m
        }));
        let length = normal.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0e-12);
        part.normals.push(normal.map(|x| x / length));
        let share: [f32; 3] = std::array::from_fn(|k| position[k] - (lowest[k] + 1) as f32);
        part.colors.push(color_in(around, lowest, share));
    }
    let (triangles, _) = buffer.indices.as_chunks::<3>();
    part.triangles = triangles.iter().filter(|t| t.iter().all(|&i| known[i as usize])).copied().collect();
    part
}

/// The colour in a cube of eight voxels, at `share` of its sides from the lowest.
fn color_in(around: &Neighbourhood<'_>, lowest: [i32; 3], share: [f32; 3]) -> [u8; 3] {
    let mut sum = [0.0f32; 3];
    for corner in 0..8 {
        let bits: [i32; 3] = [corner & 1, corner >> 1 & 1, corner >> 2];
        let weight: f32 = (0..3).map(|k| if bits[k] == 1 { share[k] } else { 1.0 - share[k] }).product();
        if let Some(voxel) = around.voxel(std::array::from_fn(|k| lowest[k] + bits[k])) {
            for (sum, channel) in sum.iter_mut().zip(voxel.color) {
                *sum += weight * f32::from(channel) / COLOR_ONE;
            }
        }
    }
    sum.map(|x| x.round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{furnished, walk};
    use super::super::{TsdfConfig, TsdfMap};
    use std::collections::BTreeMap;

    #[test]
    fn the_mesh_lies_on_the_surface_joins_up_and_faces_outwards() {
        let world = furnished();
        let mut map =
            TsdfMap::new(TsdfConfig { voxel_size_m: 0.04, truncation_m: 0.16, ..TsdfConfig::default() }).unwrap();
        for frame in walk(&world, 24, (192, 144)) {
            map.integrate(&frame).unwrap();
        }
        let mesh = map.mesh();
        assert!(mesh.triangles.len() > 10_000);
        let mut errors: Vec<f64> = mesh.positions.iter().map(|p| world.distance_m(*p)).collect();
        errors.sort_by(f64::total_cmp);
        assert!(
            errors[errors.len() / 2] < 0.004 && errors[errors.len() * 95 / 100] < 0.03,
            "{}",
            errors[errors.len() / 2]
        );
        // where it is closed, every edge is run through once in each direction
        let mut edges: BTreeMap<(u32, u32), i32> = BTreeMap::new();
        for &[a, b, c] in &mesh.triangles {
            for (from, to) in [(a, b), (b, c), (c, a)] {
                *edges.entry((from.min(to), from.max(to))).or_default() += if from < to { 1 } else { -1 };
            }
        }
        let open = edges.values().filter(|sum| **sum != 0).count();
        assert!(open * 20 < edges.len(), "{open} of {} edges are open", edges.len());
        let mut outwards = 0;
        for &[a, b, c] in &mesh.triangles {
            let p = |i: u32| nalgebra::Vector3::from(mesh.positions[i as usize]);
            let normal = (p(b) - p(a)).cross(&(p(c) - p(a)));
            outwards += usize::from(normal.dot(&nalgebra::Vector3::from(mesh.normals[a as usize])) > 0.0);
        }
        assert!(outwards * 100 > mesh.triangles.len() * 97, "{outwards} of {}", mesh.triangles.len());
        // the top of the box is yellow
        let top = (0..mesh.positions.len()).filter(|&i| {
            let p = mesh.positions[i];
            (1.2..1.6).contains(&p[0]) && (1.1..1.4).contains(&p[1]) && (p[2] - 0.5).abs() < 0.02
        });
        assert!(top.into_iter().all(|i| mesh.colors[i][0] > 200 && mesh.colors[i][2] < 90 && mesh.normals[i][2] > 0.8));
    }
}
