//! config.json of a Qwen2.5-VL folder in, checked sizes of its text decoder and its token ids out.
//!
//! Both layouts are read: the published one, with the decoder's fields at the top, and that of later `transformers`,
//! with them in `text_config`. Rotary fields are looked for in `rope_scaling`, then `rope_parameters`, then beside them
//! (`Qwen2_5_VLTextConfig`, transformers 5.24).

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{QwenError, read_file};
use super::fields::{Fields, parse_object};
use crate::config::DecoderConfig;

const FILE: &str = "config.json";
const MAX_BYTES: u64 = 1 << 24;
const MODEL_TYPE: &str = "qwen2_5_vl";
/// Largest value of any size; far above the 152 064 tokens and 29 568 channels of the 72B model.
const SIZES: RangeInclusive<usize> = 1..=1 << 20;
/// Most layers; the 72B model has 80.
const LAYERS: RangeInclusive<usize> = 1..=1 << 10;
/// Longest text in tokens; Qwen2.5-VL is published with 128 000.
const POSITIONS: RangeInclusive<usize> = 1..=1 << 24;
/// Of `Qwen2_5_VLTextConfig`, where a file names none.
const DEFAULT_THETA: f64 = 1e6;
/// As for `DEFAULT_THETA`.
const DEFAULT_POSITIONS: usize = 32_768;
/// Parts of a rotary position: time, height, width.
const SECTIONS: usize = 3;

/// Sizes of the text decoder, in the names of its config.json.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenTextConfig {
    /// Rows of the token embedding; at least the tokenizer's tokens, padded to a round number.
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
    /// Longest text in tokens, pictures included.
    pub max_position_embeddings: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Frequencies of a head that turn with time, height and width (M-RoPE, arXiv 2409.12191); half a head in all.
    pub mrope_section: [usize; SECTIONS],
}

/// Ids of the tokens that stand for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisualTokenIds {
    /// `<|image_pad|>`: replaced by as many as the picture has tokens.
    pub image: u32,
    /// `<|video_pad|>`.
    pub video: u32,
    /// `<|vision_start|>`.
    pub start: u32,
    /// `<|vision_end|>`.
    pub end: u32,
}

/// A Qwen2.5-VL model's sizes and ids.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenConfig {
    /// The text decoder.
    pub text: QwenTextConfig,
    /// True where the output head is the token embedding (3B); false where it is a matrix of its own (7B, 72B).
    pub tie_word_embeddings: bool,
    /// Tokens that stand for pictures.
    pub visual_tokens: VisualTokenIds,
    /// Tokens that end a text, where generation_config.json names none; may be empty.
    pub end_tokens: Vec<u32>,
}

impl QwenTextConfig {
    /// Channels of one head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Numbers in the decoder's tensors: embedding, layers with biases on query, key and value, norms, and the output
    /// head unless it is `tied` to the embedding.
    pub fn parameters(&self, tied: bool) -> u64 {
        let [v, d, m, l] =
            [self.vocab_size, self.hidden_size, self.intermediate_size, self.num_hidden_layers].map(|n| n as u64);
        let kv = (self.num_key_value_heads * self.head_width()) as u64;
        let attention = (d * d + d) + 2 * (d * kv + kv) + d * d;
        let layer = attention + 3 * d * m + 2 * d;
        let head = if tied { 0 } else { v * d };
        v * d + head + d + l * layer
    }

