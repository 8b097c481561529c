//! Cells of a regular grid in, consecutive numbers in order of first appearance out: an open-addressing hash table that
//! grows with the cells that are filled, never with the extent of the space.

/// Integer coordinates of a cell, x, y, z.
pub(crate) type Cell = [i32; 3];

/// Marks an unused slot. Callers show fewer cells than this.
const EMPTY: u32 = u32::MAX;
/// Slots of a new table.
const MIN_SLOTS: usize = 1 << 10;
/// Cells lie within this of the origin on every axis: farther out, f32 does not resolve the half of a cell.
const MAX_COORDINATE: f32 = 4_194_303.0; // 2^22 - 1

/// In place of a coordinate that is not finite.
pub(crate) const NOWHERE: i32 = i32::MIN;

/// Numbers the distinct cells it is shown.
#[derive(Debug, Clone)]
pub(crate) struct CellMap {
    /// Numbers of cells by hash; a power of two of them, at most half used. Only numbers, so that the part that is
    /// accessed at random is small.
    slots: Vec<u32>,
    /// The cells by number.
    cells: Vec<Cell>,
}

impl CellMap {
    pub(crate) fn new() -> Self {
        Self { slots: vec![EMPTY; MIN_SLOTS], cells: Vec::new() }
    }

    /// Forgets all cells and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.cells.clear();
    }

    /// The cells by number.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cell's number: a new one, equal to the count of cells before, when the cell was not seen before.
    #[inline]
    pub(crate) fn number(&mut self, cell: Cell) -> u32 {
        let at = match self.find(cell) {
            Ok(number) => return number,
            Err(at) => at,
        };
        let number = self.cells.len() as u32;
        self.slots[at] = number;
        self.cells.push(cell);
        if self.cells.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    /// The cell's number, or the slot where it would be noted.
    #[inline(always)]
    fn find(&self, cell: Cell) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash(cell) as usize & mask;
        loop {
            let number = self.slots[at];
            if number == EMPTY {
                return Err(at);
            }
            if self.cells[number as usize] == cell {
                return Ok(number);
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        for (number, cell) in self.cells.iter().enumerate() {
            let mut at = hash(*cell) as usize & (slots - 1);
            while self.slots[at] != EMPTY {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = number as u32;
        }
    }
}

/// Mixes the three coordinates: products with odd constants (the primes of Teschner et al. 2003), then the finaliser's
/// shift and product that bring the high bits, where the products mix best, down to the table's mask.
#[inline]
fn hash(cell: Cell) -> u64 {
    let [x, y, z] = cell.map(|c| u64::from(c.cast_unsigned()));
    let mixed = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663 << 10) ^ z.wrapping_mul(83_492_791 << 20);
    let mixed = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15); // 2^64 / golden ratio (Knuth, TAOCP 3, 6.4)
    mixed ^ (mixed >> 32)
}

/// The cell of side `side_m` that each coordinate falls into, clamped to the table's range; [`NOWHERE`] for coordinates
/// that are not finite.
///
/// Flat on purpose: coordinates of one and of several points are the same to it, so that it is compiled to vector code.
#[inline]
pub(crate) fn cells_from_coordinates(coordinates: &[f32], side_m: f32, cells: &mut [i32]) {
    // Neither `floor` nor a saturating cast is one instruction of the x86-64 baseline. Adding 1.5 * 2^23 to a float of less
    // than 2^22 leaves the nearest integer in its low bits (Muller et al., Handbook of Floating-Point Arithmetic).
    const SHIFT: f32 = 12_582_912.0;
    for (cell, x) in cells.iter_mut().zip(coordinates) {
        let scaled = (x / side_m).clamp(-MAX_COORDINATE, MAX_COORDINATE);
        let shifted = scaled + SHIFT;
        let nearest = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).cast_signed();
        let floor = nearest.wrapping_sub(i32::from(shifted - SHIFT > scaled));
        *cell = if x.is_finite() { floor } else { NOWHERE };
    }
}

/// Most cells from the origin that [`cell_from_point`] counts on an axis.
const MAX_EXACT_COORDINATE: f64 = (1u32 << 30) as f64;

/// The cell of side `side_m` that holds the point, exact to the rounding of f64; `None` for a point that is not finite or
/// lies more than 2^30 sides from the origin.
#[inline]
pub(crate) fn cell_from_point(point: &[f32; 3], side_m: f64) -> Option<Cell> {
    let cell = point.map(|x| (f64::from(x) / side_m).floor());
    cell.iter().all(|c| c.abs() <= MAX_EXACT_COORDINATE).then(|| cell.map(|c| c as i32))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_first_appearance(cells in prop::collection::vec([-9..9i32, -9..9i32, -9..9i32], 0..4000)) {
            let (mut map, mut naive) = (CellMap::new(), BTreeMap::new());
            for cell in &cells {
                let next = naive.len() as u32;
                prop_assert_eq!(map.number(*cell), *naive.entry(*cell).or_insert(next));
            }
            for (cell, number) in &naive {
                prop_assert_eq!(map.cells()[*number as usize], *cell);
            }
        }

        #[test]
        fn cells_are_floors(x in -1.0e6..1.0e6f32, side in 0.001..10.0f32) {
            let mut cell = [0];
            cells_from_coordinates(&[x], side, &mut cell);
            prop_assert_eq!(f64::from(cell[0]), f64::from((x / side).floor().clamp(-MAX_COORDINATE, MAX_COORDINATE)));
        }
    }

    #[test]
    fn far_and_broken_coordinates_have_a_cell() {
        let mut cells = [7; 4];
        cells_from_coordinates(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX], 1.0e-9, &mut cells);
        assert_eq!(cells, [NOWHERE, NOWHERE, NOWHERE, (1 << 22) - 1]);
    }
}
