//! Everything that can go wrong on the way from a picture to Qwen2.5-VL's vision tokens, each naming the field or image at fault.

use super::layout::Grid;

/// Why a vision config, a preprocessor config, a picture or a grid was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QwenVisionError {
    /// A JSON file cannot be parsed or a field of it cannot be used.
    #[error("{file}: {reason}")]
    Config {
        /// The file, with its folder.
        file: String,
        /// The field, its value and what would be right.
        reason: String,
    },
    /// A picture without pixels, or whose bytes are not `width * height * 3`.
    #[error(
        "image {index}: {bytes} bytes are no {width}x{height} RGB picture; it needs width * height * 3 and at least one pixel"
    )]
    Pixels {
        /// Which of the images, from 0.
        index: usize,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes given.
        bytes: usize,
    },
    /// A picture that is too thin to be resized.
    #[error("image {index}: {width}x{height} has a ratio of sides above {limit}; crop it or pad it")]
    AspectRatio {
        /// Which of the images, from 0.
        index: usize,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The largest ratio.
        limit: u32,
    },
    /// A picture that is not to be resized and does not divide into merged patches.
    #[error(
        "image {index}: {width}x{height} is no multiple of {step} (patch_size * merge_size) and do_resize is false; resize it before"
    )]
    Undivided {
        /// Which of the images, from 0.
        index: usize,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Side of a merged patch in pixels.
        step: u32,
    },
    /// A grid that the tower cannot cut into merged tokens.
    #[error(
        "image {index}: the grid {grid} has an empty side, or one that is no multiple of spatial_merge_size {merge}"
    )]
    Grid {
        /// Which of the images, from 0.
        index: usize,
        /// The grid.
        grid: Grid,
        /// Patches merged along a side.
        merge: usize,
    },
    /// Grids and pixel values that do not belong together.
    #[error(
        "pixel_values has {rows} rows, the {images} grids describe {patches} patches; pass the grids that came with the pixels"
    )]
    Rows {
        /// Rows given.
        rows: usize,
        /// Number of grids.
        images: usize,
        /// Patches of all grids; `usize::MAX` when they cannot be counted.
        patches: usize,
    },
    /// Pixel values of another patch size.
    #[error(
        "pixel_values has {given} values a row, the config asks for {expected} (in_channels * temporal_patch_size * patch_size^2)"
    )]
    RowWidth {
        /// Values given.
        given: usize,
        /// Values of one patch.
        expected: usize,
    },
}
