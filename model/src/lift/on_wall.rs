//! A rectangle in a view in, the flat thing on a wall that it frames out: a picture, a door, a window.
//!
//! Such things belong to the room's shell, so that the map has no piece for them. Where they are is the rectangle itself,
//! thrown onto the wall; how thick they are is how far the surface stands out of the wall around it, or lies back.

use nalgebra::{Matrix4, Vector3, Vector4};
use vantage_scene::OrientedBox;

use super::evidence::{Sight, ViewEvidence};
use super::region::Rect;
use super::segments::MapSegments;
use super::wall::{Wall, largest_wall};

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

/// What `rect` (pixels of the depth image) frames on a wall in `view`; `None` where it shows no wall.
pub(super) fn on_wall(map: &MapSegments, view: &ViewEvidence, rect: &Rect) -> Option<OnWall> {
    let is_framed = |cell: &usize| {
        view.sight[*cell] == Sight::Seen
            && map.piece_of[*cell].is_none()
            && rect.contains(&view.pixels[*cell].map(|x| x + 0.5))
    };
    let cells: Vec<usize> = (0..map.positions.len()).filter(is_framed).collect();
    let (wall, support) = largest_wall(map, &cells)?;
    let area = area_of(view, &wall, rect)?;
    let front = wall.relief(map, &area).1;
    let wall = Wall { offset: front, ..wall };
    let area = area_of(view, &wall, rect)?;
    let is_cut = (0..2).any(|k| rect.min[k] < AT_RIM_PX || rect.max[k] > view.size[k] as f32 - AT_RIM_PX);
    Some(OnWall { wall, area, share: wall.share(view, rect), support, is_cut })
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

impl OnWall {
    /// Its box: from the wall to its own surface.
    pub(super) fn bbox(&self, map: &MapSegments) -> OrientedBox {
        let (back, front) = self.wall.relief(map, &self.area);
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
        if !self.wall.is_same(&other.wall) {
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
    use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion};
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
