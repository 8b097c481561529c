//! Utilities, and what each view shows of what is asked about, in; a greedy choice of views out.
//!
//! What a view adds to a choice S is `U(v) + w_new (new(v, S) + again(v) / 20) - w_seen seen(v, S)`. `new` is by how much v shows
//! the things asked about better than each was shown best by S: the facility location of Nemhauser, Wolsey and Fisher (1978), a
//! view being worth what it alone shows, as the halves of a bed in two pictures are no picture of the bed. `again` is what v
//! shows of them at all, as a second picture helps where the first one deceives, and `seen` the share of its points that S sees.
//! The first can only fall while S grows, the last only rise, so the gain never rises: a gain that was computed for a smaller
//! choice bounds the present one (lazy greedy, Minoux 1978), and the lazy choice is the plain one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::things::Shown;
use super::visible::{Seen, VisibleSets};

/// What showing a thing once more is worth beside showing it for the first time.
pub const AGAIN: f32 = 0.05;

/// Weights of what a view shows beside its utility.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diversity {
    /// Of what is shown for the first time, or better; at least 0.
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
    /// The choice ends before a view that newly shows less than this share of all that is asked about; 0 fills up to the most.
    pub min_new: f32,
    /// As many views are taken in any case, where there are so many and `max_views` is not less.
    pub min_views: usize,
}

/// One chosen view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick {
    /// Its index.
    pub view: usize,
    /// What it added when it was chosen.
    pub gain: f32,
    /// Share of what is asked about that it showed first, or better than those before.
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

/// What views are to show.
#[derive(Debug, Clone, Copy)]
pub enum Goal<'a> {
    /// All points of the scene.
    Points,
    /// These things.
    Things(&'a Shown),
}

/// What a choice has shown so far.
struct Progress<'a> {
    goal: Goal<'a>,
    seen: Seen<'a>,
    /// Of each thing, the best that a chosen view shows of it.
    best: Vec<f32>,
}

impl<'a> Progress<'a> {
    fn nothing(sets: &'a VisibleSets, goal: Goal<'a>) -> Self {
        let things = if let Goal::Things(shown) = goal { shown.things() } else { 0 };
        Self { goal, seen: Seen::nothing(sets), best: vec![0.0; things] }
    }

    fn add(&mut self, view: usize) {
        self.seen.add(view);
        if let Goal::Things(shown) = self.goal {
            shown.raise(view, &mut self.best);
        }
    }

    /// What `view` newly shows, and what it shows at all.
    fn shows(&self, view: usize) -> (f32, f32) {
        match self.goal {
            Goal::Points => (self.seen.new_share(view), 0.0),
            Goal::Things(shown) => (shown.better(view, &self.best), shown.share(view)),
        }
    }

    fn gain(&self, view: usize, utilities: &[f32], diversity: &Diversity, chosen: usize) -> Bound {
        let utility = if utilities[view].is_nan() { f32::MIN } else { utilities[view] };
        let (new, at_all) = self.shows(view);
        let seen = if chosen == 0 { 0.0 } else { self.seen.seen_share(view) };
        let gain = utility + diversity.new * (new + AGAIN * at_all) - diversity.seen * seen;
        Bound { gain, new, view, chosen }
    }

    /// The gains of all views with nothing chosen.
    fn alone(&self, utilities: &[f32], diversity: &Diversity) -> Vec<Bound> {
        (0..utilities.len().min(self.seen.views())).map(|view| self.gain(view, utilities, diversity, 0)).collect()
    }
}

/// The views of highest gain, one after the other; of equals the earlier. `utilities`: one a view of `sets`. A utility that is no
/// number is the lowest.
pub fn select_greedy(
    utilities: &[f32],
    sets: &VisibleSets,
    goal: Goal<'_>,
    diversity: &Diversity,
    stop: &Stop,
) -> Vec<Pick> {
    let mut progress = Progress::nothing(sets, goal);
    let mut heap = BinaryHeap::from(progress.alone(utilities, diversity));
    let mut picks: Vec<Pick> = Vec::new();
    while picks.len() < stop.max_views
        && let Some(best) = heap.pop()
    {
        if best.chosen < picks.len() {
            heap.push(progress.gain(best.view, utilities, diversity, picks.len()));
            continue;
        }
        if picks.len() >= stop.min_views && best.new < stop.min_new {
            break;
        }
        picks.push(best.pick());
        progress.add(best.view);
    }
    picks
}

/// What each view would add as the first, in their order; arguments as of [`select_greedy`].
pub fn gains_alone(utilities: &[f32], sets: &VisibleSets, goal: Goal<'_>, diversity: &Diversity) -> Vec<Pick> {
    Progress::nothing(sets, goal).alone(utilities, diversity).iter().map(Bound::pick).collect()
}

impl Bound {
    fn pick(&self) -> Pick {
        Pick { view: self.view, gain: self.gain, new: self.new }
    }
}

#[cfg(test)]
mod tests {
    use super::super::things::PointViews;
    use super::*;
    use proptest::prelude::*;

    const POINTS: usize = 150;

