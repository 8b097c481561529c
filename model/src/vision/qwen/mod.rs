//! Pictures in, tokens of the decoder's width out: Qwen2.5-VL's image preprocessing and vision tower (arXiv 2502.13923), at any
//! size, equal to transformers' `Qwen2VLImageProcessor` and `Qwen2_5_VisionTransformerPretrainedModel`.

mod config;
mod error;
mod layout;
mod preprocess;
mod smart_resize;
mod tower;

pub use config::{QwenRope, QwenVisionConfig};
pub use error::QwenVisionError;
pub use layout::Grid;
pub use preprocess::{QwenPixels, QwenPreprocessor};
pub use smart_resize::{MAX_ASPECT_RATIO, smart_resize};
pub use tower::{QwenVision, QwenVisionStages};
