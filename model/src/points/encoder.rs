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
                    blocks: (0..self.depths[s])
                        .map(|_| PointBlock::new(c[s], self.heads[s], self.mlp_ratio, device))
                        .collect(),
                })
                .collect(),
            pools: pairs()
                .map(|(&fine, &coarse)| Pool {
                    linear: LinearConfig::new(fine, coarse).init(device),
                    norm: LayerNormConfig::new(coarse).init(device),
                })
                .collect(),
            unpools: pairs()
                .map(|(&fine, &coarse)| Unpool {
                    coarse: Step::new(coarse, fine, device),
                    skip: Step::new(fine, fine, device),
                })
                .collect(),
        }
    }
}

impl PointEncoder {
    /// `features`: `[points, in_channels]`, the scenes of `plan` one after another.
    pub fn forward(&self, features: Tensor<2>, plan: &PointPlan) -> PointFeatures {
        let device = features.device();
        if features.dims()[0] == 0 {
            let width = |linear: &Linear| linear.weight.dims()[1];
            let fine = width(&self.stem.linear);
            let coarse = self.pools.last().map_or(fine, |p| width(&p.linear));
            return PointFeatures {
                fine: Tensor::zeros([0, fine], &device),
                coarse: Tensor::zeros([0, coarse], &device),
            };
        }
        let mut x = self.stem.forward(features);
        let mut skips = Vec::with_capacity(self.stages.len());
        for (s, (blocks, stage)) in self.stages.iter().zip(&plan.stages).enumerate() {
            let conv = stage.conv.index(&device);
            for (block, patches) in blocks.blocks.iter().zip(&stage.patches) {
                x = block.forward(x, &conv, patches);
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
    use super::super::sparse_conv::{NEIGHBOURS, sparse_conv};
    use super::*;
    use burn::module::{ModuleVisitor, Param};
    use burn::tensor::{Gradients, TensorData};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::time::Instant;

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
        // some voxels hold several points, and pooling and borrowing happen
        let sample = cloud(4, 1200);
        let reorder = |i: usize| i * 7 % 1200;
        let mixed = PointSample {
            positions: (0..1200).map(|i| sample.positions[reorder(i)]).collect(),
            features: (0..1200).map(|i| sample.features[reorder(i)]).collect(),
            grid_m: sample.grid_m,
        };
        let (x, x_coarse) = run(&encoder, &[&sample]);
        let (y, y_coarse) = run(&encoder, &[&mixed]);
        for i in 0..1200 {
            for c in 0..8 {
                assert!((x[reorder(i) * 8 + c] - y[i * 8 + c]).abs() < 1e-4);
            }
        }
        assert!(x_coarse.iter().zip(&y_coarse).all(|(p, q)| (p - q).abs() < 1e-4));
    }

    #[test]
    fn shapes_follow_the_configuration() {
        let config = PointEncoderConfig::nano();
        let (a, b) = (cloud(5, 300), cloud(6, 40));
        let plan = PointPlan::new(&[&a, &b], &config);
        let out = config.init(&Device::flex()).forward(Tensor::ones([340, 9], &Device::flex()), &plan);
        assert_eq!(out.fine.dims(), [340, config.fine_channels()]);
        assert_eq!(out.coarse.dims(), [plan.coarse_positions().len(), config.coarse_channels()]);
        assert_eq!(plan.coarse_ranges()[1].end, plan.coarse_positions().len());
        let empty = PointSample::default();
        let nothing = PointPlan::new(&[&empty], &config);
        let out = config.init(&Device::flex()).forward(Tensor::zeros([0, 9], &Device::flex()), &nothing);
        assert_eq!((out.fine.dims(), out.coarse.dims()), ([0, config.fine_channels()], [0, config.coarse_channels()]));
    }

    /// Names the parameters without a gradient.
    struct WithoutGradient<'a> {
        gradients: &'a Gradients,
        path: Vec<String>,
        found: Vec<String>,
        seen: usize,
    }

    impl ModuleVisitor for WithoutGradient<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.seen += 1;
            let size = param.val().grad(self.gradients).map_or(0.0, |g| g.abs().max().into_scalar::<f32>());
            if size <= 0.0 || !size.is_finite() {
                self.found.push(self.path.join("."));
            }
        }

        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
    }

    #[test]
    fn a_loss_on_the_fine_features_reaches_every_parameter() {
        let device = Device::flex().autodiff();
        let encoder = tiny().init(&device);
        let sample = cloud(7, 400);
        let plan = PointPlan::new(&[&sample], &tiny());
        let flat: Vec<f32> = sample.features.iter().flatten().copied().collect();
        let out = encoder.forward(Tensor::from_data(TensorData::new(flat, [400, 9]), &device), &plan);
        let gradients = out.fine.powi_scalar(3).mean().backward();
        let mut visitor = WithoutGradient { gradients: &gradients, path: Vec::new(), found: Vec::new(), seen: 0 };
        encoder.visit(&mut visitor);
        assert_eq!((visitor.found, visitor.seen), (Vec::<String>::new(), 4 + 3 * 18 + 4 + 8));
    }

    /// Furniture-like surfaces: the visible sides of random boxes, 3000 voxels.
    fn furniture(seed: u64) -> PointSample {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut voxels = std::collections::BTreeSet::new();
        while voxels.len() < 3000 {
            let at: [u32; 2] = std::array::from_fn(|_| rng.random_range(0..60));
            let [w, d, h]: [u32; 3] = std::array::from_fn(|_| rng.random_range(5..20));
            for i in 0..w * d * h {
                let [x, y, z] = [i % w, i / w % d, i / w / d];
                if x == 0 || x == w - 1 || y == 0 || y == d - 1 || z == h - 1 {
                    voxels.insert([at[0] + x, at[1] + y, z]);
                }
            }
        }
        let positions: Vec<[f32; 3]> = voxels.iter().take(3000).map(|v| v.map(|x| (x as f32 + 0.5) * 0.07)).collect();
        let features = positions.iter().map(|p| [p[0] / 5.0, p[1] / 5.0, p[2], 0.1, 0.2, 0.3, 0.0, 0.0, 1.0]).collect();
        PointSample { positions, features, grid_m: 0.07 }
    }

    /// Prints times; run it alone with `--ignored --nocapture`.
    #[test]
    #[ignore = "prints timings, checks nothing"]
    fn timing() {
        let wide =
            PointEncoderConfig { channels: vec![48, 96, 160], heads: vec![2, 4, 5], ..PointEncoderConfig::nano() };
        for config in [PointEncoderConfig::nano(), wide] {
            let scenes: Vec<PointSample> = (1..5).map(furniture).collect();
            let (device, width) = (Device::flex(), config.channels[0]);
            let conv = LinearConfig::new(NEIGHBOURS * width, width).init(&device);
            let stage = PointPlan::new(&[&scenes[0]], &config).stages[0].conv.index(&device);
            let once = || {
                let from = Instant::now();
                sparse_conv(Tensor::ones([3000, width], &device), conv.weight.val(), None, &stage);
                1e3 * from.elapsed().as_secs_f64()
            };
            println!("one convolution of 3000 points: {:.1} ms", (0..20).map(|_| once()).fold(f64::INFINITY, f64::min));
            for count in [1, 4] {
                let scenes: Vec<&PointSample> = scenes.iter().take(count).collect();
                let flat: Vec<f32> = scenes.iter().flat_map(|s| s.features.iter().flatten().copied()).collect();
                let mut best = [f64::INFINITY; 3];
                let mut keep =
                    |which: usize, from: Instant| best[which] = best[which].min(1e3 * from.elapsed().as_secs_f64());
                for _ in 0..8 {
                    let from = Instant::now();
                    let plan = PointPlan::new(&scenes, &config);
                    keep(0, from);
                    for (which, device) in [(1, Device::flex()), (2, Device::flex().autodiff())] {
                        let encoder = config.init(&device);
                        let x = Tensor::from_data(TensorData::new(flat.clone(), [flat.len() / 9, 9]), &device);
                        let from = Instant::now();
                        let out = encoder.forward(x, &plan);
                        if which == 2 {
                            (out.fine.square().mean() + out.coarse.square().mean()).backward();
                        }
                        keep(which, from);
                    }
                }
                let [plan, forward, both] = best;
                println!(
                    "{:?}, {count} x 3000 points: plan {plan:.1} ms, forward {forward:.0} ms, forward and backward {both:.0} ms",
                    config.channels
                );
            }
        }
    }
}
