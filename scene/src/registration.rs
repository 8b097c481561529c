//! A depth image and another camera in, the depth image that the other camera would see out.

use nalgebra::{Isometry3, Point3};
use vantage_calibration::{PinholeCamera, Projector, RayTable};

use crate::frame::DepthImage;

/// Points nearer to the target camera than this are not shown, metres.
const NEAR_M: f32 = 0.05;
/// Neighbouring readings belong to one surface while it is less steep than this towards the line of sight: the tangent of 85
/// degrees. Beyond, the step between them is an edge.
const MAX_SLOPE: f32 = 11.4;
/// Neighbours of one surface are moved apart by the parallax of their different depths by at most this many pixels of the
/// depth camera, so that a step that was taken for a slope cannot smear.
const MAX_PARALLAX: f32 = 2.0;
/// A pixel appears at most this many times larger in the target than the focal lengths make it; bounds the work for any pose.
const MAX_MAGNIFICATION: f32 = 4.0;

/// Depth as `target` would see it: `out` takes the target's size, and there 0 where the depth camera saw nothing.
///
/// Every reading is carried over as the small quad that its pixel covers. Quads of one surface meet halfway, so that none of
/// it shows holes in a finer target, and carry its slope; at an edge a quad ends with its own pixel. Where several quads fall
/// on one pixel the nearest wins. A surface that only the target sees, such as a box's side, cannot be known: there is no
/// depth, or that of what lies behind it.
///
/// `rays` are those of the depth camera; when their size is not that of `depth`, `out` has no readings. Coordinates are held
/// in f32: good to a thousandth of a pixel.
pub fn register_depth(
    depth: &DepthImage,
    rays: &RayTable,
    target: &PinholeCamera,
    target_from_depth: &Isometry3<f64>,
    out: &mut DepthImage,
) {
    (out.width, out.height) = (target.width, target.height);
    out.data.clear();
    out.data.resize(target.width as usize * target.height as usize, 0.0);
    let (width, pixels) = (depth.width as usize, depth.width as usize * depth.height as usize);
    if (rays.width, rays.height) != (depth.width, depth.height)
        || (rays.rays.len(), depth.data.len()) != (pixels, pixels)
        || width == 0
    {
        return;
    }
    let carrier = Carrier::new(target, target_from_depth);
    let spaced = |v: usize| &rays.rays[v * width..][..width];
    let mut rows = depth.data.chunks_exact(width).zip(rays.rays.chunks_exact(width));
    // this row and the one below as the target sees them, and what joins each pixel to the one above
    let (mut row, mut below) = (vec![Carried::NONE; width], vec![Carried::NONE; width]);
    let mut up = vec![Link::NONE; width];
    if let Some((readings, rays)) = rows.next() {
        carrier.carry(readings, rays, &mut row);
    }
    for v in 0..depth.height as usize {
        let here = spaced(v);
        // the last row and column take their spacing from those before
        let other = spaced(if v + 1 < depth.height as usize { v + 1 } else { v.saturating_sub(1) });
        match rows.next() {
            Some((readings, rays)) => carrier.carry(readings, rays, &mut below),
            None => below.fill(Carried::NONE),
        }
        let mut left = Link::NONE;
        for (u, (((pixel, below), up), (ray, other))) in
            row.iter().zip(&below).zip(&mut up).zip(here.iter().zip(other)).enumerate()
        {
            let beside = if u + 1 < width { u + 1 } else { u.saturating_sub(1) };
            let pitch = [(here[beside][0] - ray[0]).abs(), (other[1] - ray[1]).abs()];
            let right = row.get(u + 1).map_or(Link::NONE, |next| carrier.link(pixel, next, pitch[0]));
            let down = carrier.link(pixel, below, pitch[1]);
            let above = std::mem::replace(up, down);
            if pixel.z > 0.0 {
                let along = Extent::new(left, right, || carrier.step(pixel, 0, pitch[0]));
                let across = Extent::new(above, down, || carrier.step(pixel, 1, pitch[1]));
                draw(pixel, &along, &across, out);
            }
            left = right;
        }
        (row, below) = (below, row);
    }
}

/// The lesser of two, the second when one is NaN: a single instruction, where `f32::min` takes four.
fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The greater of two, the second when one is NaN.
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// A reading as the target sees it.
#[derive(Clone, Copy)]
struct Carried {
    /// Pixel, column and row.
    at: [f32; 2],
    /// Depth in the target, metres; 0 for none.
    z: f32,
    /// The depth camera's own depth over `z`.
    magnification: f32,
}

impl Carried {
    const NONE: Self = Self { at: [0.0; 2], z: 0.0, magnification: 0.0 };
}

