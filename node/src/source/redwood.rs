//! A folder of RGB-D frames in Redwood's layout in, frames out.
//!
//! `color/` holds JPEG or PNG pictures, `depth/` 16-bit PNG pictures in millimetres, both in the order of their names;
//! `trajectory.log` five lines a frame: a heading, and the four rows of world_from_camera (camera axes right, down, forward).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nalgebra::{Isometry3, Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use vantage_calibration::{Distortion, PinholeCamera};
use vantage_scene::{CameraId, RgbdFrame};

use super::error::SourceError;
use super::pixels;

/// Largest trajectory file read, bytes.
const MAX_TRAJECTORY_BYTES: u64 = 64 << 20;
/// Largest picture file read, bytes.
const MAX_PICTURE_BYTES: u64 = 256 << 20;
/// Time between frames, as of a camera at 30 Hz, nanoseconds.
pub const FRAME_PERIOD_NANOS: i64 = 33_333_333;
/// How far the rows of a pose may be from those of a rotation.
const ROTATION_TOLERANCE: f64 = 1.0e-3;

/// Such a folder. The first camera's frame, turned so that z points up as far as it looks ahead, is the world.
#[derive(Debug)]
pub struct RedwoodFolder {
    colors: Vec<PathBuf>,
    depths: Vec<PathBuf>,
    poses: Vec<Isometry3<f64>>,
    /// fx, fy, cx, cy in pixels.
    intrinsics: [f64; 4],
}

impl RedwoodFolder {
    /// Lists the pictures and reads the trajectory.
    ///
    /// # Errors
    /// [`SourceError`] naming the file and the line.
    pub fn open(folder: &Path, intrinsics: [f64; 4]) -> Result<Self, SourceError> {
        let colors = pictures(&folder.join("color"))?;
        let depths = pictures(&folder.join("depth"))?;
        let trajectory = folder.join("trajectory.log");
        let poses = read_trajectory(&trajectory)?;
        let counts = [colors.len(), depths.len(), poses.len()];
        if counts[0] == 0 || counts.iter().any(|n| *n != counts[0]) {
            return Err(SourceError::Damaged {
                file: folder.to_owned(),
                place: "its files".to_owned(),
                reason: format!(
                    "color/ holds {} pictures, depth/ {}, trajectory.log {} poses; they must be equally many",
                    counts[0], counts[1], counts[2]
                ),
            });
        }
        Ok(Self { colors, depths, poses, intrinsics })
    }

    /// Number of frames; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.poses.len()
    }

    /// Reads frame `i` (counted on from the first after the last), stamped as by a camera at 30 Hz.
    ///
    /// # Errors
    /// [`SourceError`] naming the file.
    pub fn frame(&self, i: usize) -> Result<RgbdFrame, SourceError> {
        let k = i % self.len();
        let (color_file, depth_file) = (&self.colors[k], &self.depths[k]);
        let damaged = |file: &Path, reason: String| SourceError::Damaged {
            file: file.to_owned(),
            place: "its picture".to_owned(),
            reason,
        };
        let color = pixels::compressed_color("picture", &read_file(color_file)?)
            .map_err(|e| damaged(color_file, e.to_string()))?;
        let depth = pixels::compressed_depth("16UC1", &read_file(depth_file)?)
            .map_err(|e| damaged(depth_file, e.to_string()))?;
        let [fx, fy, cx, cy] = self.intrinsics;
        let camera = PinholeCamera::new(depth.width, depth.height, fx, fy, cx, cy, Distortion::None)
            .map_err(|e| damaged(depth_file, e.to_string()))?;
        Ok(RgbdFrame {
            camera_id: CameraId::default(),
            stamp: (i as i64).saturating_mul(FRAME_PERIOD_NANOS),
            color: Arc::new(color),
            depth: Arc::new(depth),
            camera,
            world_from_camera: self.poses[k],
        })
    }
}

fn read_file(file: &Path) -> Result<Vec<u8>, SourceError> {
    let io = |source| SourceError::File { file: file.to_owned(), source };
    let bytes = std::fs::metadata(file).map_err(io)?.len();
    if bytes > MAX_PICTURE_BYTES {
        let reason = format!("{bytes} bytes, more than any picture of a camera");
        return Err(SourceError::Damaged { file: file.to_owned(), place: "its size".to_owned(), reason });
    }
    std::fs::read(file).map_err(io)
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let io = |source| SourceError::File { file: folder.to_owned(), source };
    let is_picture = |path: &PathBuf| path.extension().is_some_and(|e| e == "png" || e == "jpg" || e == "jpeg");
    let entries = std::fs::read_dir(folder).map_err(io)?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).filter(is_picture).collect();
    files.sort();
    Ok(files)
}

