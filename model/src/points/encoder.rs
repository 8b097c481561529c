//! `[points, 9]` and a plan in, fine and coarse point features out: a small Point Transformer v3 U-Net.
//!
//! Differences from Pointcept's code, all stated: LayerNorm where it has BatchNorm (batches are a few scenes), a linear stem
//! (the first block's convolution does the mixing), no blocks in the decoder, a fixed instead of a shuffled order of curves.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

use super::attention::{PointBlock, index};
use super::config::PointEncoderConfig;
use super::plan::{CHILDREN, PointPlan};

/// A linear map with norm and activation.
#[derive(Module, Debug)]
struct Step {
    linear: Linear,
    norm: LayerNorm,
}

impl Step {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        Self { linear: LinearConfig::new(from, to).init(device), norm: LayerNormConfig::new(to).init(device) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        gelu(self.norm.forward(self.linear.forward(x)))
    }
}

/// Blocks of one resolution.
#[derive(Module, Debug)]
struct Blocks {
    blocks: Vec<PointBlock>,
}

/// Pooling into the next, coarser resolution.
#[derive(Module, Debug)]
struct Pool {
    linear: Linear,
    norm: LayerNorm,
}

/// Back to a finer resolution: the coarse features, spread to their points, beside the skipped ones.
#[derive(Module, Debug)]
struct Unpool {
    coarse: Step,
    skip: Step,
}

/// The point encoder.
#[derive(Module, Debug)]
pub struct PointEncoder {
    stem: Step,
    stages: Vec<Blocks>,
    pools: Vec<Pool>,
    unpools: Vec<Unpool>,
}

/// What the point encoder gives.
#[derive(Debug, Clone)]
pub struct PointFeatures {
    /// `[points, channels[0]]`: the finest stage, after the decoder.
    pub fine: Tensor<2>,
    /// `[coarse points, channels[last]]`: the coarsest stage.
    pub coarse: Tensor<2>,
}

impl PointEncoderConfig {
    /// Random initial weights on `device`.
    pub fn init(&self, device: &Device) -> PointEncoder {
        let c = &self.channels;
        let pairs = || c.iter().zip(c.iter().skip(1));
        PointEncoder {
            stem: Step::new(self.in_channels, self.fine_channels(), device),
            stages: (0..c.len())
                .map(|s| Blocks {
                    blocks: (0..self.depths[s]).map(|_| PointBlock::new(c[s], self.heads[s], self.mlp_ratio, device)).collect(),
                })
                .collect(),
            pools: pairs()
                .map(|(&fine, &coarse)| Pool {
                    linear: LinearConfig::new(fine, coarse).init(device),
                    norm: LayerNormConfig::new(coarse).init(device),
                })
                .collect(),
            unpools: pairs()
                .map(|(&fine, &coarse)| Unpool { coarse: Step::new(coarse, fine, device), skip: Step::new(fine, fine, device) })
                .collect(),
        }
    }
}

