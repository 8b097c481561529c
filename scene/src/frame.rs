//! What a sensor sends, checked: colour and depth images, sensor events, and the frames that fusion reads.

use std::sync::Arc;

use nalgebra::Isometry3;
use vantage_calibration::{MAX_IMAGE_SIDE, PinholeCamera};

/// Nanoseconds since the epoch of the clock in use.
pub type StampNanos = i64;

/// Why an image was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The size is zero or absurd.
    #[error("image size {width}x{height}: each side must be from 1 to {MAX_IMAGE_SIDE} pixels")]
    Size {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// The data do not fill the size.
    #[error("image of {width}x{height} needs {expected} values, got {got}")]
    Length {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
        /// Values that the size needs.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

fn check(width: u32, height: u32, channels: usize, got: usize) -> Result<(), FrameError> {
    if !(1..=MAX_IMAGE_SIDE).contains(&width) || !(1..=MAX_IMAGE_SIDE).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    let expected = width as usize * height as usize * channels;
    if got != expected {
        return Err(FrameError::Length { width, height, expected, got });
    }
    Ok(())
}

/// An rgb8 image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColorImage {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Red, green, blue of each pixel, row-major: `width * height * 3` bytes.
    pub data: Vec<u8>,
}

impl ColorImage {
    /// Checks and wraps rgb8 data.
    ///
    /// # Errors
    /// [`FrameError`] when size and data disagree.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self, FrameError> {
        check(width, height, 3, data.len())?;
        Ok(Self { width, height, data })
    }

    /// Memory of the pixels.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// A depth image in metres.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthImage {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Metres along the optical axis, row-major; 0 where there is no reading.
    pub data: Vec<f32>,
}

impl DepthImage {
    /// Checks and wraps depths in metres; NaN, infinite and negative values become 0, "no reading".
    ///
    /// # Errors
    /// [`FrameError`] when size and data disagree.
    pub fn new(width: u32, height: u32, mut data: Vec<f32>) -> Result<Self, FrameError> {
        check(width, height, 1, data.len())?;
        for z in &mut data {
            // no branch, so that the loop is vectorised
            *z = if (*z >= 0.0) & (*z < f32::INFINITY) { *z } else { 0.0 };
        }
        Ok(Self { width, height, data })
    }

    /// Memory of the pixels.
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.as_slice())
    }
}

/// Which of the robot's RGB-D cameras something belongs to: its place in the list of cameras, from 0. A robot with one
/// camera has only [`CameraId::default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CameraId(pub u8);

impl std::fmt::Display for CameraId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "camera {}", self.0)
    }
}

/// Which of a camera's two streams something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Colour.
    Color,
    /// Depth.
    Depth,
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Color => "color",
            Self::Depth => "depth",
        })
    }
}

/// One thing that a source delivers.
#[derive(Debug, Clone)]
pub enum SensorEvent {
    /// A colour image.
    Color {
        /// Of which camera.
        camera_id: CameraId,
        /// When it was taken.
        stamp: StampNanos,
        /// Optical frame.
        frame_id: String,
        /// The image.
        image: Arc<ColorImage>,
    },
    /// A depth image.
    Depth {
        /// Of which camera.
        camera_id: CameraId,
        /// When it was taken.
        stamp: StampNanos,
        /// Optical frame.
        frame_id: String,
        /// The image.
        image: Arc<DepthImage>,
    },
    /// Intrinsics of a stream.
    CameraInfo {
        /// Of which camera.
        camera_id: CameraId,
        /// Which stream.
        stream: Stream,
        /// When it was sent.
        stamp: StampNanos,
        /// Optical frame.
        frame_id: String,
        /// The camera.
        camera: PinholeCamera,
    },
    /// A transform between two frames.
    Transform {
        /// When it holds.
        stamp: StampNanos,
        /// Parent frame.
        parent: String,
        /// Child frame.
        child: String,
        /// Takes child coordinates to the parent's.
        parent_from_child: Isometry3<f64>,
        /// True for `/tf_static`.
        is_static: bool,
    },
}

impl SensorEvent {
    /// The same event as one of `of_camera`; a transform belongs to all cameras and stays as it is.
    pub fn of(mut self, of_camera: CameraId) -> Self {
        match &mut self {
            Self::Color { camera_id, .. } | Self::Depth { camera_id, .. } | Self::CameraInfo { camera_id, .. } => {
                *camera_id = of_camera;
            }
            Self::Transform { .. } => {}
        }
        self
    }

    /// The camera that the event belongs to; a transform belongs to all.
    pub fn camera_id(&self) -> Option<CameraId> {
        match self {
            Self::Color { camera_id, .. } | Self::Depth { camera_id, .. } | Self::CameraInfo { camera_id, .. } => {
                Some(*camera_id)
            }
            Self::Transform { .. } => None,
        }
    }

    /// The stream that an image belongs to; `None` for all else.
    pub fn image_stream(&self) -> Option<(CameraId, Stream)> {
        match self {
            Self::Color { camera_id, .. } => Some((*camera_id, Stream::Color)),
            Self::Depth { camera_id, .. } => Some((*camera_id, Stream::Depth)),
            Self::CameraInfo { .. } | Self::Transform { .. } => None,
        }
    }

    /// Memory of the image; nothing else takes any to speak of.
    pub(crate) fn image_bytes(&self) -> usize {
        match self {
            Self::Color { image, .. } => image.bytes(),
            Self::Depth { image, .. } => image.bytes(),
            Self::CameraInfo { .. } | Self::Transform { .. } => 0,
        }
    }
}

/// Colour and aligned depth of one moment, with the camera's pose.
#[derive(Debug, Clone)]
pub struct RgbdFrame {
    /// The camera that took it.
    pub camera_id: CameraId,
    /// The depth image's stamp.
    pub stamp: StampNanos,
    /// Colour; its size may differ from the depth image's, its view may not.
    pub color: Arc<ColorImage>,
    /// Depth.
    pub depth: Arc<DepthImage>,
    /// Intrinsics at the depth image's size. Frames of a [`crate::Synchronizer`] have a straight lens.
    pub camera: PinholeCamera,
    /// Pose of the optical frame (z forward, x right, y down) in the world.
    pub world_from_camera: Isometry3<f64>,
}

impl RgbdFrame {
    /// Where the camera is, world, metres.
    pub fn optical_center(&self) -> [f32; 3] {
        self.world_from_camera.translation.vector.map(|x| x as f32).into()
    }

    /// Whether both images hold what their sizes say; their fields may have been filled by hand.
    ///
    /// # Errors
    /// [`FrameError`] for the first image that does not.
    pub fn check(&self) -> Result<(), FrameError> {
        check(self.depth.width, self.depth.height, 1, self.depth.data.len())?;
        check(self.color.width, self.color.height, 3, self.color.data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_and_sizes_are_refused() {
        assert!(matches!(ColorImage::new(2, 2, vec![0; 11]), Err(FrameError::Length { expected: 12, got: 11, .. })));
        assert!(matches!(DepthImage::new(0, 2, vec![]), Err(FrameError::Size { .. })));
        assert!(matches!(DepthImage::new(u32::MAX, u32::MAX, vec![]), Err(FrameError::Size { .. })));
    }

    #[test]
    fn unusable_depths_become_no_reading() {
        let depth = DepthImage::new(2, 2, vec![f32::NAN, f32::INFINITY, -1.0, 2.0]).unwrap();
        assert_eq!(depth.data, vec![0.0, 0.0, 0.0, 2.0]);
    }
}
