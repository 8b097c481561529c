//! `[points, in_channels]` and a plan in, fine and coarse point features out: the published U-Net.

use burn::module::Module;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

use super::block::{Block, SparseConv};
use super::config::PtV3Config;
use super::error::PtV3ForwardError;
use super::norm::BatchNorm;
use super::plan::PtV3Plan;
use crate::linear::Linear;
use crate::points::attention::index;
use crate::points::plan::CHILDREN;
use crate::points::sparse_conv::ConvIndex;
use crate::weights::{Bias, WeightReader};

/// A linear map with its batch norm and activation.
#[derive(Module, Debug)]
struct Step {
    linear: Linear,
    norm: BatchNorm,
}

impl Step {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        gelu(self.norm.forward(self.linear.forward(x)))
    }
}

/// Encoder blocks of one resolution, and the pooling that leads to it.
#[derive(Module, Debug)]
struct Encoder {
    down: Option<Step>,
    blocks: Vec<Block>,
}

/// Decoder blocks of one resolution, and what leads to it from the coarser one and from the encoder.
#[derive(Module, Debug)]
struct Decoder {
    coarse: Step,
    skip: Step,
    blocks: Vec<Block>,
}

/// The point encoder.
#[derive(Module, Debug)]
pub struct PtV3 {
    stem: SparseConv,
    stem_norm: BatchNorm,
    encoders: Vec<Encoder>,
    /// The finest first.
    decoders: Vec<Decoder>,
    in_channels: usize,
    fine_channels: usize,
    coarse_channels: usize,
}

/// What the point encoder gives.
#[derive(Debug, Clone)]
pub struct PtV3Features {
    /// `[points, dec_channels[0]]`: the finest stage, after the decoder.
    pub fine: Tensor<2>,
    /// `[coarse points, enc_channels[last]]`: the coarsest stage.
    pub coarse: Tensor<2>,
}

impl PtV3 {
    /// In the names of Pointcept's checkpoints: `embedding`, `enc` and `dec` under `reader`. `config` is one that passed its
    /// check.
    pub fn read(config: &PtV3Config, reader: &WeightReader) -> Self {
        let stem = reader.enter("embedding.stem");
        let at = |list: &[usize], s: usize| list.get(s).copied().unwrap_or(0);
        let encoded = |s: usize| at(&config.enc_channels, s);
        let blocks = |at: &WeightReader, count: usize, channels: usize, heads: usize| -> Vec<Block> {
            (0..count).map(|i| Block::read(&at.enter(format!("block{i}")), channels, heads, config.mlp_ratio)).collect()
        };
        let encoders = (0..config.enc_channels.len())
            .map(|s| {
                let stage = reader.enter(format!("enc.enc{s}"));
                let down = stage.enter("down");
                let down = s.checked_sub(1).map(|finer| Step {
                    linear: down.linear("proj", encoded(finer), encoded(s), Bias::Yes),
                    norm: BatchNorm::read("norm.0", encoded(s), &down),
                });
                let (depth, heads) = (at(&config.enc_depths, s), at(&config.enc_num_head, s));
                Encoder { down, blocks: blocks(&stage, depth, encoded(s), heads) }
            })
            .collect();
        let decoders = (0..config.dec_channels.len())
            .map(|s| {
                let stage = reader.enter(format!("dec.dec{s}"));
                let up = stage.enter("up");
                let to = at(&config.dec_channels, s);
                let coarser = config.dec_channels.get(s + 1).copied().unwrap_or(encoded(s + 1));
                let step = |name: &str, from: usize| {
                    let at = up.enter(name);
                    Step { linear: at.linear("0", from, to, Bias::Yes), norm: BatchNorm::read("1", to, &at) }
                };
                Decoder {
                    coarse: step("proj", coarser),
                    skip: step("proj_skip", encoded(s)),
                    blocks: blocks(&stage, at(&config.dec_depths, s), to, at(&config.dec_num_head, s)),
                }
            })
            .collect();
        Self {
            stem: SparseConv::read(&stem.enter("conv"), 5, config.in_channels, encoded(0), Bias::No),
            stem_norm: BatchNorm::read("norm", encoded(0), &stem),
            encoders,
            decoders,
            in_channels: config.in_channels,
            fine_channels: config.fine_channels(),
            coarse_channels: config.coarse_channels(),
        }
    }

