//! Rewards of groups of answers in, a loss whose gradient makes better answers likelier out: group relative policy optimisation
//! (GRPO, DeepSeekMath, arXiv 2402.03300), with the variants of Dr. GRPO (arXiv 2503.20783) and DAPO (arXiv 2503.14476).

mod advantage;
mod loss;

pub use advantage::{Advantages, Spread, advantages};
pub use loss::{GrpoConfig, GrpoStats, Normalisation, TokenLogProbs, grpo_loss};
