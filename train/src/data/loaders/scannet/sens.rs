//! A `.sens` file of ScanNet in, one RGB-D frame at a time out; never more than one frame is in memory.
//!
//! Layout (version 4, little-endian; SensReader/src/sensorData.h and python/SensorData.py of ScanNet/ScanNet): u32
//! version; u64 length and bytes of the sensor's name; four row-major 4x4 matrices of f32: intrinsics and extrinsics of
//! colour, then of depth; i32 colour compression (0 raw, 1 png, 2 jpeg), i32 depth compression (0 raw u16, 1 zlib u16,
//! 2 occipital); u32 colour width, height, depth width, height; f32 depth units a metre; u64 number of frames. A frame:
//! 16 f32 camera to world (-inf where tracking was lost); u64 colour and depth stamps, microseconds; u64 colour and
//! depth bytes; the bytes. Then IMU readings, which are not read.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use nalgebra::Isometry3;
use vantage_calibration::{Distortion, PinholeCamera, RayTable};
use vantage_node::source::pixels;
use vantage_scene::{CameraId, ColorImage, DepthImage, RgbdFrame, register_depth};

use crate::data::loaders::file;
use crate::data::loaders::finding::{Fault, Place};
use crate::data::loaders::pose;

const VERSION: u32 = 4;
/// Largest `.sens` file, bytes; the largest published ones have 6 GB.
const MAX_SENS_BYTES: u64 = 64 << 30;
/// Longest name of a sensor, bytes.
const MAX_NAME_BYTES: u64 = 4096;
/// Most bytes of one picture as it is stored.
const MAX_PICTURE_BYTES: u64 = 128 << 20;
/// Most pixels of a depth picture; ScanNet's have a thirteenth of it.
const MAX_DEPTH_PIXELS: u64 = 1 << 22;
/// Bytes of a frame before its pictures: pose, two stamps, two sizes.
const FRAME_HEAD_BYTES: u64 = 16 * 4 + 4 * 8;
/// Time between frames where stamps are zero: a camera at 30 Hz, nanoseconds.
const FRAME_PERIOD_NANOS: i64 = 33_333_333;
const REMEDY: &str = "get the file again from ScanNet's release";

/// What is wrong, and in which frame.
pub type SensFault = (String, Option<u64>);

/// The head of the file.
#[derive(Debug, Clone)]
pub struct SensHeader {
    /// Name of the sensor.
    pub sensor: String,
    /// Colour intrinsics, at the colour pictures' size.
    pub color_camera: PinholeCamera,
    /// Depth intrinsics, at the depth pictures' size.
    pub depth_camera: PinholeCamera,
    /// From the colour camera to the frame that poses are given for.
    pub base_from_color: Isometry3<f64>,
    /// From the depth camera to the frame that poses are given for.
    pub base_from_depth: Isometry3<f64>,
    /// Depth values a metre.
    pub depth_shift: f32,
    /// Frames that the file says it has.
    pub frames: u64,
    color_compression: i32,
    depth_compression: i32,
}

/// One frame, decoded.
#[derive(Debug, Clone)]
pub struct SensFrame {
    /// Its number, from 0.
    pub index: u64,
    /// When colour was taken, microseconds.
    pub color_stamp_micros: u64,
    /// When depth was taken, microseconds.
    pub depth_stamp_micros: u64,
    /// Colour.
    pub color: ColorImage,
    /// Depth, as the depth camera saw it.
    pub depth: DepthImage,
    /// From the base frame to the scan's own frame; `None` where tracking was lost.
    pub raw_from_base: Option<Isometry3<f64>>,
}

/// What going through a file has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensCheck {
    /// Frames there.
    pub frames: u64,
    /// Frames without a pose.
    pub lost: u64,
}

/// Reads frames one after another.
#[derive(Debug)]
pub struct SensReader<R> {
    reader: R,
    length: u64,
    header: SensHeader,
    next: u64,
    /// Of the depth camera; made when the first frame is carried over.
    rays: OnceLock<RayTable>,
}

