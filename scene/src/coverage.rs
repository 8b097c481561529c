//! Which keyframe sees which cells in; how many see a cell, and when one keyframe becomes the only one that does, out.

use rustc_hash::FxHashMap;

use crate::visibility::CellKey;

/// Who sees a cell: how many, and their ids joined by exclusive or, so that a single one can be read off.
#[derive(Debug, Clone, Copy, Default)]
struct Seers {
    count: u32,
    ids: u32,
}

/// A keyframe's share of the cells that nobody else sees has changed by one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sole {
    /// The keyframe of this id is the only one now.
    Gained(u32),
    /// It no longer is.
    Lost(u32),
}

/// All cells that any keyframe sees. Only looked up, never walked through, so that the order of hashing reaches nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    cells: FxHashMap<CellKey, Seers>,
}

impl Coverage {
    /// Keyframes that see `cell`.
    pub(crate) fn count(&self, cell: CellKey) -> u32 {
        self.cells.get(&cell).map_or(0, |seers| seers.count)
    }

    /// Keyframe `id` sees `cell`; to be told once.
    pub(crate) fn see(&mut self, cell: CellKey, id: u32) -> Option<Sole> {
        let seers = self.cells.entry(cell).or_default();
        let before = *seers;
        *seers = Seers { count: before.count.saturating_add(1), ids: before.ids ^ id };
        match before.count {
            0 => Some(Sole::Gained(id)),
            1 => Some(Sole::Lost(before.ids)),
            _ => None,
        }
    }

    /// Keyframe `id` does not see `cell` any more.
    pub(crate) fn unsee(&mut self, cell: CellKey, id: u32) -> Option<Sole> {
        let seers = self.cells.get_mut(&cell)?;
        *seers = Seers { count: seers.count.saturating_sub(1), ids: seers.ids ^ id };
        match *seers {
            Seers { count: 0, .. } => {
                self.cells.remove(&cell);
                Some(Sole::Lost(id))
            }
            Seers { count: 1, ids } => Some(Sole::Gained(ids)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visibility::cell_of;

    #[test]
    fn the_only_one_left_is_named() {
        let cell = cell_of([0.0, 0.0, 0.0], 0.1).unwrap();
        let mut coverage = Coverage::default();
        assert_eq!(coverage.see(cell, 5), Some(Sole::Gained(5)));
        assert_eq!(coverage.see(cell, 6), Some(Sole::Lost(5)));
        assert_eq!(coverage.see(cell, 0), None);
        assert_eq!((coverage.count(cell), coverage.unsee(cell, 5)), (3, None));
        assert_eq!(coverage.unsee(cell, 6), Some(Sole::Gained(0)));
        assert_eq!(coverage.unsee(cell, 0), Some(Sole::Lost(0)));
        assert_eq!((coverage.count(cell), coverage.unsee(cell, 0)), (0, None));
    }
}
