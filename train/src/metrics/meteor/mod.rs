//! Captions as words in, METEOR out: version 1.5 for English, with its matchers of equal words and of equal stems.

mod align;
mod normalise;

use std::collections::HashSet;

use self::align::{Match, align, chunks};
use self::normalise::normalise;
use super::Scored;
use super::words::Words;

/// Weight of recall against precision (this and the next: METEOR 1.5, English, task `rank`).
const ALPHA: f64 = 0.85;
/// Power of fragmentation.
const BETA: f64 = 0.2;
/// Most that fragmentation takes away.
const GAMMA: f64 = 0.6;
/// Weight of content words; function words have the rest.
const DELTA: f64 = 0.75;
/// What a match counts by its kind.
const WEIGHTS: [f64; 2] = [1.0, 0.6];

/// Words and signs that METEOR 1.5 holds for function words of English, as far as a normalised text can hold them.
const FUNCTION_WORDS: &str = "the to of and a in that for is on it with was as said at he by be from have has are his but \
    an this not i will they -rrb- -lrb- who their had we which were been more or s its would about new one after you \
    also up when there than $ all out her people she year two can if last first over other into some what so no time \
    years could 't 's . , ' : ? - -- ( ) \"";

/// What METEOR adds up over a corpus. Sides: candidate, reference.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    length: [usize; 2],
    function_words: [usize; 2],
    /// Matches by kind and side, content words first.
    content: [[usize; 2]; 2],
    function: [[usize; 2]; 2],
    /// Runs of matches; a text that matches whole, in one run, has none.
    chunks: usize,
}

impl Sums {
    fn of(candidate: &[String], reference: &[String], is_function: &dyn Fn(&String) -> bool) -> Self {
        let texts = [candidate, reference];
        let mut sums = Self {
            length: texts.map(<[String]>::len),
            function_words: texts.map(|words| words.iter().filter(|w| is_function(w)).count()),
            ..Self::default()
        };
        let picks = align(candidate, reference);
        sums.chunks = chunks(&picks);
        for (word, pick) in reference.iter().zip(&picks) {
            let Some(pick) = pick else { continue };
            let kind = usize::from(pick.kind == Match::Stem);
            for (side, word) in [&candidate[pick.at], word].into_iter().enumerate() {
                let tally = if is_function(word) { &mut sums.function } else { &mut sums.content };
                tally[kind][side] += 1;
            }
        }
        if sums.chunks == 1 && sums.matched() == sums.length {
            sums.chunks = 0;
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        self.chunks += other.chunks;
        for side in 0..2 {
            self.length[side] += other.length[side];
            self.function_words[side] += other.function_words[side];
            for kind in 0..2 {
                self.content[kind][side] += other.content[kind][side];
                self.function[kind][side] += other.function[kind][side];
            }
        }
    }

    fn matched(&self) -> [usize; 2] {
        std::array::from_fn(|side| (0..2).map(|kind| self.content[kind][side] + self.function[kind][side]).sum())
    }

    fn score(&self) -> f64 {
        let weighted = |content: f64, function: f64| DELTA * content + (1.0 - DELTA) * function;
        let share = |side: usize| {
            let of = |tally: &[[usize; 2]; 2]| (0..2).map(|k| WEIGHTS[k] * tally[k][side] as f64).sum::<f64>();
            let function = self.function_words[side];
            weighted(of(&self.content), of(&self.function))
                / weighted((self.length[side] - function) as f64, function as f64)
        };
        let matched = self.matched();
        if matched[0] == 0 {
            return 0.0;
        }
        let mean = 1.0 / ((1.0 - ALPHA) / share(0) + ALPHA / share(1));
        let fragmentation = 2.0 * self.chunks as f64 / (matched[0] + matched[1]) as f64;
        (mean * (1.0 - GAMMA * fragmentation.powf(BETA))).max(0.0)
    }
}

/// METEOR 1.5 (Denkowski and Lavie 2014) with its constants for English and two of its four matchers: the synonyms of
/// `WordNet` and the table of paraphrases are not part of Vantage. Scores equal those of `meteor-1.5.jar -norm -m 'exact
/// stem' -w '1.0 0.6'`; what the two others add is printed by the test beside the public scorers. The jar compares words
/// by a hash of 32 bits, by which a few that differ are the same (`eo` and `g1`); here they are not. A caption takes its
/// best reference; the corpus has one score of all counts together. A caption or reference without words scores 0.
pub fn meteor(captions: &[Words]) -> Scored<f64> {
    let function_words: HashSet<&str> = FUNCTION_WORDS.split_whitespace().collect();
    let is_function = |word: &String| function_words.contains(word.as_str());
    let mut all = Sums::default();
    let mut each = Vec::with_capacity(captions.len());
    for words in captions {
        let candidate = normalise(&words.candidate);
        let mut best = (Sums::of(&candidate, &[], &is_function), -1.0);
        for reference in &words.references {
            let sums = Sums::of(&candidate, &normalise(reference), &is_function);
            let score = sums.score();
            if score > best.1 {
                best = (sums, score);
            }
        }
        all.add(&best.0);
        each.push(best.1.max(0.0));
    }
    Scored { corpus: all.score(), each }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn counted_by_hand() {
        // Equal texts lose nothing to fragmentation.
        near(meteor(&[Words::of("a red chair", &["a red chair"])]).corpus, 1.0);
        // "a chair" and "a desk": one function word of two words matches, 0.25 of 1.0, in one chunk of one word.
        near(meteor(&[Words::of("a chair", &["a desk"])]).corpus, 0.25 * (1.0 - 0.6));
        // A stem counts 0.6: red (1) and chairs (0.6) of two content words, in one chunk of two words.
        let share = (0.75 + 0.75 * 0.6) / 1.5;
        near(meteor(&[Words::of("red chairs", &["red chair"])]).corpus, share);
    }

    #[test]
    fn recall_weighs_more_than_precision() {
        // Precision 1, recall 1/2, one chunk of one word.
        let short = 1.0 / (0.15 + 0.85 / 0.5) * (1.0 - 0.6);
        near(meteor(&[Words::of("red", &["red chair"])]).corpus, short);
        let long = 1.0 / (0.15 / 0.5 + 0.85) * (1.0 - 0.6);
        near(meteor(&[Words::of("red chair", &["red"])]).corpus, long);
        // The better reference counts, and the corpus adds up counts.
        let both = meteor(&[Words::of("red", &["red chair", "red"]), Words::of("blue", &["green"])]);
        assert_eq!(both.each, vec![1.0, 0.0]);
        // One of two content words of each side matches, and the pair that is whole adds no chunk.
        near(both.corpus, 0.5);
    }

    #[test]
    fn nothing_scores_nothing() {
        let none: [&str; 0] = [];
        let empty = [Words::of("", &["a"]), Words::of("a", &[""]), Words::of("", &[""]), Words::of("a", &none)];
        assert_eq!(meteor(&empty), Scored { corpus: 0.0, each: vec![0.0; 4] });
        assert_eq!(meteor(&[]).corpus, 0.0);
    }
}
