//! Suggested poses against exact rooms: what they see, that the robot fits there, and that it can get there.

use super::*;
use crate::frame::RgbdFrame;
use crate::tsdf::TsdfConfig;
use crate::tsdf::synthetic::{ROOM_M, World};
use crate::views::free_space::{FloorCell, FreeSpaceConfig};
use proptest::prelude::*;
use vantage_calibration::Distortion;

const RADIUS_M: f64 = 0.15;
const VOXEL_M: f32 = 0.04;
/// The map's surface lies this close to the true one.
const SURFACE_M: f64 = 0.04;

fn config() -> NextBestViewConfig {
    let camera = PinholeCamera::new(160, 120, 144.0, 144.0, 79.5, 59.5, Distortion::None).unwrap();
    NextBestViewConfig { pitch_rad: 0.2, ..NextBestViewConfig::new(camera, 0.9) }
}

/// Pictures all round from some places, each direction ahead, down, and before the feet.
fn survey(world: &World, places: &[[f64; 2]]) -> Vec<RgbdFrame> {
    let looks = (0..24).map(|i| (std::f64::consts::TAU * f64::from(i / 3) / 8.0, [0.9, 0.3, -0.4][i as usize % 3]));
    let all = places.iter().flat_map(|place| looks.clone().map(move |look| (*place, look)));
    all.enumerate()
        .map(|(i, ([x, y], (turn, z)))| {
            let target = [x + turn.cos(), y + turn.sin(), z];
            world.frame(i as i64 * 33_000_000, [x, y, 1.1], target, (160, 120))
        })
        .collect()
}

fn fuse(frames: &[RgbdFrame]) -> TsdfMap {
    let tsdf = TsdfConfig { voxel_size_m: VOXEL_M, truncation_m: 0.16, ..TsdfConfig::default() };
    let mut map = TsdfMap::new(tsdf).unwrap();
    for frame in frames {
        map.integrate(frame).unwrap();
    }
    map
}

fn floor(map: &TsdfMap, stood: &[[f64; 2]]) -> FreeSpace {
    let config = FreeSpaceConfig {
        robot_radius_m: RADIUS_M,
        unknown_margin_m: RADIUS_M,
        robot_height_m: 1.0,
        ..FreeSpaceConfig::default()
    };
    FreeSpace::new(&map.surface_points(), stood, &config).unwrap()
}

/// Distance of a place from the walls and the footprints of boxes, metres; negative within a box.
fn clearance(world: &World, [x, y]: [f64; 2]) -> f64 {
    let to_wall = x.min(ROOM_M[0] - x).min(y).min(ROOM_M[1] - y);
    world.boxes.iter().fold(to_wall, |least, (low, high)| {
        let [dx, dy] = [(low[0] - x).max(x - high[0]), (low[1] - y).max(y - high[1])];
        least.min(if dx.max(dy) < 0.0 { dx.max(dy) } else { dx.max(0.0).hypot(dy.max(0.0)) })
    })
}

/// Whether a disc of the robot's radius less `slack_m` can be pushed from one place to another, by filling a lattice of 5 cm.
fn is_connected(world: &World, from: [f64; 2], to: [f64; 2], slack_m: f64) -> bool {
    let at = |place: [f64; 2]| place.map(|x| (x / 0.05).round() as i32);
    let fits = |c: [i32; 2]| clearance(world, c.map(|x| f64::from(x) * 0.05)) > RADIUS_M - slack_m;
    let (mut seen, mut next) = (std::collections::BTreeSet::from([at(from)]), vec![at(from)]);
    while let Some([x, y]) = next.pop() {
        for other in [[x + 1, y], [x - 1, y], [x, y + 1], [x, y - 1]] {
            if fits(other) && seen.insert(other) {
                next.push(other);
            }
        }
    }
    seen.contains(&at(to))
}

