//! Noisy points of some of an object's faces in, its yawed box out: edges are read off densities, not off the outermost
//! points.

use std::f64::consts::FRAC_PI_2;

use super::OrientedBox;

/// Fewer points have no density to read; [`OrientedBox::fit_yaw`] takes them as they are.
const MIN_POINTS: usize = 60;
/// Directions are compared on so many points at most.
const YAW_POINTS: usize = 3000;
/// Yaws tried over a quarter turn, one a degree.
const COARSE_STEPS: u32 = 90;
/// Yaws tried on either side of the best of these, a twentieth of a degree apart.
const FINE_STEPS: i32 = 24;
const FINE_STEP: f64 = FRAC_PI_2 / 90.0 / 20.0;
/// Yaws this close to the best alignment are equally good; the least footprint then decides.
const TIE: f64 = 0.985;
/// Normals at most this far from the horizontal belong to upright faces (the sine of 30 degrees).
const MAX_UPRIGHT_Z: f32 = 0.5;
/// Share of upright normals from which on they decide the yaw.
const MIN_UPRIGHT_SHARE: f64 = 0.1;
/// Degrees on either side of the normals' main direction that are averaged.
const NORMAL_WINDOW_DEG: usize = 5;
/// Width of a profile's cell where directions are compared, metres: about twice the noise of a depth camera at 2 m.
const YAW_CELL_M: f64 = 0.02;
/// Width of a profile's cell where edges are sought, metres.
const EDGE_CELL_M: f64 = 0.005;
/// Cells averaged on either side to smooth a profile: 1.25 cm either way, the noise of a depth camera.
const EDGE_SMOOTHING: usize = 2;
/// Noise does not carry so many points further beyond an edge than this, metres: two and a half deviations of 1 cm.
const BEYOND_NOISE_M: f64 = 0.025;
/// How far the noise of a depth camera carries points beyond the edge of what has few points, metres.
const EDGE_NOISE_M: f64 = 0.0125;
/// Most cells of a profile; wider objects get wider cells.
const MAX_CELLS: usize = 4096;
/// Share of points that are cut off on either side before edges are sought.
const TRIM: f64 = 0.02;
/// How far a profile reaches beyond the cut, as a share of what is left and in metres.
const MARGIN: f64 = 0.1;
const MARGIN_M: f64 = 0.1;
/// A face seen edge-on stands out of the profile by this factor.
const FACE_CONTRAST: f64 = 2.0;
/// Half the width of a face in the profile, metres: three deviations of 1 cm noise.
const FACE_HALF_WIDTH_M: f64 = 0.03;
/// An object of two opposite faces has an empty middle: this share of the highest density stands for it.
const MIN_MIDDLE: f64 = 0.05;

impl OrientedBox {
    /// The yawed box of an object of which some faces were seen, with noise of a centimetre and a few stray points.
    ///
    /// `points` in metres; `normals`, if given and as many, decide the yaw together with the points. The yaw is the one at
    /// which the points' profiles along the box's axes are most concentrated: the rectangle criterion of Zhang et al. (2017,
    /// "Efficient L-shape fitting"), but without its bounds, which noise and stray points would move. Yaws that are equally
    /// good, as for a round table, are decided by the least footprint. An edge lies where a face piles the points up, or
    /// else where their density falls to half. `None` when the points are fewer than three or on a line.
    pub fn fit_yaw_robust(points: &[[f32; 3]], normals: Option<&[[f32; 3]]>) -> Option<Self> {
        let normals = normals.filter(|n| n.len() == points.len());
        let finite = |p: &[f32; 3]| p.iter().all(|x| x.is_finite());
        let origin = points.iter().copied().find(finite)?.map(f64::from);
        let local: Vec<[f64; 3]> =
            points.iter().filter(|p| finite(p)).map(|p| std::array::from_fn(|k| f64::from(p[k]) - origin[k])).collect();
        if local.len() < MIN_POINTS {
            return Self::fit_yaw(points);
        }
        let central = without_strays(&local);
        let step = central.len().div_ceil(YAW_POINTS).max(1);
        let sample: Vec<[f64; 2]> = central.into_iter().step_by(step).collect();
        let rough = normals.and_then(yaw_from_normals).unwrap_or_else(|| best_yaw(&sample));
        // into the first quarter turn before the extents are named x and y
        let yaw = refined(&sample, rough).rem_euclid(FRAC_PI_2);
        let (sin, cos) = yaw.sin_cos();
        let (x_low, x_high) = edges(local.iter().map(|p| cos * p[0] + sin * p[1]).collect())?;
        let (y_low, y_high) = edges(local.iter().map(|p| -sin * p[0] + cos * p[1]).collect())?;
        let (z_low, z_high) = edges(local.iter().map(|p| p[2]).collect())?;
        let (x, y) = (0.5 * (x_low + x_high), 0.5 * (y_low + y_high));
        let middle = [cos * x - sin * y, sin * x + cos * y, 0.5 * (z_low + z_high)];
        let found = Self {
            center: std::array::from_fn(|k| origin[k] + middle[k]),
            size: [x_high - x_low, y_high - y_low, (z_high - z_low).max(0.0)],
            yaw,
        };
        (found.size[0] > 0.0 && found.size[1] > 0.0).then_some(found)
    }
}

