//! Surface points in, object proposals out: Euclidean clusters of what is not the room's shell, with their boxes.

use crate::bounding_box::OrientedBox;
use crate::cloud::{PointCloud, cluster_points};

/// A cluster of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Indices into the cloud, ascending.
    pub point_indices: Vec<u32>,
    /// The yawed box around them.
    pub bbox: OrientedBox,
}

/// Joins non-shell points that are within `radius_m` of each other into clusters of at least `min_points`, the largest
/// first; of equal ones that with the earlier point. `shell[i]` true leaves point i out; points that are not finite too.
pub fn proposals(cloud: &PointCloud, shell: &[bool], radius_m: f32, min_points: usize) -> Vec<Proposal> {
    let usable =
        |i: &usize| !shell.get(*i).copied().unwrap_or(false) && cloud.positions[*i].iter().all(|x| x.is_finite());
    let kept: Vec<usize> = (0..cloud.len()).filter(usable).collect();
    let points: Vec<[f32; 3]> = kept.iter().map(|&i| cloud.positions[i]).collect();
    let mut labels = Vec::new();
    let Ok(count) = cluster_points(&points, radius_m, 1, &mut labels) else { return Vec::new() };
    let mut clusters: Vec<Vec<u32>> = vec![Vec::new(); count as usize];
    for (i, label) in kept.iter().zip(&labels) {
        if let Some(label) = label {
            clusters[*label as usize].push(*i as u32);
        }
    }
    let mut found: Vec<Proposal> = clusters
        .into_iter()
        .filter(|members| members.len() >= min_points)
        .filter_map(|point_indices| {
            let own: Vec<[f32; 3]> = point_indices.iter().map(|&i| cloud.positions[i as usize]).collect();
            OrientedBox::fit_yaw(&own).map(|bbox| Proposal { point_indices, bbox })
        })
        .collect();
    found.sort_by(|a, b| b.point_indices.len().cmp(&a.point_indices.len()).then(a.point_indices.cmp(&b.point_indices)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_are_two_proposals_and_the_shell_joins_nothing() {
        let mut cloud = PointCloud::default();
        let mut shell = Vec::new();
        for i in 0..40 {
            for j in 0..10 {
                let x = i as f32 * 0.05;
                cloud.positions.push([x, j as f32 * 0.05, 0.1 * (j % 2) as f32]);
                // the strip in the middle is marked as shell and parts the row in two
                shell.push((15..20).contains(&i));
            }
        }
        let found = proposals(&cloud, &shell, 0.12, 20);
        assert_eq!(found.iter().map(|p| p.point_indices.len()).collect::<Vec<_>>(), [200, 150]);
        assert!((found[1].bbox.size[0].max(found[1].bbox.size[1]) - 0.7).abs() < 1e-3);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(proposals(&PointCloud::default(), &[], 0.1, 1).is_empty());
    }
}
