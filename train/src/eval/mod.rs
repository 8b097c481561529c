//! A model and held-out rooms in, scores of every task out, each beside its baseline and with its interval.

mod baseline;
mod disturb;
mod print;
mod run;
mod views;

pub(crate) use baseline::MajorityAnswer;
pub use disturb::{Disturbance, disturb};
pub use run::{EvalArgs, EvalCommand, run};
pub use views::ViewsArgs;
