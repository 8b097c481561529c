//! Depth images of a moving camera and its poses in; scale and bias of the depth, and the time between the two, out.
//!
//! Points of one image are carried by the poses into another and compared with the surface measured there. With readings z,
//! rays r, normals n, and the motion (R, t) between the two, true depth `s z + b` makes the distance to the surface
//!
//! ```text
//! n . (R (s z_i + b) r_i + t - (s z_j + b) r_j) = s (n . (R z_i r_i - z_j r_j) + (b / s) n . (R r_i - r_j) + (1 / s) n . t)
//! ```
//!
//! which must vanish. Divided by s it is linear in q = 1 / s and b / s, and the noise of the readings stands alone: fitting q
//! to exact poses has not the attenuation that fitting s to noisy readings has. The time offset enters through R and t. Robust
//! Gauss-Newton (Huber weights), pixels associated anew in each step by projection (Blais and Levine 1995), standard errors
//! from the spread between images (White 1980, clustered), as residuals within an image are not independent.

use nalgebra::{Isometry3, Matrix3, Point3, Vector3};

use super::depth_fit::{DepthFit, Estimate, FitError};
use super::peak::median;
use super::poses::PoseTrack;
use crate::camera::{PinholeCamera, Projector, RayTable};

/// Most pairs of images compared.
const MAX_PAIRS: usize = 120;
/// Fewer points than this decide nothing.
const MIN_POINTS: usize = 2_000;
/// Baselines that tell about depth, metres: well above the error of a pose, and short enough that views overlap.
pub(super) const BASELINE_M: std::ops::RangeInclusive<f64> = 0.08..=0.8;
/// Larger turns leave little overlap, radians.
const MAX_TURN_RAD: f64 = 0.5;
/// Neighbours whose depths differ by more than this share are not one surface.
const SURFACE_SHARE: f32 = 0.04;
/// Surfaces seen at more than about 75 degrees from their normal are left out.
const MIN_INCIDENCE: f64 = 0.26;
/// Huber's constant: 95% efficiency for normal errors.
const HUBER: f64 = 1.345;
/// Distances beyond this share of the depth are other surfaces; narrows while the fit goes on.
const GATES: [f64; 10] = [0.15, 0.15, 0.1, 0.1, 0.06, 0.06, 0.04, 0.04, 0.04, 0.04];
/// Half of the step by which the influence of time is measured, nanoseconds.
const TIME_STEP_NANOS: i64 = 4_000_000;
/// A time offset with a larger standard error is not determined, seconds.
const MAX_OFFSET_ERROR_S: f64 = 0.015;
/// A time offset larger than this is not believed, seconds.
const MAX_OFFSET_S: f64 = 1.0;
/// A bias with a larger standard error is not determined, metres.
const MAX_BIAS_ERROR_M: f64 = 0.01;
/// A scale with a larger standard error is not determined.
const MAX_SCALE_ERROR: f64 = 0.01;
/// A typical distance beyond this share of the depth is that of surfaces which do not belong together: the last gate lets pass 0.04,
/// and what is spread evenly within it has 0.03.
const MAX_RESIDUAL_SHARE: f64 = 0.02;
/// A bias must be so many standard errors from 0 to be used.
const SIGNIFICANT: f64 = 3.0;
/// A standard error from the spread between fewer images means nothing.
const MIN_IMAGES: usize = 8;
/// Every so manieth pixel of an image is carried over.
const POINT_STRIDE: usize = 3;
/// Pairs looked at when the scale is first sought.
const SCAN_PAIRS: usize = 16;
/// Share of carried points that must meet a surface for a scale to be possible.
const MIN_OVERLAP: f64 = 0.2;
/// One depth image, reduced by leaving out rows and columns, not by averaging.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthSample {
    /// Its stamp, nanoseconds.
    pub stamp_nanos: i64,
    /// Depths in metres as read, row-major, of the camera's size; 0 for no reading.
    pub depth_m: Vec<f32>,
}

/// An image with what is computed once.
struct View<'a> {
    stamp: i64,
    depth: &'a [f32],
    /// Normals of the measured surface; NaN where there is none.
    normals: Vec<Vector3<f64>>,
}

/// q = 1/s, b/s in metres, and time in seconds.
type Parameters = Vector3<f64>;

struct Problem<'a> {
    camera: Projector,
    rays: RayTable,
    views: Vec<View<'a>>,
    track: &'a PoseTrack,
    pairs: Vec<(usize, usize)>,
}

