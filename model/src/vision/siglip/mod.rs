//! Views and texts in, tokens and comparable vectors out: SigLIP (arXiv 2303.15343) and SigLIP-2 (arXiv 2502.14786), at a
//! fixed resolution or with native aspect ratios (NaFlex), as `SiglipModel` and `Siglip2Model` of transformers compute them.

mod config;
mod image;
mod model;
mod pooling;
mod preprocess;
mod published;
mod text;

pub use config::{SiglipConfig, SiglipKind, SiglipTextConfig, SiglipVisionConfig};
pub use image::{ImageFeatures, ImageInput, PatchBatch, SiglipImage};
pub use model::Siglip;
pub use preprocess::{SiglipPreprocessor, naflex_size};
pub use text::{SiglipText, TextBatch};

use super::parts::{BlockNames, Projections};

/// What both towers call the tensors of a layer.
const LAYER: BlockNames = BlockNames {
    norm_attention: "layer_norm1",
    projections: Projections::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    out: "self_attn.out_proj",
    norm_mlp: "layer_norm2",
    gate: None,
    up: "mlp.fc1",
    down: "mlp.fc2",
    scales: None,
};
