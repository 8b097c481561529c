//! `<video_id>_frames/` in, RGB-D frames out: `lowres_wide/` colour and `lowres_depth/` depth, both PNG,
//! `lowres_wide_intrinsics/*.pincam`, `lowres_wide.traj`.
//!
//! Layout: DATA.md and benchmark_scripts/utils/tenFpsDataLoader.py of apple/ARKitScenes. Files are
//! `<video_id>_<seconds>.png`; a `.pincam` is `width height fx fy cx cy`; a line of `.traj` is a stamp, the rotation as
//! an axis times its angle, and the shift, from the world to the camera (z forward, x right, y down). Depth is 16-bit
//! millimetres. Intrinsics may be a millisecond off, poses five.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nalgebra::{Isometry3, Vector3};
use vantage_calibration::{Distortion, PinholeCamera};
use vantage_node::source::pixels;
use vantage_scene::{CameraId, RgbdFrame};

use crate::data::loaders::file;
use crate::data::loaders::finding::{Fault, Findings, Place};

const COLOR: &str = "lowres_wide";
const DEPTH: &str = "lowres_depth";
const INTRINSICS: &str = "lowres_wide_intrinsics";
const TRAJECTORY: &str = "lowres_wide.traj";
/// How far stamps of intrinsics and of poses may be from a picture's, milliseconds.
const INTRINSICS_MILLIS: i64 = 1;
const POSE_MILLIS: i64 = 5;
const REMEDY: &str = "get the video again with ARKitScenes' download_data.py";

/// The frames of a video that have colour, depth, intrinsics and a pose.
#[derive(Debug)]
pub struct ArkitFrames {
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    millis: i64,
    color: PathBuf,
    depth: PathBuf,
    intrinsics: PathBuf,
    world_from_camera: Isometry3<f64>,
}

impl ArkitFrames {
    /// Lists the frames of the video whose folder this is. Pictures without companions are counted in a note each kind;
    /// a line of the trajectory that is none is reported.
    pub fn open(folder: &Path, findings: &mut Findings) -> Self {
        let frames = folder.join(format!("{}_frames", file::name(folder)));
        let mut out = Self { frames: Vec::new() };
        let path = frames.join(TRAJECTORY);
        let poses = match file::read_text(&path) {
            Ok(text) => trajectory(&text, &path, findings),
            Err(fault) => {
                let _ = findings.report(fault.error(&path, Place::File));
                return out;
            }
        };
        let (color, depth) =
            (stamped(&frames.join(COLOR), "png", findings), stamped(&frames.join(DEPTH), "png", findings));
        let intrinsics = stamped(&frames.join(INTRINSICS), "pincam", findings);
        let mut lacking: BTreeMap<&str, usize> = BTreeMap::new();
        for (millis, depth) in depth {
            let found = (
                nearest(&color, millis, 0),
                nearest(&intrinsics, millis, INTRINSICS_MILLIS),
                nearest(&poses, millis, POSE_MILLIS),
            );
            match found {
                (Some(color), Some(intrinsics), Some(pose)) => out.frames.push(Frame {
                    millis,
                    color: color.clone(),
                    depth,
                    intrinsics: intrinsics.clone(),
                    world_from_camera: *pose,
                }),
                (None, ..) => *lacking.entry("a colour picture").or_default() += 1,
                (_, None, _) => *lacking.entry("intrinsics").or_default() += 1,
                (.., None) => *lacking.entry("a pose").or_default() += 1,
            }
        }
        for (what, count) in lacking {
            let fault = Fault::new("", format!("holds {count} pictures without {what}; they are left out"), REMEDY);
            let _ = findings.report(fault.note(&frames.join(DEPTH), Place::File));
        }
        if out.frames.is_empty() && !findings.is_over() {
            let _ = findings.report(Fault::new("", "gives no frame", REMEDY).warning(&frames, Place::File));
        }
        out
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Reads frame `index`; `None` after the last.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn frame(&self, index: usize) -> Option<Result<RgbdFrame, (PathBuf, String)>> {
        self.frames.get(index).map(|frame| frame.read().map_err(|(path, what)| (path.to_owned(), what)))
    }
}

impl Frame {
    fn read(&self) -> Result<RgbdFrame, (&Path, String)> {
        let bytes = |path| file::read_small(path).map_err(|fault| (path, fault.what));
        let color = pixels::compressed_color("png", &bytes(self.color.as_path())?)
            .map_err(|e| (self.color.as_path(), e.to_string()))?;
        let depth = pixels::compressed_depth("16UC1", &bytes(self.depth.as_path())?)
            .map_err(|e| (self.depth.as_path(), e.to_string()))?;
        let text = file::read_text(&self.intrinsics).map_err(|fault| (self.intrinsics.as_path(), fault.what))?;
        let camera = pincam(&text).map_err(|what| (self.intrinsics.as_path(), what))?;
        if (camera.width, camera.height) != (depth.width, depth.height) {
            let what = format!("is of {}x{}, depth has {}x{}", camera.width, camera.height, depth.width, depth.height);
            return Err((&self.intrinsics, what));
        }
        Ok(RgbdFrame {
            camera_id: CameraId::default(),
            stamp: self.millis.saturating_mul(1_000_000),
            color: Arc::new(color),
            depth: Arc::new(depth),
            camera,
            world_from_camera: self.world_from_camera,
        })
    }
}

/// Files `<video_id>_<seconds>.<ending>` of a folder, by milliseconds.
fn stamped(folder: &Path, ending: &str, findings: &mut Findings) -> BTreeMap<i64, PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = findings
                .report(Fault::new("", format!("cannot be listed: {error}"), REMEDY).warning(folder, Place::File));
            return BTreeMap::new();
        }
    };
    let mut out = BTreeMap::new();
    let mut unnamed = 0;
    for path in entries.filter_map(|entry| entry.ok().map(|e| e.path())) {
        if path.extension().is_none_or(|e| e != ending) {
            continue;
        }
        match file::stem(&path).rsplit_once('_').and_then(|(_, seconds)| millis(seconds)) {
            Some(millis) => {
                out.insert(millis, path);
            }
            None => unnamed += 1,
        }
    }
    if unnamed > 0 {
        let what = format!("holds {unnamed} .{ending} files whose names end in no stamp; they are left out");
        let _ = findings.report(Fault::new("", what, REMEDY).note(folder, Place::File));
    }
    out
}

