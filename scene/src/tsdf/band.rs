//! A frame's readings in, the keys of all blocks out that the band around its surfaces passes through.

use nalgebra::Isometry3;
use rayon::prelude::*;
use vantage_calibration::PinholeCamera;

use super::block::{Key, SIDE};
use super::config::TsdfConfig;
use super::readings::Readings;

/// Coordinates of blocks stay within this, so that keys cannot overflow whatever a pose says.
const MAX_BLOCK: f64 = 1.0e6;
/// Blocks along one axis that lie within reach of the camera stay below half of this; more than any depth of 100 m at
/// voxels of a millimetre needs.
const REACH: i32 = 1 << 20;
const AXIS_BITS: u32 = 21;
/// Most pixels from one ray that is followed to the next.
const MAX_STRIDE: usize = 4;
/// Keys that one band of rows remembers, so as not to write down a key for every ray; a power of two.
const REMEMBERED: usize = 1024;
/// Rows of pixels that are worked on together.
const ROWS: usize = 32;

/// A key relative to the camera's block; the order of packed keys is the lexicographic one.
fn packed(key: [i32; 3]) -> u64 {
    key.iter().fold(0, |bits, &k| bits << AXIS_BITS | (k + REACH / 2) as u64 & ((1 << AXIS_BITS) - 1))
}

fn unpacked(bits: u64) -> [i32; 3] {
    std::array::from_fn(|axis| {
        let shifted = bits >> (AXIS_BITS * (2 - axis as u32)) & ((1 << AXIS_BITS) - 1);
        shifted as i32 - REACH / 2
    })
}

