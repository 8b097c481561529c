//! A rectangle in a view in, the flat thing on a wall that it frames out: a picture, a door, a window.
//!
//! Such things belong to the room's shell, so that the map has no piece for them. Where they are is the rectangle itself,
//! thrown onto the wall; how thick they are is how far the surface stands out of the wall around it, or lies back.

use nalgebra::{Matrix4, Point3, Vector3, Vector4};
use vantage_scene::OrientedBox;

use super::evidence::{Sight, ViewEvidence};
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
/// Cells that are tried as the wall's, and depths along each side of the rectangle that are compared with it.
const TRIED: usize = 32;
/// A flat thing stands out or lies back by at most this, metres.
const MAX_RELIEF_M: f64 = 0.12;
/// The wall is looked at so far around the thing, metres.
const AROUND_M: f64 = 0.25;
/// The rim of the thing does not count, as a share of its sides: a cell there holds some of the wall.
const RIM_SHARE: f64 = 0.12;
/// Least thickness, metres: that of a poster's frame.
const MIN_THICKNESS_M: f64 = 0.02;
/// Steps until the rectangle on the wall projects to the given one, and when it does, pixels.
const MAX_STEPS: usize = 8;
const CLOSE_PX: f64 = 0.1;
/// Step of the differences, metres.
const DIFFERENCE_M: f64 = 1e-3;

/// A rectangle that comes so close to the picture's rim may be cut off there, pixels.
const AT_RIM_PX: f32 = 2.0;
/// Parts of one thing that a rim cut off are no further apart than this, metres.
const MAX_CUT_GAP_M: f64 = 0.1;
/// Two views show one thing when this share of the smaller is covered by the other.
const MIN_COVERED: f64 = 0.25;

/// A flat thing on a wall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OnWall {
    wall: Wall,
    /// From where to where along the wall, and from where to where up, metres.
    area: [f64; 4],
    /// Of what the rectangle shows, the share that is wall.
    pub(super) share: f32,
    /// Cells of the wall seen in the rectangle.
    pub(super) support: u32,
    /// Whether it may go on beyond the picture.
    is_cut: bool,
}

/// An upright plane.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wall {
    /// x and y of the unit normal, into the room.
    normal: [f64; 2],
    /// Along the normal, metres.
    offset: f64,
}

impl Wall {
    /// Along the wall, up, and out of it from the origin.
    fn coordinates(&self, p: [f64; 3]) -> [f64; 3] {
        let [x, y] = self.normal;
        [x * p[1] - y * p[0], p[2], x * p[0] + y * p[1]]
    }

    /// A place on it.
    fn place(&self, along: f64, up: f64) -> Point3<f64> {
        let [x, y] = self.normal;
        Point3::new(self.offset * x - along * y, self.offset * y + along * x, up)
    }

    fn faces(&self, normal: &[f32; 3]) -> bool {
        self.normal[0] * f64::from(normal[0]) + self.normal[1] * f64::from(normal[1]) >= FACING
    }
}

/// What `rect` (pixels of the depth image) frames on a wall in `view`; `None` where it shows no wall.
pub(super) fn on_wall(map: &MapSegments, view: &ViewEvidence, rect: &Rect) -> Option<OnWall> {
    let is_framed = |cell: &usize| {
        view.sight[*cell] == Sight::Seen
            && map.piece_of[*cell].is_none()
            && map.normals[*cell][2].abs() <= UPRIGHT
            && rect.contains(&view.pixels[*cell].map(|x| x + 0.5))
    };
    let cells: Vec<usize> = (0..map.positions.len()).filter(is_framed).collect();
    let (wall, support) = largest_wall(map, &cells)?;
    let area = area_of(view, &wall, rect)?;
    let front = relief(map, &wall, &area).1;
    let wall = Wall { offset: front, ..wall };
    let area = area_of(view, &wall, rect)?;
    let is_cut = (0..2).any(|k| rect.min[k] < AT_RIM_PX || rect.max[k] > view.size[k] as f32 - AT_RIM_PX);
    Some(OnWall { wall, area, share: share_of_wall(view, &wall, rect), support, is_cut })
}

