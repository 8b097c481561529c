//! Recordings in, sensor events out. Live ROS topics are read by `ros/`; both decode pixels here.

mod bag;
pub mod decode;
mod error;
mod mcap_storage;
pub mod pixels;
mod redwood;
mod rig;
mod sqlite_storage;
mod storage;
mod topics;

pub use bag::BagSource;
pub(crate) use bag::message_count;
pub use error::SourceError;
pub use redwood::{FRAME_PERIOD_NANOS, RedwoodFolder};
pub(crate) use rig::bare_name;
pub use rig::{KnownCameras, camera_id};
pub use storage::{RawMessage, Storage, TopicInfo, open_storage};
pub use topics::{CameraTopics, TopicChoice, TopicRequest, choose_topics};
