//! Marked cells of a grid in, the distance of every cell to the nearest of them out: the exact Euclidean distance transform of
//! Felzenszwalb and Huttenlocher (Theory of Computing, 2012), one axis after the other, in time linear in the cells.

/// Distance of each cell's centre to that of the nearest marked cell, in cells, row-major like `is_marked`; infinite where none
/// is marked. `is_marked` holds whole rows of `columns` cells.
pub(super) fn distances(is_marked: &[bool], columns: usize) -> Vec<f32> {
    if columns == 0 {
        return Vec::new();
    }
    let rows = is_marked.len() / columns;
    let mut squares: Vec<f64> = is_marked.iter().map(|marked| if *marked { 0.0 } else { f64::INFINITY }).collect();
    let mut line = Line::default();
    for column in 0..columns {
        line.transform(&mut squares, column, columns, rows);
    }
    for row in 0..rows {
        line.transform(&mut squares, row * columns, 1, columns);
    }
    squares.into_iter().map(|square| square.sqrt() as f32).collect()
}

/// The lower envelope of parabolas along one line of cells; its memory is used again.
#[derive(Default)]
struct Line {
    values: Vec<f64>,
    /// Places of the parabolas that are the lowest somewhere, and from where on each is.
    lowest: Vec<(usize, f64)>,
}

impl Line {
    /// Replaces each of `count` values, `step` apart from `start` on, by the least of value + squared distance over all of them.
    fn transform(&mut self, grid: &mut [f64], start: usize, step: usize, count: usize) {
        self.values.clear();
        self.values.extend((0..count).map(|i| grid[start + i * step]));
        self.lowest.clear();
        for (i, value) in self.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let at = i as f64;
            // where this parabola comes below the last one that is still needed
            let mut from = f64::NEG_INFINITY;
            while let Some((other, other_from)) = self.lowest.last() {
                let o = *other as f64;
                from = ((value + at * at) - (self.values[*other] + o * o)) / (2.0 * (at - o));
                if from > *other_from {
                    break;
                }
                self.lowest.pop();
                from = f64::NEG_INFINITY;
            }
            self.lowest.push((i, from));
        }
        let mut current = 0;
        for i in 0..count {
            while self.lowest.get(current + 1).is_some_and(|(_, from)| *from <= i as f64) {
                current += 1;
            }
            let Some((place, _)) = self.lowest.get(current) else { return };
            let off = i as f64 - *place as f64;
            grid[start + i * step] = self.values[*place] + off * off;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_are_those_of_looking_at_every_marked_cell(columns in 1..17usize, marks in prop::collection::vec(prop::bool::weighted(0.06), 1..250)) {
            let rows = marks.len() / columns;
            let marks = &marks[..rows * columns];
            let found = distances(marks, columns);
            prop_assert_eq!(found.len(), marks.len());
            for (i, distance) in found.iter().enumerate() {
                let to = |j: usize| {
                    let (dx, dy) = ((i % columns).abs_diff(j % columns) as f32, (i / columns).abs_diff(j / columns) as f32);
                    dx.hypot(dy)
                };
                let truth = (0..marks.len()).filter(|j| marks[*j]).map(to).fold(f32::INFINITY, f32::min);
                prop_assert!(*distance == truth || (distance - truth).abs() < 1e-4, "{} for {}", distance, truth);
            }
        }
    }

    #[test]
    fn no_columns_have_no_distances() {
        assert!(distances(&[], 0).is_empty() && distances(&[], 3).is_empty());
    }
}
