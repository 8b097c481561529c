//! A surface cloud in, a mask of the room's shell (floor, ceiling, walls) out.
//!
//! The planes are found by histograms: floor and ceiling as the lowest and highest well-filled heights of points facing up
//! or down, walls as well-filled distances along the dominant directions of the horizontal normals. Walls within a flat are
//! those further in that are high and broad.

use std::collections::BTreeSet;

use crate::cloud::PointCloud;

/// A point faces a direction when its normal is within about 25 degrees of it.
const FACING: f32 = 0.9;
/// Width of a histogram's cell, metres.
const CELL_M: f32 = 0.05;
/// A point belongs to a plane within this, metres.
const PLANE_TOLERANCE_M: f32 = 0.06;
/// A wall is the outermost plane of its direction that holds at least this share of all points facing that way...
const MIN_WALL_SHARE: f32 = 0.12;
/// ...and of all points.
const MIN_SHARE_OF_ALL: f32 = 0.015;
/// Inner walls lie this far before the last wall that faces their way, metres: a narrow room.
const MIN_ROOM_M: f32 = 1.2;
/// Higher than this above the floor, metres...
const HIGH_M: f32 = 1.4;
/// ...an inner wall shows at least this many cells of [`HIGH_CELL_M`] side by side; furniture is low or narrow.
const MIN_HIGH_CELLS: usize = 15;
const HIGH_CELL_M: f32 = 0.1;
/// Directions tried for walls over a quarter turn.
const YAW_STEPS: usize = 45;
/// Most cells of a histogram; a scene wider than this many cells has no shell to find.
const MAX_CELLS: usize = 1 << 16;

