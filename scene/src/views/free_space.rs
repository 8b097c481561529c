//! The fused map's surface in, the floor as cells out: where there is free floor, where something stands, what is unknown, and
//! where the centre of a round robot fits (an occupancy grid: Elfes 1989; made from heights, as a step stops wheels).

use super::clearance::distances;
use super::error::ViewError;
use super::floor_grid::FloorGrid;
use super::floor_ways::Reachable;
use crate::cloud::{CloudError, PointCloud};
use crate::structure::floor_height;

/// A surface is floor when its normal is within 45 degrees of up.
const FACING_UP: f32 = 0.7;
/// This many points make an obstacle; a single one is noise, as whatever stands has points above each other.
const MIN_OBSTACLE_POINTS: u16 = 2;
/// An unknown cell with this many of its eight neighbours free, and no obstacle beside it, is a hole in the readings.
const FREE_AROUND_A_HOLE: usize = 6;
/// Most metres of any length here.
const MAX_LENGTH_M: f64 = 100.0;
/// Smallest cell, metres.
const MIN_CELL_M: f64 = 0.005;
/// Half the diagonal of a cell over its side: an obstacle may lie this far before its cell's centre.
const HALF_DIAGONAL: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// What is unknown may begin this many cells before the centre of an unknown cell: somewhere within the last free one, of which
/// only a part was seen.
const UNKNOWN_BEFORE: f64 = 1.5;

/// What the robot is, and how finely its floor is divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreeSpaceConfig {
    /// Side of a cell, metres; not less than the spacing of the cloud's points, or the floor has holes.
    pub cell_m: f64,
    /// Height of the floor, metres; without it, the lowest well-filled height of points that face up.
    pub floor_m: Option<f64>,
    /// Up to this height above the floor (and this far below it) a surface that faces up is floor; above, it is an obstacle, metres.
    pub step_m: f64,
    /// From this height above the floor on, a surface is above the robot, metres.
    pub robot_height_m: f64,
    /// Radius of the robot, metres.
    pub robot_radius_m: f64,
    /// The robot's centre keeps this far from unknown floor, metres, but where it has stood. With the robot's radius nothing unseen
    /// can touch it, such as a side that was only seen along itself and is not in the map.
    pub unknown_margin_m: f64,
    /// Most cells.
    pub max_cells: usize,
}

impl Default for FreeSpaceConfig {
    /// A robot of 50 cm across and 1.2 m high on cells of 5 cm, up to a million of them.
    fn default() -> Self {
        Self {
            cell_m: 0.05,
            floor_m: None,
            step_m: 0.05,
            robot_height_m: 1.2,
            robot_radius_m: 0.25,
            unknown_margin_m: 0.25,
            max_cells: 1 << 20,
        }
    }
}

impl FreeSpaceConfig {
    fn check(&self) -> Result<(), ViewError> {
        let length = |field, value, least, reason| ViewError::check(field, value, [least, MAX_LENGTH_M], reason);
        length("cell_m", self.cell_m, MIN_CELL_M, "it must be from 0.005 to 100 m")?;
        length("step_m", self.step_m, f64::MIN_POSITIVE, "it must be positive and at most 100 m")?;
        length("robot_height_m", self.robot_height_m, self.step_m, "it must be from step_m to 100 m")?;
        length("robot_radius_m", self.robot_radius_m, 0.0, "it must be from 0 to 100 m")?;
        length("unknown_margin_m", self.unknown_margin_m, 0.0, "it must be from 0 to 100 m")?;
        let finite = [f64::MIN, f64::MAX];
        ViewError::check("floor_m", self.floor_m.unwrap_or(0.0), finite, "it must be finite, or left out")
    }
}

/// What is known of a cell of the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FloorCell {
    /// Nothing: it may be a hole, or hidden.
    #[default]
    Unknown,
    /// Floor, with nothing on it that the robot would touch.
    Free,
    /// Something stands there, between a step and the robot's height.
    Obstacle,
}

/// The floor in cells, row by row from least x and y: cell `i` is in column (x) `i % columns` and row (y) `i / columns`.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeSpace {
    config: FreeSpaceConfig,
    pub(super) grid: FloorGrid,
    floor_m: f64,
    cells: Vec<FloorCell>,
    is_passable: Vec<bool>,
}