    fn read(fields: &Fields<'_>) -> Result<Self, QwenError> {
        let heads = fields.size("num_attention_heads", &SIZES)?;
        let config = Self {
            vocab_size: fields.size("vocab_size", &SIZES)?,
            hidden_size: fields.size("hidden_size", &SIZES)?,
            intermediate_size: fields.size("intermediate_size", &SIZES)?,
            num_hidden_layers: fields.size("num_hidden_layers", &LAYERS)?,
            num_attention_heads: heads,
            num_key_value_heads: fields.size_or_none("num_key_value_heads", &SIZES)?.unwrap_or(heads),
            max_position_embeddings: fields
                .size_or_none("max_position_embeddings", &POSITIONS)?
                .unwrap_or(DEFAULT_POSITIONS),
            rms_norm_eps: fields.number("rms_norm_eps")?.ok_or_else(|| fields.fault("rms_norm_eps", "is missing"))?,
            rope_theta: rope_theta(fields)?,
            mrope_section: mrope_section(fields)?,
        };
        config.check(fields)?;
        Ok(config)
    }

    fn check(&self, fields: &Fields<'_>) -> Result<(), QwenError> {
        let divides = [
            ("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads),
            ("num_attention_heads", self.num_attention_heads, "num_key_value_heads", self.num_key_value_heads),
        ];
        for (name, whole, by, part) in divides {
            if !whole.is_multiple_of(part) {
                return Err(fields.fault(name, format!("is {whole}, no multiple of {by}, which is {part}")));
            }
        }
        if fields.size_or_none("head_dim", &SIZES)?.is_some_and(|width| width != self.head_width()) {
            let expected = format!("must be hidden_size / num_attention_heads, {}", self.head_width());
            return Err(fields.fault("head_dim", expected));
        }
        let turned: usize = self.mrope_section.iter().sum();
        if turned * 2 != self.head_width() {
            let reason = format!(
                "is {:?}, in all {turned}; it must be half a head's {} channels",
                self.mrope_section,
                self.head_width()
            );
            return Err(fields.fault("mrope_section", reason));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return Err(fields.fault("rms_norm_eps", format!("is {}, it must be between 0 and 1", self.rms_norm_eps)));
        }
        if fields.text("hidden_act")?.is_some_and(|name| name != "silu") {
            return Err(fields.fault("hidden_act", "must be \"silu\""));
        }
        self.check_window(fields)
    }

    /// `sliding_window` is read past: it counts only where `use_sliding_window` is set, which no published Qwen2.5-VL
    /// does, and full attention is what the model then does. A config that really slides is refused, not read wrongly.
    fn check_window(&self, fields: &Fields<'_>) -> Result<(), QwenError> {
        let sliding_from = match fields.flag("use_sliding_window")? {
            Some(true) if fields.get("sliding_window").is_some() => {
                fields.size_or_none("max_window_layers", &(0..=1 << 20))?.unwrap_or(0)
            }
            _ => return Ok(()),
        };
        if sliding_from >= self.num_hidden_layers {
            return Ok(());
        }
        Err(fields
            .fault("use_sliding_window", "is true, but only full attention is supported; no published model sets it"))
    }
}

/// The objects in which rotary fields may lie, those that win first.
fn rope_objects<'a>(fields: &Fields<'a>) -> Result<Vec<&'a Map<String, Value>>, QwenError> {
    let objects = [fields.object("rope_scaling")?, fields.object("rope_parameters")?];
    Ok(objects.into_iter().flatten().collect())
}

fn rope_theta(fields: &Fields<'_>) -> Result<f64, QwenError> {
    let mut found = None;
    for map in rope_objects(fields)? {
        found = found.or(Fields::new(FILE, "rope_parameters.", map).number("rope_theta")?);
    }
    let theta = found.or(fields.number("rope_theta")?).unwrap_or(DEFAULT_THETA);
    if theta > 1.0 { Ok(theta) } else { Err(fields.fault("rope_theta", format!("is {theta}, it must be above 1"))) }
}

