//! Captions as words in, BLEU-1 to BLEU-4 out: of the corpus, and of each caption.

use super::Scored;
use super::ngrams::{Counts, LONGEST, counts, possible};
use super::words::Words;

/// Added to the number of possible n-grams and to the reference's length: no division by zero (pycocoevalcap).
const SMALL: f64 = 1e-9;
/// Added to the number of matches and to the candidate's length (pycocoevalcap).
const TINY: f64 = 1e-15;

/// What BLEU adds up over a corpus.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    candidate: usize,
    reference: usize,
    right: [usize; LONGEST],
    possible: [usize; LONGEST],
}

impl Sums {
    fn of(words: &Words) -> Self {
        let length = words.candidate.len();
        let references: Vec<Counts<'_>> = words.references.iter().map(|r| counts(r)).collect();
        let mut sums = Self {
            candidate: length,
            reference: words.references.iter().map(Vec::len).min_by_key(|r| (r.abs_diff(length), *r)).unwrap_or(0),
            right: [0; LONGEST],
            possible: std::array::from_fn(|n| possible(length, n + 1)),
        };
        for (gram, count) in counts(&words.candidate) {
            let most = references.iter().map(|r| r.get(gram).copied().unwrap_or(0)).max().unwrap_or(0);
            sums.right[gram.len() - 1] += count.min(most);
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        self.candidate += other.candidate;
        self.reference += other.reference;
        for n in 0..LONGEST {
            self.right[n] += other.right[n];
            self.possible[n] += other.possible[n];
        }
    }

    fn scores(&self) -> [f64; LONGEST] {
        let ratio = (self.candidate as f64 + TINY) / (self.reference as f64 + SMALL);
        let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|n| {
            product *= (self.right[n] as f64 + TINY) / (self.possible[n] as f64 + SMALL);
            product.powf(1.0 / (n as f64 + 1.0)) * brevity
        })
    }
}

/// BLEU-1 to BLEU-4 (Papineni et al. 2002) with the closest reference length and pycocoevalcap's two constants.
/// The corpus has one score of all counts together; no captions score 0.
pub fn bleu(captions: &[Words]) -> Scored<[f64; LONGEST]> {
    let mut all = Sums::default();
    let each = captions
        .iter()
        .map(|words| {
            let sums = Sums::of(words);
            all.add(&sums);
            sums.scores()
        })
        .collect();
    Scored { corpus: all.scores(), each }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-8, "{found} {expected}");
    }

    #[test]
    fn counted_by_hand() {
        // 6 of 7 words, 4 of 6 pairs, 3 of 5 triples, 2 of 4 quadruples; as long as the nearer reference.
        let words = Words::of("the cat is on the red mat", &["the cat is on the mat", "there is a cat on the mat"]);
        let found = bleu(std::slice::from_ref(&words));
        near(found.corpus[0], 6.0 / 7.0);
        near(found.corpus[1], (6.0f64 / 7.0 * 4.0 / 6.0).sqrt());
        near(found.corpus[2], (6.0f64 / 7.0 * 4.0 / 6.0 * 3.0 / 5.0).cbrt());
        near(found.corpus[3], (6.0f64 / 7.0 * 4.0 / 6.0 * 3.0 / 5.0 * 2.0 / 4.0).powf(0.25));
        assert_eq!(found.each, vec![found.corpus]);
    }

    #[test]
    fn repetition_and_brevity_are_punished() {
        near(bleu(&[Words::of("the the the the", &["the cat"])]).corpus[0], 0.25);
        near(bleu(&[Words::of("the cat", &["the cat is here"])]).corpus[0], (-1.0f64).exp());
    }

    #[test]
    fn nothing_scores_nothing() {
        let none: [&str; 0] = [];
        for words in [
            Words::of("", &["a chair"]),
            Words::of("a chair", &[""]),
            Words::of("a chair", &none),
            Words::of("", &none),
        ] {
            assert!(bleu(&[words]).corpus.iter().all(|s| (0.0..1e-6).contains(s)));
        }
        assert!(bleu(&[]).corpus.iter().all(|s| (0.0..1e-6).contains(s)));
    }
}
