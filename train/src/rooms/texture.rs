//! A seed in, the pattern of a surface out: how much lighter or darker it is at a point in its own coordinates.
//!
//! Patterns fill space, so that they need no map of the surface and meet at its edges; finer than two pixels they fade, as a
//! lens blurs them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::lattice;
use super::layout::PartShape;

/// Largest change of brightness at full strength, as a share of the colour and its pedestal.
const OBJECT_CONTRAST: f64 = 0.12;
const WALL_CONTRAST: f64 = 0.14;
const FLOOR_CONTRAST: f64 = 0.22;
/// Added to a colour before its share is taken, levels: black has patterns too.
const PEDESTAL: f32 = 40.0;
/// Lengths of a pattern on objects, on walls and on floors, metres.
const OBJECT_PERIOD_M: (f64, f64) = (0.06, 0.22);
const SHELL_PERIOD_M: (f64, f64) = (0.16, 0.6);
/// A pattern repeats at least this often across a part.
const REPEATS: f64 = 2.0;
/// No pattern is finer, metres.
const FINEST_M: f64 = 0.03;
/// Pixels a period below which a pattern is gone, and from which it is whole.
const FADE_PIXELS: (f32, f32) = (2.0, 4.0);
/// How much steeper than a triangle wave the edges of stripes are.
const STRIPE_STEEPNESS: f32 = 3.0;
/// How much longer grain is along the part than across.
const GRAIN_LENGTH: f32 = 8.0;
/// Rings between the lightest and the darkest place of grain.
const GRAIN_RINGS: f32 = 3.0;
/// Noise above this is a speckle; steepness of its edge; noise lengths a period.
const SPECKLE_ABOVE: f32 = 0.58;
const SPECKLE_STEEPNESS: f32 = 8.0;
const SPECKLES_A_PERIOD: f32 = 4.5;
/// Sides of a box.
const SIDES: usize = 6;
/// Samples along an edge of a face for the mean of a pattern.
const MEAN_SAMPLES: u32 = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Stripes,
    Checks,
    Grain,
    Speckle,
}

const PATTERNS: [Pattern; 4] = [Pattern::Stripes, Pattern::Checks, Pattern::Grain, Pattern::Speckle];

/// What a pattern is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// Furniture and things: low contrast, so that they keep the colour they are called by.
    Object,
    Wall,
    Floor,
}

/// The pattern of one surface.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Texture {
    pattern: Pattern,
    seed: u32,
    /// 1 / metres.
    frequency: f32,
    /// Periods.
    offset: [f32; 3],
    /// Axis along which grain runs, and across which stripes lie: 2 for level stripes.
    axis: usize,
    /// Share of the colour and its pedestal.
    contrast: f32,
    /// 1 / metres, of the part's half extents.
    inverse_half: [f32; 3],
    /// Mean of the pattern over each side of the part, see [`Texture::side`].
    means: [f32; SIDES],
}

impl Texture {
    /// A random pattern; `strength` from 0 (plain) to 1.
    pub(super) fn random(ground: Ground, strength: f64, rng: &mut ChaCha8Rng) -> Self {
        let (contrast, (low, high)) = match ground {
            Ground::Object => (OBJECT_CONTRAST, OBJECT_PERIOD_M),
            Ground::Wall => (WALL_CONTRAST, SHELL_PERIOD_M),
            Ground::Floor => (FLOOR_CONTRAST, SHELL_PERIOD_M),
        };
        Self {
            pattern: PATTERNS[rng.random_range(0..PATTERNS.len())],
            seed: rng.random(),
            frequency: 1.0 / rng.random_range(low..high) as f32,
            offset: [rng.random(), rng.random(), rng.random()],
            axis: rng.random_range(0..3),
            contrast: (contrast * strength * rng.random_range(0.5..1.0)) as f32,
            inverse_half: [1.0; 3],
            means: [0.0; SIDES],
        }
    }

