//! What a vision or text tower refuses to read, and why.

/// Why an input does not fit a tower.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VisionError {
    /// An empty batch.
    #[error("there is no view to encode")]
    NoView,
    /// Pixels with another number of channels.
    #[error("the pixels have {given} channels, the encoder reads {expected}")]
    Channels {
        /// Of the pixels.
        given: usize,
        /// Of the encoder.
        expected: usize,
    },
    /// Pixels smaller than one patch.
    #[error("a picture of {height}x{width} pixels is smaller than one patch of {patch}x{patch}")]
    SmallerThanAPatch {
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
        /// The patch's side.
        patch: usize,
    },
    /// A batch of patches that disagrees with its grids.
    #[error("{views} views of up to {patches} patches do not fit their grids (rows, columns): {reason}")]
    Grids {
        /// Views in the batch.
        views: usize,
        /// Patches that a view has room for.
        patches: usize,
        /// What disagrees.
        reason: String,
    },
    /// The other kind of input.
    #[error("this encoder reads {expected}, it was given {given}")]
    Kind {
        /// What it reads.
        expected: &'static str,
        /// What it was given.
        given: &'static str,
    },
    /// No text, or one longer than the tower has positions for.
    #[error("a text of {tokens} tokens was given, the text tower reads 1 to {limit}")]
    TextLength {
        /// Tokens given.
        tokens: usize,
        /// Positions of the tower.
        limit: usize,
    },
    /// A token that the tower has no embedding for.
    #[error("token {id} is beyond the text tower's {vocabulary}; the tokenizer is another model's")]
    Token {
        /// The token.
        id: u32,
        /// Rows of the embedding table.
        vocabulary: usize,
    },
    /// A picture whose data does not fit its size.
    #[error("a picture of {width}x{height} pixels with {bytes} bytes cannot be resized to {to_width}x{to_height}")]
    Picture {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// Bytes of its data; three a pixel are needed.
        bytes: usize,
        /// The wished width.
        to_width: usize,
        /// The wished height.
        to_height: usize,
    },
    /// Views of different size in one batch.
    #[error("view {index} becomes {given:?} pixels (height, width), the first {expected:?}; give views of one size")]
    Sizes {
        /// Which view.
        index: usize,
        /// Its height and width.
        given: (usize, usize),
        /// The first view's.
        expected: (usize, usize),
    },
    /// A preprocessor_config.json that cannot be used.
    #[error("{file}: {reason}")]
    Preprocessor {
        /// The file, with its folder.
        file: String,
        /// The field, its value and what would be right.
        reason: String,
    },
    /// A config that did not pass its check.
    #[error("the head reads fused map {index}, the neck gives {maps}; check the config before the weights are read")]
    FusedMap {
        /// Which map.
        index: usize,
        /// How many there are.
        maps: usize,
    },
}