impl PointEncoder {
    /// `features`: `[points, in_channels]`, the scenes of `plan` one after another.
    pub fn forward(&self, features: Tensor<2>, plan: &PointPlan) -> PointFeatures {
        let device = features.device();
        let mut x = self.stem.forward(features);
        let mut skips = Vec::with_capacity(self.stages.len());
        for (s, (blocks, stage)) in self.stages.iter().zip(&plan.stages).enumerate() {
            let neighbours = index(&stage.neighbours, &device);
            for (block, patches) in blocks.blocks.iter().zip(&stage.patches) {
                x = block.forward(x, &neighbours, patches);
            }
            skips.push(x.clone());
            if let Some(pool) = self.pools.get(s) {
                let y = pool.linear.forward(x);
                let channels = y.dims()[1];
                let coarse = stage.children.len() / CHILDREN;
                let y = y.select(0, index(&stage.children, &device)).reshape([coarse, CHILDREN, channels]);
                x = gelu(pool.norm.forward(y.max_dim(1).reshape([coarse, channels])));
            }
        }
        let coarse = x.clone();
        for (s, unpool) in self.unpools.iter().enumerate().rev() {
            let spread = unpool.coarse.forward(x).select(0, index(&plan.stages[s].parent, &device));
            x = spread + unpool.skip.forward(skips[s].clone());
        }
        PointFeatures { fine: x, coarse }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::PointSample;
    use super::*;
    use burn::tensor::TensorData;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn tiny() -> PointEncoderConfig {
        PointEncoderConfig {
            in_channels: 9,
            channels: vec![8, 16],
            depths: vec![1, 2],
            heads: vec![2, 4],
            patch_size: 16,
            mlp_ratio: 2,
        }
    }

    fn cloud(seed: u64, count: usize) -> PointSample {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let positions: Vec<[f32; 3]> = (0..count).map(|_| std::array::from_fn(|_| rng.random::<f32>() * 2.0)).collect();
        let features = positions.iter().map(|p| [p[0], p[1], p[2], 0.1, 0.2, 0.3, 0.0, 0.0, 1.0]).collect();
        PointSample { positions, features, grid_m: 0.07 }
    }

    fn run(encoder: &PointEncoder, samples: &[&PointSample]) -> (Vec<f32>, Vec<f32>) {
        let plan = PointPlan::new(samples, &tiny());
        let flat: Vec<f32> = samples.iter().flat_map(|s| s.features.iter().flatten().copied()).collect();
        let rows = flat.len() / 9;
        let x = Tensor::<2>::from_data(TensorData::new(flat, [rows, 9]), &Device::flex());
        let out = encoder.forward(x, &plan);
        (out.fine.into_data().iter::<f32>().collect(), out.coarse.into_data().iter::<f32>().collect())
    }

    #[test]
    fn scenes_of_a_batch_do_not_mix() {
        let encoder = tiny().init(&Device::flex());
        let (a, b, c) = (cloud(1, 150), cloud(2, 90), cloud(3, 7));
        let (alone, _) = run(&encoder, &[&a]);
        let (with_b, _) = run(&encoder, &[&a, &b]);
        let (with_c, _) = run(&encoder, &[&c, &a]);
        let close = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(p, q)| (p - q).abs() < 1e-4);
        assert!(close(&alone, &with_b[..150 * 8]));
        assert!(close(&alone, &with_c[7 * 8..]));
        assert!(with_b.iter().all(|x| x.is_finite()) && with_c.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn the_order_of_the_points_does_not_matter() {
        let encoder = tiny().init(&Device::flex());
        // one point a voxel, so that the order decides nothing
        let mut sample = cloud(4, 0);
        for i in 0..120u32 {
            let p = [(i % 5) as f32 * 0.07 + 0.03, (i / 5 % 6) as f32 * 0.07 + 0.03, (i / 30) as f32 * 0.07 + 0.03];
            sample.positions.push(p);
            sample.features.push([p[0], p[1], p[2], 0.5, 0.0, -0.5, 0.0, 1.0, 0.0]);
        }
        let mut reversed = sample.clone();
        reversed.positions.reverse();
        reversed.features.reverse();
        let (x, _) = run(&encoder, &[&sample]);
        let (y, _) = run(&encoder, &[&reversed]);
        for i in 0..120 {
            for c in 0..8 {
                assert!((x[i * 8 + c] - y[(119 - i) * 8 + c]).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn the_convolution_is_the_sum_over_the_neighbours() {
        let device = Device::flex();
        let linear = LinearConfig::new(27 * 2, 3).init(&device);
        // two points one step apart along x and one far away
        let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [0.0, 0.0]], &device);
        let mut neighbours = vec![3; 3 * 27];
        for i in 0..3 {
            neighbours[i * 27 + 13] = i as i32;
        }
        neighbours[9 + 13] = 1; // n / 9 = 2: one step up in x from point 0
        neighbours[27 + 13 - 9] = 0;
        let gathered = x.clone().select(0, index(&neighbours, &device)).reshape([3, 54]);
        let got: Vec<f32> = linear.forward(gathered).into_data().iter::<f32>().collect();
        let weight: Vec<f32> = linear.weight.val().into_data().iter::<f32>().collect();
        let bias: Vec<f32> = linear.bias.as_ref().unwrap().val().into_data().iter::<f32>().collect();
        let w = |offset: usize, c: usize, o: usize| weight[(offset * 2 + c) * 3 + o];
        for o in 0..3 {
            let expected = bias[o] + w(13, 0, o) + 2.0 * w(13, 1, o) + 3.0 * w(22, 0, o) + 4.0 * w(22, 1, o);
            assert!((got[o] - expected).abs() < 1e-4);
        }
    }
}
