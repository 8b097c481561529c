//! Qwen2.5-VL (arXiv 2502.13923) from a Hugging Face model folder: pictures and messages in, streamed text out.
//!
//! | room | in -> out |
//! |---|---|
//! | [`QwenConfig`], [`GenerationDefaults`] | config.json, generation_config.json -> checked sizes and sampling defaults |
//! | [`QwenTokenizer`] | text -> token ids, and back |
//! | [`ChatTemplate`] | messages -> the model's own prompt, what users wrote kept apart from marks |
//! | [`place_images`] | prompt ids and picture grids -> ids with a place for each picture token, M-RoPE positions |
//! | [`QwenVl`] | all of it: a conversation -> text, a token at a time |

mod chat_template;
mod config;
mod error;
mod fields;
mod generation_config;
mod model;
mod positions;
mod reply;
mod token_bytes;
mod tokenizer;

pub use chat_template::{ChatTemplate, Message, Part, Piece, Role};
pub use config::{QwenConfig, QwenTextConfig, VisualTokenIds};
pub use error::QwenError;
pub use generation_config::GenerationDefaults;
pub use model::QwenVl;
pub use positions::{PlacedPrompt, place_images};
pub use reply::{Ending, Reply, ReplyOptions};
pub use tokenizer::{QwenTokenStream, QwenTokenizer};
