//! Rig files in, checked camera rigs out, and back: YAML that says what RGB-D cameras a robot carries and how they are mounted.
//!
//! The format has a version; unknown fields are refused, and every error names the file and the field. Version 2 added
//! `time_offset_s` to both streams and `model` to depth; a file of version 1 is read with their defaults and saved as 2.

use std::path::{Path, PathBuf};

use nalgebra::Isometry3;
use serde::{Deserialize, Serialize};

use crate::camera::PinholeCamera;
use crate::depth::DepthModel;
use crate::rigid_transform::RigidTransform;
use crate::text_file::{self, FileError};

/// Version of the format that this program writes.
pub const RIG_VERSION: u32 = 2;
/// Oldest version that this program reads.
const OLDEST_VERSION: u32 = 1;
/// Largest offset of a stream's clock, seconds: more is another recording, not a delay.
const MAX_TIME_OFFSET_S: f64 = 10.0;

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
    /// Added to the stream's stamps to get the true time, seconds.
    #[serde(default)]
    pub time_offset_s: f64,
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
    /// Nearest and furthest depth that the sensor measures well, metres, after correction by `model`.
    pub range_m: [f64; 2],
    /// Added to the stream's stamps to get the true time, seconds.
    #[serde(default)]
    pub time_offset_s: f64,
    /// How readings and true depths are related.
    #[serde(default)]
    pub model: DepthModel,
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

