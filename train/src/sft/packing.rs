//! Texts of several lengths in, where each stands in a few rows of one length out: several texts share a row, so that little is
//! padding. A text sees the scene and itself alone, and its positions are those it would have in a row of its own.

use vantage_model::decoder::PackedRow;

use crate::dataset::TextRow;

/// Where the texts of a batch stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packing {
    /// Tokens of a row.
    pub(crate) tokens: usize,
    /// Rows of each scene.
    pub(crate) rows_per_scene: usize,
    /// For each text, its first token among all tokens of all rows.
    starts: Vec<usize>,
    /// For each row, the lengths of its texts.
    lengths: Vec<PackedRow>,
}

impl Packing {
    /// Packs the texts of `scenes` scenes, the last token of each left out, as it is never read: the longest first, each into the
    /// first row of its scene with room for it.
    pub(crate) fn of(texts: &[TextRow], scenes: usize) -> Self {
        let length = |text: &TextRow| text.tokens.len().saturating_sub(1).max(1);
        let tokens = texts.iter().map(length).max().unwrap_or(1);
        let mut rows: Vec<Vec<PackedRow>> = vec![Vec::new(); scenes];
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // equal lengths stay in order
        order.sort_by_key(|&i| std::cmp::Reverse(length(&texts[i])));
        let mut places = vec![(0, 0); texts.len()];
        for i in order {
            let (scene, needed) = (texts[i].scene, length(&texts[i]));
            let of_scene = &mut rows[scene];
            let fits = of_scene.iter().position(|row| row.iter().sum::<usize>() + needed <= tokens);
            let row = fits.unwrap_or_else(|| {
                of_scene.push(PackedRow::new());
                of_scene.len() - 1
            });
            places[i] = (row, of_scene[row].iter().sum::<usize>());
            of_scene[row].push(needed);
        }
        let rows_per_scene = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let starts = texts
            .iter()
            .zip(places)
            .map(|(text, (row, offset))| (text.scene * rows_per_scene + row) * tokens + offset)
            .collect();
        let lengths = rows
            .into_iter()
            .flat_map(|mut of_scene| {
                of_scene.resize(rows_per_scene, PackedRow::new());
                of_scene
            })
            .collect();
        Self { tokens, rows_per_scene, starts, lengths }
    }

    /// Where token `token` of text `text` stands among all tokens of all rows.
    pub(crate) fn at(&self, text: usize, token: usize) -> usize {
        self.starts[text] + token
    }

    /// Tokens of all rows, padding included.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len() * self.tokens
    }

    /// The lengths of the texts of each row.
    pub(crate) fn rows(&self) -> &[PackedRow] {
        &self.lengths
    }

    /// The ids of all rows, `pad` where no text is.
    pub(crate) fn ids(&self, texts: &[TextRow], pad: u32) -> Vec<i32> {
        let mut ids = vec![pad as i32; self.len()];
        for (i, text) in texts.iter().enumerate() {
            let read = text.tokens.len().saturating_sub(1);
            for (slot, &token) in ids[self.starts[i]..].iter_mut().zip(&text.tokens[..read]) {
                *slot = token as i32;
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(scene: usize, length: usize) -> TextRow {
        TextRow {
            scene,
            kind: String::new(),
            tokens: (0..length as u32).collect(),
            prompt: 1,
            words: Vec::new(),
            given: Vec::new(),
            objects: Vec::new(),
            places: Vec::new(),
            referents: Vec::new(),
            answers: Vec::new(),
            targets: None,
        }
    }

    #[test]
    fn texts_share_rows() {
        let texts = [text(0, 11), text(0, 5), text(0, 4), text(1, 6), text(1, 4)];
        let packing = Packing::of(&texts, 2);
        // 10; 4 + 3 of the first scene, 5 + 3 of the second
        assert_eq!((packing.tokens, packing.rows_per_scene), (10, 2));
        assert_eq!(packing.rows(), [vec![10], vec![4, 3], vec![5, 3], vec![]]);
        assert_eq!([packing.at(0, 0), packing.at(1, 2), packing.at(2, 0), packing.at(4, 1)], [0, 12, 14, 26]);
        let ids = packing.ids(&texts, 99);
        assert_eq!(&ids[10..20], [0, 1, 2, 3, 0, 1, 2, 99, 99, 99]);
    }

    proptest! {
        #[test]
        fn no_two_tokens_share_a_place_and_no_text_leaves_its_scene(
            lengths in prop::collection::vec((0usize..3, 2usize..60), 1..40),
        ) {
            let texts: Vec<TextRow> = lengths.iter().map(|&(scene, n)| text(scene, n)).collect();
            let packing = Packing::of(&texts, 3);
            let mut taken = vec![false; packing.len()];
            for (i, text) in texts.iter().enumerate() {
                for t in 0..text.tokens.len() - 1 {
                    let at = packing.at(i, t);
                    prop_assert!(!std::mem::replace(&mut taken[at], true));
                    prop_assert_eq!(at / packing.tokens / packing.rows_per_scene, text.scene);
                    prop_assert_eq!(at / packing.tokens, packing.at(i, 0) / packing.tokens);
                }
            }
            let read: usize = packing.rows().iter().flatten().sum();
            prop_assert_eq!(read, taken.iter().filter(|t| **t).count());
        }
    }
}
