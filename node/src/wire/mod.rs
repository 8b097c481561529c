//! Bytes of ROS 2 messages in, typed messages out, and back: the CDR encoding (OMG DDSI-RTPS 10.5) of the few message types
//! that recordings hold. Nothing here needs ROS.

mod messages;
mod schema;

use byteorder::{BigEndian, LittleEndian};
use serde::{Deserialize, Serialize};

pub use messages::{
    CameraInfo, CompressedImage, Header, Image, Quaternion, RegionOfInterest, TfMessage, Time, Transform,
    TransformStamped, Vector3,
};
pub use schema::schema_of;

/// Bytes before the body: two of encoding, two of options.
const ENCAPSULATION: usize = 4;

/// Why a message could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Shorter than the encapsulation header.
    #[error("{type_name}: {got} bytes are too few for a CDR message")]
    TooShort {
        /// Type of the message.
        type_name: &'static str,
        /// Bytes given.
        got: usize,
    },
    /// Not plain CDR.
    #[error("{type_name}: encapsulation {kind:#06x} is not plain CDR")]
    Encapsulation {
        /// Type of the message.
        type_name: &'static str,
        /// The two bytes found.
        kind: u16,
    },
    /// The body does not hold the message.
    #[error("{type_name}: {reason}")]
    Body {
        /// Type of the message.
        type_name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Decodes a message; byte arrays are borrowed from `bytes`.
///
/// # Errors
/// [`WireError`] naming the type.
pub fn decode<'a, T: Deserialize<'a>>(type_name: &'static str, bytes: &'a [u8]) -> Result<T, WireError> {
    let Some((head, body)) = bytes.split_at_checked(ENCAPSULATION) else {
        return Err(WireError::TooShort { type_name, got: bytes.len() });
    };
    let result = match (head[0], head[1]) {
        (0, 1) => cdr_encoding::from_bytes::<T, LittleEndian>(body),
        (0, 0) => cdr_encoding::from_bytes::<T, BigEndian>(body),
        (a, b) => return Err(WireError::Encapsulation { type_name, kind: u16::from_be_bytes([a, b]) }),
    };
    result.map(|(message, _)| message).map_err(|e| WireError::Body { type_name, reason: e.to_string() })
}

/// Encodes a message as little-endian CDR.
///
/// # Errors
/// [`WireError::Body`] when a length does not fit.
pub fn encode<T: Serialize>(type_name: &'static str, message: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![0, 1, 0, 0];
    let body = cdr_encoding::to_vec::<T, LittleEndian>(message)
        .map_err(|e| WireError::Body { type_name, reason: e.to_string() })?;
    bytes.extend(body);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_bytes::Bytes;

    fn image(data: &[u8]) -> Image<'_> {
        let header = Header { stamp: Time { sec: 7, nanosec: 8 }, frame_id: "cam".to_owned() };
        Image {
            header,
            height: 2,
            width: 3,
            encoding: "rgb8".to_owned(),
            is_bigendian: 0,
            step: 9,
            data: Bytes::new(data),
        }
    }

    #[test]
    fn a_message_comes_back() {
        let data: Vec<u8> = (0..18).collect();
        let bytes = encode(Image::TYPE, &image(&data)).unwrap();
        assert_eq!(decode::<Image<'_>>(Image::TYPE, &bytes).unwrap(), image(&data));
        // header 4, stamp 8, string 4+4, height 4, width 4, string 4+5, flag 1, pad 2, step 4, data 4+18
        assert_eq!(bytes.len(), 4 + 8 + 8 + 8 + 9 + 1 + 2 + 4 + 4 + 18);
    }

    #[test]
    fn cut_and_foreign_messages_are_refused() {
        let bytes = encode(Image::TYPE, &image(&[0; 18])).unwrap();
        for cut in 0..bytes.len() {
            assert!(decode::<Image<'_>>(Image::TYPE, &bytes[..cut]).is_err(), "{cut}");
        }
        assert!(matches!(
            decode::<Image<'_>>(Image::TYPE, &[0, 3, 0, 0, 1]),
            Err(WireError::Encapsulation { kind: 3, .. })
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 4..300)) {
            bytes[..2].copy_from_slice(&[0, 1]);
            let _ = decode::<Image<'_>>(Image::TYPE, &bytes);
            let _ = decode::<CompressedImage<'_>>(CompressedImage::TYPE, &bytes);
            let _ = decode::<CameraInfo>(CameraInfo::TYPE, &bytes);
            let _ = decode::<TfMessage>(TfMessage::TYPE, &bytes);
        }
    }
}