/// Sizes and pose of a frame, before its pictures.
struct Head {
    /// A pose that is none does not end reading: the next frame's place is known.
    raw_from_base: Result<Option<Isometry3<f64>>, String>,
    stamps: [u64; 2],
    sizes: [u64; 2],
}

impl SensReader<BufReader<File>> {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(path: &Path) -> Result<Self, SensFault> {
        let (reader, length) = file::open(path, MAX_SENS_BYTES).map_err(|fault| (fault.what, None))?;
        Self::new(reader, length)
    }
}

impl<R: Read + Seek> SensReader<R> {
    /// Reads the head; `length` is the file's, bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(mut reader: R, length: u64) -> Result<Self, SensFault> {
        let header = read_header(&mut reader).map_err(|what| (what, None))?;
        Ok(Self { reader, length, header, next: 0, rays: OnceLock::new() })
    }

    /// The head.
    pub fn header(&self) -> &SensHeader {
        &self.header
    }

    /// The next frame, decoded; `None` after the last. After a frame that cannot be decoded the next can be read; after
    /// a cut-off one nothing can, and every call says so.
    ///
    /// # Errors
    /// What is wrong, with the frame's number.
    pub fn next_frame(&mut self) -> Result<Option<SensFrame>, SensFault> {
        if self.next == self.header.frames {
            return Ok(None);
        }
        let index = self.next;
        let numbered = |what: String| (what, Some(index));
        let head = self.head().map_err(numbered)?;
        let color = read_bytes(&mut self.reader, head.sizes[0]).map_err(numbered)?;
        let depth = read_bytes(&mut self.reader, head.sizes[1]).map_err(numbered)?;
        self.next += 1;
        Ok(Some(SensFrame {
            index,
            color_stamp_micros: head.stamps[0],
            depth_stamp_micros: head.stamps[1],
            color: self.header.color(color).map_err(numbered)?,
            depth: self.header.depth(&depth).map_err(numbered)?,
            raw_from_base: head.raw_from_base.map_err(numbered)?,
        }))
    }

    /// Goes through all frames that are left without decoding them: whether all are there, and how many have no pose.
    ///
    /// # Errors
    /// What is wrong, with the frame's number.
    pub fn check(&mut self) -> Result<SensCheck, SensFault> {
        let mut lost = 0;
        while self.next < self.header.frames {
            let index = self.next;
            let numbered = |what: String| (what, Some(index));
            let head = self.head().map_err(numbered)?;
            let skip = i64::try_from(head.sizes[0] + head.sizes[1]).map_err(|e| numbered(e.to_string()))?;
            self.reader.seek_relative(skip).map_err(|e| numbered(e.to_string()))?;
            lost += u64::from(head.raw_from_base.map_err(numbered)?.is_none());
            self.next += 1;
        }
        Ok(SensCheck { frames: self.header.frames, lost })
    }

    /// The head of the next frame, of which all bytes are there.
    fn head(&mut self) -> Result<Head, String> {
        let at = self.reader.stream_position().map_err(|e| e.to_string())?;
        let left = self.length.saturating_sub(at);
        if left < FRAME_HEAD_BYTES {
            return Err(format!("is cut off: the file says {} frames, and {left} bytes are left", self.header.frames));
        }
        let rows = floats::<16, _>(&mut self.reader)?;
        let raw_from_base = match rows.iter().all(|x| x.is_finite()) {
            true => pose::from_rows(&rows).map(Some).map_err(|what| format!("has a pose that {what}")),
            false => Ok(None),
        };
        let stamps = [u64_of(&mut self.reader)?, u64_of(&mut self.reader)?];
        let sizes = [u64_of(&mut self.reader)?, u64_of(&mut self.reader)?];
        let needed = sizes[0].saturating_add(sizes[1]);
        if let Some(size) = sizes.iter().find(|s| **s > MAX_PICTURE_BYTES) {
            return Err(format!("has a picture of {size} bytes, more than {MAX_PICTURE_BYTES}"));
        }
        if needed > left - FRAME_HEAD_BYTES {
            return Err(format!("is cut off: its pictures have {needed} bytes, {} are left", left - FRAME_HEAD_BYTES));
        }
        Ok(Head { raw_from_base, stamps, sizes })
    }

    /// The frame as fusion reads it: depth carried into the colour camera's view, at the depth picture's size, the
    /// world being that of the boxes. `None` where tracking was lost.
    pub fn rgbd(&self, frame: &SensFrame, world_from_raw: &Isometry3<f64>) -> Option<RgbdFrame> {
        let header = &self.header;
        let raw_from_base = frame.raw_from_base?;
        let camera = scaled(&header.color_camera, header.depth_camera.width, header.depth_camera.height);
        let color_from_depth = header.base_from_color.inverse() * header.base_from_depth;
        let mut depth = DepthImage { width: 0, height: 0, data: Vec::new() };
        let rays = self.rays.get_or_init(|| RayTable::new(&header.depth_camera));
        register_depth(&frame.depth, rays, &camera, &color_from_depth, &mut depth);
        let by_number = i64::try_from(frame.index).unwrap_or(i64::MAX).saturating_mul(FRAME_PERIOD_NANOS);
        let by_stamp = i64::try_from(frame.depth_stamp_micros.saturating_mul(1000)).unwrap_or(i64::MAX);
        Some(RgbdFrame {
            camera_id: CameraId::default(),
            stamp: if frame.depth_stamp_micros == 0 { by_number } else { by_stamp },
            color: Arc::new(frame.color.clone()),
            depth: Arc::new(depth),
            camera,
            world_from_camera: world_from_raw * raw_from_base * header.base_from_color,
        })
    }
}

