//! Boxes in the world: axis-aligned bounds and boxes with a yaw, with exact overlap.

mod robust;

use serde::{Deserialize, Serialize};

/// Axis-aligned bounds, metres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Aabb {
    /// Smallest x, y, z.
    pub min: [f64; 3],
    /// Largest x, y, z.
    pub max: [f64; 3],
}

impl Aabb {
    /// The least bounds that contain `points`; `None` without one. What is not a number has no part in it.
    pub fn containing(points: impl IntoIterator<Item = [f64; 3]>) -> Option<Self> {
        points.into_iter().fold(None, |bounds: Option<Self>, p| {
            let Self { min, max } = bounds.unwrap_or(Self { min: p, max: p });
            let fold = |a: [f64; 3], f: fn(f64, f64) -> f64| std::array::from_fn(|k| f(a[k], p[k]));
            Some(Self { min: fold(min, f64::min), max: fold(max, f64::max) })
        })
    }
}

/// A box with full extents and a yaw about z, metres and radians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OrientedBox {
    /// Centre.
    pub center: [f64; 3],
    /// Full extents along the box's own x, y, z.
    pub size: [f64; 3],
    /// Turn about z, counter-clockwise.
    pub yaw: f64,
}

impl OrientedBox {
    /// The footprint's corners, counter-clockwise.
    fn footprint(&self) -> [[f64; 2]; 4] {
        let (sin, cos) = self.yaw.sin_cos();
        let (hx, hy) = (0.5 * self.size[0], 0.5 * self.size[1]);
        [[-hx, -hy], [hx, -hy], [hx, hy], [-hx, hy]]
            .map(|[x, y]| [self.center[0] + cos * x - sin * y, self.center[1] + sin * x + cos * y])
    }

    /// The eight corners, the lower four first.
    pub fn corners(&self) -> [[f64; 3]; 8] {
        let f = self.footprint();
        std::array::from_fn(|i| {
            let z = self.center[2] + if i < 4 { -0.5 } else { 0.5 } * self.size[2];
            [f[i % 4][0], f[i % 4][1], z]
        })
    }

    /// Cubic metres.
    pub fn volume(&self) -> f64 {
        self.size.iter().product()
    }

    /// The smallest axis-aligned bounds around the box.
    pub fn aabb(&self) -> Aabb {
        let corners = self.corners();
        Aabb::containing(corners).unwrap_or(Aabb { min: corners[0], max: corners[0] })
    }

    /// Whether `p` lies in the box grown by `margin_m` on every side.
    pub fn contains(&self, p: [f64; 3], margin_m: f64) -> bool {
        let (sin, cos) = self.yaw.sin_cos();
        let (dx, dy, dz) = (p[0] - self.center[0], p[1] - self.center[1], p[2] - self.center[2]);
        let own = [cos * dx + sin * dy, -sin * dx + cos * dy, dz];
        own.iter().zip(self.size).all(|(d, s)| d.abs() <= 0.5 * s + margin_m)
    }

