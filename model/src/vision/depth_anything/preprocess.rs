//! RGB pictures and a preprocessor_config.json in, normalised pixels `[views, 3, height, width]` out, equal to transformers'
//! `DPTImageProcessor` on its default (torchvision) backend.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use vantage_scene::ColorImage;

use crate::vision::VisionError;
use crate::vision::parts::{PictureConfig, PictureReader, PixelSize, TargetSize, limits};

/// Bytes of a pixel.
const CHANNELS: usize = 3;

/// Resizes and normalises pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthPreprocessor {
    reader: PictureReader,
    size: TargetSize,
    multiple: usize,
    keep_aspect_ratio: bool,
}

#[derive(Deserialize)]
#[serde(default)]
struct File {
    size: TargetSize,
    ensure_multiple_of: usize,
    keep_aspect_ratio: bool,
    do_pad: bool,
}

impl Default for File {
    /// The defaults of `DPTImageProcessor`.
    fn default() -> Self {
        Self {
            size: TargetSize { height: 384, width: 384 },
            ensure_multiple_of: 1,
            keep_aspect_ratio: false,
            do_pad: false,
        }
    }
}

impl DepthPreprocessor {
    /// Reads and checks the bytes of a preprocessor_config.json. `file` names it in errors.
    ///
    /// # Errors
    /// [`VisionError::Preprocessor`] with the field and the reason.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self, VisionError> {
        let refused = |reason: String| VisionError::Preprocessor { file: file.to_owned(), reason };
        let parse = |e: serde_json::Error| refused(e.to_string());
        let read: File = serde_json::from_slice(bytes).map_err(parse)?;
        let picture: PictureConfig = serde_json::from_slice(bytes).map_err(parse)?;
        if let Some(other) = picture.image_processor_type.as_ref().filter(|other| !other.starts_with("DPT")) {
            return Err(refused(format!("image_processor_type is {other:?}, DPTImageProcessor is needed")));
        }
        if read.do_pad {
            return Err(refused("do_pad is true; depth models resize to whole patches instead".to_owned()));
        }
        read.size.check().map_err(refused)?;
        limits::channels("ensure_multiple_of", read.ensure_multiple_of).map_err(refused)?;
        Ok(Self {
            reader: picture.reader().map_err(refused)?,
            size: read.size,
            multiple: read.ensure_multiple_of,
            keep_aspect_ratio: read.keep_aspect_ratio,
        })
    }

    /// Normalised pixels `[views, 3, height, width]` of `images`, which get one size.
    ///
    /// # Errors
    /// [`VisionError::NoView`] without pictures, [`VisionError::Picture`] when there is nothing in a picture, it is too thin, or its bytes do not fit its size;
    /// [`VisionError::Sizes`] when the pictures get different sizes.
    pub fn pixels(&self, images: &[&ColorImage], device: &Device) -> Result<Tensor<4>, VisionError> {
        if images.is_empty() {
            return Err(VisionError::NoView);
        }
        let (values, size) = self.reader.planes(images, |image| self.resized(image))?;
        let shape = [images.len(), CHANNELS, size.height, size.width];
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The size that `image` gets: the wished one or, where the ratio is kept, that scale of the two which changes the
    /// picture less; then the nearest multiples, 0 for a picture that is too thin.
    fn resized(&self, image: &ColorImage) -> PixelSize {
        let (height, width) = (f64::from(image.height), f64::from(image.width));
        if !self.reader.resizes() || image.height == 0 || image.width == 0 {
            return PixelSize { width: image.width as usize, height: image.height as usize };
        }
        let (mut down, mut across) = (self.size.height as f64 / height, self.size.width as f64 / width);
        if self.keep_aspect_ratio {
            if (1.0 - across).abs() < (1.0 - down).abs() {
                down = across;
            } else {
                across = down;
            }
        }
        // Python's round: halves to even
        let whole = |side: f64| (side / self.multiple as f64).round_ties_even() as usize * self.multiple;
        PixelSize { width: whole(across * width), height: whole(down * height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of depth-anything/Depth-Anything-V2-Small-hf's file that matter here.
    const PUBLISHED: &str = r#"{"image_processor_type": "DPTImageProcessor", "size": {"height": 518, "width": 518}, "resample": 3,
        "ensure_multiple_of": 14, "keep_aspect_ratio": true, "do_pad": false, "size_divisor": null,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 0.00392156862745098}"#;

    /// Sizes by transformers 5.24's `get_resize_output_image_size`.
    #[test]
    fn sizes_equal_the_reference() {
        let processor = DepthPreprocessor::from_json(PUBLISHED.as_bytes(), "p").unwrap();
        for (height, width, expected) in [
            (480, 640, (518, 686)),
            (720, 1280, (518, 924)),
            (1280, 720, (924, 518)),
            (100, 100, (518, 518)),
            (30, 1000, (14, 518)),
        ] {
            let image = ColorImage { width, height, data: Vec::new() };
            let size = processor.resized(&image);
            assert_eq!((size.height, size.width), expected, "{height}x{width}");
        }
    }

    #[test]
    fn thin_pictures_and_mixed_sizes_are_refused() {
        let processor = DepthPreprocessor::from_json(PUBLISHED.as_bytes(), "p").unwrap();
        let image =
            |width: u32, height: u32| ColorImage::new(width, height, vec![0; (width * height * 3) as usize]).unwrap();
        let fault = |images: &[&ColorImage]| processor.pixels(images, &Device::flex()).unwrap_err();
        assert!(matches!(fault(&[&image(5000, 1)]), VisionError::Picture { to_height: 0, .. }));
        assert!(matches!(fault(&[&image(64, 48), &image(48, 64)]), VisionError::Sizes { index: 1, .. }));
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let fault = |json: &str| DepthPreprocessor::from_json(json.as_bytes(), "q/p.json").unwrap_err().to_string();
        assert!(fault(r#"{"ensure_multiple_of": 0}"#).starts_with("q/p.json: ensure_multiple_of is 0"));
        assert!(fault(r#"{"do_pad": true}"#).contains("do_pad"));
        assert!(fault(r#"{"image_processor_type": "SiglipImageProcessor"}"#).contains("DPTImageProcessor is needed"));
    }
}
