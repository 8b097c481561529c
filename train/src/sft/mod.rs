//! Samples in, a trained model folder out: supervised fine-tuning of all parameters, resumable at any checkpoint.

pub mod grads;
pub mod loss;
mod packing;
pub mod parallel;
pub mod run;
pub mod schedule;

pub(crate) use loss::{box_target, overlap_of};
pub use run::{SftArgs, run};
