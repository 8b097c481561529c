//! Samples in, a trained model folder out: supervised fine-tuning of all parameters, resumable at any checkpoint.

pub mod grads;
pub mod loss;
pub mod parallel;
pub mod run;
pub mod schedule;

pub use run::{SftArgs, run};
