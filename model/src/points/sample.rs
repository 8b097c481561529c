//! A fused cloud in, one averaged point a voxel with its input features out.

use vantage_scene::{Aabb, PointCloud};

use super::config::PointSampleConfig;

/// Numbers that describe an input point: place in the bounds (-1 to 1), colour (-1 to 1), normal.
pub(crate) const INPUT_WIDTH: usize = 9;
/// Factor by which the grid grows while a scene has too many points.
const COARSEN: f32 = 1.15;
/// Past this factor the surplus voxels are cut off instead.
const MAX_SCALE: f32 = 1.0e3;

/// The point encoder's input for one scene.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointSample {
    /// Means of the voxels' points, world, metres.
    pub positions: Vec<[f32; 3]>,
    /// Place, colour and normal of each.
    pub features: Vec<[f32; INPUT_WIDTH]>,
    /// Side of the finest sampling voxel that was used, metres.
    pub grid_m: f32,
}

/// Bits of a voxel coordinate in a sorting key; points further than 2^20 voxels from the origin share the outermost voxel.
const KEY_BITS: u32 = 21;

impl PointSample {
    /// The mean normal of each point's surface, unit length.
    pub fn normals(&self) -> Vec<[f32; 3]> {
        self.features.iter().map(|f| [f[6], f[7], f[8]]).collect()
    }

    /// Averages `cloud` over voxels: those of the room's shell (`shell[i]` true) are coarser. Voxels come in lexicographic
    /// order, objects before the shell. Points that are not finite are left out.
    pub fn from_cloud(cloud: &PointCloud, shell: &[bool], bounds: &Aabb, config: &PointSampleConfig) -> Self {
        let mut scale = 1.0f32;
        loop {
            let keyed = keyed_points(cloud, shell, config.grid_m * scale, config.shell_grid_m * scale);
            let voxels = || keyed.chunk_by(|a, b| a.0 == b.0);
            if voxels().count() <= config.max_points || scale > MAX_SCALE {
                let (positions, features) = voxels().take(config.max_points).map(|v| average(cloud, v, bounds)).unzip();
                return Self { positions, features, grid_m: config.grid_m * scale };
            }
            scale *= COARSEN;
        }
    }
}

/// Each finite point's voxel and index, sorted: objects before the shell, voxels in lexicographic order.
fn keyed_points(cloud: &PointCloud, shell: &[bool], grid_m: f32, shell_grid_m: f32) -> Vec<(u64, u32)> {
    let half = 1i32 << (KEY_BITS - 1);
    let mut keyed: Vec<(u64, u32)> = (0u32..)
        .zip(&cloud.positions)
        .filter(|(_, p)| p.iter().all(|x| x.is_finite()))
        .map(|(i, p)| {
            let is_shell = shell.get(i as usize).copied().unwrap_or(false);
            let grid = if is_shell { shell_grid_m } else { grid_m };
            let voxel = p.map(|x| ((x / grid).floor() as i32).clamp(-half, half - 1) + half);
            (voxel.iter().fold(u64::from(is_shell), |key, &v| (key << KEY_BITS) | v as u64), i)
        })
        .collect();
    keyed.sort_unstable();
    keyed
}

/// Mean position and input features of the points of one voxel.
fn average(cloud: &PointCloud, voxel: &[(u64, u32)], bounds: &Aabb) -> ([f32; 3], [f32; INPUT_WIDTH]) {
    let mean = |of: &dyn Fn(usize) -> f32| voxel.iter().map(|&(_, i)| of(i as usize)).sum::<f32>() / voxel.len() as f32;
    let position: [f32; 3] = std::array::from_fn(|k| mean(&|i| cloud.positions[i][k]));
    let normal: [f32; 3] = std::array::from_fn(|k| mean(&|i| cloud.normals[i][k]));
    let length = normal.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0e-6);
    let mut features = [0.0; INPUT_WIDTH];
    for k in 0..3 {
        let (low, high) = (bounds.min[k] as f32, bounds.max[k] as f32);
        features[k] = 2.0 * (position[k] - low) / (high - low).max(1.0e-6) - 1.0;
        features[3 + k] = mean(&|i| f32::from(cloud.colors[i][k])) / 127.5 - 1.0;
        features[6 + k] = normal[k] / length;
    }
    (position, features)
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
    #[test]
    fn a_voxel_is_the_mean_of_its_points() {
        let mut cloud = line(3);
        cloud.positions = vec![[-0.02, 0.03, 0.01], [-0.06, 0.05, 0.03], [f32::NAN, 0.0, 0.0]];
        cloud.colors = vec![[0, 0, 255], [255, 0, 255], [0, 0, 0]];
        cloud.normals[1] = [0.0, 1.0, 0.0];
        let bounds = Aabb { min: [-1.04, 0.0, 0.0], max: [0.96, 0.08, 0.04] };
        let sample = PointSample::from_cloud(&cloud, &[], &bounds, &PointSampleConfig::default());
        assert_eq!((sample.positions.len(), sample.grid_m), (1, 0.07));
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let expected = [0.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, half, half];
        for (got, want) in sample.features[0].iter().zip(expected) {
            assert!((got - want).abs() < 1e-5, "{:?}", sample.features[0]);
        }
    }

    #[test]
    fn far_points_and_no_points_are_no_harm() {
        let cloud = PointCloud {
            positions: vec![[f32::MAX; 3], [f32::MIN; 3], [0.0; 3]],
            colors: vec![[0; 3]; 3],
            normals: vec![[0.0; 3]; 3],
        };
        let bounds = Aabb { min: [0.0; 3], max: [0.0; 3] };
        let config = PointSampleConfig { max_points: 2, ..PointSampleConfig::default() };
        assert_eq!(PointSample::from_cloud(&cloud, &[], &bounds, &config).positions.len(), 2);
        assert!(PointSample::from_cloud(&PointCloud::default(), &[], &bounds, &config).positions.is_empty());
    }
}
