//! A vocabulary as bytes in; out, at each step, the tokens after which the text can still end in the grammar, and in time.

use rustc_hash::FxHashMap;

use super::byte_table::{ByteTable, DEAD, START, State};
use super::token_mask::TokenMask;
use super::token_trie::TokenTrie;

/// Tokens that the reasoning leaves to the answer where there are enough: a sentence, and a box whose every character is a
/// token (39).
const ANSWER_ROOM: usize = 64;
/// Masks that are kept: the states that texts come through, and those of the last steps. 20 MB for 152 000 tokens.
const MAX_MASKS: usize = 1024;
/// No tokens lead to the end.
const NEVER: u16 = u16::MAX;
/// Why a text cannot be kept in the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFilterError {
    /// The vocabulary lacks bytes that every text of the grammar has.
    #[error("the tokenizer's tokens cannot write `<think>…</think><answer>…</answer>`; ask without the grammar")]
    Unwritable,
    /// The token budget is smaller than any text.
    #[error("max_tokens is {max_tokens}, but a text in the grammar takes at least {least} tokens; allow more")]
    Budget {
        /// Most tokens.
        max_tokens: usize,
        /// Tokens of the shortest text.
        least: usize,
    },
}

/// Where a text stands, and the tokens that it may still take.
#[derive(Debug, Clone, Copy)]
pub struct TokenGuide {
    state: State,
    left: usize,
    /// Of `left`, kept for the answer.
    room: usize,
}

/// What the walk of a mask depends on: the state, and the most tokens that may be needed behind the next one while the
/// reasoning is open, and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Step {
    state: State,
    thinking: u16,
    answering: u16,
}

/// The grammar over a tokenizer's tokens.
#[derive(Debug)]
pub struct TokenFilter {
    table: ByteTable,
    trie: TokenTrie,
    /// Bytes of all tokens, one behind the other.
    bytes: Vec<u8>,
    /// Where each token's bytes end.
    ends: Vec<usize>,
    /// Fewest tokens from each state to the end of the text.
    needs: Vec<u16>,
    /// The largest of them.
    most: u16,
    /// The tokens that end the text.
    end: TokenMask,
    masks: FxHashMap<Step, TokenMask>,
    /// For a step that is not kept.
    spare: TokenMask,
}

impl TokenFilter {
    /// Of the bytes of each token by its id, None where a token writes nothing that a text may hold, and the tokens that end a text.
    ///
    /// # Errors
    /// [`TokenFilterError::Unwritable`].
    pub fn new(tokens: &[Option<Vec<u8>>], end_tokens: &[u32]) -> Result<Self, TokenFilterError> {
        let table = ByteTable::new();
        // an end token writes nothing
        let is_end = |id: u32| end_tokens.contains(&id);
        let numbered = tokens.iter().enumerate().map(|(id, bytes)| (id as u32, bytes.as_deref().unwrap_or_default()));
        let written: Vec<(u32, &[u8])> = numbered.map(|(id, b)| (id, if is_end(id) { &[] } else { b })).collect();
        let trie = TokenTrie::new(written.iter().copied());
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(written.len());
        for (_, token) in written {
            bytes.extend_from_slice(token);
            ends.push(bytes.len());
        }
        let needs = needs(&table, &trie);
        if needs[usize::from(START)] == NEVER {
            return Err(TokenFilterError::Unwritable);
        }
        let most = needs.iter().copied().filter(|need| *need != NEVER).max().unwrap_or(0);
        let spare = TokenMask::none(tokens.len());
        let mut end = spare.clone();
        for &token in end_tokens {
            end.allow(token);
        }
        Ok(Self { table, trie, bytes, ends, needs, most, end, masks: FxHashMap::default(), spare })
    }

    /// Tokens of the shortest text in the grammar, the end token not counted.
    pub fn least_tokens(&self) -> usize {
        usize::from(self.needs[usize::from(START)])
    }

    /// At the start of a text of at most `max_tokens`, the end token not counted.
    ///
    /// # Errors
    /// [`TokenFilterError::Budget`] where that is less than [`Self::least_tokens`].
    pub fn start(&self, max_tokens: usize) -> Result<TokenGuide, TokenFilterError> {
        let least = self.least_tokens();
        let spare = max_tokens.checked_sub(least).ok_or(TokenFilterError::Budget { max_tokens, least })?;
        Ok(TokenGuide { state: START, left: max_tokens, room: ANSWER_ROOM.min(spare / 2) })
    }

    /// Whether the text parses as it stands.
    pub fn is_done(&self, guide: &TokenGuide) -> bool {
        self.table.guide(guide.state).is_done()
    }

