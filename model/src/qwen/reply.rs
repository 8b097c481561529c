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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;
    use std::path::Path;

    use vantage_scene::ColorImage;

    use crate::grammar::{TokenFilterError, parse};
    use crate::packed::MatrixType;
    use crate::qwen::{Message, Part, QwenError, QwenVl, Role};
    use crate::weights::Placement;

    /// Two layers of random weights, with a tokenizer of 340 byte-level tokens and 7 marks.
    fn random_model() -> QwenVl {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/parity/qwen/tied_two_images");
        QwenVl::load(&dir, Placement::cpu(MatrixType::F32)).unwrap()
    }

    fn asked(model: &mut QwenVl, options: &ReplyOptions) -> Result<Reply, QwenError> {
        let picture =
            ColorImage { width: 56, height: 56, data: (0..56 * 56 * 3).map(|i| (i * i % 251) as u8).collect() };
        let parts = vec![Part::Image, Part::Text("Where can I sit?".to_owned())];
        let mut streamed = String::new();
        let reply = model.reply(&[Message { role: Role::User, parts }], &[&picture], options, &mut |text| {
            streamed += text;
            ControlFlow::Continue(())
        })?;
        assert_eq!(reply.text, streamed);
        Ok(reply)
    }

    #[test]
    fn a_reply_in_the_grammar_parses_whatever_the_weights_say() {
        let mut model = random_model();
        let least = model.least_grammar_tokens().unwrap();
        assert!((5..=33).contains(&least), "{least}");
        for seed in 0..40 {
            let temperature = [0.0, 0.3, 1.0, 3.0][seed % 4];
            let sampling = SamplerConfig {
                temperature,
                top_k: [0, 20][seed / 4 % 2],
                top_p: [1.0, 0.9][seed / 8 % 2],
                repetition_penalty: [1.0, 1.05][seed / 16 % 2],
                seed: seed as u64,
            };
            let max_tokens = least + [0, 1, 7, 30, 100, 260][seed % 6];
            let options =
                ReplyOptions { max_tokens, sampling: Some(sampling), grammar: true, ..ReplyOptions::default() };
            let reply = asked(&mut model, &options).unwrap();
            assert!(parse(&reply.text).is_ok(), "{options:?}: {}", reply.text);
            assert!(reply.ending == Ending::Finished && reply.tokens.len() <= max_tokens, "{options:?}");
            let free = asked(&mut model, &ReplyOptions { grammar: false, ..options }).unwrap();
            assert!(parse(&free.text).is_err(), "random weights know the grammar: {}", free.text);
        }
    }

    #[test]
    fn a_budget_below_the_shortest_reply_is_refused() {
        let mut model = random_model();
        let least = model.least_grammar_tokens().unwrap();
        let options = ReplyOptions { max_tokens: least - 1, grammar: true, ..ReplyOptions::default() };
        let error = asked(&mut model, &options).unwrap_err();
        let expected = TokenFilterError::Budget { max_tokens: least - 1, least };
        assert!(matches!(&error, QwenError::Grammar(e) if *e == expected), "{error}");
        assert!(asked(&mut model, &ReplyOptions { max_tokens: least, ..options }).is_ok());
    }
}
