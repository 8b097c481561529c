//! Bytes of one message in, sensor events out: the same for a recording and for live topics.

use std::sync::Arc;

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use vantage_calibration::{CameraError, PinholeCamera};
use vantage_scene::{CameraId, SensorEvent, Stream};

use super::pixels::{self, PixelError};
use crate::wire::{self, CameraInfo, CompressedImage, Image, TfMessage, TransformStamped, WireError};

/// Why a message gives no events.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not the message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The picture cannot be read.
    #[error(transparent)]
    Pixels(#[from] PixelError),
    /// The calibration makes no camera.
    #[error("camera_info: {0}")]
    CameraInfo(CameraError),
}

/// What a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Images of a stream.
    Images {
        /// Which.
        stream: Stream,
        /// Whether as CompressedImage.
        compressed: bool,
    },
    /// Calibration of a stream.
    CameraInfo(Stream),
    /// Transforms.
    Transforms {
        /// Whether they hold for ever.
        fixed: bool,
    },
}

/// Decodes one message: one event, or as many as a TFMessage holds. Whose camera it is, the topic tells: see [`SensorEvent::of`].
///
/// # Errors
/// [`DecodeError`]; the caller knows the topic and the place.
pub fn decode(carries: Carries, bytes: &[u8]) -> Result<Vec<SensorEvent>, DecodeError> {
    match carries {
        Carries::Images { stream, compressed: false } => raw_image(stream, bytes).map(|e| vec![e]),
        Carries::Images { stream, compressed: true } => compressed_image(stream, bytes).map(|e| vec![e]),
        Carries::CameraInfo(stream) => camera_info(stream, bytes).map(|e| vec![e]),
        Carries::Transforms { fixed } => {
            let tf: TfMessage = wire::decode(TfMessage::TYPE, bytes)?;
            Ok(tf.transforms.into_iter().map(|t| transform_event(t, fixed)).collect())
        }
    }
}

fn raw_image(stream: Stream, bytes: &[u8]) -> Result<SensorEvent, DecodeError> {
    let image: Image<'_> = wire::decode(Image::TYPE, bytes)?;
    let raw = pixels::RawImage {
        width: image.width,
        height: image.height,
        step: image.step,
        encoding: &image.encoding,
        big_endian: image.is_bigendian != 0,
        data: image.data,
    };
    let (camera_id, stamp) = (CameraId::default(), image.header.stamp.nanos());
    Ok(match stream {
        Stream::Color => {
            let picture = pixels::raw_color(&raw)?;
            SensorEvent::Color { camera_id, stamp, frame_id: image.header.frame_id, image: Arc::new(picture) }
        }
        Stream::Depth => {
            let depth = pixels::raw_depth(&raw)?;
            SensorEvent::Depth { camera_id, stamp, frame_id: image.header.frame_id, image: Arc::new(depth) }
        }
    })
}

fn compressed_image(stream: Stream, bytes: &[u8]) -> Result<SensorEvent, DecodeError> {
    let image: CompressedImage<'_> = wire::decode(CompressedImage::TYPE, bytes)?;
    let (camera_id, stamp) = (CameraId::default(), image.header.stamp.nanos());
    Ok(match stream {
        Stream::Color => {
            let picture = pixels::compressed_color(&image.format, image.data)?;
            SensorEvent::Color { camera_id, stamp, frame_id: image.header.frame_id, image: Arc::new(picture) }
        }
        Stream::Depth => {
            let depth = pixels::compressed_depth(&image.format, image.data)?;
            SensorEvent::Depth { camera_id, stamp, frame_id: image.header.frame_id, image: Arc::new(depth) }
        }
    })
}

/// One transform of a TFMessage as an event; the quaternion is normalised.
fn transform_event(t: TransformStamped, is_static: bool) -> SensorEvent {
    let (v, q) = (t.transform.translation, t.transform.rotation);
    let rotation = UnitQuaternion::from_quaternion(Quaternion::new(q.w, q.x, q.y, q.z));
    SensorEvent::Transform {
        stamp: t.header.stamp.nanos(),
        parent: t.header.frame_id,
        child: t.child_frame_id,
        parent_from_child: Isometry3::from_parts(Translation3::new(v.x, v.y, v.z), rotation),
        is_static,
    }
}

fn camera_info(stream: Stream, bytes: &[u8]) -> Result<SensorEvent, DecodeError> {
    let info: CameraInfo = wire::decode(CameraInfo::TYPE, bytes)?;
    let camera = PinholeCamera::from_ros(info.width, info.height, &info.k, &info.distortion_model, &info.d)
        .map_err(DecodeError::CameraInfo)?;
    let (camera_id, stamp) = (CameraId::default(), info.header.stamp.nanos());
    Ok(SensorEvent::CameraInfo { camera_id, stream, stamp, frame_id: info.header.frame_id, camera })
}
