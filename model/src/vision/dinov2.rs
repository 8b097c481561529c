//! Pixels `[views, channels, height, width]` in, tokens `[views, 1 + patches, width]` of some layers out: the DINOv2 backbone
//! (arXiv 2304.07193), as `Dinov2Backbone` of transformers computes it. Alone it is the depth encoder of 3D-R1.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::VisionError;
use super::parts::{
    Activation, Axis, Block, BlockConfig, BlockNames, Filter, Keys, Projections, limits, patches_from_pixels,
    resize_grid, through,
};
use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::weights::{Bias, WeightReader};

/// What a checkpoint calls the tensors of a layer.
const LAYER: BlockNames = BlockNames {
    norm_attention: "norm1",
    projections: Projections::Separate([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    out: "attention.output.dense",
    norm_mlp: "norm2",
    gate: None,
    up: "mlp.fc1",
    down: "mlp.fc2",
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
};

/// Sizes of the backbone; a field that is left out has transformers' default. ViT-S, B and L have 384, 768 and 1024
/// channels, 6, 12 and 16 heads, 12, 12 and 24 layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dinov2Config {
    /// Channels of a token.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Channels of an MLP's hidden layer over those of a token.
    pub mlp_ratio: usize,
    /// The MLPs' nonlinearity.
    pub hidden_act: Activation,
    /// Added to the norms' variance.
    pub layer_norm_eps: f64,
    /// Pixels along a side of the pictures that the positions were learned for.
    #[serde(deserialize_with = "limits::side")]
    pub image_size: usize,
    /// Pixels along a side of a patch.
    #[serde(deserialize_with = "limits::side")]
    pub patch_size: usize,
    /// Channels of a pixel.
    pub num_channels: usize,
    /// Whether q, k and v have biases.
    pub qkv_bias: bool,
    /// Whether the MLPs are gated; only the giant model's are, which is not supported.
    pub use_swiglu_ffn: bool,
    /// The stages that are given out, 0 for the embedded patches, `i` for the output of layer `i`; the last one when left out.
    pub out_indices: Option<Vec<i64>>,
    /// The same by name (`stem`, `stage1`, ..), used when there are no indices.
    pub out_features: Option<Vec<String>>,
    /// Whether the last norm is applied to every stage that is given out.
    pub apply_layernorm: bool,
}

impl Default for Dinov2Config {
    /// The defaults of transformers' `Dinov2Config`.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 14,
            num_channels: 3,
            qkv_bias: true,
            use_swiglu_ffn: false,
            out_indices: None,
            out_features: None,
            apply_layernorm: true,
        }
    }
}

impl Dinov2Config {
    /// Whether the sizes fit each other; `part` is the name of the section of config.json.
    ///
    /// # Errors
    /// The field that does not fit, and why.
    pub fn check(&self, part: &str) -> Result<(), String> {
        limits::channels(&format!("{part}.hidden_size"), self.hidden_size)?;
        limits::layers(&format!("{part}.num_hidden_layers"), self.num_hidden_layers)?;
        limits::heads(part, self.num_attention_heads, self.hidden_size)?;
        limits::channels(&format!("{part}.mlp_ratio"), self.mlp_ratio)?;
        limits::channels(&format!("{part}.image_size"), self.image_size)?;
        limits::channels(&format!("{part}.patch_size"), self.patch_size)?;
        limits::channels(&format!("{part}.num_channels"), self.num_channels)?;
        limits::epsilon(&format!("{part}.layer_norm_eps"), self.layer_norm_eps)?;
        if self.image_size < self.patch_size {
            return Err(format!("{part}.image_size {} is less than a patch of {}", self.image_size, self.patch_size));
        }
        if self.use_swiglu_ffn {
            return Err(format!("{part}.use_swiglu_ffn is true; the small, base and large models have plain MLPs"));
        }
        self.stages().map(|_| ()).map_err(|reason| format!("{part}.{reason}"))
    }

    /// The stages that are given out, ascending.
    ///
    /// # Errors
    /// The index or name that is no stage.
    pub fn stages(&self) -> Result<Vec<usize>, String> {
        let last = self.num_hidden_layers;
        let mut stages = match (&self.out_indices, &self.out_features) {
            (Some(indices), _) => indices
                .iter()
                .map(|&index| {
                    let stage = if index < 0 { index.saturating_add(last as i64 + 1) } else { index };
                    usize::try_from(stage)
                        .ok()
                        .filter(|&stage| stage <= last)
                        .ok_or_else(|| format!("out_indices has {index}, the stages are 0 to {last}"))
                })
                .collect::<Result<Vec<_>, _>>()?,
            (None, Some(names)) => names
                .iter()
                .map(|name| match name.strip_prefix("stage").map(str::parse::<usize>) {
                    Some(Ok(stage)) if (1..=last).contains(&stage) => Ok(stage),
                    _ if name == "stem" => Ok(0),
                    _ => Err(format!("out_features has {name:?}, the stages are stem and stage1 to stage{last}")),
                })
                .collect::<Result<Vec<_>, _>>()?,
            (None, None) => vec![last],
        };
        stages.sort_unstable();
        stages.dedup();
        Ok(stages)
    }

    /// Patches along a side of the learned position grid.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }
}

/// The backbone.
#[derive(Module, Debug)]
pub struct Dinov2 {
    patch_embed: Linear,
    class_token: Param<Tensor<3>>,
    position: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: Norm,
    patch_size: usize,
    channels: usize,
    grid: usize,
    stages: Vec<usize>,
    norm_every_stage: bool,
}

