//! A path in, a reader of a regular file of believable size out, or what is wrong with it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::finding::Fault;

/// Largest JSON, CSV or TSV file, bytes; the largest published one is a fifth of it.
pub(crate) const MAX_TEXT_BYTES: u64 = 2 << 30;
/// Largest file that is read whole, bytes: `scene.txt`, `.traj`, `.pincam`, pictures.
pub(crate) const MAX_SMALL_BYTES: u64 = 256 << 20;

/// Opens a regular file of at most `max` bytes; with its length.
pub(crate) fn open(path: &Path, max: u64) -> Result<(BufReader<File>, u64), Fault> {
    let fault = |what: String| Fault::new("", what, "check the path and its rights, or get the file again");
    let meta = std::fs::metadata(path).map_err(|e| fault(format!("cannot be read: {e}")))?;
    if !meta.is_file() {
        return Err(fault("is no regular file".to_owned()));
    }
    if meta.len() > max {
        return Err(fault(format!("has {} bytes, more than the {max} that such a file may have", meta.len())));
    }
    let file = File::open(path).map_err(|e| fault(format!("cannot be opened: {e}")))?;
    Ok((BufReader::new(file), meta.len()))
}

/// Reads a small file whole.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, Fault> {
    let (reader, _) = open(path, MAX_SMALL_BYTES)?;
    let mut bytes = Vec::new();
    let read = reader.take(MAX_SMALL_BYTES).read_to_end(&mut bytes);
    read.map_err(|e| Fault::new("", format!("cannot be read: {e}"), "get the file again"))?;
    Ok(bytes)
}

/// Reads a small text whole.
pub(crate) fn read_text(path: &Path) -> Result<String, Fault> {
    String::from_utf8(read_small(path)?)
        .map_err(|e| Fault::new("", format!("is not text in UTF-8: {e}"), "get the file again"))
}

/// The file's name, for messages and decisions.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The file's name without its last ending.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
