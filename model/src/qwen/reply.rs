//! What a caller asks of a reply, and what one is.

use std::time::Instant;

use crate::sampling::SamplerConfig;

/// How a reply is written.
#[derive(Debug, Clone)]
pub struct ReplyOptions {
    /// Most tokens.
    pub max_tokens: usize,
    /// No token is begun after this.
    pub deadline: Option<Instant>,
    /// How tokens are chosen; None as the model's generation_config.json says.
    pub sampling: Option<SamplerConfig>,
    /// True to keep the text in the grammar of [`grammar`](crate::grammar), and to end it there within `max_tokens`; a deadline
    /// and a caller who stops cut it off all the same.
    pub grammar: bool,
}

impl Default for ReplyOptions {
    fn default() -> Self {
        Self { max_tokens: 512, deadline: None, sampling: None, grammar: false }
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The model wrote its end token, or all that the grammar has.
    Finished,
    /// The token budget was spent.
    Budget,
    /// The deadline passed.
    Deadline,
    /// The caller stopped it.
    Cancelled,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The text, without marks.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub ending: Ending,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were read for an earlier prompt and not again.
    pub reused_tokens: usize,
    /// From the call to the first token, milliseconds; None where there was none.
    pub first_token_ms: Option<f64>,
}
