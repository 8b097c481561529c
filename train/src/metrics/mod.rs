//! What a model said and found, beside the truth, in; the public scores of captions, answers and boxes out. Evaluation
//! and rewards take them from here alike.

mod answers;
mod bleu;
mod boxes;
mod captions;
mod cider;
mod dense;
mod detection;
mod meteor;
mod ngrams;
mod rouge;
mod words;

pub use answers::{exact_match, refined_exact_match};
pub use bleu::bleu;
pub use boxes::{Matching, accuracy_at, match_boxes};
pub use captions::{CaptionScores, score_captions};
pub use cider::{DocumentFrequencies, cider};
pub use dense::{DescribedObject, SaidObject, captions_of_found};
pub use detection::{ClassPrecision, Detection, Labelled, MeanPrecision, mean_average_precision};
pub use meteor::meteor;
pub use rouge::rouge_l;
pub use words::{Words, normal_form, tokens};

/// A score of a corpus, and of each of its captions.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<T> {
    /// All captions together.
    pub corpus: T,
    /// One a caption, in their order.
    pub each: Vec<T>,
}

impl Scored<f64> {
    /// The corpus has the mean; 0 without captions.
    fn mean_of(each: Vec<f64>) -> Self {
        let corpus = if each.is_empty() { 0.0 } else { each.iter().sum::<f64>() / each.len() as f64 };
        Self { corpus, each }
    }
}
