//! Image messages in, rgb8 colour or depth in metres out: every encoding that RGB-D drivers and image_transport send.

use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use vantage_calibration::MAX_IMAGE_SIDE;
use vantage_scene::{ColorImage, DepthImage, FrameError};

/// Bytes of compressed_depth_image_transport's header: int32 format, float32 quantisation a and b.
const DEPTH_HEADER: usize = 12;
/// A 32FC1 image whose median is above this is in millimetres: no depth camera sees 100 m.
const METRES_LIMIT: f32 = 100.0;
/// Millimetres of a metre.
const MILLIMETRES: f32 = 1000.0;
/// Largest memory that a picture may decode to, bytes.
const MAX_DECODED_BYTES: u64 = 256 << 20;

/// Why an image could not be decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PixelError {
    /// The encoding is unknown.
    #[error("encoding `{encoding}` is not supported for {what}; supported are {supported}")]
    Encoding {
        /// The encoding.
        encoding: String,
        /// Colour or depth.
        what: &'static str,
        /// What is.
        supported: &'static str,
    },
    /// A row is shorter than its pixels.
    #[error("step is {step} bytes, a row of {width} pixels in `{encoding}` needs {needed}")]
    Step {
        /// Bytes of a row, as the message says.
        step: u32,
        /// Pixels of a row.
        width: u32,
        /// The encoding.
        encoding: String,
        /// Bytes that a row needs.
        needed: u64,
    },
    /// The data are shorter than the header says.
    #[error("data hold {got} bytes, {height} rows of {step} bytes need {needed}")]
    Data {
        /// Bytes given.
        got: usize,
        /// Rows.
        height: u32,
        /// Bytes of a row.
        step: u32,
        /// Bytes needed.
        needed: u64,
    },
    /// The compressed picture is damaged.
    #[error("compressed image (`{format}`): {reason}")]
    Compressed {
        /// Format, as the message says.
        format: String,
        /// What is wrong.
        reason: String,
    },
    /// A 32FC1 image is in millimetres.
    #[error(
        "32FC1 depth has a median of {median}: it is plainly in millimetres, but 32FC1 is metres (REP 118); fix the driver's unit"
    )]
    Millimetres {
        /// Median reading.
        median: f32,
    },
    /// The size is not usable.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// The fields of a raw image.
#[derive(Debug, Clone, Copy)]
pub struct RawImage<'a> {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes of a row.
    pub step: u32,
    /// Pixel format.
    pub encoding: &'a str,
    /// Whether numbers of several bytes are big-endian.
    pub big_endian: bool,
    /// The rows.
    pub data: &'a [u8],
}

impl<'a> RawImage<'a> {
    /// Checks sizes and returns the rows without padding, each `width * bytes` long.
    fn rows(&self, bytes: u32) -> Result<impl Iterator<Item = &'a [u8]>, PixelError> {
        if !(1..=MAX_IMAGE_SIDE).contains(&self.width) || !(1..=MAX_IMAGE_SIDE).contains(&self.height) {
            return Err(FrameError::Size { width: self.width, height: self.height }.into());
        }
        let needed = u64::from(self.width) * u64::from(bytes);
        if u64::from(self.step) < needed {
            return Err(PixelError::Step {
                step: self.step,
                width: self.width,
                encoding: self.encoding.to_owned(),
                needed,
            });
        }
        // the last row may come without its padding
        let total = u64::from(self.step) * u64::from(self.height - 1) + needed;
        if (self.data.len() as u64) < total {
            return Err(PixelError::Data { got: self.data.len(), height: self.height, step: self.step, needed: total });
        }
        let (row, step) = (needed as usize, self.step as usize);
        Ok(self.data.chunks(step).take(self.height as usize).map(move |r| &r[..row]))
    }
}

/// Colour of a raw image: rgb8, bgr8, rgba8, bgra8, mono8.
///
/// # Errors
/// [`PixelError`].
pub fn raw_color(image: &RawImage<'_>) -> Result<ColorImage, PixelError> {
    let (bytes, order): (u32, [usize; 3]) = match image.encoding {
        "rgb8" => (3, [0, 1, 2]),
        "bgr8" => (3, [2, 1, 0]),
        "rgba8" => (4, [0, 1, 2]),
        "bgra8" => (4, [2, 1, 0]),
        "mono8" | "8UC1" => (1, [0, 0, 0]),
        other => {
            let supported = "rgb8, bgr8, rgba8, bgra8, mono8";
            return Err(PixelError::Encoding { encoding: other.to_owned(), what: "color", supported });
        }
    };
    let rows = image.rows(bytes)?;
    let mut data = Vec::with_capacity(image.width as usize * image.height as usize * 3);
    for row in rows {
        for pixel in row.chunks_exact(bytes as usize) {
            data.extend(order.map(|i| pixel[i]));
        }
    }
    Ok(ColorImage::new(image.width, image.height, data)?)
}

