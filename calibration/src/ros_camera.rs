//! ROS's camera matrix, model name and coefficients in, a camera out, and back: the one place that knows how
//! `sensor_msgs/CameraInfo` and camera_info files write a lens.

use crate::camera::{CameraError, PinholeCamera};
use crate::distortion::Distortion;

/// A skew up to this share of the focal length is a calibration's rounding.
const SKEW_SHARE: f64 = 1.0e-6;
/// Coefficients that `plumb_bob` must have; k3 may be left out.
const PLUMB_BOB_LEAST: usize = 4;

impl Distortion {
    /// The lens of a ROS model name (`sensor_msgs/distortion_models.hpp`) and its coefficients D.
    ///
    /// D may be longer than the model asks when the rest is zero, as OpenCV writes it. No or only zero coefficients are a
    /// straight lens, except for `equidistant` (also called `fisheye`), whose zeros bend.
    ///
    /// # Errors
    /// [`CameraError`] for an unknown model, too few coefficients, further ones that are not zero, and values that are not
    /// finite.
    pub fn from_ros(model: &str, d: &[f64]) -> Result<Self, CameraError> {
        let zeros = d.iter().all(|k| *k == 0.0);
        let lens = match model {
            "equidistant" | "fisheye" => Self::Equidistant(exactly(model, d, 4)?),
            "" | "none" | "plumb_bob" | "rational_polynomial" if zeros => Self::None,
            "plumb_bob" => Self::PlumbBob(exactly(model, d, PLUMB_BOB_LEAST)?),
            "rational_polynomial" => Self::RationalPolynomial(exactly(model, d, 8)?),
            _ => return Err(CameraError::LensModel { model: model.to_owned() }),
        };
        let unusable = lens.coefficients().iter().enumerate().find(|(_, k)| !k.is_finite());
        match unusable {
            None => Ok(lens),
            Some((i, value)) => Err(CameraError::Parameter {
                field: lens.coefficient_name(i),
                value: *value,
                reason: "it must be a finite number",
            }),
        }
    }

    /// The ROS model name and coefficients; a straight lens is a `plumb_bob` of zeros, as drivers write it.
    pub fn to_ros(&self) -> (&'static str, Vec<f64>) {
        let name = match self {
            Self::None => return ("plumb_bob", vec![0.0; 5]),
            Self::PlumbBob(_) => "plumb_bob",
            Self::RationalPolynomial(_) => "rational_polynomial",
            Self::Equidistant(_) => "equidistant",
        };
        (name, self.coefficients().to_vec())
    }
}

/// The model's `N` coefficients out of D, which has at least `least` of them and beyond `N` only zeros.
fn exactly<const N: usize>(model: &str, d: &[f64], least: usize) -> Result<[f64; N], CameraError> {
    let (model, got) = (model.to_owned(), d.len());
    if got < least {
        return Err(CameraError::TooFewCoefficients { model, got, least });
    }
    if let Some(index) = d.iter().skip(N).position(|k| *k != 0.0) {
        return Err(CameraError::FurtherCoefficient { model, known: N, index: N + index, value: d[N + index] });
    }
    let mut found = [0.0; N];
    for (to, from) in found.iter_mut().zip(d) {
        *to = *from;
    }
    Ok(found)
}

impl PinholeCamera {
    /// The camera of raw images: size, K (row-major 3x3: fx, 0, cx, 0, fy, cy, 0, 0, 1), model name and D.
    ///
    /// # Errors
    /// As [`Distortion::from_ros`] and [`PinholeCamera::new`], and when K has a skew.
    pub fn from_ros(width: u32, height: u32, k: &[f64; 9], model: &str, d: &[f64]) -> Result<Self, CameraError> {
        let camera = Self::new(width, height, k[0], k[4], k[2], k[5], Distortion::from_ros(model, d)?)?;
        // written so that NaN fails
        if k[1].abs() <= SKEW_SHARE * camera.fx {
            return Ok(camera);
        }
        Err(CameraError::Parameter { field: "skew (K[1])", value: k[1], reason: "pixels must be rectangular" })
    }

