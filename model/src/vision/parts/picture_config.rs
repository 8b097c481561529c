//! What every preprocessor_config.json says about pixels, in; a checked way from bytes to numbers out.

use serde::Deserialize;

use super::levels::Levels;
use super::limits;
use super::resample::Filter;
use super::resize::{PixelSize, resize_bytes};
use crate::vision::VisionError;
use vantage_scene::ColorImage;

/// Pillow's numbers for the filters that transformers' processors use.
const BILINEAR: u64 = 2;
const BICUBIC: u64 = 3;
/// Bytes of a pixel.
const CHANNELS: usize = 3;
/// The longest side that a picture is resized to.
const MOST_PIXELS_A_SIDE: usize = 1 << 14;

/// Fields of a preprocessor_config.json that SigLIP's and DPT's processors share; the defaults are SigLIP's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PictureConfig {
    pub image_processor_type: Option<String>,
    pub do_resize: bool,
    pub resample: u64,
    pub do_rescale: bool,
    pub rescale_factor: f64,
    pub do_normalize: bool,
    pub image_mean: [f64; CHANNELS],
    pub image_std: [f64; CHANNELS],
}

impl Default for PictureConfig {
    fn default() -> Self {
        Self {
            image_processor_type: None,
            do_resize: true,
            resample: BICUBIC,
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: [0.5; CHANNELS],
            image_std: [0.5; CHANNELS],
        }
    }
}

/// Height and width of the resized picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct TargetSize {
    pub height: usize,
    pub width: usize,
}

/// Resizes pictures and turns bytes into numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PictureReader {
    /// None where pictures are read at their own size.
    filter: Option<Filter>,
    levels: Levels,
}

impl PictureConfig {
    /// The reader that these fields describe.
    ///
    /// # Errors
    /// The field that cannot be used, and why.
    pub fn reader(&self) -> Result<PictureReader, String> {
        let filter = match (self.do_resize, self.resample) {
            (false, _) => None,
            (true, BILINEAR) => Some(Filter::TriangleAntialias),
            (true, BICUBIC) => Some(Filter::CubicAntialias),
            (true, other) => {
                return Err(format!("resample is {other}; {BILINEAR} (bilinear) and {BICUBIC} (bicubic) are known"));
            }
        };
        let finite = self.image_mean.iter().all(|v| v.is_finite());
        let positive = self.image_std.iter().chain([&self.rescale_factor]).all(|v| v.is_finite() && *v > 0.0);
        if !finite || !positive {
            return Err(format!(
                "image_mean is {:?}, image_std is {:?}, rescale_factor is {}; they must be finite and the last two above 0",
                self.image_mean, self.image_std, self.rescale_factor
            ));
        }
        let scale = self.do_rescale.then_some(self.rescale_factor);
        let levels = Levels::new(scale, self.do_normalize.then_some((self.image_mean, self.image_std)));
        Ok(PictureReader { filter, levels })
    }
}

impl TargetSize {
    /// Both sides are from 1 to the most.
    ///
    /// # Errors
    /// The side that is not.
    pub fn check(&self) -> Result<(), String> {
        limits::within("size.height", self.height, MOST_PIXELS_A_SIDE)?;
        limits::within("size.width", self.width, MOST_PIXELS_A_SIDE)
    }
}

impl PictureReader {
    /// Whether pictures are resized.
    pub fn resizes(&self) -> bool {
        self.filter.is_some()
    }

    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The bytes of `image` at the size `to`, `[height, width, 3]`; unchanged where nothing is resized.
    ///
    /// # Errors
    /// [`VisionError::Picture`] when a side is 0 or the bytes do not fit the size.
    pub fn bytes(&self, image: &ColorImage, to: PixelSize) -> Result<Vec<u8>, VisionError> {
        let from = PixelSize { width: image.width as usize, height: image.height as usize };
        let expected = u128::from(image.width) * u128::from(image.height) * CHANNELS as u128;
        if expected == 0 || image.data.len() as u128 != expected || to.width == 0 || to.height == 0 {
            return Err(VisionError::Picture {
                width: from.width,
                height: from.height,
                bytes: image.data.len(),
                to_width: to.width,
                to_height: to.height,
            });
        }
        Ok(match self.filter {
            Some(filter) => resize_bytes(&image.data, from, to, filter),
            None => image.data.clone(),
        })
    }

    /// `images` as planes of one size, `[images, 3, height, width]`; `size` gives the size that a picture gets.
    ///
    /// # Errors
    /// [`VisionError::Picture`] as in [`Self::bytes`], [`VisionError::Sizes`] when the sizes differ.
    pub fn planes(
        &self,
        images: &[&ColorImage],
        size: impl Fn(&ColorImage) -> PixelSize,
    ) -> Result<(Vec<f32>, PixelSize), VisionError> {
        let mut values = Vec::new();
        let mut first = PixelSize { width: 0, height: 0 };
        for (index, image) in images.iter().enumerate() {
            let to = size(image);
            if index == 0 {
                first = to;
            } else if to != first {
                return Err(VisionError::Sizes {
                    index,
                    given: (to.height, to.width),
                    expected: (first.height, first.width),
                });
            }
            self.levels.append_planes(&self.bytes(image, to)?, &mut values);
        }
        Ok((values, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_fields_are_named() {
        let fault = |json: &str| serde_json::from_str::<PictureConfig>(json).unwrap().reader().unwrap_err();
        assert!(fault(r#"{"resample": 1}"#).contains("resample is 1"));
        assert!(fault(r#"{"image_std": [1, 0, 1]}"#).contains("image_std is [1.0, 0.0, 1.0]"));
        assert!(fault(r#"{"rescale_factor": -1}"#).contains("rescale_factor is -1"));
    }

    #[test]
    fn pictures_without_their_bytes_are_refused_before_memory_is_taken() {
        let reader = PictureConfig::default().reader().unwrap();
        let to = PixelSize { width: 4, height: 4 };
        for (width, height, bytes) in [(0, 3, 0), (2, 2, 11), (u32::MAX, u32::MAX, 3)] {
            let image = ColorImage { width, height, data: vec![0; bytes] };
            assert!(matches!(reader.bytes(&image, to), Err(VisionError::Picture { .. })));
        }
        let good = ColorImage::new(2, 2, vec![0; 12]).unwrap();
        assert!(reader.bytes(&good, PixelSize { width: 0, height: 4 }).is_err());
        assert_eq!(reader.bytes(&good, to).unwrap().len(), 48);
    }
}