/// Height of the floor, metres: the mean of the lowest well-filled height of points that face up. `None` without one, and for
/// clouds with fewer normals than points.
pub(crate) fn floor_height(cloud: &PointCloud) -> Option<f64> {
    if cloud.normals.len() < cloud.len() {
        return None;
    }
    let facing = Facing::new(cloud, [0.0, 0.0, 1.0])?;
    let plane = facing.first_plane(f32::NEG_INFINITY)?;
    let near = facing.points.iter().map(|(_, z)| *z).filter(|z| (z - plane).abs() <= PLANE_TOLERANCE_M);
    let (sum, count) = near.fold((0.0, 0u32), |(sum, count), z| (sum + f64::from(z), count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// True for each point of the floor, the ceiling or a wall. All false for clouds without such planes.
pub fn shell_mask(cloud: &PointCloud) -> Vec<bool> {
    let mut mask = vec![false; cloud.len()];
    let up = [0.0, 0.0, 1.0];
    let floor = mark_outermost(cloud, up, &mut mask);
    mark_outermost(cloud, up.map(|x: f32| -x), &mut mask);
    let yaw = wall_direction(cloud);
    let (sin, cos) = yaw.sin_cos();
    let sides = [[cos, sin, 0.0], [-cos, -sin, 0.0], [-sin, cos, 0.0], [sin, -cos, 0.0]];
    let outer = sides.map(|side| mark_outermost(cloud, side, &mut mask));
    for (side, plane) in sides.into_iter().zip(outer) {
        if let (Some(floor), Some(plane)) = (floor, plane) {
            mark_inner(cloud, side, plane, floor, &mut mask);
        }
    }
    mask
}

fn dot(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The yaw (0 to a quarter turn) that most horizontal normals agree with, walls being at right angles.
fn wall_direction(cloud: &PointCloud) -> f32 {
    let mut histogram = [0u32; YAW_STEPS];
    let step = std::f32::consts::FRAC_PI_2 / YAW_STEPS as f32;
    for n in cloud.normals.iter().filter(|n| n[2].abs() < 0.3) {
        let yaw = n[1].atan2(n[0]).rem_euclid(std::f32::consts::FRAC_PI_2);
        histogram[((yaw / step + 0.5) as usize) % YAW_STEPS] += 1;
    }
    // smoothed over three neighbours; the first of equals
    let smooth = |i: usize| histogram[(i + YAW_STEPS - 1) % YAW_STEPS] + histogram[i] + histogram[(i + 1) % YAW_STEPS];
    let best = (0..YAW_STEPS).rev().max_by_key(|&i| smooth(i)).unwrap_or(0);
    best as f32 * step
}

/// The points that face a direction, by their distance along it.
struct Facing {
    /// Index and distance, metres.
    points: Vec<(usize, f32)>,
    low: f32,
    histogram: Vec<u32>,
    /// Fewest points of a wall.
    needed: f32,
}

impl Facing {
    /// `None` where there are none, or the scene is too wide.
    fn new(cloud: &PointCloud, direction: [f32; 3]) -> Option<Self> {
        let points: Vec<(usize, f32)> = (0..cloud.len())
            .filter(|&i| dot(&cloud.normals[i], &direction) > FACING)
            .map(|i| (i, dot(&cloud.positions[i], &direction)))
            .filter(|(_, along)| along.is_finite())
            .collect();
        let (low, high) =
            points.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), (_, x)| (l.min(*x), h.max(*x)));
        let cells = (((high - low) / CELL_M) as usize).saturating_add(1);
        if points.is_empty() || cells > MAX_CELLS {
            return None;
        }
        let mut histogram = vec![0u32; cells];
        for (_, along) in &points {
            histogram[(((along - low) / CELL_M) as usize).min(cells - 1)] += 1;
        }
        let needed = (MIN_WALL_SHARE * points.len() as f32).max(MIN_SHARE_OF_ALL * cloud.len() as f32);
        Some(Self { points, low, histogram, needed })
    }

    /// The place of the first well-filled plane at `from` metres or further along.
    fn first_plane(&self, from: f32) -> Option<f32> {
        let cells = self.histogram.len();
        let pair = |i: usize| self.histogram[i] + self.histogram.get(i + 1).copied().unwrap_or(0);
        let start = (((from - self.low) / CELL_M).ceil().max(0.0) as usize).min(cells);
        let cell = (start..cells).find(|&i| pair(i) as f32 >= self.needed)?;
        // the plane is the fuller of the pair's neighbourhood
        let fullest =
            (cell..(cell + 3).min(cells)).max_by_key(|&i| (self.histogram[i], std::cmp::Reverse(i))).unwrap_or(cell);
        Some(self.low + (fullest as f32 + 0.5) * CELL_M)
    }
}

/// Marks the plane of points that face `direction` and lies furthest back against it, and all behind; returns its place.
fn mark_outermost(cloud: &PointCloud, direction: [f32; 3], mask: &mut [bool]) -> Option<f32> {
    let plane = Facing::new(cloud, direction)?.first_plane(f32::NEG_INFINITY)?;
    for ((is_shell, position), normal) in mask.iter_mut().zip(&cloud.positions).zip(&cloud.normals) {
        let above = dot(position, &direction) - plane;
        if above <= PLANE_TOLERANCE_M {
            *is_shell |= above < -PLANE_TOLERANCE_M || dot(normal, &direction) > 0.5;
        }
    }
    Some(plane)
}

/// Marks the high and broad planes before the outermost one at `outer`.
fn mark_inner(cloud: &PointCloud, direction: [f32; 3], outer: f32, floor: f32, mask: &mut [bool]) {
    let Some(facing) = Facing::new(cloud, direction) else { return };
    let mut from = outer + MIN_ROOM_M;
    while let Some(plane) = facing.first_plane(from) {
        let on_it: Vec<usize> =
            facing.points.iter().filter(|(_, x)| (x - plane).abs() <= PLANE_TOLERANCE_M).map(|(i, _)| *i).collect();
        let along = [-direction[1], direction[0], 0.0];
        let cells: BTreeSet<i32> = on_it
            .iter()
            .map(|&i| &cloud.positions[i])
            .filter(|p| p[2] > floor + HIGH_M)
            .map(|p| (dot(p, &along) / HIGH_CELL_M).floor() as i32)
            .collect();
        let is_wall = cells.len() >= MIN_HIGH_CELLS;
        if is_wall {
            on_it.iter().for_each(|&i| mask[i] = true);
        }
        from = plane + if is_wall { MIN_ROOM_M } else { 2.0 * CELL_M };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 4 x 3 x 2.5 m room with a 0.5 m box standing in it; returns how many of its points are the box's.
    fn room() -> (PointCloud, usize) {
        let mut cloud = PointCloud::default();
        let mut face = |origin: [f32; 3], a: [f32; 3], b: [f32; 3], n: [f32; 3]| {
            let length = |v: [f32; 3]| (v.iter().map(|x| x * x).sum::<f32>()).sqrt();
            let (na, nb) = ((length(a) / 0.05) as usize, (length(b) / 0.05) as usize);
            for i in 0..na {
                for j in 0..nb {
                    let (s, t) = ((i as f32 + 0.5) / na as f32, (j as f32 + 0.5) / nb as f32);
                    cloud.positions.push(std::array::from_fn(|k| origin[k] + s * a[k] + t * b[k]));
                    cloud.normals.push(n);
                    cloud.colors.push([0; 3]);
                }
            }
        };
        let (x, y, z) = ([4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.5]);
        face([0.0; 3], x, y, [0.0, 0.0, 1.0]);
        face([0.0, 0.0, 2.5], x, y, [0.0, 0.0, -1.0]);
        face([0.0; 3], x, z, [0.0, 1.0, 0.0]);
        face([0.0, 3.0, 0.0], x, z, [0.0, -1.0, 0.0]);
        face([0.0; 3], y, z, [1.0, 0.0, 0.0]);
        face([4.0, 0.0, 0.0], y, z, [-1.0, 0.0, 0.0]);
        let (h, w) = ([0.5, 0.0, 0.0], [0.0, 0.5, 0.0]);
        face([1.0, 1.0, 0.5], h, w, [0.0, 0.0, 1.0]);
        face([1.0, 1.0, 0.0], h, [0.0, 0.0, 0.5], [0.0, -1.0, 0.0]);
        face([1.0, 1.0, 0.0], w, [0.0, 0.0, 0.5], [-1.0, 0.0, 0.0]);
        (cloud, 300)
    }

    #[test]
    fn walls_are_shell_and_the_box_is_not() {
        let (cloud, own) = room();
        let mask = shell_mask(&cloud);
        let start = cloud.len() - own;
        let kept = mask[start..].iter().filter(|m| !**m).count();
        let found = mask[..start].iter().filter(|m| **m).count();
        assert!(kept as f32 > 0.95 * own as f32, "{kept} of {own} box points kept");
        assert!(found as f32 > 0.98 * start as f32, "{found} of {start} shell points found");
    }

    #[test]
    fn the_floor_is_the_lowest_broad_plane_and_neither_the_box_nor_a_speck_below() {
        let (mut cloud, _) = room();
        cloud.positions.iter_mut().for_each(|p| p[2] += 0.37);
        cloud.positions.push([1.0, 1.0, -2.0]);
        cloud.normals.push([0.0, 0.0, 1.0]);
        assert!((floor_height(&cloud).unwrap() - 0.37).abs() < 1e-5);
        cloud.normals.clear();
        assert_eq!((floor_height(&cloud), floor_height(&PointCloud::default())), (None, None));
    }

    #[test]
    fn a_wall_within_is_shell_and_neither_a_tall_cupboard_nor_a_long_counter_is() {
        let (mut cloud, _) = room();
        let start = cloud.len();
        let mut face = |x: f32, width: f32, height: f32| {
            for (i, j) in (0..40).flat_map(|i| (0..50).map(move |j| (i, j))) {
                cloud.positions.push([x, width * (i as f32 + 0.5) / 40.0, height * (j as f32 + 0.5) / 50.0]);
                cloud.normals.push([1.0, 0.0, 0.0]);
                cloud.colors.push([0; 3]);
            }
        };
        face(1.5, 2.2, 1.0);
        face(1.8, 1.1, 2.0);
        face(2.2, 2.0, 2.0);
        let mask = shell_mask(&cloud);
        let marked = [0, 1, 2].map(|k| mask[start + 2000 * k..][..2000].iter().filter(|m| **m).count());
        assert_eq!(marked, [0, 0, 2000]);
    }

    #[test]
    fn tiny_and_broken_clouds_have_no_panic() {
        assert!(shell_mask(&PointCloud::default()).is_empty());
        let odd = PointCloud {
            positions: vec![[f32::NAN; 3], [1.0e9; 3]],
            colors: vec![[0; 3]; 2],
            normals: vec![[0.0, 0.0, 1.0]; 2],
        };
        assert_eq!(shell_mask(&odd).len(), 2);
    }
}
