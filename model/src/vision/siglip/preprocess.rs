//! RGB pictures and a preprocessor_config.json in, what the image tower reads out, equal to transformers' `SiglipImageProcessor` and
//! `Siglip2ImageProcessor` on their default (torchvision) backend.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use vantage_scene::ColorImage;

use super::config::{SiglipConfig, SiglipKind};
use super::image::{ImageInput, PatchBatch};
use crate::vision::VisionError;
use crate::vision::parts::{PictureConfig, PictureReader, PixelSize, TargetSize, limits};

/// Bytes of a pixel.
const CHANNELS: usize = 3;
/// Most patches that a NaFlex checkpoint may ask for; the published ones ask for 256 to 1024.
const MOST_PATCHES: usize = 1 << 16;
/// Pillow's number for bilinear resampling, the default of NaFlex.
const BILINEAR: u64 = 2;

/// Resizes and normalises pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct SiglipPreprocessor {
    reader: PictureReader,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Fixed(PixelSize),
    NaFlex { patch: usize, room: usize },
}

#[derive(Deserialize)]
struct File {
    #[serde(default = "default_size")]
    size: TargetSize,
    #[serde(default = "default_patch", deserialize_with = "limits::side")]
    patch_size: usize,
    #[serde(default = "default_patches")]
    max_num_patches: usize,
}

fn default_size() -> TargetSize {
    TargetSize { height: 224, width: 224 }
}

fn default_patch() -> usize {
    16
}

fn default_patches() -> usize {
    256
}

impl SiglipPreprocessor {
    /// Reads and checks the bytes of a preprocessor_config.json for a model of `config`. `file` names it in errors.
    ///
    /// # Errors
    /// [`VisionError::Preprocessor`] with the field and the reason.
    pub fn from_json(bytes: &[u8], file: &str, config: &SiglipConfig) -> Result<Self, VisionError> {
        let refused = |reason: String| VisionError::Preprocessor { file: file.to_owned(), reason };
        let parse = |e: serde_json::Error| refused(e.to_string());
        let mut json: serde_json::Value = serde_json::from_slice(bytes).map_err(parse)?;
        let naflex = config.model_type == SiglipKind::NaFlex;
        if naflex && let Some(fields) = json.as_object_mut() {
            fields.entry("resample").or_insert(BILINEAR.into());
            // NaFlex files carry `"size": null`: the patch budget is the size
            fields.remove("size");
        }
        let read: File = serde_json::from_value(json.clone()).map_err(parse)?;
        let picture: PictureConfig = serde_json::from_value(json).map_err(parse)?;
        let kind = if naflex { "Siglip2ImageProcessor" } else { "SiglipImageProcessor" };
        if let Some(other) = picture.image_processor_type.as_ref().filter(|other| !other.starts_with(kind)) {
            return Err(refused(format!("image_processor_type is {other:?}, {kind} is needed")));
        }
        let reader = picture.reader().map_err(refused)?;
        let shape = if naflex {
            let patch = config.vision_config.patch_size;
            if read.patch_size != patch {
                return Err(refused(format!("patch_size is {}, the vision_config has {patch}", read.patch_size)));
            }
            if !reader.resizes() {
                return Err(refused("do_resize is false; NaFlex resizes to whole patches".to_owned()));
            }
            limits::within("max_num_patches", read.max_num_patches, MOST_PATCHES).map_err(refused)?;
            Shape::NaFlex { patch, room: read.max_num_patches }
        } else {
            read.size.check().map_err(refused)?;
            Shape::Fixed(PixelSize { width: read.size.width, height: read.size.height })
        };
        Ok(Self { reader, shape })
    }

    /// `images` as the image tower reads them.
    ///
    /// # Errors
    /// [`VisionError::NoView`] without pictures, [`VisionError::Picture`] when there is nothing in a picture or its bytes do not fit its size, [`VisionError::Sizes`]
    /// when pictures are not resized and their sizes differ.
    pub fn read(&self, images: &[&ColorImage], device: &Device) -> Result<ImageInput, VisionError> {
        if images.is_empty() {
            return Err(VisionError::NoView);
        }
        match self.shape {
            Shape::Fixed(to) => {
                let own = |image: &ColorImage| PixelSize { width: image.width as usize, height: image.height as usize };
                let size = |image: &ColorImage| if self.reader.resizes() { to } else { own(image) };
                let (values, size) = self.reader.planes(images, size)?;
                let shape = [images.len(), CHANNELS, size.height, size.width];
                Ok(ImageInput::Pixels(Tensor::from_data(TensorData::new(values, shape), device)))
            }
            Shape::NaFlex { patch, room } => {
                let values = patch * patch * CHANNELS;
                let mut patches = Vec::with_capacity(images.len() * room * values);
                let mut grids = Vec::with_capacity(images.len());
                for image in images {
                    let (height, width) = naflex_size(image.height as usize, image.width as usize, patch, room);
                    let bytes = self.reader.bytes(image, PixelSize { width, height })?;
                    let grid = [height / patch, width / patch];
                    self.append_patches(&bytes, width, patch, grid, &mut patches);
                    grids.push(grid);
                    patches.resize(grids.len() * room * values, 0.0);
                }
                let shape = [images.len(), room, values];
                Ok(ImageInput::Patches(PatchBatch::new(
                    Tensor::from_data(TensorData::new(patches, shape), device),
                    grids,
                )?))
            }
        }
    }