struct Solution {
    parameters: Parameters,
    errors: Vector3<f64>,
    residual_share: f64,
    points: usize,
    /// Images whose points were carried.
    images: usize,
}

/// Fits scale, bias and time offset. `camera` has the size of the samples; `track` holds poses of its optical frame;
/// `offset_s` is a first guess of the time to add to the stamps.
///
/// # Errors
/// [`FitError`] when images are of another size, the camera did not move, or nothing fits.
pub fn fit_depth(
    camera: &PinholeCamera,
    samples: &[DepthSample],
    track: &PoseTrack,
    offset_s: f64,
) -> Result<DepthFit, FitError> {
    let expected = camera.width as usize * camera.height as usize;
    if let Some((index, s)) = samples.iter().enumerate().find(|(_, s)| s.depth_m.len() != expected) {
        return Err(FitError::Size { index, got: s.depth_m.len(), expected });
    }
    let offset_s = if offset_s.abs() < MAX_OFFSET_S { offset_s } else { 0.0 };
    let rays = RayTable::new(camera);
    let views: Vec<View<'_>> = samples
        .iter()
        .map(|s| View { stamp: s.stamp_nanos, depth: &s.depth_m, normals: normals(&rays, &s.depth_m) })
        .collect();
    let pairs = pairs(&views, track, offset_s);
    if pairs.is_empty() {
        return Err(FitError::NoParallax);
    }
    let problem = Problem { camera: Projector::new(camera), rays, views, track, pairs };
    let q = problem.scan(offset_s).ok_or(FitError::NoOverlap)?;
    problem.refine(Parameters::new(q, 0.0, offset_s))
}

/// The scales first tried: fine from 1/3 to 3, and the powers of ten that wrong units make.
fn scales() -> impl Iterator<Item = f64> {
    let fine = (-14..=14).map(|i| 1.08f64.powi(i));
    fine.chain([0.001, 0.01, 0.1, 10.0, 100.0, 1000.0])
}

/// Pairs with a useful baseline, evenly thinned.
fn pairs(views: &[View<'_>], track: &PoseTrack, offset_s: f64) -> Vec<(usize, usize)> {
    let poses: Vec<Option<Isometry3<f64>>> =
        views.iter().map(|v| track.at(v.stamp.saturating_add((offset_s * 1e9) as i64))).collect();
    let mut found = Vec::new();
    for (i, a) in poses.iter().enumerate() {
        for (j, b) in poses.iter().enumerate().filter(|(j, _)| *j != i) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let motion = b.inverse() * a;
            if BASELINE_M.contains(&motion.translation.vector.norm()) && motion.rotation.angle() <= MAX_TURN_RAD {
                found.push((i, j));
            }
        }
    }
    let stride = found.len().div_ceil(MAX_PAIRS).max(1);
    // an odd stride does not always meet the same partner of each image
    found.into_iter().step_by(stride + usize::from(stride > 1 && stride % 2 == 0)).collect()
}

/// Normals of a depth image's surface, towards the camera; NaN at borders, steps and holes.
fn normals(rays: &RayTable, depth: &[f32]) -> Vec<Vector3<f64>> {
    let (width, height) = (rays.width as usize, rays.height as usize);
    let point = |at: usize| ray(rays, at) * f64::from(depth[at]);
    let normal = |at: usize| -> Option<Vector3<f64>> {
        let (u, v) = (at % width, at / width);
        if u == 0 || v == 0 || u + 1 >= width || v + 1 >= height {
            return None;
        }
        let around = [at - 1, at + 1, at - width, at + width];
        let z = depth[at];
        let smooth = |i: usize| depth[i] > 0.0 && (depth[i] - z).abs() <= SURFACE_SHARE * z;
        if !(z > 0.0 && around.into_iter().all(smooth)) {
            return None;
        }
        let across = (point(around[1]) - point(around[0])).cross(&(point(around[3]) - point(around[2])));
        let normal = across.try_normalize(1.0e-15)?;
        let incidence = normal.dot(&ray(rays, at).normalize());
        (incidence.abs() >= MIN_INCIDENCE).then_some(-normal * incidence.signum())
    };
    (0..depth.len()).map(|at| normal(at).unwrap_or(Vector3::repeat(f64::NAN))).collect()
}

fn ray(rays: &RayTable, at: usize) -> Vector3<f64> {
    let [x, y] = rays.rays[at];
    Vector3::new(f64::from(x), f64::from(y), 1.0)
}

