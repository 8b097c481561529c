//! The fused scene: checked frames in, one metric map with keyframes out, and the choice of views for a question.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod bounding_box;
mod camera_streams;
mod clock;
pub mod cloud;
mod correction;
mod coverage;
mod frame;
mod framing;
mod keyframe;
mod mesh;
mod proposals;
mod registration;
mod scene;
mod select;
mod sharpness;
mod structure;
mod sync;
mod sync_stats;
mod transform_error;
mod transforms;
mod tsdf;
mod unproject;
mod views;
mod visibility;

pub use bounding_box::{Aabb, OrientedBox};
pub use cloud::PointCloud;
pub use correction::StreamCorrection;
pub use frame::{CameraId, ColorImage, DepthImage, FrameError, RgbdFrame, SensorEvent, StampNanos, Stream};
pub use keyframe::{Keyframe, KeyframeConfig, KeyframeStore};
pub use mesh::Mesh;
pub use proposals::{Proposal, proposals};
pub use registration::register_depth;
pub use scene::{FuseReport, Scene, SceneConfig, SceneError};
pub use select::{
    AGAIN, Diversity, Goal, Pick, PointViews, QueryEmbeddings, Shown, Stop, UtilityWeights, ViewEmbeddings, ViewScores,
    ViewTable, VisibleSets, gains_alone, select_by_coverage, select_greedy, select_random, select_ring, select_uniform,
    things,
};
pub use structure::shell_mask;
pub use sync::{SyncConfig, Synchronizer};
pub use sync_stats::{CameraStats, DropReason, SyncStats};
pub use transform_error::TransformError;
pub use transforms::{HISTORY_NANOS, Inserted, MAX_GAP_NANOS, TransformBuffer};
pub use tsdf::{IntegrateReport, MAP_VERSION, MapFileError, Raycast, TsdfConfig, TsdfError, TsdfMap};
pub use unproject::unproject;
pub use views::{
    FloorCell, FreeSpace, FreeSpaceConfig, NextBestView, NextBestViewConfig, Orbit, PointOfInterest, Reachable,
    RenderedView, RobotPose, Splatting, ViewError, corners, looking_at, next_best_view, orbit, render, top_down,
};
pub use visibility::{CellKey, cell_of, patch_pixels, visible_cells, visible_points};
