//! Which points of a scene each view sees, and how relevant each point is to a question, as bits; counts of both out.

use std::borrow::Cow;

/// Points in a word.
const WORD: usize = u64::BITS as usize;
/// Bits of a point's relevance: 0 to 63.
const LEVEL_BITS: usize = 6;
/// The highest relevance.
const HIGHEST: u32 = (1 << LEVEL_BITS) - 1;

/// For each view the points that it sees, and those that it sees well: two bits a point, so that a view of 2048 points takes 512
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VisibleSets {
    points: usize,
    /// Words of the points that a view sees; as many more are of those that it sees well.
    words: usize,
    bits: Vec<u64>,
    /// Points that each view sees.
    sizes: Vec<u32>,
}

impl VisibleSets {
    /// No views yet, of a scene of `points` points.
    pub fn new(points: usize) -> Self {
        Self { points, words: points.div_ceil(WORD), bits: Vec::new(), sizes: Vec::new() }
    }

    /// Adds a view that sees the points of these indices, some of them `well`; those beyond the scene's points are left out.
    pub fn push(&mut self, visible: &[u32], well: &[u32]) {
        let start = self.bits.len();
        let middle = start + self.words;
        self.bits.resize(middle + self.words, 0);
        for (start, list) in [(start, visible), (middle, well)] {
            for &i in list.iter().filter(|i| (**i as usize) < self.points) {
                self.bits[start + i as usize / WORD] |= 1 << (i as usize % WORD);
            }
        }
        self.sizes.push(self.bits[start..middle].iter().map(|w| w.count_ones()).sum());
    }

    /// Views.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there is no view.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Points of the scene.
    pub fn points(&self) -> usize {
        self.points
    }

    /// How many points `view` sees; 0 for views that are not there.
    pub fn size(&self, view: usize) -> u32 {
        self.sizes.get(view).copied().unwrap_or(0)
    }

    /// Memory of the sets.
    pub fn bytes(&self) -> usize {
        self.bits.capacity() * size_of::<u64>() + self.sizes.capacity() * size_of::<u32>()
    }

    fn row(&self, view: usize) -> &[u64] {
        let length = 2 * self.words;
        self.bits.get(view * length..(view + 1) * length).unwrap_or(&[])
    }
}

/// How relevant each point is, in 64 steps, so that sums are whole numbers and do not depend on their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relevance {
    /// The words that hold a relevant point: their place, and bit by bit the levels of their points.
    words: Vec<(usize, [u64; LEVEL_BITS])>,
    total: u32,
}

impl Relevance {
    /// Of values from 0 to 1, one a point; what is not is taken as the nearer bound, and NaN as 0.
    pub fn new(values: &[f32]) -> Self {
        let (mut words, mut total) = (Vec::new(), 0);
        for (place, chunk) in values.chunks(WORD).enumerate() {
            let mut planes = [0u64; LEVEL_BITS];
            for (bit, value) in chunk.iter().enumerate() {
                // a float that is no number becomes 0
                let level = (value.clamp(0.0, 1.0) * HIGHEST as f32).round() as u32;
                total += level;
                for (k, plane) in planes.iter_mut().enumerate() {
                    *plane |= u64::from((level >> k) & 1) << bit;
                }
            }
            if planes.iter().any(|plane| *plane != 0) {
                words.push((place, planes));
            }
        }
        Self { words, total }
    }

    /// As [`Self::new`]; half of a point's relevance is for being seen, half for being seen well.
    pub fn in_detail(values: &[f32]) -> Self {
        let Self { mut words, total } = Self::new(values);
        let behind = values.len().div_ceil(WORD);
        words.extend(words.clone().into_iter().map(|(place, planes)| (place + behind, planes)));
        Self { words, total: 2 * total }
    }

    /// All of `points` alike.
    pub fn uniform(points: usize) -> Self {
        Self::new(&vec![1.0; points])
    }