    /// `features`: `[points, in_channels]`, the scenes of `plan` one after another.
    ///
    /// # Errors
    /// [`PtV3ForwardError`] where they are not of the plan's points, or the plan is another model's.
    pub fn forward(&self, features: Tensor<2>, plan: &PtV3Plan) -> Result<PtV3Features, PtV3ForwardError> {
        self.forward_observed(features, plan, &mut |_, _| {})
    }

    /// As [`Self::forward`]; `observe` sees the name and the features of every stage.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_observed(
        &self,
        features: Tensor<2>,
        plan: &PtV3Plan,
        observe: &mut dyn FnMut(&str, &Tensor<2>),
    ) -> Result<PtV3Features, PtV3ForwardError> {
        let device = features.device();
        let [rows, channels] = features.dims();
        let planned = plan.voxels(0).len();
        if plan.stages.len() != self.encoders.len() {
            return Err(PtV3ForwardError::Stages { planned: plan.stages.len(), expected: self.encoders.len() });
        }
        if rows != planned {
            return Err(PtV3ForwardError::Rows { given: rows, planned });
        }
        if channels != self.in_channels {
            return Err(PtV3ForwardError::Channels { given: channels, expected: self.in_channels });
        }
        if rows == 0 {
            let none = |channels| Tensor::zeros([0, channels], (&device, features.dtype()));
            return Ok(PtV3Features { fine: none(self.fine_channels), coarse: none(self.coarse_channels) });
        }
        let stem = self.stem.forward(features, &plan.stem.index(&device));
        let mut x = gelu(self.stem_norm.forward(stem));
        observe("stem", &x);
        let convs: Vec<ConvIndex> = plan.stages.iter().map(|stage| stage.conv.index(&device)).collect();
        let mut skips = Vec::with_capacity(self.encoders.len());
        for (s, encoder) in self.encoders.iter().enumerate() {
            if let (Some(down), Some(finer)) = (&encoder.down, s.checked_sub(1)) {
                x = pooled(down, x, &plan.stages[finer].children, &device);
            }
            x = through(&encoder.blocks, x.clone(), x, &convs[s], plan, s);
            observe(&format!("enc{s}"), &x);
            skips.push(x.clone());
        }
        let coarse = x.clone();
        for (s, decoder) in self.decoders.iter().enumerate().rev() {
            let spread = decoder.coarse.forward(x).select(0, index(&plan.stages[s].parent, &device));
            let skip = decoder.skip.forward(skips[s].clone());
            // the reference's first position encoding of a decoder stage reads the skipped features before the sum
            x = through(&decoder.blocks, skip.clone() + spread, skip, &convs[s], plan, s);
            observe(&format!("dec{s}"), &x);
        }
        Ok(PtV3Features { fine: x, coarse })
    }
}

/// Blocks one after another; the first convolves `convolved`.
fn through(
    blocks: &[Block],
    mut x: Tensor<2>,
    convolved: Tensor<2>,
    conv: &ConvIndex,
    plan: &PtV3Plan,
    stage: usize,
) -> Tensor<2> {
    let patches = &plan.stages[stage].patches;
    let mut convolved = Some(convolved);
    for (block, patches) in blocks.iter().zip(patches.iter().cycle()) {
        let read = convolved.take().unwrap_or_else(|| x.clone());
        x = block.forward(x, read, conv, patches);
    }
    x
}

/// The largest of the children, channel by channel, then norm and activation.
fn pooled(down: &Step, x: Tensor<2>, children: &[i32], device: &Device) -> Tensor<2> {
    let y = down.linear.forward(x);
    let channels = y.dims()[1];
    let coarse = children.len() / CHILDREN;
    let y = y.select(0, index(children, device)).reshape([coarse, CHILDREN, channels]);
    gelu(down.norm.forward(y.max_dim(1).reshape([coarse, channels])))
}

