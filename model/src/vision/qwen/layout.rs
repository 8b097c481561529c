//! Patch grids in, the order in which the tower works on their tokens out, with the windows and frames that attend to
//! themselves and the place of every patch (window attention of Qwen2.5-VL, arXiv 2502.13923, section 2.1.1).

use std::cmp::Reverse;
use std::fmt;

use super::config::QwenVisionConfig;
use super::error::QwenVisionError;
use crate::vision::parts::Segments;

/// Patches of one image or clip, after resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Patches along time; 1 for an image.
    pub frames: usize,
    /// Patches down.
    pub height: usize,
    /// Patches across.
    pub width: usize,
}

impl Grid {
    /// Patches in all; `None` when they cannot be counted.
    pub fn patches(&self) -> Option<usize> {
        self.frames.checked_mul(self.height)?.checked_mul(self.width)
    }

    /// Tokens for the decoder when `merge` by `merge` patches become one; `None` when they cannot be counted.
    pub fn tokens(&self, merge: usize) -> Option<usize> {
        let side = |patches: usize| patches.checked_div(merge);
        self.frames.checked_mul(side(self.height)?)?.checked_mul(side(self.width)?)
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{} (time, down, across)", self.frames, self.height, self.width)
    }
}

/// A rectangle of merged tokens of one frame that attend to each other.
#[derive(Debug, Clone, Copy)]
struct Window {
    top: usize,
    left: usize,
    rows: usize,
    columns: usize,
}

impl Window {
    fn tokens(&self) -> usize {
        self.rows * self.columns
    }

    /// `(row, column)` of its merged tokens, row by row.
    fn places(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.rows).flat_map(move |r| (0..self.columns).map(move |c| (self.top + r, self.left + c)))
    }
}

/// The windows of a frame of `down` by `across` merged tokens, `side` tokens wide and cut off at the border, row by row.
fn windows(down: usize, across: usize, side: usize) -> Vec<Window> {
    let starts = |length: usize| (0..length).step_by(side);
    starts(down)
        .flat_map(|top| {
            starts(across).map(move |left| Window {
                top,
                left,
                rows: side.min(down - top),
                columns: side.min(across - left),
            })
        })
        .collect()
}

/// Order, windows, frames and positions for some grids.
///
/// Within a frame the windows stand by size, so that the tower computes equally large ones as one batch. (The reference
/// keeps them row by row. Attention does not see the order of tokens, so the results are the same.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// For each place in the tower's order, the merged token (in the order of the pixel rows) that stands there.
    pub order: Vec<usize>,
    /// Patches that attend to each other within windows.
    pub windows: Segments,
    /// Patches that attend to each other within whole frames.
    pub frames: Segments,
    /// Row and column in its frame of every patch, in the tower's order.
    pub positions: Vec<[usize; 2]>,
}

impl Layout {
    /// The layout of `grids` whose pixels have `rows` rows.
    ///
    /// # Errors
    /// [`QwenVisionError::Grid`] for a grid that does not divide into merged tokens, [`QwenVisionError::Rows`] when the grids do not
    /// describe `rows` patches; both before anything is allocated by a grid's size.
    pub fn new(grids: &[Grid], rows: usize, config: &QwenVisionConfig) -> Result<Self, QwenVisionError> {
        check_grids(grids, rows, config.spatial_merge_size)?;
        let merge = config.spatial_merge_size;
        let together = merge * merge;
        let mut order = Vec::with_capacity(rows / together);
        let mut positions = Vec::with_capacity(rows);
        let (mut window_lengths, mut frame_lengths) = (Vec::new(), Vec::new());
        for grid in grids {
            let (down, across) = (grid.height / merge, grid.width / merge);
            let mut windows = windows(down, across, config.window_tokens());
            windows.sort_by_key(|window| Reverse(window.tokens()));
            for _ in 0..grid.frames {
                let first = order.len();
                for window in &windows {
                    for (row, column) in window.places() {
                        order.push(first + row * across + column);
                        positions.extend((0..together).map(|i| [row * merge + i / merge, column * merge + i % merge]));
                    }
                    window_lengths.push(window.tokens() * together);
                }
                frame_lengths.push(down * across * together);
            }
        }
        let (windows, frames) = (Segments::from_lengths(window_lengths), Segments::from_lengths(frame_lengths));
        Ok(Self { order, windows, frames, positions })
    }

    /// For each merged token in the order of the pixel rows, its place in the tower's order.
    pub fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.order.len()];
        for (place, &token) in self.order.iter().enumerate() {
            places[token] = place;
        }
        places
    }
}

/// The reference's `get_vision_window_index`: merged tokens in the order of windows, row by row, and the windows' cumulative
/// patches from 0.
pub(super) fn window_index(grids: &[Grid], config: &QwenVisionConfig) -> (Vec<usize>, Vec<usize>) {
    let merge = config.spatial_merge_size;
    let (mut order, mut cumulative) = (Vec::new(), vec![0]);
    for grid in grids {
        let (down, across) = (grid.height / merge, grid.width / merge);
        for _ in 0..grid.frames {
            let first = order.len();
            for window in windows(down, across, config.window_tokens()) {
                order.extend(window.places().map(|(row, column)| first + row * across + column));
                cumulative.push(order.len() * merge * merge);
            }
        }
    }
    (order, cumulative)
}

