//! Tokens in, logits of all others at minus infinity out.

/// In the place of an allowed logit that is no number or minus infinity: below any other, even when it is multiplied by a
/// repetition penalty.
const LEAST_LOGIT: f32 = -1.0e30;

/// A bit for each token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u64>,
}

impl TokenMask {
    /// None of `tokens`.
    pub(super) fn none(tokens: usize) -> Self {
        Self { words: vec![0; tokens.div_ceil(64)] }
    }

    /// Allows none any more.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Allows one of the tokens that it was made for.
    pub(super) fn allow(&mut self, token: u32) {
        if let Some(word) = self.words.get_mut(token as usize / 64) {
            *word |= 1 << (token % 64);
        }
    }

    /// Whether a token may follow.
    pub fn allows(&self, token: u32) -> bool {
        self.words.get(token as usize / 64).is_some_and(|word| word >> (token % 64) & 1 == 1)
    }

    /// Sets the logits of all other tokens to minus infinity, those of allowed ones to a number.
    pub fn apply(&self, logits: &mut [f32]) {
        let words = self.words.iter().copied().chain(std::iter::repeat(0));
        for (logits, word) in logits.chunks_mut(64).zip(words) {
            for (i, logit) in logits.iter_mut().enumerate() {
                *logit = match word >> i & 1 {
                    0 => f32::NEG_INFINITY,
                    // not `max`, which differs between processors where a logit is no number
                    _ if *logit > LEAST_LOGIT => *logit,
                    _ => LEAST_LOGIT,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_of_other_tokens_are_minus_infinity() {
        let mut mask = TokenMask::none(72);
        [1, 65, 70, 71, 500].into_iter().for_each(|id| mask.allow(id));
        let mut logits = vec![2.0; 140];
        logits[65] = f32::NAN;
        logits[70] = f32::NEG_INFINITY;
        mask.apply(&mut logits);
        let rest: Vec<usize> = (0..140).filter(|i| logits[*i] != f32::NEG_INFINITY).collect();
        assert!((0..140).all(|id| mask.allows(id) == rest.contains(&(id as usize))));
        assert_eq!((rest, logits[1], logits[65], logits[70]), (vec![1, 65, 70, 71], 2.0, LEAST_LOGIT, LEAST_LOGIT));
    }
}
