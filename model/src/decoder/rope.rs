//! Token positions in, rotated queries and keys out: rotary position embedding in the half-split layout of Qwen2
//! (RoFormer, arXiv 2104.09864; channel `i` is paired with channel `i + head_width / 2`), and its multimodal form (M-RoPE,
//! Qwen2-VL, arXiv 2409.12191), where a token has a time, a row and a column and each turns a section of the channels.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

/// Time, row and column of a token. All three are equal for text.
pub type Position3 = [u32; 3];

/// Cosines and sines for a run of tokens: `[rows * tokens, head_width / 2]` each.
#[derive(Debug, Clone)]
pub struct RotaryTable {
    cos: Tensor<2>,
    sin: Tensor<2>,
    /// Batch rows that have positions of their own; 1 where all share them.
    rows: usize,
}

impl RotaryTable {
    /// Angles `position * theta^(-2 i / head_width)` for each of `positions`.
    pub fn new(positions: &[usize], head_width: usize, theta: f64, device: &Device) -> Self {
        Self::by_row(positions, 1, head_width, theta, device)
    }

    /// As [`Self::new`], but each of the batch's `rows` has its own positions: those of the first row, then those of the next.
    pub fn by_row(positions: &[usize], rows: usize, head_width: usize, theta: f64, device: &Device) -> Self {
        let all = positions.iter().map(|&p| [p as u32; 3]);
        Self { rows, ..Self::of_rows(all, [head_width / 2, 0, 0], head_width, theta, device) }
    }

    /// M-RoPE: of the `head_width / 2` angles the first `sections[0]` turn with time, the next with the row, the last with the column.
    pub fn multimodal(
        positions: &[Position3],
        sections: [usize; 3],
        head_width: usize,
        theta: f64,
        device: &Device,
    ) -> Self {
        Self::of_rows(positions.iter().copied(), sections, head_width, theta, device)
    }

    /// In 32 bits, as the reference computes them: at large positions the rounding of the frequency shows.
    fn of_rows(
        positions: impl ExactSizeIterator<Item = Position3>,
        sections: [usize; 3],
        head_width: usize,
        theta: f64,
        device: &Device,
    ) -> Self {
        let half = head_width / 2;
        let tokens = positions.len();
        let frequencies: Vec<(f32, usize)> = (0..half)
            .map(|i| {
                let exponent = (2 * i) as f32 / head_width as f32;
                let section = match i {
                    _ if i < sections[0] => 0,
                    _ if i < sections[0] + sections[1] => 1,
                    _ => 2,
                };
                (1.0 / (theta as f32).powf(exponent), section)
            })
            .collect();
        let mut cos = Vec::with_capacity(tokens * half);
        let mut sin = Vec::with_capacity(tokens * half);
        for position in positions {
            for &(frequency, section) in &frequencies {
                let (s, c) = (position[section] as f32 * frequency).sin_cos();
                cos.push(c);
                sin.push(s);
            }
        }
        let shape = [tokens, half];
        Self {
            cos: Tensor::from_data(TensorData::new(cos, shape), device),
            sin: Tensor::from_data(TensorData::new(sin, shape), device),
            rows: 1,
        }
    }

    /// In another number type, that of the activations.
    #[must_use]
    pub fn cast(self, dtype: impl Into<FloatDType>) -> Self {
        let dtype = dtype.into();
        Self { cos: self.cos.cast(dtype), sin: self.sin.cast(dtype), ..self }
    }

    /// Rotates `x`: `[batch, heads, tokens, head_width]` by each token's angles.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, tokens, head_width] = x.dims();
        let half = head_width / 2;
        let cos = self.cos.clone().reshape([self.rows, 1, tokens, half]);
        let sin = self.sin.clone().reshape([self.rows, 1, tokens, half]);
        let a = x.clone().narrow(3, 0, half);
        let b = x.narrow(3, half, half);
        let rotated_a = a.clone() * cos.clone() - b.clone() * sin.clone();
        let rotated_b = b * cos + a * sin;
        Tensor::cat(vec![rotated_a, rotated_b], 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &Tensor<4>, b: &Tensor<4>) -> f32 {
        (a.clone() * b.clone()).sum().into_scalar()
    }

    fn random(heads: usize, width: usize) -> Tensor<4> {
        Tensor::random([1, heads, 1, width], burn::tensor::Distribution::Default, &Device::flex())
    }

    #[test]
    fn scores_depend_on_the_distance_alone() {
        let device = Device::flex();
        let (q, k) = (random(1, 16), random(1, 16));
        let at = |x: &Tensor<4>, p: usize| RotaryTable::new(&[p], 16, 10_000.0, &device).rotate(x.clone());
        let near = dot(&at(&q, 7), &at(&k, 3));
        let far = dot(&at(&q, 107), &at(&k, 103));
        assert!((near - far).abs() < 1e-4, "{near} against {far}");
        assert!((dot(&at(&q, 7), &at(&k, 5)) - near).abs() > 1e-6);
    }

    #[test]
    fn position_zero_changes_nothing() {
        let device = Device::flex();
        let q = random(2, 8);
        let rotated = RotaryTable::new(&[0], 8, 10_000.0, &device).rotate(q.clone());
        assert!(dot(&(rotated.clone() - q.clone()), &(rotated - q)) < 1e-12);
    }

    #[test]
    fn each_section_turns_with_its_own_coordinate() {
        let device = Device::flex();
        let x = random(1, 16);
        let turned = |p: Position3| -> Vec<f32> {
            let table = RotaryTable::multimodal(&[p], [2, 3, 3], 16, 10_000.0, &device);
            table.rotate(x.clone()).into_data().iter::<f32>().collect()
        };
        let base = turned([5, 5, 5]);
        let plain = RotaryTable::new(&[5], 16, 10_000.0, &device).rotate(x.clone());
        assert_eq!(base, plain.into_data().iter::<f32>().collect::<Vec<_>>());
        for (coordinate, section) in [(0, 0..2), (1, 2..5), (2, 5..8)] {
            let mut p = [5; 3];
            p[coordinate] = 9;
            for (i, (a, b)) in base.iter().zip(turned(p)).enumerate() {
                assert_eq!(section.contains(&(i % 8)), (a - b).abs() > 1e-6, "coordinate {coordinate}, channel {i}");
            }
        }
    }
}
