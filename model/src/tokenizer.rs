//! Text in, token ids out, and back: byte-level BPE through the `tokenizers` crate, with one token for each mark of the
//! output grammar and for each number that a text box may hold.

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::error::ModelError;
use crate::grammar::TextBox;
use crate::grammar::marks::{ANSWER_CLOSE, ANSWER_OPEN, BOX_CLOSE, BOX_OPEN, THINK_CLOSE, THINK_OPEN};

/// Marks with a token of their own, in the order of their ids.
const SPECIAL: [&str; 9] =
    ["<|pad|>", "<|end|>", "<|scene|>", THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE, BOX_OPEN, BOX_CLOSE];
/// Pieces that BPE never merges across: a run of digits, the comma of a box, a word with the space before it, the rest.
const PIECES: &str = r"[0-9]+|, | ?[A-Za-z]+|\s+|[^\s0-9A-Za-z]";
/// How often each number stands in the training corpus: often enough that every number becomes one token.
const NUMBER_REPEATS: usize = 400;

/// Ids of the marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Padding.
    pub pad: u32,
    /// End of the text.
    pub end: u32,
    /// Stands between the scene and the question.
    pub scene: u32,
    /// `<think>`.
    pub think_open: u32,
    /// `</think>`.
    pub think_close: u32,
    /// `<answer>`.
    pub answer_open: u32,
    /// `</answer>`.
    pub answer_close: u32,
    /// `<obj>`.
    pub box_open: u32,
    /// `</obj>`.
    pub box_close: u32,
}

/// Tokens behind the `<obj>` of a box: six numbers, the separators between them, `</obj>`.
pub const BOX_TOKENS: usize = 12;

/// A tokenizer with the marks that the model needs.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialTokens,
    /// The token of each number of a box.
    numbers: Vec<u32>,
    /// The token between two of them.
    separator: u32,
}

fn fault(reason: impl std::fmt::Display) -> ModelError {
    ModelError::Tokenizer { reason: reason.to_string() }
}