    /// Intersection over union, exact: footprints are clipped as polygons (Sutherland-Hodgman 1974). 0 for degenerate boxes.
    pub fn iou(&self, other: &Self) -> f64 {
        let low = (self.center[2] - 0.5 * self.size[2]).max(other.center[2] - 0.5 * other.size[2]);
        let high = (self.center[2] + 0.5 * self.size[2]).min(other.center[2] + 0.5 * other.size[2]);
        let common = area(&clip(&self.footprint(), &other.footprint())) * (high - low).max(0.0);
        let union = self.volume() + other.volume() - common;
        if union > 0.0 && union.is_finite() { (common / union).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The yawed box of least footprint around `points`: one side lies along an edge of the convex hull (rotating
    /// calipers, Toussaint 1983). `None` for fewer than three points or points on a line.
    pub fn fit_yaw(points: &[[f32; 3]]) -> Option<Self> {
        let hull = convex_hull(points);
        if hull.len() < 3 {
            return None;
        }
        let mut best: Option<(f64, Self)> = None;
        let (z_low, z_high) = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| {
            (low.min(f64::from(p[2])), high.max(f64::from(p[2])))
        });
        for i in 0..hull.len() {
            let (a, b) = (hull[i], hull[(i + 1) % hull.len()]);
            let yaw = (b[1] - a[1]).atan2(b[0] - a[0]).rem_euclid(std::f64::consts::FRAC_PI_2);
            let (sin, cos) = yaw.sin_cos();
            let mut span = [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY];
            for p in &hull {
                let (x, y) = (cos * p[0] + sin * p[1], -sin * p[0] + cos * p[1]);
                span = [span[0].min(x), span[1].max(x), span[2].min(y), span[3].max(y)];
            }
            let footprint = (span[1] - span[0]) * (span[3] - span[2]);
            if best.as_ref().is_none_or(|(least, _)| footprint < *least) {
                let (x, y) = (0.5 * (span[0] + span[1]), 0.5 * (span[2] + span[3]));
                let center = [cos * x - sin * y, sin * x + cos * y, 0.5 * (z_low + z_high)];
                let size = [span[1] - span[0], span[3] - span[2], z_high - z_low];
                best = Some((footprint, Self { center, size, yaw }));
            }
        }
        best.map(|(_, b)| b)
    }
}

/// Counter-clockwise convex hull of the points' x, y (Andrew's monotone chain, 1979).
fn convex_hull(points: &[[f32; 3]]) -> Vec<[f64; 2]> {
    let mut p: Vec<[f64; 2]> = points
        .iter()
        .map(|p| [f64::from(p[0]), f64::from(p[1])])
        .filter(|p| p[0].is_finite() && p[1].is_finite())
        .collect();
    p.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    p.dedup();
    if p.len() < 3 {
        return p;
    }
    let turn = |o: [f64; 2], a: [f64; 2], b: [f64; 2]| (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
    let half = |points: &mut dyn Iterator<Item = [f64; 2]>| {
        let mut chain: Vec<[f64; 2]> = Vec::new();
        for q in points {
            while chain.len() >= 2 && turn(chain[chain.len() - 2], chain[chain.len() - 1], q) <= 0.0 {
                chain.pop();
            }
            chain.push(q);
        }
        chain.pop();
        chain
    };
    let mut hull = half(&mut p.iter().copied());
    hull.extend(half(&mut p.iter().rev().copied()));
    hull
}

/// The part of convex polygon `subject` inside convex, counter-clockwise `window`.
fn clip(subject: &[[f64; 2]], window: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut out = subject.to_vec();
    for i in 0..window.len() {
        let (a, b) = (window[i], window[(i + 1) % window.len()]);
        let side = |p: [f64; 2]| (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
        let input = std::mem::take(&mut out);
        for j in 0..input.len() {
            let (p, q) = (input[j], input[(j + 1) % input.len()]);
            let (sp, sq) = (side(p), side(q));
            if sp >= 0.0 {
                out.push(p);
            }
            if (sp > 0.0 && sq < 0.0) || (sp < 0.0 && sq > 0.0) {
                let t = sp / (sp - sq);
                out.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
            }
        }
    }
    out
}

/// Area of a polygon (shoelace formula).
fn area(polygon: &[[f64; 2]]) -> f64 {
    let twice: f64 = (0..polygon.len())
        .map(|i| {
            let (a, b) = (polygon[i], polygon[(i + 1) % polygon.len()]);
            a[0] * b[1] - a[1] * b[0]
        })
        .sum();
    0.5 * twice.abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = OrientedBox> {
        let center = [-1.0..1.0f64, -1.0..1.0f64, -0.5..0.5f64];
        (center, [0.2..2.0f64, 0.2..2.0f64, 0.2..2.0f64], -3.2..3.2f64).prop_map(|(center, size, yaw)| OrientedBox {
            center,
            size,
            yaw,
        })
    }

    /// Share of a fine grid's cells, as an independent reference.
    fn counted_iou(a: &OrientedBox, b: &OrientedBox) -> f64 {
        const STEPS: usize = 60;
        let (mut both, mut any) = (0u32, 0u32);
        for i in 0..STEPS * STEPS * STEPS {
            let at = |k: usize| -3.0 + 6.0 * (k as f64 + 0.5) / STEPS as f64;
            let p = [at(i % STEPS), at(i / STEPS % STEPS), at(i / STEPS / STEPS)];
            let (x, y) = (a.contains(p, 0.0), b.contains(p, 0.0));
            both += u32::from(x && y);
            any += u32::from(x || y);
        }
        f64::from(both) / f64::from(any.max(1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn overlap_agrees_with_counting(a in boxes(), b in boxes()) {
            prop_assert!((a.iou(&b) - b.iou(&a)).abs() < 1e-9);
            prop_assert!((a.iou(&b) - counted_iou(&a, &b)).abs() < 0.08);
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn a_box_is_found_again_from_its_corners(b in boxes()) {
            let points: Vec<[f32; 3]> = b.corners().iter().map(|c| c.map(|x| x as f32)).collect();
            let found = OrientedBox::fit_yaw(&points).unwrap();
            prop_assert!(found.iou(&b) > 0.999);
        }
    }

    #[test]
    fn half_shifted_cubes_share_a_third() {
        let a = OrientedBox { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
        let b = OrientedBox { center: [0.5, 0.0, 0.0], ..a };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn degenerate_boxes_overlap_nothing() {
        let a = OrientedBox { center: [0.0; 3], size: [0.0; 3], yaw: 0.0 };
        let bad = OrientedBox { center: [f64::NAN; 3], size: [1.0; 3], yaw: 0.0 };
        assert_eq!((a.iou(&a), bad.iou(&bad)), (0.0, 0.0));
    }
}