/// The footprints of the points that no axis shows to be far outside.
fn without_strays(points: &[[f64; 3]]) -> Vec<[f64; 2]> {
    let bounds: [(f64, f64); 3] = std::array::from_fn(|k| {
        let trimmed = Trimmed::from_sorted(&sorted(points.iter().map(|p| p[k]).collect()));
        (trimmed.low - trimmed.margin, trimmed.high + trimmed.margin)
    });
    let inside = |p: &&[f64; 3]| p.iter().zip(bounds).all(|(x, (low, high))| (low..=high).contains(x));
    points.iter().filter(inside).map(|p| [p[0], p[1]]).collect()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The span of all values but the outermost [`TRIM`] on either side, and how far beyond it edges are sought.
struct Trimmed {
    low: f64,
    high: f64,
    margin: f64,
}

impl Trimmed {
    fn from_sorted(values: &[f64]) -> Self {
        let cut = (TRIM * values.len() as f64) as usize;
        let low = values.get(cut).copied().unwrap_or(0.0);
        let high = values.get(values.len().saturating_sub(cut + 1)).copied().unwrap_or(0.0);
        Self { low, high, margin: MARGIN_M + MARGIN * (high - low) }
    }
}

/// How concentrated the profiles of the points along both axes turned by `yaw` are: the sum of squares of densities.
/// No point is farther than `radius` from the origin.
fn alignment(points: &[[f64; 2]], radius: f64, yaw: f64, profile: &mut Vec<f64>) -> f64 {
    let (sin, cos) = yaw.sin_cos();
    let cell_m = YAW_CELL_M.max(2.0 * radius / MAX_CELLS as f64);
    let cells = (2.0 * radius / cell_m) as usize + 3;
    let mut total = 0.0;
    for [x, y] in [[cos, sin], [-sin, cos]] {
        profile.clear();
        profile.resize(cells, 0.0);
        for p in points {
            // shared between two cells, so that the sum is continuous in the yaw
            let at = ((x * p[0] + y * p[1] + radius) / cell_m).max(0.0);
            let cell = (at as usize).min(cells - 2);
            let share = (at - cell as f64).clamp(0.0, 1.0);
            profile[cell] += 1.0 - share;
            profile[cell + 1] += share;
        }
        total += profile.iter().map(|n| n * n).sum::<f64>();
    }
    total
}

fn radius(points: &[[f64; 2]]) -> f64 {
    points.iter().map(|p| p[0].hypot(p[1])).fold(0.0, f64::max)
}

/// The best yaw of the coarse steps; of equally good ones the one with the least footprint.
fn best_yaw(points: &[[f64; 2]]) -> f64 {
    let (radius, mut profile) = (radius(points), Vec::new());
    let scored: Vec<(f64, f64)> = (0..COARSE_STEPS)
        .map(|i| f64::from(i) * FRAC_PI_2 / f64::from(COARSE_STEPS))
        .map(|yaw| (yaw, alignment(points, radius, yaw, &mut profile)))
        .collect();
    let best = scored.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    let footprint = |yaw: f64| -> f64 {
        let (sin, cos) = yaw.sin_cos();
        let extent = |[x, y]: [f64; 2]| {
            let trimmed = Trimmed::from_sorted(&sorted(points.iter().map(|p| x * p[0] + y * p[1]).collect()));
            trimmed.high - trimmed.low
        };
        extent([cos, sin]) * extent([-sin, cos])
    };
    let good = scored.iter().filter(|(_, score)| *score >= TIE * best).map(|(yaw, _)| (footprint(*yaw), *yaw));
    good.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, yaw)| yaw)
}