/// What lies between neighbouring readings of one surface.
#[derive(Clone, Copy)]
struct Link {
    /// Half the way to the next, in the target's pixels.
    half: [f32; 2],
    /// Half the change of depth, metres; infinite between different surfaces.
    rise: f32,
}

impl Link {
    const NONE: Self = Self { half: [0.0; 2], rise: f32::INFINITY };
}

/// How far a pixel's quad reaches along one axis of the depth image, and how depth changes along it.
struct Extent {
    low: [f32; 2],
    high: [f32; 2],
    span: [f32; 2],
    rise: f32,
}

impl Extent {
    /// Between the links to the neighbours before and after; half a `step` where there is none.
    #[inline]
    fn new(before: Link, after: Link, step: impl FnOnce() -> [f32; 2]) -> Self {
        let (has_before, has_after) = (before.rise < f32::INFINITY, after.rise < f32::INFINITY);
        let (mut back, mut forth) = (before.half, after.half);
        let (mut span, mut rise) = ([back[0] + forth[0], back[1] + forth[1]], before.rise + after.rise);
        if !(has_before && has_after) {
            let half = step().map(|x| 0.5 * x);
            (span, rise) = match (has_before, has_after) {
                (true, _) => (back, before.rise),
                (_, true) => (forth, after.rise),
                _ => (half, 0.0),
            };
            back = if has_before { back } else { half };
            forth = if has_after { forth } else { half };
        }
        let low = [lesser(forth[0], -back[0]), lesser(forth[1], -back[1])];
        let high = [greater(forth[0], -back[0]), greater(forth[1], -back[1])];
        Self { low, high, span, rise }
    }
}

/// The target, and the way there.
struct Carrier {
    projector: Projector,
    straight: bool,
    /// Row-major rotation and translation of `target_from_depth`.
    rotation: [[f32; 3]; 3],
    translation: [f32; 3],
    focal: [f32; 2],
    center: [f32; 2],
    /// 1 over the distance of the cameras, 1/m.
    inverse_baseline: f32,
}

impl Carrier {
    fn new(target: &PinholeCamera, target_from_depth: &Isometry3<f64>) -> Self {
        let r = target_from_depth.rotation.to_rotation_matrix();
        let t = target_from_depth.translation.vector;
        Self {
            projector: Projector::new(target),
            straight: target.distortion.is_straight(),
            rotation: std::array::from_fn(|i| std::array::from_fn(|j| r[(i, j)] as f32)),
            translation: std::array::from_fn(|i| t[i] as f32),
            focal: [target.fx as f32, target.fy as f32],
            center: [target.cx as f32, target.cy as f32],
            inverse_baseline: 1.0 / t.norm() as f32,
        }
    }

    /// Carries a row of readings over.
    fn carry(&self, readings: &[f32], rays: &[[f32; 2]], row: &mut [Carried]) {
        let (r, t) = (&self.rotation, &self.translation);
        for ((to, &reading), ray) in row.iter_mut().zip(readings).zip(rays) {
            let p: [f32; 3] = std::array::from_fn(|i| reading * (r[i][0] * ray[0] + r[i][1] * ray[1] + r[i][2]) + t[i]);
            let inverse = 1.0 / p[2];
            let at = std::array::from_fn(|k| self.focal[k] * p[k] * inverse + self.center[k]);
            let magnification = reading * inverse;
            let seen = reading > 0.0 && p[2] > NEAR_M && magnification <= MAX_MAGNIFICATION && p[2].is_finite();
            *to = Carried { at, z: if seen { p[2] } else { 0.0 }, magnification };
        }
        if self.straight {
            return;
        }
        for to in row.iter_mut().filter(|to| to.z > 0.0) {
            let ray: [f64; 2] = std::array::from_fn(|k| f64::from((to.at[k] - self.center[k]) / self.focal[k]));
            match self.projector.project(&Point3::new(ray[0], ray[1], 1.0)) {
                Some(pixel) => to.at = [pixel.x as f32, pixel.y as f32],
                None => to.z = 0.0,
            }
        }
    }

    /// Joins neighbours, whose rays are `pitch` apart, when they belong to one surface.
    #[inline]
    fn link(&self, from: &Carried, to: &Carried, pitch: f32) -> Link {
        let (change, near) = (to.z - from.z, lesser(from.z, to.z));
        let steepest = near * lesser(MAX_SLOPE, MAX_PARALLAX * near * self.inverse_baseline);
        let joined = near > 0.0 && change.abs() <= pitch * steepest;
        let half = [0.5 * (to.at[0] - from.at[0]), 0.5 * (to.at[1] - from.at[1])];
        Link { half, rise: if joined { 0.5 * change } else { f32::INFINITY } }
    }

