//! A symmetric 3x3 matrix in, its eigenvalues and eigenvectors out; and the covariance of points, which is such a matrix.

/// Off-diagonal parts below this share of the matrix' size are rounding.
const TOLERANCE: f64 = 1.0e-15;
/// The method converges quadratically: 3x3 matrices need 4 to 6 sweeps, more are never useful.
const MAX_SWEEPS: usize = 12;

/// Mean and covariance of points, summed relative to the first one so that coordinates far from the origin keep their
/// digits. `None` without points.
pub(crate) fn mean_and_covariance(
    points: impl IntoIterator<Item = [f32; 3]>,
) -> Option<([f64; 3], [[f64; 3]; 3], usize)> {
    let mut points = points.into_iter();
    let origin = points.next()?.map(f64::from);
    let (mut count, mut sum) = (1usize, [0.0; 3]);
    let mut products = [0.0; 6]; // xx, xy, xz, yy, yz, zz
    for p in points {
        let [x, y, z]: [f64; 3] = std::array::from_fn(|k| f64::from(p[k]) - origin[k]);
        for (total, product) in products.iter_mut().zip([x * x, x * y, x * z, y * y, y * z, z * z]) {
            *total += product;
        }
        for (total, d) in sum.iter_mut().zip([x, y, z]) {
            *total += d;
        }
        count += 1;
    }
    let share = 1.0 / count as f64;
    let mean = sum.map(|s| s * share);
    let [xx, xy, xz, yy, yz, zz] = products.map(|p| p * share);
    let [x, y, z] = mean;
    let (xy, xz, yz) = (xy - x * y, xz - x * z, yz - y * z);
    let covariance = [[xx - x * x, xy, xz], [xy, yy - y * y, yz], [xz, yz, zz - z * z]];
    Some((std::array::from_fn(|k| origin[k] + mean[k]), covariance, count))
}

/// Eigenvalues, ascending, and unit eigenvectors in the same order, by cyclic Jacobi rotations (Golub and Van Loan, Matrix
/// Computations, 8.5), which unlike the closed form keep the small eigenvalues' vectors exact. `None` unless finite.
pub(crate) fn symmetric_eigen(mut a: [[f64; 3]; 3]) -> Option<([f64; 3], [[f64; 3]; 3])> {
    let size = a.as_flattened().iter().map(|x| x.abs()).fold(0.0, f64::max);
    if !a.as_flattened().iter().all(|x| x.is_finite()) {
        return None;
    }
    // columns are eigenvectors
    let mut v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..MAX_SWEEPS {
        if a[0][1].abs().max(a[0][2].abs()).max(a[1][2].abs()) <= TOLERANCE * size {
            break;
        }
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] == 0.0 {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            // an overflowing square makes the turn 0, which it then is
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            let r = 3 - p - q;
            let (arp, arq) = (a[r][p], a[r][q]);
            a[p][p] -= t * a[p][q];
            a[q][q] += t * a[p][q];
            (a[p][q], a[q][p]) = (0.0, 0.0);
            (a[r][p], a[r][q]) = (c * arp - s * arq, s * arp + c * arq);
            (a[p][r], a[q][r]) = (a[r][p], a[r][q]);
            for row in &mut v {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[i][i].total_cmp(&a[j][j]));
    Some((order.map(|i| a[i][i]), order.map(|i| [v[0][i], v[1][i], v[2][i]])))
}

#[cfg(test)]
mod tests {
    use nalgebra::{Matrix3, SymmetricEigen};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_are_those_of_nalgebra_and_vectors_solve_the_equation(
            m in prop::array::uniform6(-3.0..3.0f64), exponent in -12..6i32, flat in 0..3usize,
        ) {
            let scale = 10.0f64.powi(exponent);
            let [a, b, c, d, e, f] = m.map(|x| x * scale);
            // full, one coordinate without extent, diagonal
            let a = match flat {
                0 => [[a, b, c], [b, d, e], [c, e, f]],
                1 => [[a, b, 0.0], [b, d, 0.0], [0.0, 0.0, 0.0]],
                _ => [[a, 0.0, 0.0], [0.0, d, 0.0], [0.0, 0.0, d]],
            };
            let (values, vectors) = symmetric_eigen(a).unwrap();
            let mut expected: Vec<f64> =
                SymmetricEigen::new(Matrix3::from_fn(|i, j| a[i][j])).eigenvalues.iter().copied().collect();
            expected.sort_by(f64::total_cmp);
            for i in 0..3 {
                prop_assert!((values[i] - expected[i]).abs() < 1.0e-12 * scale, "{values:?} {expected:?}");
                prop_assert!((vectors[i].iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1.0e-12);
                for row in 0..3 {
                    let product: f64 = (0..3).map(|k| a[row][k] * vectors[i][k]).sum();
                    prop_assert!((product - values[i] * vectors[i][row]).abs() < 1.0e-12 * scale);
                }
            }
        }
    }

    #[test]
    fn covariance_far_from_the_origin_keeps_its_digits() {
        let points = [[4096.0, 0.0, 0.0], [4096.5, 0.0, 0.0], [4096.0, 0.25, 0.0], [4096.5, 0.25, 0.0]];
        let (mean, covariance, count) = mean_and_covariance(points).unwrap();
        assert_eq!((mean, count), ([4096.25, 0.125, 0.0], 4));
        assert_eq!(covariance, [[0.0625, 0.0, 0.0], [0.0, 0.015625, 0.0], [0.0; 3]]);
        assert!(mean_and_covariance([]).is_none());
        assert!(symmetric_eigen([[f64::NAN; 3]; 3]).is_none());
    }
}
