//! Boxes found and boxes meant in, how many agree out: accuracy at an overlap, and the best matching of several.

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;
use vantage_scene::OrientedBox;

/// Overlaps are matched as whole multiples of 2^-40.
const STEPS: f64 = (1u64 << 40) as f64;

/// Which found box stands for which true box.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matching {
    /// Place of the found box, place of the true box, their overlap, which is above 0; by the found box's place.
    pub pairs: Vec<(usize, usize, f64)>,
    /// Sum of overlaps over the greater number of boxes: each box that is missed or made up counts 0. 1 where none was
    /// meant and none found.
    pub score: f64,
}

/// Matches found boxes with the true ones, one to one, such that the overlaps (intersection over union) add up to the
/// most (Kuhn 1955, Munkres 1957). A box with a number that is not finite overlaps nothing. Takes time by the third
/// power of the number of boxes.
pub fn match_boxes(found: &[OrientedBox], truth: &[OrientedBox]) -> Matching {
    if found.is_empty() && truth.is_empty() {
        return Matching { pairs: Vec::new(), score: 1.0 };
    }
    if found.is_empty() || truth.is_empty() {
        return Matching::default();
    }
    let swapped = found.len() > truth.len();
    let (rows, columns) = if swapped { (truth, found) } else { (found, truth) };
    let overlaps = Matrix::from_fn(rows.len(), columns.len(), |(r, c)| rows[r].iou(&columns[c]));
    let weights = overlaps.clone().map(|overlap| (overlap * STEPS) as i64);
    let (_, chosen) = kuhn_munkres(&weights);
    let mut pairs: Vec<(usize, usize, f64)> = chosen
        .into_iter()
        .enumerate()
        .map(|(r, c)| if swapped { (c, r, overlaps[(r, c)]) } else { (r, c, overlaps[(r, c)]) })
        .filter(|(_, _, overlap)| *overlap > 0.0)
        .collect();
    pairs.sort_by_key(|(found, _, _)| *found);
    let score = pairs.iter().map(|(_, _, overlap)| overlap).sum::<f64>() / columns.len() as f64;
    Matching { pairs, score }
}

/// Share of overlaps that reach `threshold`: Acc@0.25 and Acc@0.5 of grounding (ScanRefer, Chen et al. 2020). A question
/// without a found box counts with overlap 0. `None` without questions.
pub fn accuracy_at(overlaps: &[f64], threshold: f64) -> Option<f64> {
    let right = overlaps.iter().filter(|overlap| **overlap >= threshold).count();
    (!overlaps.is_empty()).then(|| right as f64 / overlaps.len() as f64)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn cube(x: f64) -> OrientedBox {
        OrientedBox { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 }
    }

    fn random_box(rng: &mut ChaCha8Rng) -> OrientedBox {
        OrientedBox {
            center: std::array::from_fn(|_| rng.random_range(-0.6..0.6)),
            size: std::array::from_fn(|_| rng.random_range(0.3..2.0)),
            yaw: rng.random_range(-4.0..4.0),
        }
    }

    #[test]
    fn overlap_equals_that_of_counted_points() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        // Points a box: the standard deviation of the overlap is below 0.5 / sqrt(4e6) = 2.5e-4.
        let points = 4_000_000;
        for _ in 0..8 {
            let (a, b) = (random_box(&mut rng), random_box(&mut rng));
            let (bounds, other) = (a.aabb(), b.aabb());
            let low: [f64; 3] = std::array::from_fn(|k| bounds.min[k].min(other.min[k]));
            let high: [f64; 3] = std::array::from_fn(|k| bounds.max[k].max(other.max[k]));
            let (mut both, mut any) = (0u32, 0u32);
            for _ in 0..points {
                let p = std::array::from_fn(|k| rng.random_range(low[k]..high[k]));
                let (in_a, in_b) = (a.contains(p, 0.0), b.contains(p, 0.0));
                both += u32::from(in_a && in_b);
                any += u32::from(in_a || in_b);
            }
            let counted = f64::from(both) / f64::from(any);
            assert!((a.iou(&b) - counted).abs() < 1e-3, "{a:?} {b:?}: {} {counted}", a.iou(&b));
        }
    }

    #[test]
    fn the_whole_counts_not_the_first_choice() {
        // The best pair is (0, 0), a shift of 0.25; taking it leaves only a shift of 0.85 for the other two.
        let found = [cube(0.0), cube(0.55)];
        let truth = [cube(0.25), cube(-0.3)];
        let matching = match_boxes(&found, &truth);
        assert_eq!(matching.pairs.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>(), [(0, 1), (1, 0)]);
        // Unit cubes shifted by 0.3 overlap by 0.7 of 1.3.
        assert!((matching.score - 0.7 / 1.3).abs() < 1e-12, "{matching:?}");
    }

    #[test]
    fn misses_and_inventions_count() {
        assert_eq!(match_boxes(&[], &[]).score, 1.0);
        assert_eq!(match_boxes(&[cube(0.0)], &[]), Matching::default());
        assert_eq!(match_boxes(&[], &[cube(0.0)]), Matching::default());
        let one = match_boxes(&[cube(0.0)], &[cube(5.0), cube(0.0)]);
        assert_eq!((one.pairs.as_slice(), one.score), ([(0, 1, 1.0)].as_slice(), 0.5));
        let many = match_boxes(&[cube(5.0), cube(0.0), cube(9.0)], &[cube(0.0)]);
        assert_eq!(many.pairs, [(1, 0, 1.0)]);
        assert!((many.score - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn boxes_that_are_not_numbers_overlap_nothing() {
        let good = cube(0.0);
        for k in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0] {
            let bad = [
                OrientedBox { center: [k, 0.0, 0.0], ..good },
                OrientedBox { size: [1.0, k, 1.0], ..good },
                OrientedBox { size: [1.0, 1.0, k], ..good },
                OrientedBox { yaw: k, ..good },
            ];
            for b in bad {
                assert!((0.0..=1.0).contains(&b.iou(&good)) && (0.0..=1.0).contains(&good.iou(&b)), "{b:?}");
                assert!((0.0..=1.0).contains(&match_boxes(&[b, good], &[good]).score), "{b:?}");
                if !k.is_finite() {
                    assert_eq!(match_boxes(&[b], &[good]), Matching::default(), "{b:?}");
                }
            }
        }
    }

    #[test]
    fn accuracy_counts_from_the_threshold_on() {
        let overlaps = [0.0, 0.25, 0.49, 0.5, 1.0, f64::NAN];
        assert_eq!(accuracy_at(&overlaps, 0.25), Some(4.0 / 6.0));
        assert_eq!(accuracy_at(&overlaps, 0.5), Some(2.0 / 6.0));
        assert_eq!(accuracy_at(&[], 0.5), None);
    }
}
