//! Weight files in, placed weights out: named tensors are found, checked, converted and put where the model runs, one at a
//! time, so that a model is never held twice.

mod files;
mod reader;

pub use files::{StoredTensor, WeightFiles};
pub use reader::{Bias, Placement, WeightReader};
