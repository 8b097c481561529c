//! Numbers of a config.json in, a refusal by name out: sizes are checked before anything is built by them.

use serde::{Deserialize, Deserializer};

/// Channels, tokens and table rows beyond this are no model that exists (the widest vision tower has 3200 channels).
const MOST_CHANNELS: usize = 1 << 16;
/// Layers beyond this are no model that exists (the deepest vision tower has 48).
const MOST_LAYERS: usize = 1 << 10;
/// Rows of an embedding table beyond this are no model that exists (Gemma's has 256 000).
const MOST_ROWS: usize = 1 << 24;

/// `value` must be from 1 to a bound for its kind.
pub(crate) fn channels(field: &str, value: usize) -> Result<(), String> {
    within(field, value, MOST_CHANNELS)
}

/// Layers, from 1.
pub(crate) fn layers(field: &str, value: usize) -> Result<(), String> {
    within(field, value, MOST_LAYERS)
}

/// Rows of a table, from 1.
pub(crate) fn rows(field: &str, value: usize) -> Result<(), String> {
    within(field, value, MOST_ROWS)
}

/// `heads` must divide `width`.
pub(crate) fn heads(part: &str, heads: usize, width: usize) -> Result<(), String> {
    channels(&format!("{part}.num_attention_heads"), heads)?;
    if width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(format!("{part}.num_attention_heads {heads} does not divide {part}.hidden_size {width}"))
}

/// A norm's epsilon must be a small positive number.
pub(crate) fn epsilon(field: &str, value: f64) -> Result<(), String> {
    if value > 0.0 && value < 1.0 { Ok(()) } else { Err(format!("{field} is {value}, it must lie between 0 and 1")) }
}

/// From 1 to `most`.
pub(crate) fn within(field: &str, value: usize, most: usize) -> Result<(), String> {
    if (1..=most).contains(&value) { Ok(()) } else { Err(format!("{field} is {value}, it must be 1 to {most}")) }
}

/// A side that a config.json writes as a number or as an equal pair of them.
pub(crate) fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Side {
        One(usize),
        Both([usize; 2]),
    }
    match Side::deserialize(deserializer)? {
        Side::One(side) => Ok(side),
        Side::Both([height, width]) if height == width => Ok(height),
        Side::Both(sides) => {
            Err(serde::de::Error::custom(format!("sides {sides:?} differ; only squares are supported")))
        }
    }
}