    /// The way to a neighbour at the same depth, along a row (0) or a column (1), in the target's pixels.
    fn step(&self, pixel: &Carried, axis: usize, pitch: f32) -> [f32; 2] {
        let scale = pixel.magnification * pitch;
        let r = &self.rotation;
        std::array::from_fn(|k| {
            let plane = (pixel.at[k] - self.center[k]) / self.focal[k];
            self.focal[k] * scale * (r[k][axis] - plane * r[2][axis])
        })
    }
}

/// Draws one reading's quad: `along` the depth image's row and `across` it.
#[inline]
fn draw(pixel: &Carried, along: &Extent, across: &Extent, out: &mut DepthImage) {
    let Carried { at, z, .. } = *pixel;
    // pixel centres lie at integers; the casts saturate, and NaN is 0
    let pixels = |k: usize, side: u32| {
        let (low, high) = (at[k] + along.low[k] + across.low[k], at[k] + along.high[k] + across.high[k]);
        let whole = greater(low, 0.0) as i32;
        let first = whole.saturating_add(i32::from(low > whole as f32));
        let end = (greater(high + 1.0, 0.0) as i32).min(side as i32);
        first as usize..end as usize
    };
    let (columns, rows) = (pixels(0, out.width), pixels(1, out.height));
    if columns.is_empty() || rows.is_empty() {
        return;
    }
    // the slope in the target: slope . span = rise along both axes
    let inverse = 1.0 / (along.span[0] * across.span[1] - along.span[1] * across.span[0]);
    let slope = [
        (along.rise * across.span[1] - across.rise * along.span[1]) * inverse,
        (across.rise * along.span[0] - along.rise * across.span[0]) * inverse,
    ];
    // within the quad depth changes by no more than this, however thin the quad and steep the slope
    let swing = along.rise.abs() + across.rise.abs();
    let width = out.width as usize;
    for v in rows {
        let line = &mut out.data[v * width..][..width];
        let start = slope[1] * (v as f32 - at[1]) - slope[0] * at[0];
        for (to, u) in line[columns.clone()].iter_mut().zip(columns.start..) {
            let here = z + lesser(greater(start + slope[0] * u as f32, -swing), swing);
            if *to == 0.0 || here < *to {
                *to = here;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;
    use proptest::prelude::*;
    use vantage_calibration::Distortion;

    #[test]
    fn the_same_camera_sees_the_same_depth() {
        let camera = PinholeCamera::new(80, 60, 50.0, 50.0, 39.5, 29.5, Distortion::None).unwrap();
        // steps of every height, and holes
        let readings =
            (0..80 * 60).map(|i| if i % 7 == 0 { 0.0 } else { 0.3 + ((i * 37) % 101) as f32 * 0.05 }).collect();
        let depth = DepthImage::new(80, 60, readings).unwrap();
        let mut out = DepthImage::new(1, 1, vec![9.0]).unwrap();
        register_depth(&depth, &RayTable::new(&camera), &camera, &Isometry3::identity(), &mut out);
        assert_eq!(out, depth);
        // rays of another camera
        let other = RayTable::new(&camera.scaled(40, 30));
        register_depth(&depth, &other, &camera, &Isometry3::identity(), &mut out);
        assert!(out.data.len() == 80 * 60 && out.data.iter().all(|z| *z == 0.0));
    }

    proptest! {
        #[test]
        fn any_pose_and_any_lens_give_depths_or_none(
            t in prop::array::uniform3(-3.0..3.0f64), r in prop::array::uniform3(-3.0..3.0f64), far in prop::bool::ANY,
            k1 in -1.5..1.0f64, readings in prop::collection::vec(prop::num::f32::ANY, 16 * 12),
        ) {
            let lens = Distortion::PlumbBob([k1, 0.0, 0.01, 0.0, 0.0]);
            let camera = PinholeCamera::new(16, 12, 10.0, 10.0, 7.5, 5.5, lens).unwrap();
            let scale = if far { 1e30 } else { 1.0 };
            let pose = Isometry3::new(Vector3::from(t) * scale, Vector3::from(r));
            let depth = DepthImage::new(16, 12, readings).unwrap();
            let mut out = DepthImage::new(1, 1, vec![0.0]).unwrap();
            for target in [camera, PinholeCamera { distortion: Distortion::None, ..camera.scaled(64, 64) }] {
                register_depth(&depth, &RayTable::new(&camera), &target, &pose, &mut out);
                prop_assert!(out.data.iter().all(|z| z.is_finite() && *z >= 0.0));
            }
        }
    }
}
