//! Everything that can be wrong with a recording, each with file, topic and place; what lies beneath is the error's source.

use std::path::PathBuf;

use super::decode::DecodeError;

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be opened or read.
    #[error("{file}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path holds no recording.
    #[error("{path}: no recording here; expected an .mcap or .db3 file, or a rosbag2 folder that holds one")]
    NotABag {
        /// The path.
        path: PathBuf,
    },
    /// A container is damaged.
    #[error("{file}, {place}: {reason}; the recording is truncated or damaged")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A needed topic is not there.
    #[error("{file}: no {what} topic; it holds: {topics}. Name one with {option}")]
    NoTopic {
        /// The file.
        file: PathBuf,
        /// What is missing.
        what: String,
        /// The topics there are.
        topics: String,
        /// The option that names one.
        option: &'static str,
    },
    /// Two cameras are one.
    #[error("{file}: topic {topic} belongs to two of the cameras asked for; give each --camera once")]
    SameCamera {
        /// The file.
        file: PathBuf,
        /// The depth topic.
        topic: String,
    },
    /// A named topic is not there.
    #[error("{file}: topic {topic} is not in the recording; it holds: {topics}")]
    UnknownTopic {
        /// The file.
        file: PathBuf,
        /// The topic asked for.
        topic: String,
        /// The topics there are.
        topics: String,
    },
    /// The rig has no such camera.
    #[error(
        "rig `{rig}` does not say which camera this is: {wanted}; it holds: {cameras}. Name one of them with --camera"
    )]
    NoRigCamera {
        /// The rig.
        rig: String,
        /// What was looked for.
        wanted: String,
        /// Its cameras.
        cameras: String,
    },
    /// There are too many cameras.
    #[error("{count} cameras are asked for, at most {most} are possible")]
    TooManyCameras {
        /// Cameras asked for.
        count: usize,
        /// The most.
        most: usize,
    },
    /// A message cannot be decoded.
    #[error("{file}, {place}, topic {topic}")]
    Message {
        /// The file.
        file: PathBuf,
        /// Where in it.
        place: String,
        /// The topic.
        topic: String,
        /// What is wrong.
        source: Box<DecodeError>,
    },
}
