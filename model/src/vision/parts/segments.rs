//! Cumulative token counts in, runs of equally long segments out: which tokens may attend to which, when images or
//! windows lie one after another in one sequence.

use std::ops::Range;

/// Why cumulative lengths are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentsError {
    /// They do not begin at 0.
    #[error("cumulative segment lengths must begin with 0, not with {0:?}")]
    Start(Option<usize>),
    /// One is smaller than the one before it.
    #[error("cumulative segment lengths must not fall, but entry {index} is {value} after {before}")]
    Falling {
        /// Which.
        index: usize,
        /// It.
        value: usize,
        /// The one before.
        before: usize,
    },
}

/// Some segments of the same length that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub start: usize,
    pub length: usize,
    pub count: usize,
}

impl Run {
    pub fn tokens(&self) -> Range<usize> {
        self.start..self.start + self.length * self.count
    }
}

/// A sequence cut into segments; attention does not cross their borders. Neighbours of equal length are kept together
/// as one run, because a run is one batched product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    runs: Vec<Run>,
    tokens: usize,
}

impl Segments {
    /// From cumulative lengths as in FlashAttention's `cu_seqlens`: `[0, n1, n1 + n2, ..]`. Empty segments are dropped.
    ///
    /// # Errors
    /// [`SegmentsError`] when the first is not 0 or one is smaller than the one before.
    pub fn new(cumulative: &[usize]) -> Result<Self, SegmentsError> {
        if cumulative.first() != Some(&0) {
            return Err(SegmentsError::Start(cumulative.first().copied()));
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut tokens = 0;
        for (index, pair) in cumulative.windows(2).enumerate() {
            let (before, value) = (pair[0], pair[1]);
            let Some(length) = value.checked_sub(before) else {
                return Err(SegmentsError::Falling { index: index + 1, value, before });
            };
            match runs.last_mut() {
                _ if length == 0 => {}
                Some(run) if run.length == length => run.count += 1,
                _ => runs.push(Run { start: before, length, count: 1 }),
            }
            tokens = value;
        }
        Ok(Self { runs, tokens })
    }

    /// Tokens of all segments.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_equal_length_are_one_run() {
        let segments = Segments::new(&[0, 4, 8, 8, 10, 12, 16]).unwrap();
        let run = |start, length, count| Run { start, length, count };
        assert_eq!(segments.runs(), [run(0, 4, 2), run(8, 2, 2), run(12, 4, 1)]);
        assert_eq!(segments.tokens(), 16);
        assert_eq!(Segments::new(&[0]).unwrap().tokens(), 0);
    }

    #[test]
    fn lengths_that_fall_or_begin_elsewhere_are_refused() {
        assert_eq!(Segments::new(&[]), Err(SegmentsError::Start(None)));
        assert_eq!(Segments::new(&[1, 2]), Err(SegmentsError::Start(Some(1))));
        assert_eq!(Segments::new(&[0, 3, 2]), Err(SegmentsError::Falling { index: 2, value: 2, before: 3 }));
    }
}