    /// All gains anew for every choice.
    fn plain(utilities: &[f32], sets: &VisibleSets, goal: Goal<'_>, diversity: &Diversity, stop: &Stop) -> Vec<Pick> {
        let mut progress = Progress::nothing(sets, goal);
        let mut picks: Vec<Pick> = Vec::new();
        while picks.len() < stop.max_views {
            let left = (0..utilities.len()).filter(|v| !picks.iter().any(|p| p.view == *v));
            let bounds = left.map(|v| progress.gain(v, utilities, diversity, picks.len()));
            let Some(best) = bounds.max() else { break };
            if picks.len() >= stop.min_views && best.new < stop.min_new {
                break;
            }
            picks.push(best.pick());
            progress.add(best.view);
        }
        picks
    }

    fn sets_of(lists: &[Vec<u32>]) -> VisibleSets {
        let mut sets = VisibleSets::new(POINTS);
        lists.iter().for_each(|list| sets.push(list));
        sets
    }

    /// Things of ten points each; a point takes more pixels the later it is named.
    fn shown(lists: &[Vec<u32>], values: &[f32]) -> Shown {
        let pixels: Vec<Vec<f32>> = lists.iter().map(|l| (0..l.len()).map(|i| 1.0 + i as f32).collect()).collect();
        let things: Vec<u32> = (0..POINTS as u32).map(|i| i / 10).collect();
        Shown::new(values, &things, &PointViews::new(POINTS, lists, &pixels))
    }

    proptest! {
        #[test]
        fn the_lazy_choice_is_the_plain_one(
            views in prop::collection::vec((prop::collection::vec(0..POINTS as u32, 0..60), -3i8..4), 0..40),
            relevant in prop::collection::vec(-1.0f32..1.0, POINTS),
            of_points in any::<bool>(),
            new in 0.0f32..8.0,
            seen in 0.0f32..2.0,
            max_views in 0usize..12,
            min_new in prop::sample::select(vec![0.0f32, 0.02, 0.2]),
            min_views in 0usize..4,
        ) {
            // whole utilities, so that there are ties
            let utilities: Vec<f32> = views.iter().map(|(_, u)| f32::from(*u)).collect();
            let lists: Vec<Vec<u32>> = views.iter().map(|(list, _)| list.clone()).collect();
            let (sets, shown) = (sets_of(&lists), shown(&lists, &relevant));
            let goal = if of_points { Goal::Points } else { Goal::Things(&shown) };
            let (diversity, stop) = (Diversity { new, seen }, Stop { max_views, min_new, min_views });
            let lazy = select_greedy(&utilities, &sets, goal, &diversity, &stop);
            prop_assert_eq!(&lazy, &plain(&utilities, &sets, goal, &diversity, &stop));
            prop_assert!(lazy.windows(2).all(|pair| pair[0].gain >= pair[1].gain));
            let alone = gains_alone(&utilities, &sets, goal, &diversity);
            prop_assert!(lazy.len() >= min_views.min(max_views).min(views.len()));
            prop_assert!(lazy.first().is_none_or(|first| alone[first.view] == *first));
        }
    }

    #[test]
    fn what_is_asked_about_and_not_shown_yet_decides() {
        // two views of the referent, the first with more of its pixels, one of another
        let lists = [vec![0, 1, 2], vec![0, 1], vec![10, 11]];
        let mut values = vec![0.0; POINTS];
        values[..3].fill(1.0);
        values[10] = 1.0;
        let (sets, shown) = (sets_of(&lists), shown(&lists, &values));
        let choose = |max_views, min_new, min_views| {
            let stop = Stop { max_views, min_new, min_views };
            let picks = select_greedy(&[0.1; 3], &sets, Goal::Things(&shown), &Diversity::default(), &stop);
            picks.iter().map(|p| p.view).collect::<Vec<_>>()
        };
        assert_eq!(choose(3, 0.0, 1), [0, 2, 1]);
        // the third shows nothing new of what is asked about
        assert_eq!(choose(3, 0.05, 1), [0, 2]);
        assert_eq!(choose(1, 0.05, 1), [0]);
        assert_eq!(choose(3, 0.05, 3), [0, 2, 1]);
        assert_eq!(choose(1, 0.05, 3), [0]);
    }

    #[test]
    fn one_view_of_the_whole_is_worth_more_than_two_of_its_halves() {
        let lists = [vec![0, 1, 2], vec![3, 4, 5], vec![0, 1, 2, 3, 4]];
        let mut values = vec![0.0; POINTS];
        values[..6].fill(1.0);
        let (sets, shown) = (sets_of(&lists), shown(&lists, &values));
        let stop = Stop { max_views: 3, min_new: 0.05, min_views: 1 };
        let picks = select_greedy(&[0.0; 3], &sets, Goal::Things(&shown), &Diversity::default(), &stop);
        assert_eq!(picks.iter().map(|p| p.view).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_utility_that_is_no_number_comes_last() {
        let sets = sets_of(&[vec![0, 1], (0..100).collect(), (50..150).collect(), Vec::new()]);
        let stop = Stop { max_views: 2, min_new: 0.0, min_views: 1 };
        let picks = select_greedy(&[0.0; 4], &sets, Goal::Points, &Diversity::default(), &stop);
        assert_eq!(picks.iter().map(|p| p.view).collect::<Vec<_>>(), [1, 2]);
        let broken = select_greedy(&[f32::NAN, 0.0], &sets, Goal::Points, &Diversity::default(), &stop);
        assert_eq!(broken[0].view, 1);
    }
}
