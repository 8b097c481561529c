//! Boxes that a text points at in, numbers that tell how the newest, or any point, lies to the earlier ones out.
//!
//! Pairwise spatial features (distances and directions, as in ViL3DRel, arXiv 2211.09646) carried to a text that points: what is left
//! of whom, how far, and in which direction follows from the boxes themselves, so that a decoder has to read it off, not to compute it.
//! What a text says in steps, tens of degrees or tenths of metres, is given in such steps: each value lies between two of them, and is
//! written as its share in either.

use vantage_scene::{Aabb, OrientedBox};

use crate::position::scene_center;

/// A box in focus: axis-aligned, relative to the scene's centre, metres.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FocusBox {
    /// Its centre.
    pub center: [f32; 3],
    /// Full extents along x, y, z.
    pub size: [f32; 3],
}

impl FocusBox {
    /// The axis-aligned bounds of `bbox` in the scene of `bounds`, both in the world, metres.
    pub fn of(bbox: &OrientedBox, bounds: &Aabb) -> Self {
        let (outline, origin) = (bbox.aabb(), scene_center(bounds));
        Self {
            center: std::array::from_fn(|k| (0.5 * (outline.min[k] + outline.max[k]) - origin[k]) as f32),
            size: std::array::from_fn(|k| (outline.max[k] - outline.min[k]) as f32),
        }
    }

    /// Itself in the world of the scene of `bounds`, metres.
    pub fn in_world(&self, bounds: &Aabb) -> OrientedBox {
        let origin = scene_center(bounds);
        OrientedBox {
            center: std::array::from_fn(|k| origin[k] + f64::from(self.center[k])),
            size: self.size.map(f64::from),
            yaw: 0.0,
        }
    }
}

/// Metres that become 1 in distances.
const METRES_PER_UNIT: f32 = 4.0;
/// Extents are taken as within these, metres: their logarithm has to exist, and a wild prediction is no reason for wild features.
const EXTENT_M: (f32, f32) = (0.02, 20.0);
/// Steps of an angle, and of a length: half metres up to the last, and tenths within a metre.
const ANGLE_STEPS: usize = 36;
const HALF_METRES: usize = 16;
const TENTHS: usize = 10;

const LENGTH_WIDTH: usize = HALF_METRES + TENTHS;
const OWN_WIDTH: usize = 9 + LENGTH_WIDTH;
const PAIR_WIDTH: usize = 1 + 3 + 1 + 3 + 2 + LENGTH_WIDTH + ANGLE_STEPS;
/// The earlier boxes that the newest is compared with: the last, the one before it, the first and the second of the text.
const ANCHORS: usize = 4;
const PLACE_WIDTH: usize = LENGTH_WIDTH + 2 * ANGLE_STEPS;
/// The places that it is seen from: the middle of the first box, where the way to the second leaves the first, half way.
const PLACES: usize = 3;
/// Numbers that [`relation_features`] gives.
pub const RELATION_WIDTH: usize = OWN_WIDTH + ANCHORS * PAIR_WIDTH + 1 + PLACES * PLACE_WIDTH;

/// Numbers that [`point_relations`] gives for a point.
pub(crate) const POINT_RELATION_WIDTH: usize = 2 * NEAR_WIDTH + 2 * SEEN_WIDTH + NEXT_WIDTH;
const NEAR_WIDTH: usize = 3;
const SEEN_WIDTH: usize = 4;
const NEXT_WIDTH: usize = 4;
/// Half of the way from one side of a box's centre to the other is made within this, metres.
const BESIDE_M: f32 = 0.15;
/// A point counts as in a box up to this far outside of it, metres: boxes are predicted, and points stand for a voxel.
const OUTLINE_M: f32 = 0.08;

/// Appends [`RELATION_WIDTH`] numbers to `out` that describe the last of `boxes`, which were pointed at in this order: its place and
/// extents; how it lies to the last two and the first two before it; and where one has it who stands at the first and faces the
/// second, or between them. What has no meaning yet is zero, as all is without a box.
pub fn relation_features(boxes: &[FocusBox], out: &mut Vec<f32>) {
    let end = out.len() + RELATION_WIDTH;
    if let Some((own, earlier)) = boxes.split_last() {
        out.extend(own.center.map(|x| x / METRES_PER_UNIT));
        out.extend(extents(own));
        out.extend(extents(own).map(f32::ln));
        length(extents(own)[2], out);
        let back = |n: usize| earlier.len().checked_sub(n).and_then(|i| earlier.get(i));
        for anchor in [back(1), back(2), earlier.first(), earlier.get(1)] {
            match anchor {
                Some(anchor) => pair(anchor, own, out),
                None => out.extend([0.0; PAIR_WIDTH]),
            }
        }
        if let [first, second, ..] = boxes {
            seen_from(first, second, own, out);
        }
    }
    out.resize(end, 0.0);
}

