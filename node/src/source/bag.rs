//! A recording in, sensor events in order of log time out; static transforms and what a rig makes up for come first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vantage_scene::{CameraId, SensorEvent, Stream, StreamCorrection};

use super::decode::{Carries, decode};
use super::error::SourceError;
use super::rig::{KnownCameras, camera_id};
use super::storage::{RawMessage, Storage, TopicInfo, open_storage};
use super::topics::{TopicChoice, TopicRequest, choose_topics};
use crate::wire::CompressedImage;

/// A recording being replayed.
pub struct BagSource {
    storage: Box<dyn Storage>,
    choice: TopicChoice,
    names: Vec<String>,
    known: KnownCameras,
    /// What each topic that is read carries, and of which camera.
    roles: BTreeMap<usize, (CameraId, Carries)>,
    pending: std::vec::IntoIter<SensorEvent>,
    depth_images: u64,
}

impl BagSource {
    /// Opens a recording and reads its static transforms.
    ///
    /// # Errors
    /// [`SourceError`] naming file, topic and place, or the camera that the rig does not know.
    pub fn open(path: &Path, request: &TopicRequest) -> Result<Self, SourceError> {
        let mut storage = open_storage(path)?;
        let choice = choose_topics(storage.as_ref(), request)?;
        let known = match &request.rig {
            Some(rig) => KnownCameras::find(rig, &request.cameras)?,
            None => KnownCameras::default(),
        };
        say_topics(storage.as_ref(), &choice, &request.cameras);
        let mut fixed = Vec::new();
        storage.select(&choice.fixed)?;
        if !choice.fixed.is_empty() {
            while let Some(message) = storage.next_message()? {
                fixed.extend(decoded(storage.as_ref(), &message, Carries::Transforms { fixed: true })?);
            }
        }
        let roles = roles(storage.as_ref(), &choice)?;
        let mut first = made_up(storage.as_ref(), &known, &roles, &fixed);
        first.extend(fixed);
        storage.select(&roles.keys().copied().collect::<Vec<_>>())?;
        let (names, pending) = (request.cameras.clone(), first.into_iter());
        Ok(Self { storage, choice, names, known, roles, pending, depth_images: 0 })
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] naming file, topic and place.
    pub fn next_event(&mut self) -> Result<Option<SensorEvent>, SourceError> {
        loop {
            if let Some(event) = self.pending.next() {
                return Ok(Some(event));
            }
            let Some(message) = self.storage.next_message()? else { return Ok(None) };
            // a container that gives what was not selected is none of ours; its message is skipped
            let Some(&(camera_id, carries)) = self.roles.get(&message.topic) else { continue };
            let events = decoded(self.storage.as_ref(), &message, carries)?;
            self.depth_images += u64::from(matches!(carries, Carries::Images { stream: Stream::Depth, .. }));
            self.pending = events.into_iter().map(|event| event.of(camera_id)).collect::<Vec<_>>().into_iter();
        }
    }

    /// Messages of the depth topics, where the container says.
    pub fn depth_message_count(&self) -> Option<u64> {
        message_count(self.storage.topics(), self.choice.cameras.iter().map(|camera| camera.depth))
    }

    /// Depth images delivered so far.
    pub fn depth_images(&self) -> u64 {
        self.depth_images
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.storage.file()
    }

    /// What the rig corrects.
    pub fn corrections(&self) -> BTreeMap<CameraId, StreamCorrection> {
        self.known.corrections()
    }

    /// "front: " in front of what is said about one of several cameras; nothing where there is only one.
    pub fn of_camera(&self, id: CameraId) -> String {
        match self.names.get(usize::from(id.0)) {
            Some(name) if self.names.len() > 1 => format!("{name}: "),
            _ => String::new(),
        }
    }
}

/// Messages of the chosen topics together, where the container says of each. A damaged one may say more than can be counted.
pub(crate) fn message_count(topics: &[TopicInfo], chosen: impl IntoIterator<Item = usize>) -> Option<u64> {
    chosen.into_iter().try_fold(0u64, |sum, topic| sum.checked_add(topics.get(topic)?.messages?))
}

