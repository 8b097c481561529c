//! Candidates in, choices that are blind to the question out: what a choice by utility has to beat.

use std::f64::consts::TAU;

use nalgebra::{Isometry3, Vector3};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::greedy::{Diversity, Goal, Stop, select_greedy};
use super::visible::VisibleSets;

/// `count` of the candidates at even distances in time, the first and the last among them.
pub fn select_uniform(candidates: usize, count: usize) -> Vec<usize> {
    match count.min(candidates) {
        0 => Vec::new(),
        1 => vec![candidates / 2],
        n => (0..n).map(|i| i * (candidates - 1) / (n - 1)).collect(),
    }
}

/// `count` of the candidates, each as likely as any, by `seed`.
pub fn select_random(candidates: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.truncate(count);
    order
}

/// `count` of the candidates that look out in directions evenly around the vertical, from that of the first: for each direction
/// the candidate nearest to it that is not taken yet, of equals the earlier.
pub fn select_ring(world_from_camera: &[Isometry3<f64>], count: usize) -> Vec<usize> {
    let yaws: Vec<f64> = world_from_camera
        .iter()
        .map(|pose| {
            let forward = pose * Vector3::z();
            forward.y.atan2(forward.x)
        })
        .collect();
    let count = count.min(yaws.len());
    let mut taken: Vec<usize> = Vec::with_capacity(count);
    for i in 0..count {
        let wanted = yaws[0] + TAU * i as f64 / count as f64;
        let away = |k: &usize| {
            let difference = (yaws[*k] - wanted).rem_euclid(TAU);
            difference.min(TAU - difference)
        };
        let free = (0..yaws.len()).filter(|k| !taken.contains(k));
        taken.extend(free.min_by(|a, b| away(a).total_cmp(&away(b))));
    }
    taken
}

/// `count` views that together see most points, greedily, as Video-3D LLM (arXiv 2412.00493) chooses frames by voxels.
pub fn select_by_coverage(sets: &VisibleSets, count: usize) -> Vec<usize> {
    let diversity = Diversity { new: 1.0, seen: 0.0 };
    let stop = Stop { max_views: count, min_new: 0.0, min_views: 1 };
    let picks = select_greedy(&vec![0.0; sets.len()], sets, Goal::Points, &diversity, &stop);
    picks.into_iter().map(|pick| pick.view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Translation3, UnitQuaternion};

    #[test]
    fn uniform_spans_the_recording() {
        assert_eq!(select_uniform(10, 4), vec![0, 3, 6, 9]);
        assert_eq!(select_uniform(2, 4), vec![0, 1]);
        assert_eq!(select_uniform(0, 4), Vec::<usize>::new());
    }

    #[test]
    fn every_candidate_is_as_likely() {
        let mut counts = [0usize; 10];
        for seed in 0..2000 {
            let chosen = select_random(10, 3, seed);
            assert!(chosen.len() == 3 && chosen[0] != chosen[1] && chosen[1] != chosen[2] && chosen[0] != chosen[2]);
            chosen.into_iter().for_each(|i| counts[i] += 1);
        }
        // 600 each, deviation 20
        assert!(counts.iter().all(|c| (500..700).contains(c)), "{counts:?}");
        assert_eq!(select_random(3, 9, 1).len(), 3);
        assert_eq!(select_random(10, 4, 5), select_random(10, 4, 5));
    }

    #[test]
    fn a_ring_looks_all_around() {
        // cameras look along their z: turned from z to the horizontal, then about the vertical
        let looking = |yaw: f64| {
            let level = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), TAU / 4.0);
            let about = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw);
            Isometry3::from_parts(Translation3::identity(), about * level)
        };
        let poses: Vec<_> = [0.0, 0.1, 1.5, 3.2, 3.1, 4.8].into_iter().map(looking).collect();
        assert_eq!(select_ring(&poses, 4), [0, 2, 4, 5]);
        assert_eq!(select_ring(&poses, 9).len(), 6);
        assert!(select_ring(&[], 3).is_empty());
    }

    #[test]
    fn coverage_takes_what_adds_most() {
        let mut sets = VisibleSets::new(12);
        for list in [vec![0, 1, 2, 3], vec![2, 3, 4, 5, 6], vec![0, 1], vec![7, 8]] {
            sets.push(&list);
        }
        assert_eq!(select_by_coverage(&sets, 3), [1, 0, 3]);
    }
}