/// The blocks of the band, in lexicographic order of their keys. `None` when the camera is too far from the origin.
pub(super) fn band_blocks(
    readings: &Readings,
    camera: &PinholeCamera,
    world_from_camera: &Isometry3<f64>,
    config: &TsdfConfig,
) -> Option<Vec<Key>> {
    let block_m = f64::from(config.voxel_size_m) * SIDE as f64;
    let place = world_from_camera.translation.vector / block_m;
    if !place.iter().all(|x| x.abs() < MAX_BLOCK) {
        return None;
    }
    let home = place.map(f64::floor);
    let offset: [f32; 3] = std::array::from_fn(|k| (place[k] - home[k]) as f32);
    let rotation = world_from_camera.rotation.to_rotation_matrix();
    let per_block = 1.0 / block_m;
    let columns: [[f32; 3]; 3] =
        std::array::from_fn(|j| std::array::from_fn(|i| (rotation[(i, j)] * per_block) as f32));
    // neighbouring rays that are followed lie at most half a block apart at the largest depth
    let apart = 0.5 * block_m * camera.fx.min(camera.fy) / f64::from(config.max_depth_m);
    let stride = (apart as usize).clamp(1, MAX_STRIDE);
    let (inv_fx, inv_fy) = (1.0 / camera.fx as f32, 1.0 / camera.fy as f32);
    let (cx, cy) = (camera.cx as f32, camera.cy as f32);
    let bands: Vec<Vec<u64>> = (0..readings.height.div_ceil(ROWS))
        .into_par_iter()
        .map(|band| {
            let mut keys = Vec::new();
            let mut remembered = [u64::MAX; REMEMBERED];
            let rows = (band * ROWS..((band + 1) * ROWS).min(readings.height)).filter(|v| v % stride == 0);
            for v in rows {
                let y = (v as f32 - cy) * inv_fy;
                let row: [f32; 3] = std::array::from_fn(|k| columns[1][k] * y + columns[2][k]);
                for u in (0..readings.width).step_by(stride) {
                    let z = readings.pixels[v * readings.width + u].depth_m;
                    if z <= 0.0 {
                        continue;
                    }
                    let x = (u as f32 - cx) * inv_fx;
                    let ray: [f32; 3] = std::array::from_fn(|k| columns[0][k] * x + row[k]);
                    let (near, far) = (z - config.truncation_m, z + config.band_m(z));
                    let along = |z: f32| std::array::from_fn(|k| offset[k] + ray[k] * z);
                    walk(along(near.max(0.0)), along(far), &mut |key| {
                        let bits = packed(key);
                        let slot = &mut remembered[(bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize];
                        if *slot != bits {
                            *slot = bits;
                            keys.push(bits);
                        }
                    });
                }
            }
            keys
        })
        .collect();
    let mut keys = bands.concat();
    keys.sort_unstable();
    keys.dedup();
    let home: [i32; 3] = std::array::from_fn(|k| home[k] as i32);
    Some(keys.into_iter().map(unpacked).map(|key| std::array::from_fn(|k| home[k] + key[k])).collect())
}

/// The whole number at or below; for numbers within reach, and without the call that `floor` is on processors of the baseline.
fn cell_of(x: f32) -> i32 {
    let toward_zero = x as i32;
    toward_zero - i32::from(toward_zero as f32 > x)
}

/// Visits every cell of the unit grid that the segment from `a` to `b` passes through, in order (Amanatides and Woo 1987).
/// Cells out of reach are left out.
fn walk(a: [f32; 3], b: [f32; 3], visit: &mut impl FnMut([i32; 3])) {
    let limit = (REACH / 2 - 1) as f32;
    if !a.iter().chain(&b).all(|x| x.abs() < limit) {
        return;
    }
    let mut cell = a.map(cell_of);
    let last = b.map(cell_of);
    visit(cell);
    let steps: i32 = (0..3).map(|k| (last[k] - cell[k]).abs()).sum();
    if steps == 0 {
        return;
    }
    let step: [i32; 3] = std::array::from_fn(|k| (last[k] - cell[k]).signum());
    let per_cell: [f32; 3] = std::array::from_fn(|k| 1.0 / (b[k] - a[k]).abs());
    // share of the segment at which it leaves the cell along each axis
    let mut leaves: [f32; 3] = std::array::from_fn(|k| match step[k] {
        0 => f32::INFINITY,
        1 => (cell[k] as f32 + 1.0 - a[k]) * per_cell[k],
        _ => (a[k] - cell[k] as f32) * per_cell[k],
    });
    for _ in 0..steps {
        let mut axis = usize::from(leaves[1] < leaves[0]);
        if leaves[2] < leaves[axis] {
            axis = 2;
        }
        cell[axis] += step[axis];
        // an axis that has arrived must not be stepped along again for a rounding error
        leaves[axis] = if cell[axis] == last[axis] { f32::INFINITY } else { leaves[axis] + per_cell[axis] };
        visit(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_keeps_keys_and_their_order(a in prop::array::uniform3(-500_000i32..500_000), b in prop::array::uniform3(-500_000i32..500_000)) {
            prop_assert_eq!(unpacked(packed(a)), a);
            prop_assert_eq!(packed(a).cmp(&packed(b)), a.cmp(&b));
        }

        /// Every cell that holds a point of the segment is visited, each step goes to a neighbour, and the end is reached.
        #[test]
        fn a_walk_misses_no_cell(a in prop::array::uniform3(-9.0..9.0f32), b in prop::array::uniform3(-9.0..9.0f32)) {
            let mut cells: Vec<[i32; 3]> = Vec::new();
            walk(a, b, &mut |cell| cells.push(cell));
            for pair in cells.windows(2) {
                prop_assert_eq!((0..3).map(|k| (pair[0][k] - pair[1][k]).abs()).sum::<i32>(), 1);
            }
            prop_assert_eq!(*cells.last().unwrap(), b.map(|x| x.floor() as i32));
            for i in 0..=1000 {
                let p: [f32; 3] = std::array::from_fn(|k| a[k] + (b[k] - a[k]) * i as f32 / 1000.0);
                // a point within rounding of a cell's side may count to either cell
                let near = |cell: &[i32; 3]| (0..3).all(|k| p[k] > cell[k] as f32 - 1e-4 && p[k] < cell[k] as f32 + 1.0 + 1e-4);
                prop_assert!(cells.iter().any(near), "{p:?}");
            }
        }
    }

    #[test]
    fn endless_and_far_segments_are_left_out() {
        let mut count = 0;
        walk([f32::NAN; 3], [0.0; 3], &mut |_| count += 1);
        walk([0.0; 3], [f32::INFINITY; 3], &mut |_| count += 1);
        walk([0.0; 3], [1.0e9; 3], &mut |_| count += 1);
        assert_eq!(count, 0);
    }
}
