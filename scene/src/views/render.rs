//! A cloud, a camera and its pose in, the view that the camera would have of the points out: depth, colour, and which point
//! each pixel shows.
//!
//! Every point is a disc that faces the camera and is as large as the spacing of the points asks for (splats of known spacing:
//! Rusinkiewicz and Levoy, QSplat, 2000). A z-buffer holds depth and index as one number, so that the nearest wins, of
//! equally near ones the first, and the order of drawing reaches nothing.

use std::sync::Arc;

use nalgebra::{Isometry3, Point3, Vector3};
use rayon::prelude::*;
use vantage_calibration::{PinholeCamera, Projector};

use super::error::ViewError;
use crate::cloud::{CloudError, PointCloud};
use crate::frame::{CameraId, ColorImage, DepthImage, RgbdFrame, StampNanos};

/// Points nearer to the camera than this are not shown, metres: one of them would fill the picture.
const NEAR_M: f64 = 0.05;
/// Points further away than this are not shown, metres.
const FAR_M: f64 = 1.0e6;
/// Radius of a disc over the spacing: half the diagonal of a square of four points, so that discs on a lattice leave no hole.
const RADIUS_SHARE: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// No disc's radius is more than this share of the picture's longer side, which bounds the work for points close by.
const MAX_RADIUS_SHARE: f64 = 0.125;
/// Largest spacing accepted, metres.
const MAX_SPACING_M: f64 = 100.0;
/// Rows that are drawn together. Nothing depends on it but time.
const BAND_ROWS: usize = 32;
/// What the z-buffer holds where nothing was drawn.
const NOTHING: u64 = u64::MAX;

/// How points become discs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Splatting {
    /// Distance of neighbouring points, metres: a map's voxel size, for its surface.
    pub spacing_m: f32,
    /// Leaves out points whose normal faces away from the camera. A ceiling that was seen from below thus hides nothing from a
    /// camera above it, nor a wall from one behind it. Points whose normal is zero are shown.
    pub hides_backs: bool,
}

/// A view of points.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedView {
    /// Its camera.
    pub camera: PinholeCamera,
    /// Pose of the optical frame (z forward, x right, y down) in the world.
    pub world_from_camera: Isometry3<f64>,
    /// Metres along the optical axis, at the camera's size; 0 where no point is shown.
    pub depth: DepthImage,
    /// At the camera's size; black where no point is shown.
    pub color: ColorImage,
    /// Index of the point that each pixel shows, row-major.
    pub points: Vec<Option<u32>>,
}

impl RenderedView {
    /// The view as a frame, to be a candidate beside the keyframes. Its lens is that of the camera: only a straight one can be
    /// fused into a map.
    pub fn into_frame(self, camera_id: CameraId, stamp: StampNanos) -> RgbdFrame {
        RgbdFrame {
            camera_id,
            stamp,
            color: Arc::new(self.color),
            depth: Arc::new(self.depth),
            camera: self.camera,
            world_from_camera: self.world_from_camera,
        }
    }
}

