//! config.json in, typed sizes of every part out; all sizes are checked here, before any weight is allocated.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::points::{PointEncoderConfig, PointSampleConfig};

/// The `format_version` of config.json that this code reads and writes.
pub const CONFIG_FORMAT_VERSION: u32 = 1;

/// Largest value accepted for any size in a configuration; far above Qwen2.5-VL-72B (29 568) and SigLIP.
const MAX_SIZE: usize = 1 << 20;
/// Most patches of a picture.
const MAX_PATCHES: usize = 1 << 16;

/// Sizes of a whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Version of this file's format.
    pub format_version: u32,
    /// A name for logs and answers, for example `nano`.
    pub name: String,
    /// The text decoder.
    pub decoder: DecoderConfig,
    /// The image encoder (SigLIP style).
    pub image: VisionConfig,
    /// The depth encoder (DINOv2 style, on measured depth).
    pub depth: VisionConfig,
    /// The text tower that scores views against a question.
    pub text_tower: TextTowerConfig,
    /// The point encoder.
    pub points: PointEncoderConfig,
    /// How a fused cloud is sampled for the point encoder.
    pub point_sample: PointSampleConfig,
    /// Width of the shared space of E_text, E_img, E_3D and of CLIP_text, CLIP_image.
    pub embedding_width: usize,
    /// Width of the box decoder.
    pub box_width: usize,
    /// Most views given to the decoder when the caller names no number: as many as in training.
    pub default_views: usize,
    /// Names of the object classes that the auxiliary point classifier tells apart, index by class; the first is the room's shell.
    pub point_classes: Vec<String>,
}

/// Sizes of the text decoder, in the names of Qwen2's config.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Channels of the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Whether the input embedding is the output head too.
    #[serde(default = "tied", skip_serializing_if = "Clone::clone")]
    pub tie_word_embeddings: bool,
    /// M-RoPE: rotary angles that turn with a token's time, row and column; together half the head width. None: one position a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mrope_section: Option<[usize; 3]>,
}

fn tied() -> bool {
    true
}

impl DecoderConfig {
    /// A small decoder of two layers for tests: four query heads on two key heads.
    #[cfg(test)]
    pub(crate) fn tiny(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: 32,
            intermediate_size: 48,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            mrope_section: None,
        }
    }

    /// Channels of one head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Channels of all query heads.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_width()
    }

    /// Channels of all key heads, and of all value heads.
    pub fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_width()
    }

    /// [`Self::mrope_section`], or all angles turning with time.
    pub fn sections(&self) -> [usize; 3] {
        self.mrope_section.unwrap_or([self.head_width() / 2, 0, 0])
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
        ];
        for (name, size) in sizes {
            if size == 0 || size > MAX_SIZE {
                return Some(format!("{name} is {size}, it must be from 1 to {MAX_SIZE}"));
            }
        }
        let divides = [
            ("hidden_size by num_attention_heads", self.hidden_size, self.num_attention_heads),
            ("num_attention_heads by num_key_value_heads", self.num_attention_heads, self.num_key_value_heads),
        ];
        for (what, whole, part) in divides {
            if !whole.is_multiple_of(part) {
                return Some(format!("{what}: {whole} is no multiple of {part}"));
            }
        }
        let width = self.head_width();
        if !width.is_multiple_of(2) {
            return Some(format!("head width {width} is odd; rotary embedding needs an even one"));
        }
        if let Some(sections) = self.mrope_section
            && sections.iter().try_fold(0usize, |sum, &s| sum.checked_add(s)) != Some(width / 2)
        {
            return Some(format!("mrope_section {sections:?} must add up to half the head width, {}", width / 2));
        }
        let (eps, theta) = (self.rms_norm_eps, self.rope_theta);
        let usable = |x: f64| x > 0.0 && x.is_finite();
        (!usable(eps) || !usable(theta))
            .then(|| format!("rms_norm_eps is {eps} and rope_theta is {theta}, both must be above 0"))
    }
}

/// Sizes of a vision transformer over fixed-size views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Input width in pixels; a multiple of `patch_size * merge`.
    pub image_width: usize,
    /// Input height in pixels; a multiple of `patch_size * merge`.
    pub image_height: usize,
    /// Side of a square patch in pixels.
    pub patch_size: usize,
    /// Input channels.
    pub in_channels: usize,
    /// Channels of a token.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the square of patches merged into one token for the decoder.
    pub merge: usize,
}

impl VisionConfig {
    /// Patches across and down.
    pub fn patches(&self) -> (usize, usize) {
        (self.image_width / self.patch_size, self.image_height / self.patch_size)
    }

    /// Merged tokens across and down.
    pub fn merged(&self) -> (usize, usize) {
        let (across, down) = self.patches();
        (across / self.merge, down / self.merge)
    }

    /// Tokens that one view gives to the decoder.
    pub fn tokens(&self) -> usize {
        let (across, down) = self.merged();
        across * down
    }
}

/// Sizes of the text tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTowerConfig {
    /// Channels of a token.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Longest question in tokens; the rest is cut off.
    pub max_tokens: usize,
}

