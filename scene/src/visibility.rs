//! A view in; the points, and the cells of space, that it sees out.

use nalgebra::Point3;

use crate::frame::RgbdFrame;

/// Indices of the points that project into `frame` where its depth agrees with theirs within `tolerance_m`.
pub fn visible_points(frame: &RgbdFrame, positions: &[[f32; 3]], tolerance_m: f32) -> Vec<u32> {
    let camera_from_world = frame.world_from_camera.inverse();
    let (width, height) = (frame.depth.width as usize, frame.depth.height as usize);
    let sees = |p: &[f32; 3]| {
        let point = camera_from_world * Point3::from(p.map(f64::from));
        let Some(pixel) = frame.camera.project(&point) else { return false };
        let (u, v) = ((pixel.x + 0.5).floor(), (pixel.y + 0.5).floor());
        if !(u >= 0.0 && v >= 0.0 && u < width as f64 && v < height as f64) {
            return false;
        }
        let depth = frame.depth.data[v as usize * width + u as usize];
        depth > 0.0 && (depth - point.z as f32).abs() <= tolerance_m
    };
    positions.iter().enumerate().filter(|(_, p)| sees(p)).map(|(i, _)| i as u32).collect()
}

/// Least cosine of a surface's normal with the line of sight: normals are not exact, and no surface is without pixels.
const LEAST_COSINE: f32 = 0.1;

/// How many pixels each view spends on each point that it sees, up to a factor that all share. `visible[v]`: indices of the points
/// that view v sees, from the optical centre `origins[v]`; `normals`: one a point, unit length, or zero where unknown.
///
/// A surface patch takes pixels by the cosine of its normal with the line of sight over the square of its distance.
pub fn patch_pixels(
    visible: &[Vec<u32>],
    origins: &[[f32; 3]],
    positions: &[[f32; 3]],
    normals: &[[f32; 3]],
) -> Vec<Vec<f32>> {
    let pixels = |origin: &[f32; 3], i: u32| {
        let (Some(p), Some(n)) = (positions.get(i as usize), normals.get(i as usize)) else { return 0.0 };
        let sight: [f32; 3] = std::array::from_fn(|k| p[k] - origin[k]);
        let square: f32 = sight.iter().map(|x| x * x).sum::<f32>().max(f32::MIN_POSITIVE);
        let cosine = sight.iter().zip(n).map(|(a, b)| a * b).sum::<f32>().abs() / square.sqrt();
        cosine.max(LEAST_COSINE) / square
    };
    let of_view = |(list, origin): (&Vec<u32>, &[f32; 3])| list.iter().map(|&i| pixels(origin, i)).collect();
    let mut all: Vec<Vec<f32>> = visible.iter().zip(origins).map(of_view).collect();
    all.resize(visible.len(), Vec::new());
    all
}

/// Bits of one coordinate in a [`CellKey`].
const CELL_BITS: u32 = 21;
/// A coordinate lies from minus this up to this: 100 km for cells of 0.1 m.
const CELL_LIMIT: i64 = 1 << (CELL_BITS - 1);
/// A view is sampled at about this many pixels of a row: closer together than a cell of 0.1 m at 4 m.
const SAMPLED_COLUMNS: u32 = 80;

/// A cube of space, by its place in the lattice of such cubes. Its size goes with it by agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellKey(u64);

impl CellKey {
    /// The cell at these coordinates of the lattice; `None` where the lattice ends.
    pub fn new(coordinates: [i64; 3]) -> Option<Self> {
        if !coordinates.iter().all(|c| (-CELL_LIMIT..CELL_LIMIT).contains(c)) {
            return None;
        }
        let packed = coordinates.iter().fold(0, |key, c| (key << CELL_BITS) | (c + CELL_LIMIT).unsigned_abs());
        Some(Self(packed))
    }

    /// Its coordinates in the lattice: the cell spans `coordinates * cell_m` up to `(coordinates + 1) * cell_m`.
    pub fn coordinates(self) -> [i64; 3] {
        let mask = (1 << CELL_BITS) - 1;
        [2, 1, 0].map(|place| ((self.0 >> (place * CELL_BITS)) & mask) as i64 - CELL_LIMIT)
    }
}

/// The cell of side `cell_m` (metres) that holds a point of the world; `None` for points that are not finite or beyond the
/// lattice.
pub fn cell_of(position: [f32; 3], cell_m: f64) -> Option<CellKey> {
    let cells = position.map(|x| (f64::from(x) / cell_m).floor());
    // a float that is no integer of this size becomes the nearest one, or 0 for NaN
    if !cells.iter().all(|c| c.is_finite()) {
        return None;
    }
    CellKey::new(cells.map(|c| c as i64))
}

