//! Images, calibrations and transforms in, a rosbag2 recording (mcap storage) out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};
use mcap::records::MessageHeader;
use nalgebra::Isometry3;
use serde_bytes::Bytes;
use vantage_calibration::PinholeCamera;
use vantage_scene::{ColorImage, DepthImage};

use crate::wire::{
    self, CameraInfo, CompressedImage, Header, Quaternion, RegionOfInterest, TfMessage, Time, Transform,
    TransformStamped, Vector3, schema_of,
};

/// Quality of the JPEG pictures.
const JPEG_QUALITY: u8 = 92;
/// `format` of a CompressedImage that holds a colour picture by [`jpeg`], as image_transport writes it.
pub const JPEG_FORMAT: &str = "rgb8; jpeg compressed bgr8";

/// A colour image as JPEG.
///
/// # Errors
/// When it cannot be encoded.
pub fn jpeg(image: &ColorImage) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .write_image(&image.data, image.width, image.height, ExtendedColorType::Rgb8)
        .context("encoding a colour image")?;
    Ok(jpeg)
}

/// A recording being written; `finish` completes it.
pub struct BagWriter {
    dir: PathBuf,
    name: String,
    writer: mcap::Writer<BufWriter<File>>,
    channels: BTreeMap<String, Channel>,
    span: Option<(i64, i64)>,
}

struct Channel {
    id: u16,
    type_name: &'static str,
    messages: u32,
}

fn header(stamp: i64, frame: &str) -> Header {
    Header { stamp: Time::from_nanos(stamp), frame_id: frame.to_owned() }
}

impl BagWriter {
    /// Starts a recording in the folder `dir`, which must not exist yet.
    ///
    /// # Errors
    /// When the folder exists or cannot be made.
    pub fn create(dir: &Path) -> Result<Self> {
        ensure!(!dir.exists(), "{} exists already", dir.display());
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let name = format!("{}_0.mcap", dir.file_name().map_or_else(|| "bag".into(), |n| n.to_string_lossy()));
        let path = dir.join(&name);
        let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        let options = mcap::WriteOptions::new().profile("ros2").library("vantage").compression(None);
        let writer = options.create(BufWriter::new(file)).context("starting the recording")?;
        Ok(Self { dir: dir.to_owned(), name, writer, channels: BTreeMap::new(), span: None })
    }

    /// Writes a colour image as JPEG (`CompressedImage`).
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    pub fn write_color(&mut self, topic: &str, stamp: i64, frame: &str, image: &ColorImage) -> Result<()> {
        let jpeg = jpeg(image)?;
        let format = JPEG_FORMAT.to_owned();
        let message = CompressedImage { header: header(stamp, frame), format, data: Bytes::new(&jpeg) };
        self.write(topic, CompressedImage::TYPE, stamp, &wire::encode(CompressedImage::TYPE, &message)?)
    }

    /// Writes a depth image in millimetres as `compressedDepth` PNG (`CompressedImage`).
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    pub fn write_depth(&mut self, topic: &str, stamp: i64, frame: &str, image: &DepthImage) -> Result<()> {
        let millimetres = image.data.iter().map(|z| (z * 1000.0).round().clamp(0.0, 65_535.0) as u16);
        let raw: Vec<u8> = millimetres.flat_map(u16::to_ne_bytes).collect();
        // compressed_depth_image_transport's header: format 0, no quantisation
        let mut data = vec![0; 12];
        PngEncoder::new(&mut data)
            .write_image(&raw, image.width, image.height, ExtendedColorType::L16)
            .context("encoding a depth image")?;
        let format = "16UC1; compressedDepth png".to_owned();
        let message = CompressedImage { header: header(stamp, frame), format, data: Bytes::new(&data) };
        self.write(topic, CompressedImage::TYPE, stamp, &wire::encode(CompressedImage::TYPE, &message)?)
    }

