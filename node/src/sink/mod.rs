//! Answers, maps and frames in; JSON lines, tables, pictures and recordings out.

pub mod bag;
mod contact_sheet;
pub mod draw;
pub mod folder;
pub mod json;
pub mod stdout;
pub mod table;
