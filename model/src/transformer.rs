//! What every attention over masked scores shares.

/// Added to the scores of hidden keys before the softmax; finite, so that a row with no visible key stays a number.
pub(crate) const HIDDEN_SCORE: f32 = -1.0e9;
