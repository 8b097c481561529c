//! What came on each topic in, a line for people out when something does not come, with the reason that the graph shows.

use std::collections::{BTreeMap, BTreeSet};

use vantage_scene::{CameraId, SyncStats};

use super::bus::{Bus, Delivery, Publisher};
use super::inputs::{Heard, Inputs};

/// Most topics named in a hint.
const MOST_NAMED: usize = 8;

/// Compares what came now with what came at the last look.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    received: BTreeMap<String, u64>,
    /// What is wrong with each topic, as last said.
    said: BTreeMap<String, String>,
    frames: BTreeMap<CameraId, u64>,
    /// Why each camera gives no frames, as last said.
    stuck: BTreeMap<CameraId, String>,
}

impl Watchdog {
    /// Looks once; says what has become wrong or right since the last look.
    pub(crate) fn look(&mut self, bus: &Bus, inputs: &Inputs) {
        let mut silent = BTreeSet::new();
        let mut no_transforms = Vec::new();
        for heard in &inputs.topics {
            let now = heard.received();
            let before = self.received.insert(heard.topic.clone(), now).unwrap_or(0);
            let comes = now > before || (latched(heard) && now > 0);
            match heard.camera_id {
                Some(camera_id) => {
                    let trouble = (heard.needed && !comes).then(|| trouble(bus, heard));
                    silent.extend(trouble.is_some().then_some(camera_id));
                    self.say(heard, trouble);
                }
                // a robot may have nothing that moves, or nothing that is fixed: that is said with the frames that lack it
                None if !comes => no_transforms.push(trouble(bus, heard)),
                None => {}
            }
        }
        let stats = inputs.stats();
        for camera in &inputs.cameras {
            let name = camera.name.as_deref();
            self.look_at_frames(camera.id, name, &stats, !silent.contains(&camera.id), &no_transforms);
        }
    }

    fn say(&mut self, heard: &Heard, trouble: Option<String>) {
        match (trouble, self.said.get(&heard.topic)) {
            (Some(now), Some(said)) if now == *said => {}
            (Some(now), _) => {
                tracing::warn!("{now}");
                self.said.insert(heard.topic.clone(), now);
            }
            (None, Some(_)) => {
                tracing::info!("{} is heard", heard.topic);
                self.said.remove(&heard.topic);
            }
            (None, None) => {}
        }
    }

    /// Images come, but no frame: the synchroniser knows why, and silent transforms may be the cause.
    fn look_at_frames(
        &mut self,
        camera_id: CameraId,
        name: Option<&str>,
        stats: &SyncStats,
        images_come: bool,
        no_transforms: &[String],
    ) {
        let frames = stats.cameras.get(&camera_id).map_or(0, |camera| camera.frames);
        let before = self.frames.insert(camera_id, frames).unwrap_or(0);
        let of_camera = name.map_or_else(String::new, |name| format!("camera {name}: "));
        let stuck = (images_come && frames == before).then(|| {
            format!("{of_camera}images come but no frame is complete. {}", why(camera_id, stats, no_transforms))
        });
        match (stuck, self.stuck.get(&camera_id)) {
            (Some(now), Some(said)) if now == *said => {}
            (Some(now), _) => {
                tracing::warn!("{now}");
                self.stuck.insert(camera_id, now);
            }
            (None, Some(_)) => {
                tracing::info!("{of_camera}frames are complete");
                self.stuck.remove(&camera_id);
            }
            (None, None) => {}
        }
    }
}

/// What keeps a camera's images from being frames.
fn why(camera_id: CameraId, stats: &SyncStats, no_transforms: &[String]) -> String {
    let mut why = Vec::new();
    if let Some(camera) = stats.cameras.get(&camera_id) {
        why.extend(camera.drops().map(|(stream, reason, _)| format!("{stream} images dropped: {reason}")));
        if let Some(error) = &camera.last_transform_error {
            why.push(error.to_string());
            why.extend(no_transforms.iter().cloned());
        }
    }
    why.extend(stats.last_refused_transform.as_ref().map(|refused| format!("transform refused: {refused}")));
    why.extend(stats.last_reclaimed.as_ref().map(|last| format!("a frame changed its place in the tree: {last}")));
    why.join("; ")
}

