//! Captions as words in, CIDEr-D out; the weights of n-grams come of a corpus of references.

use std::collections::{HashMap, HashSet};

use super::Scored;
use super::ngrams::{Counts, LONGEST, counts, possible};
use super::words::Words;

/// Spread of the penalty on a difference in length, words (CIDEr-D).
const SIGMA: f64 = 6.0;
/// Scores go from 0 to this.
const SCALE: f64 = 10.0;

/// In how many captions' references each n-gram occurs. Made once of the whole corpus, it also scores captions alone.
#[derive(Debug, Clone, Default)]
pub struct DocumentFrequencies {
    of: HashMap<Vec<String>, usize>,
    log_documents: f64,
}

/// Weighted n-grams of a text, by length.
struct Vector<'a> {
    weights: HashMap<&'a [String], f64>,
    norms: [f64; LONGEST],
    pairs: usize,
}

impl DocumentFrequencies {
    /// Counts the references of a corpus, one document a caption.
    pub fn new<'a>(references: impl IntoIterator<Item = &'a [Vec<String>]>) -> Self {
        let mut of: HashMap<Vec<String>, usize> = HashMap::new();
        let mut documents = 0usize;
        for group in references {
            documents += 1;
            let grams: HashSet<&[String]> = group.iter().flat_map(|r| counts(r).into_keys()).collect();
            for gram in grams {
                *of.entry(gram.to_vec()).or_default() += 1;
            }
        }
        Self { of, log_documents: (documents.max(1) as f64).ln() }
    }

    fn vector<'a>(&self, words: &'a [String]) -> Vector<'a> {
        let mut norms = [0.0; LONGEST];
        let grams: Counts<'a> = counts(words);
        let mut weights = HashMap::with_capacity(grams.len());
        for (gram, count) in grams {
            let documents = self.of.get(gram).copied().unwrap_or(0).max(1);
            let weight = count as f64 * (self.log_documents - (documents as f64).ln());
            norms[gram.len() - 1] += weight * weight;
            weights.insert(gram, weight);
        }
        Vector { weights, norms: norms.map(f64::sqrt), pairs: possible(words.len(), 2) }
    }

    /// CIDEr-D of one caption, 0 to 10; 0 without references.
    pub fn score(&self, words: &Words) -> f64 {
        if words.references.is_empty() {
            return 0.0;
        }
        let candidate = self.vector(&words.candidate);
        let sum: f64 = words.references.iter().map(|r| similarity(&candidate, &self.vector(r))).sum();
        SCALE * sum / words.references.len() as f64
    }
}

/// Mean over the lengths of n-grams of the clipped cosine, times the penalty on length. Length is counted in pairs of
/// words, as pycocoevalcap does.
fn similarity(candidate: &Vector<'_>, reference: &Vector<'_>) -> f64 {
    let mut dots = [0.0; LONGEST];
    for (gram, weight) in &candidate.weights {
        if let Some(other) = reference.weights.get(gram) {
            dots[gram.len() - 1] += weight.min(*other) * other;
        }
    }
    let difference = candidate.pairs.abs_diff(reference.pairs) as f64;
    let penalty = (-difference * difference / (2.0 * SIGMA * SIGMA)).exp();
    let cosine = |n: usize| {
        let norm = candidate.norms[n] * reference.norms[n];
        if norm == 0.0 { dots[n] } else { dots[n] / norm }
    };
    penalty * (0..LONGEST).map(cosine).sum::<f64>() / LONGEST as f64
}

/// CIDEr-D (Vedantam et al. 2015) with sigma 6 and n up to 4, the document frequencies being those of these captions'
/// references; the corpus has the mean. With one caption every n-gram is in every document, and the score is 0.
pub fn cider(captions: &[Words]) -> Scored<f64> {
    let frequencies = DocumentFrequencies::new(captions.iter().map(|c| c.references.as_slice()));
    Scored::mean_of(captions.iter().map(|c| frequencies.score(c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        // Two documents: "red" is in one (weight ln 2), "chair" in both (weight 0), "red chair" in one.
        let same = Words::of("red chair", &["red chair"]);
        let other = Words::of("blue", &["chair here"]);
        let found = cider(&[same, other]);
        // n = 1 and n = 2 agree fully; there is no n-gram of 3 or 4 words.
        assert!((found.each[0] - 10.0 * 2.0 / 4.0).abs() < 1e-12);
        assert_eq!(found.each[1], 0.0);
        assert!((found.corpus - 2.5).abs() < 1e-12);
    }

    #[test]
    fn repeats_are_clipped_and_length_is_punished() {
        let frequencies = DocumentFrequencies::new([
            Words::of("", &["red chair"]).references.as_slice(),
            Words::of("", &["blue desk"]).references.as_slice(),
        ]);
        // n = 1: candidate (2, 0), reference (1, 1), clipped (1 * 1) / (2 * sqrt 2); pairs of words: 1 and 1.
        let twice = frequencies.score(&Words::of("red red", &["red chair"]));
        assert!((twice - 10.0 / (2.0 * 2.0f64.sqrt()) / 4.0).abs() < 1e-12);
        // Unknown words between take part in the norm: (1, 1, 1, 1) against (1, 1), no pair; 3 pairs of words and 1.
        let long = frequencies.score(&Words::of("red x y chair", &["red chair"]));
        let expected = 10.0 * (2.0 / (2.0 * 2.0f64.sqrt())) / 4.0 * (-4.0f64 / 72.0).exp();
        assert!((long - expected).abs() < 1e-12, "{long} {expected}");
    }

    #[test]
    fn nothing_scores_nothing() {
        let none: [&str; 0] = [];
        assert_eq!(cider(&[]).corpus, 0.0);
        let empty = [Words::of("", &["a b"]), Words::of("a", &[""]), Words::of("", &none), Words::of("c", &["c"])];
        assert_eq!(cider(&empty).each[..3], [0.0; 3]);
    }
}