impl Dinov2 {
    /// The backbone at `reader` (`backbone` of a Depth-Anything checkpoint). `config` is one that passed its check.
    pub fn read(config: &Dinov2Config, reader: &WeightReader) -> Self {
        let (w, p, grid) = (config.hidden_size, config.patch_size, config.grid());
        let block = BlockConfig {
            width: w,
            heads: config.num_attention_heads,
            mlp_width: w * config.mlp_ratio,
            norm: NormKind::Layer,
            norm_epsilon: config.layer_norm_eps,
            qkv_bias: if config.qkv_bias { Bias::Yes } else { Bias::No },
            activation: config.hidden_act,
            mlp_bias: Bias::Yes,
        };
        let embeddings = reader.enter("embeddings");
        // only used while pretraining
        embeddings.ignore("mask_token");
        let kernel = [w, config.num_channels, p, p];
        Self {
            patch_embed: embeddings.conv_as_linear("patch_embeddings.projection", &kernel, Bias::Yes),
            class_token: embeddings.param("cls_token", [1, 1, w]),
            position: embeddings.param("position_embeddings", [1, 1 + grid * grid, w]),
            blocks: (0..config.num_hidden_layers)
                .map(|i| block.read(&LAYER, &reader.enter(format!("encoder.layer.{i}"))))
                .collect(),
            norm: Norm::read(NormKind::Layer, "layernorm", w, config.layer_norm_eps, reader),
            patch_size: p,
            channels: config.num_channels,
            grid,
            stages: config.stages().unwrap_or_default(),
            norm_every_stage: config.apply_layernorm,
        }
    }

    /// The last layer's tokens after the last norm, `[views, 1 + patches, width]`: the class token, then the patches row by
    /// row. Other sizes than the configured one are read with interpolated positions.
    ///
    /// # Errors
    /// [`VisionError`] when the pixels have another number of channels or are smaller than a patch.
    pub fn forward(&self, pixels: &Tensor<4>) -> Result<Tensor<3>, VisionError> {
        let x = self.embed(pixels)?;
        Ok(self.norm.forward(through(&self.blocks, x, Keys::All, None, &mut |_| {})))
    }

    /// The stages that the config gives out, each `[views, 1 + patches, width]`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn stages(&self, pixels: &Tensor<4>) -> Result<Vec<Tensor<3>>, VisionError> {
        let mut stages = Vec::with_capacity(self.stages.len());
        let mut stage = 0;
        self.observe(pixels, &mut |x| {
            if self.stages.contains(&stage) {
                stages.push(if self.norm_every_stage { self.norm.forward(x.clone()) } else { x.clone() });
            }
            stage += 1;
        })?;
        Ok(stages)
    }

    /// Shows `seen` the embedded patches and then each layer's output, `[views, 1 + patches, width]`, before any last norm
    /// (`hidden_states` of transformers).
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn observe(&self, pixels: &Tensor<4>, seen: &mut dyn FnMut(&Tensor<3>)) -> Result<(), VisionError> {
        through(&self.blocks, self.embed(pixels)?, Keys::All, None, seen);
        Ok(())
    }

    /// Rows and columns of patches of pixels `[views, channels, height, width]`.
    pub fn patches(&self, pixels: &Tensor<4>) -> [usize; 2] {
        let [_, _, height, width] = pixels.dims();
        [height / self.patch_size, width / self.patch_size]
    }

    fn embed(&self, pixels: &Tensor<4>) -> Result<Tensor<3>, VisionError> {
        let [views, channels, height, width] = pixels.dims();
        if views == 0 {
            return Err(VisionError::NoView);
        }
        if channels != self.channels {
            return Err(VisionError::Channels { given: channels, expected: self.channels });
        }
        let [rows, columns] = self.patches(pixels);
        let position = self.position_at(rows, columns).ok_or(VisionError::SmallerThanAPatch {
            height,
            width,
            patch: self.patch_size,
        })?;
        let patches = self.patch_embed.forward(patches_from_pixels(pixels.clone(), self.patch_size));
        let class = self.class_token.val();
        let channels = class.dims()[2];
        Ok(Tensor::cat(vec![class.expand([views, 1, channels]), patches], 1) + position)
    }

    /// The positions of the class token and of a grid, `[1, 1 + rows * columns, width]`; none where the grid is empty.
    fn position_at(&self, rows: usize, columns: usize) -> Option<Tensor<3>> {
        let position = self.position.val();
        if (rows, columns) == (self.grid, self.grid) {
            return Some(position);
        }
        let [_, count, width] = position.dims();
        let axis = |to: usize| Axis::new(self.grid, to, Filter::Cubic);
        let class = position.clone().narrow(1, 0, 1);
        let grid = position.narrow(1, 1, count - 1).reshape([self.grid, self.grid, width]);
        Some(Tensor::cat(vec![class, resize_grid(grid, &axis(rows)?, &axis(columns)?).unsqueeze()], 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_by_index_from_the_end_and_by_name() {
        let config = |indices: Option<Vec<i64>>, names: Option<Vec<&str>>| Dinov2Config {
            out_indices: indices,
            out_features: names.map(|names| names.into_iter().map(str::to_owned).collect()),
            ..Dinov2Config::default()
        };
        assert_eq!(config(Some(vec![12, 3, -2]), None).stages(), Ok(vec![3, 11, 12]));
        assert_eq!(config(None, Some(vec!["stage9", "stem"])).stages(), Ok(vec![0, 9]));
        assert_eq!(config(None, None).stages(), Ok(vec![12]));
        assert!(config(Some(vec![13]), None).stages().unwrap_err().contains("13"));
        assert!(config(Some(vec![i64::MIN]), None).stages().is_err());
        assert!(config(None, Some(vec!["stage13"])).check("backbone_config").unwrap_err().contains("stage13"));
    }
}
