//! Utilities, and what each view sees of what is relevant, in; a greedy choice of views out.
//!
//! What a view adds to a choice S is `U(v) + w_new new(v, S) - w_seen seen(v, S)`: `new` is the share of all relevance on points
//! that it sees and no chosen one does, `seen` the share of its points that chosen ones see. The first can only fall while S
//! grows, the second only rise, so the gain never rises: a gain that was computed for a smaller choice bounds the present one
//! (lazy greedy, Minoux 1978), and the lazy choice is the plain one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::visible::{Relevance, Seen, VisibleSets};

/// Weights of what a view shows beside its utility.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diversity {
    /// Of the relevance that is newly seen; at least 0.
    pub new: f32,
    /// Of what is seen already; at least 0.
    pub seen: f32,
}

impl Default for Diversity {
    /// What a fresh model begins with: scores of deviation 1 decide between views that show alike, shares up to 1 of what is asked about
    /// come first.
    fn default() -> Self {
        Self { new: 40.0, seen: 0.5 }
    }
}

/// When enough views are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// Most views.
    pub max_views: usize,
    /// The choice ends before a view that newly shows less than this share of all relevance; 0 fills up to the most. The
    /// first view is always taken.
    pub min_new: f32,
}

/// One chosen view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick {
    /// Its index.
    pub view: usize,
    /// What it added when it was chosen.
    pub gain: f32,
    /// Share of all relevance that it newly showed.
    pub new: f32,
}

/// A view's gain with a choice of `chosen` views.
#[derive(Debug, Clone, Copy)]
struct Bound {
    gain: f32,
    new: f32,
    view: usize,
    chosen: usize,
}

impl Ord for Bound {
    /// By gain; of equals the earlier view is the greater.
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.view.cmp(&self.view))
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

/// The views of highest gain, one after the other; of equals the earlier. `utilities`: one a view of `sets`. Where nothing is
/// relevant all points are. A utility that is no number is the lowest.
pub fn select_greedy(
    utilities: &[f32],
    sets: &VisibleSets,
    relevance: &Relevance,
    diversity: &Diversity,
    stop: &Stop,
) -> Vec<Pick> {
    let relevance = relevance.or_all(sets.points());
    let mut seen = Seen::nothing(sets, &relevance);
    let mut heap = BinaryHeap::from(alone(utilities, &seen, diversity));
    let mut picks: Vec<Pick> = Vec::new();
    while picks.len() < stop.max_views
        && let Some(best) = heap.pop()
    {
        if best.chosen < picks.len() {
            heap.push(gain_of(best.view, utilities, &seen, diversity, picks.len()));
            continue;
        }
        if !picks.is_empty() && best.new < stop.min_new {
            break;
        }
        picks.push(best.pick());
        seen.add(best.view);
    }
    picks
}

/// What each view would add as the first, in their order; arguments as of [`select_greedy`].
pub fn gains_alone(utilities: &[f32], sets: &VisibleSets, relevance: &Relevance, diversity: &Diversity) -> Vec<Pick> {
    let relevance = relevance.or_all(sets.points());
    alone(utilities, &Seen::nothing(sets, &relevance), diversity).iter().map(Bound::pick).collect()
}

fn alone(utilities: &[f32], nothing: &Seen<'_>, diversity: &Diversity) -> Vec<Bound> {
    (0..utilities.len().min(nothing.views())).map(|view| gain_of(view, utilities, nothing, diversity, 0)).collect()
}

impl Bound {
    fn pick(&self) -> Pick {
        Pick { view: self.view, gain: self.gain, new: self.new }
    }
}