    /// Itself, or all of `points` alike where no point is relevant.
    pub(super) fn or_all(&self, points: usize) -> Cow<'_, Self> {
        if self.is_none() { Cow::Owned(Self::uniform(points)) } else { Cow::Borrowed(self) }
    }

    /// Whether no point is relevant.
    pub fn is_none(&self) -> bool {
        self.total == 0
    }
}

/// The points that some chosen views see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    sets: &'a VisibleSets,
    relevance: &'a Relevance,
    bits: Vec<u64>,
}

impl<'a> Seen<'a> {
    pub(super) fn nothing(sets: &'a VisibleSets, relevance: &'a Relevance) -> Self {
        Self { sets, relevance, bits: vec![0; 2 * sets.words] }
    }

    pub(super) fn views(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn add(&mut self, view: usize) {
        for (seen, word) in self.bits.iter_mut().zip(self.sets.row(view)) {
            *seen |= word;
        }
    }

    /// Share of all relevance that lies on points which `view` sees and which were not seen yet, 0 to 1.
    pub(super) fn new_share(&self, view: usize) -> f32 {
        let row = self.sets.row(view);
        let mut sum = 0u32;
        for (place, planes) in &self.relevance.words {
            let Some(word) = row.get(*place) else { continue };
            let new = word & !self.bits[*place];
            if new != 0 {
                sum += (0..).zip(planes).map(|(k, plane)| (new & plane).count_ones() << k).sum::<u32>();
            }
        }
        sum as f32 / self.relevance.total.max(1) as f32
    }

    /// Share of the points that `view` sees which were seen already, 0 to 1.
    pub(super) fn seen_share(&self, view: usize) -> f32 {
        let both: u32 =
            self.sets.row(view).iter().zip(&self.bits).take(self.sets.words).map(|(a, b)| (a & b).count_ones()).sum();
        both as f32 / self.sets.size(view).max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_lists() {
        let mut sets = VisibleSets::new(130);
        sets.push(&[0, 5, 64, 129, 500], &[5, 500]);
        sets.push(&[5, 70, 129], &[129]);
        sets.push(&[], &[]);
        assert_eq!((sets.len(), sets.points(), sets.size(0), sets.size(2), sets.size(9)), (3, 130, 4, 0, 0));
        let mut values = vec![0.0; 130];
        (values[5], values[64], values[129], values[1]) = (1.0, 0.4, 0.2, f32::NAN);
        let relevance = Relevance::new(&values);
        // 63, 25 and 13 of 101
        let mut seen = Seen::nothing(&sets, &relevance);
        assert_eq!((seen.new_share(0), seen.new_share(1), seen.new_share(2)), (1.0, 76.0 / 101.0, 0.0));
        seen.add(1);
        assert_eq!((seen.new_share(0), seen.new_share(1)), (25.0 / 101.0, 0.0));
        assert_eq!((seen.seen_share(0), seen.seen_share(1), seen.seen_share(2)), (0.5, 1.0, 0.0));
        assert_eq!((seen.new_share(9), seen.seen_share(9)), (0.0, 0.0));
        // half of it for being seen well: the first sees 5 so, the second 129
        let relevance = Relevance::in_detail(&values);
        let mut seen = Seen::nothing(&sets, &relevance);
        assert_eq!((seen.new_share(0), seen.new_share(1)), (164.0 / 202.0, 89.0 / 202.0));
        seen.add(1);
        assert_eq!((seen.new_share(0), seen.new_share(1)), (88.0 / 202.0, 0.0));
        assert_eq!(seen.seen_share(0), 0.5);
    }

    #[test]
    fn nothing_is_relevant_where_all_values_are_low() {
        assert!(Relevance::new(&[0.0, -1.0, f32::NAN, 0.005]).is_none());
        assert!(!Relevance::uniform(3).is_none());
        assert_eq!(Relevance::uniform(70).total, 70 * HIGHEST);
    }
}