impl ModelConfig {
    /// The sizes of the embedded `nano`, for a tokenizer of `vocab_size` tokens and the given point classes.
    pub fn nano(vocab_size: usize, point_classes: Vec<String>) -> Self {
        let view = |in_channels| VisionConfig {
            image_width: 64,
            image_height: 48,
            patch_size: 8,
            in_channels,
            width: 96,
            layers: 2,
            heads: 3,
            merge: 2,
        };
        Self {
            format_version: CONFIG_FORMAT_VERSION,
            name: "nano".to_owned(),
            decoder: DecoderConfig {
                vocab_size,
                hidden_size: 128,
                intermediate_size: 384,
                num_hidden_layers: 4,
                num_attention_heads: 2,
                num_key_value_heads: 1,
                rms_norm_eps: 1e-6,
                rope_theta: 10_000.0,
                tie_word_embeddings: true,
                mrope_section: None,
            },
            image: view(3),
            depth: VisionConfig { layers: 1, ..view(2) },
            text_tower: TextTowerConfig { width: 96, layers: 2, heads: 3, max_tokens: 160 },
            points: PointEncoderConfig::nano(),
            point_sample: PointSampleConfig::default(),
            embedding_width: 64,
            box_width: 96,
            default_views: 4,
            point_classes,
        }
    }

    /// Reads and checks config.json. `origin` names the file in errors.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field and the reason.
    pub fn from_json(bytes: &[u8], origin: &str) -> Result<Self, ModelError> {
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|e| ModelError::Config { origin: origin.to_owned(), reason: e.to_string() })?;
        config.check().map_err(|reason| ModelError::Config { origin: origin.to_owned(), reason })?;
        Ok(config)
    }

    /// Refuses a config that asks for more weights than `bytes` of a file can hold, before any is allocated.
    ///
    /// # Errors
    /// [`ModelError::Config`] with both numbers.
    pub fn check_file_size(&self, bytes: usize, origin: &str) -> Result<(), ModelError> {
        let least = self.least_weights();
        // the smallest number type takes two bytes
        if least.saturating_mul(2) <= bytes as u128 {
            return Ok(());
        }
        let reason = format!("it asks for at least {least} weights, but model.safetensors has only {bytes} bytes");
        Err(ModelError::Config { origin: origin.to_owned(), reason })
    }

    /// Weights of the largest matrices: never more than the model has.
    fn least_weights(&self) -> u128 {
        let product = |factors: &[usize]| factors.iter().fold(1u128, |p, &f| p.saturating_mul(f as u128));
        let (d, t) = (&self.decoder, &self.text_tower);
        let mut parts = vec![
            product(&[d.vocab_size, d.hidden_size]),
            product(&[d.num_hidden_layers, 3, d.hidden_size, d.intermediate_size]),
            product(&[d.num_hidden_layers, d.hidden_size, d.hidden_size]),
            product(&[d.vocab_size, t.width]),
            product(&[t.layers, t.width, t.width]),
            product(&[t.max_tokens, t.width]),
            product(&[self.box_width, self.box_width]),
            product(&[self.embedding_width, t.width]),
        ];
        for v in [&self.image, &self.depth] {
            parts.push(product(&[v.layers, v.width, v.width]));
        }
        for (&channels, &depth) in self.points.channels.iter().zip(&self.points.depths) {
            parts.push(product(&[depth, channels, channels]));
        }
        parts.into_iter().fold(0, u128::saturating_add)
    }

    fn check(&self) -> Result<(), String> {
        if self.format_version != CONFIG_FORMAT_VERSION {
            return Err(format!("format_version is {}, this build reads {CONFIG_FORMAT_VERSION}", self.format_version));
        }
        if let Some(problem) = self.points.problem().or_else(|| self.point_sample.problem()) {
            return Err(problem);
        }
        if let Some(problem) = self.decoder.problem() {
            return Err(format!("decoder: {problem}"));
        }
        let t = &self.text_tower;
        let mut sizes = vec![
            ("text_tower.layers", t.layers),
            ("text_tower.width", t.width),
            ("text_tower.heads", t.heads),
            ("text_tower.max_tokens", t.max_tokens),
            ("embedding_width", self.embedding_width),
            ("box_width", self.box_width),
            ("default_views", self.default_views),
            ("point_classes (length)", self.point_classes.len()),
        ];
        for v in [&self.image, &self.depth] {
            sizes.extend([
                ("layers", v.layers),
                ("image_width", v.image_width),
                ("image_height", v.image_height),
                ("patch_size", v.patch_size),
                ("in_channels", v.in_channels),
                ("width", v.width),
                ("heads", v.heads),
                ("merge", v.merge),
            ]);
        }
        for (name, size) in sizes {
            if size == 0 || size > MAX_SIZE {
                return Err(format!("{name} is {size}, it must be from 1 to {MAX_SIZE}"));
            }
        }
        let divides = [
            ("text_tower.width by heads", t.width, t.heads),
            ("image.width by heads", self.image.width, self.image.heads),
            ("depth.width by heads", self.depth.width, self.depth.heads),
        ];
        for (what, whole, part) in divides {
            if !whole.is_multiple_of(part) {
                return Err(format!("{what}: {whole} is no multiple of {part}"));
            }
        }
        for (name, v, channels) in [("image", &self.image, 3), ("depth", &self.depth, 2)] {
            let step = v.patch_size * v.merge;
            if !v.image_width.is_multiple_of(step) || !v.image_height.is_multiple_of(step) {
                return Err(format!(
                    "{name}: {}x{} is no multiple of patch_size * merge = {step}",
                    v.image_width, v.image_height
                ));
            }
            if (v.image_width / v.patch_size).saturating_mul(v.image_height / v.patch_size) > MAX_PATCHES {
                return Err(format!(
                    "{name}: {}x{} gives more than {MAX_PATCHES} patches",
                    v.image_width, v.image_height
                ));
            }
            if v.in_channels != channels {
                return Err(format!("{name}.in_channels is {}, it must be {channels}", v.in_channels));
            }
        }
        if (self.image.image_width, self.image.image_height, self.image.tokens())
            != (self.depth.image_width, self.depth.image_height, self.depth.tokens())
        {
            return Err("image and depth must have the same size and the same number of tokens".to_owned());
        }
        Ok(())
    }
}