/// What `camera` at `world_from_camera` would see of `cloud`. Each point covers the pixel that it projects to and those within
/// [`Splatting::spacing_m`] / depth * focal length / sqrt(2) around it. Points that are not finite, or not before the camera by
/// at least 5 cm, are left out.
///
/// # Errors
/// [`ViewError`] for an unusable camera, pose or spacing, or lists of different lengths; the normals' may be empty when no backs
/// are hidden.
pub fn render(
    cloud: &PointCloud,
    camera: &PinholeCamera,
    world_from_camera: &Isometry3<f64>,
    splatting: &Splatting,
) -> Result<RenderedView, ViewError> {
    check(cloud, camera, world_from_camera, splatting)?;
    let painter = Painter::new(camera, world_from_camera, splatting);
    let splats: Vec<Splat> = cloud
        .positions
        .par_iter()
        .enumerate()
        .with_min_len(1024)
        .filter_map(|(i, position)| {
            let normal = splatting.hides_backs.then(|| cloud.normals.get(i).copied().unwrap_or_default());
            painter.splat(i as u32, *position, normal)
        })
        .collect();
    let (width, height) = (camera.width as usize, camera.height as usize);
    let mut nearest = vec![NOTHING; width * height];
    nearest.par_chunks_mut(width * BAND_ROWS).enumerate().for_each(|(band, pixels)| {
        let first = (band * BAND_ROWS) as i32;
        splats.iter().for_each(|splat| splat.draw(first, width, pixels));
    });
    let points: Vec<Option<u32>> = nearest.iter().map(|key| (*key != NOTHING).then_some(*key as u32)).collect();
    let depth = nearest.iter().map(|key| if *key == NOTHING { 0.0 } else { f32::from_bits((*key >> 32) as u32) });
    let of_point = |point: &Option<u32>| point.and_then(|i| cloud.colors.get(i as usize)).copied().unwrap_or_default();
    Ok(RenderedView {
        camera: *camera,
        world_from_camera: *world_from_camera,
        depth: DepthImage { width: camera.width, height: camera.height, data: depth.collect() },
        color: ColorImage {
            width: camera.width,
            height: camera.height,
            data: points.iter().flat_map(of_point).collect(),
        },
        points,
    })
}

fn check(
    cloud: &PointCloud,
    camera: &PinholeCamera,
    world_from_camera: &Isometry3<f64>,
    splatting: &Splatting,
) -> Result<(), ViewError> {
    camera.check()?;
    let pose = world_from_camera;
    if !pose.translation.vector.iter().chain(pose.rotation.coords.iter()).all(|x| x.is_finite()) {
        return Err(ViewError::Pose);
    }
    let reason = "it must be positive and at most 100 m";
    ViewError::check("spacing_m", f64::from(splatting.spacing_m), [f64::MIN_POSITIVE, MAX_SPACING_M], reason)?;
    let expected = cloud.len();
    for (list, found) in [("colors", cloud.colors.len()), ("normals", cloud.normals.len())] {
        if found != expected && (list != "normals" || splatting.hides_backs || found != 0) {
            return Err(CloudError::Length { list, expected, found }.into());
        }
    }
    if expected >= u32::MAX as usize {
        return Err(CloudError::TooManyPoints { found: expected }.into());
    }
    Ok(())
}

/// A camera at its pose, prepared for many points.
struct Painter {
    projector: Projector,
    eye: Vector3<f64>,
    camera_from_world: nalgebra::Matrix3<f64>,
    /// Radius of a disc at a metre, pixels along and across.
    radius: [f64; 2],
    max_radius: f64,
}

impl Painter {
    fn new(camera: &PinholeCamera, world_from_camera: &Isometry3<f64>, splatting: &Splatting) -> Self {
        let radius_m = RADIUS_SHARE * f64::from(splatting.spacing_m);
        Self {
            projector: Projector::new(camera),
            eye: world_from_camera.translation.vector,
            camera_from_world: world_from_camera.rotation.inverse().to_rotation_matrix().into_inner(),
            radius: [camera.fx * radius_m, camera.fy * radius_m],
            max_radius: MAX_RADIUS_SHARE * f64::from(camera.width.max(camera.height)),
        }
    }

    /// The disc of a point; `None` where none of it can be seen.
    fn splat(&self, index: u32, position: [f32; 3], normal: Option<[f32; 3]>) -> Option<Splat> {
        let from_eye = Vector3::from(position.map(f64::from)) - self.eye;
        if normal.is_some_and(|n| Vector3::from(n.map(f64::from)).dot(&from_eye) > 0.0) {
            return None;
        }
        let p = Point3::from(self.camera_from_world * from_eye);
        // false for what is not finite
        if !((NEAR_M..FAR_M).contains(&p.z) && p.x.is_finite() && p.y.is_finite()) {
            return None;
        }
        let at = self.projector.project(&p)?;
        let radius = self.radius.map(|r| (r / p.z).min(self.max_radius));
        let camera = self.projector.camera();
        let reaches = |x: f64, r: f64, side: u32| x + r >= -0.5 && x - r < f64::from(side) - 0.5;
        let visible = reaches(at.x, radius[0], camera.width) && reaches(at.y, radius[1], camera.height);
        let key = u64::from((p.z as f32).to_bits()) << 32 | u64::from(index);
        visible.then_some(Splat { at: at.into(), radius, key })
    }
}

