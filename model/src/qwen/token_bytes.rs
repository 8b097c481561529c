//! A tokenizer in, the bytes that each of its tokens writes out.

use rustc_hash::FxHashSet;
use tokenizers::{DecoderWrapper, Tokenizer};

/// The bytes of each token by its id, as decoding without special tokens writes them; None where nothing is written.
pub(super) fn token_bytes(tokenizer: &Tokenizer) -> Result<Vec<Option<Vec<u8>>>, String> {
    if !matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
        return Err("its decoder is not ByteLevel, so that its tokens are no bytes; ask without the grammar".to_owned());
    }
    let added = tokenizer.get_added_tokens_decoder();
    let special: FxHashSet<&str> = added.values().filter(|t| t.special).map(|t| t.content.as_str()).collect();
    let vocabulary = tokenizer.get_vocab(true);
    let mut tokens = vec![None; vocabulary.values().max().map_or(0, |largest| *largest as usize + 1)];
    for id in vocabulary.into_values() {
        // where two are given one id, this is the one that is written
        let written = tokenizer.id_to_token(id).filter(|token| !special.contains(token.as_str()));
        tokens[id as usize] = written.map(|token| bytes_of(&token));
    }
    Ok(tokens)
}

/// The bytes of a token that is written in byte-level BPE's printable alphabet, or else as it stands.
fn bytes_of(token: &str) -> Vec<u8> {
    token.chars().map(byte_of).collect::<Option<Vec<u8>>>().unwrap_or_else(|| token.as_bytes().to_vec())
}

/// The byte that a character of the alphabet stands for (`bytes_to_unicode`, github.com/openai/gpt-2, src/encoder.py): printable
/// ones of Latin-1 for themselves, the other bytes in order by the characters from U+0100 on.
fn byte_of(c: char) -> Option<u8> {
    let is_own = |c: char| matches!(c, '!'..='~' | '¡'..='¬' | '®'..='ÿ');
    if is_own(c) {
        return u8::try_from(c).ok();
    }
    let place = u32::from(c).checked_sub(0x100)? as usize;
    (0..=u8::MAX).filter(|byte| !is_own(char::from(*byte))).nth(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/qwen_tokenizer.json");

    #[test]
    fn the_alphabet_is_that_of_byte_level_bpe() {
        let mut bytes: Vec<u8> = ByteLevel::alphabet().into_iter().map(|c| byte_of(c).unwrap()).collect();
        bytes.sort_unstable();
        assert!(bytes.into_iter().eq(0..=u8::MAX));
        assert_eq!(
            (byte_of('Ġ'), byte_of('Ċ'), byte_of('\u{144}'), byte_of(' ')),
            (Some(b' '), Some(b'\n'), None, None)
        );
    }

    #[test]
    fn each_token_writes_what_decoding_gives() {
        let tokenizer = Tokenizer::from_bytes(FIXTURE).unwrap();
        let tokens = token_bytes(&tokenizer).unwrap();
        assert!(tokens.len() >= 256);
        let mut special = 0;
        for (id, bytes) in tokens.iter().enumerate() {
            let decoded = tokenizer.decode(&[id as u32], true).unwrap();
            assert_eq!(String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()), decoded, "token {id}");
            special += usize::from(bytes.is_none());
        }
        assert!(special > 0 && special < 30, "{special}");
        // whole texts too, where characters lie across tokens
        let text = "naïve – 你好, 🤖🪑!";
        let ids = tokenizer.encode(text, false).unwrap();
        let bytes: Vec<u8> = ids.get_ids().iter().flat_map(|id| tokens[*id as usize].clone().unwrap()).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }

    #[test]
    fn other_tokenizers_are_refused() {
        let mut tokenizer = Tokenizer::from_bytes(FIXTURE).unwrap();
        tokenizer.with_decoder(None::<DecoderWrapper>);
        assert!(token_bytes(&tokenizer).unwrap_err().contains("ByteLevel"));
    }
}