/// Cells of side `cell_m` that hold a reading of `frame` up to `max_range_m`, sorted, each once. A lattice of pixels is
/// looked at, not every one.
pub fn visible_cells(frame: &RgbdFrame, cell_m: f64, max_range_m: f64) -> Vec<CellKey> {
    let (width, height) = (frame.depth.width, frame.depth.height);
    let step = width.div_ceil(SAMPLED_COLUMNS).max(1) as usize;
    let mut cells = Vec::new();
    for v in (step as u32 / 2..height).step_by(step) {
        for u in (step as u32 / 2..width).step_by(step) {
            let reading = frame.depth.data.get(v as usize * width as usize + u as usize);
            let Some(z) = reading.map(|z| f64::from(*z)).filter(|z| *z > 0.0 && *z <= max_range_m) else { continue };
            let p_world = frame.world_from_camera * Point3::from(frame.camera.ray(f64::from(u), f64::from(v)) * z);
            cells.extend(cell_of([p_world.x as f32, p_world.y as f32, p_world.z as f32], cell_m));
        }
    }
    cells.sort_unstable();
    cells.dedup();
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{CameraId, ColorImage, DepthImage};
    use nalgebra::Isometry3;
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};

    #[test]
    fn hidden_outside_and_behind_points_are_not_seen() {
        let frame = RgbdFrame {
            camera_id: CameraId(0),
            stamp: 0,
            color: Arc::new(ColorImage::new(4, 4, vec![0; 48]).unwrap()),
            depth: Arc::new(DepthImage::new(4, 4, vec![2.0; 16]).unwrap()),
            camera: PinholeCamera::new(4, 4, 2.0, 2.0, 1.5, 1.5, Distortion::None).unwrap(),
            world_from_camera: Isometry3::identity(),
        };
        let points = [[0.0, 0.0, 2.05], [0.0, 0.0, 3.0], [9.0, 0.0, 2.0], [0.0, 0.0, -2.0], [f32::NAN, 0.0, 2.0]];
        assert_eq!(visible_points(&frame, &points, 0.1), vec![0]);
    }

    #[test]
    fn pixels_fall_with_the_square_of_the_distance_and_the_slant() {
        // a patch of the floor and one that no one knows the normal of
        let (positions, normals) = ([[0.0; 3], [0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0], [0.0; 3]]);
        let origins = [[0.0, 0.0, 2.0], [0.0, 0.0, 4.0], [3.0, 0.0, 4.0], [0.0, 1.0, 1.0]];
        let visible = vec![vec![0, 1], vec![0, 9], vec![0], vec![1], vec![0]];
        let pixels = patch_pixels(&visible, &origins, &positions, &normals);
        // a cosine of 0.8 from 5 m; a normal that is not known counts as the most slanted; what is no point takes none, and a view
        // without an origin shows nothing
        let expected = [vec![0.25, 0.1], vec![0.0625, 0.0], vec![0.8 / 25.0], vec![0.1], vec![]];
        assert_eq!(pixels.len(), expected.len());
        for (pixels, expected) in pixels.iter().zip(&expected) {
            assert_eq!(pixels.len(), expected.len());
            assert!(pixels.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{pixels:?} {expected:?}");
        }
    }

    #[test]
    fn cells_hold_what_lies_in_them_and_end_with_the_lattice() {
        let cell = cell_of([-0.05, 0.0, 0.25], 0.1).unwrap();
        assert_eq!(cell.coordinates(), [-1, 0, 2]);
        assert_eq!(CellKey::new([-1, 0, 2]), Some(cell));
        assert!(CellKey::new([CELL_LIMIT, 0, 0]).is_none() && CellKey::new([0, -CELL_LIMIT - 1, 0]).is_none());
        for x in [f32::NAN, f32::INFINITY, f32::MAX] {
            assert_eq!(cell_of([0.0, x, 0.0], 0.1), None);
        }
        assert_eq!(cell_of([1.0, 1.0, 1.0], 0.0), None);
    }

    #[test]
    fn a_wall_ahead_is_a_sheet_of_cells_and_what_is_far_is_left_out() {
        let mut depths = vec![2.05; 160 * 120];
        depths[..160 * 60].fill(9.0);
        depths[160 * 119] = 0.0;
        let frame = RgbdFrame {
            camera_id: CameraId(0),
            stamp: 0,
            color: Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap()),
            depth: Arc::new(DepthImage::new(160, 120, depths).unwrap()),
            camera: PinholeCamera::new(160, 120, 160.0, 160.0, 79.5, 59.5, Distortion::None).unwrap(),
            world_from_camera: Isometry3::translation(10.0, 0.0, 0.0),
        };
        let cells = visible_cells(&frame, 0.1, 4.0);
        let of = |axis: usize| cells.iter().map(move |c| c.coordinates()[axis]);
        // 2.05 m ahead; half of 160 pixels at a focal length of 160 is 1.02 m to each side, the lower half of 120 0.77 m down
        assert!(of(2).all(|z| z == 20));
        assert_eq!((of(0).min(), of(0).max(), of(1).min(), of(1).max()), (Some(89), Some(110), Some(0), Some(7)));
        assert_eq!(cells.len(), 22 * 8);
        assert!(cells.is_sorted());
    }
}
