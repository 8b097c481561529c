//! The `vision_config` of a Qwen2.5-VL config.json in, checked sizes of the vision tower out.

use serde::Deserialize;
use serde_json::Value;

use super::error::QwenVisionError;

/// Largest value of any width; far above Qwen2.5-VL-72B's 8192.
const MAX_WIDTH: usize = 1 << 20;
/// Most blocks; Qwen2.5-VL has 32.
const MAX_DEPTH: usize = 1 << 10;
/// Largest patch, merged square, window or clip length along one side.
const MAX_SIDE: usize = 1 << 12;
/// The only activation of the reference's checkpoints.
const ACTIVATION: &str = "silu";

/// Sizes of the vision tower, in the names of the reference. An absent field has the reference's default
/// (transformers leaves defaults out when it writes a config).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct QwenVisionConfig {
    /// Blocks.
    #[serde(alias = "num_hidden_layers")]
    pub depth: usize,
    /// Channels of a patch's token.
    pub hidden_size: usize,
    /// Channels of the MLP.
    pub intermediate_size: usize,
    /// Attention heads; divides `hidden_size`.
    #[serde(alias = "num_attention_heads")]
    pub num_heads: usize,
    /// Channels of a picture. Checkpoints of 2025 call it `in_chans`.
    #[serde(alias = "in_chans")]
    pub in_channels: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side, in patches, of the square that becomes one token of the decoder.
    pub spatial_merge_size: usize,
    /// Frames in a patch; a single image is taken this often.
    pub temporal_patch_size: usize,
    /// Side of an attention window in pixels.
    pub window_size: usize,
    /// Channels of the decoder's token.
    pub out_hidden_size: usize,
    /// Blocks that attend to the whole frame instead of windows; indices from `depth` on have no effect, as in the reference.
    pub fullatt_block_indexes: Vec<usize>,
    /// The MLP's activation, `silu`.
    pub hidden_act: String,
    /// The rotary embedding; none for the reference's default.
    pub rope_parameters: Option<QwenRope>,
}

/// The rotary embedding's part of the config.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct QwenRope {
    /// Base of the angles.
    pub rope_theta: f64,
    /// `axial`, or `default` in older files.
    pub rope_type: String,
}

impl Default for QwenRope {
    fn default() -> Self {
        Self { rope_theta: 10_000.0, rope_type: "axial".to_owned() }
    }
}

impl Default for QwenVisionConfig {
    fn default() -> Self {
        Self {
            depth: 32,
            hidden_size: 3584,
            intermediate_size: 3420,
            num_heads: 16,
            in_channels: 3,
            patch_size: 14,
            spatial_merge_size: 2,
            temporal_patch_size: 2,
            window_size: 112,
            out_hidden_size: 3584,
            fullatt_block_indexes: vec![7, 15, 23, 31],
            hidden_act: ACTIVATION.to_owned(),
            rope_parameters: None,
        }
    }
}

