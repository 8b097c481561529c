//! camera_info YAML in, a named camera out: the files that ROS camera_calibration writes and camera_info_manager reads.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::camera::PinholeCamera;
use crate::text_file::{self, FileError};

/// A calibration file of one camera; the camera is that of its raw images (K and D, not P).
#[derive(Debug, Clone, PartialEq)]
pub struct CameraInfoFile {
    /// Name of the camera.
    pub name: String,
    /// Its size, intrinsics and lens.
    pub camera: PinholeCamera,
}

/// Why a camera_info file was refused.
#[derive(Debug, thiserror::Error)]
pub enum CameraInfoError {
    /// The file cannot be read.
    #[error("camera_info file {0}")]
    File(FileError),
    /// The text is not YAML of this form.
    #[error("camera_info file {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, field and what is wrong.
        message: String,
    },
    /// A value cannot be used.
    #[error("camera_info file {}: {field}: {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, for example `camera_matrix`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The file as it is written; what other tools add is passed over.
#[derive(Deserialize)]
struct Raw {
    image_width: u32,
    image_height: u32,
    #[serde(default)]
    camera_name: String,
    camera_matrix: Matrix,
    #[serde(default)]
    distortion_model: String,
    distortion_coefficients: Option<Matrix>,
    rectification_matrix: Option<Matrix>,
    projection_matrix: Option<Matrix>,
}

#[derive(Deserialize)]
struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    fn check(&self) -> Result<&[f64], String> {
        let Self { rows, cols, data } = self;
        if rows.checked_mul(*cols) != Some(data.len()) {
            return Err(format!("rows is {rows} and cols {cols}, but data has {} numbers", data.len()));
        }
        match data.iter().position(|x| !x.is_finite()) {
            Some(i) => Err(format!("data[{i}] is {}; every number must be finite", data[i])),
            None => Ok(data),
        }
    }

    fn check_shape(&self, rows: usize, cols: usize) -> Result<&[f64], String> {
        if (self.rows, self.cols) != (rows, cols) {
            return Err(format!("it is {}x{}, it must be {rows}x{cols}", self.rows, self.cols));
        }
        self.check()
    }
}

impl CameraInfoFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`CameraInfoError`] naming the file and the field.
    pub fn load(path: &Path) -> Result<Self, CameraInfoError> {
        Self::from_yaml(&text_file::read(path).map_err(CameraInfoError::File)?, path)
    }

    /// Reads and checks the text of a file; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`CameraInfoFile::load`].
    pub fn from_yaml(text: &str, path: &Path) -> Result<Self, CameraInfoError> {
        let raw: Raw = serde_saphyr::from_str(text)
            .map_err(|e| CameraInfoError::Parse { path: path.to_owned(), message: e.to_string() })?;
        let (name, camera) =
            raw.read().map_err(|(field, reason)| CameraInfoError::Field { path: path.to_owned(), field, reason })?;
        Ok(Self { name, camera })
    }
}