/// How `to` lies to `from`.
fn pair(from: &FocusBox, to: &FocusBox, out: &mut Vec<f32>) {
    let d: [f32; 3] = std::array::from_fn(|k| to.center[k] - from.center[k]);
    let (a, b) = (extents(from), extents(to));
    let apart = |k: usize| (d[k].abs() - 0.5 * (a[k] + b[k])).max(0.0);
    out.push(1.0);
    out.extend(d.map(|x| x / METRES_PER_UNIT));
    out.push(apart(0).hypot(apart(1)) / METRES_PER_UNIT);
    out.extend((0..3).map(|k| (b[k] / a[k]).ln()));
    // foot on top, top over top
    out.push(d[2] - 0.5 * (a[2] + b[2]));
    out.push(d[2] + 0.5 * (b[2] - a[2]));
    length(d[0].hypot(d[1]), out);
    angle(d[1].atan2(d[0]), out);
}

/// Where one has `seen` who looks from `first` to `second`.
fn seen_from(first: &FocusBox, second: &FocusBox, seen: &FocusBox, out: &mut Vec<f32>) {
    let way = way(first, second);
    let heading = way[1].atan2(way[0]);
    out.push(1.0);
    for share in [0.0, share_within(first, way), 0.5] {
        let d: [f32; 2] = std::array::from_fn(|k| seen.center[k] - first.center[k] - share * way[k]);
        let direction = d[1].atan2(d[0]);
        length(d[0].hypot(d[1]), out);
        angle(direction, out);
        angle(direction - heading, out);
    }
}

/// Writes [`POINT_RELATION_WIDTH`] numbers for each of `points`, metres relative to the scene's centre, into `out`: how far and how
/// high it lies from the last two of `boxes`, and where one has it who stands at the edge of the first and faces the second, or half
/// way between them; on which side of the last one it lies along x and y, and how far it lies within the last, and within any of them:
/// one who counts goes on to what was not counted yet. What has no meaning yet stays as it is.
pub(crate) fn point_relations(boxes: &[FocusBox], points: &[f32], out: &mut [f32]) {
    let rows = || points.chunks_exact(3).map(|p| [p[0], p[1], p[2]]);
    for (i, anchor) in boxes.iter().rev().take(2).enumerate() {
        for (p, row) in rows().zip(out.chunks_exact_mut(POINT_RELATION_WIDTH)) {
            let c = anchor.center;
            let far = (p[0] - c[0]).hypot(p[1] - c[1]);
            row[i * NEAR_WIDTH..][..NEAR_WIDTH].copy_from_slice(&[far / METRES_PER_UNIT, (-far).exp(), p[2] - c[2]]);
        }
    }
    if let Some(last) = boxes.last() {
        for (p, row) in rows().zip(out.chunks_exact_mut(POINT_RELATION_WIDTH)) {
            let side = |k: usize| (p[k] - last.center[k]) / ((p[k] - last.center[k]).abs() + BESIDE_M);
            let any = boxes.iter().map(|of| within(of, p)).fold(0.0, f32::max);
            row[2 * NEAR_WIDTH + 2 * SEEN_WIDTH..].copy_from_slice(&[side(0), side(1), within(last, p), any]);
        }
    }
    let [first, second, ..] = boxes else { return };
    let way = way(first, second);
    let length = way[0].hypot(way[1]).max(f32::EPSILON);
    let ahead = way.map(|x| x / length);
    for (i, share) in [share_within(first, way), 0.5].into_iter().enumerate() {
        let stand: [f32; 2] = std::array::from_fn(|k| first.center[k] + share * way[k]);
        for (p, row) in rows().zip(out.chunks_exact_mut(POINT_RELATION_WIDTH)) {
            let (dx, dy) = (p[0] - stand[0], p[1] - stand[1]);
            let far = dx.hypot(dy).max(f32::EPSILON);
            let (cos, sin) = ((dx * ahead[0] + dy * ahead[1]) / far, (dy * ahead[0] - dx * ahead[1]) / far);
            let seen = &mut row[2 * NEAR_WIDTH + i * SEEN_WIDTH..][..SEEN_WIDTH];
            seen.copy_from_slice(&[sin, cos, far / METRES_PER_UNIT, (-far).exp()]);
        }
    }
}

