//! A rectangle in a view in, the object that it frames on the fused map and its box in the world out.

use vantage_scene::OrientedBox;

use super::evidence::ViewEvidence;
use super::pick::{Pick, pick};
use super::region::Rect;
use super::segments::MapSegments;
use super::solid::{fit, set_down};

/// Seen cells that make a lift half certain.
const HALF_CERTAIN: f32 = 12.0;

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
    pub(super) pick: Pick,
    /// World frame, metres.
    pub(super) bbox: OrientedBox,
    /// How well the rectangle and the map agree, 0 to 1.
    pub(super) score: f32,
}

/// How far a lift can be trusted: the overlap of what was found with what was framed, less where few cells were seen.
pub(super) fn score(fit: f32, support: u32) -> f32 {
    let support = support as f32;
    (fit * support / (support + HALF_CERTAIN)).clamp(0.0, 1.0)
}

/// Lifts `rect` (pixels of the depth image) of view number `view`. `None` where the map shows nothing but its shell.
pub(super) fn lift(map: &MapSegments, evidence: &ViewEvidence, view: usize, rect: Rect, label: &str) -> Option<Lifted> {
    let pick = pick(map, evidence, &rect)?;
    let bbox = solid(map, &pick.pieces, &[(evidence, rect)])?;
    let score = score(pick.fit, pick.support);
    Some(Lifted { view, label: label.to_owned(), rect, pick, bbox, score })
}

/// The box around `pieces` (ascending), set down on what they stand on.
pub(super) fn solid(map: &MapSegments, pieces: &[u32], framed: &[(&ViewEvidence, Rect)]) -> Option<OrientedBox> {
    let (points, normals) = map.surface_of(pieces);
    let found = fit(&points, &normals)?;
    Some(set_down(map, pieces, framed, &found))
}
