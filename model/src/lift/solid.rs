//! The surface of an object in, its box out: fitted to what was seen, and set down on what it stands on.

use vantage_scene::OrientedBox;

use super::evidence::ViewEvidence;
use super::region::Rect;
use super::segments::MapSegments;

/// The fit without normals is taken when it is smaller by this factor: normals of thin and round parts lead astray.
const SMALLER: f64 = 0.95;
/// An object is set down by at most this share of its height.
const MAX_DROP_SHARE: f64 = 0.35;
/// What it stands on is looked for under it and so far around, metres: right below it, nothing was seen.
const AROUND_M: f64 = 0.06;
/// Cells that face up at least so much (cosine to the vertical) can be stood on.
const LEVEL: f32 = 0.8;
/// Fewest of them.
const MIN_LEVEL_CELLS: usize = 4;
/// Share of them that the rectangles must hold, so that what hangs on a wall is not set down on the desk below it.
const FRAMED_SHARE: f32 = 0.5;
/// A box is at least so thick, metres: what is seen from one side alone, as a picture on a wall.
const MIN_SIDE_M: f64 = 0.01;

/// The box around `points` (metres) with their `normals`. `None` for fewer than three points or points on a line.
pub(super) fn fit(points: &[[f32; 3]], normals: &[[f32; 3]]) -> Option<OrientedBox> {
    let plain = OrientedBox::fit_yaw_robust(points, None);
    let guided = OrientedBox::fit_yaw_robust(points, Some(normals));
    let mut found = match (guided, plain) {
        (Some(guided), Some(plain)) if plain.volume() < SMALLER * guided.volume() => plain,
        (Some(found), _) | (None, Some(found)) => found,
        (None, None) => return None,
    };
    found.size = found.size.map(|s| s.max(MIN_SIDE_M));
    let is_finite = found.center.iter().chain(&found.size).all(|x| x.is_finite());
    is_finite.then_some(found)
}

/// Extends `found` down to the level surface close below it, if the rectangles that framed the object reach down to there.
/// `own` are the object's pieces.
pub(super) fn set_down(
    map: &MapSegments,
    own: &[u32],
    framed: &[(&ViewEvidence, Rect)],
    found: &OrientedBox,
) -> OrientedBox {
    let bottom = found.center[2] - 0.5 * found.size[2];
    let drop = MAX_DROP_SHARE * found.size[2];
    let beneath = OrientedBox {
        center: [found.center[0], found.center[1], bottom - 0.5 * drop],
        size: [found.size[0] + 2.0 * AROUND_M, found.size[1] + 2.0 * AROUND_M, drop],
        ..*found
    };
    let is_own = |cell: usize| map.piece_of[cell].is_some_and(|piece| own.binary_search(&piece).is_ok());
    let level: Vec<usize> = (0..map.positions.len())
        .filter(|&cell| map.normals[cell][2] > LEVEL && beneath.contains(map.positions[cell].map(f64::from), 0.0))
        .filter(|&cell| !is_own(cell))
        .collect();
    if level.len() < MIN_LEVEL_CELLS {
        return *found;
    }
    let is_framed = |(view, rect): &&(&ViewEvidence, Rect)| {
        let pixels = level.iter().map(|cell| view.pixels[*cell].map(|x| x + 0.5));
        let within = pixels.filter(|place| rect.contains(place)).count();
        within as f32 >= FRAMED_SHARE * level.len() as f32
    };
    if 2 * framed.iter().filter(is_framed).count() < framed.len().max(1) {
        return *found;
    }
    let mut heights: Vec<f32> = level.iter().map(|cell| map.positions[*cell][2]).collect();
    heights.sort_unstable_by(f32::total_cmp);
    let floor = heights.get(heights.len() / 2).map_or(bottom, |z| f64::from(*z)).min(bottom);
    let top = bottom + found.size[2];
    OrientedBox {
        center: [found.center[0], found.center[1], 0.5 * (floor + top)],
        size: [found.size[0], found.size[1], top - floor],
        ..*found
    }
}
