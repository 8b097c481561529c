//! Gradients in, the same gradients with a bounded global norm out (Burn clips each tensor on its own).

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Turns the sum of `parts` gradients into their mean and scales it so that its joint L2 norm is at most `limit`. Returns the
/// mean's norm before that, NaN if any gradient is.
pub fn mean_and_clip<M: Module>(module: &M, grads: &mut GradientsParams, parts: usize, limit: f32) -> f32 {
    let mut squares = Squares { grads, sum: 0.0 };
    module.visit(&mut squares);
    let norm = squares.sum.sqrt() as f32 / parts as f32;
    let factor = (limit / norm).min(1.0) / parts as f32;
    scale(module, grads, factor);
    norm
}

/// Multiplies all gradients by `factor`.
pub fn scale<M: Module>(module: &M, grads: &mut GradientsParams, factor: f32) {
    module.visit(&mut Scale { grads, factor });
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let sum: f32 = grad.square().sum().into_scalar();
            self.sum += f64::from(sum);
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad.mul_scalar(self.factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn the_joint_norm_becomes_the_limit() {
        let device = Device::flex().autodiff();
        let linear = LinearConfig::new(3, 2).init(&device);
        let x = Tensor::<2>::from_floats([[1.0, 2.0, 3.0]], &device);
        let loss = linear.forward(x).sum().mul_scalar(10.0);
        let mut grads = GradientsParams::from_grads(loss.backward(), &linear);
        // d/dW = 10 x for both outputs, d/db = 10: norm = 10 sqrt(2 (1 + 4 + 9) + 2)
        let before = mean_and_clip(&linear, &mut grads, 1, 1.0);
        assert!((before - 10.0 * 30.0f32.sqrt()).abs() < 1e-3, "{before}");
        let after = mean_and_clip(&linear, &mut grads, 1, 2.0);
        assert!((after - 1.0).abs() < 1e-5, "{after}");
    }
}