impl FreeSpace {
    /// The floor under `surface`, the map's surface in the world. `stood` are places (x, y, metres) where the robot has stood:
    /// there is floor within its radius of them, though its camera cannot see its own feet.
    ///
    /// # Errors
    /// [`ViewError`] for settings out of range, a cloud without a normal for each point, no floor, or more cells than allowed.
    pub fn new(surface: &PointCloud, stood: &[[f64; 2]], config: &FreeSpaceConfig) -> Result<Self, ViewError> {
        config.check()?;
        let (expected, found) = (surface.len(), surface.normals.len());
        if expected != found {
            return Err(CloudError::Length { list: "normals", expected, found }.into());
        }
        let floor_m = config.floor_m.or_else(|| floor_height(surface)).ok_or(ViewError::NoFloor)?;
        let is_obstacle = |p: &[f32; 3]| {
            let height = f64::from(p[2]) - floor_m;
            height > config.step_m && height < config.robot_height_m
        };
        let is_floor =
            |p: &[f32; 3], n: &[f32; 3]| (f64::from(p[2]) - floor_m).abs() <= config.step_m && n[2] > FACING_UP;
        let points = || surface.positions.iter().zip(&surface.normals).filter(|(p, _)| p.iter().all(|x| x.is_finite()));
        let of_interest = points().filter(|(p, n)| is_obstacle(p) || is_floor(p, n));
        let places = of_interest.map(|(p, _)| [f64::from(p[0]), f64::from(p[1])]);
        let stood: Vec<[f64; 2]> = stood.iter().copied().filter(|p| p.iter().all(|x| x.is_finite())).collect();
        let all = places.chain(stood.iter().copied());
        let grid = FloorGrid::around(all, config.cell_m, config.max_cells)?;
        let mut free = Self {
            config: *config,
            grid,
            floor_m,
            cells: vec![FloorCell::Unknown; grid.columns * grid.rows],
            is_passable: Vec::new(),
        };
        let mut standing = vec![0u16; free.cells.len()];
        for (p, n) in points() {
            let Some(cell) = free.cell_at([f64::from(p[0]), f64::from(p[1])]) else { continue };
            if is_obstacle(p) {
                standing[cell] = standing[cell].saturating_add(1);
            } else if is_floor(p, n) {
                free.cells[cell] = FloorCell::Free;
            }
        }
        for (cell, count) in free.cells.iter_mut().zip(standing) {
            if count >= MIN_OBSTACLE_POINTS {
                *cell = FloorCell::Obstacle;
            }
        }
        stood.iter().for_each(|place| free.stand(*place));
        free.fill_holes();
        free.is_passable = free.passable(&stood);
        Ok(free)
    }

    /// Makes unknown floor under the robot free.
    fn stand(&mut self, place: [f64; 2]) {
        for cell in self.grid.cells_within(place, self.config.robot_radius_m) {
            if self.cells[cell] == FloorCell::Unknown {
                self.cells[cell] = FloorCell::Free;
            }
        }
    }

    fn fill_holes(&mut self) {
        let holes: Vec<usize> = (0..self.cells.len())
            .filter(|&cell| self.cells[cell] == FloorCell::Unknown)
            .filter(|&cell| {
                let around = || self.grid.neighbours(cell).map(|i| self.cells[i]);
                around().filter(|c| *c == FloorCell::Free).count() >= FREE_AROUND_A_HOLE
                    && around().all(|c| c != FloorCell::Obstacle)
            })
            .collect();
        for cell in holes {
            self.cells[cell] = FloorCell::Free;
        }
    }

