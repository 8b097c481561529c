//! Angles in, rotated queries and keys out: rotary position embedding in the half-split layout (RoFormer,
//! arXiv 2104.09864; channel `i` is paired with channel `i + head_width / 2`), turned in f32.

use burn::tensor::{DType, Tensor};

/// The rotation of each token, the same for every head.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotary {
    /// `angles`: `[tokens, head_width / 2]` in radians, f32.
    pub fn new(angles: Tensor<2>) -> Self {
        let [tokens, half] = angles.dims();
        let angles = angles.cast(DType::F32).reshape([1, 1, tokens, half]);
        Self { cos: angles.clone().cos(), sin: angles.sin() }
    }

    /// `x`: `[batch, heads, tokens, head_width]`; every batch element has the same positions.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let dtype = x.dtype();
        let half = x.dims()[3] / 2;
        let x = x.cast(DType::F32);
        let (low, high) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let turned_low = low.clone() * self.cos.clone() - high.clone() * self.sin.clone();
        let turned_high = high * self.cos.clone() + low * self.sin.clone();
        Tensor::cat(vec![turned_low, turned_high], 3).cast(dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn products_depend_on_the_difference_of_angles_only() {
        let device = Device::flex();
        let at = |angle: f32| Rotary::new(Tensor::from_floats([[angle, 0.5 * angle]], &device));
        let q = Tensor::<4>::random([1, 1, 1, 4], Distribution::Uniform(-1.0, 1.0), &device);
        let k = Tensor::<4>::random([1, 1, 1, 4], Distribution::Uniform(-1.0, 1.0), &device);
        let score = |a: f32, b: f32| (at(a).rotate(q.clone()) * at(b).rotate(k.clone())).sum().into_scalar::<f32>();
        assert!((score(0.3, 1.1) - score(2.3, 3.1)).abs() < 1e-5);
        assert!((score(0.3, 1.1) - score(0.3, 2.1)).abs() > 1e-4, "the angle has no effect");
    }

    #[test]
    fn a_quarter_turn_moves_the_low_half_to_the_high_half() {
        let device = Device::flex();
        let quarter = Rotary::new(Tensor::from_floats([[std::f32::consts::FRAC_PI_2; 2]], &device));
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &device).reshape([1, 1, 1, 4]);
        let turned = quarter.rotate(x).into_data().try_to_vec::<f32>().unwrap();
        for (given, expected) in turned.into_iter().zip([-3.0, -4.0, 1.0, 2.0]) {
            assert!((given - expected).abs() < 1e-6);
        }
    }
}