impl Tokenizer {
    /// Reads tokenizer.json in the Hugging Face format.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when it cannot be parsed or lacks a mark.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::wrap(tokenizers::Tokenizer::from_bytes(bytes).map_err(fault)?)
    }

    /// Reads tokenizer.json in the Hugging Face format from the disk.
    ///
    /// # Errors
    /// [`ModelError::File`] when it cannot be read, else as [`Self::from_bytes`].
    pub fn from_file(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|source| ModelError::File { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    fn wrap(inner: tokenizers::Tokenizer) -> Result<Self, ModelError> {
        let unknown = [
            ("padding", inner.get_padding().is_some()),
            ("truncation", inner.get_truncation().is_some()),
            ("normalizer", inner.get_normalizer().is_some()),
        ];
        if let Some((section, _)) = unknown.into_iter().find(|(_, set)| *set) {
            return Err(fault(format!("tokenizer.json sets `{section}`, which this program does not use; remove it")));
        }
        let size = inner.get_vocab_size(true);
        if let Some((token, id)) = inner.get_vocab(true).into_iter().find(|(_, id)| *id as usize >= size) {
            return Err(fault(format!("token `{token}` has id {id}, but there are only {size} tokens")));
        }
        let missing: Vec<&str> = SPECIAL.into_iter().filter(|s| inner.token_to_id(s).is_none()).collect();
        if !missing.is_empty() {
            return Err(fault(format!(
                "it lacks the tokens {}; is it this model's tokenizer.json?",
                missing.join(", ")
            )));
        }
        let id = |i: usize| inner.token_to_id(SPECIAL[i]).unwrap_or(0);
        let special = SpecialTokens {
            pad: id(0),
            end: id(1),
            scene: id(2),
            think_open: id(3),
            think_close: id(4),
            answer_open: id(5),
            answer_close: id(6),
            box_open: id(7),
            box_close: id(8),
        };
        let single = |piece: &str| -> Result<u32, ModelError> {
            match *inner.encode(piece, false).map_err(fault)?.get_ids() {
                [token] => Ok(token),
                ref tokens => Err(fault(format!(
                    "`{piece}` becomes {} tokens, but each number of a box and the separator have to be one: train it with a larger vocabulary",
                    tokens.len()
                ))),
            }
        };
        let numbers = (0..=u8::MAX).map(|n| single(&n.to_string())).collect::<Result<_, _>>()?;
        let separator = single(", ")?;
        Ok(Self { inner, special, numbers, separator })
    }

    /// Trains a byte-level BPE on `corpus`; equal corpora give equal tokenizers.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] from the trainer, or when `vocab_size` leaves no room for a token per box number.
    pub fn train_bpe(corpus: impl Iterator<Item = String> + Send, vocab_size: usize) -> Result<Self, ModelError> {
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        let split = Split::new(SplitPattern::Regex(PIECES.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map_err(fault)?;
        let steps =
            vec![PreTokenizerWrapper::from(split), PreTokenizerWrapper::from(ByteLevel::new(false, false, false))];
        inner.with_pre_tokenizer(Some(Sequence::new(steps)));
        inner.with_decoder(Some(ByteLevelDecoder::default()));
        let special: Vec<AddedToken> = SPECIAL.iter().map(|s| AddedToken::from(*s, true)).collect();
        let trainer = BpeTrainerBuilder::new()
            .vocab_size(vocab_size)
            .show_progress(false)
            .special_tokens(special)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let numbers = (0..NUMBER_REPEATS).map(|_| (0..=255).map(|n: u32| n.to_string()).collect::<Vec<_>>().join(", "));
        inner.train(&mut TrainerWrapper::from(trainer), numbers.chain(corpus)).map_err(fault)?;
        Self::wrap(inner)
    }

    /// What stands behind the `<obj>` of `text_box`, `</obj>` included.
    pub fn box_tokens(&self, text_box: &TextBox) -> [u32; BOX_TOKENS] {
        let numbers = text_box.numbers();
        std::array::from_fn(|i| match i {
            _ if i + 1 == BOX_TOKENS => self.special.box_close,
            _ if i % 2 == 1 => self.separator,
            _ => self.numbers[usize::from(numbers[i / 2])],
        })
    }

    /// Writes tokenizer.json.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        self.inner.save(path, false).map_err(fault)
    }

    /// Token ids of `text`; marks within it become their tokens.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] from the tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.inner.encode(text, false).map_err(fault)?.get_ids().to_vec())
    }

    /// Text of token ids; padding, end and scene marks are left out, the marks of the grammar stay.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] from the tokenizer.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        let s = &self.special;
        let kept: Vec<u32> = ids.iter().copied().filter(|id| ![s.pad, s.end, s.scene].contains(id)).collect();
        self.inner.decode(&kept, false).map_err(fault)
    }

    /// Ids of the marks.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Tokens in the vocabulary, marks included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Refuses a tokenizer whose ids do not fit the model's vocabulary.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] with both sizes.
    pub fn check_vocab(&self, model_vocab: usize) -> Result<(), ModelError> {
        if self.vocab_size() == model_vocab {
            return Ok(());
        }
        Err(fault(format!(
            "it has {} tokens but the model's config says {model_vocab}; tokenizer.json and config.json are of different models",
            self.vocab_size()
        )))
    }
}

/// Turns tokens into text as they come, whole characters only. Byte-level tokens join without context, so only the
/// tokens of an unfinished character are kept.
#[derive(Debug)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    unfinished: Vec<u32>,
}