    /// Free cells at whose centre the robot touches nothing.
    fn passable(&self, stood: &[[f64; 2]]) -> Vec<bool> {
        let marked = |what: FloorCell| self.cells.iter().map(|c| *c == what).collect::<Vec<bool>>();
        let to_obstacle = distances(&marked(FloorCell::Obstacle), self.grid.columns);
        let to_unknown = distances(&marked(FloorCell::Unknown), self.grid.columns);
        let FreeSpaceConfig { cell_m, robot_radius_m, unknown_margin_m, .. } = self.config;
        let keeps = |cells: f32, least_m: f64| f64::from(cells) * cell_m >= least_m;
        let mut is_known: Vec<bool> =
            to_unknown.iter().map(|d| keeps(*d, unknown_margin_m + UNKNOWN_BEFORE * cell_m)).collect();
        for cell in stood.iter().flat_map(|place| self.grid.cells_within(*place, cell_m)) {
            is_known[cell] = true;
        }
        let all = self.cells.iter().zip(is_known).zip(to_obstacle);
        all.map(|((cell, is_known), d)| {
            *cell == FloorCell::Free && is_known && keeps(d, robot_radius_m + HALF_DIAGONAL * cell_m)
        })
        .collect()
    }

    /// Height of the floor, metres.
    pub fn floor_m(&self) -> f64 {
        self.floor_m
    }

    /// Side of a cell, metres.
    pub fn cell_m(&self) -> f64 {
        self.grid.cell_m
    }

    /// Cells along x.
    pub fn columns(&self) -> usize {
        self.grid.columns
    }

    /// Cells along y.
    pub fn rows(&self) -> usize {
        self.grid.rows
    }

    /// The cells, row by row.
    pub fn cells(&self) -> &[FloorCell] {
        &self.cells
    }

    /// Whether a robot whose centre is that of the cell stands on known floor and touches nothing; false for cells beyond the grid.
    pub fn is_passable(&self, cell: usize) -> bool {
        self.is_passable.get(cell).copied().unwrap_or(false)
    }

    /// The cell that holds a place (x, y, metres); `None` beyond the grid.
    pub fn cell_at(&self, place: [f64; 2]) -> Option<usize> {
        self.grid.cell_at(place)
    }

    /// Centre of a cell, x, y, metres.
    pub fn center(&self, cell: usize) -> [f64; 2] {
        self.grid.center(cell)
    }

