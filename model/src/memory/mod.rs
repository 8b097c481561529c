//! Sizes of a model, a placement and a conversation in, the memory that they take out, before anything is loaded: what cannot
//! fit is refused, with what would.

mod available;

use std::fmt;

use crate::packed::MatrixType;
use crate::weights::{Placed, Placement};

pub use available::available_bytes;

/// The program itself, its map of the scene left out, and what allocators keep: measured, 0.4 GB with a 7B model.
const OVERHEAD: u64 = 512 << 20;

/// What a model takes when it runs, bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Number type of the matrices.
    pub dtype: MatrixType,
    /// Tokens of the longest conversation, pictures included.
    pub tokens: usize,
    /// All weights.
    pub weights: u64,
    /// Keys and values of all tokens.
    pub cache: u64,
    /// The largest that is held at a time while pictures and text are read.
    pub activations: u64,
    /// The program itself.
    pub overhead: u64,
}

/// A plan that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model does not fit: {plan}; {available} are available. {proposal}", plan = .plan, available = Gigabytes(*.available))]
pub struct DoesNotFit {
    /// What it would take.
    pub plan: MemoryPlan,
    /// What there is, bytes.
    pub available: u64,
    /// What would fit.
    pub proposal: String,
}

impl MemoryPlan {
    /// The plan of `weights` as a [`crate::weights::WeightReader`] counted them.
    pub fn new(
        placement: &Placement,
        weights: &[Placed],
        tokens: usize,
        cache_per_token: u64,
        activations: u64,
    ) -> Self {
        Self {
            dtype: placement.matrices,
            tokens,
            weights: weights.iter().map(|one| one.bytes).sum(),
            cache: cache_per_token.saturating_mul(tokens as u64),
            activations,
            overhead: OVERHEAD,
        }
    }

    /// All of it, bytes.
    pub fn total(&self) -> u64 {
        [self.cache, self.activations, self.overhead].into_iter().fold(self.weights, u64::saturating_add)
    }

    /// Whether it fits into `available` bytes. `alternative` makes the plan of another number type and number of tokens; the
    /// first that fits is proposed.
    ///
    /// # Errors
    /// [`DoesNotFit`] with a proposal.
    pub fn check(
        self,
        available: u64,
        alternative: &mut dyn FnMut(MatrixType, usize) -> Self,
    ) -> Result<Self, DoesNotFit> {
        if self.total() <= available {
            return Ok(self);
        }
        let types = [MatrixType::F32, MatrixType::Bf16, MatrixType::Int8, MatrixType::Int4];
        let smaller = |kind: &MatrixType| kind.bytes(1, 32) < self.dtype.bytes(1, 32);
        let kinds: Vec<MatrixType> = std::iter::once(self.dtype).chain(types.into_iter().filter(smaller)).collect();
        // rather fewer bits than a shorter conversation, and both before giving up
        let fits = [1, 2, 4].into_iter().find_map(|part| {
            let plans = kinds.iter().map(|kind| alternative(*kind, (self.tokens / part).max(1)));
            plans.into_iter().find(|plan| plan.total() <= available)
        });
        let proposal = match fits {
            Some(plan) => {
                format!("{} with {} tokens would fit, with {}", plan.dtype.name(), plan.tokens, Gigabytes(plan.total()))
            }
            None => "No number type makes it fit: take a smaller model, or free memory".to_owned(),
        };
        Err(DoesNotFit { plan: self, available, proposal })
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dtype, tokens, weights, cache, activations, overhead } = self;
        let dtype = dtype.name();
        let [weights, cache, activations, overhead] = [*weights, *cache, *activations, *overhead].map(Gigabytes);
        write!(
            f,
            "{} in all: {weights} of weights ({dtype}), {cache} of keys and values ({tokens} tokens), {activations} while \
             reading, {overhead} for the program",
            Gigabytes(self.total())
        )
    }
}

/// Bytes as GB.
struct Gigabytes(u64);

impl fmt::Display for Gigabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} GB", self.0 as f64 * 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(dtype: MatrixType, tokens: usize) -> MemoryPlan {
        let weights = dtype.bytes(1_000_000_000 / 32, 32);
        MemoryPlan { dtype, tokens, weights, cache: 1_000_000 * tokens as u64, activations: 0, overhead: 0 }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let check = |available| plan(MatrixType::Bf16, 1000).check(available, &mut plan);
        assert_eq!(check(3_000_000_000), Ok(plan(MatrixType::Bf16, 1000)));
        let proposal = |available| check(available).unwrap_err().proposal;
        assert!(proposal(2_900_000_000).starts_with("int8 with 1000 tokens"), "{}", proposal(2_900_000_000));
        assert!(proposal(1_600_000_000).starts_with("int4 with 1000 tokens"), "{}", proposal(1_600_000_000));
        assert!(proposal(1_100_000_000).starts_with("int4 with 500 tokens"), "{}", proposal(1_100_000_000));
        assert!(proposal(100_000_000).starts_with("No number type"));
        let said = check(2_900_000_000).unwrap_err().to_string();
        assert!(said.contains("3.00 GB in all") && said.contains("2.90 GB are available"), "{said}");
    }
}
