//! Rig files in, checked camera rigs out, and back: YAML that says what RGB-D cameras a robot carries and how they are mounted.
//!
//! The format has a version; unknown fields are refused, and every error names the file and the field.

use std::path::{Path, PathBuf};

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

use crate::camera::PinholeCamera;

/// Version of the format that this program reads and writes.
pub const RIG_VERSION: u32 = 1;
/// Largest rig file read, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// A rotation's quaternion may be this far from unit length; it is normalised when read.
const UNIT_TOLERANCE: f64 = 1.0e-3;

/// The RGB-D cameras of a robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rig {
    /// [`RIG_VERSION`].
    pub version: u32,
    /// Name of the rig.
    pub name: String,
    /// Where the numbers come from.
    pub source: String,
    /// The cameras, at least one, with different names.
    pub cameras: Vec<RigCamera>,
}

/// One RGB-D camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigCamera {
    /// Name, as in its topics: `<name>/color/image_raw`.
    pub name: String,
    /// Frame of the camera's body (x forward, y left, z up).
    pub link_frame: String,
    /// Pose of the depth optical frame in the link frame.
    pub link_from_depth: RigidTransform,
    /// The colour stream.
    pub color: ColorStream,
    /// The depth stream.
    pub depth: DepthStream,
    /// Takes points of the depth optical frame to the colour optical frame. Left out when depth is aligned to colour,
    /// which is when both have the same frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color_from_depth: Option<RigidTransform>,
}

/// A colour stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorStream {
    /// Optical frame (z forward, x right, y down).
    pub frame_id: String,
    /// Intrinsics at the stream's size.
    pub intrinsics: PinholeCamera,
}

/// A depth stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthStream {
    /// Optical frame (z forward, x right, y down).
    pub frame_id: String,
    /// Intrinsics at the stream's size.
    pub intrinsics: PinholeCamera,
    /// How depths are written.
    pub encoding: DepthEncoding,
    /// Nearest and furthest depth that the sensor measures well, metres.
    pub range_m: [f64; 2],
}

/// Encoding of depth images (REP-118).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DepthEncoding {
    /// Unsigned 16-bit millimetres.
    #[serde(rename = "16UC1")]
    U16Millimetres,
    /// 32-bit floating-point metres.
    #[serde(rename = "32FC1")]
    F32Metres,
}

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

    fn check(&self) -> Result<(), (&'static str, String)> {
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

/// Why a rig file was refused.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// The file cannot be read.
    #[error("rig file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is far too large.
    #[error("rig file {}: {bytes} bytes; a rig file has at most {MAX_FILE_BYTES}. Is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The text is not YAML of this form.
    #[error("rig file {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, field and what is wrong.
        message: String,
    },
    /// The version is not known.
    #[error("rig file {}: version is {found}, but this program reads version {RIG_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
    /// A value cannot be used.
    #[error("rig file {}: {field}: {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, for example `cameras[0].depth.intrinsics`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("rig file {} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Read first, so that a file of another version is told from a broken one.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Rig {
    /// Reads and checks a rig file.
    ///
    /// # Errors
    /// [`RigError`] naming the file and the field.
    pub fn load(path: &Path) -> Result<Self, RigError> {
        let read = |source| RigError::Read { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(read)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(RigError::TooLarge { path: path.to_owned(), bytes });
        }
        Self::from_yaml(&std::fs::read_to_string(path).map_err(read)?, path)
    }

    /// Reads and checks the text of a rig file; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Rig::load`].
    pub fn from_yaml(text: &str, path: &Path) -> Result<Self, RigError> {
        let parse = |e: serde_saphyr::Error| RigError::Parse { path: path.to_owned(), message: e.to_string() };
        let VersionOnly { version: found } = serde_saphyr::from_str(text).map_err(parse)?;
        if found != RIG_VERSION {
            return Err(RigError::Version { path: path.to_owned(), found });
        }
        let rig: Self = serde_saphyr::from_str(text).map_err(parse)?;
        rig.check(path)?;
        Ok(rig)
    }

    /// Checks and writes the rig; beside its place first, so that a failure leaves nothing half-written.
    ///
    /// # Errors
    /// [`RigError`] naming the file and the field.
    pub fn save(&self, path: &Path) -> Result<(), RigError> {
        self.check(path)?;
        let text = serde_saphyr::to_string(self)
            .map_err(|e| RigError::Parse { path: path.to_owned(), message: e.to_string() })?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|source| RigError::Write { path: path.to_owned(), source })
    }

    fn check(&self, path: &Path) -> Result<(), RigError> {
        let fault = |field: String, reason: String| Err(RigError::Field { path: path.to_owned(), field, reason });
        if self.cameras.is_empty() {
            return fault("cameras".to_owned(), "a rig has at least one camera".to_owned());
        }
        for (i, camera) in self.cameras.iter().enumerate() {
            if let Err((field, reason)) = camera.check() {
                return fault(format!("cameras[{i}].{field}"), reason);
            }
            if self.cameras[..i].iter().any(|c| c.name == camera.name) {
                return fault(
                    format!("cameras[{i}].name"),
                    format!("another camera is called {} already", camera.name),
                );
            }
        }
        Ok(())
    }
}

