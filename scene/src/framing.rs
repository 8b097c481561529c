//! A pair of images and the transforms in; a frame, or what it lacks, out.

use std::sync::Arc;

use nalgebra::Isometry3;
use vantage_calibration::{PinholeCamera, RayTable};

use crate::frame::{CameraId, ColorImage, DepthImage, RgbdFrame, StampNanos, Stream};
use crate::registration::register_color;
use crate::sync_stats::DropReason;
use crate::transform_error::TransformError;
use crate::transforms::TransformBuffer;

/// Two cameras whose principal points and focal lengths agree within this share of the width see the same picture.
const SAME_VIEW_SHARE: f64 = 0.005;
/// A camera fits an image of another size when the two scales agree within this share.
const ASPECT_TOLERANCE: f64 = 0.01;

/// An image with its place in time and space.
#[derive(Debug)]
pub(crate) struct Stamped<I> {
    pub(crate) stamp: StampNanos,
    pub(crate) frame_id: Arc<str>,
    pub(crate) image: Arc<I>,
}

impl<I> Clone for Stamped<I> {
    fn clone(&self) -> Self {
        Self { stamp: self.stamp, frame_id: Arc::clone(&self.frame_id), image: Arc::clone(&self.image) }
    }
}

/// A depth image with its colour image.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) depth: Stamped<DepthImage>,
    pub(crate) color: Stamped<ColorImage>,
}

/// A frame, and how it came about.
pub(crate) struct Framed {
    pub(crate) frame: RgbdFrame,
    /// One image had to be carried into the other's view.
    pub(crate) registered: bool,
}

/// Why a pair is no frame, or none yet.
pub(crate) struct Obstacle {
    pub(crate) reason: DropReason,
    /// Something may still come; the reason counts if it does not.
    pub(crate) may_resolve: bool,
    pub(crate) error: Option<TransformError>,
}

/// Calibration of one camera.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    depth_camera: Option<PinholeCamera>,
    color_camera: Option<PinholeCamera>,
    /// Rays of the depth camera, made when images have to be registered.
    rays: Option<(PinholeCamera, RayTable)>,
}

const NO_CAMERA_INFO: Obstacle = Obstacle { reason: DropReason::NoCameraInfo, may_resolve: true, error: None };
const CAMERA_SIZE: Obstacle = Obstacle { reason: DropReason::CameraSize, may_resolve: false, error: None };

impl Framing {
    /// Remembers the intrinsics of a stream.
    pub(crate) fn calibrate(&mut self, stream: Stream, camera: PinholeCamera) {
        match stream {
            Stream::Color => self.color_camera = Some(camera),
            Stream::Depth => self.depth_camera = Some(camera),
        }
    }

    /// Finds camera and pose for a pair, and brings its images into one view.
    pub(crate) fn frame(
        &mut self,
        camera_id: CameraId,
        pair: &Pair,
        global_frame: &str,
        transforms: &TransformBuffer,
    ) -> Result<Framed, Obstacle> {
        let (depth, color) = (&pair.depth, &pair.color);
        let same_frame = depth.frame_id == color.frame_id;
        let known = self.depth_camera.or(self.color_camera.filter(|_| same_frame)).ok_or(NO_CAMERA_INFO)?;
        let camera = fitted(&known, depth.image.width, depth.image.height).ok_or(CAMERA_SIZE)?;
        let world_from_camera = look_up(transforms, global_frame, depth)?;
        let color_camera = self.color_camera.map(|c| fitted(&c, color.image.width, color.image.height));
        let (picture, registered) = match color_camera {
            None if same_frame => (Arc::clone(&color.image), false),
            None => return Err(NO_CAMERA_INFO),
            Some(None) => return Err(CAMERA_SIZE),
            Some(Some(c)) if same_frame && same_view(&c, &camera) => (Arc::clone(&color.image), false),
            Some(Some(color_camera)) => {
                let color_from_depth = look_up(transforms, &color.frame_id, depth)?;
                self.rays.take_if(|(made_for, _)| *made_for != camera);
                let (_, rays) = self.rays.get_or_insert_with(|| (camera, RayTable::new(&camera)));
                let seen = register_color(&depth.image, rays, &color.image, &color_camera, &color_from_depth);
                (Arc::new(seen), true)
            }
        };
        let frame = RgbdFrame {
            camera_id,
            stamp: depth.stamp,
            color: picture,
            depth: Arc::clone(&depth.image),
            camera,
            world_from_camera,
        };
        Ok(Framed { frame, registered })
    }
}

/// `target_from_depth` at the depth image's own stamp.
fn look_up(
    transforms: &TransformBuffer,
    target: &str,
    depth: &Stamped<DepthImage>,
) -> Result<Isometry3<f64>, Obstacle> {
    transforms.lookup(target, &depth.frame_id, depth.stamp).map_err(|error| Obstacle {
        reason: match error {
            TransformError::BeforeOldest { .. } => DropReason::TransformTooLate,
            TransformError::Gap { .. } => DropReason::TransformGap,
            _ => DropReason::NoTransform,
        },
        may_resolve: error.may_resolve(),
        error: Some(error),
    })
}

/// The camera for an image of this size, when both sides are scaled alike.
fn fitted(camera: &PinholeCamera, width: u32, height: u32) -> Option<PinholeCamera> {
    if (camera.width, camera.height) == (width, height) {
        return Some(*camera);
    }
    let (sx, sy) = (f64::from(width) / f64::from(camera.width), f64::from(height) / f64::from(camera.height));
    ((sx / sy - 1.0).abs() <= ASPECT_TOLERANCE).then(|| camera.scaled(width, height))
}

/// Whether two cameras at the same place show the same picture, sizes apart.
fn same_view(a: &PinholeCamera, b: &PinholeCamera) -> bool {
    let a = a.scaled(b.width, b.height);
    let limit = SAME_VIEW_SHARE * f64::from(b.width);
    [(a.fx, b.fx), (a.fy, b.fy), (a.cx, b.cx), (a.cy, b.cy)].iter().all(|(p, q)| (p - q).abs() <= limit)
}
