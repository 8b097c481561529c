//! A map, and the region that a question is about, in; views of the map from where no camera was, by their places, out.

use std::fmt;

use vantage_calibration::{Distortion, PinholeCamera};
use vantage_scene::{Aabb, CameraId, Orbit, RgbdFrame, Scene, Splatting, ViewError, corners, orbit, render, top_down};

use crate::config::VisionConfig;

/// Pixels of a view of the map for each that the encoders read, along and across: they average these.
const FINER: u32 = 4;
/// Focal length over the picture's width: the field of view of an RGB-D camera, 65 degrees across.
const FOCAL_SHARE: f64 = 0.78;
/// What a question is about is looked down on by this, radians.
const AROUND_ELEVATION: f64 = 0.6;
/// Share of the way to the picture's sides that it reaches.
const AROUND_FILL: f64 = 0.7;
/// What lies this far around a region is shown with it, metres.
const MARGIN_M: f64 = 0.2;
/// Views around it.
const AROUND: usize = 4;

/// Where a view of the map was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Above the middle of the scene, looking down.
    Above,
    /// One of its upper corners, counter-clockwise from the least x and y.
    Corner(u8),
    /// Beside what the question is about, counter-clockwise from the side of positive x.
    Around(u8),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above => f.write_str("above"),
            Self::Corner(i) => write!(f, "corner {}", i + 1),
            Self::Around(i) => write!(f, "around {}", i + 1),
        }
    }
}

/// A view of the fused map from where no camera was.
#[derive(Debug, Clone)]
pub struct MapView {
    /// Where from.
    pub place: Place,
    /// Its picture and depth, with the stamp of the newest fused frame.
    pub frame: RgbdFrame,
}

/// Views of the whole map, from above and from its upper corners.
///
/// # Errors
/// [`ViewError`] for bounds that are not finite, or beyond 100 km.
pub(crate) fn overview(scene: &Scene, bounds: &Aabb, vision: &VisionConfig) -> Result<Vec<MapView>, ViewError> {
    let camera = camera(vision)?;
    let bounds = grown(bounds);
    let mut poses = vec![(Place::Above, top_down(&bounds, &camera)?)];
    poses.extend((0..).map(Place::Corner).zip(corners(&bounds)?));
    taken(scene, &camera, poses)
}

/// Views from around `region`, all of it in each.
///
/// # Errors
/// As [`overview`].
pub(crate) fn around(scene: &Scene, region: &Aabb, vision: &VisionConfig) -> Result<Vec<MapView>, ViewError> {
    let camera = camera(vision)?;
    let ring = Orbit { count: AROUND, elevation_rad: AROUND_ELEVATION, fill: AROUND_FILL };
    let poses = (0..).map(Place::Around).zip(orbit(&grown(region), &camera, &ring)?).collect();
    taken(scene, &camera, poses)
}

/// With what lies around it.
fn grown(bounds: &Aabb) -> Aabb {
    Aabb { min: bounds.min.map(|x| x - MARGIN_M), max: bounds.max.map(|x| x + MARGIN_M) }
}

fn camera(vision: &VisionConfig) -> Result<PinholeCamera, ViewError> {
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX).saturating_mul(FINER);
    let (width, height) = (side(vision.image_width), side(vision.image_height));
    let focal = FOCAL_SHARE * f64::from(width);
    let middle = |pixels: u32| 0.5 * (f64::from(pixels) - 1.0);
    Ok(PinholeCamera::new(width, height, focal, focal, middle(width), middle(height), Distortion::None)?)
}

fn taken(
    scene: &Scene,
    camera: &PinholeCamera,
    poses: Vec<(Place, nalgebra::Isometry3<f64>)>,
) -> Result<Vec<MapView>, ViewError> {
    let splatting = Splatting { spacing_m: scene.map().config().voxel_size_m, hides_backs: true };
    let cloud = scene.surface();
    let stamp = scene.newest_stamp().unwrap_or(0);
    let mut views = Vec::with_capacity(poses.len());
    for (place, pose) in poses {
        let frame = render(&cloud, camera, &pose, &splatting)?.into_frame(CameraId(0), stamp);
        views.push(MapView { place, frame });
    }
    Ok(views)
}
