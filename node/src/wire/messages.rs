//! The fields of the message types, in the order of their public definitions (common_interfaces, geometry2).

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

/// builtin_interfaces/msg/Time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Seconds.
    pub sec: i32,
    /// Nanoseconds within the second.
    pub nanosec: u32,
}

impl Time {
    /// Nanoseconds since the epoch.
    pub fn nanos(self) -> i64 {
        i64::from(self.sec) * 1_000_000_000 + i64::from(self.nanosec)
    }

    /// From nanoseconds since the epoch; clamped to what the message holds.
    pub fn from_nanos(nanos: i64) -> Self {
        let sec = nanos.div_euclid(1_000_000_000).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        Self { sec: sec as i32, nanosec: nanos.rem_euclid(1_000_000_000) as u32 }
    }
}

/// std_msgs/msg/Header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Time of the data.
    pub stamp: Time,
    /// Frame of the data.
    pub frame_id: String,
}

/// sensor_msgs/msg/Image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image<'a> {
    /// Stamp and optical frame.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Name of the pixel format.
    pub encoding: String,
    /// 1 when numbers of several bytes are big-endian.
    pub is_bigendian: u8,
    /// Bytes of a row.
    pub step: u32,
    /// `step * height` bytes.
    #[serde(borrow)]
    pub data: &'a Bytes,
}

impl Image<'_> {
    /// Name of the type.
    pub const TYPE: &'static str = "sensor_msgs/msg/Image";
}

/// sensor_msgs/msg/CompressedImage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressedImage<'a> {
    /// Stamp and optical frame.
    pub header: Header,
    /// Pixel format and compression.
    pub format: String,
    /// The compressed picture.
    #[serde(borrow)]
    pub data: &'a Bytes,
}

impl CompressedImage<'_> {
    /// Name of the type.
    pub const TYPE: &'static str = "sensor_msgs/msg/CompressedImage";
}

/// sensor_msgs/msg/RegionOfInterest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RegionOfInterest {
    /// First column.
    pub x_offset: u32,
    /// First row.
    pub y_offset: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Whether the region is rectified.
    pub do_rectify: bool,
}

/// sensor_msgs/msg/CameraInfo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// Stamp and optical frame.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Name of the lens model.
    pub distortion_model: String,
    /// Its coefficients.
    pub d: Vec<f64>,
    /// Intrinsics, row-major 3x3.
    pub k: [f64; 9],
    /// Rectification, row-major 3x3.
    pub r: [f64; 9],
    /// Projection, row-major 3x4.
    pub p: [f64; 12],
    /// Pixels binned along x; 0 is 1.
    pub binning_x: u32,
    /// Pixels binned along y; 0 is 1.
    pub binning_y: u32,
    /// Part of the sensor in use.
    pub roi: RegionOfInterest,
}

impl CameraInfo {
    /// Name of the type.
    pub const TYPE: &'static str = "sensor_msgs/msg/CameraInfo";
}

/// geometry_msgs/msg/Vector3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Vector3 {
    /// Metres.
    pub x: f64,
    /// Metres.
    pub y: f64,
    /// Metres.
    pub z: f64,
}

/// geometry_msgs/msg/Quaternion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quaternion {
    /// i.
    pub x: f64,
    /// j.
    pub y: f64,
    /// k.
    pub z: f64,
    /// Real part.
    pub w: f64,
}

/// geometry_msgs/msg/Transform.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Place of the child in the parent.
    pub translation: Vector3,
    /// Turn of the child in the parent.
    pub rotation: Quaternion,
}

/// geometry_msgs/msg/TransformStamped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformStamped {
    /// Stamp and parent frame.
    pub header: Header,
    /// Child frame.
    pub child_frame_id: String,
    /// Parent from child.
    pub transform: Transform,
}

/// tf2_msgs/msg/TFMessage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TfMessage {
    /// Any number of transforms.
    pub transforms: Vec<TransformStamped>,
}

impl TfMessage {
    /// Name of the type.
    pub const TYPE: &'static str = "tf2_msgs/msg/TFMessage";
}