/// A point's disc in the picture.
struct Splat {
    /// Centre, column and row.
    at: [f64; 2],
    /// Pixels along and across.
    radius: [f64; 2],
    /// Depth's bits above the index: the order of the bits of positive floats is that of the floats.
    key: u64,
}

impl Splat {
    /// Draws into a band of rows of the z-buffer that starts at row `first`.
    fn draw(&self, first: i32, width: usize, pixels: &mut [u64]) {
        let [u, v] = self.at;
        let [across, down] = self.radius;
        let (own_column, own_row) = ((u + 0.5).floor() as i32, (v + 0.5).floor() as i32);
        let low = own_row.min((v - down).ceil() as i32).max(first);
        let high = own_row.max((v + down).floor() as i32).min(first + (pixels.len() / width) as i32 - 1);
        for row in low..=high {
            let off = (f64::from(row) - v) / down;
            let half = across * (1.0 - off * off).max(0.0).sqrt();
            let (mut left, mut right) = ((u - half).ceil() as i32, (u + half).floor() as i32);
            if row == own_row {
                (left, right) = (left.min(own_column), right.max(own_column));
            }
            let (left, right) = (left.max(0), right.min(width as i32 - 1));
            if left > right {
                continue;
            }
            let start = (row - first) as usize * width;
            for nearest in &mut pixels[start + left as usize..=start + right as usize] {
                *nearest = self.key.min(*nearest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsdf::synthetic::{furnished, walk};
    use crate::tsdf::{TsdfConfig, TsdfMap};
    use crate::unproject;
    use proptest::prelude::*;
    use vantage_calibration::{Distortion, RayTable};

    const LENSES: [Distortion; 4] = [
        Distortion::None,
        Distortion::PlumbBob([-0.2, 0.05, 0.001, -0.002, 0.01]),
        Distortion::RationalPolynomial([0.4, -0.1, 0.0005, -0.0003, 0.01, 0.7, -0.05, 0.02]),
        Distortion::Equidistant([-0.0186, -0.0127, 0.0172, -0.0083]),
    ];
    const FINE: Splatting = Splatting { spacing_m: 0.01, hides_backs: false };

    fn camera(distortion: Distortion) -> PinholeCamera {
        PinholeCamera::new(80, 60, 61.0, 59.0, 39.0, 30.5, distortion).unwrap()
    }

    fn cloud(positions: Vec<[f32; 3]>) -> PointCloud {
        let count = positions.len();
        let colors = (0..count).map(|i| [i as u8, (i >> 8) as u8, 7]).collect();
        PointCloud { positions, colors, normals: Vec::new() }
    }

    proptest! {
        /// Alone, a point is seen at its pixel and nowhere beyond its disc; among others, there or hidden by a nearer one.
        #[test]
        fn points_land_where_the_lens_puts_them(
            t in prop::array::uniform3(-1.0..1.0f64),
            r in prop::array::uniform3(-3.0..3.0f64),
            lens in 0..4usize,
            points in prop::collection::vec(prop::array::uniform3(-3.0..3.0f32), 1..60),
        ) {
            let camera = camera(LENSES[lens]);
            let pose = Isometry3::new(Vector3::from(t), Vector3::from(r));
            let cloud = cloud(points);
            let view = render(&cloud, &camera, &pose, &FINE).unwrap();
            // x/z and y/z, bent by the lens's own formula, times the focal length
            let place = |position: &[f32; 3]| {
                let p = pose.inverse() * Point3::from(position.map(f64::from));
                let (x, y) = (p.x / p.z, p.y / p.z);
                let [x, y] = if p.z >= NEAR_M && camera.distortion.reaches(x, y) {
                    camera.distortion.distort(x, y)
                } else {
                    return None;
                };
                Some(([camera.fx * x + camera.cx, camera.fy * y + camera.cy], p.z))
            };
            let pixel = |[u, v]: [f64; 2]| {
                let (u, v) = ((u + 0.5).floor(), (v + 0.5).floor());
                let inside = (0.0..80.0).contains(&u) && (0.0..60.0).contains(&v);
                inside.then(|| v as usize * 80 + u as usize)
            };
            for (i, position) in cloud.positions.iter().enumerate() {
                let expected = place(position);
                if let Some((at, z)) = expected && let Some(pixel) = pixel(at) {
                    let shown = view.points[pixel];
                    prop_assert!(shown.is_some() && f64::from(view.depth.data[pixel]) <= z + 1e-6);
                    prop_assert!(shown == Some(i as u32) || f64::from(view.depth.data[pixel]) <= z);
                }
                let alone = PointCloud { positions: vec![*position], colors: vec![[9; 3]], normals: vec![] };
                let alone = render(&alone, &camera, &pose, &FINE).unwrap();
                let shown: Vec<usize> = (0..80 * 60).filter(|&i| alone.points[i].is_some()).collect();
                let Some((at, z)) = expected else {
                    prop_assert!(shown.is_empty());
                    continue;
                };
                prop_assert!(pixel(at).is_none_or(|own| shown.contains(&own)));
                for i in shown {
                    let off = [(i % 80) as f64 - at[0], (i / 80) as f64 - at[1]];
                    let reach = 0.01 * 61.0 / z * RADIUS_SHARE;
                    prop_assert!(off[0].hypot(off[1]) <= reach + 1e-6 || pixel(at) == Some(i));
                    prop_assert!((f64::from(alone.depth.data[i]) - z).abs() < 1e-5);
                    prop_assert_eq!(&alone.color.data[3 * i..][..3], &[9; 3]);
                }
            }
        }
    }

    #[test]
    fn the_nearer_surface_hides_the_farther_one_and_equals_show_the_first() {
        let wall = |z: f32| {
            let at = move |i: i32| 0.05 * (i - 60) as f32;
            (0..120).flat_map(move |i| (0..120).map(move |j| [at(i), at(j), z]))
        };
        let (far, near): (Vec<_>, Vec<_>) = (wall(3.0).collect(), wall(2.0).collect());
        let own = near.len();
        let cloud = cloud(far.into_iter().chain(near.clone()).chain(near).collect());
        let splatting = Splatting { spacing_m: 0.05, hides_backs: false };
        let view = render(&cloud, &camera(Distortion::None), &Isometry3::identity(), &splatting).unwrap();
        assert!(view.depth.data.iter().all(|z| *z == 2.0), "no hole and nothing from behind");
        assert!(view.points.iter().all(|i| i.is_some_and(|i| (own..2 * own).contains(&(i as usize)))));
        let again = render(&cloud, &camera(Distortion::None), &Isometry3::identity(), &splatting).unwrap();
        assert_eq!(view, again);
    }

    #[test]
    fn threads_reach_nothing() {
        let map = fused();
        let frame = furnished().frame(5, [2.4, 1.7, 1.5], [1.4, 1.2, 0.4], (160, 120));
        let draw = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let splatting = Splatting { spacing_m: 0.03, hides_backs: true };
            let cloud = map.surface_points();
            pool.install(|| render(&cloud, &frame.camera, &frame.world_from_camera, &splatting).unwrap())
        };
        assert_eq!(draw(1), draw(3));
    }

    fn fused() -> TsdfMap {
        let config = TsdfConfig { voxel_size_m: 0.03, truncation_m: 0.12, ..TsdfConfig::default() };
        let mut map = TsdfMap::new(config).unwrap();
        for frame in walk(&furnished(), 24, (192, 144)) {
            map.integrate(&frame).unwrap();
        }
        map
    }

    #[test]
    fn a_rendering_of_the_surface_is_the_view_of_the_map() {
        let map = fused();
        let cloud = map.surface_points();
        for (eye, target) in [([2.4, 1.7, 1.5], [1.4, 1.2, 0.4]), ([0.4, 0.4, 1.2], [1.4, 1.2, 0.2])] {
            let truth = furnished().frame(5, eye, target, (160, 120));
            let seen = map.raycast(&truth.camera, &truth.world_from_camera, 5.0).unwrap();
            let splatting = Splatting { spacing_m: map.config().voxel_size_m, hides_backs: false };
            let view = render(&cloud, &truth.camera, &truth.world_from_camera, &splatting).unwrap();
            let both = seen.depth.iter().zip(&view.depth.data).filter(|(a, b)| **a > 0.0 && **b > 0.0);
            let mut errors: Vec<f32> = both.map(|(a, b)| (a - b).abs()).collect();
            errors.sort_by(f32::total_cmp);
            let (median, most) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
            let cast = seen.depth.iter().filter(|z| **z > 0.0).count();
            assert!(errors.len() * 100 > cast * 99, "{} of {cast} pixels have both", errors.len());
            assert!(median < 0.06 && most < 0.12, "{median} {most}");
            // as a frame it is the same scene
            let frame = view.into_frame(CameraId(2), 77);
            assert!(frame.check().is_ok() && (frame.stamp, frame.camera_id) == (77, CameraId(2)));
            let mut points = PointCloud::default();
            unproject(&frame, &RayTable::new(&frame.camera), 5.0, &mut points);
            let off = points.positions.iter().filter(|p| furnished().distance_m(**p) > 0.06).count();
            assert!(points.len() > 15_000 && off * 20 < points.len(), "{off} of {}", points.len());
        }
    }

    #[test]
    fn a_ceiling_seen_from_below_hides_nothing_from_above() {
        let mut cloud = fused().surface_points();
        let down = Isometry3::new(Vector3::new(1.5, 1.3, 5.0), Vector3::new(std::f64::consts::PI, 0.0, 0.0));
        // a ceiling, as it is seen from the room
        for (i, j) in (0..100).flat_map(|i| (0..90).map(move |j| (i, j))) {
            cloud.positions.push([0.03 * i as f32, 0.03 * j as f32, 2.2]);
            cloud.colors.push([1; 3]);
            cloud.normals.push([0.0, 0.0, -1.0]);
        }
        let camera = camera(Distortion::None);
        let shows = |hides_backs: bool| {
            let view = render(&cloud, &camera, &down, &Splatting { spacing_m: 0.03, hides_backs }).unwrap();
            view.depth.data[30 * 80 + 39]
        };
        assert!((shows(false) - 2.8).abs() < 0.01 && (shows(true) - 4.5).abs() < 0.05, "the box's top");
    }

    #[test]
    fn bad_input_is_refused_or_left_out() {
        let camera = camera(Distortion::None);
        let here = Isometry3::identity();
        let odd = cloud(vec![[f32::NAN, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, f32::INFINITY, 2.0], [1.0e38, 0.0, 1.0e38]]);
        assert!(render(&odd, &camera, &here, &FINE).unwrap().points.iter().all(Option::is_none));
        for spacing_m in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let error = render(&odd, &camera, &here, &Splatting { spacing_m, hides_backs: false }).unwrap_err();
            assert!(error.to_string().contains("spacing_m"), "{error}");
        }
        let huge = Splatting { spacing_m: 100.0, hides_backs: false };
        assert!(render(&cloud(vec![[0.0, 0.0, 0.06]]), &camera, &here, &huge).is_ok());
        let hides = Splatting { hides_backs: true, ..FINE };
        assert!(matches!(render(&odd, &camera, &here, &hides), Err(ViewError::Cloud(CloudError::Length { .. }))));
        let lost = Isometry3::translation(f64::NAN, 0.0, 0.0);
        assert_eq!(render(&odd, &camera, &lost, &FINE), Err(ViewError::Pose));
        let none = PinholeCamera { width: 0, ..camera };
        assert!(matches!(render(&odd, &none, &here, &FINE), Err(ViewError::Camera(_))));
        assert!(render(&PointCloud::default(), &camera, &here, &FINE).is_ok());
    }
}