    /// This pattern on a part: fine enough to repeat on it, no stronger than its colour bears, of mean 0 over each of its sides.
    pub(super) fn on(self, shape: PartShape, rgb: [u8; 3], rng: &mut ChaCha8Rng) -> Self {
        let half = shape.half_extents();
        let mut order = [0, 1, 2];
        order.sort_by(|a, b| half[*a].total_cmp(&half[*b]));
        let period = (2.0 * half[order[1]] / REPEATS).clamp(FINEST_M, 1.0 / f64::from(self.frequency));
        let brightest = f32::from(rgb.into_iter().max().unwrap_or(0));
        let mut texture = Self {
            frequency: 1.0 / period as f32,
            offset: [rng.random(), rng.random(), rng.random()],
            axis: if self.pattern == Pattern::Grain { order[2] } else { self.axis },
            inverse_half: half.map(|h| 1.0 / h as f32),
            ..self
        };
        let (mut sums, mut areas) = ([0.0; SIDES], [0.0; SIDES]);
        for_each_surface_point(shape, |p, weight| {
            let side = if matches!(shape, PartShape::Box { .. }) { texture.side(p) } else { 0 };
            sums[side] += weight * texture.pattern_at(p);
            areas[side] += weight;
        });
        texture.means = std::array::from_fn(|side| match shape {
            PartShape::Box { .. } => sums[side] / areas[side],
            // round: one side
            _ => sums[0] / areas[0],
        });
        let lightest = 1.0 - texture.means.into_iter().fold(1.0, f32::min);
        texture.contrast = self.contrast.min((255.0 - brightest) / (brightest + PEDESTAL) / lightest);
        texture
    }

    /// Which side of a box `p` is on: twice the axis that it faces, and one more on the far side.
    fn side(&self, p: [f32; 3]) -> usize {
        let reach: [f32; 3] = std::array::from_fn(|k| (p[k] * self.inverse_half[k]).abs());
        let axis = if reach[0] >= reach[1] && reach[0] >= reach[2] { 0 } else { 1 + usize::from(reach[2] > reach[1]) };
        2 * axis + usize::from(p[axis] > 0.0)
    }

    /// The colour, levels, of a surface of colour `rgb` at `p`, metres in its own coordinates; a pixel covers `pixel_m` of it.
    pub(super) fn color(&self, rgb: [f32; 3], p: [f32; 3], pixel_m: f32) -> [f32; 3] {
        if self.contrast == 0.0 {
            return rgb;
        }
        let pixels = 1.0 / (self.frequency * pixel_m);
        let sharpness = ((pixels - FADE_PIXELS.0) / (FADE_PIXELS.1 - FADE_PIXELS.0)).clamp(0.0, 1.0);
        if sharpness == 0.0 {
            return rgb;
        }
        let change = self.contrast * sharpness * (self.pattern_at(p) - self.means[self.side(p)]);
        rgb.map(|c| c + change * (c + PEDESTAL))
    }

    /// The pattern from -1 to 1.
    fn pattern_at(&self, p: [f32; 3]) -> f32 {
        let q: [f32; 3] = std::array::from_fn(|k| p[k] * self.frequency + self.offset[k]);
        match self.pattern {
            Pattern::Stripes => {
                // upright ones run over all four sides
                let along = if self.axis == 2 { q[2] } else { q[0] + q[1] };
                (STRIPE_STEEPNESS * triangle(along)).clamp(-1.0, 1.0)
            }
            Pattern::Checks => {
                // two cells a period
                let cells = q.iter().map(|c| (2.0 * c).floor() as i32).fold(0, i32::wrapping_add);
                if cells & 1 == 0 { 1.0 } else { -1.0 }
            }
            Pattern::Grain => {
                let mut q = q;
                q[self.axis] /= GRAIN_LENGTH;
                triangle(GRAIN_RINGS * lattice::smooth(self.seed, q))
            }
            Pattern::Speckle => {
                let noise = lattice::smooth(self.seed, q.map(|c| SPECKLES_A_PERIOD * c));
                2.0 * (SPECKLE_STEEPNESS * (noise - SPECKLE_ABOVE)).clamp(0.0, 1.0) - 1.0
            }
        }
    }
}

