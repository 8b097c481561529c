//! The one grammar of model output, `<think>…</think><answer>…</answer>` with boxes allowed in both, and its one parser:
//! inference, rewards and evaluation all read text through it.

mod byte_guide;
mod byte_table;
mod guide;
pub(crate) mod marks;
mod parser;
mod text_box;
mod token_filter;
mod token_mask;
mod token_trie;
mod utf8;

pub use byte_guide::ByteGuide;
pub use guide::{Guide, GuideVocabulary};
pub use parser::{GrammarError, Parsed, Span, boxes_in, parse};
pub use text_box::TextBox;
pub use token_filter::{TokenFilter, TokenFilterError, TokenGuide};
pub use token_mask::TokenMask;
