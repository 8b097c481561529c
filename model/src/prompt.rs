//! A question in, the decoder's prompt tokens out; and the target text for training, so that both sides agree.

use crate::error::ModelError;
use crate::grammar::marks::{ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN};
use crate::tokenizer::Tokenizer;

/// The prompt that stands between the scene and the generated text: the scene mark, then the question.
///
/// # Errors
/// [`ModelError`] of the tokenizer.
pub fn prompt_tokens(tokenizer: &Tokenizer, question: &str) -> Result<Vec<u32>, ModelError> {
    let mut tokens = vec![tokenizer.special().scene];
    tokens.extend(tokenizer.encode(question.trim())?);
    Ok(tokens)
}

/// The text that the decoder is to write: `<think>…</think><answer>…</answer>`.
pub fn target_text(think: &str, answer: &str) -> String {
    format!("{THINK_OPEN}{think}{THINK_CLOSE}{ANSWER_OPEN}{answer}{ANSWER_CLOSE}")
}

/// The tokens of [`target_text`], the end mark included.
///
/// # Errors
/// [`ModelError`] of the tokenizer.
pub fn target_tokens(tokenizer: &Tokenizer, think: &str, answer: &str) -> Result<Vec<u32>, ModelError> {
    let mut tokens = tokenizer.encode(&target_text(think, answer))?;
    tokens.push(tokenizer.special().end);
    Ok(tokens)
}