/// The upright plane that most of `cells` lie on, and how many.
fn largest_wall(map: &MapSegments, cells: &[usize]) -> Option<(Wall, u32)> {
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

/// The upright rectangle on `wall` around whose corners `rect` lies in the picture, found by Newton's method from where the
/// corners of `rect` meet the wall. `None` where they do not.
fn area_of(view: &ViewEvidence, wall: &Wall, rect: &Rect) -> Option<[f64; 4]> {
    let eye = view.world_from_camera.translation.vector;
    let [x, y] = wall.normal;
    let mut start = [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY];
    for (u, v) in
        [(rect.min[0], rect.min[1]), (rect.max[0], rect.min[1]), (rect.min[0], rect.max[1]), (rect.max[0], rect.max[1])]
    {
        let ray = view.world_from_camera.rotation * view.projector.camera().ray(f64::from(u) - 0.5, f64::from(v) - 0.5);
        let far = (wall.offset - x * eye.x - y * eye.y) / (x * ray.x + y * ray.y);
        if !(far > 0.0 && far.is_finite()) {
            return None;
        }
        let hit: Vector3<f64> = eye + ray * far;
        let [along, up, _] = wall.coordinates([hit.x, hit.y, hit.z]);
        start = [start[0].min(along), start[1].max(along), start[2].min(up), start[3].max(up)];
    }
    let target = Vector4::new(rect.min[0], rect.min[1], rect.max[0], rect.max[1]).map(f64::from);
    let (mut best, mut least, mut now) = (start, f64::INFINITY, Vector4::from(start));
    for _ in 0..MAX_STEPS {
        let Some(seen) = outline(view, wall, &now) else { break };
        let error = target - seen;
        if error.amax() < least && now[0] < now[1] && now[2] < now[3] {
            (best, least) = (now.into(), error.amax());
        }
        if least < CLOSE_PX {
            break;
        }
        let mut slopes = Matrix4::zeros();
        for k in 0..4 {
            let mut moved = now;
            moved[k] += DIFFERENCE_M;
            let Some(seen_there) = outline(view, wall, &moved) else { break };
            slopes.set_column(k, &((seen_there - seen) / DIFFERENCE_M));
        }
        let Some(step) = slopes.lu().solve(&error) else { break };
        now += step;
    }
    best.iter().all(|x| x.is_finite()).then_some(best)
}

/// Left, top, right and bottom of a rectangle on the wall in the picture, pixels.
fn outline(view: &ViewEvidence, wall: &Wall, area: &Vector4<f64>) -> Option<Vector4<f64>> {
    let mut out = Vector4::new(f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY);
    for (along, up) in [(0, 2), (1, 2), (0, 3), (1, 3)] {
        let corner = view.world_from_camera.inverse_transform_point(&wall.place(area[along], area[up]));
        let pixel = view.projector.project(&corner)?.add_scalar(0.5);
        out = Vector4::new(out.x.min(pixel.x), out.y.min(pixel.y), out.z.max(pixel.x), out.w.max(pixel.y));
    }
    out.iter().all(|x| x.is_finite()).then_some(out)
}

/// Of the depths in `rect`, the share that lies on `wall`.
fn share_of_wall(view: &ViewEvidence, wall: &Wall, rect: &Rect) -> f32 {
    let (mut on, mut all) = (0u32, 0u32);
    for i in 0..TRIED * TRIED {
        let share = [i % TRIED, i / TRIED].map(|k| (k as f32 + 0.5) / TRIED as f32);
        let place: [f32; 2] = std::array::from_fn(|k| rect.min[k] + share[k] * (rect.max[k] - rect.min[k]) - 0.5);
        let Some(point) = view.point(place) else { continue };
        let seen = view.world_from_camera * point;
        let out = wall.coordinates([seen.x, seen.y, seen.z])[2] - wall.offset;
        all += 1;
        on += u32::from(out.abs() <= f64::from(view.tolerance(point.z as f32)));
    }
    on as f32 / all.max(1) as f32
}

/// How far out of the origin the wall around `area` and the surface within lie along the wall's normal, metres. Where nothing
/// of one is on the map, it lies where the other does.
fn relief(map: &MapSegments, wall: &Wall, area: &[f64; 4]) -> (f64, f64) {
    let sides = [area[1] - area[0], area[3] - area[2]];
    let grid = f64::from(map.grid_m);
    let (mut around, mut within) = (Vec::new(), Vec::new());
    for (position, normal) in map.positions.iter().zip(&map.normals) {
        let at = wall.coordinates(position.map(f64::from));
        if (at[2] - wall.offset).abs() > MAX_RELIEF_M || !wall.faces(normal) {
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
    let front = within.or(around).unwrap_or(wall.offset);
    (around.unwrap_or(front), front)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl OnWall {
    /// Its box: from the wall to its own surface.
    pub(super) fn bbox(&self, map: &MapSegments) -> OrientedBox {
        let (back, front) = relief(map, &self.wall, &self.area);
        let high = back.max(front);
        let low = back.min(front).min(high - MIN_THICKNESS_M);
        let middle = Wall { offset: 0.5 * (low + high), ..self.wall };
        let [left, right, bottom, top] = self.area;
        let center = middle.place(0.5 * (left + right), 0.5 * (bottom + top));
        let [x, y] = self.wall.normal;
        OrientedBox { center: center.into(), size: [right - left, high - low, top - bottom], yaw: (x).atan2(-y) }
    }

    /// Whether two views show the same thing: either covers enough of the other, or they meet where a rim cuts one off.
    pub(super) fn continues(&self, other: &Self) -> bool {
        let turn = self.wall.normal[0] * other.wall.normal[0] + self.wall.normal[1] * other.wall.normal[1];
        if turn < FACING || (self.wall.offset - other.wall.offset).abs() > MAX_RELIEF_M {
            return false;
        }
        // negative for a gap
        let common = |k: usize| self.area[k + 1].min(other.area[k + 1]) - self.area[k].max(other.area[k]);
        let size = |area: &[f64; 4]| (area[1] - area[0]) * (area[3] - area[2]);
        let covered = common(0).max(0.0) * common(2).max(0.0) / size(&self.area).min(size(&other.area));
        let meet = common(0).min(common(2)) > -MAX_CUT_GAP_M;
        covered >= MIN_COVERED || (meet && (self.is_cut || other.is_cut))
    }

    /// What both views show of one thing.
    pub(super) fn union(&self, other: &Self) -> Self {
        let (a, b) = (&self.area, &other.area);
        Self { area: [a[0].min(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].max(b[3])], ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Isometry3, Translation3, UnitQuaternion};
    use std::sync::Arc;
    use vantage_calibration::{Distortion, PinholeCamera};
    use vantage_scene::{CameraId, ColorImage, DepthImage, PointCloud, RgbdFrame};

    const SIZE: (u32, u32) = (320, 240);
    /// A picture on the wall y = 3 of a room of 4 x 3 x 2.5 m.
    const PICTURE: OrientedBox = OrientedBox { center: [2.2, 2.98, 1.4], size: [0.8, 0.04, 0.6], yaw: 0.0 };

    /// How far a ray goes inside the room until it meets the picture or the shell.
    fn far(eye: &Vector3<f64>, ray: &Vector3<f64>) -> f64 {
        let to = |plane: f64, k: usize| Some((plane - eye[k]) / ray[k]).filter(|t| *t > 0.0).unwrap_or(f64::INFINITY);
        let picture = to(2.96, 1);
        let at = eye + ray * picture;
        let shell = [to(0.0, 0), to(4.0, 0), to(0.0, 1), to(3.0, 1), to(0.0, 2), to(2.5, 2)];
        let is_hit = (at.x - 2.2).abs() <= 0.4 && (at.z - 1.4).abs() <= 0.3;
        if is_hit { picture } else { shell.into_iter().fold(f64::INFINITY, f64::min) }
    }

    fn room() -> MapSegments {
        let mut cloud = PointCloud::default();
        let mut face = |axis: usize, at: f64, normal: f32| {
            let sides = [4.0, 3.0, 2.5];
            let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
            for i in 0..(sides[a] / 0.02) as usize {
                for j in 0..(sides[b] / 0.02) as usize {
                    let mut p = [0.0; 3];
                    (p[a], p[b]) = (0.02 * (i as f64 + 0.5), 0.02 * (j as f64 + 0.5));
                    p[axis] = at;
                    if axis == 1 && at > 1.0 && (p[0] - 2.2).abs() <= 0.4 && (p[2] - 1.4).abs() <= 0.3 {
                        p[1] = 2.96;
                    }
                    let mut n = [0.0; 3];
                    n[axis] = normal;
                    cloud.positions.push(p.map(|x| x as f32));
                    cloud.normals.push(n);
                    cloud.colors.push([0; 3]);
                }
            }
        };
        for (axis, side) in [4.0, 3.0, 2.5].into_iter().enumerate() {
            face(axis, 0.0, 1.0);
            face(axis, side, -1.0);
        }
        MapSegments::from_surface(&cloud, 0.02)
    }

    /// A view from `eye` towards `at`, turned about its axis by `roll`, and the rectangle around the picture in it.
    fn view(map: &MapSegments, eye: [f64; 3], at: [f64; 3], roll: f64) -> (ViewEvidence, Rect) {
        let camera = PinholeCamera::new(SIZE.0, SIZE.1, 180.0, 180.0, 159.5, 119.5, Distortion::None).unwrap();
        let (eye, at) = (Vector3::from(eye), Vector3::from(at));
        let level = UnitQuaternion::face_towards(&(at - eye), &-Vector3::z());
        let rotation = level * UnitQuaternion::from_axis_angle(&Vector3::z_axis(), roll);
        let pose = Isometry3::from_parts(Translation3::from(eye), rotation);
        let depth = (0..SIZE.0 * SIZE.1).map(|i| {
            let ray = camera.ray(f64::from(i % SIZE.0), f64::from(i / SIZE.0));
            far(&eye, &(pose.rotation * ray)) as f32
        });
        let frame = RgbdFrame {
            camera_id: CameraId::default(),
            stamp: 0,
            color: Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap()),
            depth: Arc::new(DepthImage::new(SIZE.0, SIZE.1, depth.collect()).unwrap()),
            camera,
            world_from_camera: pose,
        };
        let front = OrientedBox { center: [2.2, 2.96, 1.4], size: [0.8, 0.0, 0.6], yaw: 0.0 };
        let rect = front.corners().iter().fold(Rect::EMPTY, |rect, corner| {
            let pixel = camera.project(&pose.inverse_transform_point(&Point3::from(*corner))).unwrap();
            let place = [pixel.x as f32 + 0.5, pixel.y as f32 + 0.5];
            rect.union(&Rect { min: place, max: place })
        });
        let rim = Rect { min: [0.0; 2], max: [SIZE.0 as f32, SIZE.1 as f32] };
        let within = |k: usize, x: f32| x.clamp(rim.min[k], rim.max[k]);
        let [min, max] = [rect.min, rect.max].map(|p| [within(0, p[0]), within(1, p[1])]);
        (ViewEvidence::new(&frame, map, None), Rect { min, max })
    }

    #[test]
    fn a_picture_is_lifted_from_the_front_from_aside_and_with_a_turned_camera() {
        let map = room();
        for (eye, roll) in
            [([2.2, 0.6, 1.4], 0.0), ([0.6, 1.6, 1.9], 0.0), ([3.4, 1.2, 1.0], 0.3), ([1.6, 0.8, 1.6], 1.5)]
        {
            let (view, rect) = view(&map, eye, [2.1, 3.0, 1.3], roll);
            let found = on_wall(&map, &view, &rect).unwrap();
            let iou = found.bbox(&map).iou(&PICTURE);
            assert!(iou > 0.8 && found.share > 0.95, "{eye:?}: {iou} {found:?} {:?}", found.bbox(&map));
        }
    }

    #[test]
    fn parts_that_the_rim_cuts_off_are_one_thing() {
        let map = room();
        let [left, right] = [[1.3, 3.0, 1.4], [3.1, 3.0, 1.4]].map(|at| {
            let (view, rect) = view(&map, [2.2, 1.9, 1.4], at, 0.0);
            on_wall(&map, &view, &rect).unwrap()
        });
        assert!(left.is_cut && right.is_cut && left.continues(&right));
        let whole = left.union(&right).bbox(&map);
        assert!(whole.iou(&PICTURE) > 0.7, "{whole:?}");
        assert!(left.bbox(&map).iou(&PICTURE) < 0.7);
        let beside = OnWall { area: left.area.map(|x| x + 3.0), is_cut: false, ..left };
        assert!(!left.continues(&beside));
    }

    #[test]
    fn a_rectangle_on_the_floor_frames_no_wall() {
        let map = room();
        let (view, _) = view(&map, [2.2, 1.0, 1.6], [2.2, 2.2, 0.0], 0.0);
        let middle = Rect { min: [120.0, 100.0], max: [200.0, 140.0] };
        assert!(on_wall(&map, &view, &middle).is_none());
        let nowhere = Rect { min: [f32::NAN; 2], max: [f32::NAN; 2] };
        assert!(on_wall(&map, &view, &nowhere).is_none());
    }
}
