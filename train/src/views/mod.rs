//! Learning which views tell most about a question: `vantage-train views`.
//!
//! The encoders and the decoder stay as they are. What learns are the text tower and the heads into the shared spaces, how
//! relevant a point is to a question, and the weights of a view's scores.

mod choice;
mod frozen;
mod loss;
mod policy;
mod run;

pub(crate) use loss::prior;
pub(crate) use policy::ScoredViews;
pub use run::{ViewsArgs, run};