/// What each topic carries.
fn roles(storage: &dyn Storage, choice: &TopicChoice) -> Result<BTreeMap<usize, (CameraId, Carries)>, SourceError> {
    let mut roles = BTreeMap::new();
    for (place, camera) in choice.cameras.iter().enumerate() {
        let id = camera_id(place)?;
        for (stream, images, info) in
            [(Stream::Color, camera.color, camera.color_info), (Stream::Depth, camera.depth, camera.depth_info)]
        {
            let compressed = storage.topics()[images].type_name == CompressedImage::TYPE;
            roles.insert(images, (id, Carries::Images { stream, compressed }));
            roles.extend(info.map(|info| (info, (id, Carries::CameraInfo(stream)))));
        }
    }
    let moving = choice.moving.iter().map(|&i| (i, (CameraId::default(), Carries::Transforms { fixed: false })));
    roles.extend(moving);
    Ok(roles)
}

/// What the rig knows and the recording does not; the log says so.
fn made_up(
    storage: &dyn Storage,
    known: &KnownCameras,
    roles: &BTreeMap<usize, (CameraId, Carries)>,
    fixed: &[SensorEvent],
) -> Vec<SensorEvent> {
    let recorded = |id: CameraId, stream: Stream| roles.values().any(|role| *role == (id, Carries::CameraInfo(stream)));
    let mut events = known.infos(recorded);
    let placed: BTreeSet<String> = fixed
        .iter()
        .filter_map(|event| match event {
            SensorEvent::Transform { child, .. } => Some(child.trim_start_matches('/').to_owned()),
            _ => None,
        })
        .collect();
    events.extend(known.transforms(&placed));
    for event in &events {
        let what = match event {
            SensorEvent::CameraInfo { camera_id, stream, .. } => format!("camera_info of {stream}, {camera_id}"),
            SensorEvent::Transform { parent, child, .. } => format!("static transform {parent} <- {child}"),
            SensorEvent::Color { .. } | SensorEvent::Depth { .. } => continue,
        };
        tracing::info!("{}: {what} is not recorded; the rig's is taken", storage.file().display());
    }
    events
}

fn say_topics(storage: &dyn Storage, choice: &TopicChoice, cameras: &[String]) {
    let name = |i: usize| storage.topics()[i].name.clone();
    for (place, camera) in choice.cameras.iter().enumerate() {
        let of = cameras.get(place).map_or_else(String::new, |name| format!("camera {name}: "));
        tracing::info!(
            "{}: {of}color {}, depth {}, depth camera_info {}",
            storage.file().display(),
            name(camera.color),
            name(camera.depth),
            camera.depth_info.map_or_else(|| "none".to_owned(), name)
        );
    }
    let transforms: Vec<String> = choice.moving.iter().chain(&choice.fixed).map(|&i| name(i)).collect();
    tracing::info!("{}: transforms {}", storage.file().display(), transforms.join(" "));
}

