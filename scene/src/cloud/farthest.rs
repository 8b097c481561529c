//! Points in, a sample of them that lie far apart out: farthest-point sampling (Gonzalez 1985; Eldar et al. 1997).

use super::CloudError;

/// Points a bucket holds at most; a bucket too far from a new sample to change is skipped as a whole.
const BUCKET_POINTS: usize = 64;

/// Writes to `chosen` (overwritten) the indices of up to `count` points: `start`, then always the point farthest from all
/// chosen so far, of equals the one of least index. Fewer are chosen when every point left equals a chosen one.
///
/// The choice is exact, that of the plain double loop: buckets of a kd-split skip work, nothing else (the idea of QuickFPS,
/// Han et al. 2023). Points that are not finite are never chosen.
///
/// # Errors
/// [`CloudError`] when `start` is not the index of a finite point, and for more points than 32 bits can number.
pub fn farthest_points(
    points: &[[f32; 3]],
    start: usize,
    count: usize,
    chosen: &mut Vec<u32>,
) -> Result<(), CloudError> {
    CloudError::check_count(points.len())?;
    chosen.clear();
    if count == 0 {
        return Ok(());
    }
    if !points.get(start).is_some_and(is_finite) {
        return Err(CloudError::Start { start, points: points.len() });
    }
    let mut order: Vec<u32> = (0..points.len() as u32).filter(|&i| is_finite(&points[i as usize])).collect();
    let mut members: Vec<Member> = Vec::with_capacity(order.len());
    let mut buckets = Vec::new();
    split(points, &mut order, &mut members, &mut buckets);
    let mut next = start as u32;
    loop {
        chosen.push(next);
        if chosen.len() >= count {
            return Ok(());
        }
        let sample = points[next as usize];
        for bucket in &mut buckets {
            bucket.update(&mut members, &sample);
        }
        // buckets are not empty, and neither is their list: it holds the start
        let farthest = buckets.iter().map(|b| (b.farthest, b.index)).reduce(farther);
        match farthest {
            Some((distance, index)) if distance > 0.0 => next = index,
            _ => return Ok(()),
        }
    }
}

fn is_finite(point: &[f32; 3]) -> bool {
    point.iter().all(|x| x.is_finite())
}

/// The farther of two; of equals the one of less index.
fn farther(a: (f32, u32), b: (f32, u32)) -> (f32, u32) {
    if b.0 > a.0 || (b.0 == a.0 && b.1 < a.1) { b } else { a }
}

struct Member {
    position: [f32; 3],
    /// Squared, to the nearest sample; infinite before the first.
    distance: f32,
    index: u32,
}

struct Bucket {
    members: std::ops::Range<usize>,
    min: [f32; 3],
    max: [f32; 3],
    /// The greatest of the members' distances, and whose it is.
    farthest: f32,
    index: u32,
}

impl Bucket {
    fn update(&mut self, members: &mut [Member], sample: &[f32; 3]) {
        // to the nearest place of the box; rounding is monotonic, so no member can come out nearer than this
        let gap: [f32; 3] = std::array::from_fn(|k| (self.min[k] - sample[k]).max(sample[k] - self.max[k]).max(0.0));
        if squared(gap) >= self.farthest && self.farthest < f32::INFINITY {
            return;
        }
        let mut best = (f32::NEG_INFINITY, u32::MAX);
        for member in &mut members[self.members.clone()] {
            let gap = std::array::from_fn(|k| member.position[k] - sample[k]);
            member.distance = member.distance.min(squared(gap));
            best = farther(best, (member.distance, member.index));
        }
        (self.farthest, self.index) = best;
    }
}

fn squared(d: [f32; 3]) -> f32 {
    d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
}

/// Halves the points along the longest side of their bounds until they fit buckets.
fn split(points: &[[f32; 3]], order: &mut [u32], members: &mut Vec<Member>, buckets: &mut Vec<Bucket>) {
    let (mut min, mut max) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for p in order.iter().map(|&i| points[i as usize]) {
        for k in 0..3 {
            (min[k], max[k]) = (min[k].min(p[k]), max[k].max(p[k]));
        }
    }
    if order.len() <= BUCKET_POINTS {
        let start = members.len();
        members.extend(order.iter().map(|&index| Member {
            position: points[index as usize],
            distance: f32::INFINITY,
            index,
        }));
        if let Some(&index) = order.first() {
            buckets.push(Bucket { members: start..members.len(), min, max, farthest: f32::INFINITY, index });
        }
        return;
    }
    let extent = |k: usize| max[k] - min[k];
    let axis = (1..3).fold(0, |best, k| if extent(k) > extent(best) { k } else { best });
    let middle = order.len() / 2;
    order.select_nth_unstable_by(middle, |&a, &b| {
        points[a as usize][axis].total_cmp(&points[b as usize][axis]).then(a.cmp(&b))
    });
    let (low, high) = order.split_at_mut(middle);
    split(points, low, members, buckets);
    split(points, high, members, buckets);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The double loop.
    fn naive(points: &[[f32; 3]], start: usize, count: usize) -> Vec<u32> {
        let mut chosen = vec![start as u32];
        let mut distances = vec![f32::INFINITY; points.len()];
        while chosen.len() < count {
            let last = points[*chosen.last().unwrap() as usize];
            for (d, p) in distances.iter_mut().zip(points) {
                *d = d.min((p[0] - last[0]).powi(2) + (p[1] - last[1]).powi(2) + (p[2] - last[2]).powi(2));
            }
            let farthest = distances.iter().copied().fold(0.0, f32::max);
            if farthest == 0.0 {
                break;
            }
            chosen.push(distances.iter().position(|d| *d == farthest).unwrap() as u32);
        }
        chosen
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_the_double_loop(
            smooth in prop::collection::vec(prop::array::uniform3(-3.0..3.0f32), 1..400),
            raster in prop::collection::vec(prop::array::uniform3(-3..3i32), 0..400),
            start: prop::sample::Index, count in 1..120usize,
        ) {
            // a raster has many equal distances and equal points
            let mut points = smooth;
            points.extend(raster.iter().map(|p| p.map(|x| x as f32)));
            let start = start.index(points.len());
            let mut chosen = Vec::new();
            farthest_points(&points, start, count, &mut chosen).unwrap();
            prop_assert_eq!(chosen, naive(&points, start, count));
        }
    }

    #[test]
    fn equal_broken_and_huge_points_end_the_choice_early() {
        let mut points = vec![[1.0; 3]; 500];
        points.extend([[f32::NAN; 3], [2.0; 3], [f32::INFINITY; 3], [-3.0e38; 3]]);
        let mut chosen = Vec::new();
        farthest_points(&points, 3, usize::MAX, &mut chosen).unwrap();
        assert_eq!(chosen, [3, 503, 501]);
        assert!(farthest_points(&points, 500, 3, &mut chosen).is_err());
        let error = farthest_points(&[], 0, 3, &mut chosen).unwrap_err();
        assert_eq!(error.to_string(), "start 0 is not the index of a finite point among 0; choose one that is");
        assert_eq!(farthest_points(&[], 0, 0, &mut chosen), Ok(()));
    }
}
