//! What a model is asked about a scene: the seven tasks.

mod kind;

pub use kind::Task;