/// A point carried into another image: its relative distance from the surface there, and the derivatives of that.
struct Residual {
    share: f64,
    gradient: Vector3<f64>,
}

impl Problem<'_> {
    fn motion(&self, (i, j): (usize, usize), offset_s: f64, more_nanos: i64) -> Option<Isometry3<f64>> {
        let at = |view: &View<'_>| {
            self.track.at(view.stamp.checked_add((offset_s * 1e9) as i64)?.checked_add(more_nanos)?)
        };
        Some(at(&self.views[j])?.inverse() * at(&self.views[i])?)
    }

    /// Calls `each` with the residual of every point of `i` that meets a surface of `j`; returns how many points were carried.
    fn residuals(&self, pair: (usize, usize), x: &Parameters, gate: f64, mut each: impl FnMut(Residual)) -> usize {
        let Some(j_from_i) = self.motion(pair, x[2], 0) else { return 0 };
        let around = [-TIME_STEP_NANOS, TIME_STEP_NANOS].map(|step| self.motion(pair, x[2], step));
        let (from, to) = (&self.views[pair.0], &self.views[pair.1]);
        let (width, height) = (self.rays.width, self.rays.height);
        let mut carried = 0;
        for at in (0..from.depth.len()).step_by(POINT_STRIDE) {
            if from.normals[at].x.is_nan() {
                continue;
            }
            carried += 1;
            let ray_i = ray(&self.rays, at);
            let p_i = ray_i * (f64::from(from.depth[at]) + x[1]);
            let carry = |motion: &Isometry3<f64>| motion.rotation * p_i + motion.translation.vector * x[0];
            let p_j = carry(&j_from_i);
            let Some(pixel) = self.camera.project(&Point3::from(p_j)) else { continue };
            let (u, v) = (pixel.x.round(), pixel.y.round());
            if !(u >= 0.0 && v >= 0.0 && u < f64::from(width) && v < f64::from(height)) {
                continue;
            }
            let there = v as usize * width as usize + u as usize;
            let normal = to.normals[there];
            let z = f64::from(to.depth[there]);
            if normal.x.is_nan() || z <= 0.0 {
                continue;
            }
            let ray_j = ray(&self.rays, there);
            let surface = ray_j * (z + x[1]);
            let share = normal.dot(&(p_j - surface)) / z;
            if share.abs() > gate {
                continue;
            }
            let by_time = match &around {
                [Some(before), Some(after)] => {
                    normal.dot(&(carry(after) - carry(before))) / (2.0 * TIME_STEP_NANOS as f64 * 1e-9)
                }
                _ => 0.0,
            };
            let by_scale = normal.dot(&j_from_i.translation.vector);
            let by_bias = normal.dot(&(j_from_i.rotation * ray_i - ray_j));
            each(Residual { share, gradient: Vector3::new(by_scale, by_bias, by_time) / z });
        }
        carried
    }

    /// q of the scale at which surfaces agree best.
    fn scan(&self, offset_s: f64) -> Option<f64> {
        let stride = self.pairs.len().div_ceil(SCAN_PAIRS).max(1);
        let score = |scale: f64| {
            let x = Parameters::new(1.0 / scale, 0.0, offset_s);
            let mut shares = Vec::new();
            let carried: usize = self
                .pairs
                .iter()
                .step_by(stride)
                .map(|pair| self.residuals(*pair, &x, f64::INFINITY, |r| shares.push(r.share.abs())))
                .sum();
            let enough = !shares.is_empty() && shares.len() as f64 >= MIN_OVERLAP * carried as f64;
            enough.then(|| median(&mut shares))
        };
        let scored = scales().filter_map(|scale| Some((scale, score(scale)?)));
        scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(scale, _)| 1.0 / scale)
    }

    /// Gauss-Newton over the parameters that are `free`, the others as in `start`.
    fn solve(&self, start: Parameters, free: [bool; 3]) -> Option<Solution> {
        let mut x = start;
        let mut spread = f64::INFINITY;
        let mut last = None;
        for gate in GATES {
            let mut shares = Vec::new();
            let mut hessian = Matrix3::zeros();
            let mut slope = Vector3::zeros();
            let mut of_images = vec![Vector3::zeros(); self.views.len()];
            for pair in &self.pairs {
                self.residuals(*pair, &x, gate, |Residual { share, mut gradient }| {
                    shares.push(share.abs());
                    let weight = (HUBER * spread / share.abs()).min(1.0);
                    gradient.iter_mut().zip(free).filter(|(_, f)| !f).for_each(|(g, _)| *g = 0.0);
                    hessian += gradient * gradient.transpose() * weight;
                    let pull = gradient * (share * weight);
                    slope += pull;
                    of_images[pair.0] += pull;
                });
            }
            if shares.len() < MIN_POINTS {
                return None;
            }
            let points = shares.len();
            spread = 1.48 * median(&mut shares).max(1.0e-9);
            for (k, _) in free.iter().enumerate().filter(|(_, f)| !**f) {
                hessian[(k, k)] = 1.0;
            }
            let inverse = hessian.try_inverse()?;
            x -= inverse * slope;
            let scatter: Matrix3<f64> = of_images.iter().map(|g| g * g.transpose()).sum();
            let images = of_images.iter().filter(|g| **g != Vector3::zeros()).count();
            let small_sample = images as f64 / (images as f64 - 1.0).max(1.0);
            let errors = (inverse * scatter * inverse * small_sample).diagonal().map(f64::sqrt);
            if !(x.iter().all(|v| v.is_finite()) && x[0] > 0.0 && x[2].abs() < 2.0 * MAX_OFFSET_S) {
                return None;
            }
            last = Some(Solution { parameters: x, errors, residual_share: spread, points, images });
        }
        last
    }

    fn refine(&self, start: Parameters) -> Result<DepthFit, FitError> {
        let scaled = self.solve(start, [true, false, false]).ok_or(FitError::NoOverlap)?;
        let mut best = scaled;
        let mut free = [true, false, false];
        let timed = self.solve(best.parameters, [true, false, true]);
        let mut offset_error = f64::NAN;
        if let Some(timed) = timed {
            offset_error = timed.errors[2];
            if offset_error < MAX_OFFSET_ERROR_S && timed.parameters[2].abs() < MAX_OFFSET_S {
                free[2] = true;
                best = timed;
            }
        }
        let mut bias_error_m = f64::NAN;
        if let Some(biased) = self.solve(best.parameters, [true, true, free[2]]) {
            let q = biased.parameters[0];
            bias_error_m = biased.errors[1] / q;
            let significant = biased.parameters[1].abs() > SIGNIFICANT * biased.errors[1];
            if bias_error_m < MAX_BIAS_ERROR_M && significant && biased.errors[0] / q < MAX_SCALE_ERROR {
                free[1] = true;
                best = biased;
            }
        }
        let agrees = best.residual_share <= MAX_RESIDUAL_SHARE && best.images >= MIN_IMAGES;
        let (x, errors) = (best.parameters, best.errors);
        let scale = 1.0 / x[0];
        let scale_error = errors[0] * scale * scale;
        Ok(DepthFit {
            scale: Estimate {
                value: scale,
                error: scale_error,
                determined: agrees && scale_error / scale < MAX_SCALE_ERROR,
            },
            bias_m: Estimate { value: x[1] * scale, error: bias_error_m, determined: agrees && free[1] },
            offset_s: Estimate { value: x[2], error: offset_error, determined: agrees && free[2] },
            residual_share: best.residual_share,
            pairs: self.pairs.len(),
            points: best.points,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distortion::Distortion;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn camera() -> PinholeCamera {
        PinholeCamera::new(160, 120, 131.0, 131.0, 79.5, 59.5, Distortion::None).unwrap()
    }

    /// z-depth of a room of 4 x 3 x 5 m with a box in it, by ray casting.
    fn cast(pose: &Isometry3<f64>, ray_camera: &Vector3<f64>) -> f64 {
        let origin = pose.translation.vector;
        let ray = pose.rotation * ray_camera;
        let hits = |low: [f64; 3], high: [f64; 3]| -> (f64, f64) {
            (0..3).fold((f64::NEG_INFINITY, f64::INFINITY), |(near, far), k| {
                let (a, b) = ((low[k] - origin[k]) / ray[k], (high[k] - origin[k]) / ray[k]);
                (near.max(a.min(b)), far.min(a.max(b)))
            })
        };
        let (_, wall) = hits([-2.0, -1.5, -1.0], [2.0, 1.5, 4.0]);
        let (near, far) = hits([-0.7, 0.2, 1.8], [0.3, 1.5, 2.6]);
        if near > 0.0 && near < far { near.min(wall) } else { wall }
    }

    fn pose(t: f64, moving: f64) -> Isometry3<f64> {
        let place = Vector3::new(0.4 * (1.1 * t).sin(), 0.25 * (0.7 * t + 1.0).sin(), 0.5 * (0.9 * t).cos() - 0.3);
        let turn = Vector3::new(0.15 * (1.7 * t).sin(), 0.2 * (1.3 * t).cos(), 0.05 * t.sin());
        Isometry3::new(place * moving, turn)
    }

    /// Readings of a camera whose true depth is `scale * reading + bias`, with relative noise, stamped `late_s` late.
    fn recording(scale: f64, bias_m: f64, late_s: f64, moving: f64) -> (Vec<DepthSample>, PoseTrack) {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let rays = RayTable::new(&camera());
        let samples = (0..24)
            .map(|i| {
                let t = 0.4 + 0.3 * f64::from(i);
                let depth = |at: usize| {
                    let z = cast(&pose(t, moving), &ray(&rays, at));
                    // sum of uniform numbers: close to normal
                    let noise: f64 = (0..4).map(|_| rng.random_range(-0.5..0.5)).sum();
                    (((z - bias_m) / scale) * (1.0 + 0.004 * noise)) as f32
                };
                let depth_m = (0..rays.rays.len()).map(depth).collect();
                DepthSample { stamp_nanos: ((t + late_s) * 1e9) as i64, depth_m }
            })
            .collect();
        let track =
            PoseTrack::new((0..900).map(|i| (i64::from(i) * 10_000_000, pose(0.01 * f64::from(i), moving))).collect());
        (samples, track)
    }

    #[test]
    fn scale_is_found_to_half_a_percent() {
        for truth in [1.0, 1.05, 0.1, 10.0] {
            let (samples, track) = recording(truth, 0.0, 0.0, 1.0);
            let fit = fit_depth(&camera(), &samples, &track, 0.0).unwrap();
            assert!((fit.scale.value / truth - 1.0).abs() < 0.005, "{truth}: {fit:?}");
            assert!(fit.scale.determined && fit.scale.error / truth < 0.005, "{fit:?}");
            assert!(fit.offset_s.determined && fit.offset_s.value.abs() < 0.002, "{fit:?}");
        }
    }

    #[test]
    fn time_offset_is_found_with_the_scale() {
        let (samples, track) = recording(1.03, 0.0, 0.06, 1.0);
        let fit = fit_depth(&camera(), &samples, &track, 0.0).unwrap();
        assert!((fit.offset_s.value + 0.06).abs() < 0.002, "{fit:?}");
        assert!((fit.scale.value - 1.03).abs() < 0.005, "{fit:?}");
    }

    #[test]
    fn bias_is_found_where_the_range_of_depths_allows() {
        let (samples, track) = recording(1.02, 0.03, 0.0, 1.0);
        let fit = fit_depth(&camera(), &samples, &track, 0.0).unwrap();
        assert!(fit.bias_m.determined && (fit.bias_m.value - 0.03).abs() < 0.006, "{fit:?}");
        assert!((fit.scale.value - 1.02).abs() < 0.005, "{fit:?}");
    }

    #[test]
    fn without_motion_or_with_wrong_sizes_it_says_so() {
        let (samples, track) = recording(1.0, 0.0, 0.0, 0.0);
        assert_eq!(fit_depth(&camera(), &samples, &track, 0.0), Err(FitError::NoParallax));
        assert_eq!(fit_depth(&camera(), &samples, &PoseTrack::default(), 0.0), Err(FitError::NoParallax));
        assert_eq!(fit_depth(&camera(), &[], &track, f64::NAN), Err(FitError::NoParallax));
        let short = [DepthSample { stamp_nanos: 0, depth_m: vec![1.0] }];
        assert!(matches!(fit_depth(&camera(), &short, &track, 0.0), Err(FitError::Size { got: 1, .. })));
    }

    #[test]
    fn nonsense_depths_fit_nothing() {
        let (mut samples, track) = recording(1.0, 0.0, 0.0, 1.0);
        samples.iter_mut().for_each(|s| s.depth_m.fill(f32::NAN));
        assert_eq!(fit_depth(&camera(), &samples, &track, 0.0), Err(FitError::NoOverlap));
        samples.iter_mut().for_each(|s| s.depth_m.fill(f32::MAX));
        assert!(fit_depth(&camera(), &samples, &track, 0.0).is_err());
    }
}
