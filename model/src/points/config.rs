//! Sizes of the point encoder and of its input.

use serde::{Deserialize, Serialize};

/// How a fused cloud becomes the point encoder's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointSampleConfig {
    /// Side of a sampling voxel for everything but the room's shell, metres.
    pub grid_m: f32,
    /// Side of a sampling voxel for floor, walls and ceiling, metres.
    pub shell_grid_m: f32,
    /// Most points; a scene with more is sampled more coarsely.
    pub max_points: usize,
}

impl Default for PointSampleConfig {
    fn default() -> Self {
        Self { grid_m: 0.07, shell_grid_m: 0.4, max_points: 2048 }
    }
}

/// Sizes of the point encoder; index 0 is the finest stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointEncoderConfig {
    /// Numbers a point comes with.
    pub in_channels: usize,
    /// Channels of each stage; every stage after the first halves the resolution.
    pub channels: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage.
    pub heads: Vec<usize>,
    /// Points that attend to each other.
    pub patch_size: usize,
    /// Hidden channels of a block's MLP over its channels.
    pub mlp_ratio: usize,
}

impl PointEncoderConfig {
    /// The sizes of the embedded `nano`.
    pub fn nano() -> Self {
        Self {
            in_channels: 9,
            channels: vec![32, 64, 128],
            depths: vec![1, 1, 2],
            heads: vec![2, 4, 8],
            patch_size: 64,
            mlp_ratio: 2,
        }
    }

    /// Channels of the features at the finest stage, after the decoder.
    pub fn fine_channels(&self) -> usize {
        self.channels.first().copied().unwrap_or(0)
    }

    /// Channels of the features at the coarsest stage.
    pub fn coarse_channels(&self) -> usize {
        self.channels.last().copied().unwrap_or(0)
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<String> {
        const MAX_STAGES: usize = 8;
        const MAX_SIZE: usize = 1 << 16;
        let n = self.channels.len();
        if n == 0 || n > MAX_STAGES || self.depths.len() != n || self.heads.len() != n {
            return Some(format!("points: channels, depths and heads must be equally long, from 1 to {MAX_STAGES}"));
        }
        if self.in_channels != super::sample::INPUT_WIDTH {
            return Some(format!(
                "points.in_channels is {}, it must be {}",
                self.in_channels,
                super::sample::INPUT_WIDTH
            ));
        }
        for (&c, &h) in self.channels.iter().zip(&self.heads) {
            if c == 0 || c > MAX_SIZE || h == 0 || c % h != 0 {
                return Some(format!("points: {c} channels do not split into {h} heads"));
            }
        }
        let sizes = [self.patch_size, self.mlp_ratio];
        if sizes.iter().any(|&s| s == 0 || s > MAX_SIZE) || self.depths.iter().any(|&d| d > MAX_SIZE) {
            return Some(format!("points: patch_size, mlp_ratio and depths must be from 1 to {MAX_SIZE}"));
        }
        None
    }
}

impl PointSampleConfig {
    /// What is wrong with the settings, if anything.
    pub fn problem(&self) -> Option<String> {
        let usable = |x: f32| x.is_finite() && (0.001..=10.0).contains(&x);
        if !usable(self.grid_m) || !usable(self.shell_grid_m) {
            return Some("point_sample: grid_m and shell_grid_m must be from 0.001 to 10 m".to_owned());
        }
        (self.max_points == 0 || self.max_points > 1 << 20)
            .then(|| "point_sample.max_points must be from 1 to 1048576".to_owned())
    }
}
