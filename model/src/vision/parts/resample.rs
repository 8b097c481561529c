//! A length and a wished length in, the weights of the samples that each new sample mixes out: the resampling of
//! position grids and pictures, one axis after the other (all filters here are separable).

use burn::tensor::{DType, Tensor, TensorData};

/// How samples between samples are computed. Sample centres lie at half integers (`align_corners=False`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Triangle, widened when shrinking: bilinear with antialiasing, as in PIL and torch's `antialias=True`.
    TriangleAntialias,
    /// Keys' cubic with a = -0.5, widened when shrinking: bicubic with antialiasing, as in PIL and torch.
    CubicAntialias,
    /// Keys' cubic with a = -0.75, never widened, borders repeated: torch's plain bicubic.
    Cubic,
}

/// The weights of one axis: output sample `i` is the sum of `weights[i][k] * input[first[i] + k]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    input: usize,
    taps: Vec<(usize, Vec<f64>)>,
}

impl Axis {
    /// The weights from `input` samples to `output` samples; `None` when one of them is 0.
    pub fn new(input: usize, output: usize, filter: Filter) -> Option<Self> {
        if input == 0 || output == 0 {
            return None;
        }
        let scale = input as f64 / output as f64;
        let taps = (0..output).map(|i| {
            let center = (i as f64 + 0.5) * scale;
            match filter {
                Filter::TriangleAntialias => widened(input, center, scale, 1.0, |x| 1.0 - x.abs()),
                Filter::CubicAntialias => widened(input, center, scale, 2.0, |x| keys_cubic(x, -0.5)),
                Filter::Cubic => bordered_cubic(input, center),
            }
        });
        Some(Self { input, taps: taps.collect() })
    }

    /// Input samples.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Output samples.
    pub fn output(&self) -> usize {
        self.taps.len()
    }

    /// For each output sample, the first input sample that it reads and the weights from there on.
    pub fn taps(&self) -> impl ExactSizeIterator<Item = (usize, &[f64])> {
        self.taps.iter().map(|(first, weights)| (*first, weights.as_slice()))
    }

    /// The weights as a row-major `[output, input]` matrix.
    fn matrix(&self) -> Vec<f32> {
        let mut matrix = vec![0.0; self.output() * self.input];
        for (row, (first, weights)) in matrix.chunks_exact_mut(self.input).zip(self.taps()) {
            for (cell, &weight) in row[first..].iter_mut().zip(weights) {
                *cell = weight as f32;
            }
        }
        matrix
    }
}

/// Keys' cubic convolution kernel (IEEE ASSP 29(6), 1981) with parameter `a`.
fn keys_cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

/// A kernel of `radius`, widened by `scale` when that shrinks, over the samples within it, normalised to a sum of 1.
/// The range of samples is that of PIL's and torch's antialiasing.
fn widened(input: usize, center: f64, scale: f64, radius: f64, kernel: impl Fn(f64) -> f64) -> (usize, Vec<f64>) {
    let stretch = scale.max(1.0);
    let first = (center - radius * stretch + 0.5).max(0.0) as usize;
    let end = ((center + radius * stretch + 0.5) as usize).clamp(1, input);
    let first = first.min(end - 1);
    let mut weights: Vec<f64> = (first..end)
        .map(|j| kernel((j as f64 + 0.5 - center) / stretch))
        .map(|w| if w.is_finite() { w } else { 0.0 })
        .collect();
    let sum: f64 = weights.iter().sum();
    if sum != 0.0 {
        weights.iter_mut().for_each(|w| *w /= sum);
    }
    (first, weights)
}

/// The four taps of torch's bicubic around `center`, those beyond the border folded onto it.
fn bordered_cubic(input: usize, center: f64) -> (usize, Vec<f64>) {
    let position = center - 0.5;
    let base = position.floor();
    let clamp = |offset: f64| (base + offset).clamp(0.0, (input - 1) as f64) as usize;
    let (first, last) = (clamp(-1.0), clamp(2.0));
    let mut weights = vec![0.0; last - first + 1];
    for offset in [-1.0, 0.0, 1.0, 2.0] {
        weights[clamp(offset) - first] += keys_cubic(position - base - offset, -0.75);
    }
    (first, weights)
}

