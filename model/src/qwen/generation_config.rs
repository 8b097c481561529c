//! generation_config.json in, the sampling that the model's makers recommend out, checked.

use std::path::Path;

use super::error::{QwenError, read_file};
use super::fields::{Fields, parse_object};

const FILE: &str = "generation_config.json";
const MAX_BYTES: u64 = 1 << 20;
/// What Hugging Face takes where a model names nothing (`GenerationConfig`, transformers 5.24).
const DEFAULT_TOP_K: usize = 50;
/// Token ids that can end a text; Qwen2.5-VL has two.
const MAX_ENDS: usize = 64;

/// How a model is to be sampled when the caller says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationDefaults {
    /// Tokens of which each ends the text; never empty.
    pub end_tokens: Vec<u32>,
    /// True to draw from the odds, false to take the likeliest token.
    pub sample: bool,
    /// Divides the logits; above 0. Qwen2.5-VL is published with 1e-6, which is greedy in all but name.
    pub temperature: f32,
    /// Only the likeliest tokens whose odds sum to this are drawn; 1 draws from all.
    pub top_p: f32,
    /// Only this many likeliest tokens are drawn; 0 draws from all.
    pub top_k: usize,
    /// Divides positive and multiplies negative logits of tokens that the text already has (CTRL, arXiv 1909.05858);
    /// 1 changes nothing.
    pub repetition_penalty: f32,
}

impl GenerationDefaults {
    /// Greedy, ending at any of `end_tokens`: for a folder with no generation_config.json.
    pub fn greedy(end_tokens: Vec<u32>) -> Self {
        Self { end_tokens, sample: false, temperature: 1.0, top_p: 1.0, top_k: DEFAULT_TOP_K, repetition_penalty: 1.0 }
    }

    /// Reads generation_config.json of `dir`; where the file is missing, greedy with `config_end`, the end tokens of
    /// config.json. `vocab` is the model's number of tokens.
    ///
    /// # Errors
    /// [`QwenError`] with the file and field.
    pub fn read(dir: &Path, config_end: &[u32], vocab: usize) -> Result<Self, QwenError> {
        let path = dir.join(FILE);
        if path.exists() {
            return Self::from_json(&read_file(&path, MAX_BYTES)?, &path.display().to_string(), config_end, vocab);
        }
        Self::from_json(b"{}", &path.display().to_string(), config_end, vocab)
    }

    /// As [`Self::read`], from bytes; `file` names them in errors.
    ///
    /// # Errors
    /// [`QwenError::Config`] with the field.
    pub fn from_json(bytes: &[u8], file: &str, config_end: &[u32], vocab: usize) -> Result<Self, QwenError> {
        let map = parse_object(bytes, file)?;
        let fields = Fields::new(file, "", &map);
        let mut end_tokens = fields.token_ids("eos_token_id")?;
        if end_tokens.is_empty() {
            end_tokens = config_end.to_vec();
        }
        if end_tokens.is_empty() || end_tokens.len() > MAX_ENDS {
            return Err(fields.fault("eos_token_id", "names no token (nor does config.json), or too many"));
        }
        if let Some(id) = end_tokens.iter().find(|id| **id as usize >= vocab) {
            return Err(fields.fault("eos_token_id", format!("has {id}, but the model has only {vocab} tokens")));
        }
        let number = |name: &str, default: f64, allowed: fn(f64) -> bool, rule: &str| {
            let x = fields.number(name)?.unwrap_or(default);
            if allowed(x) { Ok(x as f32) } else { Err(fields.fault(name, format!("is {x}, it must be {rule}"))) }
        };
        // 1e-9 is already greedy, and smaller numbers would overflow the logits' 32 bits
        let temperature = number("temperature", 1.0, |x| (1e-9..=100.0).contains(&x), "from 1e-9 to 100")?;
        let top_p = number("top_p", 1.0, |x| x > 0.0 && x <= 1.0, "above 0, at most 1")?;
        let penalty = number("repetition_penalty", 1.0, |x| x > 0.0 && x <= 100.0, "above 0, at most 100")?;
        Ok(Self {
            end_tokens,
            sample: fields.flag("do_sample")?.unwrap_or(false),
            temperature,
            top_p,
            top_k: fields.size_or_none("top_k", &(0..=vocab.max(DEFAULT_TOP_K)))?.unwrap_or(DEFAULT_TOP_K),
            repetition_penalty: penalty,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<GenerationDefaults, String> {
        GenerationDefaults::from_json(json.as_bytes(), FILE, &[9], 152_064).map_err(|e| e.to_string())
    }

    #[test]
    fn the_published_file_is_read() {
        let json = r#"{"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
                       "repetition_penalty": 1.05, "temperature": 0.000001, "transformers_version": "4.49.0"}"#;
        let read = parse(json).unwrap();
        let expected = GenerationDefaults {
            end_tokens: vec![151_645, 151_643],
            sample: true,
            temperature: 1e-6,
            top_p: 1.0,
            top_k: DEFAULT_TOP_K,
            repetition_penalty: 1.05,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_missing_comes_from_the_config_or_the_defaults() {
        assert_eq!(parse("{}").unwrap(), GenerationDefaults::greedy(vec![9]));
        assert_eq!(parse(r#"{"eos_token_id": 3, "top_k": null}"#).unwrap(), GenerationDefaults::greedy(vec![3]));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(GenerationDefaults::read(dir.path(), &[4], 5).unwrap(), GenerationDefaults::greedy(vec![4]));
        assert!(GenerationDefaults::read(dir.path(), &[], 5).unwrap_err().to_string().contains("eos_token_id"));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let wrong = [
            (r#"{"eos_token_id": 152064}"#, "eos_token_id has 152064"),
            (r#"{"eos_token_id": "end"}"#, "eos_token_id is \"end\""),
            (r#"{"temperature": 0}"#, "temperature is 0"),
            (r#"{"temperature": -1}"#, "temperature is -1"),
            (r#"{"top_p": 1.5}"#, "top_p is 1.5"),
            (r#"{"top_k": -1}"#, "top_k is -1"),
            (r#"{"repetition_penalty": 0}"#, "repetition_penalty is 0"),
            (r#"{"do_sample": 1}"#, "do_sample is 1"),
            ("[]", "no JSON object"),
            ("{", "EOF"),
        ];
        for (json, part) in wrong {
            let error = parse(json).unwrap_err();
            assert!(error.contains(FILE) && error.contains(part), "{json}: {error}");
        }
    }
}
