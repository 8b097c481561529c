//! Samples around a maximum in, its place between the samples, and how sure it is, out.

/// Place of the vertex of the parabola through three points `[x, y]` with x ascending; the middle one's x when they do not
/// bend downwards. The answer lies between the outer two.
pub(crate) fn vertex(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    let (left, right) = (b[0] - a[0], c[0] - b[0]);
    let (rise, fall) = (b[1] - a[1], c[1] - b[1]);
    // Newton's divided differences: the slope of the parabola is zero at the vertex
    let bend = (fall / right - rise / left) / (left + right);
    let slope = rise / left + bend * left;
    let x = b[0] - slope / (2.0 * bend);
    if bend < 0.0 && x.is_finite() { x.clamp(a[0], c[0]) } else { b[0] }
}

/// Index of the largest value, of equals the first; NaN is never the largest. `None` when there is none.
pub(crate) fn largest(values: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        if best.is_none_or(|b| *value > values[b]) {
            best = Some(i);
        }
    }
    best
}

/// Standard error of an estimate from those that each leave out one of `n` groups of the data (the jackknife; Efron 1982):
/// `sqrt((n - 1) / n * sum (x_i - mean)^2)`. NaN for fewer than two.
pub(crate) fn jackknife_error(left_out: &[f64]) -> f64 {
    let n = left_out.len() as f64;
    let mean = left_out.iter().sum::<f64>() / n;
    let spread: f64 = left_out.iter().map(|x| (x - mean).powi(2)).sum();
    if left_out.len() < 2 { f64::NAN } else { ((n - 1.0) / n * spread).sqrt() }
}

/// The middle value, of an even number the upper; NaN for none. Reorders `values`.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { f64::NAN } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_vertex_of_a_parabola_is_found(x0 in -0.9..0.9f64, bend in 0.1..5.0f64, left in 1.0..2.0f64, right in 1.0..2.0f64) {
            let y = |x: f64| 3.0 - bend * (x - x0).powi(2);
            let found = vertex([-left, y(-left)], [0.0, y(0.0)], [right, y(right)]);
            prop_assert!((found - x0).abs() < 1e-9);
        }

        #[test]
        fn the_jackknife_of_a_mean_is_its_standard_error(values in prop::collection::vec(-5.0..5.0f64, 3..30)) {
            let n = values.len() as f64;
            let sum: f64 = values.iter().sum();
            let left_out: Vec<f64> = values.iter().map(|x| (sum - x) / (n - 1.0)).collect();
            let mean = sum / n;
            let textbook = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
            prop_assert!((jackknife_error(&left_out) - textbook).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_no_peak_stays_where_it_is() {
        assert_eq!(vertex([-1.0, 1.0], [0.0, 1.0], [1.0, 1.0]), 0.0);
        assert_eq!(vertex([-1.0, 2.0], [0.0, 1.0], [1.0, 2.0]), 0.0);
        assert_eq!(vertex([-1.0, f64::NAN], [0.0, 1.0], [1.0, 2.0]), 0.0);
        assert_eq!(largest(&[f64::NAN, 1.0, 3.0, 3.0]), Some(2));
        assert_eq!(largest(&[f64::NAN]), None);
        assert!(median(&mut []).is_nan() && jackknife_error(&[1.0]).is_nan());
    }
}
