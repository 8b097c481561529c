//! What is worth seeing in: points that matter to a question, and the floor's cells; places with what each adds to a view's gain
//! out.

use super::free_space::{FloorCell, FreeSpace};

/// Every keyframe that sees a point already halves what seeing it again is worth.
const SEEN_DISCOUNT: f64 = 0.5;
/// Most points that are looked at: those worth most.
const MAX_POINTS: usize = 1024;
/// About as many places of the frontier are looked at, evenly chosen.
const MAX_FRONTIER: usize = 512;
/// Frontier of this length is worth as much as any longer one, metres: about what a picture of a room's side shows.
const FULL_FRONTIER_M: f64 = 3.0;
/// The frontier is looked at this high above the floor, metres: on the floor, lines of sight would graze it.
const FRONTIER_HEIGHT_M: f64 = 0.1;

/// A point of the map's surface that matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointOfInterest {
    /// In the world, metres; on the surface, as the middle of an object is hidden by the object itself.
    pub position: [f64; 3],
    /// How much it matters, in any unit; a point without a positive, finite weight is left out.
    pub weight: f64,
    /// Keyframes that see it.
    pub seen: u32,
}

/// Places worth seeing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Targets {
    /// The points, with the share of all points' weight that seeing one adds.
    pub(super) points: Vec<Target>,
    /// Unknown floor beside free floor, with the share of a full frontier that each piece is.
    pub(super) frontier: Vec<Target>,
}

/// A place and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    /// In the world, metres.
    pub(super) position: [f64; 3],
    /// Share of all that there is.
    pub(super) value: f64,
}

impl Targets {
    pub(super) fn new(points: &[PointOfInterest], free: &FreeSpace) -> Self {
        Self { points: of_points(points), frontier: of_frontier(free) }
    }
}

fn of_points(points: &[PointOfInterest]) -> Vec<Target> {
    let usable =
        |p: &&PointOfInterest| p.weight > 0.0 && p.weight.is_finite() && p.position.iter().all(|x| x.is_finite());
    let all: f64 = points.iter().filter(usable).map(|p| p.weight).sum();
    let value = |p: &PointOfInterest| p.weight / all * SEEN_DISCOUNT.powf(f64::from(p.seen));
    let mut targets: Vec<Target> = points
        .iter()
        .filter(usable)
        .map(|p| Target { position: p.position, value: value(p) })
        .filter(|target| target.value > 0.0)
        .collect();
    // a stable sort: of equals the first are kept
    targets.sort_by(|a, b| b.value.total_cmp(&a.value));
    targets.truncate(MAX_POINTS);
    targets
}

/// Frontiers are where known free space ends (Yamauchi 1997).
fn of_frontier(free: &FreeSpace) -> Vec<Target> {
    let cells = free.cells();
    let is_frontier = |cell: &usize| {
        cells[*cell] == FloorCell::Unknown && free.grid.beside(*cell).any(|other| cells[other] == FloorCell::Free)
    };
    let frontier: Vec<usize> = (0..cells.len()).filter(is_frontier).collect();
    let every = frontier.len().div_ceil(MAX_FRONTIER).max(1);
    let value = every as f64 * free.cell_m() / FULL_FRONTIER_M;
    let place = |cell: usize| {
        let [x, y] = free.center(cell);
        [x, y, free.floor_m() + FRONTIER_HEIGHT_M]
    };
    frontier.into_iter().step_by(every).map(|cell| Target { position: place(cell), value }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::free_space::FreeSpaceConfig;
    use super::super::free_space::tests::{sheet, two_rooms};
    use super::*;
    use crate::cloud::PointCloud;

    #[test]
    fn points_share_their_weight_and_seen_ones_are_worth_half() {
        let point = |weight: f64, seen: u32| PointOfInterest { position: [weight, 0.0, 0.0], weight, seen };
        let bad = [point(f64::NAN, 0), point(f64::INFINITY, 0), point(-1.0, 0), point(0.0, 0)];
        let lost = PointOfInterest { position: [f64::NAN; 3], ..point(5.0, 0) };
        let points: Vec<_> = bad.into_iter().chain([lost, point(1.0, 0), point(3.0, 2), point(1.0e-9, 5000)]).collect();
        let values: Vec<f64> = of_points(&points).iter().map(|t| t.value).collect();
        assert!(
            values.len() == 2 && (values[0] - 0.25).abs() < 1e-8 && (values[1] - 0.1875).abs() < 1e-8,
            "{values:?}"
        );
        assert!(of_points(&bad).is_empty() && of_points(&[]).is_empty());
        let many: Vec<_> = (0..5000).map(|i| point(1.0 + f64::from(i % 10), 0)).collect();
        let kept = of_points(&many);
        assert!(kept.len() == MAX_POINTS && kept.iter().all(|t| t.position[0] >= 8.0), "the heaviest");
    }

    #[test]
    fn the_frontier_is_where_free_floor_ends_without_a_wall() {
        let config = FreeSpaceConfig::default();
        let closed = FreeSpace::new(&two_rooms(0.9), &[], &config).unwrap();
        assert!(of_frontier(&closed).is_empty());
        let mut open = PointCloud::default();
        sheet(&mut open, [0.0, 0.0, 0.0], [2.0, 2.0, 0.0], 2);
        for x in [0.0, 2.0] {
            sheet(&mut open, [x, 0.0, 0.0], [x, 2.0, 2.0], 0);
        }
        sheet(&mut open, [0.0, 0.0, 0.0], [2.0, 0.0, 2.0], 1);
        let frontier = of_frontier(&FreeSpace::new(&open, &[], &config).unwrap());
        let length_m = frontier.iter().map(|t| t.value).sum::<f64>() * FULL_FRONTIER_M;
        assert!((length_m - 2.0).abs() < 0.15, "{length_m}");
        assert!(frontier.iter().all(|t| t.position[1] > 1.95 && (t.position[2] - 0.1).abs() < 0.01));
    }
}
