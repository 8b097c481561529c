//! Rewards of groups of answers in, a loss whose gradient makes better answers likelier out: group relative policy optimisation
//! (GRPO, DeepSeekMath, arXiv 2402.03300), with the variants of Dr. GRPO (arXiv 2503.20783) and DAPO (arXiv 2503.14476).

mod advantage;
mod few;
mod loss;
mod reading;
mod rollout;
mod run;
mod update;
mod view_sets;
mod workers;

pub use advantage::{Advantages, Spread, advantages};
pub use loss::{GrpoConfig, GrpoStats, Normalisation, TokenLogProbs, grpo_loss};
pub use rollout::{Asked, Draw, GroupConfig, Lesson, Policy, Rollout, branch_out, roll_out};
pub use run::{GrpoArgs, run};
pub use update::{AnsweredScene, Update, UpdateConfig};
