//! What each keyframe sees in, the few that together see most out.

use rustc_hash::FxHashSet;
use vantage_scene::CellKey;

/// At most `count` of `views`, each the cells that it sees: the one that sees most, then always the one that adds most, of
/// equals the first; ends when nothing is added. Gives the view's index and the share of all cells that it added.
///
/// Greedy choice is within 1 - 1/e of the best one (Nemhauser et al. 1978); Video-3D LLM (arXiv 2412.00493) chooses so.
pub fn by_coverage(views: &[&[CellKey]], count: usize) -> Vec<(usize, f32)> {
    // only looked up, never walked through
    let mut seen: FxHashSet<CellKey> = FxHashSet::default();
    let all: FxHashSet<CellKey> = views.iter().flat_map(|cells| cells.iter().copied()).collect();
    let mut chosen: Vec<(usize, f32)> = Vec::new();
    while chosen.len() < count.min(views.len()) {
        let added = |i: usize| views[i].iter().filter(|cell| !seen.contains(cell)).count();
        let best = (0..views.len()).map(|i| (added(i), i)).max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((added, i)) = best.filter(|(added, _)| *added > 0) else { break };
        seen.extend(views[i].iter().copied());
        chosen.push((i, added as f32 / all.len().max(1) as f32));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(range: std::ops::Range<i64>) -> Vec<CellKey> {
        range.filter_map(|x| CellKey::new([x, 0, 0])).collect()
    }

    #[test]
    fn views_are_taken_by_what_they_add() {
        let views = [cells(0..4), cells(0..6), cells(5..8), cells(8..10), cells(8..10)];
        let views: Vec<&[CellKey]> = views.iter().map(Vec::as_slice).collect();
        let chosen = by_coverage(&views, 9);
        assert_eq!(chosen.iter().map(|c| c.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert!((chosen.iter().map(|c| c.1).sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(by_coverage(&views, 1).len(), 1);
        assert!(by_coverage(&[], 3).is_empty());
    }
}
