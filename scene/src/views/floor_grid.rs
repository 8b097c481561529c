//! Places on the floor in, the square cells that hold them out, and which cells lie beside each other.

use super::error::ViewError;

/// Cells around all places, so that unknown floor has a place at the border.
const BORDER_CELLS: f64 = 1.0;

/// A grid of cells, row by row from least x and y: cell `i` is in column (x) `i % columns` and row (y) `i / columns`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FloorGrid {
    /// The first cell's least corner, in cells from the world's origin, so that a growing map keeps its lattice.
    first: [f64; 2],
    /// At least 1.
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Side of a cell, metres.
    pub(super) cell_m: f64,
}

impl FloorGrid {
    /// The grid that holds all places (x, y, metres, finite), and a cell around them.
    ///
    /// # Errors
    /// [`ViewError::NoFloor`] without places, [`ViewError::TooManyCells`] beyond `max_cells`.
    pub(super) fn around(
        places: impl Iterator<Item = [f64; 2]>,
        cell_m: f64,
        max_cells: usize,
    ) -> Result<Self, ViewError> {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for place in places {
            for k in 0..2 {
                low[k] = low[k].min(place[k]);
                high[k] = high[k].max(place[k]);
            }
        }
        if low[0] > high[0] {
            return Err(ViewError::NoFloor);
        }
        let first = low.map(|x| (x / cell_m).floor() - BORDER_CELLS);
        let [columns, rows] = std::array::from_fn(|k| (high[k] / cell_m).floor() - first[k] + 1.0 + BORDER_CELLS);
        if columns * rows > max_cells as f64 {
            return Err(ViewError::TooManyCells { columns, rows, max_cells });
        }
        Ok(Self { first, columns: columns as usize, rows: rows as usize, cell_m })
    }

    /// The cell that holds a place; `None` beyond the grid.
    pub(super) fn cell_at(&self, place: [f64; 2]) -> Option<usize> {
        let [x, y] = self.in_cells(place).map(f64::floor);
        let within = (0.0..self.columns as f64).contains(&x) && (0.0..self.rows as f64).contains(&y);
        within.then(|| self.cell(x as usize, y as usize))
    }

    /// Centre of a cell, x, y, metres.
    pub(super) fn center(&self, cell: usize) -> [f64; 2] {
        let at = self.column_row(cell);
        std::array::from_fn(|k| (self.first[k] + at[k] as f64 + 0.5) * self.cell_m)
    }

    /// The cell in a column and row.
    pub(super) fn cell(&self, column: usize, row: usize) -> usize {
        row * self.columns + column
    }

    /// Column and row of a cell.
    pub(super) fn column_row(&self, cell: usize) -> [usize; 2] {
        [cell % self.columns, cell / self.columns]
    }

    /// Cells whose centre lies within `reach_m` of a place, in order.
    pub(super) fn cells_within(self, place: [f64; 2], reach_m: f64) -> impl Iterator<Item = usize> {
        let [x, y] = self.in_cells(place);
        let reach = reach_m / self.cell_m;
        // what is not a number becomes 0, and then no centre lies within
        let span = |at: f64, count: usize| {
            ((at - reach).max(0.0) as usize)..((at + reach).max(0.0) as usize).saturating_add(1).min(count)
        };
        let columns = span(x, self.columns);
        span(y, self.rows)
            .flat_map(move |row| columns.clone().map(move |column| (column, row)))
            .filter(move |(column, row)| (*column as f64 + 0.5 - x).hypot(*row as f64 + 0.5 - y) <= reach)
            .map(move |(column, row)| self.cell(column, row))
    }

    /// The up to eight cells around a cell.
    pub(super) fn neighbours(self, cell: usize) -> impl Iterator<Item = usize> {
        let [column, row] = self.column_row(cell);
        let columns = column.saturating_sub(1)..(column + 2).min(self.columns);
        (row.saturating_sub(1)..(row + 2).min(self.rows))
            .flat_map(move |y| columns.clone().map(move |x| self.cell(x, y)))
            .filter(move |other| *other != cell)
    }

    /// The up to four cells that share a side with a cell.
    pub(super) fn beside(self, cell: usize) -> impl Iterator<Item = usize> {
        let own = self.column_row(cell);
        self.neighbours(cell).filter(move |other| {
            let at = self.column_row(*other);
            at[0] == own[0] || at[1] == own[1]
        })
    }

    fn in_cells(&self, place: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|k| place[k] / self.cell_m - self.first[k])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid() -> FloorGrid {
        FloorGrid::around([[-0.32, 0.01], [0.49, 0.99]].into_iter(), 0.1, 1000).unwrap()
    }

    proptest! {
        #[test]
        fn a_place_lies_in_its_cell_and_near_ones_are_those_within_reach(x in -0.6..0.7f64, y in -0.2..1.2f64, reach in 0.0..0.5f64) {
            let grid = grid();
            if let Some(cell) = grid.cell_at([x, y]) {
                let [cx, cy] = grid.center(cell);
                prop_assert!((cx - x).abs() <= 0.0501 && (cy - y).abs() <= 0.0501);
            } else {
                prop_assert!(!(-0.5..0.6).contains(&x) || !(-0.1..1.1).contains(&y));
            }
            let near: Vec<usize> = grid.cells_within([x, y], reach).collect();
            let away = |cell: usize| (grid.center(cell)[0] - x).hypot(grid.center(cell)[1] - y);
            for cell in 0..grid.columns * grid.rows {
                prop_assert!(near.contains(&cell) == (away(cell) <= reach) || (away(cell) - reach).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn cells_have_eight_neighbours_and_three_in_a_corner() {
        let grid = grid();
        assert_eq!((grid.columns, grid.rows), (11, 12));
        assert_eq!(grid.neighbours(0).collect::<Vec<_>>(), [1, 11, 12]);
        assert_eq!(grid.neighbours(12).count(), 8);
        assert_eq!(grid.beside(12).collect::<Vec<_>>(), [1, 11, 13, 23]);
        assert_eq!(grid.beside(131).collect::<Vec<_>>(), [120, 130]);
    }

    #[test]
    fn grids_are_bounded_before_anything_is_allocated() {
        let wide = [[0.0, 0.0], [1.0e30, 1.0e30]];
        assert!(matches!(FloorGrid::around(wide.into_iter(), 0.1, 1000), Err(ViewError::TooManyCells { .. })));
        assert_eq!(FloorGrid::around(std::iter::empty(), 0.1, 1000), Err(ViewError::NoFloor));
        assert_eq!(
            grid().cells_within([f64::NAN, 0.5], 1.0).count() + grid().cells_within([9.0, f64::INFINITY], 1.0).count(),
            0
        );
    }
}
