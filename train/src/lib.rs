//! Training of Vantage's model: procedural rooms, datasets, supervised fine-tuning and evaluation.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod bench;
pub mod data;
pub mod dataset;
pub mod eval;
pub mod grpo;
pub mod metrics;
#[cfg(test)]
mod redraw;
pub mod rewards;
pub mod rooms;
pub mod run;
pub mod sft;
pub mod tasks;
pub mod views;
