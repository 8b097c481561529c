//! Which points of a scene each view sees, as bits; counts of what views share out.

/// Points in a word.
const WORD: usize = u64::BITS as usize;

/// For each view the points that it sees: a bit a point, so that a view of 2048 points takes 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VisibleSets {
    points: usize,
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

    /// Adds a view that sees the points of these indices; those beyond the scene's points are left out.
    pub fn push(&mut self, visible: &[u32]) {
        let start = self.bits.len();
        self.bits.resize(start + self.words, 0);
        for &i in visible.iter().filter(|i| (**i as usize) < self.points) {
            self.bits[start + i as usize / WORD] |= 1 << (i as usize % WORD);
        }
        self.sizes.push(self.bits[start..].iter().map(|w| w.count_ones()).sum());
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
        self.bits.get(view * self.words..(view + 1) * self.words).unwrap_or(&[])
    }
}

/// The points that some chosen views see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    sets: &'a VisibleSets,
    bits: Vec<u64>,
}

impl<'a> Seen<'a> {
    pub(super) fn nothing(sets: &'a VisibleSets) -> Self {
        Self { sets, bits: vec![0; sets.words] }
    }

    pub(super) fn views(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn add(&mut self, view: usize) {
        for (seen, word) in self.bits.iter_mut().zip(self.sets.row(view)) {
            *seen |= word;
        }
    }

    /// Points of `view` that were seen already.
    fn again(&self, view: usize) -> u32 {
        self.sets.row(view).iter().zip(&self.bits).map(|(a, b)| (a & b).count_ones()).sum()
    }

    /// Share of all points that `view` sees and that were not seen yet, 0 to 1.
    pub(super) fn new_share(&self, view: usize) -> f32 {
        (self.sets.size(view) - self.again(view)) as f32 / self.sets.points().max(1) as f32
    }

    /// Share of the points that `view` sees which were seen already, 0 to 1.
    pub(super) fn seen_share(&self, view: usize) -> f32 {
        self.again(view) as f32 / self.sets.size(view).max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_lists() {
        let mut sets = VisibleSets::new(130);
        sets.push(&[0, 5, 64, 129, 500]);
        sets.push(&[5, 70, 129]);
        sets.push(&[]);
        assert_eq!((sets.len(), sets.points(), sets.size(0), sets.size(2), sets.size(9)), (3, 130, 4, 0, 0));
        let mut seen = Seen::nothing(&sets);
        assert_eq!((seen.new_share(0), seen.new_share(1), seen.new_share(2)), (4.0 / 130.0, 3.0 / 130.0, 0.0));
        seen.add(1);
        assert_eq!((seen.new_share(0), seen.new_share(1)), (2.0 / 130.0, 0.0));
        assert_eq!((seen.seen_share(0), seen.seen_share(1), seen.seen_share(2)), (0.5, 1.0, 0.0));
        assert_eq!((seen.new_share(9), seen.seen_share(9)), (0.0, 0.0));
    }
}
