//! A rectangle in a view in, the pieces of the map that make up what it frames out.
//!
//! Three things decide. A piece belongs only if most of what the view sees of it lies in the rectangle: that refuses the
//! table below the lamp and the shelf behind the chair. Connected pieces are taken together, and the group whose outline in
//! the picture fits the rectangle best wins: that refuses what stands before or behind. And the map adds what this view did
//! not see: pieces that hang on the chosen ones and are hidden within the rectangle.

use std::collections::VecDeque;

use super::evidence::{Sight, ViewEvidence};
use super::region::Rect;
use super::segments::{Contact, MapSegments};

/// A piece belongs when this share of its seen cells lies in the rectangle...
const INSIDE_SHARE: f32 = 0.5;
/// ...which is grown by this share of its sides and so many pixels, as rectangles are drawn by eye.
const GROWN_SHARE: f32 = 0.03;
const GROWN_PX: f32 = 1.0;
/// Fewest seen cells of a piece.
const MIN_SEEN: u32 = 3;
/// A further group joins when it raises the fit by this much...
const MIN_GAIN: f32 = 0.03;
/// ...and is no further away than this share of the chosen ones' size.
const MAX_GAP_SHARE: f32 = 0.5;
/// A piece that shows less than this share of its cells counts as hidden...
const HIDDEN_SHARE: f32 = 0.1;
/// ...and is added when this share of its cells projects into the rectangle.
const HIDDEN_INSIDE_SHARE: f32 = 0.8;

/// A piece is needless when the fit without it is less by no more than this...
const NEEDLESS_LOSS: f32 = 0.02;
/// ...or, for what shows more than half of all, greater by at least this...
const MISFIT_GAIN: f32 = 0.05;
/// ...and the bounds shrink by at least this share.
const NEEDLESS_VOLUME: f32 = 0.1;

/// A cell within the rectangle that the view does without speaks against its piece by this much.
const NEEDLESS_VOTE: f32 = 0.3;

/// What a rectangle frames.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pick {
    /// Pieces, ascending.
    pub(super) pieces: Vec<u32>,
    /// Overlap of their outline with the rectangle, 0 to 1.
    pub(super) fit: f32,
    /// Cells seen in the rectangle.
    pub(super) support: u32,
    /// What the view says for and against each piece, by piece: cells, positive when it belongs.
    pub(super) votes: Vec<f32>,
}

/// What a view shows of one piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// Seen cells in the rectangle.
    inside: u32,
    /// Seen cells elsewhere.
    outside: u32,
    /// Around all seen cells.
    outline: Rect,
}

impl Shown {
    /// The vote of a piece that was not chosen: what lies outside speaks against it, what lies within says little.
    fn against(&self) -> f32 {
        -(self.outside as f32) - NEEDLESS_VOTE * self.inside as f32
    }
}

/// What the view shows of each piece, by the rectangle.
fn shown(map: &MapSegments, view: &ViewEvidence, rect: &Rect) -> Vec<Shown> {
    let mut all = vec![Shown { inside: 0, outside: 0, outline: Rect::EMPTY }; map.len()];
    for ((piece, pixel), sight) in map.piece_of.iter().zip(&view.pixels).zip(&view.sight) {
        let Some(shown) = piece.and_then(|p| all.get_mut(p as usize)) else { continue };
        if *sight != Sight::Seen {
            continue;
        }
        let place = pixel.map(|x| x + 0.5);
        if rect.contains(&place) {
            shown.inside += 1;
        } else {
            shown.outside += 1;
        }
        shown.outline = shown.outline.union(&Rect { min: place, max: place });
    }
    all
}

/// The pieces that `rect` (pixels of the depth image) frames in `view`; `None` when the map shows nothing there but its
/// shell, or what it shows extends far beyond.
pub(super) fn pick(map: &MapSegments, view: &ViewEvidence, rect: &Rect) -> Option<Pick> {
    let wide = rect.grown(std::array::from_fn(|k| GROWN_PX + GROWN_SHARE * (rect.max[k] - rect.min[k])));
    let shown = shown(map, view, &wide);
    let fits = |s: &Shown| s.inside >= MIN_SEEN && s.inside as f32 >= INSIDE_SHARE * (s.inside + s.outside) as f32;
    let candidate: Vec<bool> = shown.iter().map(fits).collect();
    let mut groups = map.connected(&candidate, |_| true);
    let outline = |pieces: &[u32]| pieces.iter().fold(Rect::EMPTY, |r, p| r.union(&shown[*p as usize].outline));
    let support = |pieces: &[u32]| pieces.iter().map(|p| shown[*p as usize].inside).sum::<u32>();

    // the best fitting group, of equals the larger, then the first
    let best = (0..groups.len()).min_by(|&a, &b| {
        let fit = |i: usize| outline(&groups[i]).iou(rect);
        fit(b).total_cmp(&fit(a)).then(support(&groups[b]).cmp(&support(&groups[a]))).then(a.cmp(&b))
    })?;
    let mut chosen = groups.swap_remove(best);
    let mut fit = outline(&chosen).iou(rect);
    loop {
        let around = bounds(map, &chosen);
        let gain = |group: &Vec<u32>| outline(&chosen).union(&outline(group)).iou(rect) - fit;
        let near = |group: &Vec<u32>| gap(&around, &bounds(map, group)) <= MAX_GAP_SHARE * diagonal(&around);
        let next = (0..groups.len())
            .filter(|&i| near(&groups[i]))
            .map(|i| (gain(&groups[i]), i))
            .filter(|(gain, _)| *gain >= MIN_GAIN)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((gain, next)) = next else { break };
        fit += gain;
        chosen.extend(groups.swap_remove(next));
    }
    drop_needless(map, rect, &shown, &mut chosen);
    let fit = outline(&chosen).iou(rect);
    let support = support(&chosen);
    add_hidden(map, view, &wide, &shown, &mut chosen);
    chosen.sort_unstable();
    let mut votes: Vec<f32> = shown.iter().map(Shown::against).collect();
    for piece in &chosen {
        let s = &shown[*piece as usize];
        votes[*piece as usize] = 1.0 + (s.inside + s.outside) as f32;
    }
    votes.iter_mut().for_each(|vote| *vote *= fit);
    Some(Pick { pieces: chosen, fit, support, votes })
}