impl RigCamera {
    /// `color_from_depth`; the identity for depth aligned to colour.
    pub fn color_from_depth(&self) -> Isometry3<f64> {
        self.color_from_depth.map_or_else(Isometry3::identity, |t| t.isometry())
    }

    fn check(&self) -> Result<(), (String, String)> {
        let names = [
            ("name", &self.name),
            ("link_frame", &self.link_frame),
            ("color.frame_id", &self.color.frame_id),
            ("depth.frame_id", &self.depth.frame_id),
        ];
        if let Some((field, _)) = names.into_iter().find(|(_, name)| name.trim().is_empty()) {
            return Err((field.to_owned(), "it is empty".to_owned()));
        }
        for (field, camera) in [("color", &self.color.intrinsics), ("depth", &self.depth.intrinsics)] {
            camera.check().map_err(|e| (format!("{field}.intrinsics"), e.to_string()))?;
        }
        let [near, far] = self.depth.range_m;
        if !(near >= 0.0 && near < far && far.is_finite()) {
            let reason =
                format!("it is {near} to {far}; the nearer must not be negative, the further must lie beyond it");
            return Err(("depth.range_m".to_owned(), reason));
        }
        let transforms =
            [("link_from_depth", Some(&self.link_from_depth)), ("color_from_depth", self.color_from_depth.as_ref())];
        for (name, transform) in transforms {
            if let Some(Err((field, reason))) = transform.map(RigidTransform::check) {
                return Err((format!("{name}.{field}"), reason));
            }
        }
        match (self.color.frame_id == self.depth.frame_id, self.color_from_depth.is_some()) {
            (true, true) => {
                Err(("color_from_depth".to_owned(), "leave it out: color and depth have the same frame_id".to_owned()))
            }
            (false, false) => Err((
                "color_from_depth".to_owned(),
                "it is needed, as color and depth have different frame_ids".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rigs() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rigs");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    fn text_of(name: &str) -> String {
        std::fs::read_to_string(rigs().into_iter().find(|f| f.ends_with(name)).unwrap()).unwrap()
    }

    fn fault(text: &str) -> String {
        Rig::from_yaml(text, Path::new("my_rig.yaml")).unwrap_err().to_string()
    }

    #[test]
    fn every_rig_in_the_folder_loads_and_survives_saving() {
        assert!(rigs().len() >= 2);
        for (i, file) in rigs().iter().enumerate() {
            let rig = Rig::load(file).unwrap();
            assert_eq!(file.file_stem().unwrap().to_str().unwrap(), rig.name);
            let copy = std::env::temp_dir().join(format!("vantage_rig_{}_{i}.yaml", std::process::id()));
            rig.save(&copy).unwrap();
            let again = Rig::load(&copy);
            std::fs::remove_file(&copy).unwrap();
            assert_eq!(again.unwrap(), rig);
        }
    }

    #[test]
    fn optical_frames_look_forward() {
        for file in rigs() {
            for camera in Rig::load(&file).unwrap().cameras {
                let forward = camera.link_from_depth.isometry() * Vector3::z();
                assert!((forward - Vector3::x()).norm() < 1e-6, "{}", camera.name);
                assert!(camera.color_from_depth().rotation.angle() < 0.02);
            }
        }
    }

    #[test]
    fn faults_name_the_file_and_the_field() {
        let good = text_of("realsense_d435i.yaml");
        for (from, to, said) in [
            ("version: 1", "version: 9", "version is 9"),
            ("fx: 382.919", "fx: -1.0", "cameras[0].depth.intrinsics"),
            ("fx: 382.919", "fx: many", "many"),
            ("range_m: [0.3, 3.0]", "range_m: [3.0, 0.3]", "depth.range_m"),
            ("range_m: [0.3, 3.0]", "range: [0.3, 3.0]", "range"),
            ("rotation_xyzw: [-0.5, 0.5, -0.5, 0.5]", "rotation_xyzw: [0, 0, 0, 0]", "link_from_depth.rotation_xyzw"),
            ("frame_id: camera_color_optical_frame", "frame_id: \"\"", "color.frame_id"),
            ("frame_id: camera_color_optical_frame", "frame_id: camera_depth_optical_frame", "color_from_depth"),
            ("encoding: 16UC1", "encoding: 8UC1", "8UC1"),
        ] {
            assert!(good.contains(from), "{from}");
            let message = fault(&good.replace(from, to));
            assert!(message.contains("my_rig.yaml") && message.contains(said), "{to}: {message}");
        }
        assert!(fault("version: 1\nname: x\nsource: y\ncameras: []\n").contains("cameras"));
        assert!(Rig::load(Path::new("/no/such/rig.yaml")).unwrap_err().to_string().contains("/no/such/rig.yaml"));
    }
}
