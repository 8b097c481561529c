//! A rig and a robot's cameras in; their corrections, and events in place of calibration that nobody sends, out.

use std::collections::{BTreeMap, BTreeSet};

use vantage_calibration::{Rig, RigCamera};
use vantage_scene::{CameraId, SensorEvent, Stream, StreamCorrection};

use super::error::SourceError;

/// What a rig says about the cameras in use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownCameras {
    cameras: Vec<(CameraId, RigCamera)>,
}

/// The id of the camera at this place in the list of cameras.
///
/// # Errors
/// [`SourceError::TooManyCameras`].
pub fn camera_id(place: usize) -> Result<CameraId, SourceError> {
    let most = usize::from(u8::MAX) + 1;
    u8::try_from(place).map(CameraId).map_err(|_| SourceError::TooManyCameras { count: place + 1, most })
}

/// A camera's name without the slashes around it: `/front/`, as a namespace may be written, is the camera `front`.
pub(crate) fn bare_name(name: &str) -> &str {
    name.trim_matches('/')
}

impl KnownCameras {
    /// Finds the cameras of these names, slashes around them aside; no name means the rig's only one.
    ///
    /// # Errors
    /// [`SourceError::NoRigCamera`] where the rig does not know one of them, as a wrong name would leave out its corrections.
    pub fn find(rig: &Rig, names: &[String]) -> Result<Self, SourceError> {
        let unknown = |wanted: String| SourceError::NoRigCamera {
            rig: rig.name.clone(),
            wanted,
            cameras: rig.cameras.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", "),
        };
        if names.is_empty() {
            return match rig.cameras.as_slice() {
                [only] => Ok(Self { cameras: vec![(CameraId::default(), only.clone())] }),
                _ => Err(unknown("no camera is named".to_owned())),
            };
        }
        let mut cameras = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let of_name = |camera: &&RigCamera| bare_name(&camera.name) == bare_name(name);
            let camera = rig.cameras.iter().find(of_name).ok_or_else(|| unknown(name.clone()))?;
            cameras.push((camera_id(place)?, camera.clone()));
        }
        Ok(Self { cameras })
    }

    /// Clock offsets and depth models.
    pub fn corrections(&self) -> BTreeMap<CameraId, StreamCorrection> {
        self.cameras.iter().map(|(id, camera)| (*id, correction(camera))).collect()
    }

    /// Whether the rig knows this camera.
    pub fn knows(&self, camera_id: CameraId) -> bool {
        self.cameras.iter().any(|(id, _)| *id == camera_id)
    }

    /// Intrinsics of the streams for which `has_info` is false. Where depth is aligned to colour, those of depth serve for both.
    pub fn infos(&self, has_info: impl Fn(CameraId, Stream) -> bool) -> Vec<SensorEvent> {
        let mut events = Vec::new();
        for (camera_id, rig) in &self.cameras {
            for (stream, frame_id, camera) in [
                (Stream::Color, &rig.color.frame_id, rig.color.intrinsics),
                (Stream::Depth, &rig.depth.frame_id, rig.depth.intrinsics),
            ] {
                let serves = rig.color.frame_id == rig.depth.frame_id && has_info(*camera_id, Stream::Depth);
                if !has_info(*camera_id, stream) && !serves {
                    let (camera_id, frame_id) = (*camera_id, frame_id.clone());
                    events.push(SensorEvent::CameraInfo { camera_id, stream, stamp: 0, frame_id, camera });
                }
            }
        }
        events
    }

    /// Static transforms of the optical frames that are not among `placed`, the frames that something else places.
    pub fn transforms(&self, placed: &BTreeSet<String>) -> Vec<SensorEvent> {
        let is_placed = |frame: &str| placed.contains(frame.trim_start_matches('/'));
        let mut events = Vec::new();
        for (_, camera) in &self.cameras {
            let (link, depth, color) = (&camera.link_frame, &camera.depth.frame_id, &camera.color.frame_id);
            let depth_from_color = camera.color_from_depth().inverse();
            for (parent, child, parent_from_child) in
                [(link, depth, camera.link_from_depth.isometry()), (depth, color, depth_from_color)]
            {
                if parent != child && !is_placed(child) {
                    events.push(SensorEvent::Transform {
                        stamp: 0,
                        parent: parent.clone(),
                        child: child.clone(),
                        parent_from_child,
                        is_static: true,
                    });
                }
            }
        }
        events
    }
}

fn correction(camera: &RigCamera) -> StreamCorrection {
    StreamCorrection {
        color_offset_nanos: camera.color.time_offset_nanos(),
        depth_offset_nanos: camera.depth.time_offset_nanos(),
        depth: camera.depth.model,
        depth_range_m: Some(camera.depth.range_m),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rig() -> Rig {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../calibration/rigs/realsense_d435i.yaml");
        let mut rig = Rig::load(&file).unwrap();
        rig.cameras[0].name = "front".to_owned();
        rig.cameras[0].depth.time_offset_s = -0.015;
        rig.cameras[0].depth.model.scale = 1.02;
        rig
    }

    #[test]
    fn corrections_are_those_of_the_named_camera() {
        let known = KnownCameras::find(&rig(), &["front".to_owned()]).unwrap();
        let correction = known.corrections()[&CameraId(0)];
        assert_eq!((correction.color_offset_nanos, correction.depth_offset_nanos), (0, -15_000_000));
        assert_eq!((correction.depth.scale, correction.depth_range_m), (1.02, Some(rig().cameras[0].depth.range_m)));
        assert_eq!(KnownCameras::find(&rig(), &[]).unwrap(), known, "the only one needs no name");
        assert_eq!(KnownCameras::find(&rig(), &["/front/".to_owned()]).unwrap(), known);
    }

    #[test]
    fn a_camera_that_the_rig_does_not_know_is_an_error() {
        let error = KnownCameras::find(&rig(), &["rear".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("rear") && error.contains("front"), "{error}");
        let mut two = rig();
        two.cameras.push(two.cameras[0].clone());
        assert!(KnownCameras::find(&two, &[]).is_err());
    }

    #[test]
    fn only_what_nobody_sends_is_made_up_for() {
        let known = KnownCameras::find(&rig(), &[]).unwrap();
        assert_eq!(known.infos(|_, stream| stream == Stream::Depth).len(), 1, "colour is another camera");
        assert_eq!(known.infos(|_, _| false).len(), 2);
        assert_eq!(known.transforms(&BTreeSet::new()).len(), 2);
        let depth_frame = rig().cameras[0].depth.frame_id.clone();
        let rest = known.transforms(&BTreeSet::from([depth_frame.clone()]));
        let [SensorEvent::Transform { parent, is_static: true, parent_from_child, .. }] = rest.as_slice() else {
            panic!("{rest:?}")
        };
        assert_eq!(*parent, depth_frame);
        // the colour camera of a D435i lies 15 mm beside the depth camera
        assert!((0.01..0.03).contains(&parent_from_child.translation.vector.norm()));
    }
}
