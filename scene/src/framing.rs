//! A pair of images and the transforms in; a frame, or what it lacks, out.
//!
//! A frame shows one view through a pinhole. Depth that the driver aligned to colour only has its lens straightened. Depth of
//! a camera of its own is carried into the colour camera's view, about as fine as it was, so that every reading keeps its
//! place in space and what the colour camera does not see gets no colour.

use std::sync::Arc;

use nalgebra::Isometry3;
use vantage_calibration::{DepthRectifier, PinholeCamera, RayTable};

use crate::frame::{CameraId, ColorImage, DepthImage, RgbdFrame, StampNanos, Stream};
use crate::registration::register_depth;
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
    /// Made for the cameras of the last frame; they rarely change.
    view: Option<View>,
}

/// How the images of a pair of cameras come into one view.
#[derive(Debug)]
struct View {
    depth_camera: PinholeCamera,
    color_camera: PinholeCamera,
    /// The frame's camera, at the size of its depth.
    camera: PinholeCamera,
    depth: DepthWay,
    /// `None` where colour is straight as it is.
    color: Option<DepthRectifier>,
}

/// What depth needs.
#[derive(Debug)]
enum DepthWay {
    AsItIs,
    Straighten(DepthRectifier),
    /// To be carried into the colour camera's view, with the rays of its own camera.
    Register(RayTable),
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
        let depth_camera = fitted(&known, depth.image.width, depth.image.height).ok_or(CAMERA_SIZE)?;
        let world_from_depth = look_up(transforms, global_frame, depth)?;
        let (width, height) = (color.image.width, color.image.height);
        let color_camera = match &self.color_camera {
            Some(camera) => fitted(camera, width, height).ok_or(CAMERA_SIZE)?,
            // aligned, so that depth's camera serves for colour
            None if same_frame => depth_camera.scaled(width, height),
            None => return Err(NO_CAMERA_INFO),
        };
        let aligned = same_frame && same_view(&color_camera, &depth_camera);
        let color_from_depth =
            if aligned { Isometry3::identity() } else { look_up(transforms, &color.frame_id, depth)? };
        let fits = |view: &View| {
            (view.depth_camera, view.color_camera, view.registers()) == (depth_camera, color_camera, !aligned)
        };
        self.view.take_if(|view| !fits(view));
        let view = self.view.get_or_insert_with(|| View::new(depth_camera, color_camera, aligned));
        let frame = RgbdFrame {
            camera_id,
            stamp: depth.stamp,
            color: view.color(&color.image),
            depth: view.depth(&depth.image, &color_from_depth),
            camera: view.camera,
            world_from_camera: world_from_depth * color_from_depth.inverse(),
        };
        Ok(Framed { frame, registered: !aligned })
    }
}

impl View {
    fn new(depth_camera: PinholeCamera, color_camera: PinholeCamera, aligned: bool) -> Self {
        // the view at the size of depth, with the lens of the camera whose view it is
        let bent = if aligned { depth_camera } else { reduced(&color_camera, depth_camera.width) };
        let straighten = DepthRectifier::new(&bent);
        let camera = *straighten.camera();
        let depth = match aligned {
            false => DepthWay::Register(RayTable::new(&depth_camera)),
            true if depth_camera.distortion.is_straight() => DepthWay::AsItIs,
            true => DepthWay::Straighten(straighten),
        };
        let color = (!color_camera.distortion.is_straight())
            .then(|| DepthRectifier::onto(&color_camera, &camera.scaled(color_camera.width, color_camera.height)));
        Self { depth_camera, color_camera, camera, depth, color }
    }

    fn registers(&self) -> bool {
        matches!(self.depth, DepthWay::Register(_))
    }

    fn color(&self, image: &Arc<ColorImage>) -> Arc<ColorImage> {
        let Some(rectifier) = &self.color else { return Arc::clone(image) };
        let mut data = vec![0; image.data.len()];
        rectifier.rectify(image.data.as_chunks::<3>().0, data.as_chunks_mut::<3>().0, [0; 3]);
        Arc::new(ColorImage { width: image.width, height: image.height, data })
    }

    fn depth(&self, image: &Arc<DepthImage>, color_from_depth: &Isometry3<f64>) -> Arc<DepthImage> {
        match &self.depth {
            DepthWay::AsItIs => Arc::clone(image),
            DepthWay::Straighten(rectifier) => {
                let mut data = vec![0.0; image.data.len()];
                rectifier.rectify(&image.data, &mut data, 0.0);
                Arc::new(DepthImage { width: image.width, height: image.height, data })
            }
            DepthWay::Register(rays) => {
                let mut seen = DepthImage { width: 0, height: 0, data: Vec::new() };
                register_depth(image, rays, &self.camera, color_from_depth, &mut seen);
                Arc::new(seen)
            }
        }
    }
}

