//! A view and the map's cells in, for each cell where the view would show it and whether it does, out.

use nalgebra::{Isometry3, Point3};
use vantage_calibration::Projector;
use vantage_scene::{RgbdFrame, TsdfMap};

use super::segments::{MapSegments, dot};

/// A cell is seen where the depth agrees within this, metres, and this many cells, ...
const TOLERANCE_M: f32 = 0.03;
const TOLERANCE_GRIDS: f32 = 1.0;
/// ...growing with the depth, as noise does: metres a square metre (Nguyen et al. 2012, three deviations).
const TOLERANCE_PER_M: f32 = 0.006;
/// Share of pixels without a reading from which on the map's ray cast takes their place.
const HOLES_SHARE: f32 = 0.04;
/// Rays into the map end here, metres.
const RAYCAST_M: f32 = 10.0;

/// What a view says about a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Outside of the picture, or where the depth reaches further than the cell: nothing is known.
    Unknown,
    /// Its surface is seen.
    Seen,
    /// Something stands before it, or it faces away.
    Hidden,
}

/// What one view says about the map.
#[derive(Debug, Clone)]
pub(super) struct ViewEvidence {
    /// The depth camera, and where it was.
    pub(super) projector: Projector,
    pub(super) world_from_camera: Isometry3<f64>,
    /// Size of the depth image, pixels.
    pub(super) size: [u32; 2],
    /// Depths in metres, row-major, holes filled from the map; 0 where neither knows.
    pub(super) depth: Vec<f32>,
    /// For each cell its pixel, pixel centres at whole numbers; NaN outside of the picture.
    pub(super) pixels: Vec<[f32; 2]>,
    /// For each cell whether it is seen.
    pub(super) sight: Vec<Sight>,
    grid_m: f32,
}

impl ViewEvidence {
    /// Looks from `frame` at the cells of `segments`. Holes in the depth are filled from `map`, where there are many.
    pub(super) fn new(frame: &RgbdFrame, segments: &MapSegments, map: Option<&TsdfMap>) -> Self {
        let (width, height) = (frame.depth.width, frame.depth.height);
        let mut depth = frame.depth.data.clone();
        depth.resize(width as usize * height as usize, 0.0);
        let holes = depth.iter().filter(|z| **z <= 0.0).count();
        if holes as f32 > HOLES_SHARE * depth.len() as f32
            && let Some(Ok(seen)) = map.map(|map| map.raycast(&frame.camera, &frame.world_from_camera, RAYCAST_M))
        {
            for (z, from_map) in depth.iter_mut().zip(&seen.depth) {
                if *z <= 0.0 {
                    *z = *from_map;
                }
            }
        }
        let projector = Projector::new(&frame.camera);
        let mut evidence = Self {
            projector,
            world_from_camera: frame.world_from_camera,
            size: [width, height],
            depth,
            pixels: Vec::with_capacity(segments.positions.len()),
            sight: Vec::with_capacity(segments.positions.len()),
            grid_m: segments.grid_m,
        };
        let camera_from_world = frame.world_from_camera.inverse();
        let eye: [f32; 3] = std::array::from_fn(|k| frame.world_from_camera.translation.vector[k] as f32);
        for (position, normal) in segments.positions.iter().zip(&segments.normals) {
            let point = camera_from_world * Point3::from(position.map(f64::from));
            let pixel = projector.project(&point).map(|p| [p.x as f32, p.y as f32]).filter(|p| evidence.shows(p));
            let faces = dot(normal, &std::array::from_fn(|k| eye[k] - position[k])) > 0.0;
            let sight = match pixel {
                None => Sight::Unknown,
                Some(pixel) => match evidence.compare(pixel, point.z as f32) {
                    Sight::Seen if !faces => Sight::Hidden,
                    sight => sight,
                },
            };
            evidence.pixels.push(pixel.unwrap_or([f32::NAN; 2]));
            evidence.sight.push(sight);
        }
        evidence
    }

    /// Whether a pixel lies in the picture.
    fn shows(&self, pixel: &[f32; 2]) -> bool {
        (0..2).all(|k| pixel[k] >= -0.5 && pixel[k] < self.size[k] as f32 - 0.5)
    }

    /// A depth says that it is of a surface at depth `z` when it is no further from that, metres.
    pub(super) fn tolerance(&self, z: f32) -> f32 {
        TOLERANCE_M + TOLERANCE_GRIDS * self.grid_m + TOLERANCE_PER_M * z * z
    }

    /// The point that a pixel shows, in the camera's frame, metres.
    pub(super) fn point(&self, pixel: [f32; 2]) -> Option<Point3<f64>> {
        let [u, v] = pixel.map(|x| (x + 0.5).max(0.0) as usize);
        let [width, height] = self.size.map(|s| s as usize);
        let z = if u < width && v < height { self.depth.get(v * width + u).copied()? } else { return None };
        let ray = self.projector.camera().ray(u as f64, v as f64);
        (z > 0.0 && ray.x.is_finite()).then(|| Point3::from(ray * f64::from(z)))
    }

    /// What the 3 x 3 pixels around `pixel` say of a surface at depth `z` there.
    fn compare(&self, pixel: [f32; 2], z: f32) -> Sight {
        let tolerance = self.tolerance(z);
        let [u, v] = pixel.map(|x| (x + 0.5).max(0.0) as usize);
        let [width, height] = self.size.map(|s| s as usize);
        let (mut before, mut any) = (true, false);
        for y in v.saturating_sub(1)..(v + 2).min(height) {
            for x in u.saturating_sub(1)..(u + 2).min(width) {
                let read = self.depth.get(y * width + x).copied().unwrap_or(0.0);
                if read > 0.0 {
                    if (read - z).abs() <= tolerance {
                        return Sight::Seen;
                    }
                    any = true;
                    before &= read < z;
                }
            }
        }
        if any && before { Sight::Hidden } else { Sight::Unknown }
    }
}