    /// The tokens that may follow: never none while [`TokenGuide`] was advanced by allowed tokens alone. Behind `</answer>`
    /// these are the tokens that end the text, and nowhere else.
    pub fn mask(&mut self, guide: &TokenGuide) -> &TokenMask {
        if self.is_done(guide) {
            return &self.end;
        }
        let behind = guide.left.saturating_sub(1);
        // more than the most that any state needs is as good as that
        let limit = |tokens: usize| u16::try_from(tokens).map_or(self.most, |tokens| tokens.min(self.most));
        let step =
            Step { state: guide.state, thinking: limit(behind.saturating_sub(guide.room)), answering: limit(behind) };
        let is_kept = self.masks.contains_key(&step);
        if !is_kept {
            self.fill_spare(step);
            if self.masks.len() < MAX_MASKS {
                self.masks.insert(step, self.spare.clone());
            }
        }
        self.masks.get(&step).unwrap_or(&self.spare)
    }

    fn fill_spare(&mut self, step: Step) {
        let Self { table, trie, needs, spare, .. } = self;
        spare.clear();
        trie.walk(table, step.state, &mut |ids, next| {
            let limit = if table.guide(next).is_thinking() { step.thinking } else { step.answering };
            if needs[usize::from(next)] <= limit {
                ids.iter().for_each(|&id| spare.allow(id));
            }
        });
    }

    /// Takes a token that was allowed; one that the grammar cannot take here is passed over.
    pub fn advance(&self, guide: &mut TokenGuide, token: u32) {
        let token = token as usize;
        let start = token.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let bytes = self.ends.get(token).and_then(|&end| self.bytes.get(start..end)).unwrap_or_default();
        let next = self.table.after(guide.state, bytes);
        if next != DEAD && !bytes.is_empty() {
            *guide = TokenGuide { state: next, left: guide.left.saturating_sub(1), ..*guide };
        }
    }
}