    /// Where a robot that stands at `from` (x, y, metres) can go, and how far it is; `None` when it stands beside no passable cell.
    pub fn reachable(&self, from: [f64; 2]) -> Option<Reachable> {
        let reach_m = self.config.robot_radius_m.max(self.cell_m());
        Reachable::new(&self.grid, &self.is_passable, from, reach_m)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tsdf::synthetic::{ROOM_M, furnished, walk};
    use crate::tsdf::{TsdfConfig, TsdfMap};

    /// A rectangle of points every 2 cm, from `low` to `high`, flat along `axis`.
    pub(crate) fn sheet(cloud: &mut PointCloud, low: [f32; 3], high: [f32; 3], axis: usize) {
        let [a, b] = [[1, 2], [0, 2], [0, 1]][axis];
        let steps = |k: usize| ((high[k] - low[k]) / 0.02).round() as usize;
        for (i, j) in (0..steps(a)).flat_map(|i| (0..steps(b)).map(move |j| (i, j))) {
            let mut p = low;
            p[a] += 0.02 * (i as f32 + 0.5);
            p[b] += 0.02 * (j as f32 + 0.5);
            cloud.positions.push(p);
            cloud.colors.push([128; 3]);
            cloud.normals.push(std::array::from_fn(|k| if k == axis { 1.0 } else { 0.0 }));
        }
    }

    /// Two rooms of 2 x 2 m with a wall at x = 2 between them, that has a door `gap_m` wide in its middle.
    pub(crate) fn two_rooms(gap_m: f32) -> PointCloud {
        let mut cloud = PointCloud::default();
        sheet(&mut cloud, [0.0, 0.0, 0.3], [4.0, 2.0, 0.3], 2);
        for x in [0.0, 4.0] {
            sheet(&mut cloud, [x, 0.0, 0.3], [x, 2.0, 2.3], 0);
        }
        for y in [0.0, 2.0] {
            sheet(&mut cloud, [0.0, y, 0.3], [4.0, y, 2.3], 1);
        }
        sheet(&mut cloud, [2.0, 0.0, 0.3], [2.0, 1.0 - 0.5 * gap_m, 2.3], 0);
        sheet(&mut cloud, [2.0, 1.0 + 0.5 * gap_m, 0.3], [2.0, 2.0, 2.3], 0);
        cloud
    }

    fn state(free: &FreeSpace, place: [f64; 2]) -> FloorCell {
        free.cells()[free.cell_at(place).unwrap()]
    }

    #[test]
    fn a_door_wider_than_the_robot_is_a_way_and_a_narrower_one_is_none() {
        let reach = |gap_m: f32, robot_radius_m: f64| {
            let config = FreeSpaceConfig { robot_radius_m, ..FreeSpaceConfig::default() };
            let free = FreeSpace::new(&two_rooms(gap_m), &[], &config).unwrap();
            assert!((free.floor_m() - 0.3).abs() < 1e-6);
            let reachable = free.reachable([0.5, 0.5]).unwrap();
            let near = reachable.distance_m(free.cell_at([1.0, 1.0]).unwrap());
            assert!(near.is_some_and(|d| (0.5..0.9).contains(&d)), "{near:?}");
            reachable.distance_m(free.cell_at([3.5, 1.0]).unwrap())
        };
        assert!(reach(0.9, 0.25).is_some_and(|d| (3.0..3.5).contains(&d)));
        assert!(reach(0.9, 0.25).is_some() && reach(0.4, 0.25).is_none());
        assert!(reach(0.4, 0.1).is_some() && reach(0.9, 0.5).is_none());
    }

    #[test]
    fn steps_and_low_tables_stop_the_robot_and_high_ones_and_bumps_do_not() {
        let mut cloud = two_rooms(0.9);
        sheet(&mut cloud, [0.4, 0.4, 0.45], [0.8, 0.8, 0.45], 2);
        sheet(&mut cloud, [0.4, 1.4, 0.33], [0.8, 1.8, 0.33], 2);
        sheet(&mut cloud, [2.8, 0.4, 1.6], [3.2, 0.8, 1.6], 2);
        sheet(&mut cloud, [2.8, 1.4, 1.0], [3.2, 1.8, 1.0], 2);
        let free = FreeSpace::new(&cloud, &[], &FreeSpaceConfig::default()).unwrap();
        assert_eq!(state(&free, [0.6, 0.6]), FloorCell::Obstacle, "15 cm high");
        assert_eq!(state(&free, [0.6, 1.6]), FloorCell::Free, "3 cm high");
        assert_eq!(state(&free, [3.0, 0.6]), FloorCell::Free, "1.3 m above the floor");
        assert_eq!(state(&free, [3.0, 1.6]), FloorCell::Obstacle, "0.7 m above the floor");
        let tall = FreeSpaceConfig { robot_height_m: 1.5, ..FreeSpaceConfig::default() };
        assert_eq!(state(&FreeSpace::new(&cloud, &[], &tall).unwrap(), [3.0, 0.6]), FloorCell::Obstacle);
    }

    #[test]
    fn unseen_floor_is_not_free_but_single_holes_are_and_so_is_where_the_robot_stood() {
        let mut cloud = two_rooms(0.9);
        let within = |p: &[f32; 3], x: [f32; 2], y: [f32; 2]| {
            (x[0]..x[1]).contains(&p[0]) && (y[0]..y[1]).contains(&p[1]) && p[2] < 0.31
        };
        let kept: Vec<usize> = (0..cloud.len())
            .filter(|&i| {
                let p = &cloud.positions[i];
                !within(p, [0.6, 1.4], [0.6, 1.4]) && !within(p, [3.0, 3.05], [1.0, 1.05])
            })
            .collect();
        cloud = PointCloud {
            positions: kept.iter().map(|&i| cloud.positions[i]).collect(),
            colors: kept.iter().map(|&i| cloud.colors[i]).collect(),
            normals: kept.iter().map(|&i| cloud.normals[i]).collect(),
        };
        let config = FreeSpaceConfig::default();
        let free = FreeSpace::new(&cloud, &[], &config).unwrap();
        assert_eq!(state(&free, [1.0, 1.0]), FloorCell::Unknown);
        assert_eq!(state(&free, [3.02, 1.02]), FloorCell::Free, "a hole of one cell");
        assert_eq!(state(&free, [-0.02, 1.0]), FloorCell::Unknown, "behind the wall");
        assert!(!free.is_passable(free.cell_at([0.5, 0.5]).unwrap()), "between the wall and the unknown");
        assert!(free.reachable([1.0, 1.0]).is_none());
        let stood = FreeSpace::new(&cloud, &[[1.0, 1.0], [f64::NAN, 0.0]], &config).unwrap();
        assert_eq!((state(&stood, [1.0, 1.0]), state(&stood, [0.65, 0.65])), (FloorCell::Free, FloorCell::Unknown));
        assert!(stood.is_passable(stood.cell_at([1.0, 1.0]).unwrap()));
    }

    #[test]
    fn the_floor_of_a_fused_map_is_free_but_for_the_box() {
        let tsdf = TsdfConfig { voxel_size_m: 0.03, truncation_m: 0.12, ..TsdfConfig::default() };
        let mut map = TsdfMap::new(tsdf).unwrap();
        for frame in walk(&furnished(), 24, (192, 144)) {
            map.integrate(&frame).unwrap();
        }
        let config = FreeSpaceConfig { robot_radius_m: 0.15, ..FreeSpaceConfig::default() };
        let free = FreeSpace::new(&map.surface_points(), &[], &config).unwrap();
        assert!(free.floor_m().abs() < 0.02, "{}", free.floor_m());
        let mut known = 0;
        for cell in 0..free.cells().len() {
            let [x, y] = free.center(cell);
            assert_eq!(free.cell_at([x, y]), Some(cell));
            let [dx, dy] = [(1.1 - x).max(x - 1.7), (1.0 - y).max(y - 1.5)];
            let aside = if dx.max(dy) < 0.0 { dx.max(dy) } else { dx.max(0.0).hypot(dy.max(0.0)) };
            let to_wall = x.min(ROOM_M[0] - x).min(y).min(ROOM_M[1] - y);
            match free.cells()[cell] {
                FloorCell::Free => assert!(aside > -0.05 && to_wall > -0.05, "{x} {y}"),
                FloorCell::Obstacle => assert!(aside < 0.08 || to_wall < 0.08, "{x} {y}"),
                FloorCell::Unknown => continue,
            }
            known += 1;
            assert!(!free.is_passable(cell) || (aside > 0.14 && to_wall > 0.14), "{x} {y}");
        }
        assert!(known > 2000, "{known} of 3120 cells of 5 cm are known");
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let cloud = two_rooms(0.9);
        let good = FreeSpaceConfig::default();
        for (bad, name) in [
            (FreeSpaceConfig { cell_m: 0.0, ..good }, "cell_m"),
            (FreeSpaceConfig { cell_m: f64::NAN, ..good }, "cell_m"),
            (FreeSpaceConfig { step_m: -0.1, ..good }, "step_m"),
            (FreeSpaceConfig { robot_height_m: 0.01, ..good }, "robot_height_m"),
            (FreeSpaceConfig { robot_radius_m: f64::INFINITY, ..good }, "robot_radius_m"),
            (FreeSpaceConfig { unknown_margin_m: -1.0, ..good }, "unknown_margin_m"),
            (FreeSpaceConfig { floor_m: Some(f64::NAN), ..good }, "floor_m"),
            (FreeSpaceConfig { max_cells: 100, ..good }, "cells"),
        ] {
            let message = FreeSpace::new(&cloud, &[], &bad).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
        let mut far = two_rooms(0.9);
        far.positions.extend([[1.0e9, 0.0, 0.3], [f32::NAN, 0.0, 0.3]]);
        far.colors.extend([[0; 3]; 2]);
        far.normals.extend([[0.0, 0.0, 1.0]; 2]);
        assert!(matches!(FreeSpace::new(&far, &[], &good), Err(ViewError::TooManyCells { .. })));
        assert_eq!(FreeSpace::new(&PointCloud::default(), &[], &good), Err(ViewError::NoFloor));
        let given = FreeSpaceConfig { floor_m: Some(0.0), ..good };
        assert_eq!(FreeSpace::new(&PointCloud::default(), &[], &given), Err(ViewError::NoFloor));
        let bare = PointCloud { normals: Vec::new(), ..two_rooms(0.9) };
        assert!(matches!(FreeSpace::new(&bare, &[], &good), Err(ViewError::Cloud(_))));
    }
}
