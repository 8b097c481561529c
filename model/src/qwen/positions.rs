//! Prompt ids with one placeholder a picture in, ids with one place a picture token and each token's M-RoPE position out
//! (arXiv 2409.12191, section 2.1; equal to `get_rope_index` of transformers for text and images).

use crate::decoder::Position3;
use crate::vision::qwen::Grid;

use super::error::QwenError;

/// A prompt as the decoder reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlacedPrompt {
    /// Token ids; a picture's placeholder stands once for each of its tokens.
    pub ids: Vec<u32>,
    /// Time, row and column of each token.
    pub positions: Vec<Position3>,
    /// First token and number of tokens of each picture, in order.
    pub images: Vec<(usize, usize)>,
    /// The position of the token that comes next, in all three coordinates.
    pub next: u32,
}

/// Makes room for pictures. Text counts up in all three coordinates; a picture's tokens share the time at which it begins and
/// have the rows and columns of their place; what follows goes on behind the largest of them. The model reads fewer than
/// `limit` tokens.
///
/// # Errors
/// [`QwenError::PlaceholderCount`], [`QwenError::Grid`], [`QwenError::PromptTooLong`].
pub fn place_images(
    ids: &[u32],
    image: u32,
    grids: &[Grid],
    merge: usize,
    limit: usize,
) -> Result<PlacedPrompt, QwenError> {
    let placeholders = ids.iter().filter(|id| **id == image).count();
    if placeholders != grids.len() {
        return Err(QwenError::PlaceholderCount { placeholders, given: grids.len() });
    }
    let tokens = grids.iter().fold(ids.len(), |sum, g| sum.saturating_add(g.tokens(merge).unwrap_or(0)));
    // before room is made for them; the placeholders themselves go away
    let tokens = tokens.saturating_sub(placeholders);
    if tokens >= limit {
        return Err(QwenError::PromptTooLong { tokens, limit });
    }
    let mut placed = PlacedPrompt::default();
    let mut waiting = grids.iter().enumerate();
    for &id in ids {
        let Some((index, grid)) = (id == image).then(|| waiting.next()).flatten() else {
            placed.ids.push(id);
            placed.positions.push([placed.next; 3]);
            placed.next += 1;
            continue;
        };
        let whole =
            grid.frames == 1 && merge > 0 && grid.height.is_multiple_of(merge) && grid.width.is_multiple_of(merge);
        let tokens = grid.tokens(merge).filter(|n| whole && *n > 0);
        let tokens = tokens.ok_or(QwenError::Grid { index, grid: *grid, merge })?;
        let (rows, columns) = (grid.height / merge, grid.width / merge);
        placed.images.push((placed.ids.len(), tokens));
        placed.ids.extend(std::iter::repeat_n(image, tokens));
        let start = placed.next;
        let places = (0..rows as u32).flat_map(|row| (0..columns as u32).map(move |column| (row, column)));
        placed.positions.extend(places.map(|(row, column)| [start, start + row, start + column]));
        placed.next = start + rows.max(columns) as u32;
    }
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: u32 = 9;

    fn grid(height: usize, width: usize) -> Grid {
        Grid { frames: 1, height, width }
    }

    #[test]
    fn text_counts_up_and_pictures_have_rows_and_columns() {
        let placed = place_images(&[1, IMAGE, 2, 3], IMAGE, &[grid(4, 6)], 2, 99).unwrap();
        assert_eq!(placed.ids, [1, IMAGE, IMAGE, IMAGE, IMAGE, IMAGE, IMAGE, 2, 3]);
        let expected =
            [[0, 0, 0], [1, 1, 1], [1, 1, 2], [1, 1, 3], [1, 2, 1], [1, 2, 2], [1, 2, 3], [4, 4, 4], [5, 5, 5]];
        assert_eq!(placed.positions, expected);
        assert_eq!((placed.images, placed.next), (vec![(1, 6)], 6));
    }

    #[test]
    fn pictures_and_placeholders_must_agree() {
        for (ids, grids) in [(vec![1, IMAGE], vec![]), (vec![1], vec![grid(2, 2)]), (vec![IMAGE; 2], vec![grid(2, 2)])]
        {
            let error = place_images(&ids, IMAGE, &grids, 2, 99).unwrap_err();
            assert!(matches!(error, QwenError::PlaceholderCount { .. }), "{error}");
        }
        for bad in [grid(3, 2), grid(0, 2), Grid { frames: 2, height: 2, width: 2 }, grid(usize::MAX - 1, usize::MAX)] {
            assert!(matches!(place_images(&[IMAGE], IMAGE, &[bad], 2, 99), Err(QwenError::Grid { index: 0, .. })));
        }
        for long in [grid(20, 20), grid(usize::MAX - 1, 4)] {
            let error = place_images(&[IMAGE], IMAGE, &[long], 2, 99).unwrap_err();
            assert!(matches!(error, QwenError::PromptTooLong { limit: 99, .. }), "{error}");
        }
    }
}