/// The camera at another size; pixel centres lie at integers.
fn scaled(camera: &PinholeCamera, width: u32, height: u32) -> PinholeCamera {
    let (sx, sy) = (f64::from(width) / f64::from(camera.width), f64::from(height) / f64::from(camera.height));
    PinholeCamera {
        width,
        height,
        fx: camera.fx * sx,
        fy: camera.fy * sy,
        cx: (camera.cx + 0.5) * sx - 0.5,
        cy: (camera.cy + 0.5) * sy - 0.5,
        distortion: Distortion::None,
    }
}

impl SensHeader {
    fn color(&self, bytes: Vec<u8>) -> Result<ColorImage, String> {
        let (width, height) = (self.color_camera.width, self.color_camera.height);
        let image = match self.color_compression {
            0 => ColorImage::new(width, height, bytes).map_err(|e| format!("has a bad colour picture: {e}"))?,
            _ => pixels::compressed_color("jpeg", &bytes).map_err(|e| format!("has a bad colour picture: {e}"))?,
        };
        if (image.width, image.height) != (width, height) {
            let size = format!("{}x{}", image.width, image.height);
            return Err(format!("has a colour picture of {size}, the file says {width}x{height}"));
        }
        Ok(image)
    }

    fn depth(&self, bytes: &[u8]) -> Result<DepthImage, String> {
        let (width, height) = (self.depth_camera.width, self.depth_camera.height);
        let wanted = 2 * width as usize * height as usize;
        let mut raw = Vec::new();
        let read = match self.depth_compression {
            0 => Read::take(bytes, wanted as u64 + 1).read_to_end(&mut raw),
            _ => flate2::read::ZlibDecoder::new(bytes).take(wanted as u64 + 1).read_to_end(&mut raw),
        };
        read.map_err(|e| format!("has a bad depth picture: {e}"))?;
        if raw.len() != wanted {
            let more = if raw.len() > wanted { "more than " } else { "" };
            return Err(format!(
                "has {more}{} bytes of depth, {width}x{height} pixels need {wanted}",
                raw.len().min(wanted)
            ));
        }
        let (pairs, _) = raw.as_chunks();
        let data = pairs.iter().map(|pair| f32::from(u16::from_le_bytes(*pair)) / self.depth_shift).collect();
        DepthImage::new(width, height, data).map_err(|e| format!("has a bad depth picture: {e}"))
    }
}

