//! Views in, tokens and embeddings out: the image encoder, the depth encoder and the text tower that scores views.

pub mod parts;
mod text_tower;
mod vit;

pub use text_tower::TextTower;
pub use vit::{ViewFeatures, Vit};
