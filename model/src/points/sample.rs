//! A fused cloud in, one averaged point a voxel with its input features out.

use std::collections::BTreeMap;

use vantage_scene::{Aabb, PointCloud};

use super::config::PointSampleConfig;

/// Numbers that describe an input point: place in the bounds (-1 to 1), colour (-1 to 1), normal.
pub(crate) const FEATURES: usize = 9;
/// Factor by which the grid grows while a scene has too many points.
const COARSEN: f32 = 1.15;

/// The point encoder's input for one scene.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointSample {
    /// Means of the voxels' points, world, metres.
    pub positions: Vec<[f32; 3]>,
    /// Place, colour and normal of each.
    pub features: Vec<[f32; FEATURES]>,
    /// Side of the finest sampling voxel that was used, metres.
    pub grid_m: f32,
}

/// Running sums of a voxel.
#[derive(Default)]
struct Cell {
    count: f32,
    position: [f32; 3],
    color: [f32; 3],
    normal: [f32; 3],
}

impl PointSample {
    /// Averages `cloud` over voxels: those of the room's shell (`shell[i]` true) are coarser. Voxels come in lexicographic
    /// order, objects before the shell. Points that are not finite are left out.
    pub fn from_cloud(cloud: &PointCloud, shell: &[bool], bounds: &Aabb, config: &PointSampleConfig) -> Self {
        let mut scale = 1.0f32;
        loop {
            let cells = collect(cloud, shell, config.grid_m * scale, config.shell_grid_m * scale);
            if cells.len() <= config.max_points || scale > 1.0e3 {
                return Self { grid_m: config.grid_m * scale, ..Self::from_cells(cells.into_values().take(config.max_points), bounds) };
            }
            scale *= COARSEN;
        }
    }

    fn from_cells(cells: impl Iterator<Item = Cell>, bounds: &Aabb) -> Self {
        let mut out = Self::default();
        for cell in cells {
            let position = cell.position.map(|x| x / cell.count);
            let length = cell.normal.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0e-6);
            let mut features = [0.0; FEATURES];
            for k in 0..3 {
                let (low, high) = (bounds.min[k] as f32, bounds.max[k] as f32);
                features[k] = 2.0 * (position[k] - low) / (high - low).max(1.0e-6) - 1.0;
                features[3 + k] = cell.color[k] / cell.count / 127.5 - 1.0;
                features[6 + k] = cell.normal[k] / length;
            }
            out.positions.push(position);
            out.features.push(features);
        }
        out
    }
}

fn collect(cloud: &PointCloud, shell: &[bool], grid_m: f32, shell_grid_m: f32) -> BTreeMap<(bool, [i32; 3]), Cell> {
    let mut cells: BTreeMap<(bool, [i32; 3]), Cell> = BTreeMap::new();
    for i in 0..cloud.len() {
        let p = cloud.positions[i];
        if p.iter().any(|x| !x.is_finite()) {
            continue;
        }
        let is_shell = shell.get(i).copied().unwrap_or(false);
        let grid = if is_shell { shell_grid_m } else { grid_m };
        let cell = cells.entry((is_shell, p.map(|x| (x / grid).floor() as i32))).or_default();
        cell.count += 1.0;
        for k in 0..3 {
            cell.position[k] += p[k];
            cell.color[k] += f32::from(cloud.colors[i][k]);
            cell.normal[k] += cloud.normals[i][k];
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(count: usize) -> PointCloud {
        PointCloud {
            positions: (0..count).map(|i| [i as f32 * 0.05, 0.0, 0.0]).collect(),
            colors: vec![[255, 0, 0]; count],
            normals: vec![[0.0, 0.0, 1.0]; count],
        }
    }

    #[test]
    fn the_shell_is_coarser_and_the_limit_holds() {
        let cloud = line(400);
        let bounds = cloud.bounds().unwrap();
        let config = PointSampleConfig { grid_m: 0.1, shell_grid_m: 0.5, max_points: 10_000 };
        let fine = PointSample::from_cloud(&cloud, &vec![false; 400], &bounds, &config);
        let coarse = PointSample::from_cloud(&cloud, &vec![true; 400], &bounds, &config);
        assert!((199..=202).contains(&fine.positions.len()) && (40..=41).contains(&coarse.positions.len()));
        assert_eq!(fine.features[0][3..], [1.0, -1.0, -1.0, 0.0, 0.0, 1.0]);
        let few = PointSample::from_cloud(&cloud, &[], &bounds, &PointSampleConfig { max_points: 50, ..config });
        assert!((30..=50).contains(&few.positions.len()));
    }
}
