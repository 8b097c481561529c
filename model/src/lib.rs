//! The 3D vision-language model of Vantage: a fused scene and a question in, an answer with grounded 3D boxes out.
//!
//! The parts follow 3D-R1 (arXiv 2507.23478): image, depth and point encoders, one projection each into a Qwen2-style
//! decoder, chain-of-thought text, and a box decoder that reads the hidden states at `<obj>`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod box_decoder;
mod branch_generate;
pub mod checkpoint;
mod config;
pub mod decoder;
mod device;
mod error;
mod generate;
pub mod grammar;
mod grounding;
pub mod import;
pub mod lift;
pub mod linear;
mod map_views;
pub mod measure;
pub mod memory;
mod network;
mod norm;
pub mod packed;
mod pointing;
pub mod points;
mod position;
mod prompt;
pub mod qwen;
pub mod r1;
mod reasoner;
mod relations;
mod relevance;
pub mod sampling;
mod tokenizer;
mod transformer;
mod view_choice;
mod view_head;
mod view_input;
pub mod vision;
pub mod weights;

pub use answer::{
    Answer, AskOptions, Encoders, Grounding, Latency, SelectedView, ViewChoice, ViewId, ViewStrategy, check_question,
};
pub use box_decoder::{BoxDecoder, BoxPrediction, PaddedPoints};
pub use branch_generate::{BranchSampling, BranchText, generate_branches};
pub use config::{CONFIG_FORMAT_VERSION, DecoderConfig, ModelConfig, TextTowerConfig, VisionConfig};
pub use device::{DeviceChoice, DeviceError};
pub use error::{ModelError, WeightsFault};
pub use grammar::TextBox;
pub use map_views::{MapView, Place};
pub use network::{Network, SceneInput, TextEmbeddings};
pub use norm::{Norm, NormKind};
pub use pointing::{BoxQuery, InFocus, first_looks, objects_in_focus, world_boxes};
pub use points::{PointFeatures, PointPlan, PointSample};
pub use position::{PLACE_WIDTH, place_features, scene_center};
pub use prompt::{prompt_tokens, target_text, target_tokens};
pub use reasoner::{Reasoner, VISIBILITY_TOLERANCE_M};
pub use relations::{FocusBox, RELATION_WIDTH, relation_features};
pub use relevance::{RelevanceHead, RelevancePoints, points_given};
pub use tokenizer::{SpecialTokens, StreamDecoder, Tokenizer};
pub use view_choice::LEAST_PROBABILITY;
pub use view_head::{TEXT_WEIGHT_PRIOR, ViewHead, ViewWeights};
pub use view_input::ViewInput;
pub use vision::ViewFeatures;