fn mrope_section(fields: &Fields<'_>) -> Result<[usize; SECTIONS], QwenError> {
    let mut sections = None;
    for map in rope_objects(fields)? {
        let rope = Fields::new(FILE, "", map);
        for name in ["rope_type", "type"] {
            let kind = rope.text(name)?;
            if kind.is_some_and(|kind| kind != "mrope" && kind != "default") {
                return Err(fields.fault(name, format!("is {kind:?}, only mrope and default are supported")));
            }
        }
        sections = sections.or(map.get("mrope_section"));
    }
    let sections = sections.ok_or_else(|| fields.fault("mrope_section", "is missing in rope_scaling"))?;
    let fault = || fields.fault("mrope_section", format!("is {sections}, it must be three sizes: time, height, width"));
    let list: Option<Vec<usize>> = sections
        .as_array()
        .and_then(|list| list.iter().map(|v| v.as_u64().and_then(|n| usize::try_from(n).ok())).collect());
    let list: [usize; SECTIONS] = list.ok_or_else(fault)?.try_into().map_err(|_| fault())?;
    if list.iter().all(|n| SIZES.contains(n)) { Ok(list) } else { Err(fault()) }
}

impl QwenConfig {
    /// The sizes as the decoder reads them.
    pub fn decoder(&self) -> DecoderConfig {
        let t = &self.text;
        DecoderConfig {
            vocab_size: t.vocab_size,
            hidden_size: t.hidden_size,
            intermediate_size: t.intermediate_size,
            num_hidden_layers: t.num_hidden_layers,
            num_attention_heads: t.num_attention_heads,
            num_key_value_heads: t.num_key_value_heads,
            rms_norm_eps: t.rms_norm_eps,
            rope_theta: t.rope_theta,
            tie_word_embeddings: self.tie_word_embeddings,
            mrope_section: Some(t.mrope_section),
        }
    }

    /// Reads config.json of `dir`.
    ///
    /// # Errors
    /// [`QwenError`] with the file and field.
    pub fn read(dir: &Path) -> Result<Self, QwenError> {
        let path = dir.join(FILE);
        Self::from_json(&read_file(&path, MAX_BYTES)?, &path.display().to_string())
    }

    /// As [`Self::read`], from bytes; `file` names them in errors.
    ///
    /// # Errors
    /// [`QwenError::Config`] with the field.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self, QwenError> {
        let map = parse_object(bytes, file)?;
        let root = Fields::new(file, "", &map);
        match root.text("model_type")? {
            Some(MODEL_TYPE) => {}
            other => {
                return Err(root.fault("model_type", format!("is {other:?}, this is no Qwen2.5-VL ({MODEL_TYPE})")));
            }
        }
        let nested = root.object("text_config")?;
        let text = nested.map_or(root, |map| Fields::new(file, "text_config.", map));
        let decoder = QwenTextConfig::read(&text)?;
        let id = |name: &str, published: u32| match root.token_ids(name)?.as_slice() {
            [] => Ok(published),
            [id] => Ok(*id),
            _ => Err(root.fault(name, "must be one token id")),
        };
        let visual_tokens = VisualTokenIds {
            image: id("image_token_id", 151_655)?,
            video: id("video_token_id", 151_656)?,
            start: id("vision_start_token_id", 151_652)?,
            end: id("vision_end_token_id", 151_653)?,
        };
        let v = &visual_tokens;
        for id in [v.image, v.video, v.start, v.end] {
            if id as usize >= decoder.vocab_size {
                let reason = format!("is {}, but there is a picture token {id}", decoder.vocab_size);
                return Err(text.fault("vocab_size", reason));
            }
        }
        if v.image == v.video {
            return Err(root.fault("image_token_id", "is the same as video_token_id"));
        }
        // older files of the nested layout have the flag inside
        let tied = |fields: &Fields<'_>| fields.flag("tie_word_embeddings");
        let tie_word_embeddings = tied(&root)?.unwrap_or(false) || tied(&text)?.unwrap_or(false);
        let mut end_tokens = root.token_ids("eos_token_id")?;
        if end_tokens.is_empty() {
            end_tokens = text.token_ids("eos_token_id")?;
        }
        Ok(Self { text: decoder, tie_word_embeddings, visual_tokens, end_tokens })
    }
}