    /// Writes a calibration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_camera_info(&mut self, topic: &str, stamp: i64, frame: &str, camera: &PinholeCamera) -> Result<()> {
        let (fx, fy, cx, cy) = (camera.fx, camera.fy, camera.cx, camera.cy);
        let (model, d) = camera.distortion.to_ros();
        let message = CameraInfo {
            header: header(stamp, frame),
            height: camera.height,
            width: camera.width,
            distortion_model: model.to_owned(),
            d,
            k: camera.k(),
            r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
            binning_x: 0,
            binning_y: 0,
            roi: RegionOfInterest::default(),
        };
        self.write(topic, CameraInfo::TYPE, stamp, &wire::encode(CameraInfo::TYPE, &message)?)
    }

    /// Writes one transform; `topic` is `/tf` or `/tf_static`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_transform(
        &mut self,
        topic: &str,
        stamp: i64,
        parent: &str,
        child: &str,
        parent_from_child: &Isometry3<f64>,
    ) -> Result<()> {
        let (t, q) = (parent_from_child.translation.vector, parent_from_child.rotation.coords);
        let transform = Transform {
            translation: Vector3 { x: t.x, y: t.y, z: t.z },
            rotation: Quaternion { x: q.x, y: q.y, z: q.z, w: q.w },
        };
        let stamped = TransformStamped { header: header(stamp, parent), child_frame_id: child.to_owned(), transform };
        let message = TfMessage { transforms: vec![stamped] };
        self.write(topic, TfMessage::TYPE, stamp, &wire::encode(TfMessage::TYPE, &message)?)
    }

    fn write(&mut self, topic: &str, type_name: &'static str, stamp: i64, data: &[u8]) -> Result<()> {
        let log_time = u64::try_from(stamp).with_context(|| format!("{topic}: stamp {stamp} is negative"))?;
        if !self.channels.contains_key(topic) {
            let schema = schema_of(type_name).with_context(|| format!("no definition of {type_name}"))?;
            let schema = self.writer.add_schema(type_name, "ros2msg", schema.as_bytes())?;
            let id = self.writer.add_channel(schema, topic, "cdr", &BTreeMap::new())?;
            self.channels.insert(topic.to_owned(), Channel { id, type_name, messages: 0 });
        }
        let Some(channel) = self.channels.get_mut(topic) else { return Ok(()) };
        let head =
            MessageHeader { channel_id: channel.id, sequence: channel.messages, log_time, publish_time: log_time };
        self.writer.write_to_known_channel(&head, data).with_context(|| format!("writing to {topic}"))?;
        channel.messages += 1;
        let (first, last) = self.span.unwrap_or((stamp, stamp));
        self.span = Some((first.min(stamp), last.max(stamp)));
        Ok(())
    }

    /// Completes the recording and writes metadata.yaml.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.writer.finish().context("finishing the recording")?;
        let (first, last) = self.span.unwrap_or((0, 0));
        let total: u64 = self.channels.values().map(|c| u64::from(c.messages)).sum();
        let mut yaml = format!(
            "rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: mcap\n  duration:\n    nanoseconds: {}\n  \
             starting_time:\n    nanoseconds_since_epoch: {first}\n  message_count: {total}\n  topics_with_message_count:\n",
            last - first
        );
        for (topic, channel) in &self.channels {
            yaml += &format!(
                "    - topic_metadata:\n        name: {topic}\n        type: {}\n        serialization_format: cdr\n        \
                 offered_qos_profiles: []\n        type_description_hash: \"\"\n      message_count: {}\n",
                channel.type_name, channel.messages
            );
        }
        yaml += &format!(
            "  compression_format: \"\"\n  compression_mode: \"\"\n  relative_file_paths:\n    - {name}\n  files:\n    - path: {name}\n      \
             starting_time:\n        nanoseconds_since_epoch: {first}\n      duration:\n        nanoseconds: {}\n      message_count: {total}\n  \
             custom_data: ~\n  ros_distro: jazzy\n",
            last - first,
            name = self.name
        );
        let path = self.dir.join("metadata.yaml");
        fs::write(&path, yaml).with_context(|| format!("writing {}", path.display()))
    }
}
