//! Text in, token ids out, and back: a model's own tokenizer.json, in which marks that users wrote stay plain text.

use std::path::Path;

use super::chat_template::Piece;
use super::error::{QwenError, read_file};
use super::token_bytes::token_bytes;

const FILE: &str = "tokenizer.json";
/// Qwen2.5's has 7 MB.
const MAX_BYTES: u64 = 1 << 28;

/// A Hugging Face tokenizer.
#[derive(Debug, Clone)]
pub struct QwenTokenizer {
    /// Reads marks such as `<|im_end|>` as their tokens.
    marked: tokenizers::Tokenizer,
    /// Reads them as the letters they are written with.
    plain: tokenizers::Tokenizer,
    file: String,
}

impl QwenTokenizer {
    /// Reads tokenizer.json of `dir`; all its ids must be below `vocab`, the model's number of embeddings (which may be larger).
    ///
    /// # Errors
    /// [`QwenError`] naming the file and the token.
    pub fn read(dir: &Path, vocab: usize) -> Result<Self, QwenError> {
        let path = dir.join(FILE);
        Self::from_bytes(&read_file(&path, MAX_BYTES)?, &path.display().to_string(), vocab)
    }

    /// As [`Self::read`], from bytes; `file` names them in errors.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`].
    pub fn from_bytes(bytes: &[u8], file: &str, vocab: usize) -> Result<Self, QwenError> {
        let fault = |reason: String| QwenError::Tokenizer { file: file.to_owned(), reason };
        let mut marked = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| fault(e.to_string()))?;
        // what a file says of cutting and filling is for training in batches
        marked.with_padding(None);
        marked.with_truncation(None).map_err(|e| fault(e.to_string()))?;
        let mut largest: Vec<(u32, String)> = marked.get_vocab(true).into_iter().map(|(t, id)| (id, t)).collect();
        largest.sort();
        match largest.last() {
            None => return Err(fault("it has no tokens".to_owned())),
            Some((id, token)) if *id as usize >= vocab => {
                let reason = format!(
                    "token `{token}` has id {id}, but the model has only {vocab} embeddings; it is of another model"
                );
                return Err(fault(reason));
            }
            Some(_) => {}
        }
        let mut plain = marked.clone();
        plain.set_encode_special_tokens(true);
        Ok(Self { marked, plain, file: file.to_owned() })
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.marked.token_to_id(token)
    }

    /// Refuses a tokenizer that does not write `token` as `id`, as the model's config says.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] with both ids.
    pub fn check(&self, token: &str, id: u32) -> Result<(), QwenError> {
        match self.id(token) {
            Some(found) if found == id => Ok(()),
            found => Err(self.fault(format!(
                "token `{token}` has the id {found:?}, but config.json says {id}; they are of different models"
            ))),
        }
    }

    /// Ids of text in which marks are read.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] from the tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, QwenError> {
        self.encode_with(&self.marked, text)
    }

    /// Ids of a prompt: marks count where the template wrote them, and not where a user did. Without marks in users' text the
    /// prompt is read in one go, as the reference reads it.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] from the tokenizer.
    pub fn encode_prompt(&self, pieces: &[Piece]) -> Result<Vec<u32>, QwenError> {
        let whole: String = pieces.iter().map(Piece::text).collect();
        let mut marked_by_users = false;
        for piece in pieces {
            if let Piece::User(text) = piece {
                marked_by_users |= self.encode(text)? != self.encode_with(&self.plain, text)?;
            }
        }
        if !marked_by_users {
            return self.encode(&whole);
        }
        let mut ids = Vec::new();
        for piece in pieces {
            ids.extend(match piece {
                Piece::Template(text) => self.encode(text)?,
                Piece::User(text) => self.encode_with(&self.plain, text)?,
            });
        }
        Ok(ids)
    }

    fn encode_with(&self, tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>, QwenError> {
        let encoding = tokenizer.encode(text, false).map_err(|e| self.fault(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of ids, without marks.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] from the tokenizer.
    pub fn decode(&self, ids: &[u32]) -> Result<String, QwenError> {
        self.marked.decode(ids, true).map_err(|e| self.fault(e.to_string()))
    }

    /// The bytes that each token writes, by its id; None for ids of no token and for marks that [`Self::decode`] leaves out.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] where tokens are no bytes, but something that only a sequence of them gives.
    pub fn token_bytes(&self) -> Result<Vec<Option<Vec<u8>>>, QwenError> {
        token_bytes(&self.marked).map_err(|reason| self.fault(reason))
    }

    fn fault(&self, reason: String) -> QwenError {
        QwenError::Tokenizer { file: self.file.clone(), reason }
    }
}

/// Turns tokens into text as they come; a character whose bytes are spread over tokens waits until it is whole.
#[derive(Debug)]
pub struct QwenTokenStream<'a> {
    tokenizer: &'a QwenTokenizer,
    waiting: Vec<u32>,
}

/// Most tokens that wait for the rest of a character: four bytes, and then it is no character.
const MAX_WAITING: usize = 8;

impl<'a> QwenTokenStream<'a> {
    /// An empty stream.
    pub fn new(tokenizer: &'a QwenTokenizer) -> Self {
        Self { tokenizer, waiting: Vec::new() }
    }

    /// The text that `id` completes; empty while a character is not whole.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] from the tokenizer.
    pub fn push(&mut self, id: u32) -> Result<String, QwenError> {
        self.waiting.push(id);
        let text = self.tokenizer.decode(&self.waiting)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) && self.waiting.len() < MAX_WAITING {
            return Ok(String::new());
        }
        self.waiting.clear();
        Ok(text)
    }

    /// What is left, with a replacement for a character that was never completed.
    ///
    /// # Errors
    /// [`QwenError::Tokenizer`] from the tokenizer.
    pub fn finish(mut self) -> Result<String, QwenError> {
        let text = self.tokenizer.decode(&self.waiting);
        self.waiting.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/qwen_tokenizer.json");
    const VOCAB: usize = 400;

    fn tokenizer() -> QwenTokenizer {
        QwenTokenizer::from_bytes(FIXTURE, "tokenizer.json", VOCAB).unwrap()
    }

    /// Encodings that transformers' `Qwen2TokenizerFast` gives for the same file.
    #[test]
    fn it_reads_as_the_reference_does() {
        let cases: serde_json::Value =
            serde_json::from_slice(include_bytes!("../../tests/fixtures/qwen_tokenizer_cases.json")).unwrap();
        let cases = cases.as_array().unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let ids: Vec<u32> = case["ids"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
            assert_eq!(tokenizer().encode(text).unwrap(), ids, "{text:?}");
            assert_eq!(tokenizer().decode(&ids).unwrap(), case["decoded"].as_str().unwrap());
        }
    }

    #[test]
    fn streams_give_whole_characters_and_all_of_them() {
        let tokenizer = tokenizer();
        for text in ["plain words", "naïve – 你好, 🤖🪑!", "\n\n  x"] {
            let mut stream = QwenTokenStream::new(&tokenizer);
            let mut joined = String::new();
            for id in tokenizer.encode(text).unwrap() {
                let piece = stream.push(id).unwrap();
                assert!(!piece.contains(char::REPLACEMENT_CHARACTER));
                joined += &piece;
            }
            assert_eq!(joined + &stream.finish().unwrap(), text);
        }
        let mut broken = QwenTokenStream::new(&tokenizer);
        let first = tokenizer.encode("🤖").unwrap()[0];
        assert_eq!(broken.push(first).unwrap(), "");
        assert_eq!(broken.finish().unwrap(), "\u{FFFD}");
    }

    #[test]
    fn marks_that_a_user_writes_stay_text() {
        let tokenizer = tokenizer();
        let end = tokenizer.id("<|im_end|>").unwrap();
        let pieces = |text: &str| vec![Piece::Template("<|im_end|>".to_owned()), Piece::User(text.to_owned())];
        let count = |text: &str| {
            let ids = tokenizer.encode_prompt(&pieces(text)).unwrap();
            (ids.iter().filter(|id| **id == end).count(), tokenizer.decode(&ids).unwrap())
        };
        assert_eq!(count("hi"), (1, "hi".to_owned()));
        assert_eq!(count("a<|im_end|>b"), (1, "a<|im_end|>b".to_owned()));
    }

    #[test]
    fn a_tokenizer_of_another_model_is_refused() {
        let error = QwenTokenizer::from_bytes(FIXTURE, "t.json", 100).unwrap_err().to_string();
        assert!(error.contains("t.json") && error.contains("100 embeddings"), "{error}");
        assert!(QwenTokenizer::from_bytes(b"{}", "t.json", VOCAB).is_err());
        let error = tokenizer().check("<|image_pad|>", 1).unwrap_err().to_string();
        assert!(error.contains("<|image_pad|>"), "{error}");
    }
}
