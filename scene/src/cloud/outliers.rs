//! Points in, a mask of those that have company out: by the distance to the nearest ones, or by their number in a radius.

use rayon::prelude::*;

use super::CloudError;
use super::neighbours::{Neighbours, is_usable};

/// Marks in `keep` (`[points]`, overwritten) the points whose mean distance to their `neighbours` nearest ones is at most
/// the cloud's mean of these means plus `deviations` times their standard deviation (PCL's StatisticalOutlierRemoval).
///
/// As in Open3D a point is the first of its own neighbours. Points that are not finite are not kept and count for none.
///
/// # Errors
/// [`CloudError`] for a number of neighbours or of deviations that is not positive, and for more points than 32 bits can
/// number.
pub fn statistical_inliers(
    points: &[[f32; 3]],
    neighbours: usize,
    deviations: f64,
    keep: &mut Vec<bool>,
) -> Result<(), CloudError> {
    CloudError::check_positive("deviations", deviations)?;
    let count = CloudError::check_neighbours("neighbours", neighbours)?;
    let index = Neighbours::from_points(points)?;
    keep.clear();
    keep.resize(points.len(), false);
    let Some(index) = index else { return Ok(()) };
    let mean_distance = |point: &[f32; 3]| {
        let near = index.nearest(point, count, f32::INFINITY);
        let found = near.len().max(1) as f64;
        near.map(|(squared, _)| f64::from(squared).sqrt()).sum::<f64>() / found
    };
    let distances: Vec<Option<f64>> =
        points.par_iter().map(|point| is_usable(point).then(|| mean_distance(point))).collect();
    // summed one after another, so that the threshold is the same on every machine
    let mean = distances.iter().flatten().sum::<f64>() / index.len() as f64;
    let squares: f64 = distances.iter().flatten().map(|d| (d - mean) * (d - mean)).sum();
    let deviation = (squares / index.len().saturating_sub(1).max(1) as f64).sqrt();
    for (keep, distance) in keep.iter_mut().zip(distances) {
        *keep = distance.is_some_and(|d| d <= mean + deviations * deviation);
    }
    Ok(())
}

/// Marks in `keep` (`[points]`, overwritten) the points with at least `min_neighbours` others within `radius_m`
/// (inclusive): the rule of PCL's RadiusOutlierRemoval and Open3D's `remove_radius_outlier`.
///
/// Points that are not finite are not kept and count for none.
///
/// # Errors
/// [`CloudError`] for a radius that is not positive and finite, and for more points than 32 bits can number.
pub fn radius_inliers(
    points: &[[f32; 3]],
    radius_m: f32,
    min_neighbours: usize,
    keep: &mut Vec<bool>,
) -> Result<(), CloudError> {
    CloudError::check_positive("radius_m", radius_m)?;
    let index = Neighbours::from_points(points)?;
    keep.clear();
    keep.resize(points.len(), false);
    let Some(index) = index else { return Ok(()) };
    // a search for so many stops there, however many more there are
    let wanted = CloudError::check_neighbours("min_neighbours", min_neighbours.saturating_add(1))?;
    keep.par_iter_mut().zip(points).for_each(|(keep, point)| {
        *keep = is_usable(point) && index.nearest(point, wanted, radius_m).len() >= wanted.get();
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distance(a: &[f32; 3], b: &[f32; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    }

    fn rastered() -> impl Strategy<Value = Vec<[f32; 3]>> {
        prop::collection::vec(prop::array::uniform3(-12..12i32), 1..200)
            .prop_map(|points| points.iter().map(|p| p.map(|x| x as f32 * 0.25)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn statistics_are_those_of_all_pairs(points in rastered(), count in 1..30usize, deviations in 0.1..3.0f64) {
            let means: Vec<f64> = points
                .iter()
                .map(|p| {
                    let mut all: Vec<f64> = points.iter().map(|q| distance(p, q)).collect();
                    all.sort_by(f64::total_cmp);
                    all.truncate(count);
                    all.iter().sum::<f64>() / all.len() as f64
                })
                .collect();
            let n = means.len() as f64;
            let mean = means.iter().sum::<f64>() / n;
            let deviation = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
            let mut keep = Vec::new();
            statistical_inliers(&points, count, deviations, &mut keep).unwrap();
            for (keep, own) in keep.iter().zip(&means) {
                let margin = mean + deviations * deviation - own;
                prop_assert!(*keep == (margin >= 0.0) || margin.abs() < 1.0e-6);
            }
        }

        #[test]
        fn company_is_that_of_all_pairs(points in rastered(), reach in 1..8i32, count in 0..20usize) {
            let radius_m = reach as f32 * 0.25;
            let mut keep = Vec::new();
            radius_inliers(&points, radius_m, count, &mut keep).unwrap();
            for (i, p) in points.iter().enumerate() {
                let others = (0..points.len()).filter(|&j| j != i && distance(p, &points[j]) <= f64::from(radius_m)).count();
                prop_assert_eq!(keep[i], others >= count);
            }
        }
    }

    #[test]
    fn broken_points_are_no_company() {
        let points = [[0.0; 3], [0.1, 0.0, 0.0], [f32::NAN; 3], [f32::INFINITY; 3], [9.0; 3]];
        let mut keep = Vec::new();
        radius_inliers(&points, 0.2, 1, &mut keep).unwrap();
        assert_eq!(keep, [true, true, false, false, false]);
        radius_inliers(&points, 0.2, usize::MAX, &mut keep).unwrap();
        assert_eq!(keep, [false; 5]);
        statistical_inliers(&points, 2, 0.5, &mut keep).unwrap();
        assert_eq!(keep, [true, true, false, false, false]);
        assert!(statistical_inliers(&points, 0, 1.0, &mut keep).is_err());
        assert!(statistical_inliers(&[], 3, 1.0, &mut keep).is_ok() && keep.is_empty());
    }
}
