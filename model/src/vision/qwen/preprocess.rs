//! RGB pictures of any size and a preprocessor_config.json in, `pixel_values` `[patches, channels * temporal * patch * patch]` and a
//! grid for each picture out, equal to transformers' `Qwen2VLImageProcessor` on its default (torchvision) backend.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::Deserialize;
use vantage_scene::ColorImage;

use super::config::QwenVisionConfig;
use super::error::QwenVisionError;
use super::layout::Grid;
use super::smart_resize::{MAX_ASPECT_RATIO, smart_resize};
use crate::vision::parts::{Filter, Levels, PixelSize, resize_bytes};

/// Bytes of a pixel.
const CHANNELS: usize = 3;
/// Mean and deviation of CLIP's training pictures (arXiv 2103.00020), the processor's defaults.
const CLIP_MEAN: [f64; CHANNELS] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; CHANNELS] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
/// Pillow's number for bicubic resampling.
const BICUBIC: u64 = 3;
/// Most pixels that a config may ask for: twice those of Qwen2.5-VL's own limit, 16 384 tokens.
const MAX_PIXELS: u64 = 2 * 16_384 * 28 * 28;
/// Largest patch side, merge side and clip length.
const MAX_SIDE: usize = 256;

/// Pictures as the vision tower reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenPixels {
    /// `[patches, row_width]`, the pictures one after another. Patches of a picture stand in the order of merged tokens, the
    /// `merge * merge` patches of a token together; a row is `[channel, frame, y, x]`.
    pub values: Vec<f32>,
    /// Values of one patch.
    pub row_width: usize,
    /// Patches of each picture.
    pub grids: Vec<Grid>,
}

impl QwenPixels {
    /// `pixel_values` `[patches, row_width]` on `device`.
    pub fn into_tensor(self, device: &Device) -> Tensor<2> {
        let rows = self.values.len().checked_div(self.row_width).unwrap_or(0);
        Tensor::from_data(TensorData::new(self.values, [rows, self.row_width]), device)
    }
}

/// Resizes, normalises and cuts pictures into patches.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenPreprocessor {
    resize: bool,
    min_pixels: u64,
    max_pixels: u64,
    patch_size: usize,
    temporal_patch_size: usize,
    merge_size: usize,
    levels: Levels,
}

/// preprocessor_config.json; fields that do not matter here (processor names, `do_convert_rgb`) are not read.
#[derive(Deserialize)]
#[serde(default)]
struct File {
    image_processor_type: Option<String>,
    do_resize: bool,
    do_rescale: bool,
    do_normalize: bool,
    resample: u64,
    rescale_factor: f64,
    image_mean: [f64; CHANNELS],
    image_std: [f64; CHANNELS],
    patch_size: usize,
    temporal_patch_size: usize,
    merge_size: usize,
    size: Option<Size>,
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
}

/// Numbers of pixels, in spite of their names.
#[derive(Deserialize)]
struct Size {
    #[serde(alias = "min_pixels")]
    shortest_edge: Option<u64>,
    #[serde(alias = "max_pixels")]
    longest_edge: Option<u64>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            image_processor_type: None,
            do_resize: true,
            do_rescale: true,
            do_normalize: true,
            resample: BICUBIC,
            rescale_factor: 1.0 / 255.0,
            image_mean: CLIP_MEAN,
            image_std: CLIP_STD,
            patch_size: 14,
            temporal_patch_size: 2,
            merge_size: 2,
            size: None,
            min_pixels: None,
            max_pixels: None,
        }
    }
}

impl File {
    /// `(min_pixels, max_pixels)`; the old names win over `size`, as in the reference.
    fn pixels(&self) -> (u64, u64) {
        let size = self.size.as_ref();
        let min = self.min_pixels.or_else(|| size.and_then(|s| s.shortest_edge));
        let max = self.max_pixels.or_else(|| size.and_then(|s| s.longest_edge));
        (min.unwrap_or(56 * 56), max.unwrap_or(28 * 28 * 1280))
    }

