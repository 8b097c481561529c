//! A network in, the same with its parameters numbered in order out.
//!
//! Burn's optimizer keeps its moments by the parameters' ids, which are drawn anew for every network that is made. Only with ids
//! that follow from the network's form do the moments of a checkpoint find their parameters in another process.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

/// Numbers the float parameters of `module`, those of adapters too, from 1.
pub(crate) fn numbered<M: Module>(module: M) -> M {
    module.map(&mut Numbers(0))
}

struct Numbers(u64);

impl ModuleMapper for Numbers {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        let (_, value, mapper) = param.consume();
        Param::from_mapped_value(ParamId::from(self.0), value, mapper)
    }
}
