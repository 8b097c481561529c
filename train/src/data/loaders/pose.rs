//! Rows of a 4x4 matrix in, a rigid transform out, or why it is none.

use nalgebra::{Isometry3, Matrix3, Translation3, UnitQuaternion, Vector3};

/// How far products of the rotation's rows may be from those of unit vectors at right angles; matrices are written with
/// six digits.
const ROTATION_TOLERANCE: f64 = 1.0e-3;

/// The transform that 16 numbers, row by row, are.
pub(crate) fn from_rows(m: &[f64; 16]) -> Result<Isometry3<f64>, &'static str> {
    if !m.iter().all(|x| x.is_finite()) {
        return Err("holds a number that is not finite");
    }
    let rotation = Matrix3::from_fn(|i, j| m[4 * i + j]);
    let square = rotation * rotation.transpose();
    if (square - Matrix3::identity()).abs().max() > ROTATION_TOLERANCE || rotation.determinant() < 0.0 {
        return Err("is no rotation with a shift: its axes are not of unit length at right angles");
    }
    if (m[12], m[13], m[14]) != (0.0, 0.0, 0.0) || (m[15] - 1.0).abs() > ROTATION_TOLERANCE {
        return Err("is no rotation with a shift: its last row is not 0 0 0 1");
    }
    let translation = Vector3::new(m[3], m[7], m[11]);
    Ok(Isometry3::from_parts(Translation3::from(translation), UnitQuaternion::from_matrix(&rotation)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    #[test]
    fn rows_of_a_quarter_turn() {
        let rows = [0.0, -1.0, 0.0, 5.0, 1.0, 0.0, 0.0, 6.0, 0.0, 0.0, 1.0, 7.0, 0.0, 0.0, 0.0, 1.0];
        let p = from_rows(&rows).unwrap() * Point3::new(1.0, 2.0, 3.0);
        assert!((p - Point3::new(3.0, 7.0, 10.0)).norm() < 1.0e-9);
        for (index, value) in [(0, f64::NAN), (0, 0.5), (10, -1.0), (12, 0.5), (15, 2.0)] {
            let mut bad = rows;
            bad[index] = value;
            assert!(from_rows(&bad).is_err(), "{index} {value}");
        }
    }
}