impl QwenVisionConfig {
    /// Reads and checks `vision_config` in the bytes of a config.json. `file` names it in errors.
    ///
    /// # Errors
    /// [`QwenVisionError::Config`] with the field and the reason.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self, QwenVisionError> {
        let refused = |reason: String| QwenVisionError::Config { file: file.to_owned(), reason };
        let whole: Value = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        let vision = whole
            .get("vision_config")
            .ok_or_else(|| refused("it has no vision_config; a Qwen2.5-VL config.json is needed".to_owned()))?;
        let config = Self::deserialize(vision).map_err(|e| refused(format!("vision_config: {e}")))?;
        match config.problem() {
            Some(problem) => Err(refused(format!("vision_config.{problem}"))),
            None => Ok(config),
        }
    }

    /// Channels of one head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// Values of one patch: `in_channels * temporal_patch_size * patch_size^2`.
    pub fn patch_width(&self) -> usize {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }

    /// Channels of the patches that become one token.
    pub fn merged_width(&self) -> usize {
        self.hidden_size * self.spatial_merge_size * self.spatial_merge_size
    }

    /// Side of an attention window in merged tokens.
    pub fn window_tokens(&self) -> usize {
        self.window_size / self.spatial_merge_size / self.patch_size
    }

    /// Base of the rotary angles.
    pub fn rope_theta(&self) -> f64 {
        self.rope_parameters.as_ref().map_or_else(|| QwenRope::default().rope_theta, |rope| rope.rope_theta)
    }

    /// What is wrong with the sizes, beginning with the field's name.
    pub(super) fn problem(&self) -> Option<String> {
        let sizes = [
            ("depth", self.depth, MAX_DEPTH),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_heads", self.num_heads, MAX_WIDTH),
            ("out_hidden_size", self.out_hidden_size, MAX_WIDTH),
            ("in_channels", self.in_channels, MAX_SIDE),
            ("patch_size", self.patch_size, MAX_SIDE),
            ("spatial_merge_size", self.spatial_merge_size, MAX_SIDE),
            ("temporal_patch_size", self.temporal_patch_size, MAX_SIDE),
            ("window_size", self.window_size, MAX_WIDTH),
        ];
        if let Some((name, size, most)) = sizes.into_iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            return Some(format!("{name} is {size}, it must be from 1 to {most}"));
        }
        // sides are at most 2^12 and widths 2^20: no product here leaves 64 bits
        for (name, width) in [
            ("patch_size: in_channels * temporal_patch_size * patch_size^2", self.patch_width()),
            ("spatial_merge_size: hidden_size * spatial_merge_size^2", self.merged_width()),
        ] {
            if width > MAX_WIDTH {
                return Some(format!("{name} is {width}, it must be at most {MAX_WIDTH}"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_heads) || !self.head_width().is_multiple_of(4) {
            return Some(format!(
                "hidden_size {} divided by num_heads {} must be a multiple of 4 (half of a head turns with rows, half with columns)",
                self.hidden_size, self.num_heads
            ));
        }
        if self.window_tokens() == 0 {
            return Some(format!(
                "window_size {} is less than one merged token of {} pixels (patch_size * spatial_merge_size)",
                self.window_size,
                self.patch_size * self.spatial_merge_size
            ));
        }
        if self.hidden_act != ACTIVATION {
            return Some(format!("hidden_act is {:?}, only {ACTIVATION:?} is known", self.hidden_act));
        }
        let rope = self.rope_parameters.as_ref()?;
        if rope.rope_type != "axial" && rope.rope_type != "default" {
            return Some(format!("rope_parameters.rope_type is {:?}, only \"axial\" is known", rope.rope_type));
        }
        if !(rope.rope_theta > 0.0 && rope.rope_theta.is_finite()) {
            return Some(format!("rope_parameters.rope_theta is {}, it must be above 0", rope.rope_theta));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `vision_config` of the 7B checkpoint of February 2025.
    const SEVEN_B: &str = r#"{"vision_config": {"depth": 32, "hidden_act": "silu", "hidden_size": 1280,
        "intermediate_size": 3420, "num_heads": 16, "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14,
        "spatial_merge_size": 2, "spatial_patch_size": 14, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2}}"#;

    fn with(field: &str, value: Value) -> Result<QwenVisionConfig, QwenVisionError> {
        let mut whole: Value = serde_json::from_str(SEVEN_B).unwrap();
        whole["vision_config"][field] = value;
        QwenVisionConfig::from_json(&serde_json::to_vec(&whole).unwrap(), "q/config.json")
    }

    #[test]
    fn public_sizes_are_read() {
        let seven = QwenVisionConfig::from_json(SEVEN_B.as_bytes(), "config.json").unwrap();
        assert_eq!((seven.head_width(), seven.patch_width(), seven.merged_width()), (80, 1176, 5120));
        assert_eq!((seven.window_tokens(), seven.rope_theta()), (4, 10_000.0));
        assert_eq!(seven, QwenVisionConfig { hidden_size: 1280, ..QwenVisionConfig::default() });
        for (intermediate, out) in [(3420, 2048), (3456, 8192)] {
            let mut whole: Value = serde_json::from_str(SEVEN_B).unwrap();
            whole["vision_config"]["intermediate_size"] = intermediate.into();
            whole["vision_config"]["out_hidden_size"] = out.into();
            let config = QwenVisionConfig::from_json(&serde_json::to_vec(&whole).unwrap(), "config.json").unwrap();
            assert_eq!((config.intermediate_size, config.out_hidden_size), (intermediate, out));
        }
    }

    #[test]
    fn absurd_sizes_are_refused_by_name() {
        for (field, value, expected) in [
            ("depth", Value::from(0), "depth is 0"),
            ("depth", Value::from(1_000_000), "depth is 1000000"),
            ("hidden_size", Value::from(1u64 << 60), "hidden_size is"),
            ("hidden_size", Value::from(1281), "hidden_size 1281 divided by num_heads 16"),
            ("num_heads", Value::from(640), "must be a multiple of 4"),
            ("patch_size", Value::from(4000), "patch_size: in_channels"),
            ("spatial_merge_size", Value::from(4000), "spatial_merge_size: hidden_size"),
            ("window_size", Value::from(27), "window_size 27"),
            ("hidden_act", Value::from("gelu"), "hidden_act is \"gelu\""),
            ("rope_parameters", serde_json::json!({"rope_theta": 0.0}), "rope_parameters.rope_theta is 0"),
            ("rope_parameters", serde_json::json!({"rope_type": "yarn"}), "rope_parameters.rope_type is \"yarn\""),
            ("num_heads", Value::from("many"), "invalid type: string \"many\""),
            ("fullatt_block_indexes", Value::from(7), "invalid type"),
        ] {
            let text = with(field, value).unwrap_err().to_string();
            assert!(text.starts_with("q/config.json: vision_config") && text.contains(expected), "{field}: {text}");
        }
        let text = QwenVisionConfig::from_json(b"{}", "config.json").unwrap_err().to_string();
        assert!(text.contains("no vision_config"), "{text}");
    }
}
