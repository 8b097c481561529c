//! Points in, the planes that hold many of them out, the fullest first: seeded RANSAC (Fischler and Bolles 1981), each plane
//! refined by least squares over its points.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::CloudError;
use super::eigen::{mean_and_covariance, symmetric_eigen};
use super::neighbours::is_usable;

/// Points that hypotheses are scored on: a plane with a tenth of them is told from one with 9% at two deviations.
const SCORED_POINTS: usize = 4096;
/// Rounds of fitting to the points near the plane, then asking anew which ones are near.
const REFINEMENTS: usize = 4;

/// What planes are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaneSearch {
    /// A point belongs to a plane within this, metres.
    pub tolerance_m: f32,
    /// A plane has at least so many points.
    pub min_points: usize,
    /// Most planes.
    pub max_planes: usize,
    /// Triples of points tried for each plane. With share s of the points on it, `1 - (1 - s^3)^n` is the chance that one
    /// of n triples lies in it: 500 find a plane of a fifth of the points in 98 of 100 cases.
    pub triples: usize,
    /// Of the choice of triples.
    pub seed: u64,
}

impl Default for PlaneSearch {
    fn default() -> Self {
        Self { tolerance_m: 0.02, min_points: 500, max_planes: 8, triples: 1000, seed: 0 }
    }
}

/// The points `p` with `normal . p = offset_m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    /// Unit length; its largest component is positive.
    pub normal: [f64; 3],
    /// Signed distance from the origin, metres.
    pub offset_m: f64,
    /// Number of points that belong to it.
    pub points: usize,
}

impl Plane {
    /// Signed distance of a point, metres.
    pub fn distance_m(&self, point: &[f32; 3]) -> f64 {
        self.normal.iter().zip(point).map(|(n, x)| n * f64::from(*x)).sum::<f64>() - self.offset_m
    }

    fn from_normal(normal: [f64; 3], through: [f64; 3]) -> Self {
        let largest = normal.iter().fold(0.0f64, |best, n| if n.abs() > best.abs() { *n } else { best });
        let normal = if largest < 0.0 { normal.map(|n| -n) } else { normal };
        let offset_m = normal.iter().zip(through).map(|(n, x)| n * x).sum();
        Self { normal, offset_m, points: 0 }
    }

    /// `None` for three points on a line.
    fn through([a, b, c]: [[f32; 3]; 3]) -> Option<Self> {
        let a = a.map(f64::from);
        let side = |p: [f32; 3]| -> [f64; 3] { std::array::from_fn(|k| f64::from(p[k]) - a[k]) };
        let (u, v) = (side(b), side(c));
        let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        let length = n.iter().map(|x| x * x).sum::<f64>().sqrt();
        (length > 0.0 && length.is_finite()).then(|| Self::from_normal(n.map(|x| x / length), a))
    }

    /// The plane of least squared distances. `None` for points on a line.
    fn fitted(points: impl IntoIterator<Item = [f32; 3]>) -> Option<Self> {
        let (mean, covariance, _) = mean_and_covariance(points)?;
        let ([_, middle, _], [normal, ..]) = symmetric_eigen(covariance)?;
        (middle > 0.0).then(|| Self::from_normal(normal, mean))
    }
}

/// Writes to `planes` (overwritten) the planes found, each taken from the points that the ones before left, and to
/// `plane_of` (`[points]`, overwritten) the index of each point's plane.
///
/// The same points and search give the same planes on every machine. Points that are not finite belong to none.
///
/// # Errors
/// [`CloudError`] for a tolerance that is not positive and finite, and for more points than 32 bits can number.
pub fn find_planes(
    points: &[[f32; 3]],
    search: &PlaneSearch,
    planes: &mut Vec<Plane>,
    plane_of: &mut Vec<Option<u32>>,
) -> Result<(), CloudError> {
    CloudError::check_count(points.len())?;
    CloudError::check_positive("tolerance_m", search.tolerance_m)?;
    planes.clear();
    plane_of.clear();
    plane_of.resize(points.len(), None);
    let mut rng = ChaCha8Rng::seed_from_u64(search.seed);
    let mut left: Vec<u32> = (0..points.len() as u32).filter(|&i| is_usable(&points[i as usize])).collect();
    let tolerance_m = f64::from(search.tolerance_m);
    while planes.len() < search.max_planes && left.len() >= search.min_points.max(3) {
        let at = |i: u32| points[i as usize];
        let Some(mut plane) = best_hypothesis(points, &left, search, &mut rng) else { break };
        for _ in 0..REFINEMENTS {
            let near = left.iter().map(|&i| at(i)).filter(|p| plane.distance_m(p).abs() <= tolerance_m);
            plane = Plane::fitted(near).unwrap_or(plane);
        }
        let belongs = |i: u32| plane.distance_m(&at(i)).abs() <= tolerance_m;
        let before = left.len();
        left.retain(|&i| {
            let own = belongs(i);
            if own {
                plane_of[i as usize] = Some(planes.len() as u32);
            }
            !own
        });
        plane.points = before - left.len();
        if plane.points < search.min_points.max(3) {
            plane_of.iter_mut().filter(|p| **p == Some(planes.len() as u32)).for_each(|p| *p = None);
            break;
        }
        planes.push(plane);
    }
    Ok(())
}