    fn problem(&self) -> Option<String> {
        if let Some(kind) = self.image_processor_type.as_ref().filter(|kind| !kind.starts_with("Qwen2")) {
            return Some(format!("image_processor_type is {kind:?}, Qwen2VLImageProcessor is needed"));
        }
        let sides = [
            ("patch_size", self.patch_size),
            ("temporal_patch_size", self.temporal_patch_size),
            ("merge_size", self.merge_size),
        ];
        if let Some((name, side)) = sides.into_iter().find(|(_, side)| !(1..=MAX_SIDE).contains(side)) {
            return Some(format!("{name} is {side}, it must be from 1 to {MAX_SIDE}"));
        }
        let (min, max) = self.pixels();
        if min == 0 || min > max || max > MAX_PIXELS {
            return Some(format!(
                "min_pixels is {min} and max_pixels is {max}, they must rise and be from 1 to {MAX_PIXELS} \
                 (size.shortest_edge and size.longest_edge are the same two)"
            ));
        }
        let step = (self.patch_size * self.merge_size) as u64;
        if step * step > max {
            return Some(format!("max_pixels is {max}, less than one merged patch of {step}x{step} pixels"));
        }
        if self.do_resize && self.resample != BICUBIC {
            return Some(format!("resample is {}, only {BICUBIC} (bicubic) is known", self.resample));
        }
        let all_finite = self.image_mean.iter().all(|v| v.is_finite());
        let all_positive = self.image_std.iter().chain([&self.rescale_factor]).all(|v| v.is_finite() && *v > 0.0);
        if !all_finite || !all_positive {
            return Some(format!(
                "image_mean is {:?}, image_std is {:?} and rescale_factor is {}; they must be finite and the last two above 0",
                self.image_mean, self.image_std, self.rescale_factor
            ));
        }
        None
    }

    fn levels(&self) -> Levels {
        let scale = self.do_rescale.then_some(self.rescale_factor);
        Levels::new(scale, self.do_normalize.then_some((self.image_mean, self.image_std)))
    }
}

