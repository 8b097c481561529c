//! A polynomial and an end in, whether it stays above zero from 0 to there out: what tells how far a lens model is one to one.

/// Halvings of an interval before a polynomial that touches zero counts as not positive; 2^-40 of the interval.
const MAX_HALVINGS: u32 = 40;
/// Halvings that bring any bisection here from its end down to rounding.
pub(crate) const HALVINGS: usize = 64;

/// Whether c0 + c1 x + c2 x^2 + ... is above zero for every x from 0 to `end`.
///
/// Exact but for rounding, and never wrong in the other direction: in doubt, and for anything that is not finite, the answer
/// is no. The Bernstein coefficients over an interval enclose the polynomial there (Farouki and Rajan 1987); where they do
/// not decide, the interval is halved.
pub(crate) fn positive_until<const N: usize>(coefficients: [f64; N], end: f64) -> bool {
    let mut b = coefficients;
    // over [0, 1], each divided by its binomial (n over i) ...
    let (mut power, mut binomial) = (1.0, 1.0);
    for (i, b) in b.iter_mut().enumerate() {
        *b *= power / binomial;
        power *= end;
        binomial *= (N - 1 - i) as f64 / (i + 1) as f64;
    }
    // ... and summed with binomial weights
    for k in 1..N {
        for j in (k..N).rev() {
            b[j] += b[j - 1];
        }
    }
    encloses_positive(b, MAX_HALVINGS)
}

fn encloses_positive<const N: usize>(b: [f64; N], halvings: u32) -> bool {
    let above = |x: Option<&f64>| x.is_some_and(|x| *x > 0.0 && x.is_finite());
    if !above(b.first()) || !above(b.last()) {
        return false;
    }
    if b.iter().all(|x| *x > 0.0) {
        return true;
    }
    if halvings == 0 {
        return false;
    }
    let (left, right) = halved(b);
    encloses_positive(left, halvings - 1) && encloses_positive(right, halvings - 1)
}

/// De Casteljau's step at the middle: the coefficients over the two halves.
fn halved<const N: usize>(mut b: [f64; N]) -> ([f64; N], [f64; N]) {
    let mut right = b;
    for k in 1..N {
        for j in (k..N).rev() {
            b[j] = 0.5 * (b[j] + b[j - 1]);
        }
        right[N - 1 - k] = b[N - 1];
    }
    // each entry was last written in the round of its own number, which makes it the left half's
    (b, right)
}

/// The largest value up to which `holds`, which must go from yes to no once; `None` when it holds at `end`.
pub(crate) fn largest(end: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    if holds(end) {
        return None;
    }
    let (mut yes, mut no) = (0.0, end);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (yes + no);
        if holds(middle) { yes = middle } else { no = middle }
    }
    Some(yes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_root_ends_it() {
        // (1 - x)(2 - x) = 2 - 3x + x^2
        let c = [2.0, -3.0, 1.0];
        assert!(positive_until(c, 0.999_999));
        assert!(!positive_until(c, 1.000_001));
        // positive again beyond the second root: still no
        assert!(!positive_until(c, 5.0));
    }

    #[test]
    fn a_root_in_the_middle_is_found_though_both_ends_are_positive() {
        // (x - 1)^2 + 1e-3 and (x - 1)^2 - 1e-3
        assert!(positive_until([1.001, -2.0, 1.0], 2.0));
        assert!(!positive_until([0.999, -2.0, 1.0], 2.0));
        assert!(!positive_until([1.0, -2.0, 1.0], 3.0));
    }

    #[test]
    fn what_is_not_finite_is_not_positive() {
        assert!(!positive_until([1.0, f64::NAN], 1.0));
        assert!(!positive_until([1.0, f64::INFINITY], 1.0));
        assert!(!positive_until([1.0, 1.0], f64::NAN));
        assert!(!positive_until([0.0, 1.0], 1.0));
    }

    proptest! {
        /// Against dense sampling, which may miss a shallow dip but never calls a positive polynomial negative.
        #[test]
        fn sampling_agrees(c in prop::array::uniform5(-2.0..2.0f64), end in 0.01..3.0f64) {
            let c = [1.0, c[0], c[1], c[2], c[3], c[4]];
            let at = |x: f64| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
            let lowest = (0..=2000).map(|i| at(end * f64::from(i) / 2000.0)).fold(f64::INFINITY, f64::min);
            // the polynomial moves by less than this between samples
            let slope: f64 = (1..6).map(|i| f64::from(i) * c[i as usize].abs() * end.powi(i - 1)).sum();
            let slack = 1e-9 + end / 2000.0 * slope;
            if lowest > slack {
                prop_assert!(positive_until(c, end));
            }
            if lowest < 0.0 {
                prop_assert!(!positive_until(c, end));
            }
        }
    }
}
