//! A model and held-out rooms in, scores out: grammar, exact match, grounding, each beside its baseline.

mod baseline;
mod run;

pub use run::{EvalArgs, run};
