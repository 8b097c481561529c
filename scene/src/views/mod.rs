//! The fused scene in, views that no camera took out: what a camera would see from anywhere, and from where it should look.

mod error;
mod field;
mod poses;
mod render;

pub use error::ViewError;
pub use poses::{Orbit, corners, looking_at, orbit, top_down};
pub use render::{RenderedView, Splatting, render};