impl QwenPreprocessor {
    /// Reads and checks the bytes of a preprocessor_config.json; both the names of 2024 (`min_pixels`, `max_pixels`) and those
    /// of transformers 5 (`size.shortest_edge`, `size.longest_edge`) are understood. `file` names it in errors.
    ///
    /// # Errors
    /// [`QwenVisionError::Config`] with the field and the reason.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self, QwenVisionError> {
        let refused = |reason: String| QwenVisionError::Config { file: file.to_owned(), reason };
        let read: File = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        if let Some(problem) = read.problem() {
            return Err(refused(problem));
        }
        let (min_pixels, max_pixels) = read.pixels();
        Ok(Self {
            resize: read.do_resize,
            min_pixels,
            max_pixels,
            patch_size: read.patch_size,
            temporal_patch_size: read.temporal_patch_size,
            merge_size: read.merge_size,
            levels: read.levels(),
        })
    }

    /// Refuses a vision config whose patches are not these. `file` names the preprocessor's file in errors.
    ///
    /// # Errors
    /// [`QwenVisionError::Config`] with the field and both values.
    pub fn check_against(&self, config: &QwenVisionConfig, file: &str) -> Result<(), QwenVisionError> {
        let pairs = [
            ("patch_size", self.patch_size, config.patch_size),
            ("temporal_patch_size", self.temporal_patch_size, config.temporal_patch_size),
            ("merge_size", self.merge_size, config.spatial_merge_size),
            ("channels", CHANNELS, config.in_channels),
        ];
        match pairs.into_iter().find(|(_, here, there)| here != there) {
            None => Ok(()),
            Some((field, here, there)) => Err(QwenVisionError::Config {
                file: file.to_owned(),
                reason: format!(
                    "{field} is {here}, but the vision_config of config.json has {there}; they are of different models"
                ),
            }),
        }
    }

    /// The grid that a picture of `width` by `height` pixels gets; its merged tokens are what the decoder's prompt makes
    /// room for. `index` names the picture in errors.
    ///
    /// # Errors
    /// [`QwenVisionError::AspectRatio`], [`QwenVisionError::Pixels`] (no pixels), or [`QwenVisionError::Undivided`].
    pub fn grid(&self, index: usize, width: u32, height: u32) -> Result<Grid, QwenVisionError> {
        if width == 0 || height == 0 {
            return Err(QwenVisionError::Pixels { index, width, height, bytes: 0 });
        }
        // at most MAX_SIDE^2
        let step = (self.patch_size * self.merge_size) as u32;
        let (to_height, to_width) =
            if self.resize {
                smart_resize(height, width, step, self.min_pixels, self.max_pixels)
                    .ok_or(QwenVisionError::AspectRatio { index, width, height, limit: MAX_ASPECT_RATIO })?
            } else if width.is_multiple_of(step) && height.is_multiple_of(step) {
                (height, width)
            } else {
                return Err(QwenVisionError::Undivided { index, width, height, step });
            };
        let patches = |side: u32| side as usize / self.patch_size;
        Ok(Grid { frames: 1, height: patches(to_height), width: patches(to_width) })
    }

    /// Pixel values and grids of `images`.
    ///
    /// # Errors
    /// Those of [`QwenPreprocessor::grid`], and [`QwenVisionError::Pixels`] when an image's bytes do not fit its size.
    pub fn pixels(&self, images: &[&ColorImage]) -> Result<QwenPixels, QwenVisionError> {
        let row_width = CHANNELS * self.temporal_patch_size * self.patch_size * self.patch_size;
        let mut pixels = QwenPixels { values: Vec::new(), row_width, grids: Vec::with_capacity(images.len()) };
        for (index, image) in images.iter().enumerate() {
            let (width, height, bytes) = (image.width, image.height, image.data.len());
            let grid = self.grid(index, width, height)?;
            let expected = u128::from(width) * u128::from(height) * CHANNELS as u128;
            if bytes as u128 != expected {
                return Err(QwenVisionError::Pixels { index, width, height, bytes });
            }
            self.append_patches(image, grid, &mut pixels.values, row_width);
            pixels.grids.push(grid);
        }
        Ok(pixels)
    }

    fn append_patches(&self, image: &ColorImage, grid: Grid, values: &mut Vec<f32>, row_width: usize) {
        let from = PixelSize { width: image.width as usize, height: image.height as usize };
        let to = PixelSize { width: grid.width * self.patch_size, height: grid.height * self.patch_size };
        let resized = resize_bytes(&image.data, from, to, Filter::CubicAntialias);
        let (patch, merge) = (self.patch_size, self.merge_size);
        let start = values.len();
        values.resize(start + grid.height * grid.width * row_width, 0.0);
        let band = merge * grid.width * row_width;
        // a band is one row of merged tokens
        values[start..].par_chunks_exact_mut(band).enumerate().for_each(|(token_row, band)| {
            for (i, row) in band.chunks_exact_mut(row_width).enumerate() {
                let (token, inner) = (i / (merge * merge), i % (merge * merge));
                let top = (token_row * merge + inner / merge) * patch;
                let left = (token * merge + inner % merge) * patch;
                self.write_patch(&resized, to.width, top, left, row);
            }
        });
    }

    /// Fills `row`, `[channel, frame, y, x]`, from the square at `top` and `left`; every frame is the same.
    fn write_patch(&self, rgb: &[u8], width: usize, top: usize, left: usize, row: &mut [f32]) {
        let patch = self.patch_size;
        let frame = patch * patch;
        for (channel, (row, levels)) in
            row.chunks_exact_mut(self.temporal_patch_size * frame).zip(self.levels.channels()).enumerate()
        {
            let (first, others) = row.split_at_mut(frame);
            for (y, line) in first.chunks_exact_mut(patch).enumerate() {
                let source = ((top + y) * width + left) * CHANNELS + channel;
                for (value, &byte) in line.iter_mut().zip(rgb[source..].iter().step_by(CHANNELS)) {
                    *value = levels[usize::from(byte)];
                }
            }
            for other in others.chunks_exact_mut(frame) {
                other.copy_from_slice(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> QwenPreprocessor {
        QwenPreprocessor::from_json(b"{}", "preprocessor_config.json").unwrap()
    }

    fn refused(json: &str) -> String {
        QwenPreprocessor::from_json(json.as_bytes(), "q/preprocessor_config.json").unwrap_err().to_string()
    }

    #[test]
    fn old_and_new_names_of_the_pixel_bounds_are_read() {
        for json in [
            r#"{"min_pixels": 784, "max_pixels": 12845056, "image_processor_type": "Qwen2VLImageProcessor"}"#,
            r#"{"size": {"shortest_edge": 784, "longest_edge": 12845056}, "image_processor_type": "Qwen2VLImageProcessorFast"}"#,
            r#"{"size": {"min_pixels": 784, "max_pixels": 12845056}}"#,
            r#"{"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 784, "max_pixels": 12845056}"#,
        ] {
            let read = QwenPreprocessor::from_json(json.as_bytes(), "p").unwrap();
            assert_eq!((read.min_pixels, read.max_pixels), (784, 12_845_056), "{json}");
        }
        assert_eq!((default().min_pixels, default().max_pixels), (3136, 1_003_520));
    }

    #[test]
    fn absurd_fields_are_refused_by_name() {
        for (json, expected) in [
            (r#"{"patch_size": 0}"#, "patch_size is 0"),
            (r#"{"merge_size": 100000}"#, "merge_size is 100000"),
            (r#"{"max_pixels": 18446744073709551615}"#, "max_pixels is 18446744073709551615"),
            (r#"{"min_pixels": 0}"#, "min_pixels is 0"),
            (r#"{"min_pixels": 3000, "max_pixels": 2000}"#, "min_pixels is 3000 and max_pixels is 2000"),
            (r#"{"min_pixels": 1, "max_pixels": 700}"#, "less than one merged patch"),
            (r#"{"resample": 2}"#, "resample is 2"),
            (r#"{"image_std": [1, 0, 1]}"#, "image_std is [1.0, 0.0, 1.0]"),
            (r#"{"image_mean": [1, 0]}"#, "invalid length 2"),
            (r#"{"image_processor_type": "SiglipImageProcessor"}"#, "image_processor_type is \"SiglipImageProcessor\""),
            ("{", "EOF"),
        ] {
            let text = refused(json);
            assert!(text.starts_with("q/preprocessor_config.json: ") && text.contains(expected), "{json}: {text}");
        }
    }

    #[test]
    fn pictures_that_cannot_be_read_are_named() {
        let good = ColorImage::new(30, 20, vec![9; 30 * 20 * 3]).unwrap();
        let with = |width, height, bytes: usize| {
            let bad = ColorImage { width, height, data: vec![0; bytes] };
            default().pixels(&[&good, &bad]).unwrap_err()
        };
        assert_eq!(with(0, 5, 0), QwenVisionError::Pixels { index: 1, width: 0, height: 5, bytes: 0 });
        assert_eq!(with(5, 5, 74), QwenVisionError::Pixels { index: 1, width: 5, height: 5, bytes: 74 });
        let thin = QwenVisionError::AspectRatio { index: 1, width: 1, height: 5000, limit: 200 };
        assert_eq!(with(1, 5000, 15_000), thin);
        // sizes that no bytes can back are refused before anything is allocated
        assert!(matches!(with(u32::MAX, u32::MAX, 3), QwenVisionError::Pixels { .. }));
        let fixed = QwenPreprocessor::from_json(br#"{"do_resize": false}"#, "p").unwrap();
        let error = fixed.pixels(&[&good]).unwrap_err();
        assert_eq!(error, QwenVisionError::Undivided { index: 0, width: 30, height: 20, step: 28 });
    }

    #[test]
    fn one_pixel_becomes_the_smallest_picture() {
        let pixel = ColorImage::new(1, 1, vec![0, 128, 255]).unwrap();
        let pixels = default().pixels(&[&pixel]).unwrap();
        assert_eq!(pixels.grids, [Grid { frames: 1, height: 4, width: 4 }]);
        assert_eq!((pixels.row_width, pixels.values.len()), (1176, 16 * 1176));
        for (channel, level) in [0.0, 128.0, 255.0].into_iter().enumerate() {
            let expected = ((level / 255.0 - CLIP_MEAN[channel]) / CLIP_STD[channel]) as f32;
            for row in pixels.values.chunks_exact(1176) {
                assert!(row[channel * 392..][..392].iter().all(|v| (v - expected).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn a_row_is_a_patch_of_its_merged_token() {
        // each pixel of a 56x28 picture that is not resized says where it is
        let data: Vec<u8> = (0..28u8).flat_map(|y| (0..56u8).flat_map(move |x| [x, y, 200])).collect();
        let json = br#"{"do_resize": false, "do_rescale": false, "do_normalize": false}"#;
        let processor = QwenPreprocessor::from_json(json, "p").unwrap();
        let pixels = processor.pixels(&[&ColorImage::new(56, 28, data).unwrap()]).unwrap();
        assert_eq!(pixels.grids, [Grid { frames: 1, height: 2, width: 4 }]);
        let corners = [(0, 0), (14, 0), (0, 14), (14, 14), (28, 0), (42, 0), (28, 14), (42, 14)];
        for (row, (x, y)) in pixels.values.chunks_exact(1176).zip(corners) {
            for frame in 0..2 {
                let at = |channel: usize, dy: usize, dx: usize| row[(channel * 2 + frame) * 196 + dy * 14 + dx];
                assert_eq!([at(0, 0, 0), at(1, 0, 0), at(2, 0, 0)], [x as f32, y as f32, 200.0]);
                assert_eq!([at(0, 13, 5), at(1, 13, 5)], [(x + 5) as f32, (y + 13) as f32]);
            }
        }
    }

    #[test]
    fn another_models_patches_are_refused() {
        let config = QwenVisionConfig::default();
        assert_eq!(default().check_against(&config, "p"), Ok(()));
        let other = QwenVisionConfig { spatial_merge_size: 4, ..config };
        let text = default().check_against(&other, "p").unwrap_err().to_string();
        assert!(text.contains("merge_size is 2") && text.contains("has 4"), "{text}");
    }
}