/// 1 within the box, and less outside of it: 0 from twice its extents on.
fn within(of: &FocusBox, p: [f32; 3]) -> f32 {
    let size = extents(of);
    let off = |k: usize| (p[k] - of.center[k]).abs() / (0.5 * size[k] + OUTLINE_M);
    (2.0 - (0..3).map(off).fold(0.0, f32::max)).clamp(0.0, 1.0)
}

/// The way from one to another on the floor plan, metres.
fn way(from: &FocusBox, to: &FocusBox) -> [f32; 2] {
    std::array::from_fn(|k| to.center[k] - from.center[k])
}

/// The share of `way`, which begins at the centre of `of`, that lies within it.
fn share_within(of: &FocusBox, way: [f32; 2]) -> f32 {
    let size = extents(of);
    (0..2).filter(|&k| way[k].abs() > f32::EPSILON).map(|k| 0.5 * size[k] / way[k].abs()).fold(1.0, f32::min)
}

/// An angle in its [`ANGLE_STEPS`].
fn angle(radians: f32, out: &mut Vec<f32>) {
    shares(radians / std::f32::consts::TAU * ANGLE_STEPS as f32, ANGLE_STEPS, out);
}

/// A length, metres, in its [`LENGTH_WIDTH`] steps; beyond the last half metre it is at the last.
fn length(metres: f32, out: &mut Vec<f32>) {
    shares((2.0 * metres).clamp(0.0, (HALF_METRES - 1) as f32), HALF_METRES, out);
    shares(TENTHS as f32 * metres, TENTHS, out);
}

/// `count` numbers that are zero but for the two steps that `at` lies between, on a circle of `count`; they sum to one.
fn shares(at: f32, count: usize, out: &mut Vec<f32>) {
    let at = at.rem_euclid(count as f32);
    let (below, share) = (at.floor(), at.fract());
    let start = out.len();
    out.resize(start + count, 0.0);
    out[start + below as usize % count] += 1.0 - share;
    out[start + (below as usize + 1) % count] += share;
}

