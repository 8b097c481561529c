//! The fused scene in, views that no camera took out: what a camera would see from anywhere, and from where it should look.

mod clearance;
mod error;
mod field;
mod floor_grid;
mod floor_ways;
mod free_space;
mod next_best_view;
mod poses;
mod render;
mod targets;

pub use error::ViewError;
pub use floor_ways::Reachable;
pub use free_space::{FloorCell, FreeSpace, FreeSpaceConfig};
pub use next_best_view::{NextBestView, NextBestViewConfig, RobotPose, next_best_view};
pub use poses::{Orbit, corners, looking_at, orbit, top_down};
pub use render::{RenderedView, Splatting, render};
pub use targets::PointOfInterest;
