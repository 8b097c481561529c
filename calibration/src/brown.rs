//! The plumb-bob and the rational lens: a point in, where it is bent to and how that moves with it out, and Newton's way back.

use crate::distortion::{INVERSE_TOLERANCE, NEWTON_STEPS};
use crate::positivity::{HALVINGS, largest, positive_until};

/// Squared radius up to which the model is looked at: 89.4 degrees from the axis.
pub(crate) const FAR: f64 = 1.0e4;

/// The plumb-bob and the rational model: x N(s)/D(s) + tangential, with s the squared radius.
pub(crate) struct Brown {
    pub(crate) numerator: [f64; 4],
    pub(crate) denominator: [f64; 4],
    pub(crate) tangential: [f64; 2],
}

/// A distorted point, and how it moves with the point: d(xd, yd)/d(x, y) = ((a, b), (b, c)), symmetric for these models.
pub(crate) struct Bent {
    pub(crate) at: [f64; 2],
    a: f64,
    b: f64,
    c: f64,
}

fn polynomial(c: &[f64; 4], s: f64) -> f64 {
    c[0] + s * (c[1] + s * (c[2] + s * c[3]))
}

fn slope(c: &[f64; 4], s: f64) -> f64 {
    c[1] + s * (2.0 * c[2] + s * 3.0 * c[3])
}

impl Bent {
    fn determinant(&self) -> f64 {
        self.a * self.c - self.b * self.b
    }
}

impl Brown {
    /// Where (x, y) is bent to.
    pub(crate) fn bend(&self, x: f64, y: f64) -> Bent {
        let s = x * x + y * y;
        let [p1, p2] = self.tangential;
        let (n, d) = (polynomial(&self.numerator, s), polynomial(&self.denominator, s));
        let radial = n / d;
        // d radial / d s
        let growth = (slope(&self.numerator, s) - radial * slope(&self.denominator, s)) / d;
        Bent {
            at: [
                x * radial + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x),
                y * radial + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y,
            ],
            a: radial + 2.0 * x * x * growth + 2.0 * p1 * y + 6.0 * p2 * x,
            b: 2.0 * x * y * growth + 2.0 * p1 * x + 2.0 * p2 * y,
            c: radial + 2.0 * y * y * growth + 6.0 * p1 * y + 2.0 * p2 * x,
        }
    }

    /// Whether r N/D grows with r up to r^2 = `s`: its derivative is (N D + 2 s (N' D - N D')) / D^2, and D must not vanish.
    pub(crate) fn grows_until(&self, s: f64) -> bool {
        let (n, d) = (&self.numerator, &self.denominator);
        if d[1..].iter().all(|k| *k == 0.0) {
            return positive_until([1.0, 3.0 * n[1], 5.0 * n[2], 7.0 * n[3]], s);
        }
        let mut growth = [0.0; 7];
        for (i, n) in n.iter().enumerate() {
            for (j, d) in d.iter().enumerate() {
                growth[i + j] += n * d * (1.0 + 2.0 * (i as f64 - j as f64));
            }
        }
        positive_until(*d, s) && positive_until(growth, s)
    }

    /// Whether the model is one to one from the centre out to (x, y).
    pub(crate) fn reaches(&self, x: f64, y: f64) -> bool {
        self.grows_until(x * x + y * y) && self.bend(x, y).determinant() > 0.0
    }

    /// The point that is bent to (`xd`, `yd`); `None` when none within reach is.
    pub(crate) fn straighten(&self, xd: f64, yd: f64) -> Option<[f64; 2]> {
        let valid = |[x, y]: [f64; 2]| self.reaches(x, y).then_some([x, y]);
        // nearly always right at once; where the lens bends a lot, the radial part alone gives a start on the right side
        self.newton([xd, yd], [xd, yd]).and_then(valid).or_else(|| {
            let start = self.radial_start(xd, yd)?;
            self.newton(start, [xd, yd]).and_then(valid)
        })
    }

    /// Newton's method with the analytic Jacobian.
    fn newton(&self, start: [f64; 2], target: [f64; 2]) -> Option<[f64; 2]> {
        let [mut x, mut y] = start;
        for _ in 0..NEWTON_STEPS {
            let bent = self.bend(x, y);
            let (ex, ey) = (bent.at[0] - target[0], bent.at[1] - target[1]);
            let det = bent.determinant();
            let (dx, dy) = ((bent.c * ex - bent.b * ey) / det, (bent.a * ey - bent.b * ex) / det);
            (x, y) = (x - dx, y - dy);
            if dx.abs() + dy.abs() <= f64::EPSILON * (1.0 + x.abs() + y.abs()) {
                break;
            }
            if !(x.is_finite() && y.is_finite()) {
                return None;
            }
        }
        let [bx, by] = self.bend(x, y).at;
        let near = (bx - target[0]).abs().max((by - target[1]).abs());
        (near <= INVERSE_TOLERANCE * (1.0 + target[0].abs() + target[1].abs())).then_some([x, y])
    }

    /// The point in the direction of (`xd`, `yd`) whose radial distortion alone goes there, by bisection.
    fn radial_start(&self, xd: f64, yd: f64) -> Option<[f64; 2]> {
        let rd = xd.hypot(yd);
        let mut far = largest(FAR, |s| self.grows_until(s)).unwrap_or(FAR).sqrt();
        let mut near = 0.0;
        for _ in 0..HALVINGS {
            let r = 0.5 * (near + far);
            let s = r * r;
            let bent = r * polynomial(&self.numerator, s) / polynomial(&self.denominator, s);
            if bent < rd { near = r } else { far = r }
        }
        (rd > 0.0).then(|| [xd / rd * near, yd / rd * near])
    }
}
