//! The map, the floor, the robot's pose and what matters in, the pose from which the robot would see most of it out.
//!
//! The next best view (Connolly 1985) among poses on a coarse grid of reachable places, all round at each. A pose gains the share
//! of the points of interest that it sees, those that keyframes see already counting less, and a share for unknown floor beside
//! known floor (frontier exploration: Yamauchi 1997); the way there costs. What hides what is decided by the map, once for each
//! place and target: the headings share it.

use std::collections::BTreeMap;

use nalgebra::{Isometry3, Matrix3, Point3, Vector3};
use rayon::prelude::*;
use vantage_calibration::{PinholeCamera, Projector};

use super::error::ViewError;
use super::free_space::FreeSpace;
use super::poses::looking_at;
use super::targets::{PointOfInterest, Target, Targets};
use crate::tsdf::TsdfMap;

/// What lies within this share of the picture's sides is not counted as seen: it may be cut off.
const BORDER_SHARE: f64 = 0.05;
/// A target at the picture's border counts less by this share than one in its middle, so that of equal views that one is taken
/// that looks at it.
const OFF_CENTER_LOSS: f64 = 0.1;
/// Largest number of candidates accepted; each costs some microseconds a target.
const MAX_CANDIDATES: usize = 100_000;
/// Most headings at a place.
const MAX_HEADINGS: usize = 360;
/// Steepest pitch, radians: straight down has no heading.
const MAX_PITCH: f64 = 1.5;
/// Most metres of any length here.
const MAX_LENGTH_M: f64 = 100.0;

/// Where a robot stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RobotPose {
    /// x, y in the world, metres.
    pub position: [f64; 2],
    /// Heading about z, counter-clockwise from x, radians.
    pub yaw: f64,
}

/// The robot's camera, and how views are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NextBestViewConfig {
    /// The camera; it looks where the robot is headed.
    pub camera: PinholeCamera,
    /// Its height above the floor, metres, over the robot's centre.
    pub height_m: f64,
    /// How far it looks down, radians: -1.5 to 1.5.
    pub pitch_rad: f64,
    /// Nearest and furthest distance at which it sees something well, metres.
    pub range_m: [f64; 2],
    /// Headings tried at each place, evenly spaced from 0 on.
    pub headings: usize,
    /// Places are tried about this far apart, metres...
    pub place_step_m: f64,
    /// ...or further, so that places times headings are at most this many.
    pub max_candidates: usize,
    /// What a metre of way costs, as a share of all that could be gained from the points of interest.
    pub cost_per_m: f64,
    /// What a picture full of unknown floor is worth, on the same scale; 0 leaves it out.
    pub frontier_share: f64,
    /// A pose must score more than this, on the same scale.
    pub least_score: f64,
}

impl NextBestViewConfig {
    /// A camera at a height above the floor that looks straight ahead and sees from 0.3 to 4 m; places 0.4 m apart, twelve
    /// headings, at most 1200 candidates.
    pub fn new(camera: PinholeCamera, height_m: f64) -> Self {
        Self {
            camera,
            height_m,
            pitch_rad: 0.0,
            range_m: [0.3, 4.0],
            headings: 12,
            place_step_m: 0.4,
            max_candidates: 1200,
            cost_per_m: 0.02,
            frontier_share: 0.2,
            least_score: 0.05,
        }
    }

    fn check(&self) -> Result<(), ViewError> {
        self.camera.check()?;
        let [near, far] = self.range_m;
        let share = "it must be from 0 to 1";
        for (field, value, range, reason) in [
            ("height_m", self.height_m, [0.0, MAX_LENGTH_M], "it must be from 0 to 100 m"),
            ("pitch_rad", self.pitch_rad, [-MAX_PITCH, MAX_PITCH], "it must be from -1.5 to 1.5 rad"),
            ("range_m[0]", near, [0.0, MAX_LENGTH_M], "it must be from 0 to 100 m"),
            ("range_m[1]", far, [near, MAX_LENGTH_M], "it must be from range_m[0] to 100 m"),
            ("headings", self.headings as f64, [1.0, MAX_HEADINGS as f64], "it must be from 1 to 360"),
            ("place_step_m", self.place_step_m, [0.0, MAX_LENGTH_M], "it must be from 0 to 100 m"),
            (
                "max_candidates",
                self.max_candidates as f64,
                [self.headings as f64, MAX_CANDIDATES as f64],
                "it must be from headings to 100 000",
            ),
            ("cost_per_m", self.cost_per_m, [0.0, 1.0], share),
            ("frontier_share", self.frontier_share, [0.0, 1.0], share),
            ("least_score", self.least_score, [0.0, 1.0], share),
        ] {
            ViewError::check(field, value, range, reason)?;
        }
        Ok(())
    }
}

