//! Points with their kinds in, the things that they make up out; and of each view, how much it shows of the things that a
//! question is about.

use std::collections::HashMap;

/// Points of one kind belong to one thing where they lie in the same or touching cells of this side, metres.
const CELL_M: f32 = 0.3;

type Cell = [i32; 3];

/// For each point the number of its thing, from 0 on without gaps: points of one kind that touch. `kinds`: one a point, such as
/// the likeliest class; points without one, or without a position, are left out at the end.
pub fn things(positions: &[[f32; 3]], kinds: &[u32]) -> Vec<u32> {
    // what is not finite ends up in some cell
    let cell_of = |p: &[f32; 3]| -> Cell { p.map(|x| (x / CELL_M).floor() as i32) };
    let keys: Vec<(Cell, u32)> = positions.iter().map(cell_of).zip(kinds.iter().copied()).collect();
    let mut points_of: HashMap<(Cell, u32), Vec<usize>> = HashMap::new();
    keys.iter().enumerate().for_each(|(i, key)| points_of.entry(*key).or_default().push(i));
    let mut out = vec![0; keys.len()];
    let mut count = 0;
    for first in &keys {
        if !points_of.contains_key(first) {
            continue;
        }
        let mut open = vec![*first];
        while let Some((cell, kind)) = open.pop() {
            let Some(points) = points_of.remove(&(cell, kind)) else { continue };
            points.into_iter().for_each(|i| out[i] = count);
            open.extend(around(cell).map(|near| (near, kind)));
        }
        count += 1;
    }
    out
}

/// A cell and those that touch it.
fn around([x, y, z]: Cell) -> impl Iterator<Item = Cell> {
    let moved = |at: i32, by: i32| at.saturating_add(by);
    (0..27).map(move |i| [moved(x, i % 3 - 1), moved(y, i / 3 % 3 - 1), moved(z, i / 9 - 1)])
}

/// How many of its pixels each view spends on each point that it sees, point by point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointViews {
    /// Where each point's views begin, and where the last one's end.
    starts: Vec<usize>,
    views: Vec<u32>,
    pixels: Vec<f32>,
    count: usize,
}

impl PointViews {
    /// Of `points` points. `visible[v]`: the points that view v sees; `pixels[v]`: as many numbers above 0, in any unit that
    /// all views share. What is no point is left out.
    pub fn new(points: usize, visible: &[Vec<u32>], pixels: &[Vec<f32>]) -> Self {
        let entries = || {
            let of_view = |(view, (list, pixels))| {
                let list: &Vec<u32> = list;
                let pixels: &Vec<f32> = pixels;
                list.iter().zip(pixels).map(move |(point, amount)| (*point as usize, view, *amount))
            };
            (0u32..).zip(visible.iter().zip(pixels)).flat_map(of_view).filter(|(point, ..)| *point < points)
        };
        let mut starts = vec![0; points + 1];
        entries().for_each(|(point, ..)| starts[point + 1] += 1);
        (0..points).for_each(|i| starts[i + 1] += starts[i]);
        let total = starts[points];
        let (mut views, mut amounts) = (vec![0; total], vec![0.0; total]);
        let mut free = starts.clone();
        for (point, view, amount) in entries() {
            views[free[point]] = view;
            amounts[free[point]] = amount;
            free[point] += 1;
        }
        Self { starts, views, pixels: amounts, count: visible.len() }
    }

    /// Memory of the lists.
    pub fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<usize>() + self.views.capacity() * 4 + self.pixels.capacity() * 4
    }

    fn of(&self, point: usize) -> impl Iterator<Item = (usize, f32)> {
        let range = match (self.starts.get(point), self.starts.get(point + 1)) {
            (Some(start), Some(end)) => *start..*end,
            _ => 0..0,
        };
        self.views[range.clone()].iter().map(|view| *view as usize).zip(self.pixels[range].iter().copied())
    }
}

/// How well each view shows each thing that a question is about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shown {
    /// Of each thing; they add up to 1.
    weights: Vec<f32>,
    /// View by view, of each thing the pixels that the view spends on it as a share of what the best view does.
    shares: Vec<f32>,
}