/// Depth of a point from a pose, and what the map, seen from there, has in the pixels at most `around` from the point's: metres, 0
/// for nothing. `None` where the point is not in the picture.
fn seen_at(map: &TsdfMap, pose: &Isometry3<f64>, point: [f64; 3], around: i32) -> Option<(f64, Vec<f64>)> {
    let camera = config().camera;
    let p = pose.inverse() * Point3::from(point);
    let [u, v] = camera.project(&p).map(|at| [(at.x + 0.5).floor() as i32, (at.y + 0.5).floor() as i32])?;
    let is_inside = |u: i32, v: i32| (0..160).contains(&u) && (0..120).contains(&v);
    let depth = map.raycast(&camera, pose, 6.0).unwrap().depth;
    let pixels = (v - around..=v + around).flat_map(|v| (u - around..=u + around).map(move |u| (u, v)));
    let near = pixels.filter(|(u, v)| is_inside(*u, *v)).map(|(u, v)| f64::from(depth[(v * 160 + u) as usize]));
    is_inside(u, v).then(|| (p.z, near.collect()))
}

/// Whether a pose shows a point of the map's surface.
fn shows(map: &TsdfMap, pose: &Isometry3<f64>, point: [f64; 3]) -> bool {
    seen_at(map, pose, point, 0).is_some_and(|(z, seen)| (seen[0] - z).abs() < 3.0 * f64::from(VOXEL_M))
}

/// Whether nothing of the map hides a point that may not be in the map itself, to three pixels: a voxel at some 2 m.
fn is_open(map: &TsdfMap, pose: &Isometry3<f64>, point: [f64; 3]) -> bool {
    let hides = |depth: f64, z: f64| depth > 0.0 && depth < z - 4.0 * f64::from(VOXEL_M);
    seen_at(map, pose, point, 3).is_some_and(|(z, seen)| !seen.into_iter().all(|depth| hides(depth, z)))
}

/// A cupboard of 1.8 m in the middle of the room.
fn cupboard() -> World {
    World { boxes: vec![([1.2, 0.8, 0.0], [1.8, 1.8, 1.8])] }
}

const AROUND: [[f64; 2]; 6] = [[0.5, 0.4], [2.5, 0.4], [2.5, 1.3], [2.5, 2.2], [0.5, 2.2], [0.5, 1.3]];
const ROBOT: RobotPose = RobotPose { position: [0.5, 1.3], yaw: 0.0 };
/// On the wall behind the cupboard.
const REFERENT: [f64; 3] = [3.0, 1.3, 0.8];

fn referent(seen: u32) -> PointOfInterest {
    PointOfInterest { position: REFERENT, weight: 7.0, seen }
}

#[test]
fn what_a_cupboard_hides_is_seen_from_where_it_suggests() {
    let map = fuse(&survey(&cupboard(), &AROUND));
    let free = floor(&map, &[]);
    let present = standing([0.5, 1.3, 0.9], 0.0, 0.2).unwrap();
    assert!(!shows(&map, &present, REFERENT), "it is hidden at first");
    let view = next_best_view(&map, &free, &ROBOT, &[referent(0)], &config()).unwrap().unwrap();
    assert!(shows(&map, &view.world_from_camera, REFERENT), "{view:?}");
    assert!(view.points_gain > 0.9 && view.points_gain <= 1.0 && view.way_m > 1.0, "{view:?}");
    let place = [view.position[0], view.position[1]];
    let cell = free.cell_at(place).unwrap();
    let way_m = free.reachable(ROBOT.position).unwrap().distance_m(cell);
    assert!(free.is_passable(cell) && way_m == Some(view.way_m));
    assert!(
        clearance(&cupboard(), place) > RADIUS_M - SURFACE_M
            && is_connected(&cupboard(), ROBOT.position, place, SURFACE_M)
    );
    assert!(
        view.position[2].abs() < 0.02 && (view.world_from_camera.translation.z - view.position[2] - 0.9).abs() < 1e-9
    );
    let ahead = view.world_from_camera * Vector3::z();
    assert!((ahead.y.atan2(ahead.x) - view.yaw).abs() < 1e-9 && (ahead.z + 0.2f64.sin()).abs() < 1e-9);
    let again = next_best_view(&map, &free, &ROBOT, &[referent(0)], &config()).unwrap().unwrap();
    assert_eq!(view, again);
    // a dear way is not worth it
    let dear = NextBestViewConfig { cost_per_m: 0.9, ..config() };
    assert_eq!(next_best_view(&map, &free, &ROBOT, &[referent(0)], &dear), Ok(None));
}