/// The best aligned of the yaws around `yaw`.
fn refined(points: &[[f64; 2]], yaw: f64) -> f64 {
    let (radius, mut profile) = (radius(points), Vec::new());
    let mut best = (f64::NEG_INFINITY, yaw);
    for i in -FINE_STEPS..=FINE_STEPS {
        let near = yaw + f64::from(i) * FINE_STEP;
        let score = alignment(points, radius, near, &mut profile);
        if score > best.0 {
            best = (score, near);
        }
    }
    best.1
}

/// The direction, modulo a quarter turn, that most upright faces' normals share; `None` when too few are upright.
fn yaw_from_normals(normals: &[[f32; 3]]) -> Option<f64> {
    const DEGREES: usize = 90;
    let degree = FRAC_PI_2 / DEGREES as f64;
    let upright: Vec<f64> = normals
        .iter()
        .filter(|n| n.iter().all(|x| x.is_finite()) && n[2].abs() < MAX_UPRIGHT_Z)
        .map(|n| f64::from(n[1]).atan2(f64::from(n[0])).rem_euclid(FRAC_PI_2))
        .collect();
    if upright.is_empty() || (upright.len() as f64) < MIN_UPRIGHT_SHARE * normals.len() as f64 {
        return None;
    }
    // the fullest window, then the mean in it, both around the circle
    let mut histogram = [0u32; DEGREES];
    for yaw in &upright {
        histogram[((yaw / degree) as usize).min(DEGREES - 1)] += 1;
    }
    let window = |i: usize| -> u32 {
        (0..2 * NORMAL_WINDOW_DEG).map(|j| histogram[(i + DEGREES - NORMAL_WINDOW_DEG + j) % DEGREES]).sum()
    };
    let fullest = (0..DEGREES).rev().max_by_key(|&i| window(i)).unwrap_or(0) as f64 * degree;
    let offsets = upright
        .iter()
        .map(|yaw| (yaw - fullest + 1.5 * FRAC_PI_2).rem_euclid(FRAC_PI_2) - 0.5 * FRAC_PI_2)
        .filter(|offset| offset.abs() <= NORMAL_WINDOW_DEG as f64 * degree);
    let (sum, count) = offsets.fold((0.0, 0u32), |(sum, count), offset| (sum + offset, count + 1));
    Some((fullest + sum / f64::from(count.max(1))).rem_euclid(FRAC_PI_2))
}

/// Where the object begins and ends along an axis. `None` without values.
fn edges(values: Vec<f64>) -> Option<(f64, f64)> {
    let upward = sorted(values);
    let downward: Vec<f64> = upward.iter().rev().map(|v| -v).collect();
    let (low, high) =
        (Profile::from_sorted(&downward)?.upper_edge(&downward), Profile::from_sorted(&upward)?.upper_edge(&upward));
    // a headboard or legs have few points for their size, but more than strays are
    let span = Trimmed::from_sorted(&upward);
    let outer = |edge: f64, last: f64| if last > edge + BEYOND_NOISE_M { last - EDGE_NOISE_M } else { edge };
    Some((-outer(low, -span.low), outer(high, span.high)))
}

/// The density of values along an axis.
struct Profile {
    /// Where the first cell starts.
    low: f64,
    cell_m: f64,
    /// Values a cell, smoothed.
    density: Vec<f64>,
    /// Values a cell in the middle half of the object, where no face across the axis stands out.
    middle: f64,
}