/// Where to go and look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NextBestView {
    /// On the floor, in the world, metres: the centre of a cell of the [`FreeSpace`] that can be reached.
    pub position: [f64; 3],
    /// Heading about z, counter-clockwise from x, radians, -pi to pi.
    pub yaw: f64,
    /// Pose of the camera's optical frame (z forward, x right, y down) in the world.
    pub world_from_camera: Isometry3<f64>,
    /// Share of the points' weight that is seen from there, 0 to 1: less what keyframes see already, and for what is not in the
    /// picture's middle.
    pub points_gain: f64,
    /// Share of a picture full of unknown floor, 0 to 1.
    pub frontier_gain: f64,
    /// Length of the way, metres.
    pub way_m: f64,
    /// Both gains, the frontier's by [`NextBestViewConfig::frontier_share`], less the cost of the way.
    pub score: f64,
}

/// The pose from which a robot at `robot` would gain most, among those that it can reach. `None` when it can go nowhere, or when
/// no pose is worth its way. Equal inputs give equal poses: of equals the nearer one, then that of the first cell and heading.
///
/// Unknown space is taken for empty, so that what is expected may turn out to be hidden. Frontier that the present view should
/// show, and evidently does not, is not looked for again.
///
/// # Errors
/// [`ViewError`] for settings out of range and poses that are not finite.
pub fn next_best_view(
    map: &TsdfMap,
    free: &FreeSpace,
    robot: &RobotPose,
    points: &[PointOfInterest],
    config: &NextBestViewConfig,
) -> Result<Option<NextBestView>, ViewError> {
    config.check()?;
    if !(robot.position.iter().all(|x| x.is_finite()) && robot.yaw.is_finite()) {
        return Err(ViewError::Pose);
    }
    let Some(reachable) = free.reachable(robot.position) else { return Ok(None) };
    let mut targets = Targets::new(points, free);
    if config.frontier_share == 0.0 {
        targets.frontier.clear();
    }
    let present = Watch::new(config, [robot.yaw])?;
    let eye = |[x, y]: [f64; 2]| [x, y, free.floor_m() + config.height_m];
    present.retain_unseen(map, eye(robot.position), &mut targets.frontier);
    if targets.points.is_empty() && targets.frontier.is_empty() {
        return Ok(None);
    }
    let yaw = |i: usize| std::f64::consts::TAU * i as f64 / config.headings as f64;
    let watch = Watch::new(config, (0..config.headings).map(yaw))?;
    let places = spread(free, reachable.cells(), config);
    let scored: Vec<Option<Scored>> = places
        .into_par_iter()
        .map(|cell| {
            let way_m = reachable.distance_m(cell)?;
            watch.best(map, eye(free.center(cell)), &targets, config, way_m).map(|best| Scored { cell, way_m, ..best })
        })
        .collect();
    let best = scored
        .into_iter()
        .flatten()
        .filter(|s| s.score > config.least_score)
        .min_by(|a, b| b.score.total_cmp(&a.score).then(a.way_m.total_cmp(&b.way_m)).then(a.cell.cmp(&b.cell)));
    let Some(best) = best else { return Ok(None) };
    let [x, y] = free.center(best.cell);
    let heading = yaw(best.heading);
    Ok(Some(NextBestView {
        position: [x, y, free.floor_m()],
        yaw: if heading > std::f64::consts::PI { heading - std::f64::consts::TAU } else { heading },
        world_from_camera: standing(eye([x, y]), heading, config.pitch_rad)?,
        points_gain: best.gains[0],
        frontier_gain: best.gains[1],
        way_m: best.way_m,
        score: best.score,
    }))
}

/// The best heading at a place.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scored {
    cell: usize,
    heading: usize,
    /// Of the points and of the frontier.
    gains: [f64; 2],
    way_m: f64,
    score: f64,
}

/// Of each block of cells the reachable one nearest to its middle; blocks so large that there are few enough.
fn spread(free: &FreeSpace, reachable: impl Iterator<Item = usize>, config: &NextBestViewConfig) -> Vec<usize> {
    let cells: Vec<usize> = reachable.collect();
    let most = (config.max_candidates / config.headings).max(1);
    let mut side = ((config.place_step_m / free.cell_m()).round() as usize).max(1);
    loop {
        let mut blocks: BTreeMap<[usize; 2], (usize, usize)> = BTreeMap::new();
        for &cell in &cells {
            let at = free.grid.column_row(cell);
            // twice the distance from the middle, squared
            let off: usize = at.iter().map(|x| (2 * (x % side) + 1).abs_diff(side).pow(2)).sum();
            let nearest = blocks.entry(at.map(|x| x / side)).or_insert((off, cell));
            *nearest = (off, cell).min(*nearest);
        }
        if blocks.len() <= most {
            return blocks.into_values().map(|(_, cell)| cell).collect();
        }
        side *= 2;
    }
}

