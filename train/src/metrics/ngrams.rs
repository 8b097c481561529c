//! Words in, counts of their n-grams out.

use std::collections::HashMap;

/// Longest n-gram that BLEU and CIDEr count.
pub(super) const LONGEST: usize = 4;

/// How often each n-gram of one to [`LONGEST`] words occurs in a text.
pub(super) type Counts<'a> = HashMap<&'a [String], usize>;

/// Counts the n-grams of `words`.
pub(super) fn counts(words: &[String]) -> Counts<'_> {
    let mut out = Counts::new();
    for n in 1..=LONGEST {
        for gram in words.windows(n) {
            *out.entry(gram).or_default() += 1;
        }
    }
    out
}

/// How many n-grams of `n` words a text of `words` words has.
pub(super) fn possible(words: usize, n: usize) -> usize {
    (words + 1).saturating_sub(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_each_length_are_counted() {
        let words: Vec<String> = "a b a b".split(' ').map(str::to_owned).collect();
        let c = counts(&words);
        assert_eq!(c[&words[0..1]], 2);
        assert_eq!(c[&words[0..2]], 2);
        assert_eq!(c[&words[1..3]], 1);
        assert_eq!(c.values().sum::<usize>(), 4 + 3 + 2 + 1);
        assert_eq!([1, 2, 4, 5].map(|n| possible(4, n)), [4, 3, 1, 0]);
        assert!(counts(&[]).is_empty());
    }
}