impl Profile {
    /// `None` without values and for spans beyond f64.
    fn from_sorted(values: &[f64]) -> Option<Self> {
        let span = Trimmed::from_sorted(values);
        let (low, high) = (span.low - span.margin, span.high + span.margin);
        if values.is_empty() || !(high - low).is_finite() {
            return None;
        }
        let cell_m = EDGE_CELL_M.max((high - low) / MAX_CELLS as f64);
        let cells = ((high - low) / cell_m) as usize + 1;
        let mut counts = vec![0.0; cells];
        for v in values.iter().filter(|v| (low..=high).contains(*v)) {
            counts[(((v - low) / cell_m) as usize).min(cells - 1)] += 1.0;
        }
        let smoothed = |i: usize| {
            let around = i.saturating_sub(EDGE_SMOOTHING)..(i + EDGE_SMOOTHING + 1).min(cells);
            counts[around].iter().sum::<f64>() / (2 * EDGE_SMOOTHING + 1) as f64
        };
        let quarter = 0.25 * (span.high - span.low);
        let (from, to) = (span.low + quarter, span.high - quarter);
        let inside = values.partition_point(|v| *v <= to).saturating_sub(values.partition_point(|v| *v < from));
        let middle = inside as f64 / ((to - from) / cell_m).max(1.0);
        Some(Self { low, cell_m, density: (0..cells).map(smoothed).collect(), middle })
    }

