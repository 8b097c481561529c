//! The finest fused map `[views, channels, h, w]` in, depth `[views, height, width]` out.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};

use super::config::{DepthAnythingConfig, DepthKind};
use super::conv::{Conv, bilinear};
use crate::weights::{Bias, WeightReader};

/// Three convolutions; the picture's resolution is reached after the first.
#[derive(Module, Debug)]
pub(super) struct Head {
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
    patch_size: usize,
    metric: bool,
    scale: f64,
}

impl Head {
    pub fn read(config: &DepthAnythingConfig, reader: &WeightReader) -> Self {
        let (fused, hidden) = (config.fusion_hidden_size, config.head_hidden_size);
        Self {
            conv1: Conv::read("conv1", fused, fused / 2, 3, 1, Bias::Yes, reader),
            conv2: Conv::read("conv2", fused / 2, hidden, 3, 1, Bias::Yes, reader),
            conv3: Conv::read("conv3", hidden, 1, 1, 1, Bias::Yes, reader),
            patch_size: config.patch_size,
            metric: config.depth_estimation_type == DepthKind::Metric,
            scale: config.depth_scale(),
        }
    }

    /// `patches`: rows and columns of patches; the depth has as many pixels as they cover.
    pub fn forward(&self, map: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<3> {
        let size = [rows * self.patch_size, columns * self.patch_size];
        let x = bilinear(self.conv1.forward(map), size, true);
        let x = self.conv3.forward(relu(self.conv2.forward(x)));
        let x = if self.metric { sigmoid(x) } else { relu(x) };
        x.mul_scalar(self.scale).squeeze_dim(1)
    }
}
