//! Pixel values `[patches, patch_width]` and a grid for each picture in, tokens `[merged tokens, out_hidden_size]` out: the vision
//! tower of Qwen2.5-VL (arXiv 2502.13923, section 2.1.1).

use burn::module::Module;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use super::config::QwenVisionConfig;
use super::error::QwenVisionError;
use super::layout::{Grid, Layout, window_index};
use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::vision::parts::{Activation, Block, BlockConfig, BlockNames, Keys, Projections, Rotary};
use crate::weights::{Bias, WeightReader};

/// Added to the mean square in every norm; the reference has no field for it.
const NORM_EPSILON: f64 = 1e-6;

/// The tensors of a block, in the names of the public checkpoints.
const BLOCK_NAMES: BlockNames = BlockNames {
    norm_attention: "norm1",
    projections: Projections::Fused("attn.qkv"),
    out: "attn.proj",
    norm_mlp: "norm2",
    gate: Some("mlp.gate_proj"),
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    scales: None,
};

/// The vision tower: patch embedding, blocks that attend within windows or within whole frames, patch merger.
#[derive(Module, Debug)]
pub struct QwenVision {
    patch_embed: Linear,
    blocks: Vec<Block>,
    merger_norm: Norm,
    merger_in: Linear,
    merger_out: Linear,
    #[module(skip)]
    config: QwenVisionConfig,
    #[module(skip)]
    activations: FloatDType,
}

/// Everything between pixels and tokens, for comparison with another implementation. Rows stand in the order of the pixel
/// rows, whatever order the tower works in.
#[derive(Debug, Clone)]
pub struct QwenVisionStages {
    /// The reference's window index: merged tokens in the order of windows, row by row.
    pub window_index: Vec<usize>,
    /// The reference's cumulative patches of the windows, from 0.
    pub window_ends: Vec<usize>,
    /// Angles of every patch, `[patches, head_width / 2]`: rows first, then columns.
    pub angles: Tensor<2>,
    /// After the patch embedding, then after each block: `[patches, hidden_size]`.
    pub hidden: Vec<Tensor<2>>,
    /// The result of [`QwenVision::forward`].
    pub tokens: Tensor<2>,
}

impl QwenVision {
    /// The tower at `reader` (`visual` in the checkpoints of 2025, `model.visual` since transformers 5).
    pub fn read(config: &QwenVisionConfig, reader: &WeightReader) -> Self {
        let (width, merged) = (config.hidden_size, config.merged_width());
        let patch = config.patch_size;
        let block = BlockConfig {
            width,
            heads: config.num_heads,
            mlp_width: config.intermediate_size,
            norm: NormKind::Rms,
            norm_epsilon: NORM_EPSILON,
            qkv_bias: Bias::Yes,
            activation: Activation::Silu,
            mlp_bias: Bias::Yes,
        };
        let blocks = reader.enter("blocks");
        let merger = reader.enter("merger");
        Self {
            patch_embed: reader.enter("patch_embed").conv_as_linear(
                "proj",
                &[width, config.in_channels, config.temporal_patch_size, patch, patch],
                Bias::No,
            ),
            blocks: (0..config.depth).map(|i| block.read(&BLOCK_NAMES, &blocks.enter(i.to_string()))).collect(),
            merger_norm: Norm::read(NormKind::Rms, "ln_q", width, NORM_EPSILON, &merger),
            merger_in: merger.linear("mlp.0", merged, merged, Bias::Yes),
            merger_out: merger.linear("mlp.2", merged, config.out_hidden_size, Bias::Yes),
            config: config.clone(),
            activations: reader.placement().activations(),
        }
    }

    /// Sizes of the tower.
    pub fn config(&self) -> &QwenVisionConfig {
        &self.config
    }

    /// `pixel_values` `[patches, patch_width]` of some pictures, one after another, whose patches `grids` count. Returns
    /// `[merged tokens, out_hidden_size]` in the same order. Pictures do not see each other.
    ///
    /// # Errors
    /// [`QwenVisionError::Grid`], [`QwenVisionError::Rows`] or [`QwenVisionError::RowWidth`] when the two do not belong
    /// together or the tower cannot read them.
    pub fn forward(&self, pixel_values: Tensor<2>, grids: &[Grid]) -> Result<Tensor<2>, QwenVisionError> {
        let layout = self.layout(&pixel_values, grids)?;
        Ok(self.run(pixel_values, &layout, &mut |_| ()))
    }