fn read_header(reader: &mut (impl Read + Seek)) -> Result<SensHeader, String> {
    let version = u32_of(reader)?;
    if version != VERSION {
        return Err(format!("is of version {version}, {VERSION} is read"));
    }
    let length = u64_of(reader)?;
    if length > MAX_NAME_BYTES {
        return Err(format!("has a sensor's name of {length} bytes"));
    }
    let sensor = String::from_utf8_lossy(&read_bytes(reader, length)?).trim_end_matches('\0').to_owned();
    let color = [floats::<16, _>(reader)?, floats::<16, _>(reader)?];
    let depth = [floats::<16, _>(reader)?, floats::<16, _>(reader)?];
    let color_compression = u32_of(reader)?.cast_signed();
    let depth_compression = u32_of(reader)?.cast_signed();
    if !(0..=2).contains(&color_compression) {
        return Err(format!("has the colour compression {color_compression}; raw (0), png (1) and jpeg (2) are read"));
    }
    if !(0..=1).contains(&depth_compression) {
        return Err(format!("has the depth compression {depth_compression}; raw (0) and zlib (1) are read"));
    }
    let color_size = [u32_of(reader)?, u32_of(reader)?];
    let depth_size = [u32_of(reader)?, u32_of(reader)?];
    if u64::from(depth_size[0]) * u64::from(depth_size[1]) > MAX_DEPTH_PIXELS {
        return Err(format!("has depth pictures of {}x{}, no such camera is known", depth_size[0], depth_size[1]));
    }
    let depth_shift = f32::from_le_bytes(exact(reader)?);
    if !(depth_shift.is_finite() && depth_shift > 0.0) {
        return Err(format!("has a depth shift of {depth_shift}, it must be positive"));
    }
    let extrinsic = |rows, name| pose::from_rows(rows).map_err(|what| format!("has extrinsics of {name} that {what}"));
    Ok(SensHeader {
        sensor,
        color_camera: camera(&color[0], color_size).map_err(|e| format!("has a bad colour camera: {e}"))?,
        depth_camera: camera(&depth[0], depth_size).map_err(|e| format!("has a bad depth camera: {e}"))?,
        base_from_color: extrinsic(&color[1], "colour")?,
        base_from_depth: extrinsic(&depth[1], "depth")?,
        depth_shift,
        frames: u64_of(reader)?,
        color_compression,
        depth_compression,
    })
}

fn camera(rows: &[f64; 16], [width, height]: [u32; 2]) -> Result<PinholeCamera, String> {
    PinholeCamera::new(width, height, rows[0], rows[5], rows[2], rows[6], Distortion::None).map_err(|e| e.to_string())
}

fn exact<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|e| format!("ends early: {e}"))?;
    Ok(bytes)
}

fn u32_of(reader: &mut impl Read) -> Result<u32, String> {
    exact(reader).map(u32::from_le_bytes)
}

fn u64_of(reader: &mut impl Read) -> Result<u64, String> {
    exact(reader).map(u64::from_le_bytes)
}

fn floats<const N: usize, R: Read>(reader: &mut R) -> Result<[f64; N], String> {
    let mut out = [0.0; N];
    for x in &mut out {
        *x = f64::from(f32::from_le_bytes(exact(reader)?));
    }
    Ok(out)
}

/// As many bytes as asked for; memory grows with what is there.
fn read_bytes(reader: &mut impl Read, count: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(count).read_to_end(&mut bytes).map_err(|e| format!("cannot be read: {e}"))?;
    if (bytes.len() as u64) < count {
        return Err(format!("is cut off: {} of {count} bytes are there", bytes.len()));
    }
    Ok(bytes)
}

/// As a fault of a file, with its place.
pub(crate) fn as_fault((what, frame): SensFault) -> (Fault, Place) {
    (Fault::new("", what, REMEDY), frame.map_or(Place::File, Place::Frame))
}