fn extents(of: &FocusBox) -> [f32; 3] {
    of.size.map(|x| x.clamp(EXTENT_M.0, EXTENT_M.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32) -> FocusBox {
        FocusBox { center: [x, y, 0.5], size: [0.4, 0.6, 1.0] }
    }

    fn features(boxes: &[FocusBox]) -> Vec<f32> {
        let mut out = Vec::new();
        relation_features(boxes, &mut out);
        out
    }

    #[test]
    fn there_are_as_many_as_declared_however_many_boxes() {
        let boxes = [at(0.0, 0.0), at(1.0, 0.0), at(1.0, 2.0), at(-1.0, 2.0), at(0.0, 0.0)];
        for n in 0..=boxes.len() {
            let all = features(&boxes[..n]);
            assert_eq!(all.len(), RELATION_WIDTH);
            assert!(all.iter().all(|x| x.is_finite()));
        }
        assert!(features(&[]).iter().all(|x| *x == 0.0));
        let wild = FocusBox { center: [3.0e4, -1.0, 0.0], size: [0.0, f32::MAX, -1.0] };
        assert!(features(&[wild, wild, wild]).iter().all(|x| x.is_finite()));
    }

    /// Where `shares` are, in steps: of one or two neighbours.
    fn at_step(shares: &[f32]) -> f32 {
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5 && shares.iter().all(|x| *x >= 0.0));
        let first =
            (0..shares.len()).find(|&i| shares[i] > 0.0 && shares[(i + shares.len() - 1) % shares.len()] == 0.0);
        let first = first.unwrap();
        (first as f32 + shares[(first + 1) % shares.len()]) % shares.len() as f32
    }

    #[test]
    fn left_is_left_wherever_one_looks_from() {
        // at the origin, facing along x: what is at +y is on the left, for every turn of the whole
        let turn = |p: (f32, f32), by: f32| at(p.0 * by.cos() - p.1 * by.sin(), p.0 * by.sin() + p.1 * by.cos());
        for by in [0.0, 0.7, 2.0, -2.5] {
            let boxes = [turn((0.0, 0.0), by), turn((3.0, 0.0), by), turn((0.0, 2.0), by)];
            let from_first = &features(&boxes)[OWN_WIDTH + ANCHORS * PAIR_WIDTH + 1..][..PLACE_WIDTH];
            assert!((at_step(&from_first[..HALF_METRES]) - 4.0).abs() < 1e-3, "2 m are 4 half metres");
            let bearing = at_step(&from_first[LENGTH_WIDTH + ANGLE_STEPS..]);
            assert!((bearing - 9.0).abs() < 1e-3, "90 degrees to the left: {bearing}");
            let direction = at_step(&from_first[LENGTH_WIDTH..][..ANGLE_STEPS]);
            let expected = (90.0 + by.to_degrees()).rem_euclid(360.0) / 10.0;
            assert!((direction - expected).abs() < 1e-3, "{direction} {expected}");
        }
    }

    #[test]
    fn lengths_are_told_by_half_metres_and_tenths() {
        for (metres, halves, tenths) in [(0.0, 0.0, 0.0), (1.26, 2.52, 2.6), (3.4, 6.8, 4.0), (30.0, 15.0, 0.0)] {
            let mut out = Vec::new();
            length(metres, &mut out);
            assert!((at_step(&out[..HALF_METRES]) - halves).abs() < 1e-3, "{metres}");
            assert!((at_step(&out[HALF_METRES..]) - tenths).abs() < 1e-2, "{metres}");
        }
    }

    #[test]
    fn points_are_seen_from_where_one_stands() {
        // one stands at the edge of the first box, 0.2 m from its centre, and faces along x
        let boxes = [at(0.0, 0.0), at(3.0, 0.0)];
        let mut out = vec![0.0; 2 * POINT_RELATION_WIDTH];
        point_relations(&boxes, &[0.2, 2.0, 0.5, 1.5, -1.0, 1.5], &mut out);
        let [left, right] = [0, 1].map(|i| &out[i * POINT_RELATION_WIDTH..][..POINT_RELATION_WIDTH]);
        let at_edge = 2 * NEAR_WIDTH;
        assert!((left[at_edge] - 1.0).abs() < 1e-6 && left[at_edge + 1].abs() < 1e-6);
        assert!((left[at_edge + 2] - 2.0 / METRES_PER_UNIT).abs() < 1e-6);
        let half_way = at_edge + SEEN_WIDTH;
        assert!((right[half_way] + 1.0).abs() < 1e-6 && right[half_way + 1].abs() < 1e-6);
        assert!((right[2] - 1.0).abs() < 1e-6, "a metre higher than the last box");
        let mut alone = vec![0.0; POINT_RELATION_WIDTH];
        point_relations(&boxes[..1], &[1.0, 0.0, 0.5], &mut alone);
        let next = 2 * NEAR_WIDTH + 2 * SEEN_WIDTH;
        assert!(alone[0] > 0.0 && alone[NEAR_WIDTH..next].iter().all(|x| *x == 0.0));
    }

    #[test]
    fn what_was_pointed_at_is_told_from_what_comes_next() {
        let boxes = [at(0.0, 0.0), at(2.0, 0.0)];
        let points = [0.1, 0.1, 0.5, 2.1, -0.2, 0.6, 4.0, 0.0, 0.5];
        let mut out = vec![0.0; 3 * POINT_RELATION_WIDTH];
        point_relations(&boxes, &points, &mut out);
        let next = |i: usize| &out[(i + 1) * POINT_RELATION_WIDTH - NEXT_WIDTH..][..NEXT_WIDTH];
        assert!(next(0)[0] < -0.9 && next(1)[0] > 0.0 && next(2)[0] > 0.9, "along x of the last");
        assert!(next(1)[1] < -0.5 && next(2)[1] == 0.0, "along y of the last");
        assert_eq!(next(0)[2..], [0.0, 1.0], "in the first");
        assert_eq!(next(1)[2..], [1.0, 1.0], "in the last");
        assert_eq!(next(2)[2..], [0.0, 0.0], "in none");
        let wild = FocusBox { center: [3.0e4, f32::MAX, 0.0], size: [0.0, f32::MAX, -1.0] };
        point_relations(&[wild], &points, &mut out);
        assert!(out.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn distances_and_heights_are_those_of_the_boxes() {
        let low = FocusBox { center: [0.0, 0.0, 0.2], size: [0.4, 0.4, 0.4] };
        let on_it = FocusBox { center: [0.0, 0.0, 0.5], size: [0.2, 0.2, 0.2] };
        let pair = &features(&[low, on_it])[OWN_WIDTH..][..PAIR_WIDTH];
        assert_eq!(pair[0], 1.0);
        assert!(pair[8].abs() < 1e-6, "it stands on it");
        assert!((pair[9] - 0.2).abs() < 1e-6, "its top is 0.2 m higher");
        let beside = FocusBox { center: [1.0, 0.0, 0.2], ..low };
        let pair = &features(&[low, beside])[OWN_WIDTH..][..PAIR_WIDTH];
        assert!((pair[4] - 0.6 / METRES_PER_UNIT).abs() < 1e-6, "0.6 m of floor between them");
    }
}