    /// [`QwenVision::forward`] with everything on the way.
    ///
    /// # Errors
    /// Those of [`QwenVision::forward`].
    pub fn stages(&self, pixel_values: Tensor<2>, grids: &[Grid]) -> Result<QwenVisionStages, QwenVisionError> {
        let layout = self.layout(&pixel_values, grids)?;
        let device = pixel_values.device();
        let places = indices(&layout.places(), &device);
        let mut hidden = Vec::with_capacity(self.blocks.len() + 1);
        let tokens = self.run(pixel_values, &layout, &mut |x| hidden.push(self.reordered(x.clone(), &places)));
        let (window_index, window_ends) = window_index(grids, &self.config);
        let angles = self.reordered(self.angles(&layout, &device), &places);
        Ok(QwenVisionStages { window_index, window_ends, angles, hidden, tokens })
    }

    fn layout(&self, pixel_values: &Tensor<2>, grids: &[Grid]) -> Result<Layout, QwenVisionError> {
        let [rows, given] = pixel_values.dims();
        let expected = self.config.patch_width();
        if given != expected {
            return Err(QwenVisionError::RowWidth { given, expected });
        }
        Layout::new(grids, rows, &self.config)
    }

    /// `seen` is shown the patches `[patches, hidden_size]`, in the tower's order, before the first block and after each.
    fn run(&self, pixel_values: Tensor<2>, layout: &Layout, seen: &mut dyn FnMut(&Tensor<2>)) -> Tensor<2> {
        let device = pixel_values.device();
        let tokens = layout.order.len();
        if tokens == 0 {
            return Tensor::<2>::zeros([0, self.config.out_hidden_size], &device).cast(self.activations);
        }
        let x = self.patch_embed.forward(pixel_values.cast(self.activations));
        let x = self.reordered(x, &indices(&layout.order, &device));
        seen(&x);
        let rotary = Rotary::new(self.angles(layout, &device));
        let mut x = x.unsqueeze::<3>();
        for (i, block) in self.blocks.iter().enumerate() {
            let whole = self.config.fullatt_block_indexes.contains(&i);
            let keys = Keys::Segments(if whole { &layout.frames } else { &layout.windows });
            x = block.forward(x, keys, Some(&rotary));
            seen(&x.clone().squeeze_dim::<2>(0));
        }
        let merged = self.merger_norm.forward(x).reshape([tokens, self.config.merged_width()]);
        let merged = self.merger_out.forward(gelu(self.merger_in.forward(merged)));
        merged.select(0, indices(&layout.places(), &device))
    }

    /// Moves the patches of merged tokens: `x` is `[patches, channels]`, `order` names a token for each new place.
    fn reordered(&self, x: Tensor<2>, order: &Tensor<1, Int>) -> Tensor<2> {
        let [patches, channels] = x.dims();
        let together = self.config.spatial_merge_size * self.config.spatial_merge_size;
        x.reshape([patches / together, together * channels]).select(0, order.clone()).reshape([patches, channels])
    }

    /// Angles `[patches, head_width / 2]` in the tower's order: a patch's row turns the first half of the pairs, its column the
    /// second, each with the frequencies `theta^(-2 i / (head_width / 2))`.
    fn angles(&self, layout: &Layout, device: &Device) -> Tensor<2> {
        let half = self.config.head_width() / 2;
        let theta = self.config.rope_theta();
        let frequencies: Vec<f32> = (0..half / 2).map(|i| theta.powf(-((2 * i) as f64) / half as f64) as f32).collect();
        let mut angles = Vec::with_capacity(layout.positions.len() * half);
        for place in layout.positions.iter().flatten() {
            angles.extend(frequencies.iter().map(|frequency| *place as f32 * frequency));
        }
        Tensor::from_data(TensorData::new(angles, [layout.positions.len(), half]), device)
    }
}

/// Row numbers for a selection.
fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(TensorData::new(rows.clone(), [rows.len()]), device)
}