#[test]
fn where_nothing_is_gained_nothing_is_suggested() {
    let map = fuse(&survey(&cupboard(), &AROUND));
    let free = floor(&map, &[]);
    let suggested =
        |robot: &RobotPose, points: &[PointOfInterest]| next_best_view(&map, &free, robot, points, &config());
    assert_eq!(suggested(&ROBOT, &[]), Ok(None), "all of the floor is known");
    assert_eq!(suggested(&ROBOT, &[referent(6)]), Ok(None), "six keyframes see it");
    let buried = PointOfInterest { position: [1.5, 1.3, 0.9], ..referent(0) };
    assert_eq!(suggested(&ROBOT, &[buried]), Ok(None), "it is inside of the cupboard");
    let walled = RobotPose { position: [1.5, 1.3], yaw: 0.0 };
    assert_eq!(suggested(&walled, &[referent(0)]), Ok(None), "nothing can be reached");
}

#[test]
fn seen_points_count_less_than_unseen_ones() {
    let map = fuse(&survey(&cupboard(), &AROUND));
    let free = floor(&map, &[]);
    // on opposite walls
    let other = PointOfInterest { position: [0.0, 1.3, 0.8], weight: 7.0, seen: 0 };
    let towards = |points: [PointOfInterest; 2]| {
        let view = next_best_view(&map, &free, &ROBOT, &points, &config()).unwrap().unwrap();
        shows(&map, &view.world_from_camera, REFERENT)
    };
    assert!(towards([referent(0), PointOfInterest { seen: 2, ..other }]));
    assert!(!towards([referent(2), other]));
}

#[test]
fn without_a_question_it_looks_at_unknown_floor_and_sees_it_then() {
    let world = cupboard();
    let mut frames = survey(&world, &[[0.5, 0.9], [0.5, 1.7]]);
    let before = floor(&fuse(&frames), &[ROBOT.position]);
    let map = fuse(&frames);
    let view = next_best_view(&map, &before, &ROBOT, &[], &config()).unwrap().unwrap();
    assert!(view.points_gain == 0.0 && view.frontier_gain > 0.1 && view.frontier_gain <= 1.0, "{view:?}");
    let eye = view.world_from_camera.translation.vector;
    let ahead = view.world_from_camera * Vector3::z();
    // a frame needs another like it before its surface counts
    for i in 0..2 {
        frames.push(world.frame(1_000_000_000 + i, eye.into(), (eye + ahead).into(), (160, 120)));
    }
    let after = floor(&fuse(&frames), &[ROBOT.position]);
    let known = |free: &FreeSpace| free.cells().iter().filter(|c| **c == FloorCell::Free).count();
    assert!(known(&after) > known(&before) + 60, "{} of {} before", known(&after), known(&before));
    let blind = NextBestViewConfig { frontier_share: 0.0, ..config() };
    assert_eq!(next_best_view(&map, &before, &ROBOT, &[], &blind), Ok(None));
}