    /// Appends the patches of `rgb`, row by row, each flattened as (row, column, channel).
    fn append_patches(&self, rgb: &[u8], width: usize, patch: usize, [rows, columns]: [usize; 2], out: &mut Vec<f32>) {
        let levels = self.reader.levels().channels();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for line in 0..patch {
                let start = ((row * patch + line) * width + column * patch) * CHANNELS;
                for pixel in rgb[start..start + patch * CHANNELS].as_chunks::<CHANNELS>().0 {
                    out.extend(pixel.iter().zip(levels).map(|(&byte, levels)| levels[usize::from(byte)]));
                }
            }
        }
    }
}

/// The width of the search for NaFlex's scale, and the scale that it begins with times ten (transformers'
/// `get_image_size_for_max_num_patches`, which follows big_vision).
const SCALE_STEP: f64 = 1e-5;
/// The scale that the search ends with at most.
const LARGEST_SCALE: f64 = 100.0;

/// The largest `(height, width)` of whole patches that keeps about the ratio of `height` by `width` pixels and has at most
/// `most` patches (SigLIP-2, arXiv 2502.14786, section 2.4.2). Both sides are at least one patch.
pub fn naflex_size(height: usize, width: usize, patch: usize, most: usize) -> (usize, usize) {
    let patches = |scale: f64, side: usize| ((side as f64 * scale / patch as f64).ceil() as usize).max(1);
    let (mut low, mut high) = (SCALE_STEP / 10.0, LARGEST_SCALE);
    while high - low >= SCALE_STEP {
        let scale = (low + high) / 2.0;
        if patches(scale, height).saturating_mul(patches(scale, width)) <= most {
            low = scale;
        } else {
            high = scale;
        }
    }
    (patches(low, height) * patch, patches(low, width) * patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: &str) -> SiglipConfig {
        let json = format!(r#"{{"model_type": "{kind}", "vision_config": {{"patch_size": 4, "image_size": 12}}}}"#);
        SiglipConfig::from_json("here", json.as_bytes()).unwrap()
    }

    #[test]
    fn budgets_are_kept_and_used() {
        for (height, width) in [(480, 640), (1, 1), (1, 3000), (777, 31), (16, 16), (4000, 3000)] {
            for most in [1, 7, 256, 1024] {
                let (h, w) = naflex_size(height, width, 16, most);
                let (rows, columns) = (h / 16, w / 16);
                assert!(rows * columns <= most && rows >= 1 && columns >= 1, "{height}x{width}: {rows}x{columns}");
                // a row and a column more would be too many, unless the largest scale is reached
                let full = (rows + 1) * (columns + 1) > most || h.max(w) >= 100 * height.max(width);
                assert!(full, "{height}x{width} in {most}: {rows}x{columns}");
            }
        }
        // transformers 5.24: get_image_size_for_max_num_patches
        assert_eq!(naflex_size(480, 640, 16, 256), (224, 288));
        assert_eq!(naflex_size(1, 3000, 16, 7), (16, 112));
        assert_eq!(naflex_size(777, 31, 16, 256), (1216, 48));
    }

    #[test]
    fn patches_are_rows_of_pixels_and_the_rest_is_padding() {
        let json =
            br#"{"patch_size": 4, "max_num_patches": 7, "do_normalize": false, "do_rescale": false, "size": null}"#;
        let processor = SiglipPreprocessor::from_json(json, "p", &config("siglip2")).unwrap();
        // 8 by 12 pixels are 2 by 3 patches: nothing is resized
        let data: Vec<u8> = (0..8u8).flat_map(|y| (0..12u8).flat_map(move |x| [x, y, 200])).collect();
        let image = ColorImage::new(12, 8, data).unwrap();
        let ImageInput::Patches(batch) = processor.read(&[&image], &Device::flex()).unwrap() else {
            panic!("no patches");
        };
        assert_eq!(batch.grids(), [[2, 3]]);
        let values = batch.patches().clone().into_data().try_to_vec::<f32>().unwrap();
        // patch (1, 2), line 3, pixel 1
        assert_eq!(values[5 * 48 + 3 * 12 + 3..][..3], [9.0, 7.0, 200.0]);
        assert!(values[6 * 48..].iter().all(|&v| v == 0.0) && values.len() == 7 * 48);
    }

    #[test]
    fn files_of_other_models_are_refused() {
        let fault = |json: &str, kind: &str| {
            SiglipPreprocessor::from_json(json.as_bytes(), "q/p.json", &config(kind)).unwrap_err().to_string()
        };
        let other = r#"{"image_processor_type": "CLIPImageProcessor"}"#;
        assert!(fault(other, "siglip").starts_with("q/p.json: image_processor_type is \"CLIPImageProcessor\""));
        assert!(fault(r#"{"size": {"height": 0, "width": 4}}"#, "siglip").contains("size.height is 0"));
        assert!(fault(r#"{"size": {"height": 99999999, "width": 4}}"#, "siglip").contains("size.height is 99999999"));
        assert!(fault(r#"{"patch_size": 16}"#, "siglip2").contains("patch_size is 16, the vision_config has 4"));
        assert!(fault(r#"{"patch_size": 4, "max_num_patches": 0}"#, "siglip2").contains("max_num_patches is 0"));
        assert!(fault(r#"{"patch_size": 4, "do_resize": false}"#, "siglip2").contains("do_resize is false"));
    }
}
