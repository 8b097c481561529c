//! A path in, its text out, and back: bounded reading, and writing that leaves nothing half-written.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest calibration file read, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is far too large.
    #[error("{} has more than {MAX_BYTES} bytes; a calibration file is smaller. Is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Reads a whole file, but never more than a calibration can have: neither a file that grows nor a device ends in memory.
pub(crate) fn read(path: &Path) -> Result<String, FileError> {
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    // a pipe would be waited for without end
    if !fs::metadata(path).map_err(read)?.is_file() {
        return Err(read(io::Error::other("it is no regular file")));
    }
    let file = File::open(path).map_err(read)?;
    let bytes = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if bytes as u64 > MAX_BYTES {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

/// Writes a text file, whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    write_whole(path, text.as_bytes()).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Writes a file beside its place and moves it there, so that it is whole or what it was; what was begun is removed on failure.
///
/// # Errors
/// What the system says; also where something lies that is no regular file, as a device or a folder.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::other("there is something that is no regular file"));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // what was begun is of no use; why it failed is returned
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_absent_is_said() {
        let path = std::env::temp_dir().join(format!("vantage_text_file_{}", std::process::id()));
        write(&path, &"x".repeat(MAX_BYTES as usize + 1)).unwrap();
        let large = read(&path);
        write(&path, "small").unwrap();
        let small = read(&path);
        fs::remove_file(&path).unwrap();
        assert!(matches!(large, Err(FileError::TooLarge { .. })));
        assert_eq!(small.unwrap(), "small");
        assert!(read(&path).unwrap_err().to_string().contains("vantage_text_file"));
        let folder = std::env::temp_dir();
        assert!(read(&folder).is_err() && write(&folder, "").unwrap_err().to_string().contains("no regular file"));
        assert!(write(Path::new("/no/such/folder/rig.yaml"), "").unwrap_err().to_string().contains("/no/such/folder"));
    }

    #[cfg(unix)]
    #[test]
    fn an_endless_file_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, FileError::Read { .. }) && format!("{error:#}").contains("no regular file"), "{error}");
    }
}
