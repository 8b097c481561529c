//! Views in, tokens and embeddings out: the image encoder, the depth encoder and the text tower that scores views.

pub mod depth_anything;
pub mod dinov2;
mod error;
pub mod parts;
pub mod qwen;
pub mod siglip;
mod text_tower;
mod vit;

pub use error::VisionError;
pub use text_tower::{TextStates, TextTower};
pub use vit::{ViewFeatures, Vit};