/// Depth of a raw image in metres: 16UC1 and mono16 in millimetres, 32FC1 in metres.
///
/// # Errors
/// [`PixelError`]; also for a 32FC1 image that is plainly in millimetres.
pub fn raw_depth(image: &RawImage<'_>) -> Result<DepthImage, PixelError> {
    let big = image.big_endian;
    let pixels = image.width as usize * image.height as usize;
    let mut data = Vec::new();
    match image.encoding {
        "16UC1" | "mono16" => {
            let rows = image.rows(2)?;
            data.reserve_exact(pixels);
            // a row at a time and the byte order decided before, so that the conversion is vectorised
            for row in rows {
                let (halves, _) = row.as_chunks::<2>();
                match big {
                    true => data.extend(halves.iter().map(|b| f32::from(u16::from_be_bytes(*b)) / MILLIMETRES)),
                    false => data.extend(halves.iter().map(|b| f32::from(u16::from_le_bytes(*b)) / MILLIMETRES)),
                }
            }
        }
        "32FC1" => {
            let rows = image.rows(4)?;
            data.reserve_exact(pixels);
            for row in rows {
                let (words, _) = row.as_chunks::<4>();
                match big {
                    true => data.extend(words.iter().map(|b| f32::from_be_bytes(*b))),
                    false => data.extend(words.iter().map(|b| f32::from_le_bytes(*b))),
                }
            }
            refuse_millimetres(&data)?;
        }
        other => {
            let supported = "16UC1, mono16, 32FC1";
            return Err(PixelError::Encoding { encoding: other.to_owned(), what: "depth", supported });
        }
    }
    Ok(DepthImage::new(image.width, image.height, data)?)
}

fn refuse_millimetres(data: &[f32]) -> Result<(), PixelError> {
    let mut readings: Vec<f32> = data.iter().copied().filter(|z| z.is_finite() && *z > 0.0).collect();
    if readings.is_empty() {
        return Ok(());
    }
    let middle = readings.len() / 2;
    let (_, median, _) = readings.select_nth_unstable_by(middle, f32::total_cmp);
    if *median > METRES_LIMIT { Err(PixelError::Millimetres { median: *median }) } else { Ok(()) }
}

fn decode(format: &str, data: &[u8], kind: ImageFormat) -> Result<DynamicImage, PixelError> {
    let fault = |reason: String| PixelError::Compressed { format: format.to_owned(), reason };
    let mut reader = ImageReader::with_format(Cursor::new(data), kind);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_IMAGE_SIDE);
    limits.max_image_height = Some(MAX_IMAGE_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    reader.decode().map_err(|e| fault(e.to_string()))
}

/// Colour of a compressed image: JPEG or PNG, told apart by their first bytes.
///
/// # Errors
/// [`PixelError::Compressed`].
pub fn compressed_color(format: &str, data: &[u8]) -> Result<ColorImage, PixelError> {
    let kind = match data {
        [0xFF, 0xD8, ..] => ImageFormat::Jpeg,
        [0x89, b'P', b'N', b'G', ..] => ImageFormat::Png,
        _ => {
            let supported = "jpeg, png";
            return Err(PixelError::Encoding { encoding: format.to_owned(), what: "compressed color", supported });
        }
    };
    let rgb = decode(format, data, kind)?.into_rgb8();
    Ok(ColorImage::new(rgb.width(), rgb.height(), rgb.into_raw())?)
}