/// Pose of a camera at `eye` that looks along `yaw`, and down by `pitch`.
fn standing(eye: [f64; 3], yaw: f64, pitch: f64) -> Result<Isometry3<f64>, ViewError> {
    let ahead = [yaw.cos() * pitch.cos(), yaw.sin() * pitch.cos(), -pitch.sin()];
    looking_at(eye, std::array::from_fn(|k| eye[k] + ahead[k])).ok_or(ViewError::Pose)
}

/// The camera, turned to some headings.
struct Watch {
    projector: Projector,
    /// camera_from_world of each heading.
    headings: Vec<Matrix3<f64>>,
    range_m: [f64; 2],
}

impl Watch {
    fn new(config: &NextBestViewConfig, yaws: impl IntoIterator<Item = f64>) -> Result<Self, ViewError> {
        let turned = |yaw: f64| {
            let pose = standing([0.0; 3], yaw, config.pitch_rad)?;
            Ok(pose.rotation.inverse().to_rotation_matrix().into_inner())
        };
        let headings: Result<_, ViewError> = yaws.into_iter().map(turned).collect();
        Ok(Self { projector: Projector::new(&config.camera), headings: headings?, range_m: config.range_m })
    }

    /// How much of a target that lies `from_eye` a heading shows: 1 in the picture's middle; `None` outside of it.
    fn shows(&self, heading: &Matrix3<f64>, from_eye: &Vector3<f64>) -> Option<f64> {
        let at = self.projector.project(&Point3::from(heading * from_eye))?;
        let camera = self.projector.camera();
        let off = |x: f64, side: u32| ((x + 0.5) / f64::from(side) - 0.5).abs() * 2.0;
        let off = off(at.x, camera.width).max(off(at.y, camera.height));
        (off <= 1.0 - 2.0 * BORDER_SHARE).then_some(1.0 - OFF_CENTER_LOSS * off)
    }

    /// Calls `seen` with the place of each target that is in range, in some heading's picture and hidden by nothing, with how much
    /// of it each heading shows.
    fn look(&self, map: &TsdfMap, eye: [f64; 3], targets: &[Target], mut seen: impl FnMut(usize, &[Option<f64>])) {
        let Some(mut sight) = map.sight_from(eye) else { return };
        let mut shares = vec![None; self.headings.len()];
        for (i, target) in targets.iter().enumerate() {
            let from_eye = Vector3::from(target.position) - Vector3::from(eye);
            if !(self.range_m[0]..=self.range_m[1]).contains(&from_eye.norm()) {
                continue;
            }
            for (share, heading) in shares.iter_mut().zip(&self.headings) {
                *share = self.shows(heading, &from_eye);
            }
            if shares.iter().any(Option::is_some) && sight.sees(target.position) {
                seen(i, &shares);
            }
        }
    }

    /// Takes out the targets that are seen.
    fn retain_unseen(&self, map: &TsdfMap, eye: [f64; 3], targets: &mut Vec<Target>) {
        let mut is_seen = vec![false; targets.len()];
        self.look(map, eye, targets, |i, _| is_seen[i] = true);
        let mut seen = is_seen.into_iter();
        targets.retain(|_| !seen.next().unwrap_or(false));
    }

    /// The heading with the best score; `None` where nothing is gained.
    fn best(
        &self,
        map: &TsdfMap,
        eye: [f64; 3],
        targets: &Targets,
        config: &NextBestViewConfig,
        way_m: f64,
    ) -> Option<Scored> {
        let mut gains = vec![[0.0f64; 2]; self.headings.len()];
        for (kind, targets) in [&targets.points, &targets.frontier].into_iter().enumerate() {
            self.look(map, eye, targets, |i, shares| {
                for (gain, share) in gains.iter_mut().zip(shares) {
                    gain[kind] += share.unwrap_or(0.0) * targets[i].value;
                }
            });
        }
        let score =
            |[points, frontier]: [f64; 2]| points + config.frontier_share * frontier - config.cost_per_m * way_m;
        gains
            .into_iter()
            .map(|[points, frontier]| [points, frontier.min(1.0)])
            .enumerate()
            .filter(|(_, gains)| gains.iter().any(|gain| *gain > 0.0))
            .map(|(heading, gains)| Scored { cell: 0, heading, gains, way_m, score: score(gains) })
            .min_by(|a, b| b.score.total_cmp(&a.score).then(a.heading.cmp(&b.heading)))
    }
}

#[cfg(test)]
mod tests;