fn gain_of(view: usize, utilities: &[f32], seen: &Seen<'_>, diversity: &Diversity, chosen: usize) -> Bound {
    let utility = if utilities[view].is_nan() { f32::MIN } else { utilities[view] };
    let new = seen.new_share(view);
    let again = if chosen == 0 { 0.0 } else { seen.seen_share(view) };
    Bound { gain: utility + diversity.new * new - diversity.seen * again, new, view, chosen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POINTS: usize = 150;

    /// All gains anew for every choice.
    fn plain(
        utilities: &[f32],
        sets: &VisibleSets,
        relevance: &Relevance,
        diversity: &Diversity,
        stop: &Stop,
    ) -> Vec<Pick> {
        let mut seen = Seen::nothing(sets, relevance);
        let mut picks: Vec<Pick> = Vec::new();
        while picks.len() < stop.max_views {
            let left = (0..utilities.len()).filter(|v| !picks.iter().any(|p| p.view == *v));
            let bounds = left.map(|v| gain_of(v, utilities, &seen, diversity, picks.len()));
            let Some(best) = bounds.max() else { break };
            if !picks.is_empty() && best.new < stop.min_new {
                break;
            }
            picks.push(best.pick());
            seen.add(best.view);
        }
        picks
    }

    fn sets_of(lists: &[Vec<u32>]) -> VisibleSets {
        let mut sets = VisibleSets::new(POINTS);
        lists.iter().for_each(|list| sets.push(list, &list[..list.len() / 2]));
        sets
    }

    proptest! {
        #[test]
        fn the_lazy_choice_is_the_plain_one(
            views in prop::collection::vec((prop::collection::vec(0..POINTS as u32, 0..60), -3i8..4), 0..40),
            relevant in prop::collection::vec(0.0f32..1.0, POINTS),
            (new, seen) in (0.0f32..6.0, 0.0f32..3.0),
            (max_views, detail) in (0usize..12, any::<bool>()),
            min_new in prop::sample::select(vec![0.0f32, 0.02, 0.2]),
        ) {
            // whole utilities, so that there are ties
            let utilities: Vec<f32> = views.iter().map(|(_, u)| f32::from(*u)).collect();
            let sets = sets_of(&views.iter().map(|(list, _)| list.clone()).collect::<Vec<_>>());
            let relevance = if detail { Relevance::in_detail(&relevant) } else { Relevance::new(&relevant) };
            let (diversity, stop) = (Diversity { new, seen }, Stop { max_views, min_new });
            let lazy = select_greedy(&utilities, &sets, &relevance, &diversity, &stop);
            prop_assert_eq!(&lazy, &plain(&utilities, &sets, &relevance, &diversity, &stop));
            prop_assert!(lazy.windows(2).all(|pair| pair[0].gain >= pair[1].gain));
            let alone = gains_alone(&utilities, &sets, &relevance, &diversity);
            prop_assert!(lazy.first().is_none_or(|first| alone[first.view] == *first));
        }
    }

    #[test]
    fn what_is_relevant_and_not_seen_yet_decides() {
        // two views of the referent alike, one of another one
        let sets = sets_of(&[vec![0, 1, 2], vec![0, 1, 2, 3], vec![10, 11]]);
        let mut values = vec![0.0; POINTS];
        values[..3].fill(1.0);
        values[10] = 1.0;
        let relevance = Relevance::new(&values);
        let choose = |max_views, min_new| {
            let picks =
                select_greedy(&[0.1; 3], &sets, &relevance, &Diversity::default(), &Stop { max_views, min_new });
            picks.iter().map(|p| p.view).collect::<Vec<_>>()
        };
        assert_eq!(choose(3, 0.0), [0, 2, 1]);
        // the third shows nothing new of what is asked about
        assert_eq!(choose(3, 0.05), [0, 2]);
        assert_eq!(choose(1, 0.05), [0]);
    }

    #[test]
    fn where_nothing_is_relevant_the_scene_is_covered() {
        let sets = sets_of(&[vec![0, 1], (0..100).collect(), (50..150).collect(), Vec::new()]);
        let none = Relevance::new(&[]);
        let stop = Stop { max_views: 2, min_new: 0.0 };
        let picks = select_greedy(&[0.0; 4], &sets, &none, &Diversity::default(), &stop);
        assert_eq!(picks.iter().map(|p| p.view).collect::<Vec<_>>(), [1, 2]);
        let broken = select_greedy(&[f32::NAN, 0.0], &sets, &none, &Diversity::default(), &stop);
        assert_eq!(broken[0].view, 1);
    }
}
