//! Batches in, the mean gradients of their parts out: the scenes of each are shared out over worker threads, each with its own
//! copy of the weights' leaves.

use anyhow::Result;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use vantage_model::{Encoders, ModelConfig, Network, SpecialTokens};

use super::loss::losses;
use crate::dataset::Batch;
use crate::run::{Learning, Pools};

/// Names of the loss parts, in the order of [`Workers::gradients`].
pub const PART_NAMES: [&str; 9] =
    ["total", "text", "point_class", "pointing", "mask", "box", "overlap", "contrast", "naming"];

/// Mean losses, in the order of [`PART_NAMES`].
pub type Values = [f32; PART_NAMES.len()];

/// The worker threads.
pub struct Workers {
    pools: Pools,
    learning: Learning,
    encoders: Encoders,
}

impl Workers {
    /// `count` workers, at least one, for networks of which `learning` tells what learns, and that read what `encoders` give.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(count: usize, learning: Learning, encoders: Encoders) -> Result<Self> {
        Ok(Self { pools: Pools::new(count)?, learning, encoders })
    }

    /// Sums of the gradients of all parts of `batches`, how many parts there were, and the mean losses.
    ///
    /// # Errors
    /// When a worker's thread ended before its part was done.
    pub fn gradients(
        &self,
        network: &Network,
        config: &ModelConfig,
        special: &SpecialTokens,
        batches: &[Batch],
        device: &Device,
    ) -> Result<(GradientsParams, usize, Values)> {
        let mut accumulator = GradientsAccumulator::new();
        let (mut parts, mut mean) = (0, Values::default());
        for batch in batches {
            let results = self.pools.share(&batch.split(self.pools.count()), &|_, part| {
                let own = network.clone().fork(device);
                let losses = losses(&own, config, special, part, self.learning, self.encoders, device);
                let values = losses.values();
                (GradientsParams::from_grads(losses.total.backward(), &own), values)
            })?;
            for (grads, values) in results {
                accumulator.accumulate(network, grads);
                parts += 1;
                add(&mut mean, &values);
            }
        }
        Ok((accumulator.grads(), parts, mean.map(|sum| sum / parts.max(1) as f32)))
    }

    /// The mean losses of `batches`. `network` is without gradients.
    ///
    /// # Errors
    /// When a worker's thread ended before its part was done.
    pub fn values(
        &self,
        network: &Network,
        config: &ModelConfig,
        special: &SpecialTokens,
        batches: &[Batch],
        device: &Device,
    ) -> Result<Values> {
        let all = self.pools.share(batches, &|_, batch| {
            losses(network, config, special, batch, self.learning, self.encoders, device).values()
        })?;
        let mut mean = Values::default();
        all.iter().for_each(|values| add(&mut mean, values));
        Ok(mean.map(|sum| sum / all.len().max(1) as f32))
    }
}

fn add(sums: &mut Values, values: &Values) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
