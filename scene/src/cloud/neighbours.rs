//! Points in, an index that answers who is near out: a kd-tree over the points that are finite.

use std::num::NonZeroUsize;

use kiddo::{ImmutableKdTree, SquaredEuclidean};

use super::CloudError;

/// Largest coordinate whose squared distances f32 holds, metres.
const MAX_COORDINATE_M: f32 = 1.0e18;

/// The finite points of a cloud, indexed.
pub(crate) struct Neighbours {
    tree: ImmutableKdTree<f32, 3>,
    /// The finite points.
    points: Vec<[f32; 3]>,
}

impl Neighbours {
    /// Indexes the usable ones of `points`; `None` when there are none.
    pub(crate) fn from_points(points: &[[f32; 3]]) -> Result<Option<Self>, CloudError> {
        CloudError::check_count(points.len())?;
        let points: Vec<[f32; 3]> = points.iter().copied().filter(is_usable).collect();
        if points.is_empty() {
            return Ok(None);
        }
        let tree = ImmutableKdTree::new_from_slice(&points)
            .map_err(|e| CloudError::Index { points: points.len(), reason: e.to_string() })?;
        Ok(Some(Self { tree, points }))
    }

    /// Number of indexed points.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// The squared distances, ascending, and the positions of the `count` nearest points to `query`, itself included if it
    /// is indexed; only such within `radius_m` (inclusive).
    pub(crate) fn nearest(
        &self,
        query: &[f32; 3],
        count: NonZeroUsize,
        radius_m: f32,
    ) -> impl ExactSizeIterator<Item = (f32, [f32; 3])> {
        let count = count.min(NonZeroUsize::new(self.points.len()).unwrap_or(NonZeroUsize::MIN));
        let radius_squared = (radius_m * radius_m).min(f32::MAX);
        let found = self.tree.query(query).nearest_n::<SquaredEuclidean<f32>>(count).within(radius_squared).execute();
        found.into_iter().map(|near| (near.distance, self.points[near.item as usize]))
    }
}

/// True for points that are indexed: finite, and no farther than squares of distances can be computed.
pub(crate) fn is_usable(point: &[f32; 3]) -> bool {
    point.iter().all(|x| x.abs() <= MAX_COORDINATE_M)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_sorted_list(
            points in prop::collection::vec(prop::array::uniform3(-20..20i32), 1..300), count in 1..40usize, reach in 1..20i32,
        ) {
            let points: Vec<[f32; 3]> = points.iter().map(|p| p.map(|x| x as f32 * 0.25)).collect();
            let radius_m = reach as f32 * 0.25;
            let index = Neighbours::from_points(&points).unwrap().unwrap();
            for query in &points {
                let mut expected: Vec<f32> = points
                    .iter()
                    .map(|p| p.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum())
                    .filter(|d| *d <= radius_m * radius_m)
                    .collect();
                expected.sort_by(f32::total_cmp);
                expected.truncate(count);
                let found: Vec<f32> =
                    index.nearest(query, NonZeroUsize::new(count).unwrap(), radius_m).map(|(d, _)| d).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn heaps_of_equal_points_and_huge_counts_are_no_trouble() {
        let mut points = vec![[1.0; 3]; 5000];
        points.extend([[f32::NAN; 3], [f32::MAX; 3], [1.0e18; 3], [-1.0e18; 3]]);
        let index = Neighbours::from_points(&points).unwrap().unwrap();
        assert_eq!(index.len(), 5002);
        assert_eq!(index.nearest(&[1.0; 3], NonZeroUsize::MAX, 0.1).len(), 5000);
        assert_eq!(index.nearest(&[1.0; 3], NonZeroUsize::MAX, f32::INFINITY).len(), 5002);
        assert!(Neighbours::from_points(&[[f32::NAN; 3]]).unwrap().is_none());
    }
}