/// Whether one message is all that ever comes.
fn latched(heard: &Heard) -> bool {
    heard.delivery == Delivery::Latched
}

fn trouble(bus: &Bus, heard: &Heard) -> String {
    let publishers = bus.publishers(&heard.topic);
    let others = if publishers.is_empty() { bus.published(heard.type_name) } else { Vec::new() };
    diagnose(&heard.topic, heard.type_name, heard.delivery, &publishers, &others)
}

/// Why nothing is heard.
fn diagnose(topic: &str, type_name: &str, delivery: Delivery, publishers: &[Publisher], others: &[String]) -> String {
    let Some(first) = publishers.first() else {
        let mut text = format!("{topic}: nobody publishes it ({type_name})");
        if !others.is_empty() {
            let named: Vec<&str> = others.iter().take(MOST_NAMED).map(String::as_str).collect();
            text += &format!("; of that type there is {}: remap the topic to one of them", named.join(", "));
        }
        return text;
    };
    if publishers.iter().all(|p| p.type_name != type_name) {
        return format!("{topic}: {} publishes {}, the node listens for {type_name}", first.node, first.type_name);
    }
    if delivery != Delivery::BestEffort && publishers.iter().all(|p| !p.reliable) {
        return format!(
            "{topic}: {} publishes it best effort, the node asks for reliable delivery; set the parameter qos_input to best_effort",
            first.node
        );
    }
    format!("{topic}: {} publishes it, but nothing comes", first.node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};
    use vantage_scene::{ColorImage, DepthImage, SensorEvent, Stream, SyncConfig, Synchronizer};

    #[test]
    fn silent_transforms_are_named_with_the_frames_that_lack_them() {
        let mut sync = Synchronizer::new(SyncConfig::default());
        let camera = PinholeCamera::new(1, 1, 1.0, 1.0, 0.0, 0.0, Distortion::None).unwrap();
        let (camera_id, stamp, frame_id) = (CameraId(1), 0, "optical".to_owned());
        let color = Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap());
        let depth = Arc::new(DepthImage::new(1, 1, vec![1.0]).unwrap());
        for event in [
            SensorEvent::CameraInfo { camera_id, stream: Stream::Depth, stamp, frame_id: frame_id.clone(), camera },
            SensorEvent::Color { camera_id, stamp, frame_id: frame_id.clone(), image: color },
            SensorEvent::Depth { camera_id, stamp, frame_id, image: depth },
        ] {
            sync.push(event);
        }
        let silent = ["/tf: nobody publishes it".to_owned()];
        let said = why(camera_id, sync.stats(), &silent);
        assert!(said.contains("odom") && said.contains("/tf: nobody"), "{said}");
        assert!(!why(CameraId(0), sync.stats(), &silent).contains("/tf"), "a camera without images lacks no transform");
    }

    const TYPE: &str = "sensor_msgs/msg/Image";

    fn publisher(type_name: &str, reliable: bool) -> Publisher {
        Publisher { node: "/camera".into(), type_name: type_name.into(), reliable }
    }

    #[test]
    fn the_reason_is_named() {
        let diagnose = |publishers: &[Publisher], others: &[String]| {
            diagnose("/c/image", TYPE, Delivery::Reliable, publishers, others)
        };
        let none = diagnose(&[], &["/cam/rgb".into()]);
        assert!(none.contains("nobody publishes") && none.contains("/cam/rgb"), "{none}");
        let other = diagnose(&[publisher("sensor_msgs/msg/CompressedImage", true)], &[]);
        assert!(other.contains("/camera publishes sensor_msgs/msg/CompressedImage"), "{other}");
        assert!(diagnose(&[publisher(TYPE, false)], &[]).contains("qos_input"));
        assert!(diagnose(&[publisher(TYPE, true)], &[]).contains("nothing comes"));
    }
}