/// Fewest tokens from each state to the end of the text.
fn needs(table: &ByteTable, trie: &TokenTrie) -> Vec<u16> {
    let states = table.len() as State;
    let followers: Vec<Vec<State>> = (0..states)
        .map(|state| {
            let mut found = vec![false; table.len()];
            trie.walk(table, state, &mut |_, next| found[usize::from(next)] = true);
            (0..states).filter(|next| found[usize::from(*next)]).collect()
        })
        .collect();
    let mut needs: Vec<u16> = (0..states).map(|s| if table.guide(s).is_done() { 0 } else { NEVER }).collect();
    for need in 1..states {
        let is_next = |state: &usize| {
            needs[*state] == NEVER && followers[*state].iter().any(|f| needs[usize::from(*f)] == need - 1)
        };
        let found: Vec<usize> = (0..table.len()).filter(is_next).collect();
        if found.is_empty() {
            break;
        }
        found.into_iter().for_each(|state| needs[state] = need);
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::sync::LazyLock;
    use std::time::Instant;

    const END: u32 = 256;
    const OTHER_END: u32 = 257;

    /// Each byte, two end tokens, an unused id, and tokens that lie across the marks.
    static TOKENS: LazyLock<Vec<Option<Vec<u8>>>> = LazyLock::new(|| {
        let words = "<think>~</~think~>~><~></~answer~obj~ obj~<obj~<obj>~1, ~12~255~, ~<answer>x~Hello</~</answer>\n~</answer></answer>~\
                     the~ chair~</obj>.</think>\n~椅子~\u{3000}~a<b";
        let mut tokens: Vec<Option<Vec<u8>>> = (0..=u8::MAX).map(|byte| Some(vec![byte])).collect();
        tokens.extend([Some(b"<|end|>".to_vec()), None, None, Some(Vec::new())]);
        tokens.extend(words.split('~').map(|word| Some(word.as_bytes().to_vec())));
        tokens.push(Some(vec![0xE6, 0xA4]));
        tokens
    });

    fn filter() -> TokenFilter {
        TokenFilter::new(&TOKENS, &[END, OTHER_END]).unwrap()
    }

    /// A text of allowed tokens, and how many they are.
    fn written(filter: &mut TokenFilter, budget: usize, seed: u64) -> (String, usize) {
        let mut guide = filter.start(budget).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut bytes, mut count) = (Vec::new(), 0);
        loop {
            let is_done = filter.is_done(&guide);
            let mask = filter.mask(&guide);
            let allowed: Vec<u32> = (0..TOKENS.len() as u32 + 70).filter(|id| mask.allows(*id)).collect();
            assert!(!allowed.is_empty(), "nothing may follow {:?}", String::from_utf8_lossy(&bytes));
            assert_eq!(allowed == [END, OTHER_END], is_done);
            assert!(is_done || !allowed.contains(&END) && !allowed.contains(&OTHER_END));
            if is_done {
                return (String::from_utf8(bytes).unwrap(), count);
            }
            // words more often than bytes, so that marks come up
            let words: Vec<u32> = allowed.iter().copied().filter(|id| *id > END).collect();
            let pool = if words.is_empty() || rng.random_range(0..3) == 0 { &allowed } else { &words };
            let token = pool[rng.random_range(0..pool.len())];
            filter.advance(&mut guide, token);
            bytes.extend(TOKENS[token as usize].as_ref().unwrap());
            count += 1;
        }
    }

    proptest! {
        #[test]
        fn whatever_is_drawn_the_text_parses_within_its_budget(seed: u64, spare in 0usize..200) {
            static FILTER: LazyLock<std::sync::Mutex<TokenFilter>> = LazyLock::new(|| filter().into());
            let mut filter = FILTER.lock().unwrap();
            let budget = filter.least_tokens() + spare;
            let (text, tokens) = written(&mut filter, budget, seed);
            prop_assert!(tokens <= budget, "{tokens} of {budget}: {text}");
            prop_assert!(parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn boxes_and_long_texts_are_among_what_is_drawn() {
        let mut filter = filter();
        let drawn: Vec<(String, usize)> = (0..200).map(|seed| written(&mut filter, 150, seed)).collect();
        let boxes = |text: &str| text.matches("<obj>").count();
        assert!(drawn.iter().any(|(text, _)| boxes(text) > 1), "no text has boxes");
        assert!(drawn.iter().any(|(_, tokens)| *tokens == 150) && drawn.iter().any(|(_, tokens)| *tokens < 75));
    }

    #[test]
    fn the_shortest_text_is_counted_in_tokens() {
        // <think> </ think > <answer>x </answer>\n
        assert_eq!(filter().least_tokens(), 6);
        assert_eq!(filter().start(5).unwrap_err(), TokenFilterError::Budget { max_tokens: 5, least: 6 });
        let bytes_alone = TokenFilter::new(&TOKENS[..256], &[]).unwrap();
        assert_eq!(bytes_alone.least_tokens(), "<think></think><answer>x</answer>".len());
        let without = |byte: u8| {
            let tokens: Vec<_> = TOKENS[..256].iter().map(|t| t.clone().filter(|t| *t != [byte])).collect();
            TokenFilter::new(&tokens, &[]).map(|_| ())
        };
        assert_eq!(without(b'>').unwrap_err(), TokenFilterError::Unwritable);
        assert_eq!(without(b'j'), Ok(()));
    }

    /// A vocabulary without `/` but in `</think>` and `</answer>` cannot close a box, and one without bytes behind 0xE2 no character.
    #[test]
    fn what_cannot_be_ended_is_not_begun() {
        let words = ["<think>", "</think>", "<answer>", "</answer>", "<obj>", "1", ",", "x"];
        let mut tokens: Vec<_> = words.iter().map(|w| Some(w.as_bytes().to_vec())).collect();
        tokens.push(Some(vec![0xE2]));
        let mut filter = TokenFilter::new(&tokens, &[]).unwrap();
        let mut guide = filter.start(100).unwrap();
        filter.advance(&mut guide, 0);
        let mask = filter.mask(&guide).clone();
        assert_eq!((0..9).filter(|id| mask.allows(*id)).collect::<Vec<_>>(), [1, 5, 6, 7]);
        // what may not follow is not taken
        filter.advance(&mut guide, 0);
        filter.advance(&mut guide, 1000);
        assert_eq!(*filter.mask(&guide), mask);
    }

    #[test]
    fn reasoning_leaves_room_for_the_answer() {
        let mut filter = filter();
        let x = u32::from(b'x');
        let mut guide = filter.start(200).unwrap();
        filter.advance(&mut guide, TOKENS.iter().position(|t| t.as_deref() == Some(b"<think>")).unwrap() as u32);
        while filter.mask(&guide).allows(x) {
            filter.advance(&mut guide, x);
        }
        assert!((ANSWER_ROOM..ANSWER_ROOM + 8).contains(&guide.left), "{} left", guide.left);
    }

    /// A vocabulary of Qwen2.5's size: `cargo test -p vantage-model --lib grammar_of_a_large_vocabulary -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures time"]
    fn grammar_of_a_large_vocabulary() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut tokens = TOKENS.clone();
        while tokens.len() < 151_665 {
            let letters: String = (0..rng.random_range(2..12)).map(|_| rng.random_range('a'..='z')).collect();
            let before = [" ", "", "", "_", "</", ".", "\n", "é", "椅"][rng.random_range(0..9)];
            tokens.push(Some(format!("{before}{letters}").into_bytes()));
        }
        let start = Instant::now();
        let mut filter = TokenFilter::new(&tokens, &[END]).unwrap();
        println!(
            "made in {:.0} ms, {} states, {} nodes",
            start.elapsed().as_secs_f64() * 1e3,
            filter.table.len(),
            filter.trie.len()
        );
        let mut logits = vec![0.0; 152_064];
        for pass in ["first", "second", "third"] {
            let mut guide = filter.start(512).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut times = Vec::new();
            while !filter.is_done(&guide) {
                logits.fill(1.0);
                let start = Instant::now();
                filter.mask(&guide).apply(&mut logits);
                let token =
                    (0..).map(|_| rng.random_range(0..tokens.len())).find(|t| logits[*t] == 1.0).unwrap() as u32;
                filter.advance(&mut guide, token);
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            let (most, middle) = (times[times.len() - 1], times[times.len() / 2]);
            println!(
                "{pass} reply, {} steps: {mean:.3} ms a step, half below {middle:.3} ms, at most {most:.3} ms, {} masks",
                times.len(),
                filter.masks.len()
            );
            assert!(pass == "first" || mean < 2.0, "{mean} ms a step");
        }
    }
}