/// Depth of a compressed image: compressed_depth_image_transport's PNG behind a 12-byte header, 16UC1 in millimetres or 32FC1
/// quantised as a / z + b; or a bare 16-bit PNG in millimetres.
///
/// # Errors
/// [`PixelError`].
pub fn compressed_depth(format: &str, data: &[u8]) -> Result<DepthImage, PixelError> {
    const PNG: &[u8] = &[0x89, b'P', b'N', b'G'];
    let fault = |reason: &str| PixelError::Compressed { format: format.to_owned(), reason: reason.to_owned() };
    let (header, png) = if data.starts_with(PNG) {
        (None, data)
    } else {
        let (header, png) =
            data.split_at_checked(DEPTH_HEADER).ok_or_else(|| fault("shorter than its 12-byte header"))?;
        (Some(header), png)
    };
    if !png.starts_with(PNG) {
        return Err(fault("no PNG after the 12-byte header; only PNG compression is supported (not RVL)"));
    }
    let depth = decode(format, png, ImageFormat::Png)?;
    let DynamicImage::ImageLuma16(depth) = depth else { return Err(fault("the PNG is not 16-bit gray")) };
    let (width, height) = depth.dimensions();
    let raw = depth.into_raw();
    let data = match header {
        Some(h) if format.trim_start().starts_with("32FC1") => {
            let number = |i: usize| f32::from_le_bytes([h[i], h[i + 1], h[i + 2], h[i + 3]]);
            let (a, b) = (number(4), number(8));
            raw.into_iter().map(|q| if q == 0 { 0.0 } else { a / (f32::from(q) - b) }).collect()
        }
        _ => raw.into_iter().map(|mm| f32::from(mm) / 1000.0).collect(),
    };
    Ok(DepthImage::new(width, height, data)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw<'a>(encoding: &'a str, step: u32, data: &'a [u8]) -> RawImage<'a> {
        RawImage { width: 2, height: 2, step, encoding, big_endian: false, data }
    }

    #[test]
    fn colours_come_out_as_rgb_and_padding_is_skipped() {
        let bgr = [3, 2, 1, 6, 5, 4, 99, 9, 8, 7, 12, 11, 10, 99];
        assert_eq!(raw_color(&raw("bgr8", 7, &bgr)).unwrap().data, (1..=12).collect::<Vec<u8>>());
        assert_eq!(raw_color(&raw("mono8", 2, &[1, 2, 3, 4])).unwrap().data, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn depth_is_in_metres_in_either_byte_order() {
        let little: Vec<u8> = [1000u16, 2000, 0, 500].iter().flat_map(|x| x.to_le_bytes()).collect();
        let big: Vec<u8> = [1000u16, 2000, 0, 500].iter().flat_map(|x| x.to_be_bytes()).collect();
        let expected = [1.0, 2.0, 0.0, 0.5];
        assert_eq!(raw_depth(&raw("16UC1", 4, &little)).unwrap().data, expected);
        assert_eq!(raw_depth(&RawImage { big_endian: true, ..raw("16UC1", 4, &big) }).unwrap().data, expected);
        let float: Vec<u8> = [1.0f32, 2.0, f32::NAN, 0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(raw_depth(&raw("32FC1", 8, &float)).unwrap().data, expected);
        let wrong: Vec<u8> = [1000.0f32, 2000.0, 0.0, 500.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(matches!(raw_depth(&raw("32FC1", 8, &wrong)), Err(PixelError::Millimetres { .. })));
    }

    #[test]
    fn lying_headers_are_refused() {
        assert!(matches!(raw_color(&raw("rgb8", 5, &[0; 12])), Err(PixelError::Step { needed: 6, .. })));
        assert!(matches!(raw_color(&raw("rgb8", 6, &[0; 11])), Err(PixelError::Data { got: 11, needed: 12, .. })));
        assert!(matches!(raw_color(&raw("yuv422", 6, &[0; 12])), Err(PixelError::Encoding { .. })));
        let huge = RawImage { width: u32::MAX, height: u32::MAX, ..raw("rgb8", u32::MAX, &[]) };
        assert!(matches!(raw_color(&huge), Err(PixelError::Frame(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200), step in 0u32..40, w in 0u32..9, h in 0u32..9) {
            for encoding in ["rgb8", "mono8", "16UC1", "32FC1", "bgra8", "x"] {
                let image = RawImage { width: w, height: h, step, encoding, big_endian: false, data: &data };
                let _ = (raw_color(&image), raw_depth(&image));
            }
            let _ = (compressed_color("jpeg", &data), compressed_depth("32FC1; compressedDepth png", &data));
            let png = [&[0x89, b'P', b'N', b'G'][..], &data].concat();
            let jpeg = [&[0xFF, 0xD8, 0xFF][..], &data].concat();
            let _ = (compressed_color("png", &png), compressed_color("jpeg", &jpeg), compressed_depth("16UC1", &png));
        }
    }
}
