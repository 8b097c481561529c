//! Cells of the map in, the upright plane that most of them lie on out, and what stands out of it.

use nalgebra::Point3;

use super::evidence::ViewEvidence;
use super::region::Rect;
use super::segments::MapSegments;

/// A wall's normal is at most this far from the horizontal (its z)...
const UPRIGHT: f32 = 0.3;
/// ...and cells of one wall agree with it at least so well (cosine).
const FACING: f64 = 0.9;
/// Cells of one wall lie so close to its plane, metres.
const SAME_PLANE_M: f64 = 0.06;
/// Fewest cells that make a wall.
const MIN_CELLS: usize = 12;
/// Cells that are tried as the wall's, and depths along each side of a rectangle that are compared with it.
const TRIED: usize = 32;
/// What belongs to a wall stands out or lies back by at most this, metres.
const MAX_RELIEF_M: f64 = 0.12;
/// The wall is looked at so far around a thing on it, metres.
const AROUND_M: f64 = 0.25;
/// The rim of the thing does not count, as a share of its sides: a cell there holds some of the wall.
const RIM_SHARE: f64 = 0.12;

/// An upright plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wall {
    /// x and y of the unit normal, into the room.
    pub(super) normal: [f64; 2],
    /// Along the normal, metres.
    pub(super) offset: f64,
}

impl Wall {
    /// Along the wall, up, and out of it from the origin.
    pub(super) fn coordinates(&self, p: [f64; 3]) -> [f64; 3] {
        let [x, y] = self.normal;
        [x * p[1] - y * p[0], p[2], x * p[0] + y * p[1]]
    }

    /// A place on it.
    pub(super) fn place(&self, along: f64, up: f64) -> Point3<f64> {
        let [x, y] = self.normal;
        Point3::new(self.offset * x - along * y, self.offset * y + along * x, up)
    }

    fn faces(&self, normal: &[f32; 3]) -> bool {
        self.normal[0] * f64::from(normal[0]) + self.normal[1] * f64::from(normal[1]) >= FACING
    }

    /// Of the depths in `rect`, the share that lies on the wall.
    pub(super) fn share(&self, view: &ViewEvidence, rect: &Rect) -> f32 {
        let (mut on, mut all) = (0u32, 0u32);
        for i in 0..TRIED * TRIED {
            let share = [i % TRIED, i / TRIED].map(|k| (k as f32 + 0.5) / TRIED as f32);
            let place: [f32; 2] = std::array::from_fn(|k| rect.min[k] + share[k] * (rect.max[k] - rect.min[k]) - 0.5);
            let Some(point) = view.point(place) else { continue };
            let seen = view.world_from_camera * point;
            let out = self.coordinates([seen.x, seen.y, seen.z])[2] - self.offset;
            all += 1;
            on += u32::from(out.abs() <= f64::from(view.tolerance(point.z as f32)));
        }
        on as f32 / all.max(1) as f32
    }

    /// How far out of the origin the wall around `area` and the surface within lie along the wall's normal, metres. Where nothing
    /// of one is on the map, it lies where the other does.
    pub(super) fn relief(&self, map: &MapSegments, area: &[f64; 4]) -> (f64, f64) {
        let sides = [area[1] - area[0], area[3] - area[2]];
        let grid = f64::from(map.grid_m);
        let (mut around, mut within) = (Vec::new(), Vec::new());
        for (position, normal) in map.positions.iter().zip(&map.normals) {
            let at = self.coordinates(position.map(f64::from));
            if (at[2] - self.offset).abs() > MAX_RELIEF_M || !self.faces(normal) {
                continue;
            }
            // how far beyond the sides, metres; negative within
            let beyond = |k: usize| (area[2 * k] - at[k]).max(at[k] - area[2 * k + 1]);
            if (0..2).all(|k| beyond(k) <= -RIM_SHARE * sides[k]) {
                within.push(at[2]);
            } else if (0..2).any(|k| beyond(k) > grid) && (0..2).all(|k| beyond(k) <= AROUND_M) {
                around.push(at[2]);
            }
        }
        let (around, within) = (median(around), median(within));
        let front = within.or(around).unwrap_or(self.offset);
        (around.unwrap_or(front), front)
    }

    /// Whether both are planes of one wall.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let turn = self.normal[0] * other.normal[0] + self.normal[1] * other.normal[1];
        turn >= FACING && (self.offset - other.offset).abs() <= MAX_RELIEF_M
    }
}

/// The upright plane that most of `cells` lie on, and how many.
pub(super) fn largest_wall(map: &MapSegments, cells: &[usize]) -> Option<(Wall, u32)> {
    let upright = |cell: &&usize| map.normals[**cell][2].abs() <= UPRIGHT;
    let cells: Vec<usize> = cells.iter().filter(upright).copied().collect();
    let position = |cell: usize| map.positions[cell].map(f64::from);
    let own = |wall: &Wall| -> Vec<usize> {
        let near = |cell: &usize| {
            wall.faces(&map.normals[*cell])
                && (wall.coordinates(position(*cell))[2] - wall.offset).abs() <= SAME_PLANE_M
        };
        cells.iter().copied().filter(near).collect()
    };
    let through = |normal: [f64; 2], cell: usize| {
        let length = normal[0].hypot(normal[1]);
        let wall = Wall { normal: normal.map(|x| x / length), offset: 0.0 };
        let offset = wall.coordinates(position(cell))[2];
        (length > 0.0 && offset.is_finite()).then_some(Wall { offset, ..wall })
    };
    let flat = |cell: usize| [f64::from(map.normals[cell][0]), f64::from(map.normals[cell][1])];
    let tried = cells.iter().step_by(cells.len().div_ceil(TRIED).max(1)).filter_map(|cell| through(flat(*cell), *cell));
    // of equals the first
    let best = tried.map(|wall| own(&wall)).reduce(|best, next| if next.len() > best.len() { next } else { best })?;
    if best.len() < MIN_CELLS {
        return None;
    }
    let sum = best.iter().fold([0.0; 2], |sum, cell| [sum[0] + flat(*cell)[0], sum[1] + flat(*cell)[1]]);
    let wall = through(sum, best[0])?;
    let offset = median(best.iter().map(|cell| wall.coordinates(position(*cell))[2]).collect())?;
    Some((Wall { offset, ..wall }, best.len() as u32))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
