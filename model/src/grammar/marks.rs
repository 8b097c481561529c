//! The words that the grammar is made of: its marks, and how many numbers a box has. Parser, guides and tokenizer share them.

/// Opens the reasoning.
pub const THINK_OPEN: &str = "<think>";
/// Closes the reasoning.
pub const THINK_CLOSE: &str = "</think>";
/// Opens the answer.
pub const ANSWER_OPEN: &str = "<answer>";
/// Closes the answer.
pub const ANSWER_CLOSE: &str = "</answer>";
/// Opens a box.
pub const BOX_OPEN: &str = "<obj>";
/// Closes a box.
pub const BOX_CLOSE: &str = "</obj>";
/// Every mark. Each begins with the only `<` in it, so that two marks never overlap.
pub const MARKS: [&str; 6] = [THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE, BOX_OPEN, BOX_CLOSE];
/// Numbers of a box: centre and extents along x, y, z.
pub const BOX_NUMBERS: usize = 6;
