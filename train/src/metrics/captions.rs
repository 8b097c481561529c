//! Captions with their references in, every caption metric out.

use serde::Serialize;

use super::words::Words;
use super::{bleu, cider, meteor, rouge_l};

/// The metrics of a corpus of captions. All are shares of 1, but CIDEr, which goes to 10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CaptionScores {
    /// BLEU-1 to BLEU-4.
    pub bleu: [f64; 4],
    /// ROUGE-L.
    pub rouge_l: f64,
    /// METEOR, by equal words and equal stems.
    pub meteor: f64,
    /// CIDEr-D; 0 for a corpus of one caption.
    pub cider: f64,
}

/// Scores a corpus of captions by all metrics.
pub fn score_captions(captions: &[Words]) -> CaptionScores {
    CaptionScores {
        bleu: bleu(captions).corpus,
        rouge_l: rouge_l(captions).corpus,
        meteor: meteor(captions).corpus,
        cider: cider(captions).corpus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_like_their_references_have_full_marks() {
        let captions = ["a red chair by the wall", "two blue desks near a door", "the tall lamp on it"]
            .map(|text| Words::of(text, &[text]));
        let found = score_captions(&captions);
        assert!(found.bleu.iter().all(|b| (b - 1.0).abs() < 1e-6), "{found:?}");
        assert!((found.rouge_l - 1.0).abs() < 1e-12 && (found.meteor - 1.0).abs() < 1e-12, "{found:?}");
        assert!((found.cider - 10.0).abs() < 1e-9, "{found:?}");
    }
}