fn millis(seconds: &str) -> Option<i64> {
    let millis = 1000.0 * seconds.parse::<f64>().ok()?;
    // below 2^53, so that the number is exact
    (0.0..9.0e15).contains(&millis).then(|| millis.round() as i64)
}

fn nearest<T>(all: &BTreeMap<i64, T>, millis: i64, within: i64) -> Option<&T> {
    all.range(millis - within..=millis + within).min_by_key(|(at, _)| (*at - millis).abs()).map(|(_, found)| found)
}

fn trajectory(text: &str, path: &Path, findings: &mut Findings) -> BTreeMap<i64, Isometry3<f64>> {
    let mut out = BTreeMap::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        match pose(line) {
            Ok((millis, pose)) => {
                out.insert(millis, pose);
            }
            Err(what) => {
                if findings.report(Fault::new("", what, REMEDY).error(path, Place::Line(number))).is_break() {
                    break;
                }
            }
        }
    }
    out
}

/// A line of a trajectory: milliseconds, and `world_from_camera`.
fn pose(line: &str) -> Result<(i64, Isometry3<f64>), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [stamp, numbers @ ..] = words.as_slice() else { return Err("is empty".to_owned()) };
    if numbers.len() != 6 {
        return Err(format!("has {} numbers, a pose has 7", words.len()));
    }
    let mut all = [0.0; 6];
    for (out, word) in all.iter_mut().zip(numbers) {
        let number = word.parse().ok().filter(|x: &f64| x.is_finite());
        *out = number.ok_or_else(|| format!("has `{word}` where a finite number must be"))?;
    }
    let millis = millis(stamp).ok_or_else(|| format!("has `{stamp}` where a stamp must be"))?;
    let camera_from_world = Isometry3::new(Vector3::new(all[3], all[4], all[5]), Vector3::new(all[0], all[1], all[2]));
    Ok((millis, camera_from_world.inverse()))
}

fn pincam(text: &str) -> Result<PinholeCamera, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [width, height, fx, fy, cx, cy] = words.as_slice() else {
        return Err(format!("has {} numbers, it must have 6", words.len()));
    };
    let number = |word: &str| word.parse::<f64>().map_err(|_| format!("has `{word}` where a number must be"));
    let pixels = |word: &str| {
        let side = number(word)?;
        // whole, and small enough to be exact; what is too large for a picture, the camera refuses
        if side.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&side) {
            Ok(side as u32)
        } else {
            Err(format!("has `{word}` where a picture's side must be"))
        }
    };
    let camera = PinholeCamera::new(
        pixels(width)?,
        pixels(height)?,
        number(fx)?,
        number(fy)?,
        number(cx)?,
        number(cy)?,
        Distortion::None,
    );
    camera.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;
    use std::f64::consts::FRAC_PI_2;

    #[test]
    fn a_trajectory_gives_the_way_to_the_camera_and_is_turned_round() {
        let (millis, world_from_camera) = pose(&format!("6845.7061 0 0 {FRAC_PI_2} 1 2 3")).unwrap();
        assert_eq!(millis, 6_845_706);
        // camera = turn(world) + (1, 2, 3), so the camera's origin lies where turn(world) = (-1, -2, -3)
        let origin = world_from_camera * Point3::origin();
        assert!((origin - Point3::new(-2.0, 1.0, -3.0)).norm() < 1.0e-12, "{origin}");
        assert!(pose("1 2 3").unwrap_err().contains("has 3 numbers"));
        assert!(pose("1 2 3 4 5 6 nan").unwrap_err().contains("`nan`"));
    }

    #[test]
    fn intrinsics_are_six_numbers() {
        let camera = pincam("256 192 211.9 211.9 127.9 95.6\n").unwrap();
        assert_eq!((camera.width, camera.height, camera.cy), (256, 192, 95.6));
        assert!(pincam("256 192 1 1").unwrap_err().contains("has 4 numbers"));
        assert!(pincam("256.5 192 1 1 1 1").unwrap_err().contains("side"));
        assert!(pincam("256 192 -1 1 1 1").unwrap_err().contains("fx"));
        assert!(pincam("9000000 192 1 1 1 1").is_err());
    }
}