/// Resizes a learned grid `[rows, columns, width]` with the weights of its two axes. Computed in 32 bits, returned in
/// the grid's type as `[new rows * new columns, width]`.
pub fn resize_grid(grid: Tensor<3>, rows: &Axis, columns: &Axis) -> Tensor<2> {
    let [_, old_columns, width] = grid.dims();
    let (dtype, device) = (grid.dtype(), grid.device());
    let matrix =
        |axis: &Axis| Tensor::<2>::from_data(TensorData::new(axis.matrix(), [axis.output(), axis.input()]), &device);
    let grid = grid.cast(DType::F32).reshape([rows.input(), old_columns * width]);
    let tall = matrix(rows).matmul(grid).reshape([rows.output(), old_columns, width]);
    let wide = matrix(columns).unsqueeze::<3>().expand([rows.output(), columns.output(), columns.input()]).matmul(tall);
    wide.reshape([rows.output() * columns.output(), width]).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};
    use proptest::prelude::*;

    const FILTERS: [Filter; 3] = [Filter::TriangleAntialias, Filter::CubicAntialias, Filter::Cubic];

    fn apply(axis: &Axis, input: &[f64]) -> Vec<f64> {
        axis.taps().map(|(first, weights)| input[first..].iter().zip(weights).map(|(x, w)| x * w).sum()).collect()
    }

    fn assert_close(given: &[f64], expected: &[f64]) {
        assert_eq!(given.len(), expected.len());
        for (a, b) in given.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{given:?} against {expected:?}");
        }
    }

    #[test]
    fn enlarging_equals_values_by_hand() {
        // centres of 4 new samples in units of 2 old ones: 0.25, 0.75, 1.25, 1.75; a quarter or three between neighbours
        let twice = Axis::new(2, 4, Filter::TriangleAntialias).unwrap();
        assert_close(&apply(&twice, &[0.0, 1.0]), &[0.0, 0.25, 0.75, 1.0]);
        // torch 2.15: interpolate(.., mode="bicubic"), exact in binary
        let cubic = Axis::new(4, 8, Filter::Cubic).unwrap();
        let step = [0.0, -0.035_156_25, -0.105_468_75, 0.226_562_5, 0.773_437_5, 1.105_468_75, 1.035_156_25, 1.0];
        assert_close(&apply(&cubic, &[0.0, 0.0, 1.0, 1.0]), &step);
    }

    #[test]
    fn shrinking_averages() {
        // a triangle of radius 2 around 1 and 3, cut at the borders: samples at 0.5, 1.5, 2.5 weigh 3 : 3 : 1
        let half = Axis::new(4, 2, Filter::TriangleAntialias).unwrap();
        assert_close(&apply(&half, &[7.0, 14.0, 21.0, 28.0]), &[12.0, 23.0]);
        // torch 2.15: interpolate(.., mode="bicubic", antialias=True), in 64 bits
        let cubic = Axis::new(4, 3, Filter::CubicAntialias).unwrap();
        let expected = [8.329_519_450_800_914, 17.5, 26.670_480_549_199_084];
        assert_close(&apply(&cubic, &[7.0, 14.0, 21.0, 28.0]), &expected);
    }

    #[test]
    fn empty_axes_are_none() {
        for filter in FILTERS {
            assert!(Axis::new(0, 3, filter).is_none() && Axis::new(3, 0, filter).is_none());
        }
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_stay_inside(input in 1usize..70, output in 1usize..70, filter in prop::sample::select(&FILTERS[..])) {
            let axis = Axis::new(input, output, filter).unwrap();
            prop_assert_eq!((axis.input(), axis.output()), (input, output));
            for (first, weights) in axis.taps() {
                prop_assert!(first + weights.len() <= input && !weights.is_empty());
                prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }

        #[test]
        fn one_size_is_the_identity(size in 1usize..40, filter in prop::sample::select(&FILTERS[..])) {
            let input: Vec<f64> = (0..size).map(|i| ((i * 37) % 11) as f64).collect();
            let output = apply(&Axis::new(size, size, filter).unwrap(), &input);
            for (a, b) in input.iter().zip(output) {
                prop_assert!((a - b).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_grid_is_resized_along_rows_and_columns() {
        let device = Device::flex();
        let grid = Tensor::<3>::random([3, 4, 5], Distribution::Normal(0.0, 1.0), &device);
        let axis = |from, to| Axis::new(from, to, Filter::Cubic).unwrap();
        let (rows, columns) = (axis(3, 5), axis(4, 2));
        let values: Vec<f64> = grid.clone().into_data().iter::<f64>().collect();
        let given: Vec<f64> = resize_grid(grid, &rows, &columns).into_data().iter::<f64>().collect();
        for channel in 0..5 {
            let column = |c: usize| apply(&rows, &[0, 1, 2].map(|r| values[(r * 4 + c) * 5 + channel]));
            let tall: Vec<Vec<f64>> = (0..4).map(column).collect();
            for r in 0..5 {
                let wide = apply(&columns, &[0, 1, 2, 3].map(|c| tall[c][r]));
                for c in 0..2 {
                    assert!((given[(r * 2 + c) * 5 + channel] - wide[c]).abs() < 1e-5);
                }
            }
        }
    }
}