#[test]
fn the_number_of_candidates_is_kept() {
    let map = fuse(&survey(&cupboard(), &AROUND));
    let free = floor(&map, &[]);
    let reachable = free.reachable(ROBOT.position).unwrap();
    for (max_candidates, place_step_m) in [(1200, 0.4), (1200, 0.0), (60, 0.1), (12, 0.1)] {
        let config = NextBestViewConfig { max_candidates, place_step_m, ..config() };
        let places = spread(&free, reachable.cells(), &config);
        assert!(!places.is_empty() && places.len() <= max_candidates / 12, "{} of {max_candidates}", places.len());
        assert!(places.iter().all(|cell| reachable.distance_m(*cell).is_some()));
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    let map = fuse(&[]);
    let stood = FreeSpaceConfig { floor_m: Some(0.0), ..FreeSpaceConfig::default() };
    let free = FreeSpace::new(&crate::cloud::PointCloud::default(), &[[0.5, 1.3]], &stood).unwrap();
    let good = config();
    for (bad, name) in [
        (NextBestViewConfig { height_m: f64::NAN, ..good }, "height_m"),
        (NextBestViewConfig { pitch_rad: 2.0, ..good }, "pitch_rad"),
        (NextBestViewConfig { range_m: [1.0, 0.5], ..good }, "range_m[1]"),
        (NextBestViewConfig { headings: 0, ..good }, "headings"),
        (NextBestViewConfig { max_candidates: 3, ..good }, "max_candidates"),
        (NextBestViewConfig { place_step_m: -1.0, ..good }, "place_step_m"),
        (NextBestViewConfig { cost_per_m: f64::INFINITY, ..good }, "cost_per_m"),
        (NextBestViewConfig { frontier_share: 2.0, ..good }, "frontier_share"),
        (NextBestViewConfig { least_score: -0.1, ..good }, "least_score"),
        (NextBestViewConfig { camera: PinholeCamera { fx: 0.0, ..good.camera }, ..good }, "fx"),
    ] {
        let message = next_best_view(&map, &free, &ROBOT, &[], &bad).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
    let lost = RobotPose { yaw: f64::NAN, ..ROBOT };
    assert_eq!(next_best_view(&map, &free, &lost, &[], &good), Err(ViewError::Pose));
}

fn layouts() -> impl Strategy<Value = World> {
    let low = [0.1..2.3f64, 0.1..2.0f64];
    let size = [0.2..0.8f64, 0.2..0.8f64, 0.15..1.9f64];
    let one = (low, size).prop_map(|([x, y], [w, d, h])| ([x, y, 0.0], [(x + w).min(2.95), (y + d).min(2.55), h]));
    prop::collection::vec(one, 1..5).prop_map(|boxes| World { boxes })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// In any room, seen in part or whole, the robot fits where it is sent and can get there.
    #[test]
    fn suggestions_are_free_of_collisions_and_reachable(
        world in layouts(),
        seen_from in 1..5usize,
        points in prop::collection::vec((0..4usize, 0.1..2.5f64, 0.2..1.8f64, 0.1..1.0f64, 0..3u32), 0..6),
    ) {
        let places = (0..30).map(|i| [0.3 + 0.48 * f64::from(i % 6), 0.3 + 0.5 * f64::from(i / 6)]);
        let places: Vec<[f64; 2]> = places.filter(|place| clearance(&world, *place) > 0.25).collect();
        prop_assume!(places.len() >= seen_from);
        let places: Vec<[f64; 2]> = (0..seen_from).map(|i| places[i * places.len() / seen_from]).collect();
        let map = fuse(&survey(&world, &places));
        let free = floor(&map, &places);
        let on_wall = |(wall, along, z, weight, seen): (usize, f64, f64, f64, u32)| {
            let position = [[0.0, along, z], [ROOM_M[0], along, z], [along, 0.0, z], [along, ROOM_M[1], z]][wall];
            PointOfInterest { position, weight, seen }
        };
        let points: Vec<PointOfInterest> = points.into_iter().map(on_wall).collect();
        let robot = RobotPose { position: places[0], yaw: 0.3 };
        for cell in free.reachable(robot.position).iter().flat_map(|reachable| reachable.cells()) {
            let place = free.center(cell);
            prop_assert!(clearance(&world, place) > RADIUS_M - SURFACE_M, "{:?} in {:?}", place, world);
        }
        let found = next_best_view(&map, &free, &robot, &points, &config()).unwrap();
        if let Some(view) = found {
            let place = [view.position[0], view.position[1]];
            prop_assert!(clearance(&world, place) > RADIUS_M - SURFACE_M, "{:?} in {:?}", view, world);
            prop_assert!(is_connected(&world, robot.position, place, 1.5 * SURFACE_M), "{:?} in {:?}", view, world);
            let way_m = free.reachable(robot.position).and_then(|r| r.distance_m(free.cell_at(place)?));
            prop_assert_eq!(way_m, Some(view.way_m));
            prop_assert!(view.score > config().least_score && view.points_gain + view.frontier_gain > 0.0);
            prop_assert!(view.points_gain == 0.0 || points.iter().any(|p| is_open(&map, &view.world_from_camera, p.position)), "{:?} in {:?}", view, world);
        }
    }
}

#[test]
fn a_side_that_was_only_seen_along_itself_keeps_the_robot_away() {
    // from the corner the cupboard's side is seen so flatly that the map does not hold it
    let world = World { boxes: vec![([0.51, 1.18, 0.0], [0.78, 1.9, 1.7])] };
    let free = floor(&fuse(&survey(&world, &[[0.3, 0.3]])), &[]);
    let passable: Vec<usize> = (0..free.cells().len()).filter(|cell| free.is_passable(*cell)).collect();
    let too_near = passable.iter().filter(|cell| clearance(&world, free.center(**cell)) < RADIUS_M - SURFACE_M);
    assert_eq!((passable.len() > 500, too_near.count()), (true, 0));
}