/// Decodes a message; errors name file, place and topic.
fn decoded(storage: &dyn Storage, message: &RawMessage, carries: Carries) -> Result<Vec<SensorEvent>, SourceError> {
    decode(carries, &message.data).map_err(|source| SourceError::Message {
        file: storage.file().to_owned(),
        place: message.place.clone(),
        topic: storage.topics()[message.topic].name.clone(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::bag::BagWriter;
    use nalgebra::Isometry3;
    use vantage_calibration::{Distortion, PinholeCamera, Rig};
    use vantage_scene::{ColorImage, DepthImage, RgbdFrame, SyncConfig, Synchronizer};

    const MS: i64 = 1_000_000;

    /// Ten moments of the cameras `front` and `rear`; `rear` has no camera_info, and nothing says where it is mounted.
    fn recording(folder: &Path) {
        let color = ColorImage::new(8, 6, vec![9; 144]).unwrap();
        let depth = DepthImage::new(8, 6, vec![1.0; 48]).unwrap();
        let camera = PinholeCamera::new(8, 6, 8.0, 8.0, 3.5, 2.5, Distortion::None).unwrap();
        let mut bag = BagWriter::create(folder).unwrap();
        bag.write_transform("/tf_static", 0, "base", "front_optical", &Isometry3::translation(1.0, 0.0, 0.0)).unwrap();
        for i in 0..10 {
            let stamp = i * 33 * MS;
            bag.write_transform("/tf", stamp, "odom", "base", &Isometry3::identity()).unwrap();
            bag.write_camera_info("/front/depth/camera_info", stamp, "front_optical", &camera).unwrap();
            for name in ["front", "rear"] {
                // the colour of `rear` is stamped late
                let late = if name == "rear" { 100 * MS } else { 0 };
                let frame_id = format!("{name}_optical");
                bag.write_color(&format!("/{name}/color/image_raw"), stamp + late, &frame_id, &color).unwrap();
                bag.write_depth(&format!("/{name}/depth/image_raw"), stamp, &frame_id, &depth).unwrap();
            }
        }
        bag.finish().unwrap();
    }

    /// A rig of both, of which `rear` is mounted 2 m behind the base and its colour corrected by -100 ms.
    fn rig() -> Rig {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../calibration/rigs/icl_nuim.yaml");
        let mut rig = Rig::load(&file).unwrap();
        let mut camera = rig.cameras.remove(0);
        let pinhole = PinholeCamera::new(8, 6, 8.0, 8.0, 3.5, 2.5, Distortion::None).unwrap();
        (camera.color.intrinsics, camera.depth.intrinsics) = (pinhole, pinhole);
        camera.link_frame = "base".to_owned();
        camera.color_from_depth = None;
        for (name, x, offset_s) in [("front", 9.0, 0.0), ("rear", -2.0, -0.1)] {
            let mut camera = camera.clone();
            camera.name = name.to_owned();
            let frame_id = format!("{name}_optical");
            (camera.color.frame_id, camera.depth.frame_id) = (frame_id.clone(), frame_id);
            camera.color.time_offset_s = offset_s;
            camera.link_from_depth.translation_m = [x, 0.0, 0.0];
            camera.link_from_depth.rotation_xyzw = [0.0, 0.0, 0.0, 1.0];
            rig.cameras.push(camera);
        }
        rig
    }

    fn frames(request: &TopicRequest) -> Vec<RgbdFrame> {
        let folder = tempfile::tempdir().unwrap();
        let bag = folder.path().join("bag");
        recording(&bag);
        let mut source = BagSource::open(&bag, request).unwrap();
        let mut sync = Synchronizer::new(SyncConfig { corrections: source.corrections(), ..SyncConfig::default() });
        let mut frames = Vec::new();
        while let Some(event) = source.next_event().unwrap() {
            frames.extend(sync.push(event));
        }
        frames.extend(sync.flush());
        frames
    }

    #[test]
    fn two_cameras_are_joined_each_by_itself_with_what_their_rig_knows() {
        let cameras = ["front", "rear"].map(str::to_owned).to_vec();
        let frames = frames(&TopicRequest { cameras, rig: Some(rig()), ..TopicRequest::default() });
        for (camera, x) in [(CameraId(0), 1.0), (CameraId(1), -2.0)] {
            let own: Vec<&RgbdFrame> = frames.iter().filter(|f| f.camera_id == camera).collect();
            assert_eq!(own.iter().map(|f| f.stamp / (33 * MS)).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
            // what is recorded goes before what the rig says
            assert!(own.iter().all(|f| f.world_from_camera.translation.x == x), "{camera}");
        }
    }

    #[test]
    fn messages_are_counted_only_where_their_number_is_known_and_possible() {
        let topics = [Some(3), Some(4), None, Some(u64::MAX)].map(|messages| TopicInfo {
            name: "/depth".to_owned(),
            type_name: String::new(),
            messages,
        });
        for (chosen, count) in [(&[0, 1][..], Some(7)), (&[], Some(0)), (&[0, 2], None), (&[3, 0], None)] {
            assert_eq!(message_count(&topics, chosen.iter().copied()), count, "{chosen:?}");
        }
    }

    #[test]
    fn without_names_the_first_camera_is_read_alone() {
        let frames = frames(&TopicRequest::default());
        assert_eq!(frames.len(), 10);
        assert!(frames.iter().all(|f| f.camera_id == CameraId(0) && f.world_from_camera.translation.x == 1.0));
    }
}