    /// K, row-major 3x3.
    pub fn k(&self) -> [f64; 9] {
        [self.fx, 0.0, self.cx, 0.0, self.fy, self.cy, 0.0, 0.0, 1.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_model_survives_the_way_to_ros_and_back() {
        for lens in [
            Distortion::None,
            Distortion::PlumbBob([0.1, -0.2, 0.01, 0.02, 0.3]),
            Distortion::RationalPolynomial([0.1, -0.2, 0.01, 0.02, 0.3, 0.4, 0.5, 0.6]),
            Distortion::Equidistant([0.1, -0.2, 0.01, 0.02]),
            Distortion::Equidistant([0.0; 4]),
        ] {
            let (name, d) = lens.to_ros();
            assert_eq!(Distortion::from_ros(name, &d), Ok(lens));
        }
    }

    #[test]
    fn the_spellings_of_drivers_are_known() {
        let read = |model, d: &[f64]| Distortion::from_ros(model, d);
        for model in ["", "none", "plumb_bob", "rational_polynomial"] {
            assert_eq!(read(model, &[]), Ok(Distortion::None));
            assert_eq!(read(model, &[0.0; 14]), Ok(Distortion::None));
        }
        assert_eq!(read("plumb_bob", &[0.1, 0.2, 0.3, 0.4]), Ok(Distortion::PlumbBob([0.1, 0.2, 0.3, 0.4, 0.0])));
        let mut long = [0.1; 12];
        long[8..].fill(0.0);
        assert_eq!(read("rational_polynomial", &long), Ok(Distortion::RationalPolynomial([0.1; 8])));
        assert_eq!(read("fisheye", &[0.1; 4]), Ok(Distortion::Equidistant([0.1; 4])));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (model, d, said) in [
            ("plumb_bob", &[0.1; 3][..], "plumb_bob"),
            ("plumb_bob", &[0.1; 8], "coefficient 5"),
            ("rational_polynomial", &[0.1; 5], "at least 8"),
            ("rational_polynomial", &[0.1; 12], "coefficient 8"),
            ("equidistant", &[], "at least 4"),
            ("omnidirectional", &[0.0; 4], "omnidirectional"),
            ("", &[0.1; 5], "`` is not known"),
            ("plumb_bob", &[0.1, f64::NAN, 0.0, 0.0, 0.0], "k2"),
        ] {
            let message = Distortion::from_ros(model, d).unwrap_err().to_string();
            assert!(message.contains(said), "{model} {d:?}: {message}");
        }
        let camera = |k: [f64; 9]| PinholeCamera::from_ros(640, 480, &k, "plumb_bob", &[]).map_err(|e| e.to_string());
        let good = [525.0, 0.0, 319.5, 0.0, 525.0, 239.5, 0.0, 0.0, 1.0];
        assert_eq!(camera(good).unwrap().k(), good);
        assert!(camera([0.0; 9]).unwrap_err().contains("fx"));
        assert!(camera([525.0, 3.0, 319.5, 0.0, 525.0, 239.5, 0.0, 0.0, 1.0]).unwrap_err().contains("skew"));
    }

    proptest! {
        #[test]
        fn any_message_gives_a_checked_camera_or_an_error(
            k in prop::array::uniform9(prop::num::f64::ANY),
            d in prop::collection::vec(prop::num::f64::ANY, 0..16),
            model in "|plumb_bob|rational_polynomial|equidistant|[a-z]{3}",
            width in 0..10_000u32,
        ) {
            if let Ok(camera) = PinholeCamera::from_ros(width, 480, &k, &model, &d) {
                prop_assert!(camera.check().is_ok());
                let _ = (camera.ray(3.0, 4.0), camera.distortion.max_radius());
            }
        }
    }
}