impl<'a> StreamDecoder<'a> {
    /// A decoder at the start of a text.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, unfinished: Vec::new() }
    }

    /// The text that `id` completes; empty in the middle of a character.
    pub fn push(&mut self, id: u32) -> String {
        self.unfinished.push(id);
        let text = self.tokenizer.decode(&self.unfinished).unwrap_or_default();
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return String::new();
        }
        self.unfinished.clear();
        text
    }

    /// What is left at the end: empty, or replacement characters for one that never became whole.
    pub fn finish(self) -> String {
        self.tokenizer.decode(&self.unfinished).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    fn small() -> Tokenizer {
        let corpus = (0..50)
            .map(|_| "First, I look for the red chair. The answer is red, and the box is next to it.".to_owned());
        Tokenizer::train_bpe(corpus, 900).unwrap()
    }

    #[test]
    fn boxes_are_marks_numbers_and_commas() {
        let t = small();
        let ids = t.encode("<obj>12, 255, 0, 7, 33, 128</obj>").unwrap();
        assert_eq!(ids.len(), 2 + 6 + 5);
        assert_eq!((ids[0], ids[12]), (t.special().box_open, t.special().box_close));
        for n in [0, 9, 10, 99, 100, 254, 255] {
            let text_box = TextBox { center: [n, 3, 250], extent: [1, n, 47] };
            let written = t.encode(&text_box.to_string()).unwrap();
            assert_eq!(written[1..], t.box_tokens(&text_box), "{text_box}");
        }
    }

    #[test]
    fn text_comes_back_whole_also_in_a_stream() {
        let t = small();
        let text = "<think>First, the chäir is red at <obj>1, 2, 3, 4, 5, 6</obj>.</think><answer>red</answer>";
        let ids = t.encode(text).unwrap();
        assert_eq!(t.decode(&ids).unwrap(), text);
        let mut stream = StreamDecoder::new(&t);
        assert_eq!(ids.iter().map(|&id| stream.push(id)).collect::<String>(), text);
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn a_character_cut_off_is_held_back_until_the_end() {
        let t = small();
        let ids = t.encode("é").unwrap();
        assert_eq!(ids.len(), 2, "two bytes, never merged in this corpus");
        let mut stream = StreamDecoder::new(&t);
        assert_eq!(stream.push(ids[0]), "");
        assert_eq!(stream.finish(), "\u{FFFD}");
    }

    #[test]
    fn a_saved_tokenizer_is_read_back_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let t = small();
        t.save(&path).unwrap();
        let back = Tokenizer::from_file(&path).unwrap();
        assert_eq!(back.special(), t.special());
        assert_eq!(back.inner.to_string(false).unwrap(), t.inner.to_string(false).unwrap());
        let missing = Tokenizer::from_file(&dir.path().join("none.json")).unwrap_err().to_string();
        assert!(missing.contains("none.json"), "{missing}");
    }

    #[test]
    fn a_vocabulary_too_small_for_the_numbers_is_refused() {
        let error = Tokenizer::train_bpe(std::iter::empty(), 300).unwrap_err().to_string();
        assert!(error.contains("larger vocabulary"), "{error}");
    }

    #[test]
    fn equal_corpora_give_equal_tokenizers() {
        let json = |t: &Tokenizer| t.inner.to_string(false).unwrap();
        assert_eq!(json(&small()), json(&small()));
    }

    #[test]
    fn a_foreign_tokenizer_is_refused_by_name() {
        assert!(Tokenizer::from_bytes(b"{").is_err());
        let foreign = tokenizers::Tokenizer::new(BPE::default());
        let error = Tokenizer::wrap(foreign).unwrap_err().to_string();
        assert!(error.contains("<obj>"), "{error}");
        assert!(small().check_vocab(7).is_err());
    }

    proptest! {
        #[test]
        fn any_text_comes_back_whole(text in any::<String>()) {
            static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(small);
            let ids = TOKENIZER.encode(&text).unwrap();
            prop_assert_eq!(&TOKENIZER.decode(&ids).unwrap(), &text);
            let mut stream = StreamDecoder::new(&TOKENIZER);
            let mut streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
            streamed += &stream.finish();
            prop_assert_eq!(streamed, text);
        }
    }
}
