//! Tokens of some stages in, fused feature maps out, coarse to fine: reassembly and fusion of the dense prediction
//! transformer (arXiv 2103.13413, sections 3.2 and 3.3).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::config::{DepthAnythingConfig, Resize};
use super::conv::{Conv, Enlarge, bilinear};
use crate::weights::{Bias, WeightReader};

/// Reassembly and fusion.
#[derive(Module, Debug)]
pub(super) struct Neck {
    reassemble: Vec<Reassemble>,
    fusion: Vec<Fusion>,
}

impl Neck {
    pub fn read(config: &DepthAnythingConfig, reader: &WeightReader) -> Self {
        let resizes = config.resizes().unwrap_or_default();
        let reassemble = config.neck_hidden_sizes.iter().zip(resizes).enumerate();
        Self {
            reassemble: reassemble
                .map(|(i, (&channels, resize))| Reassemble::read(config, i, channels, resize, reader))
                .collect(),
            fusion: (0..config.neck_hidden_sizes.len())
                .map(|i| Fusion::read(config.fusion_hidden_size, &reader.enter(format!("fusion_stage.layers.{i}"))))
                .collect(),
        }
    }

    /// `stages`: `[views, 1 + rows * columns, width]` each, first to last; `patches`: rows and columns. Returns
    /// `[views, fusion_hidden_size, h, w]` each, of growing size.
    pub fn forward(&self, stages: Vec<Tensor<3>>, patches: [usize; 2]) -> Vec<Tensor<4>> {
        let maps = self.reassemble.iter().zip(stages).map(|(part, stage)| part.forward(stage, patches));
        let mut maps: Vec<Tensor<4>> = maps.collect();
        maps.reverse();
        let mut fused: Vec<Tensor<4>> = Vec::with_capacity(maps.len());
        for (i, (map, fusion)) in maps.iter().zip(&self.fusion).enumerate() {
            let next = maps.get(i + 1).map(|next| [next.dims()[2], next.dims()[3]]);
            fused.push(fusion.forward(map.clone(), fused.last().cloned(), next));
        }
        fused
    }
}

/// Tokens to a feature map of its own resolution.
#[derive(Module, Debug)]
struct Reassemble {
    projection: Conv,
    enlarge: Option<Enlarge>,
    shrink: Option<Conv>,
    to_fusion: Conv,
}

impl Reassemble {
    fn read(
        config: &DepthAnythingConfig,
        index: usize,
        channels: usize,
        resize: Resize,
        reader: &WeightReader,
    ) -> Self {
        let at = reader.enter(format!("reassemble_stage.layers.{index}"));
        let width = config.reassemble_hidden_size;
        let fused = config.fusion_hidden_size;
        Self {
            projection: Conv::read("projection", width, channels, 1, 1, Bias::Yes, &at),
            enlarge: match resize {
                Resize::Up(factor) => Some(Enlarge::read("resize", channels, factor, &at)),
                _ => None,
            },
            shrink: match resize {
                Resize::Down(stride) => Some(Conv::read("resize", channels, channels, 3, stride, Bias::Yes, &at)),
                _ => None,
            },
            to_fusion: Conv::read(&format!("convs.{index}"), channels, fused, 3, 1, Bias::No, reader),
        }
    }

    fn forward(&self, tokens: Tensor<3>, [rows, columns]: [usize; 2]) -> Tensor<4> {
        let [views, _, width] = tokens.dims();
        // the class token has no place in the picture
        let map = tokens.narrow(1, 1, rows * columns).swap_dims(1, 2).reshape([views, width, rows, columns]);
        let mut map = self.projection.forward(map);
        if let Some(enlarge) = &self.enlarge {
            map = enlarge.forward(map);
        }
        if let Some(shrink) = &self.shrink {
            map = shrink.forward(map);
        }
        self.to_fusion.forward(map)
    }
}

/// One feature map added to the coarser ones.
#[derive(Module, Debug)]
struct Fusion {
    of_map: Residual,
    of_sum: Residual,
    projection: Conv,
}

impl Fusion {
    fn read(channels: usize, reader: &WeightReader) -> Self {
        Self {
            of_map: Residual::read(channels, &reader.enter("residual_layer1")),
            of_sum: Residual::read(channels, &reader.enter("residual_layer2")),
            projection: Conv::read("projection", channels, channels, 1, 1, Bias::Yes, reader),
        }
    }

    /// The coarsest map is taken as it is, the others are added to `coarser`; then enlarged to `size`, or twice.
    fn forward(&self, map: Tensor<4>, coarser: Option<Tensor<4>>, size: Option<[usize; 2]>) -> Tensor<4> {
        let sum = match coarser {
            None => map,
            Some(coarser) => {
                let [_, _, height, width] = coarser.dims();
                let fits = map.dims() == coarser.dims();
                let map = if fits { map } else { bilinear(map, [height, width], false) };
                coarser + self.of_map.forward(map)
            }
        };
        let sum = self.of_sum.forward(sum);
        let [_, _, height, width] = sum.dims();
        self.projection.forward(bilinear(sum, size.unwrap_or([2 * height, 2 * width]), true))
    }
}

/// Two convolutions, each after a ReLU, added to their input.
#[derive(Module, Debug)]
struct Residual {
    first: Conv,
    second: Conv,
}

impl Residual {
    fn read(channels: usize, reader: &WeightReader) -> Self {
        let conv = |name: &str| Conv::read(name, channels, channels, 3, 1, Bias::Yes, reader);
        Self { first: conv("convolution1"), second: conv("convolution2") }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(relu(x.clone()))));
        x + y
    }
}
