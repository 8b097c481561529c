//! What a recording holds (depth in metres, gray images, stamps, poses) in; numbers, limits and verdicts on its calibration out.
//!
//! Everything here is a pure function over slices. Reading recordings and drawing pictures is the business of the caller.

mod alignment;
mod depth_fit;
mod edges;
mod flow;
mod intrinsics;
mod lag;
mod offset;
mod parallax;
mod peak;
mod poses;
mod raster;
mod stamps;
mod thin;
mod timing;
mod tree;
mod unit;
mod verdict;

pub use alignment::{Alignment, SHIFT_PX, ShiftPeak, ShiftScores};
pub use depth_fit::{DepthFit, Estimate, FitError, judge_scale};
pub use edges::{Contrast, DepthEdge, carry_edges, depth_edges};
pub use flow::Profiles;
pub use intrinsics::{InfoFacts, judge_info};
pub use lag::LagScores;
pub use offset::{MotionSignal, TimeOffset, time_offset};
pub use parallax::{DepthSample, fit_depth};
pub use poses::PoseTrack;
pub use raster::{Raster, RasterError};
pub use stamps::{StampReport, judge_clock, judge_pairs, judge_stamps, stamp_report};
pub use thin::{thin_camera, thin_depth};
pub use timing::{Between, judge_offset};
pub use tree::{FrameEdge, TreeReport, examine_tree, judge_tree};
pub use unit::{DepthStatistics, judge_missing, judge_unit};
pub use verdict::{Finding, Verdict, overall};
