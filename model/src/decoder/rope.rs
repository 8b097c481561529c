//! Token positions in, rotated queries and keys out: rotary position embedding in the half-split layout of Qwen2
//! (RoFormer, arXiv 2104.09864; channel `i` is paired with channel `i + head_width / 2`).

use burn::tensor::{Device, Tensor, TensorData};

/// Cosines and sines for a run of positions: `[tokens, head_width / 2]` each.
#[derive(Debug, Clone)]
pub struct RotaryTable {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl RotaryTable {
    /// Angles `position * theta^(-2 i / head_width)` for each of `positions`.
    pub fn new(positions: &[usize], head_width: usize, theta: f64, device: &Device) -> Self {
        let half = head_width / 2;
        let mut cos = Vec::with_capacity(positions.len() * half);
        let mut sin = Vec::with_capacity(positions.len() * half);
        for &position in positions {
            for i in 0..half {
                let angle = position as f64 * theta.powf(-((2 * i) as f64) / head_width as f64);
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        let shape = [positions.len(), half];
        Self {
            cos: Tensor::from_data(TensorData::new(cos, shape), device),
            sin: Tensor::from_data(TensorData::new(sin, shape), device),
        }
    }

    /// Rotates `x`: `[batch, heads, tokens, head_width]` by each token's angles.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, tokens, head_width] = x.dims();
        let half = head_width / 2;
        let cos = self.cos.clone().reshape([1, 1, tokens, half]);
        let sin = self.sin.clone().reshape([1, 1, tokens, half]);
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

    #[test]
    fn scores_depend_on_the_distance_alone() {
        let device = Device::flex();
        let q = Tensor::<4>::random([1, 1, 1, 16], burn::tensor::Distribution::Default, &device);
        let k = Tensor::<4>::random([1, 1, 1, 16], burn::tensor::Distribution::Default, &device);
        let at = |x: &Tensor<4>, p: usize| RotaryTable::new(&[p], 16, 10_000.0, &device).rotate(x.clone());
        let near = dot(&at(&q, 7), &at(&k, 3));
        let far = dot(&at(&q, 107), &at(&k, 103));
        assert!((near - far).abs() < 1e-4, "{near} against {far}");
        assert!((dot(&at(&q, 7), &at(&k, 5)) - near).abs() > 1e-6);
    }

    #[test]
    fn position_zero_changes_nothing() {
        let device = Device::flex();
        let q = Tensor::<4>::random([1, 2, 1, 8], burn::tensor::Distribution::Default, &device);
        let rotated = RotaryTable::new(&[0], 8, 10_000.0, &device).rotate(q.clone());
        assert!(dot(&(rotated.clone() - q.clone()), &(rotated - q)) < 1e-12);
    }
}