fn check_grids(grids: &[Grid], rows: usize, merge: usize) -> Result<(), QwenVisionError> {
    let mut patches = Some(0usize);
    for (index, &grid) in grids.iter().enumerate() {
        let divided = |side: usize| side > 0 && side.is_multiple_of(merge);
        if grid.frames == 0 || !divided(grid.height) || !divided(grid.width) {
            return Err(QwenVisionError::Grid { index, grid, merge });
        }
        patches = patches.and_then(|sum| sum.checked_add(grid.patches()?));
    }
    if patches == Some(rows) {
        return Ok(());
    }
    Err(QwenVisionError::Rows { rows, images: grids.len(), patches: patches.unwrap_or(usize::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(height: usize, width: usize) -> Grid {
        Grid { frames: 1, height, width }
    }

    /// Windows of two by two merged tokens.
    fn config() -> QwenVisionConfig {
        QwenVisionConfig { window_size: 56, ..QwenVisionConfig::default() }
    }

    #[test]
    fn a_small_odd_grid_is_cut_as_on_paper() {
        // merged: 0 1 2   windows: {0 1 3 4}, {2 5}, {6 7}, {8}
        //         3 4 5
        //         6 7 8
        let (order, cumulative) = window_index(&[grid(6, 6)], &config());
        assert_eq!(order, [0, 1, 3, 4, 2, 5, 6, 7, 8]);
        assert_eq!(cumulative, [0, 16, 24, 32, 36]);
        let layout = Layout::new(&[grid(6, 6), grid(2, 4)], 44, &config()).unwrap();
        assert_eq!(layout.order, [0, 1, 3, 4, 2, 5, 6, 7, 8, 9, 10]);
        assert_eq!(layout.windows, Segments::from_lengths([16, 8, 8, 4, 8]));
        assert_eq!(layout.frames, Segments::from_lengths([36, 8]));
        assert_eq!(layout.positions[4..8], [[0, 2], [0, 3], [1, 2], [1, 3]]);
        assert_eq!(layout.positions[32..36], [[4, 4], [4, 5], [5, 4], [5, 5]]);
    }

    #[test]
    fn grids_that_do_not_fit_are_named() {
        let refused = |grids: &[Grid], rows| Layout::new(grids, rows, &config()).unwrap_err();
        for bad in [grid(3, 4), grid(4, 0), Grid { frames: 0, ..grid(2, 2) }] {
            assert_eq!(refused(&[grid(2, 2), bad], 4), QwenVisionError::Grid { index: 1, grid: bad, merge: 2 });
        }
        assert_eq!(refused(&[grid(4, 4)], 20), QwenVisionError::Rows { rows: 20, images: 1, patches: 16 });
        let huge = Grid { frames: usize::MAX, height: 1 << 40, width: 1 << 40 };
        assert_eq!(refused(&[huge], 4), QwenVisionError::Rows { rows: 4, images: 1, patches: usize::MAX });
    }

    /// Which frame, over all grids, holds a merged token.
    fn frame_of(grids: &[Grid], token: usize) -> usize {
        let frames = grids.iter().flat_map(|g| std::iter::repeat_n(g.height * g.width / 4, g.frames));
        frames
            .scan(0, |end, tokens| {
                *end += tokens;
                Some(*end)
            })
            .filter(|end| *end <= token)
            .count()
    }

    proptest! {
        #[test]
        fn every_token_has_one_place_in_a_window_and_a_frame(
            sides in prop::collection::vec((1usize..3, 1usize..12, 1usize..12), 1..4)
        ) {
            let grids: Vec<Grid> =
                sides.iter().map(|&(frames, h, w)| Grid { frames, height: 2 * h, width: 2 * w }).collect();
            let rows = grids.iter().filter_map(Grid::patches).sum();
            let layout = Layout::new(&grids, rows, &config()).unwrap();
            let mut sorted = layout.order.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.iter().copied().eq(0..rows / 4));
            prop_assert_eq!(layout.positions.len(), rows);
            prop_assert_eq!((layout.windows.tokens(), layout.frames.tokens()), (rows, rows));
            // per frame, the same windows as the reference's, the larger ones first
            let (reference, ends) = window_index(&grids, &config());
            let mut windows: Vec<(usize, &[usize])> = ends
                .windows(2)
                .map(|ends| &reference[ends[0] / 4..ends[1] / 4])
                .map(|window| (frame_of(&grids, window[0]), window))
                .collect();
            windows.sort_by_key(|(frame, window)| (*frame, Reverse(window.len())));
            prop_assert!(windows.iter().flat_map(|(_, window)| *window).eq(&layout.order));
            let lengths = windows.iter().map(|(_, window)| window.len() * 4);
            prop_assert_eq!(&layout.windows, &Segments::from_lengths(lengths));
            for (place, token) in layout.places().into_iter().map(|p| layout.order[p]).enumerate() {
                prop_assert_eq!(place, token);
            }
        }
    }
}
