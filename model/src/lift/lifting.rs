//! A rectangle in a view in, the object that it frames on the fused map and its box in the world out.

use vantage_scene::OrientedBox;

use super::evidence::ViewEvidence;
use super::on_wall::{OnWall, on_wall};
use super::pick::{Pick, pick};
use super::region::Rect;
use super::segments::MapSegments;
use super::solid::{fit, set_down};

/// Seen cells that make a lift half certain.
const HALF_CERTAIN: f32 = 12.0;

/// A body that fits its rectangle this well is what was meant, however much wall is around it: a lamp before it...
const GOOD_FIT: f32 = 0.5;
/// ...and a rectangle that shows less wall than this frames nothing on the wall.
const MIN_WALL_SHARE: f32 = 0.5;

/// A lifted rectangle.
#[derive(Debug, Clone)]
pub(super) struct Lifted {
    /// Which of the views it was seen in.
    pub(super) view: usize,
    /// The model's name for it.
    pub(super) label: String,
    /// Pixels of the depth image.
    pub(super) rect: Rect,
    /// What of the map it is.
    pub(super) found: Found,
    /// World frame, metres.
    pub(super) bbox: OrientedBox,
    /// How well the rectangle and the map agree, 0 to 1.
    pub(super) score: f32,
}

/// What a rectangle frames.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// A body, of pieces of the map.
    Body(Pick),
    /// A flat thing on a wall, of which the map has no pieces.
    OnWall(OnWall),
}

impl Found {
    /// How well it fits the rectangle, 0 to 1, and cells seen of it.
    pub(super) fn evidence(&self) -> (f32, u32) {
        match self {
            Self::Body(pick) => (pick.fit, pick.support),
            Self::OnWall(thing) => (thing.share, thing.support),
        }
    }
}

/// How far a lift can be trusted: the overlap of what was found with what was framed, less where few cells were seen.
pub(super) fn score(fit: f32, support: u32) -> f32 {
    let support = support as f32;
    (fit * support / (support + HALF_CERTAIN)).clamp(0.0, 1.0)
}

/// Lifts `rect` (pixels of the depth image) of view number `view`. `None` where the map shows nothing but floor and ceiling.
pub(super) fn lift(map: &MapSegments, evidence: &ViewEvidence, view: usize, rect: Rect, label: &str) -> Option<Lifted> {
    let body = pick(map, evidence, &rect)
        .and_then(|pick| Some((solid(map, &pick.pieces, &[(evidence, rect)])?, Found::Body(pick))));
    let fit = body.as_ref().map_or(0.0, |(_, body)| body.evidence().0);
    let on_wall = if fit < GOOD_FIT { on_wall(map, evidence, &rect) } else { None };
    let on_wall = on_wall.filter(|thing| thing.share >= MIN_WALL_SHARE && thing.share > fit);
    let (bbox, found) = on_wall.map(|thing| (thing.bbox(map), Found::OnWall(thing))).or(body)?;
    let (fit, support) = found.evidence();
    Some(Lifted { view, label: label.to_owned(), rect, found, bbox, score: score(fit, support) })
}

/// The box around `pieces` (ascending), set down on what they stand on.
pub(super) fn solid(map: &MapSegments, pieces: &[u32], framed: &[(&ViewEvidence, Rect)]) -> Option<OrientedBox> {
    let (points, normals) = map.surface_of(pieces);
    let found = fit(&points, &normals)?;
    Some(set_down(map, pieces, framed, &found))
}