fn read_trajectory(file: &Path) -> Result<Vec<Isometry3<f64>>, SourceError> {
    let io = |source| SourceError::File { file: file.to_owned(), source };
    let meta = std::fs::metadata(file).map_err(io)?;
    let bytes = meta.len();
    let damaged = |place: String, reason: String| SourceError::Damaged { file: file.to_owned(), place, reason };
    if !meta.is_file() {
        return Err(io(std::io::Error::other("it is no regular file")));
    }
    if bytes > MAX_TRAJECTORY_BYTES {
        return Err(damaged("its size".to_owned(), format!("{bytes} bytes, more than {MAX_TRAJECTORY_BYTES}")));
    }
    let text = std::fs::read_to_string(file).map_err(io)?;
    let (places, lines): (Vec<usize>, Vec<&str>) =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).unzip();
    let mut poses = Vec::with_capacity(lines.len() / 5);
    for (five, places) in lines.chunks(5).zip(places.chunks(5)) {
        let place = format!("line {}", places[0] + 1);
        let pose = pose_of(five).map_err(|reason| damaged(place, reason))?;
        poses.push(link_from_optical() * pose);
    }
    Ok(poses)
}

/// The optical frame's axes (right, down, forward) seen from a body frame (forward, left, up).
fn link_from_optical() -> Isometry3<f64> {
    let rotation = Rotation3::from_basis_unchecked(&[-Vector3::y(), -Vector3::z(), Vector3::x()]);
    Isometry3::from_parts(Translation3::identity(), UnitQuaternion::from_rotation_matrix(&rotation))
}

/// The pose of one heading and four rows.
fn pose_of(five: &[&str]) -> Result<Isometry3<f64>, String> {
    let &[_, a, b, c, _] = five else { return Err("a pose has five lines".to_owned()) };
    let mut rows = [[0.0; 4]; 3];
    for (row, line) in rows.iter_mut().zip([a, b, c]) {
        let mut words = line.split_whitespace();
        for x in row.iter_mut() {
            let word = words.next().ok_or("a row has four numbers")?;
            *x = word.parse().ok().filter(|x: &f64| x.is_finite()).ok_or(format!("`{word}` is no number"))?;
        }
    }
    let matrix = Matrix3::from_fn(|i, j| rows[i][j]);
    if (matrix * matrix.transpose() - Matrix3::identity()).norm() > ROTATION_TOLERANCE || matrix.determinant() < 0.0 {
        return Err("its first three columns are no rotation".to_owned());
    }
    let rotation = UnitQuaternion::from_matrix(&matrix);
    Ok(Isometry3::from_parts(Translation3::new(rows[0][3], rows[1][3], rows[2][3]), rotation))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSE: &str = "0 0 1\n1 0 0 0.5\n0 1 0 0\n0 0 1 2\n0 0 0 1\n";

    fn folder(trajectory: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("color")).unwrap();
        std::fs::create_dir(dir.path().join("depth")).unwrap();
        let color = image::RgbImage::from_pixel(4, 3, image::Rgb([9, 8, 7]));
        color.save(dir.path().join("color/1.png")).unwrap();
        let depth = image::ImageBuffer::from_pixel(4, 3, image::Luma([1500u16]));
        depth.save(dir.path().join("depth/1.png")).unwrap();
        std::fs::write(dir.path().join("trajectory.log"), trajectory).unwrap();
        dir
    }

    fn open(dir: &tempfile::TempDir) -> Result<RedwoodFolder, SourceError> {
        RedwoodFolder::open(dir.path(), [5.0, 5.0, 1.5, 1.0])
    }

    #[test]
    fn frames_come_out_in_metres_with_z_up() {
        let dir = folder(POSE);
        let frames = open(&dir).unwrap();
        let frame = frames.frame(3).unwrap();
        assert_eq!((frames.len(), frame.stamp, frame.depth.data[0]), (1, 3 * FRAME_PERIOD_NANOS, 1.5));
        assert_eq!(frame.color.data[..3], [9, 8, 7]);
        // 2 m ahead and 0.5 m to the right
        assert!((frame.world_from_camera.translation.vector - Vector3::new(2.0, -0.5, 0.0)).norm() < 1e-12);
        assert!((frame.world_from_camera * Vector3::y() + Vector3::z()).norm() < 1e-9);
    }

    #[test]
    fn faults_name_the_file_and_the_line() {
        for (trajectory, said) in [
            ("", "0 poses"),
            ("0 0 1\n1 0 0 0.5\n", "five lines"),
            (&POSE.replace("0.5", "x"), "`x` is no number"),
            (&POSE.replace("0.5", "NaN"), "no number"),
            (&POSE.replace("1 0 0 0.5", "2 0 0 0.5"), "no rotation"),
            (&format!("{POSE}{POSE}"), "equally many"),
        ] {
            let message = format!("{:#}", anyhow::Error::from(open(&folder(trajectory)).unwrap_err()));
            assert!(message.contains(said), "{message}");
        }
        let dir = folder(POSE);
        std::fs::write(dir.path().join("depth/1.png"), b"no picture").unwrap();
        let message = open(&dir).unwrap().frame(0).unwrap_err().to_string();
        assert!(message.contains("depth/1.png"), "{message}");
        let missing = RedwoodFolder::open(Path::new("/no/such/frames"), [1.0; 4]).unwrap_err();
        assert!(missing.to_string().contains("/no/such/frames/color"));
    }
}
