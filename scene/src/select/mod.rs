//! A question's and the views' embeddings, and what each view sees, in; scored views and a choice of them out.
//!
//! The utility of a view is that of 3D-R1 (arXiv 2507.23478, section 3); the choice adds what a view shows that the chosen
//! ones do not, of what the question is about.

mod baselines;
mod greedy;
mod scores;
mod things;
mod visible;

pub use baselines::{select_by_coverage, select_random, select_ring, select_uniform};
pub use greedy::{AGAIN, Diversity, Goal, Pick, Stop, gains_alone, select_greedy};
pub use scores::{QueryEmbeddings, UtilityWeights, ViewEmbeddings, ViewScores, ViewTable};
pub use things::{PointViews, Shown, things};
pub use visible::VisibleSets;