/// Why a rig file was refused.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// The file cannot be read or written.
    #[error("rig file {0}")]
    File(FileError),
    /// The text is not YAML of this form.
    #[error("rig file {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, field and what is wrong.
        message: String,
    },
    /// The version is not known.
    #[error(
        "rig file {}: version is {found}, but this program reads versions {OLDEST_VERSION} to {RIG_VERSION}", path.display()
    )]
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
        Self::from_yaml(&text_file::read(path).map_err(RigError::File)?, path)
    }

    /// Reads and checks the text of a rig file; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Rig::load`].
    pub fn from_yaml(text: &str, path: &Path) -> Result<Self, RigError> {
        let parse = |e: serde_saphyr::Error| RigError::Parse { path: path.to_owned(), message: e.to_string() };
        let VersionOnly { version: found } = serde_saphyr::from_str(text).map_err(parse)?;
        if !(OLDEST_VERSION..=RIG_VERSION).contains(&found) {
            return Err(RigError::Version { path: path.to_owned(), found });
        }
        let mut rig: Self = serde_saphyr::from_str(text).map_err(parse)?;
        rig.version = RIG_VERSION;
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
        text_file::write_whole(path, text.as_bytes()).map_err(RigError::File)
    }

    fn check(&self, path: &Path) -> Result<(), RigError> {
        let fault = |field: String, reason: String| Err(RigError::Field { path: path.to_owned(), field, reason });
        if self.version != RIG_VERSION {
            return Err(RigError::Version { path: path.to_owned(), found: self.version });
        }
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
        for (field, offset) in [("color", self.color.time_offset_s), ("depth", self.depth.time_offset_s)] {
            if !(-MAX_TIME_OFFSET_S..=MAX_TIME_OFFSET_S).contains(&offset) {
                let reason = format!("it is {offset}; it must be within {MAX_TIME_OFFSET_S} s. Is it in seconds?");
                return Err((format!("{field}.time_offset_s"), reason));
            }
        }
        self.depth.model.check().map_err(|e| (format!("depth.model.{}", e.field), e.to_string()))?;
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

/// Seconds of an offset as nanoseconds, to add to a stamp.
fn nanos(offset_s: f64) -> i64 {
    // a cast saturates, and NaN is 0
    (offset_s * 1.0e9).round() as i64
}

impl ColorStream {
    /// `time_offset_s` in nanoseconds, to add to a stamp.
    pub fn time_offset_nanos(&self) -> i64 {
        nanos(self.time_offset_s)
    }
}

impl DepthStream {
    /// `time_offset_s` in nanoseconds, to add to a stamp.
    pub fn time_offset_nanos(&self) -> i64 {
        nanos(self.time_offset_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;
    use proptest::prelude::*;

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
        assert!(rigs().len() >= 7);
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
                // the depth cameras of the Kinects look down by some six degrees
                assert!(camera.color_from_depth().rotation.angle() < 0.12, "{}", camera.name);
            }
        }
    }

    #[test]
    fn faults_name_the_file_and_the_field() {
        let good = text_of("realsense_d435i.yaml");
        for (from, to, said) in [
            ("version: 2", "version: 9", "version is 9"),
            ("fx: 382.919", "fx: -1.0", "cameras[0].depth.intrinsics"),
            ("fx: 382.919", "fx: many", "many"),
            ("range_m: [0.3, 3.0]", "range_m: [3.0, 0.3]", "depth.range_m"),
            ("range_m: [0.3, 3.0]", "range: [0.3, 3.0]", "range"),
            ("rotation_xyzw: [-0.5, 0.5, -0.5, 0.5]", "rotation_xyzw: [0, 0, 0, 0]", "link_from_depth.rotation_xyzw"),
            ("frame_id: camera_color_optical_frame", "frame_id: \"\"", "color.frame_id"),
            ("frame_id: camera_color_optical_frame", "frame_id: camera_depth_optical_frame", "color_from_depth"),
            ("encoding: 16UC1", "encoding: 8UC1", "8UC1"),
            ("encoding: 16UC1", "encoding: 16UC1\n      time_offset_s: 1e3", "depth.time_offset_s"),
            ("encoding: 16UC1", "encoding: 16UC1\n      time_offset_s: .nan", ".nan"),
            ("base_m: 0.0", "base_m: -1.0", "depth.model.noise.base_m"),
            ("base_m: 0.0", "base: 0.0", "base"),
        ] {
            assert!(good.contains(from), "{from}");
            let message = fault(&good.replace(from, to));
            assert!(message.contains("my_rig.yaml") && message.contains(said), "{to}: {message}");
        }
        assert!(fault("version: 2\nname: x\nsource: y\ncameras: []\n").contains("cameras"));
        assert!(Rig::load(Path::new("/no/such/rig.yaml")).unwrap_err().to_string().contains("/no/such/rig.yaml"));
    }

    #[test]
    fn a_file_of_version_1_is_read_with_neutral_defaults() {
        let text = text_of("icl_nuim.yaml");
        let old = text.replace("version: 2", "version: 1");
        assert!(old != text && !old.contains("time_offset_s") && !old.contains("model:"));
        let rig = Rig::from_yaml(&old, Path::new("old.yaml")).unwrap();
        assert_eq!(rig, Rig::from_yaml(&text, Path::new("new.yaml")).unwrap());
        let camera = &rig.cameras[0];
        assert_eq!((camera.color.time_offset_nanos(), camera.depth.time_offset_nanos()), (0, 0));
        assert_eq!(camera.depth.model, DepthModel::default());
    }

    #[test]
    fn a_robot_may_carry_several_cameras_with_different_names() {
        let mut rig = Rig::load(&rigs()[0]).unwrap();
        let mut rear = rig.cameras[0].clone();
        rig.cameras.push(rear.clone());
        assert!(rig.save(Path::new("/no/such/rig.yaml")).unwrap_err().to_string().contains("cameras[1].name"));
        rear.name = "rear".to_owned();
        rig.cameras[1] = rear;
        let text = serde_saphyr::to_string(&rig).unwrap();
        assert_eq!(Rig::from_yaml(&text, Path::new("two.yaml")).unwrap(), rig);
    }

    proptest! {
        #[test]
        fn any_text_gives_an_error(text in "\\PC{0,200}") {
            prop_assert!(Rig::from_yaml(&text, Path::new("any.yaml")).is_err());
        }

        #[test]
        fn a_damaged_file_gives_a_checked_rig_or_an_error(
            file in 0..7usize, at in 0.0..1.0f64, length in 0..60usize, put in "[-0-9a-z:\\[\\]{}&*!|>'\"., \n]{0,12}"
        ) {
            let text = std::fs::read_to_string(&rigs()[file]).unwrap();
            prop_assume!(text.is_ascii());
            let at = (at * text.len() as f64) as usize;
            let end = (at + length).min(text.len());
            let damaged = format!("{}{put}{}", &text[..at], &text[end..]);
            if let Ok(rig) = Rig::from_yaml(&damaged, Path::new("damaged.yaml")) {
                prop_assert!(rig.check(Path::new("damaged.yaml")).is_ok());
            }
        }
    }
}