impl Raw {
    /// The name and the camera, or the field and what is wrong with it.
    fn read(self) -> Result<(String, PinholeCamera), (&'static str, String)> {
        let k = self.camera_matrix.check_shape(3, 3).map_err(|e| ("camera_matrix", e))?;
        let k: &[f64; 9] = k.try_into().map_err(|_| ("camera_matrix", "it must have 9 numbers".to_owned()))?;
        let d = match &self.distortion_coefficients {
            Some(d) => d.check().map_err(|e| ("distortion_coefficients", e))?,
            None => &[],
        };
        for (field, matrix, cols) in
            [("rectification_matrix", &self.rectification_matrix, 3), ("projection_matrix", &self.projection_matrix, 4)]
        {
            if let Some(matrix) = matrix {
                matrix.check_shape(3, cols).map_err(|e| (field, e))?;
            }
        }
        crate::Distortion::from_ros(&self.distortion_model, d).map_err(|e| ("distortion_model", e.to_string()))?;
        let camera = PinholeCamera::from_ros(self.image_width, self.image_height, k, &self.distortion_model, d);
        Ok((self.camera_name, camera.map_err(|e| ("camera_matrix", e.to_string()))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distortion::Distortion;
    use proptest::prelude::*;

    /// As camera_calibration's cameracalibrator writes it.
    const WEBCAM: &str = "\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [438.783367, 0.000000, 305.593336, 0.000000, 437.302876, 243.738352, 0.000000, 0.000000, 1.000000]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.653800, 0.0, 322.797939, 0.0, 0.0, 393.653800, 241.090902, 0.0, 0.0, 0.0, 1.0, 0.0]
";

    fn read(text: &str) -> Result<CameraInfoFile, CameraInfoError> {
        CameraInfoFile::from_yaml(text, Path::new("my_camera.yaml"))
    }

    #[test]
    fn a_calibration_gives_the_camera_of_raw_images() {
        let file = read(WEBCAM).unwrap();
        assert_eq!(file.name, "narrow_stereo");
        let lens = Distortion::PlumbBob([-0.361976, 0.110510, 0.001014, 0.000505, 0.0]);
        let camera = PinholeCamera::new(640, 480, 438.783367, 437.302876, 305.593336, 243.738352, lens);
        assert_eq!(Ok(file.camera), camera);
    }

    #[test]
    fn eight_and_four_coefficients_and_none_at_all_are_read() {
        let with = |model: &str, d: &str, n: usize| {
            let text = WEBCAM.replace("distortion_model: plumb_bob", &format!("distortion_model: {model}")).replace(
                "cols: 5\n  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]",
                &format!("cols: {n}\n  data: [{d}]"),
            );
            read(&text).unwrap().camera.distortion
        };
        let rational = with("rational_polynomial", "1, 2, 3, 4, 5, 6, 7, 8", 8);
        assert_eq!(rational, Distortion::RationalPolynomial([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
        assert_eq!(with("equidistant", "1e-1, 2, 3, 4", 4), Distortion::Equidistant([0.1, 2.0, 3.0, 4.0]));
        assert_eq!(with("plumb_bob", "0, 0, 0, 0, 0", 5), Distortion::None);
        let start = WEBCAM.find("distortion_model").unwrap();
        assert_eq!(read(&WEBCAM[..start]).unwrap().camera.distortion, Distortion::None);
    }

    #[test]
    fn faults_name_the_file_and_the_field() {
        for (from, to, said) in [
            ("image_width: 640", "image_width: 0", "size 0x480"),
            ("image_width: 640", "image_width: wide", "wide"),
            ("image_width: 640\n", "", "image_width"),
            ("438.783367, 0.0", ".nan, 0.0", "camera_matrix: data[0]"),
            ("438.783367", "0.0", "camera_matrix: camera parameter fx"),
            ("  rows: 3\n  cols: 3\n  data: [438", "  rows: 3\n  cols: 4\n  data: [438", "camera_matrix: it is 3x4"),
            ("305.593336, ", "", "camera_matrix: rows is 3 and cols 3, but data has 8"),
            ("cols: 5", "cols: 4", "distortion_coefficients: rows is 1 and cols 4"),
            ("cols: 5", "cols: 18446744073709551615", "distortion_coefficients"),
            ("-0.361976", ".inf", "distortion_coefficients: data[0]"),
            ("plumb_bob", "thin_prism", "distortion_model: lens model `thin_prism`"),
            ("plumb_bob", "rational_polynomial", "distortion_model: lens model rational_polynomial has 5"),
            ("  cols: 4", "  cols: 3", "projection_matrix: it is 3x3"),
        ] {
            assert!(WEBCAM.contains(from), "{from}");
            let message = read(&WEBCAM.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.contains("my_camera.yaml") && message.contains(said), "{to}: {message}");
        }
        let absent = CameraInfoFile::load(Path::new("/no/such/camera.yaml")).unwrap_err().to_string();
        assert!(absent.contains("/no/such/camera.yaml"), "{absent}");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_camera_or_an_error(text in "\\PC{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn a_damaged_file_gives_a_checked_camera_or_an_error(
            at in 0..WEBCAM.len(), length in 0..40usize, put in "[-0-9a-z:\\[\\]{}&*!|>'\"., \n]{0,12}"
        ) {
            let end = (at + length).min(WEBCAM.len());
            let text = format!("{}{put}{}", &WEBCAM[..at], &WEBCAM[end..]);
            if let Ok(file) = read(&text) {
                prop_assert!(file.camera.check().is_ok());
            }
        }
    }
}
