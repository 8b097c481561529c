//! A JSON object of a model folder in, its fields by name out: numbers in range, absent ones told from wrong ones.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::QwenError;

/// An object of a JSON file, with its place for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    file: &'a str,
    /// Dotted path of the object in the file, with a dot at its end unless it is the whole file.
    place: &'a str,
    map: &'a Map<String, Value>,
}

/// Parses a file that must hold one JSON object.
pub(crate) fn parse_object(bytes: &[u8], file: &str) -> Result<Map<String, Value>, QwenError> {
    let fault = |reason: String| QwenError::Config { file: file.to_owned(), reason };
    match serde_json::from_slice(bytes).map_err(|e| fault(e.to_string()))? {
        Value::Object(map) => Ok(map),
        _ => Err(fault("it is no JSON object".to_owned())),
    }
}

impl<'a> Fields<'a> {
    /// The fields of `map`, which stands at `place` (`""` or `"text_config."`) of `file`.
    pub(crate) fn new(file: &'a str, place: &'a str, map: &'a Map<String, Value>) -> Self {
        Self { file, place, map }
    }

    /// An error about field `name`.
    pub(crate) fn fault(&self, name: &str, reason: impl std::fmt::Display) -> QwenError {
        QwenError::Config { file: self.file.to_owned(), reason: format!("{}{name} {reason}", self.place) }
    }

    /// The field; None where it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|v| !v.is_null())
    }

    /// A whole number in `range`; None where it is absent.
    pub(crate) fn size_or_none(&self, name: &str, range: &RangeInclusive<usize>) -> Result<Option<usize>, QwenError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| range.contains(n));
        match size {
            Some(size) => Ok(Some(size)),
            None => {
                let reason = format!("is {value}, it must be a whole number from {} to {}", range.start(), range.end());
                Err(self.fault(name, reason))
            }
        }
    }

    /// A whole number in `range`, which must be there.
    pub(crate) fn size(&self, name: &str, range: &RangeInclusive<usize>) -> Result<usize, QwenError> {
        self.size_or_none(name, range)?.ok_or_else(|| self.fault(name, "is missing"))
    }

    /// A finite number; None where it is absent.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, QwenError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64().filter(|x| x.is_finite()) {
            Some(x) => Ok(Some(x)),
            None => Err(self.fault(name, format!("is {value}, it must be a number"))),
        }
    }

    /// true or false; None where it is absent.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, QwenError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.fault(name, format!("is {value}, it must be true or false")))
    }

    /// A text; None where it is absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, QwenError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.fault(name, format!("is {value}, it must be a text")))
    }

    /// A nested object; None where it is absent.
    pub(crate) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, QwenError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| self.fault(name, "must be an object"))
    }

    /// One token id or a list of them; empty where it is absent.
    pub(crate) fn token_ids(&self, name: &str) -> Result<Vec<u32>, QwenError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let ids: Option<Vec<u32>> = list.iter().map(|v| v.as_u64().and_then(|n| u32::try_from(n).ok())).collect();
        ids.ok_or_else(|| self.fault(name, format!("is {value}, it must be a token id or a list of them")))
    }
}