#[cfg(test)]
mod tests {
    use super::super::PtV3Input;
    use super::*;
    use crate::packed::MatrixType;
    use crate::weights::{Placement, WeightFiles};
    use burn::tensor::TensorData;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_published_model_has_46_million_parameters() {
        // a reader of no files counts what it is asked for; half of a batch norm's numbers are statistics
        let reader = WeightReader::new(WeightFiles::default(), Placement::cpu(MatrixType::F32));
        let config = PtV3Config::base();
        drop(PtV3::read(&config, &reader));
        let placed = reader.placed();
        let of = |kept: &dyn Fn(&str) -> bool| -> u64 {
            placed.iter().filter(|p| kept(&p.name)).map(|p| p.parameters).sum()
        };
        let statistics = of(&|name| name.contains("running_"));
        let block =
            |c: u64| 27 * c * c + c + (c * c + c) + 3 * 2 * c + (3 * c * c + 3 * c) + (c * c + c) + (8 * c * c + 5 * c);
        let step = |from: u64, to: u64| from * to + to + 2 * to;
        let encoder = [(2, 32), (2, 64), (2, 128), (6, 256), (2, 512)].map(|(n, c)| n * block(c)).iter().sum::<u64>();
        let down: u64 = [(32, 64), (64, 128), (128, 256), (256, 512)].map(|(a, b)| step(a, b)).iter().sum();
        let decoder = [64, 64, 128, 256].map(|c| 2 * block(c)).iter().sum::<u64>();
        let up: u64 = [(64, 32, 64), (128, 64, 64), (256, 128, 128), (512, 256, 256)]
            .map(|(coarse, skip, to)| step(coarse, to) + step(skip, to))
            .iter()
            .sum();
        let stem = 125 * 6 * 32 + 2 * 32;
        assert_eq!(of(&|_| true) - statistics, stem + encoder + down + decoder + up);
        assert_eq!((of(&|_| true) - statistics) / 100_000, 461, "46.1 million: the paper gives 46.2 with the head");
    }

    /// Voxels, and the features of each.
    type Scene = (Vec<[u32; 3]>, Vec<[f32; 6]>);

    fn tiny() -> PtV3Config {
        PtV3Config {
            in_channels: 6,
            enc_depths: vec![1, 2, 1],
            enc_channels: vec![8, 12, 16],
            enc_num_head: vec![2, 3, 4],
            enc_patch_size: vec![8, 8, 8],
            dec_depths: vec![1, 1],
            dec_channels: vec![8, 8],
            dec_num_head: vec![2, 2],
            ..PtV3Config::base()
        }
    }

    /// A scene of some voxels, and its features.
    fn scene(seed: u64, count: usize) -> Scene {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut voxels: Vec<[u32; 3]> = (0..count).map(|_| std::array::from_fn(|_| rng.random_range(0..9))).collect();
        voxels.sort_unstable();
        voxels.dedup();
        let features = voxels.iter().map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        (voxels, features)
    }