impl Shown {
    /// `values`: of each point, how relevant it is, up to 1; 0 and less, and NaN, is not at all. `things`: of each point, as
    /// [`things`] gives them. A thing weighs what its relevant points are worth in the mean, weighted by themselves, so that
    /// its size has no part in it. Where nothing is relevant everything is.
    pub fn new(values: &[f32], things: &[u32], points: &PointViews) -> Self {
        let relevant = |v: &f32| *v > 0.0;
        if !values.iter().any(relevant) && !things.is_empty() {
            return Self::new(&vec![1.0; things.len()], things, points);
        }
        let named = || values.iter().zip(things).enumerate().filter(|(_, (v, _))| relevant(v));
        let mut place: HashMap<u32, usize> = HashMap::new();
        let mut sums: Vec<[f32; 2]> = Vec::new();
        for (_, (value, thing)) in named() {
            let at = *place.entry(*thing).or_insert_with(|| {
                sums.push([0.0; 2]);
                sums.len() - 1
            });
            sums[at][0] += value;
            sums[at][1] += value * value;
        }
        let count = sums.len();
        let mut shares = vec![0.0f32; points.count * count];
        for (point, (value, thing)) in named() {
            for (view, pixels) in points.of(point) {
                shares[view * count + place[thing]] += value * pixels;
            }
        }
        let mut best = vec![f32::MIN_POSITIVE; count];
        for of_view in shares.chunks(count.max(1)) {
            best.iter_mut().zip(of_view).for_each(|(best, share)| *best = best.max(*share));
        }
        for of_view in shares.chunks_mut(count.max(1)) {
            of_view.iter_mut().zip(&best).for_each(|(share, best)| *share /= best);
        }
        let worth: Vec<f32> = sums.iter().map(|[values, squares]| squares / values).collect();
        let total: f32 = worth.iter().sum();
        Self { weights: worth.iter().map(|w| w / total).collect(), shares }
    }

    /// Things.
    pub fn things(&self) -> usize {
        self.weights.len()
    }

    fn of(&self, view: usize) -> &[f32] {
        let count = self.things();
        self.shares.get(view * count..(view + 1) * count).unwrap_or(&[])
    }

    /// What `view` shows of all, 0 to 1.
    pub(super) fn share(&self, view: usize) -> f32 {
        self.weights.iter().zip(self.of(view)).map(|(weight, share)| weight * share).sum()
    }

    /// What `view` shows better than `best` says of each thing, 0 to 1.
    pub(super) fn better(&self, view: usize, best: &[f32]) -> f32 {
        let of_thing = |((weight, share), best): ((&f32, &f32), &f32)| weight * (share - best).max(0.0);
        self.weights.iter().zip(self.of(view)).zip(best).map(of_thing).sum()
    }

    /// Raises `best` to what `view` shows.
    pub(super) fn raise(&self, view: usize, best: &mut [f32]) {
        best.iter_mut().zip(self.of(view)).for_each(|(best, share)| *best = best.max(*share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_one_kind_that_touch_are_a_thing() {
        let row: Vec<[f32; 3]> = (0..10).map(|i| [0.2 * i as f32, 0.0, 0.0]).collect();
        assert_eq!(things(&row, &[0; 10]), [0; 10]);
        // a cup stands amid them, and a gap of more than a cell parts two
        let kinds = [0, 0, 0, 0, 7, 0, 0, 0, 0, 0];
        assert_eq!(things(&row, &kinds), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        let apart = [[0.0; 3], [0.7, 0.0, 0.0], [f32::NAN, f32::INFINITY, 0.0], [f32::NEG_INFINITY, 0.0, 0.0]];
        assert_eq!(things(&apart, &[0; 4]), [0, 1, 2, 3]);
        assert_eq!(things(&apart, &[0]), [0]);
        assert!(things(&[], &[]).is_empty());
    }

    /// Three points, the first two one thing: view 0 sees it near, 1 from far, 2 the other thing.
    fn three() -> PointViews {
        let visible = [vec![0, 1], vec![0, 1, 99], vec![2]];
        PointViews::new(3, &visible, &[vec![4.0, 4.0], vec![1.0, 1.0, 1.0], vec![0.5]])
    }

    #[test]
    fn a_view_shows_its_share_of_the_best() {
        let shown = Shown::new(&[0.8, 0.8, 0.4], &[0, 0, 1], &three());
        assert_eq!(shown.things(), 2);
        let shares: Vec<f32> = (0..4).map(|view| shown.share(view)).collect();
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(near(shares[0], 2.0 / 3.0) && near(shares[1], 1.0 / 6.0) && near(shares[2], 1.0 / 3.0), "{shares:?}");
        assert_eq!(shares[3], 0.0);
        let mut best = vec![0.0; 2];
        shown.raise(1, &mut best);
        assert!(near(shown.better(0, &best), 0.5) && near(shown.better(1, &best), 0.0));
    }

    #[test]
    fn where_nothing_is_relevant_everything_is() {
        let shown = Shown::new(&[0.0, -1.0, f32::NAN], &[0, 0, 1], &three());
        assert_eq!((shown.things(), shown.share(2)), (2, 0.5));
        let nothing = Shown::new(&[], &[], &PointViews::default());
        assert_eq!((nothing.things(), nothing.share(0)), (0, 0.0));
    }
}
