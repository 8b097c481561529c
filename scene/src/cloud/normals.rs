//! Points in, the direction of the surface at each of them out.

use std::num::NonZeroUsize;

use rayon::prelude::*;

use super::CloudError;
use super::cell_map::{Cell, cell_from_point};
use super::eigen::{mean_and_covariance, symmetric_eigen};
use super::neighbours::{Neighbours, is_usable};

/// Points that determine a plane.
const MIN_NEIGHBOURS: usize = 3;

/// Writes to `normals` (`[points]`, overwritten) the direction in which the `max_neighbours` nearest points within
/// `radius_m` (both as in Open3D's hybrid search, the point itself counted) vary least, turned towards `viewpoint`.
///
/// Every normal has unit length: with fewer than three neighbours it points to `viewpoint`; a point that is not finite, or
/// is the viewpoint, gets the z axis.
///
/// # Errors
/// [`CloudError`] for a radius or a number of neighbours that is not positive, and for more points than 32 bits can number.
pub fn estimate_normals(
    points: &[[f32; 3]],
    max_neighbours: usize,
    radius_m: f32,
    viewpoint: [f32; 3],
    normals: &mut Vec<[f32; 3]>,
) -> Result<(), CloudError> {
    CloudError::check_positive("radius_m", radius_m)?;
    let count = CloudError::check_neighbours("max_neighbours", max_neighbours)?;
    let index = Neighbours::from_points(points)?;
    normals.clear();
    normals.resize(points.len(), [0.0, 0.0, 1.0]);
    if let Some(index) = &index {
        // near points ask one after the other, so that the tree's part around them stays in the cache
        let mut order: Vec<(Option<Cell>, u32)> = (0u32..)
            .zip(points)
            .filter(|(_, point)| is_usable(point))
            .map(|(i, point)| (cell_from_point(point, f64::from(radius_m)), i))
            .collect();
        order.par_sort_unstable();
        let found: Vec<[f32; 3]> =
            order.par_iter().map(|(_, i)| normal_at(index, &points[*i as usize], count, radius_m, viewpoint)).collect();
        for ((_, i), normal) in order.iter().zip(found) {
            normals[*i as usize] = normal;
        }
    }
    Ok(())
}

fn normal_at(
    index: &Neighbours,
    point: &[f32; 3],
    count: NonZeroUsize,
    radius_m: f32,
    viewpoint: [f32; 3],
) -> [f32; 3] {
    let to_viewpoint: [f64; 3] = std::array::from_fn(|k| f64::from(viewpoint[k]) - f64::from(point[k]));
    let near = index.nearest(point, count, radius_m);
    let least = if near.len() < MIN_NEIGHBOURS {
        None
    } else {
        mean_and_covariance(near.map(|(_, p)| p)).and_then(|(_, covariance, _)| symmetric_eigen(covariance))
    };
    match least {
        Some((_, [normal, ..])) => {
            let ahead: f64 = normal.iter().zip(to_viewpoint).map(|(n, v)| n * v).sum();
            normal.map(|x| if ahead < 0.0 { -x as f32 } else { x as f32 })
        }
        None => unit_or_up(to_viewpoint),
    }
}

/// The direction of `v`, or the z axis for a vector of no or no finite length.
pub(crate) fn unit_or_up(v: [f64; 3]) -> [f32; 3] {
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 1.0e-9 && length.is_finite() { v.map(|x| (x / length) as f32) } else { [0.0, 0.0, 1.0] }
}

#[cfg(test)]
mod tests {
    use nalgebra::{Matrix3, SymmetricEigen, Vector3};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// All pairs, two passes, nalgebra's eigenvectors; `None` where the direction is not determined.
    fn naive(points: &[[f32; 3]], i: usize, count: usize, radius_m: f32) -> Option<Vector3<f64>> {
        let v = |p: &[f32; 3]| Vector3::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
        let mut near: Vec<(f64, Vector3<f64>)> = points.iter().map(|p| ((v(p) - v(&points[i])).norm(), v(p))).collect();
        near.retain(|(d, _)| *d <= f64::from(radius_m));
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        // who is the last neighbour must not hang on rounding
        if near.len() < 4 || near.len() > count && near[count].0 - near[count - 1].0 < 1.0e-5 {
            return None;
        }
        near.truncate(count);
        let mean = near.iter().map(|(_, p)| p).sum::<Vector3<f64>>() / near.len() as f64;
        let covariance: Matrix3<f64> = near.iter().map(|(_, p)| (p - mean) * (p - mean).transpose()).sum();
        let eigen = SymmetricEigen::new(covariance);
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]));
        let [least, next, _] = order.map(|k| eigen.eigenvalues[k]);
        (next > 1.5 * least + 1.0e-9).then(|| eigen.eigenvectors.column(order[0]).into_owned())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn normals_are_the_naive_ones_and_see_the_viewpoint(seed: u64, count in 4..40usize, radius_m in 0.1..0.8f32) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let points: Vec<[f32; 3]> = (0..300)
                .map(|_| {
                    let (x, y) = (rng.random_range(-1.0..1.0f32), rng.random_range(-1.0..1.0f32));
                    [x, y, 0.3 * (x * y) + rng.random_range(-0.01..0.01) + 50.0]
                })
                .collect();
            let viewpoint = [0.3, -0.2, 60.0];
            let mut normals = Vec::new();
            estimate_normals(&points, count, radius_m, viewpoint, &mut normals).unwrap();
            let mut compared = 0;
            for (i, n) in normals.iter().enumerate() {
                let n = Vector3::new(f64::from(n[0]), f64::from(n[1]), f64::from(n[2]));
                prop_assert!((n.norm() - 1.0).abs() < 1.0e-6);
                let ahead: f64 = (0..3).map(|k| n[k] * f64::from(viewpoint[k] - points[i][k])).sum();
                prop_assert!(ahead >= 0.0);
                if let Some(expected) = naive(&points, i, count, radius_m) {
                    prop_assert!(n.dot(&expected).abs() > 1.0 - 1.0e-6, "{n} {expected}");
                    compared += 1;
                }
            }
            prop_assert!(compared > 100 || radius_m < 0.2);
        }
    }

    #[test]
    fn threads_change_no_bit_even_among_equal_distances() {
        let points: Vec<[f32; 3]> =
            (0..90_000).map(|i| [(i % 300) as f32 * 0.02, (i / 300) as f32 * 0.02, (i % 7) as f32 * 0.001]).collect();
        let on_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut normals = Vec::new();
            pool.install(|| estimate_normals(&points, 10, 0.1, [0.0; 3], &mut normals)).unwrap();
            normals
        };
        assert_eq!(on_threads(1), on_threads(4));
    }

    #[test]
    fn lone_and_broken_points_have_a_direction() {
        let points = [[0.0; 3], [f32::NAN; 3], [5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [1.0e38; 3]];
        let mut normals = Vec::new();
        estimate_normals(&points, 30, 0.1, [0.0, 2.0, 0.0], &mut normals).unwrap();
        assert_eq!(normals[0], [0.0, 1.0, 0.0]);
        assert_eq!(normals[1], [0.0, 0.0, 1.0]);
        assert!(normals.iter().all(|n| (n.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1.0e-6));
        assert!(estimate_normals(&points, 0, 0.1, [0.0; 3], &mut normals).is_err());
    }
}