    fn run(model: &PtV3, config: &PtV3Config, scenes: &[&Scene]) -> Vec<Vec<f32>> {
        let inputs: Vec<PtV3Input> = scenes
            .iter()
            .map(|(voxels, _)| PtV3Input::new(voxels.clone(), vec![[0.0; 3]; voxels.len()]).unwrap())
            .collect();
        let plan = PtV3Plan::new(&inputs.iter().collect::<Vec<_>>(), config).unwrap();
        let flat: Vec<f32> = scenes.iter().flat_map(|(_, f)| f.iter().flatten().copied()).collect();
        let rows = flat.len() / 6;
        let x = Tensor::from_data(TensorData::new(flat, [rows, 6]), &Device::flex());
        let fine = model.forward(x, &plan).unwrap().fine;
        let width = fine.dims()[1];
        fine.into_data().iter::<f32>().collect::<Vec<f32>>().chunks(width).map(<[f32]>::to_vec).collect()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + a.abs()))
    }

    #[test]
    fn neither_the_order_of_points_nor_another_scene_changes_a_feature() {
        let config = tiny();
        let model = PtV3::read(&config, &WeightReader::synthetic(Placement::cpu(MatrixType::F32), 5));
        let (a, b) = (scene(1, 60), scene(2, 5));
        let alone = run(&model, &config, &[&a]);
        let mut turned = a.clone();
        turned.0.reverse();
        turned.1.reverse();
        for (x, y) in alone.iter().zip(run(&model, &config, &[&turned]).iter().rev()) {
            assert!(close(x, y), "{x:?} {y:?}");
        }
        // the curves' cube is the same, as both fill it
        for (x, y) in alone.iter().zip(&run(&model, &config, &[&a, &b])) {
            assert!(close(x, y), "{x:?} {y:?}");
        }
        assert!(run(&model, &config, &[&(Vec::new(), Vec::new())]).is_empty());
    }

    #[test]
    fn features_of_another_cloud_or_model_are_refused() {
        let config = tiny();
        let model = PtV3::read(&config, &WeightReader::synthetic(Placement::cpu(MatrixType::F32), 5));
        let input = PtV3Input::new(vec![[0; 3], [1; 3]], vec![[0.0; 3]; 2]).unwrap();
        let plan = PtV3Plan::new(&[&input], &config).unwrap();
        let forward =
            |rows, channels, plan: &PtV3Plan| model.forward(Tensor::zeros([rows, channels], &Device::flex()), plan);
        let fault = |rows, channels, plan: &PtV3Plan| forward(rows, channels, plan).unwrap_err();
        assert_eq!(fault(3, 6, &plan), PtV3ForwardError::Rows { given: 3, planned: 2 });
        assert_eq!(fault(0, 6, &plan), PtV3ForwardError::Rows { given: 0, planned: 2 });
        assert_eq!(fault(2, 5, &plan), PtV3ForwardError::Channels { given: 5, expected: 6 });
        let other = PtV3Plan::new(&[&input], &PtV3Config::base()).unwrap();
        assert_eq!(fault(2, 6, &other), PtV3ForwardError::Stages { planned: 5, expected: 3 });
        assert!(PtV3Plan::new(&[&input], &PtV3Config { order: Vec::new(), ..tiny() }).is_err());
        for scenes in [vec![], vec![&PtV3Input::default()]] {
            let plan = PtV3Plan::new(&scenes, &config).unwrap();
            let none = forward(0, 6, &plan).unwrap();
            assert_eq!((none.fine.dims(), none.coarse.dims()), ([0, 8], [0, 16]));
        }
    }

    #[test]
    fn a_patch_is_no_longer_than_the_largest_scene_and_padding_changes_nothing() {
        let (a, b) = (scene(1, 60), scene(2, 5));
        let input = |s: &Scene| PtV3Input::new(s.0.clone(), vec![[0.0; 3]; s.0.len()]).unwrap();
        let (first, second) = (input(&a), input(&b));
        let long = PtV3Config { enc_patch_size: vec![1024; 3], ..tiny() };
        let plan = PtV3Plan::new(&[&first, &second], &long).unwrap();
        for (s, stage) in plan.stages.iter().enumerate() {
            let largest = plan.ranges(s).iter().map(ExactSizeIterator::len).max().unwrap();
            assert!(stage.patches.iter().all(|p| p.size == largest && p.index.len() == 2 * largest), "stage {s}");
        }
        // each scene is one patch: alone without padding, the second beside the first with much
        let model = PtV3::read(&long, &WeightReader::synthetic(Placement::cpu(MatrixType::F32), 5));
        let alone = [run(&model, &long, &[&a]), run(&model, &long, &[&b])].concat();
        for (x, y) in alone.iter().zip(&run(&model, &long, &[&a, &b])) {
            assert!(close(x, y), "{x:?} {y:?}");
        }
    }

    #[test]
    fn voxels_that_cannot_be_read_are_named() {
        let of = |voxels: Vec<[u32; 3]>| {
            PtV3Input::new(voxels.clone(), vec![[0.0; 3]; voxels.len()]).unwrap_err().to_string()
        };
        assert!(of(vec![[0; 3], [70_000, 0, 0]]).contains("voxel 1 is at [70000, 0, 0]"));
        assert!(of(vec![[1, 2, 3], [1, 2, 3]]).contains("[1, 2, 3]"));
        assert!(PtV3Input::new(vec![[0; 3]], Vec::new()).is_err());
    }
}
