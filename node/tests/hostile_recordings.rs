//! Recordings with any bytes changed, cut off or added: opened and fused to the end, they give frames or an error that names the file,
//! and never a panic. mcap and sqlite3, and the wire format of every message that is read.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use nalgebra::Isometry3;
use proptest::prelude::*;
use rusqlite::Connection;
use vantage_calibration::{Distortion, PinholeCamera};
use vantage_node::engine::{EngineConfig, fuse_recording};
use vantage_node::sink::bag::BagWriter;
use vantage_node::source::decode::{Carries, decode};
use vantage_node::source::{BagSource, SourceError, TopicRequest, open_storage};
use vantage_scene::{ColorImage, DepthImage, Stream};

const MS: i64 = 1_000_000;

/// A small good recording: its mcap file's bytes.
fn good_mcap() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bag");
    let mut writer = BagWriter::create(&bag).unwrap();
    let camera = PinholeCamera::new(16, 12, 12.0, 12.0, 7.5, 5.5, Distortion::None).unwrap();
    writer.write_transform("/tf_static", 0, "odom", "base", &Isometry3::identity()).unwrap();
    for i in 0..4 {
        let stamp = 1_000 * MS + 33 * MS * i;
        let pose = Isometry3::translation(0.01 * i as f64, 0.0, 0.0);
        writer.write_transform("/tf", stamp, "base", "optical", &pose).unwrap();
        let color = ColorImage::new(16, 12, vec![120; 16 * 12 * 3]).unwrap();
        writer.write_color("/camera/color/image_raw/compressed", stamp, "optical", &color).unwrap();
        writer.write_camera_info("/camera/depth/camera_info", stamp, "optical", &camera).unwrap();
        let depth = DepthImage::new(16, 12, vec![1.0; 16 * 12]).unwrap();
        writer.write_depth("/camera/depth/image_raw/compressedDepth", stamp, "optical", &depth).unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(bag.join("bag_0.mcap")).unwrap()
}

/// The same messages as rosbag2's sqlite3 storage.
fn good_sqlite(mcap: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("bag.mcap"), dir.path().join("bag.db3"));
    std::fs::write(&from, mcap).unwrap();
    let mut storage = open_storage(&from).unwrap();
    let connection = Connection::open(&to).unwrap();
    let tables = "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT, offered_qos_profiles TEXT);
                  CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB);";
    connection.execute_batch(tables).unwrap();
    for (i, topic) in storage.topics().iter().enumerate() {
        let row = "INSERT INTO topics VALUES (?1, ?2, ?3, 'cdr', '')";
        connection.execute(row, (i as i64, &topic.name, &topic.type_name)).unwrap();
    }
    let mut time = 0i64;
    while let Some(message) = storage.next_message().unwrap() {
        time += 1;
        let row = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?1, ?2, ?3)";
        connection.execute(row, (message.topic as i64, time, &message.data)).unwrap();
    }
    connection.close().unwrap();
    std::fs::read(&to).unwrap()
}

/// Frames fused from a file of these bytes, or what is said instead.
fn replayed(bytes: &[u8], extension: &str) -> Result<u64, String> {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("hostile").with_extension(extension);
    std::fs::write(&file, bytes).unwrap();
    let fused = || -> anyhow::Result<u64> {
        let mut source = BagSource::open(&file, &TopicRequest::default())?;
        Ok(fuse_recording(&mut source, &EngineConfig::default(), &mut |_, _| Ok(()))?.stats.frames())
    };
    fused().map_err(|error| format!("{error:#}"))
}

fn names_the_file(result: Result<u64, String>) -> Result<(), TestCaseError> {
    if let Err(message) = result {
        prop_assert!(message.contains("hostile") || message.contains("stamp"), "{message}");
    }
    Ok(())
}

#[test]
fn the_untouched_recordings_are_fused() {
    let mcap = good_mcap();
    assert_eq!(replayed(&mcap, "mcap"), Ok(4));
    assert_eq!(replayed(&good_sqlite(&mcap), "db3"), Ok(4));
}

#[test]
fn what_is_no_recording_is_said() {
    let missing = BagSource::open(Path::new("/no/such/bag.mcap"), &TopicRequest::default()).err().unwrap();
    assert!(matches!(missing, SourceError::File { .. }), "{missing}");
    assert!(replayed(b"", "mcap").is_err() && replayed(b"", "db3").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn changed_bytes_give_frames_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in prop::option::of(any::<prop::sample::Index>()),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mcap = good_mcap();
        for (good, extension) in [(good_sqlite(&mcap), "db3"), (mcap, "mcap")] {
            let mut bad = good;
            for (at, to) in &changes {
                let at = at.index(bad.len());
                bad[at] = *to;
            }
            if let Some(cut) = cut {
                bad.truncate(cut.index(bad.len()));
            }
            bad.extend(&tail);
            names_the_file(replayed(&bad, extension))?;
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_message_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), little in any::<bool>()) {
        let with_header = [&[0, u8::from(little), 0, 0][..], &bytes].concat();
        for data in [&bytes, &with_header] {
            for stream in [Stream::Color, Stream::Depth] {
                for compressed in [false, true] {
                    let _ = decode(Carries::Images { stream, compressed }, data);
                }
                let _ = decode(Carries::CameraInfo(stream), data);
            }
            for fixed in [false, true] {
                let _ = decode(Carries::Transforms { fixed }, data);
            }
        }
    }

    #[test]
    fn arbitrary_files_are_no_recording(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let magic = [&b"\x89MCAP0\r\n"[..], &bytes, b"\x89MCAP0\r\n"].concat();
        names_the_file(replayed(&magic, "mcap"))?;
        let sqlite = [&b"SQLite format 3\0"[..], &bytes].concat();
        names_the_file(replayed(&sqlite, "db3"))?;
    }
}
