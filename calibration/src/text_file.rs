//! A path in, its text out, and bytes back: bounded reading, and writing that leaves nothing half-written.

use std::fs::{self, File};
use std::io::{self, Read, Write};
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

/// Writes a file that is whole or not there: beside its place first, under a name of this process alone, then renamed. What was at
/// `path` stays until then, and a failure leaves nothing behind. A device or a folder is not replaced.
///
/// # Errors
/// [`FileError::Write`] naming the file.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let source = io::Error::other("there is something that is no regular file");
        return Err(FileError::Write { path: path.to_owned(), source });
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // what went wrong first is what is said; there may be nothing to remove
        let _ = fs::remove_file(&beside);
        FileError::Write { path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_absent_is_said() {
        let path = std::env::temp_dir().join(format!("vantage_text_file_{}", std::process::id()));
        write_whole(&path, &vec![b'x'; MAX_BYTES as usize + 1]).unwrap();
        let large = read(&path);
        write_whole(&path, b"small").unwrap();
        let small = read(&path);
        fs::remove_file(&path).unwrap();
        assert!(matches!(large, Err(FileError::TooLarge { .. })));
        assert_eq!(small.unwrap(), "small");
        assert!(read(&path).unwrap_err().to_string().contains("vantage_text_file"));
        let nowhere = write_whole(Path::new("/no/such/folder/rig.yaml"), b"").unwrap_err().to_string();
        assert!(nowhere.contains("/no/such/folder"), "{nowhere}");
    }

    #[test]
    fn what_cannot_be_put_in_its_place_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("vantage_write_whole_{}", std::process::id()));
        // a folder that is not empty is in the way: the bytes can be written, but not renamed
        let taken = folder.join("rig.yaml");
        fs::create_dir_all(taken.join("inside")).unwrap();
        let error = write_whole(&taken, b"text").unwrap_err().to_string();
        let left: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("rig.yaml"), "{error}");
        assert_eq!(left, [taken]);
    }

    #[cfg(unix)]
    #[test]
    fn an_endless_file_is_refused_and_a_device_is_not_replaced() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, FileError::Read { .. }) && format!("{error:#}").contains("no regular file"), "{error}");
        assert!(write_whole(Path::new("/dev/null"), b"").unwrap_err().to_string().contains("no regular file"));
    }
}
