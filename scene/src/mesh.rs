//! A triangle mesh with normals and colours: what it holds, and how it is written as PLY.

use std::io::{self, Write};

/// Triangles in the world frame; the first three lists are equally long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mesh {
    /// Corners, metres.
    pub positions: Vec<[f32; 3]>,
    /// Unit length, away from the solid.
    pub normals: Vec<[f32; 3]>,
    /// Red, green, blue.
    pub colors: Vec<[u8; 3]>,
    /// Indices of three corners, counter-clockwise as seen from outside of the solid.
    pub triangles: Vec<[u32; 3]>,
}

impl Mesh {
    /// Writes binary little-endian PLY with position, normal and colour of every corner.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write_ply(&self, mut to: impl Write) -> io::Result<()> {
        write!(to, "ply\nformat binary_little_endian 1.0\ncomment vantage mesh, metres, world frame\n")?;
        writeln!(to, "element vertex {}", self.positions.len())?;
        for field in ["x", "y", "z", "nx", "ny", "nz"] {
            writeln!(to, "property float {field}")?;
        }
        for field in ["red", "green", "blue"] {
            writeln!(to, "property uchar {field}")?;
        }
        writeln!(to, "element face {}\nproperty list uchar int vertex_indices\nend_header", self.triangles.len())?;
        for ((position, normal), color) in self.positions.iter().zip(&self.normals).zip(&self.colors) {
            for x in position.iter().chain(normal) {
                to.write_all(&x.to_le_bytes())?;
            }
            to.write_all(color)?;
        }
        for triangle in &self.triangles {
            to.write_all(&[3])?;
            for corner in triangle {
                to.write_all(&corner.to_le_bytes())?;
            }
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ply_holds_a_header_27_bytes_a_corner_and_13_a_triangle() {
        let mesh = Mesh {
            positions: vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            normals: vec![[0.0, 0.0, 1.0]; 3],
            colors: vec![[1, 2, 3]; 3],
            triangles: vec![[0, 1, 2]],
        };
        let mut bytes = Vec::new();
        mesh.write_ply(&mut bytes).unwrap();
        let end = bytes.windows(11).position(|w| w == b"end_header\n").unwrap() + 11;
        assert_eq!(bytes.len() - end, 3 * 27 + 13);
        let head = String::from_utf8_lossy(&bytes[..end]);
        assert!(head.contains("element vertex 3\n") && head.contains("element face 1\n"), "{head}");
    }
}