    /// The end of the object towards larger values; `values` are those of the profile, ascending.
    fn upper_edge(&self, values: &[f64]) -> f64 {
        let highest = self.density.iter().copied().fold(0.0, f64::max);
        let half = 0.5 * self.middle.max(MIN_MIDDLE * highest);
        let outermost = self.density.iter().rposition(|d| *d >= half).unwrap_or(0);
        // between the last cell above half and the next, by their densities
        let (inner, outer) = (self.density[outermost], self.density.get(outermost + 1).copied().unwrap_or(0.0));
        let fraction = if inner > outer { ((inner - half) / (inner - outer)).clamp(0.0, 1.0) } else { 0.0 };
        let edge = self.low + (outermost as f64 + 0.5 + fraction) * self.cell_m;

        let reach = (2.0 * FACE_HALF_WIDTH_M / self.cell_m) as usize;
        let face = (outermost.saturating_sub(reach)..=outermost)
            .max_by(|&a, &b| self.density[a].total_cmp(&self.density[b]))
            .unwrap_or(outermost);
        if self.density[face] < FACE_CONTRAST * self.middle {
            return edge;
        }
        // The mean of the face's points, twice around the last guess. The points of faces along the axis, which end here,
        // are taken off: they lie on the inner side, on average half way.
        let mut at = self.low + (face as f64 + 0.5) * self.cell_m;
        for _ in 0..2 {
            let from = values.partition_point(|v| *v < at - FACE_HALF_WIDTH_M);
            let to = values.partition_point(|v| *v <= at + FACE_HALF_WIDTH_M).max(from);
            let background = self.middle * FACE_HALF_WIDTH_M / self.cell_m;
            let own = (to - from) as f64 - background;
            if own < 1.0 {
                return edge;
            }
            let sum: f64 = values[from..to].iter().map(|v| v - at).sum();
            at += (sum + background * 0.5 * FACE_HALF_WIDTH_M) / own;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rayon::prelude::*;

    use super::*;

    fn gauss(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    struct Seen {
        truth: OrientedBox,
        points: Vec<[f32; 3]>,
        normals: Vec<[f32; 3]>,
    }

    /// The top and 2, 3 or 4 sides of a piece of furniture, sampled by area, with 5 to 10 mm of noise and 1% stray points
    /// up to 30 cm around.
    fn seen(rng: &mut ChaCha8Rng) -> Seen {
        let size = [rng.random_range(0.4..2.0), rng.random_range(0.35..1.0), rng.random_range(0.3..2.0)];
        let yaw: f64 = rng.random_range(-3.2..3.2);
        let center: [f64; 3] = std::array::from_fn(|_| rng.random_range(-5.0..5.0));
        let truth = OrientedBox { center, size, yaw };
        let sides = rng.random_range(2..=4);
        let first: usize = rng.random_range(0..4);
        // axis and direction of each face seen
        let mut faces = vec![(2, 1.0)];
        faces.extend((first..first + sides).map(|i| [(0, 1.0), (1, 1.0), (0, -1.0), (1, -1.0)][i % 4]));
        let area = |axis: usize| size[(axis + 1) % 3] * size[(axis + 2) % 3];
        let all: f64 = faces.iter().map(|(axis, _)| area(*axis)).sum();
        let deviation = rng.random_range(0.005..0.01);
        let count = rng.random_range(300..5000);
        let mut seen = Seen { truth, points: Vec::new(), normals: Vec::new() };
        for _ in 0..count {
            let mut own: [f64; 3] = std::array::from_fn(|k| size[k] * rng.random_range(-0.5..0.5));
            let mut normal = [0.0; 3];
            if rng.random_range(0..100) == 0 {
                own = std::array::from_fn(|k| (size[k] + 0.6) * rng.random_range(-0.5..0.5));
                normal[rng.random_range(0..3)] = 1.0;
            } else {
                let mut draw = rng.random_range(0.0..all);
                let hit = faces.iter().find(|(axis, _)| {
                    draw -= area(*axis);
                    draw < 0.0
                });
                let (axis, sign) = *hit.unwrap_or(&faces[0]);
                own[axis] = sign * 0.5 * size[axis];
                normal[axis] = sign;
                own = own.map(|x| x + deviation * gauss(rng));
                normal = normal.map(|n| n + 0.15 * gauss(rng));
            }
            let (sin, cos) = yaw.sin_cos();
            let turned = |v: [f64; 3]| [cos * v[0] - sin * v[1], sin * v[0] + cos * v[1], v[2]];
            let world = turned(own);
            seen.points.push(std::array::from_fn(|k| (center[k] + world[k]) as f32));
            seen.normals.push(turned(normal).map(|x| x as f32));
        }
        seen
    }

    #[test]
    fn boxes_of_furniture_are_found_through_noise_from_some_of_their_faces() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let scenes: Vec<Seen> = (0..1000).map(|_| seen(&mut rng)).collect();
        let report = |name: &str, fit: &(dyn Fn(&Seen) -> Option<OrientedBox> + Sync)| {
            let mut ious: Vec<f64> = scenes.par_iter().map(|s| fit(s).map_or(0.0, |b| b.iou(&s.truth))).collect();
            ious.sort_by(f64::total_cmp);
            let share = ious.iter().filter(|iou| **iou >= 0.9).count() as f64 / ious.len() as f64;
            println!("{name}: IoU >= 0.9 for {share:.3}, median {:.4}, least {:.3}", ious[500], ious[0]);
            (share, ious[500])
        };
        let plain = report("hull", &|s| OrientedBox::fit_yaw(&s.points));
        let (share, median) = report("points", &|s| OrientedBox::fit_yaw_robust(&s.points, None));
        assert!(share >= 0.999 && median >= 0.98, "{share} {median}, hull {plain:?}");
        let (share, median) = report("normals", &|s| OrientedBox::fit_yaw_robust(&s.points, Some(&s.normals)));
        assert!(share >= 0.999 && median >= 0.98, "{share} {median}");
    }

    #[test]
    fn odd_points_are_no_panic() {
        let fit = |points: &[[f32; 3]]| OrientedBox::fit_yaw_robust(points, None);
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[[f32::NAN; 3]; 200]), None);
        assert_eq!(fit(&[[1.0; 3]; 5]), None);
        let line: Vec<[f32; 3]> = (0..500).map(|i| [i as f32 * 0.01, 0.0, 0.0]).collect();
        let huge: Vec<[f32; 3]> = (0..500).map(|i| [i as f32 * 6.0e35, i as f32, f32::MAX * (i % 2) as f32]).collect();
        let spread: Vec<[f32; 3]> = (0..500).map(|i| [(i % 20) as f32 * 1.0e8, (i / 20) as f32 * 1.0e8, 0.0]).collect();
        for points in [line, huge, spread, vec![[1.0; 3]; 500]] {
            if let Some(found) = fit(&points) {
                assert!(found.size.iter().all(|s| s.is_finite() && *s >= 0.0), "{found:?}");
            }
            // normals of the wrong number and without a direction are not used
            assert_eq!(OrientedBox::fit_yaw_robust(&points, Some(&[])), fit(&points));
            assert_eq!(OrientedBox::fit_yaw_robust(&points, Some(&vec![[f32::NAN; 3]; points.len()])), fit(&points));
        }
    }
}
