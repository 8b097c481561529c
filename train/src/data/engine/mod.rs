//! The data engine of Scene-30K (3D-R1, arXiv 2507.23478, Alg. 1): scenes in, filtered questions with chains of thought
//! out, written by exact templates or by a chat endpoint; a run killed at any moment goes on where it was.

mod args;
mod endpoint;
mod filters;
mod folder;
mod item;
mod journal;
mod pipeline;
mod run;
mod scene;
mod scene_file;
mod split;
mod steps;
mod templates;
mod writer;

pub use args::GenerateArgs;
pub use run::run;