/// A triangle wave of period 1 from -1 to 1.
fn triangle(x: f32) -> f32 {
    4.0 * (x - x.floor() - 0.5).abs() - 1.0
}

/// Calls `visit` with points spread over the surface of `shape`, in its own coordinates, and the area that each stands for.
fn for_each_surface_point(shape: PartShape, mut visit: impl FnMut([f32; 3], f32)) {
    let half = shape.half_extents().map(|h| h as f32);
    let grid = |i: u32| (2 * i + 1) as f32 / MEAN_SAMPLES as f32 - 1.0;
    for axis in 0..3 {
        let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
        for (i, j) in (0..MEAN_SAMPLES).flat_map(|i| (0..MEAN_SAMPLES).map(move |j| (i, j))) {
            for side in [-1.0, 1.0] {
                let mut q = [0.0; 3];
                (q[axis], q[a], q[b]) = (side, grid(i), grid(j));
                match shape {
                    PartShape::Box { .. } => {}
                    PartShape::Cylinder { .. } => {
                        // the square becomes a disc on the caps and a ring on the sides
                        let reach = if axis == 2 { q[0].abs().max(q[1].abs()) } else { 1.0 };
                        let scale = reach / q[0].hypot(q[1]);
                        (q[0], q[1]) = (q[0] * scale, q[1] * scale);
                    }
                    PartShape::Sphere { .. } => {
                        let length = q.iter().map(|c| c * c).sum::<f32>().sqrt();
                        q = q.map(|c| c / length);
                    }
                }
                visit(std::array::from_fn(|k| q[k] * half[k]), half[a] * half[b]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SHAPES: [PartShape; 4] = [
        PartShape::Box { size: [1.2, 0.6, 0.8] },
        PartShape::Box { size: [0.05, 0.05, 0.7] },
        PartShape::Cylinder { radius: 0.15, height: 0.4 },
        PartShape::Sphere { radius: 0.14 },
    ];

    #[test]
    fn a_pattern_changes_the_colour_and_not_its_mean() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut widest = [0.0f32; PATTERNS.len()];
        for _ in 0..200 {
            for (shape, rgb) in SHAPES.into_iter().zip([[200, 35, 35], [245; 3], [25, 25, 28], [40, 80, 205]]) {
                let texture = Texture::random(Ground::Object, 1.0, &mut rng).on(shape, rgb, &mut rng);
                let (mut sum, mut area, mut low, mut high) = (0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY);
                for_each_surface_point(shape, |p, weight| {
                    let [c, ..] = texture.color(rgb.map(f32::from), p, 1e-4);
                    assert!((0.0..=255.01).contains(&c), "{c}");
                    sum += c * weight;
                    area += weight;
                    (low, high) = (low.min(c), high.max(c));
                });
                assert!((sum / area - f32::from(rgb[0])).abs() < 1.0, "{texture:?}: {} for {rgb:?}", sum / area);
                assert!(high - low < 0.3 * (f32::from(rgb[0]) + PEDESTAL), "{texture:?}: {low} to {high}");
                let at = PATTERNS.iter().position(|p| *p == texture.pattern).unwrap();
                widest[at] = widest[at].max(high - low);
            }
        }
        assert!(widest.iter().all(|w| *w > 30.0), "{widest:?} levels");
    }

    #[test]
    fn patterns_finer_than_pixels_are_gone_and_none_at_strength_zero() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let points: [[f32; 3]; 64] = std::array::from_fn(|i| [0.03 * i as f32, 0.01, 0.4]);
        let changed = |t: &Texture, pixel_m| points.iter().any(|p| t.color([100.0; 3], *p, pixel_m) != [100.0; 3]);
        for ground in [Ground::Object, Ground::Wall, Ground::Floor] {
            let texture = Texture::random(ground, 1.0, &mut rng);
            let period = 1.0 / texture.frequency;
            assert!(changed(&texture, 0.2 * period) && !changed(&texture, 0.51 * period), "{texture:?}");
            assert!(!changed(&Texture::random(ground, 0.0, &mut rng), 1e-3));
        }
    }
}