/// The plane through three points that most of a regular sample of `left` lie near; of equals the first tried.
fn best_hypothesis(points: &[[f32; 3]], left: &[u32], search: &PlaneSearch, rng: &mut ChaCha8Rng) -> Option<Plane> {
    // Points come image row by image row or block by block: every n-th would see stripes, a random choice does not.
    let count = left.len().min(SCORED_POINTS);
    let mut pick = || points[left[rng.random_range(0..left.len())] as usize];
    let sample: Vec<[f32; 3]> = (0..count).map(|_| pick()).collect();
    let tolerance_m = f64::from(search.tolerance_m);
    let mut best: Option<(usize, Plane)> = None;
    let mut tried = 0;
    while tried < search.triples {
        // by the batch, so that memory does not grow with the number of triples
        let batch: Vec<[[f32; 3]; 3]> =
            (0..SCORED_POINTS.min(search.triples - tried)).map(|_| [pick(), pick(), pick()]).collect();
        tried += batch.len();
        let scored: Vec<Option<(usize, Plane)>> = batch
            .into_par_iter()
            .map(|triple| {
                let plane = Plane::through(triple)?;
                Some((sample.iter().filter(|p| plane.distance_m(p).abs() <= tolerance_m).count(), plane))
            })
            .collect();
        for (score, plane) in scored.into_iter().flatten() {
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, plane));
            }
        }
    }
    best.map(|(_, plane)| plane)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(rng: &mut ChaCha8Rng, deviation: f32) -> f32 {
        // sum of twelve uniforms: deviation 1
        ((0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0) * deviation
    }

    /// Points of a rectangle of 2 x 2 m about `center` at right angles to `normal`, off by 4 mm of noise.
    fn sheet(normal: [f64; 3], center: [f32; 3], count: usize, rng: &mut ChaCha8Rng) -> Vec<[f32; 3]> {
        let n = nalgebra::Vector3::from(normal).normalize();
        let u = n.cross(&if n.x.abs() < 0.9 { nalgebra::Vector3::x() } else { nalgebra::Vector3::y() }).normalize();
        let v = n.cross(&u);
        (0..count)
            .map(|_| {
                let (a, b) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
                let p = u * a + v * b + n * f64::from(noise(rng, 0.004));
                std::array::from_fn(|k| center[k] + p[k] as f32)
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn planes_are_found_to_the_noise(seed: u64, tilt in prop::array::uniform3(-1.0..1.0f64), far in -200.0..200.0f32) {
            prop_assume!(tilt.iter().map(|x| x * x).sum::<f64>() > 0.1);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let unit = nalgebra::Vector3::from(tilt).normalize();
            let across = unit.cross(&if unit.x.abs() < 0.9 { nalgebra::Vector3::x() } else { nalgebra::Vector3::y() });
            let center = [far, -far, 1.0];
            let mut points = sheet(tilt, center, 3000, &mut rng);
            points.extend(sheet(across.into(), center.map(|x| x + 0.5), 2000, &mut rng));
            points.extend((0..1000).map(|_| -> [f32; 3] { std::array::from_fn(|k| center[k] + rng.random_range(-2.0..2.0)) }));
            points.push([f32::NAN; 3]);
            let (mut planes, mut plane_of) = (Vec::new(), Vec::new());
            let search = PlaneSearch { seed, ..PlaneSearch::default() };
            find_planes(&points, &search, &mut planes, &mut plane_of).unwrap();
            prop_assert_eq!(planes.len(), 2);
            for (plane, expected) in planes.iter().zip([unit, across.normalize()]) {
                let cosine = nalgebra::Vector3::from(plane.normal).dot(&expected).abs();
                prop_assert!(cosine > (0.3f64).to_radians().cos(), "{plane:?} {expected}");
            }
            prop_assert!(planes[0].distance_m(&center).abs() < 0.002);
            for (i, plane) in planes.iter().enumerate() {
                let own: Vec<_> = (0..points.len()).filter(|&p| plane_of[p] == Some(i as u32)).collect();
                prop_assert_eq!(own.len(), plane.points);
                prop_assert!(own.iter().all(|&p| plane.distance_m(&points[p]).abs() <= f64::from(search.tolerance_m)));
            }
            prop_assert!(planes[0].points >= 2990);
        }
    }

    #[test]
    fn the_seed_alone_decides_not_the_threads() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let points: Vec<[f32; 3]> = (0..5000).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        let search = PlaneSearch { min_points: 10, tolerance_m: 0.05, triples: 200, ..PlaneSearch::default() };
        let on_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut planes, mut plane_of) = (Vec::new(), Vec::new());
            pool.install(|| find_planes(&points, &search, &mut planes, &mut plane_of)).unwrap();
            (planes, plane_of)
        };
        assert_eq!(on_threads(1), on_threads(4));
    }

    #[test]
    fn nothing_lines_and_broken_points_hold_no_plane() {
        let (mut planes, mut plane_of) = (Vec::new(), Vec::new());
        let line: Vec<[f32; 3]> = (0..1000).map(|i| [i as f32, 0.0, 0.0]).collect();
        for points in [vec![], vec![[1.0; 3]; 1000], vec![[f32::NAN; 3]; 1000], line, vec![[f32::MAX; 3]; 1000]] {
            find_planes(&points, &PlaneSearch::default(), &mut planes, &mut plane_of).unwrap();
            assert!(planes.is_empty() && plane_of == vec![None; points.len()]);
        }
        let bad = PlaneSearch { tolerance_m: 0.0, ..PlaneSearch::default() };
        assert!(find_planes(&[], &bad, &mut planes, &mut plane_of).is_err());
        let none = PlaneSearch { triples: 0, min_points: 0, ..PlaneSearch::default() };
        assert_eq!(find_planes(&[[0.0; 3]; 9], &none, &mut planes, &mut plane_of), Ok(()));
    }
}
