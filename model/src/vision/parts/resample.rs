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
