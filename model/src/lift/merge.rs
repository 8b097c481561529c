//! Lifted rectangles of several views in, one object each out.

use vantage_scene::OrientedBox;

use super::evidence::ViewEvidence;
use super::lifting::{Found, Lifted, score, solid};
use super::pick::Pick;
use super::region::Rect;
use super::segments::MapSegments;

/// Boxes of two views with one name are one object from this overlap on...
const SAME_NAME_IOU: f64 = 0.25;
/// ...and from this on whatever they are called and wherever they were seen: a sofa and a couch.
const ANY_NAME_IOU: f64 = 0.6;

/// Two pieces touch at so many pairs of cells.
const MIN_TOUCH: u32 = 6;
/// A view refuses another's pieces when it shows this share of them outside of its rectangle.
const REFUSED_SHARE: f32 = 0.25;

/// An object that one or more views show.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    pub(super) label: String,
    pub(super) bbox: OrientedBox,
    pub(super) score: f32,
}

/// Whether two names may mean the same thing: equal but for case, articles and a plural s, or with the same last word, as
/// "chair" and "the wooden chair".
pub(super) fn names_agree(a: &str, b: &str) -> bool {
    let last = |name: &str| {
        let words = name.to_lowercase();
        let word = words.split(|c: char| !c.is_alphanumeric()).rfind(|w| !w.is_empty()).unwrap_or_default().to_owned();
        let singular = word.strip_suffix('s').filter(|w| w.len() > 2 && !w.ends_with('s')).map(str::to_owned);
        singular.unwrap_or(word)
    };
    last(a) == last(b)
}

/// Joins what is one object, the surest first; objects come in that order. `views` are all views, by [`Lifted::view`].
pub(super) fn merge(map: &MapSegments, views: &[ViewEvidence], mut lifted: Vec<Lifted>) -> Vec<Merged> {
    // a stable sort: of equals the earlier view's, then the earlier in its text
    lifted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut groups: Vec<Vec<Lifted>> = Vec::new();
    for one in lifted {
        let overlap_of = |group: &Vec<Lifted>| {
            let is_other_view = group.iter().all(|member| member.view != one.view);
            let named = is_other_view && group.iter().any(|member| names_agree(&member.label, &one.label));
            let shared = group.iter().map(|member| overlap(map, member, &one, named)).fold(0.0, f64::max);
            (shared >= ANY_NAME_IOU || (named && shared >= SAME_NAME_IOU)).then_some(shared)
        };
        let best = groups.iter().enumerate().filter_map(|(i, group)| Some((overlap_of(group)?, i)));
        match best.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).and_then(|(_, i)| groups.get_mut(i)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    let mut merged: Vec<Merged> = groups.iter().filter_map(|group| join(map, views, group)).collect();
    merged.sort_by(|a, b| b.score.total_cmp(&a.score));
    merged
}

/// How far two lifted rectangles are the same thing, 0 to 1: the overlap of their boxes. Views from two sides, or cut off by
/// their rims, show parts of a thing that hardly overlap. When the names agree, parts of one thing are the same thing.
fn overlap(map: &MapSegments, a: &Lifted, b: &Lifted, named: bool) -> f64 {
    let are_parts = named
        && match (&a.found, &b.found) {
            (Found::OnWall(x), Found::OnWall(y)) => x.continues(y),
            (Found::Body(x), Found::Body(y)) => continues(map, x, y),
            _ => false,
        };
    let iou = a.bbox.iou(&b.bbox);
    if are_parts { iou.max(SAME_NAME_IOU) } else { iou }
}

/// Whether two picks are sides of one solid: they share a piece, or touch where the surface bends outwards, and neither view
/// shows much of the other's pieces outside of its own rectangle.
fn continues(map: &MapSegments, a: &Pick, b: &Pick) -> bool {
    let own = |pick: &Pick, piece: u32| pick.pieces.binary_search(&piece).is_ok();
    let touches = |piece: &u32| {
        let beside = map.contacts[*piece as usize].iter();
        own(b, *piece) || beside.filter(|c| c.is_outward() && c.pairs >= MIN_TOUCH).any(|c| own(b, c.piece))
    };
    let refuses = |view: &Pick, other: &Pick| {
        let against: f32 = other.pieces.iter().map(|p| (-view.votes[*p as usize]).max(0.0)).sum();
        against > REFUSED_SHARE * other.support as f32
    };
    a.pieces.iter().any(touches) && !refuses(a, b) && !refuses(b, a)
}

/// One object of what views show of it; the surest view says whether it is a body or hangs on a wall.
fn join(map: &MapSegments, views: &[ViewEvidence], group: &[Lifted]) -> Option<Merged> {
    let first = group.first()?;
    let bbox = match &first.found {
        Found::Body(_) => body(map, views, group),
        Found::OnWall(thing) => {
            let others =
                group.iter().filter_map(|one| if let Found::OnWall(other) = &one.found { Some(other) } else { None });
            Some(others.fold(*thing, |whole, other| whole.union(other)).bbox(map))
        }
    };
    let bbox = if group.len() > 1 { bbox } else { None }.unwrap_or(first.bbox);
    let fit = group.iter().map(|one| one.found.evidence().0).sum::<f32>() / group.len() as f32;
    let support = group.iter().fold(0u32, |sum, one| sum.saturating_add(one.found.evidence().1));
    Some(Merged { label: first.label.clone(), bbox, score: score(fit, support) })
}

/// The box of a body: each piece of the map belongs when more speaks for it than against it.
fn body(map: &MapSegments, views: &[ViewEvidence], group: &[Lifted]) -> Option<OrientedBox> {
    let framed: Vec<(&ViewEvidence, Rect)> =
        group.iter().filter_map(|one| Some((views.get(one.view)?, one.rect))).collect();
    let mut votes = vec![0.0f32; map.len()];
    for one in group {
        let Found::Body(pick) = &one.found else { continue };
        for (sum, vote) in votes.iter_mut().zip(&pick.votes) {
            *sum += vote;
        }
    }
    let pieces: Vec<u32> = (0..map.len() as u32).filter(|p| votes[*p as usize] > 0.0).collect();
    solid(map, &pieces, &framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_by_what_they_name() {
        for (a, b) in [("chair", "The wooden chair"), ("Chairs", "chair"), ("book shelf", "shelf"), ("glass", "glass")]
        {
            assert!(names_agree(a, b), "{a} {b}");
        }
        for (a, b) in [("chair", "chair leg"), ("glass", "glas"), ("table", "lamp")] {
            assert!(!names_agree(a, b), "{a} {b}");
        }
    }
}
