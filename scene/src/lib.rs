//! The fused scene: checked frames in, one metric map with keyframes out, and the choice of views for a question.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod bounding_box;
mod cloud;
mod frame;
mod keyframe;
mod proposals;
mod registration;
mod scene;
mod select;
mod structure;
mod sync;
mod sync_stats;
mod transforms;
mod tsdf;
mod visibility;

pub use bounding_box::{Aabb, OrientedBox};
pub use cloud::PointCloud;
pub use frame::{ColorImage, DepthImage, FrameError, RgbdFrame, SensorEvent, StampNanos, Stream};
pub use keyframe::{Keyframe, KeyframeConfig, KeyframeStore};
pub use proposals::{Proposal, proposals};
pub use registration::{register_color, register_depth};
pub use scene::{FuseReport, Scene, SceneConfig, SceneError};
pub use select::{
    QueryEmbeddings, UtilityWeights, ViewEmbeddings, ViewScores, score_views, select_top, select_uniform,
};
pub use structure::shell_mask;
pub use sync::{SyncConfig, Synchronizer};
pub use sync_stats::{DropReason, SyncStats};
pub use transforms::{HISTORY_NANOS, TransformBuffer, TransformError};
pub use tsdf::{IntegrateReport, TsdfConfig, TsdfError, TsdfMap};
pub use visibility::visible_points;
