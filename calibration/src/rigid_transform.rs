//! Numbers of a file in, a checked rigid motion out.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

/// A rotation's quaternion may be this far from unit length; it is normalised when read.
const UNIT_TOLERANCE: f64 = 1.0e-3;

/// A rigid motion as it is written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigidTransform {
    /// x, y, z in metres.
    pub translation_m: [f64; 3],
    /// Quaternion x, y, z, w, as in ROS.
    pub rotation_xyzw: [f64; 4],
}

impl RigidTransform {
    /// As an isometry, the rotation normalised.
    pub fn isometry(&self) -> Isometry3<f64> {
        let [x, y, z, w] = self.rotation_xyzw;
        let rotation = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 1.0e-9).unwrap_or_default();
        Isometry3::from_parts(Translation3::from(Vector3::from(self.translation_m)), rotation)
    }

    /// The field that cannot be used, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if !self.translation_m.iter().all(|x| x.is_finite()) {
            return Err(("translation_m", "it must be three finite numbers".to_owned()));
        }
        let norm = self.rotation_xyzw.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm.is_finite() && (norm - 1.0).abs() <= UNIT_TOLERANCE {
            return Ok(());
        }
        Err(("rotation_xyzw", format!("its length is {norm}; a rotation must have length 1, in the order x, y, z, w")))
    }
}

impl From<&Isometry3<f64>> for RigidTransform {
    fn from(target_from_source: &Isometry3<f64>) -> Self {
        let q = target_from_source.rotation.coords;
        Self { translation_m: target_from_source.translation.vector.into(), rotation_xyzw: [q.x, q.y, q.z, q.w] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_motion_survives_the_way_into_a_file() {
        let motion = Isometry3::new(Vector3::new(1.0, -2.0, 0.5), Vector3::new(0.3, 0.2, -0.1));
        let written = RigidTransform::from(&motion);
        assert!(written.check().is_ok());
        let again = written.isometry();
        assert!((again.to_homogeneous() - motion.to_homogeneous()).norm() < 1e-12);
    }

    #[test]
    fn what_is_no_rotation_is_refused() {
        let of = |rotation_xyzw, x| RigidTransform { translation_m: [x, 0.0, 0.0], rotation_xyzw }.check();
        assert_eq!(of([0.0, 0.0, 0.0, 1.0], f64::NAN).unwrap_err().0, "translation_m");
        assert_eq!(of([0.0; 4], 0.0).unwrap_err().0, "rotation_xyzw");
        assert_eq!(of([f64::NAN; 4], 0.0).unwrap_err().0, "rotation_xyzw");
    }
}
