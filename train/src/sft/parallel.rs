//! A batch in, the mean gradients of its parts out: the scenes of a batch are shared out over worker threads, each with its
//! own copy of the weights' leaves, because most operations of the CPU backend run on one core.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};
use vantage_model::{ModelConfig, Network, SpecialTokens};

use super::loss::losses;
use crate::dataset::Batch;

/// Names of the loss parts, in the order of [`Workers::gradients`].
pub const PART_NAMES: [&str; 9] =
    ["total", "text", "point_class", "pointing", "mask", "box", "overlap", "contrast", "naming"];

/// One single-threaded pool a worker.
pub struct Workers {
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// `count` workers, at least one.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(count: usize) -> Result<Self> {
        let pools = (0..count.max(1))
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build().context("starting a worker thread"))
            .collect::<Result<_>>()?;
        Ok(Self { pools })
    }

    /// Sums of the parts' gradients, how many parts there were, and the mean losses in the order of [`PART_NAMES`].
    ///
    /// # Errors
    /// When a worker's thread ended before its part was done.
    pub fn gradients(
        &self,
        network: &Network,
        config: &ModelConfig,
        special: &SpecialTokens,
        batch: &Batch,
        device: &Device,
    ) -> Result<(GradientsParams, usize, [f32; PART_NAMES.len()])> {
        let parts = batch.split(self.pools.len());
        let results: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = parts
                .iter()
                .zip(&self.pools)
                .map(|(part, pool)| {
                    let own = network.clone().fork(device);
                    scope.spawn(move || {
                        pool.install(|| {
                            let l = losses(&own, config, special, part, device);
                            let values = [
                                &l.total,
                                &l.text,
                                &l.point_class,
                                &l.pointing,
                                &l.mask,
                                &l.boxes,
                                &l.overlap,
                                &l.contrast,
                                &l.naming,
                            ]
                            .map(|t| t.clone().into_scalar::<f32>());
                            (GradientsParams::from_grads(l.total.backward(), &own), values)
                        })
                    })
                })
                .collect();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut accumulator = GradientsAccumulator::new();
        let mut mean = [0.0; PART_NAMES.len()];
        let count = results.len();
        for result in results {
            let (grads, values) = result.map_err(|_| anyhow::anyhow!("a training worker ended early"))?;
            accumulator.accumulate(network, grads);
            for (m, v) in mean.iter_mut().zip(values) {
                *m += v / count as f32;
            }
        }
        Ok((accumulator.grads(), count, mean))
    }
}