/// Takes out bodies that the rectangle does not need and that make the object larger: what stands on it or against it.
/// A body is what outward bends connect.
fn drop_needless(map: &MapSegments, rect: &Rect, shown: &[Shown], chosen: &mut Vec<u32>) {
    let fit = |pieces: &[u32]| pieces.iter().fold(Rect::EMPTY, |r, p| r.union(&shown[*p as usize].outline)).iou(rect);
    let support = |pieces: &[u32]| pieces.iter().map(|p| shown[*p as usize].inside).sum::<u32>();
    let mut is_chosen = vec![false; map.len()];
    for piece in chosen.iter() {
        is_chosen[*piece as usize] = true;
    }
    let mut bodies = map.connected(&is_chosen, Contact::is_outward);
    loop {
        let without = |i: usize| -> Vec<u32> {
            bodies.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, body)| body.iter().copied()).collect()
        };
        let (now, size, seen) = (fit(chosen), volume(map, chosen), support(chosen));
        let best = (0..bodies.len())
            .map(|i| (i, without(i)))
            .filter(|(i, rest)| {
                let least = if 2 * support(&bodies[*i]) < seen { -NEEDLESS_LOSS } else { MISFIT_GAIN };
                fit(rest) >= now + least
            })
            .map(|(i, rest)| (volume(map, &rest) / size, i))
            .filter(|(share, _)| *share < 1.0 - NEEDLESS_VOLUME)
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some((_, i)) = best else { return };
        *chosen = without(i);
        bodies.swap_remove(i);
    }
}

/// Adds the pieces that the view does not show, hang on the chosen ones more than on others, and lie within the rectangle.
fn add_hidden(map: &MapSegments, view: &ViewEvidence, rect: &Rect, shown: &[Shown], chosen: &mut Vec<u32>) {
    let mut is_chosen = vec![false; map.len()];
    for piece in chosen.iter() {
        is_chosen[*piece as usize] = true;
    }
    let mut queue: VecDeque<u32> = chosen.iter().copied().collect();
    while let Some(from) = queue.pop_front() {
        for contact in &map.contacts[from as usize] {
            let at = contact.piece as usize;
            let cells = map.pieces[at].len() as f32;
            let seen = (shown[at].inside + shown[at].outside) as f32;
            if is_chosen[at] || seen > HIDDEN_SHARE * cells {
                continue;
            }
            let within = map.pieces[at].iter().filter(|c| rect.contains(&view.pixels[**c as usize].map(|x| x + 0.5)));
            let (own, all) = map.contacts[at].iter().fold((0, 0), |(own, all), c| {
                (own + if is_chosen[c.piece as usize] { c.pairs } else { 0 }, all + c.pairs)
            });
            if within.count() as f32 >= HIDDEN_INSIDE_SHARE * cells && 2 * own >= all {
                is_chosen[at] = true;
                chosen.push(contact.piece);
                queue.push_back(contact.piece);
            }
        }
    }
}

type Bounds = ([f32; 3], [f32; 3]);

fn bounds(map: &MapSegments, pieces: &[u32]) -> Bounds {
    let cells = pieces.iter().flat_map(|p| &map.pieces[*p as usize]);
    cells.fold(([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]), |(min, max), cell| {
        let p = map.positions[*cell as usize];
        (std::array::from_fn(|k| min[k].min(p[k])), std::array::from_fn(|k| max[k].max(p[k])))
    })
}

/// Distance between two bounds, metres.
fn gap(a: &Bounds, b: &Bounds) -> f32 {
    (0..3).map(|k| (a.0[k] - b.1[k]).max(b.0[k] - a.1[k]).max(0.0).powi(2)).sum::<f32>().sqrt()
}

/// Cubic metres of the bounds of `pieces`, a cell being at least as thick as its side.
fn volume(map: &MapSegments, pieces: &[u32]) -> f32 {
    let (min, max) = bounds(map, pieces);
    (0..3).map(|k| (max[k] - min[k]).max(0.0) + map.grid_m).product()
}

fn diagonal(a: &Bounds) -> f32 {
    (0..3).map(|k| (a.1[k] - a.0[k]).max(0.0).powi(2)).sum::<f32>().sqrt()
}