/// The same view about `width` pixels wide, and never larger than it was.
fn reduced(camera: &PinholeCamera, width: u32) -> PinholeCamera {
    let width = width.min(camera.width).max(1);
    let height = (f64::from(camera.height) * f64::from(width) / f64::from(camera.width)).round() as u32;
    camera.scaled(width, height.max(1))
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
    let straight = a.distortion.is_straight() && b.distortion.is_straight();
    if !straight && a.distortion != b.distortion {
        return false;
    }
    let a = a.scaled(b.width, b.height);
    let limit = SAME_VIEW_SHARE * f64::from(b.width);
    [(a.fx, b.fx), (a.fy, b.fy), (a.cx, b.cx), (a.cy, b.cy)].iter().all(|(p, q)| (p - q).abs() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Point3, Vector3};
    use vantage_calibration::Distortion;

    fn camera(width: u32, height: u32, focal: f64, distortion: Distortion) -> PinholeCamera {
        let center = |side: u32| f64::from(side) / 2.0 - 0.5;
        PinholeCamera::new(width, height, focal, focal, center(width), center(height), distortion).unwrap()
    }

    fn static_transform(transforms: &mut TransformBuffer, parent: &str, child: &str, x: f64) {
        transforms.insert(parent, child, 0, Isometry3::translation(x, 0.0, 0.0), true).unwrap();
    }

    /// Red where the world's x is below 0.1 on a wall 2 m ahead of the depth camera, at the origin; blue beyond.
    fn wall(color_camera: &PinholeCamera, depth_camera: &PinholeCamera, x_color: f64, frames: [&str; 2]) -> Pair {
        let pixels = (0..color_camera.height).flat_map(|v| (0..color_camera.width).map(move |u| (u, v)));
        let colors = pixels.flat_map(|(u, v)| {
            let x = 2.0 * color_camera.ray(f64::from(u), f64::from(v)).x + x_color;
            if x < 0.1 { [255, 0, 0] } else { [0, 0, 255] }
        });
        let color = ColorImage::new(color_camera.width, color_camera.height, colors.collect()).unwrap();
        let readings = vec![2.0; depth_camera.width as usize * depth_camera.height as usize];
        let depth = DepthImage::new(depth_camera.width, depth_camera.height, readings).unwrap();
        Pair {
            depth: Stamped { stamp: 0, frame_id: frames[0].into(), image: Arc::new(depth) },
            color: Stamped { stamp: 0, frame_id: frames[1].into(), image: Arc::new(color) },
        }
    }

    /// Every reading that has a colour lies on the right side of the edge; returns the share of pixels with a reading.
    fn check(frame: &RgbdFrame) -> f64 {
        assert!(frame.camera.distortion.is_straight());
        let (width, height) = (frame.depth.width, frame.depth.height);
        assert_eq!((frame.camera.width, frame.camera.height), (width, height));
        let mut readings = 0;
        for (v, u) in (0..height).flat_map(|v| (0..width).map(move |u| (v, u))) {
            let z = f64::from(frame.depth.data[(v * width + u) as usize]);
            if z == 0.0 {
                continue;
            }
            readings += 1;
            let p_world = frame.world_from_camera * Point3::from(frame.camera.ray(f64::from(u), f64::from(v)) * z);
            assert!((p_world.z - 2.0).abs() < 1e-5);
            let (cu, cv) = (u * frame.color.width / width, v * frame.color.height / height);
            let at = 3 * (cv * frame.color.width + cu) as usize;
            // a pixel at 2 m is 2 to 4 cm wide
            if (p_world.x - 0.1).abs() > 0.08 && frame.color.data[at..at + 3] != [0; 3] {
                let red = frame.color.data[at] == 255;
                assert_eq!(red, p_world.x < 0.1, "({u}, {v}) at {p_world}");
            }
        }
        f64::from(readings) / f64::from(width * height)
    }

    #[test]
    fn depth_of_another_camera_comes_into_the_view_of_colour() {
        let (depth_camera, color_camera) =
            (camera(80, 60, 60.0, Distortion::None), camera(160, 90, 150.0, Distortion::None));
        let mut transforms = TransformBuffer::new();
        static_transform(&mut transforms, "odom", "depth", 0.0);
        static_transform(&mut transforms, "depth", "color", 0.05);
        let mut framing = Framing::default();
        framing.calibrate(Stream::Depth, depth_camera);
        framing.calibrate(Stream::Color, color_camera);
        let pair = wall(&color_camera, &depth_camera, 0.05, ["depth", "color"]);
        let Ok(Framed { frame, registered: true }) = framing.frame(CameraId(3), &pair, "odom", &transforms) else {
            panic!("a frame")
        };
        assert_eq!((frame.depth.width, frame.depth.height, frame.color.width), (80, 45, 160));
        assert!((frame.world_from_camera.translation.vector - Vector3::new(0.05, 0.0, 0.0)).norm() < 1e-12);
        assert!(check(&frame) > 0.99, "the colour camera sees less to the sides");
    }

    #[test]
    fn depth_finer_than_colour_takes_the_size_of_colour() {
        let small = camera(40, 30, 40.0, Distortion::None);
        assert_eq!(reduced(&small, 80), small);
        assert_eq!((reduced(&small, 7).width, reduced(&small, 7).height), (7, 5));
        assert_eq!(reduced(&camera(4096, 1, 40.0, Distortion::None), 1).height, 1);
    }

    #[test]
    fn bent_lenses_are_straightened_whether_aligned_or_not() {
        let bent = Distortion::PlumbBob([-0.25, 0.06, 0.001, -0.001, 0.0]);
        let (depth_camera, color_camera) = (camera(120, 90, 90.0, bent), camera(240, 180, 180.0, bent));
        let mut transforms = TransformBuffer::new();
        static_transform(&mut transforms, "odom", "depth", 0.0);
        static_transform(&mut transforms, "depth", "color", -0.04);
        let mut framing = Framing::default();
        framing.calibrate(Stream::Depth, depth_camera);
        framing.calibrate(Stream::Color, color_camera);
        for (frames, x_color) in [(["depth", "depth"], 0.0), (["depth", "color"], -0.04)] {
            let pair = wall(&color_camera, &depth_camera, x_color, frames);
            let Ok(Framed { frame, registered }) = framing.frame(CameraId(0), &pair, "odom", &transforms) else {
                panic!("a frame")
            };
            assert_eq!(registered, x_color != 0.0);
            let share = check(&frame);
            // the straight view of a barrel reaches beyond it in the corners
            assert!(share > 0.8, "{share}");
        }
    }
}
