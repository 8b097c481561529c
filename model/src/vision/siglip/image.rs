//! Pixels or sequences of patches in, patch tokens `[views, patches, width]` and one pooled vector a view out: the image
//! tower of SigLIP.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor, TensorData};

use super::LAYER;
use super::config::{SiglipConfig, SiglipKind};
use super::pooling::PoolingHead;
use crate::linear::Linear;
use crate::norm::{Norm, NormKind};
use crate::vision::VisionError;
use crate::vision::parts::{Axis, Block, Filter, Keys, patches_from_pixels, resize_grid, through};
use crate::weights::{Bias, WeightReader};

/// What one pass over some views gives.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// `[views, patches, width]`, row-major over each view's grid, then padding.
    pub tokens: Tensor<3>,
    /// `[views, width]` from the pooling head; none where the checkpoint has no head.
    pub pooled: Option<Tensor<2>>,
}

/// What the image tower reads.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // one or two live at a time, moved once
pub enum ImageInput {
    /// `[views, channels, height, width]`, normalised: [`SiglipKind::Fixed`]. Another size than the configured one is
    /// read with interpolated positions (`interpolate_pos_encoding=True`).
    Pixels(Tensor<4>),
    /// Patches of views with different grids: [`SiglipKind::NaFlex`].
    Patches(PatchBatch),
}

/// Patches of views with different grids, padded to one length.
#[derive(Debug, Clone)]
pub struct PatchBatch {
    patches: Tensor<3>,
    grids: Vec<[usize; 2]>,
    padding: Tensor<2, Bool>,
}

impl PatchBatch {
    /// `patches`: `[views, room, patch * patch * channels]`, a patch flattened as (row, column, channel); `grids`: rows
    /// and columns of each view's patches, the first `rows * columns` of its sequence (`spatial_shapes`). The others
    /// are padding (0 in `pixel_attention_mask`).
    ///
    /// # Errors
    /// [`VisionError::Grids`] when a view has no grid or an empty one, or more patches than there is room for.
    pub fn new(patches: Tensor<3>, grids: Vec<[usize; 2]>) -> Result<Self, VisionError> {
        let [views, room, _] = patches.dims();
        let fault = |reason: String| VisionError::Grids { views, patches: room, reason };
        if views == 0 {
            return Err(VisionError::NoView);
        }
        if grids.len() != views {
            return Err(fault(format!("there are {} grids", grids.len())));
        }
        for (view, [rows, columns]) in grids.iter().copied().enumerate() {
            if rows == 0 || columns == 0 || rows.saturating_mul(columns) > room {
                return Err(fault(format!("view {view} has ({rows}, {columns})")));
            }
        }
        let padding = grids.iter().flat_map(|[rows, columns]| (0..room).map(move |i| i >= rows * columns)).collect();
        let device = patches.device();
        let padding = Tensor::from_data(TensorData::new::<bool, _>(padding, [views, room]), &device);
        Ok(Self { patches, grids, padding })
    }

    /// `[views, room, patch * patch * channels]`.
    pub fn patches(&self) -> &Tensor<3> {
        &self.patches
    }

    /// Rows and columns of each view's patches.
    pub fn grids(&self) -> &[[usize; 2]] {
        &self.grids
    }
}

/// The image tower.
#[derive(Module, Debug)]
pub struct SiglipImage {
    patch_embed: Linear,
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Option<PoolingHead>,
    patch_size: usize,
    channels: usize,
    grid: usize,
    naflex: bool,
}

impl SiglipImage {
    /// The tower at `reader` (`vision_model` of a whole checkpoint).
    pub fn read(config: &SiglipConfig, reader: &WeightReader) -> Self {
        let (v, grid) = (&config.vision_config, config.grid());
        let (w, p, c) = (v.hidden_size, v.patch_size, v.num_channels);
        let block = v.block();
        let embeddings = reader.enter("embeddings");
        reader.ignore("embeddings.position_ids");
        Self {
            patch_embed: match config.model_type {
                SiglipKind::Fixed => embeddings.conv_as_linear("patch_embedding", &[w, c, p, p], Bias::Yes),
                SiglipKind::NaFlex => embeddings.linear("patch_embedding", c * p * p, w, Bias::Yes),
            },
            position: embeddings.param("position_embedding.weight", [grid * grid, w]),
            blocks: (0..v.num_hidden_layers)
                .map(|i| block.read(&LAYER, &reader.enter(format!("encoder.layers.{i}"))))
                .collect(),
            norm: Norm::read(NormKind::Layer, "post_layernorm", w, v.layer_norm_eps, reader),
            head: v.vision_use_head.then(|| PoolingHead::read(v, &reader.enter("head"))),
            patch_size: p,
            channels: c,
            grid,
            naflex: config.model_type == SiglipKind::NaFlex,
        }
    }

