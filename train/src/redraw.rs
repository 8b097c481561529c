//! For tests: a network in, the same with weights from a generator of its own out. Burn's generator is shared by all tests that run
//! side by side, so that what a network begins with would depend on which of them ran when.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws parameters anew, but those that are all one number: within the inverse root of their rows, vectors within 0.1.
pub(crate) struct Redraw(ChaCha8Rng);

impl Redraw {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
}

impl ModuleMapper for Redraw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let dims = value.dims();
        let numbers: Vec<f32> = value.clone().into_data().iter::<f32>().collect();
        let value = if numbers.iter().all(|x| *x == numbers[0]) {
            value
        } else {
            let most = if D == 1 { 0.1 } else { (dims[0] as f32).sqrt().recip() };
            let drawn: Vec<f32> = numbers.iter().map(|_| self.0.random_range(-most..most)).collect();
            Tensor::<D>::from_data(TensorData::new(drawn, dims), &value.device())
        };
        Param::from_mapped_value(id, value, mapper).set_require_grad(true)
    }
}
