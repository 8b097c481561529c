//! Captions as words in, ROUGE-L out.

use super::Scored;
use super::words::Words;

/// Weight of recall against precision (pycocoevalcap).
const BETA: f64 = 1.2;

/// Length of the longest common subsequence.
fn common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

fn one(words: &Words) -> f64 {
    let (mut precision, mut recall) = (0.0f64, 0.0f64);
    for reference in words.references.iter().filter(|r| !r.is_empty() && !words.candidate.is_empty()) {
        let common = common(&words.candidate, reference) as f64;
        precision = precision.max(common / words.candidate.len() as f64);
        recall = recall.max(common / reference.len() as f64);
    }
    if precision == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// ROUGE-L (Lin 2004): best precision and best recall over the references, beta 1.2 as pycocoevalcap; the corpus has
/// the mean. A caption or reference without words scores 0; pycocoevalcap gives 1 where both have none.
pub fn rouge_l(captions: &[Words]) -> Scored<f64> {
    Scored::mean_of(captions.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        // Common: "a chair the desk", 4 of 5 words and 4 of 6.
        let words = Words::of("a chair at the desk", &["a chair is near the desk"]);
        let (p, r) = (4.0 / 5.0, 4.0 / 6.0);
        let expected = 2.44 * p * r / (r + 1.44 * p);
        assert!((rouge_l(&[words]).corpus - expected).abs() < 1e-12);
    }

    #[test]
    fn best_precision_and_recall_may_come_of_different_references() {
        let words = Words::of("a b", &["a b c d", "a"]);
        assert!((rouge_l(&[words]).corpus - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_scores_nothing() {
        let none: [&str; 0] = [];
        let empty = [Words::of("", &["a"]), Words::of("a", &[""]), Words::of("", &[""]), Words::of("a", &none)];
        assert_eq!(rouge_l(&empty), Scored { corpus: 0.0, each: vec![0.0; 4] });
        assert_eq!(rouge_l(&[]).corpus, 0.0);
    }
}
