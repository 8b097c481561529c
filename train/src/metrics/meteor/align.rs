//! Two texts as words in, which word of one stands for which of the other out: METEOR's alignment by equal words and equal stems.

use std::cmp::Reverse;

use rust_stemmers::{Algorithm, Stemmer};

/// Partial alignments kept at each word (METEOR 1.5).
const BEAM: usize = 40;
/// Words of a text that are aligned; a longer text keeps its length, and its further words match nothing. METEOR has no
/// such bound, and takes time by the third power of the length for a text that repeats one word.
const MOST_WORDS: usize = 512;

/// How two words are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    Stem,
}

/// A candidate's word that stands for a word of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    /// Place in the candidate.
    pub(super) at: usize,
    pub(super) kind: Match,
}

/// For each word of the reference, the candidate's words that could stand for it, equal words first.
fn options(candidate: &[String], reference: &[String]) -> Vec<Vec<Pick>> {
    let stemmer = Stemmer::create(Algorithm::English);
    let stem = |words: &[String]| -> Vec<String> { words.iter().map(|w| stemmer.stem(w).into_owned()).collect() };
    // Equal texts have exact matches alone.
    let stems = (candidate != reference).then(|| (stem(candidate), stem(reference)));
    let mut out = Vec::with_capacity(reference.len());
    for (i, word) in reference.iter().enumerate() {
        let exact = (0..candidate.len()).filter(|j| candidate[*j] == *word);
        let mut picks: Vec<Pick> = exact.map(|at| Pick { at, kind: Match::Exact }).collect();
        if let Some((of_candidate, of_reference)) = &stems {
            let same = (0..candidate.len()).filter(|j| of_candidate[*j] == of_reference[i] && candidate[*j] != *word);
            picks.extend(same.map(|at| Pick { at, kind: Match::Stem }));
        }
        out.push(picks);
    }
    out
}

/// A part of an alignment, up to some word of the reference.
#[derive(Debug, Clone)]
struct Path {
    picks: Vec<Option<Pick>>,
    used: Vec<bool>,
    step: Step,
}

/// What paths are ranked by.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    exact: usize,
    chunks: usize,
    distance: usize,
    /// Place after the last match, when the word before this one matched.
    open: Option<usize>,
}

impl Step {
    fn rank(&self) -> (Reverse<usize>, usize, usize) {
        (Reverse(self.exact), self.chunks, self.distance)
    }

    fn with(mut self, pick: Pick) -> Self {
        self.exact += usize::from(pick.kind == Match::Exact);
        self.chunks += usize::from(self.open.is_some_and(|end| end != pick.at));
        self.open = Some(pick.at + 1);
        self
    }

    fn closed(mut self) -> Self {
        self.chunks += usize::from(self.open.take().is_some());
        self
    }
}

/// For each word of the reference the candidate's word that stands for it. A word that has one possible partner, which
/// has no other, is fixed; the rest is a beam search from left to right for the most equal words, then the fewest
/// chunks, then the least distance (Denkowski and Lavie 2014, section 2). As in METEOR 1.5, stem matches do not count
/// in the search, and the distance adds up over the alternatives of a word that were tried before.
pub(super) fn align(candidate: &[String], reference: &[String]) -> Vec<Option<Pick>> {
    let candidate = &candidate[..candidate.len().min(MOST_WORDS)];
    let options = options(candidate, &reference[..reference.len().min(MOST_WORDS)]);
    let mut partners = vec![0usize; candidate.len()];
    for pick in options.iter().flatten() {
        partners[pick.at] += 1;
    }
    let fixed: Vec<bool> = options.iter().map(|o| matches!(o[..], [only] if partners[only.at] == 1)).collect();
    let mut used = vec![false; candidate.len()];
    for (only, _) in options.iter().zip(&fixed).filter(|(_, fixed)| **fixed) {
        used[only[0].at] = true;
    }
    let mut paths = vec![Path { picks: Vec::with_capacity(options.len()), used, step: Step::default() }];
    for (i, options) in options.iter().enumerate() {
        let mut next: Vec<(usize, Option<Pick>, Step)> = Vec::new();
        for (parent, path) in paths.iter().enumerate() {
            let mut step = path.step;
            if fixed[i] {
                step.distance += i.abs_diff(options[0].at);
                next.push((parent, Some(options[0]), step.with(options[0])));
                continue;
            }
            for pick in options.iter().filter(|pick| !path.used[pick.at]) {
                next.push((parent, Some(*pick), step.with(*pick)));
                step.distance += i.abs_diff(pick.at);
            }
            next.push((parent, None, step.closed()));
        }
        next.sort_by_key(|(_, _, step)| step.rank());
        next.truncate(BEAM);
        paths = next
            .into_iter()
            .map(|(parent, pick, step)| {
                let mut path = Path { step, ..paths[parent].clone() };
                if let Some(pick) = pick {
                    path.used[pick.at] = true;
                }
                path.picks.push(pick);
                path
            })
            .collect();
    }
    let best = paths.into_iter().min_by_key(|path| path.step.closed().rank());
    best.map(|path| path.picks).unwrap_or_default()
}

/// How many runs of words lie next to each other in both texts.
pub(super) fn chunks(picks: &[Option<Pick>]) -> usize {
    let mut open = None;
    let mut out = 0;
    for pick in picks {
        out += usize::from(pick.is_some_and(|p| open != Some(p.at)));
        open = pick.map(|p| p.at + 1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(candidate: &str, reference: &str) -> (Vec<Option<usize>>, usize) {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let picks = align(&words(candidate), &words(reference));
        (picks.iter().map(|p| p.map(|p| p.at)).collect(), chunks(&picks))
    }

    #[test]
    fn the_fewest_chunks_win() {
        assert_eq!(places("the desk the chair", "the chair"), (vec![Some(2), Some(3)], 1));
        assert_eq!(places("a b c", "c a b"), (vec![Some(2), Some(0), Some(1)], 2));
        assert_eq!(places("a x b", "a b"), (vec![Some(0), Some(2)], 2));
    }

    #[test]
    fn stems_match_where_words_do_not() {
        assert_eq!(places("two chairs", "two chair"), (vec![Some(0), Some(1)], 1));
        assert_eq!(places("two chairs", "three desks"), (vec![None, None], 0));
    }

    #[test]
    fn empty_and_endless_texts() {
        assert_eq!(places("", "a"), (vec![None], 0));
        assert_eq!(places("a", ""), (vec![], 0));
        let long = "the ".repeat(2_000);
        let (found, chunks) = places(&long, &long);
        assert_eq!((found.len(), chunks), (MOST_WORDS, 1));
    }
}