    /// Rows and columns of patches of pixels `[views, channels, height, width]`.
    pub fn patches(&self, pixels: &Tensor<4>) -> [usize; 2] {
        let [_, _, height, width] = pixels.dims();
        [height / self.patch_size, width / self.patch_size]
    }

    /// Tokens after the last norm, and the pooled vectors.
    ///
    /// # Errors
    /// [`VisionError`] when the input is of the other kind, or has another number of channels, or not a whole patch.
    pub fn forward(&self, input: &ImageInput) -> Result<ImageFeatures, VisionError> {
        self.forward_observed(input, &mut |_| {})
    }

    /// [`Self::forward`] that shows `seen` the embedded patches and then each layer's output, `[views, patches, width]`
    /// (`hidden_states` of transformers).
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_observed(
        &self,
        input: &ImageInput,
        seen: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<ImageFeatures, VisionError> {
        let (x, padding) = match input {
            ImageInput::Pixels(pixels) => (self.embed_pixels(pixels)?, None),
            ImageInput::Patches(batch) => (self.embed_patches(batch)?, Some(&batch.padding)),
        };
        let x = through(&self.blocks, x, padding.map_or(Keys::All, Keys::Visible), None, seen);
        let tokens = self.norm.forward(x);
        let pooled = self.head.as_ref().map(|head| head.forward(tokens.clone(), padding));
        Ok(ImageFeatures { tokens, pooled })
    }

    fn embed_pixels(&self, pixels: &Tensor<4>) -> Result<Tensor<3>, VisionError> {
        if self.naflex {
            return Err(VisionError::Kind { expected: "sequences of patches (NaFlex)", given: "pixels" });
        }
        let [views, channels, height, width] = pixels.dims();
        let patch = self.patch_size;
        if views == 0 {
            return Err(VisionError::NoView);
        }
        if channels != self.channels {
            return Err(VisionError::Channels { given: channels, expected: self.channels });
        }
        let position = self
            .position_at(height / patch, width / patch, Filter::Cubic)
            .ok_or(VisionError::SmallerThanAPatch { height, width, patch })?;
        Ok(self.patch_embed.forward(patches_from_pixels(pixels.clone(), patch)) + position.unsqueeze::<3>())
    }

    fn embed_patches(&self, batch: &PatchBatch) -> Result<Tensor<3>, VisionError> {
        if !self.naflex {
            return Err(VisionError::Kind { expected: "pixels", given: "sequences of patches (NaFlex)" });
        }
        let [views, room, values] = batch.patches.dims();
        let expected = self.patch_size * self.patch_size * self.channels;
        if values != expected {
            return Err(VisionError::Channels { given: values, expected });
        }
        let mut positions = Vec::with_capacity(views);
        for &[rows, columns] in &batch.grids {
            let position = self.position_at(rows, columns, Filter::TriangleAntialias).ok_or_else(|| {
                VisionError::Grids { views, patches: room, reason: format!("({rows}, {columns}) is empty") }
            })?;
            // padding stands at the first place, as in the reference; nobody reads it
            let free = room - rows * columns;
            let position = if free > 0 {
                let width = position.dims()[1];
                let first = position.clone().narrow(0, 0, 1).expand([free, width]);
                Tensor::cat(vec![position, first], 0)
            } else {
                position
            };
            positions.push(position.unsqueeze::<3>());
        }
        Ok(self.patch_embed.forward(batch.patches.clone()) + Tensor::cat(positions, 0))
    }

    /// The positions of a grid, `[rows * columns, width]`; none where it is empty.
    fn position_at(&self, rows: usize, columns: usize, filter: Filter) -> Option<Tensor<2>> {
        let position = self.position.val();
        if (rows, columns) == (self.grid, self.grid) {
            return Some(position);
        }
        let width = position.dims()[1];
        let axis = |to: usize| Axis::new(self.grid, to, filter);
        Some(resize_grid(position.reshape([self.grid, self.grid, width]), &axis(rows)?, &axis(columns)?))
    }
}
