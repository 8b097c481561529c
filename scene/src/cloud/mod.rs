//! Coloured points with normals in the world frame, and what is computed from points: means by voxel, outliers, normals,
//! far-apart samples, planes, clusters.
//!
//! The kernels are free functions over slices that write into buffers of the caller. They are deterministic (neither the
//! number of threads nor the order of a hash map reaches a result), leave points that are not finite out, and allocate by
//! the number of points, never by the extent of the cloud.

mod cell_map;
mod clusters;
mod downsample;
mod eigen;
mod farthest;
mod neighbours;
mod normals;
mod outliers;
mod planes;

use std::io::{self, Write};
use std::num::NonZeroUsize;

pub use clusters::cluster_points;
pub use downsample::{VoxelMeans, voxel_downsample};
pub use farthest::farthest_points;
pub use normals::estimate_normals;
pub use outliers::{radius_inliers, statistical_inliers};
pub use planes::{Plane, PlaneSearch, find_planes};

use crate::bounding_box::Aabb;

/// Why a kernel refused its input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CloudError {
    /// A list is not as long as the list of positions.
    #[error("{list} has {found} entries for {expected} points; give one a point")]
    Length {
        /// Name of the list.
        list: &'static str,
        /// Number of points.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A setting is not usable.
    #[error("{setting} is {value}; it must be positive and finite")]
    NotPositive {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: f64,
    },
    /// A number of neighbours is zero.
    #[error("{setting} is 0; ask for at least 1")]
    NoNeighbours {
        /// Name of the setting.
        setting: &'static str,
    },
    /// The points could not be indexed.
    #[error("{points} points cannot be indexed: {reason}; downsample the cloud first")]
    Index {
        /// Number of points.
        points: usize,
        /// What the kd-tree says.
        reason: String,
    },
    /// A sample cannot start there.
    #[error("start {start} is not the index of a finite point among {points}; choose one that is")]
    Start {
        /// The index.
        start: usize,
        /// Number of points.
        points: usize,
    },
    /// More points than indices of 32 bits can name.
    #[error("{found} points are more than {}; downsample the cloud first", u32::MAX)]
    TooManyPoints {
        /// Number of points.
        found: usize,
    },
}

impl CloudError {
    fn check_length(list: &'static str, found: usize, expected: usize) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Length { list, expected, found }) }
    }

    fn check_positive(setting: &'static str, value: impl Into<f64>) -> Result<(), Self> {
        let value = value.into();
        if value > 0.0 && value.is_finite() { Ok(()) } else { Err(Self::NotPositive { setting, value }) }
    }

    fn check_neighbours(setting: &'static str, count: usize) -> Result<NonZeroUsize, Self> {
        NonZeroUsize::new(count).ok_or(Self::NoNeighbours { setting })
    }

    fn check_count(found: usize) -> Result<(), Self> {
        if found < u32::MAX as usize { Ok(()) } else { Err(Self::TooManyPoints { found }) }
    }
}

/// Points of the world; the three lists are equally long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PointCloud {
    /// Metres.
    pub positions: Vec<[f32; 3]>,
    /// Red, green, blue.
    pub colors: Vec<[u8; 3]>,
    /// Unit length, away from the solid.
    pub normals: Vec<[f32; 3]>,
}

impl PointCloud {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// True without points.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Bounds of all points; `None` without points.
    pub fn bounds(&self) -> Option<Aabb> {
        Aabb::containing(self.positions.iter().map(|p| p.map(f64::from)))
    }

    /// One point a voxel of side `voxel_m`: the mean position, colour and direction, voxels in lexicographic order. A
    /// side that is not positive joins nothing.
    pub fn voxel_downsample(&self, voxel_m: f32) -> Self {
        let mut means = VoxelMeans::default();
        if voxel_downsample(&self.positions, &self.colors, Some(&self.normals), voxel_m, &mut means).is_err() {
            return self.clone();
        }
        let mut order: Vec<usize> = (0..means.cells.len()).collect();
        order.sort_unstable_by_key(|&i| means.cells[i]);
        Self {
            positions: order.iter().map(|&i| means.positions[i]).collect(),
            colors: order.iter().map(|&i| means.colors[i]).collect(),
            normals: order.iter().map(|&i| means.normals[i]).collect(),
        }
    }

    /// Writes binary little-endian PLY with position, normal and colour.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write_ply(&self, mut to: impl Write) -> io::Result<()> {
        let fields = "property float x\nproperty float y\nproperty float z\nproperty float nx\nproperty float ny\nproperty float nz\n\
                      property uchar red\nproperty uchar green\nproperty uchar blue";
        write!(to, "ply\nformat binary_little_endian 1.0\ncomment vantage map, metres, world frame\n")?;
        write!(to, "element vertex {}\n{fields}\nend_header\n", self.len())?;
        for ((p, n), c) in self.positions.iter().zip(&self.normals).zip(&self.colors) {
            for x in p.iter().chain(n) {
                to.write_all(&x.to_le_bytes())?;
            }
            to.write_all(c)?;
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> PointCloud {
        PointCloud {
            positions: vec![[0.01, 0.0, 0.0], [0.03, 0.0, 0.0], [1.0, 2.0, 3.0]],
            colors: vec![[10, 0, 0], [20, 0, 0], [0, 0, 255]],
            normals: vec![[0.0, 0.0, 1.0]; 3],
        }
    }

    #[test]
    fn downsampling_averages_each_voxel() {
        let small = pair().voxel_downsample(0.1);
        assert_eq!(small.len(), 2);
        assert!((small.positions[0][0] - 0.02).abs() < 1e-6);
        assert_eq!(small.colors[0], [15, 0, 0]);
    }

    #[test]
    fn ply_holds_a_header_and_27_bytes_a_point() {
        let mut bytes = Vec::new();
        pair().write_ply(&mut bytes).unwrap();
        let header_end = bytes.windows(11).position(|w| w == b"end_header\n").unwrap() + 11;
        assert_eq!(bytes.len() - header_end, 3 * 27);
        assert!(String::from_utf8_lossy(&bytes[..header_end]).contains("element vertex 3\n"));
    }
}
