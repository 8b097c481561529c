//! Coloured points with normals in the world frame: bounds, voxel downsampling, PLY.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::bounding_box::Aabb;

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
        let first = self.positions.first()?.map(f64::from);
        let mut bounds = Aabb { min: first, max: first };
        for p in &self.positions {
            for (k, x) in p.iter().map(|x| f64::from(*x)).enumerate() {
                bounds.min[k] = bounds.min[k].min(x);
                bounds.max[k] = bounds.max[k].max(x);
            }
        }
        Some(bounds)
    }

    /// One point a voxel of side `voxel_m`: the mean position, colour and direction, voxels in lexicographic order.
    pub fn voxel_downsample(&self, voxel_m: f32) -> Self {
        let mut cells: BTreeMap<[i32; 3], Vec<usize>> = BTreeMap::new();
        for (i, p) in self.positions.iter().enumerate() {
            cells.entry(p.map(|x| (x / voxel_m).floor() as i32)).or_default().push(i);
        }
        let mut out = Self::default();
        for members in cells.values() {
            let count = members.len() as f32;
            let mean = |f: &dyn Fn(usize) -> f32| members.iter().map(|&i| f(i)).sum::<f32>() / count;
            out.positions.push(std::array::from_fn(|k| mean(&|i| self.positions[i][k])));
            out.colors.push(std::array::from_fn(|k| mean(&|i| f32::from(self.colors[i][k])).round() as u8));
            let normal: [f32; 3] = std::array::from_fn(|k| mean(&|i| self.normals[i][k]));
            let length = normal.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
            out.normals.push(normal.map(|x| x / length));
        }
        out
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
