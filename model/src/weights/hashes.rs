//! Files and their digests in, the first that differs out: SHA-256 of several files at once, beside the loading of their
//! tensors, through a buffer, so that it adds no mapped pages to the program's memory.

use std::fmt::{self, Write};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::WeightFilesError;
use super::index::open_regular;
use super::manifest::MANIFEST;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;
/// Most files hashed at once: the disk, not the processor, is then what bounds it.
const MAX_THREADS: usize = 4;

/// A SHA-256 (FIPS 180-4), hexadecimal in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of a file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let digest = of_file_until(path, &AtomicBool::new(false), |_| ())?;
        digest.ok_or_else(|| io::Error::from(io::ErrorKind::Interrupted))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        let mut text = Self::with_capacity(64);
        // writing into a string does not fail
        let _ = write!(text, "{digest}");
        text
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fault = || format!("{text:?} is no SHA-256 of 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(fault());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            let pair = std::str::from_utf8(pair).map_err(|_| fault())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fault())?;
        }
        Ok(Self(bytes))
    }
}

/// A digest that grows with what is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningDigest(Sha256);

impl RunningDigest {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The digest of a file; none where `stop` was set meanwhile. `read` hears of every chunk's bytes.
fn of_file_until(path: &Path, stop: &AtomicBool, read: impl Fn(u64)) -> io::Result<Option<Digest>> {
    let mut file = open_regular(path)?;
    let mut running = RunningDigest::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Some(running.finish())),
            Ok(count) => {
                running.update(&chunk[..count]);
                read(count as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// A file and the digest it should have.
pub(crate) type Expected = (PathBuf, Digest);

/// Files being hashed on threads of their own. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct HashCheck {
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<Result<(), WeightFilesError>>>>,
}

impl HashCheck {
    /// Begins to hash `files`.
    pub(crate) fn start(files: Vec<Expected>) -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(files.len());
        let stop = Arc::new(AtomicBool::new(false));
        let (files, next) = (Arc::new(files), Arc::new(AtomicUsize::new(0)));
        let start = |_| {
            let (files, next, stop) = (Arc::clone(&files), Arc::clone(&next), Arc::clone(&stop));
            thread::spawn(move || hash_all(&files, &next, &stop, &|_| ()))
        };
        let threads = Mutex::new((0..count).map(start).collect());
        Self { stop, threads }
    }

    /// Waits for all files. A second call has nothing left to wait for.
    ///
    /// # Errors
    /// The first file that differs or cannot be read.
    pub(crate) fn finish(&self) -> Result<(), WeightFilesError> {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut result = Ok(());
        for thread in threads {
            result = result.and(joined(thread.join()));
        }
        result
    }
}

impl Drop for HashCheck {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What a thread found; one that did not come to an end has checked nothing.
fn joined(result: thread::Result<Result<(), WeightFilesError>>) -> Result<(), WeightFilesError> {
    result.unwrap_or_else(|_| {
        let source = io::Error::other("the digests of the files were not computed");
        Err(WeightFilesError::Read { path: PathBuf::from(MANIFEST), source })
    })
}

/// Takes one file after the other that no other thread has taken.
fn hash_all(
    files: &[Expected],
    next: &AtomicUsize,
    stop: &AtomicBool,
    read: &(dyn Fn(u64) + Sync),
) -> Result<(), WeightFilesError> {
    while let Some((path, expected)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        let found =
            of_file_until(path, stop, read).map_err(|source| WeightFilesError::Read { path: path.clone(), source })?;
        match found {
            None => return Ok(()),
            Some(found) if found == *expected => {}
            Some(found) => {
                return Err(WeightFilesError::Hash {
                    path: path.clone(),
                    expected: expected.to_string(),
                    found: found.to_string(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(contents: &[&[u8]]) -> (tempfile::TempDir, Vec<Expected>) {
        let dir = tempfile::tempdir().unwrap();
        let write = |(i, bytes): (usize, &&[u8])| {
            let path = dir.path().join(format!("{i}"));
            std::fs::write(&path, bytes).unwrap();
            (path, Digest::of(bytes))
        };
        let expected = contents.iter().enumerate().map(write).collect();
        (dir, expected)
    }

    #[test]
    fn good_files_pass_and_a_changed_one_is_named_with_both_digests() {
        let long = vec![7u8; 3 * CHUNK + 5];
        let (dir, expected) = files(&[b"abc", &long, b""]);
        HashCheck::start(expected.clone()).finish().unwrap();
        std::fs::write(dir.path().join("0"), "abd").unwrap();
        let (was, is) = (Digest::of(b"abc").to_string(), Digest::of(b"abd").to_string());
        let error = HashCheck::start(expected.clone()).finish().unwrap_err().to_string();
        assert!(error.contains(&was) && error.contains(&is) && error.contains("/0: "), "{error}");
        std::fs::remove_file(dir.path().join("2")).unwrap();
        std::fs::write(dir.path().join("0"), "abc").unwrap();
        assert!(
            matches!(HashCheck::start(expected).finish(), Err(WeightFilesError::Read { path, .. }) if path.ends_with("2"))
        );
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "ba", &"g".repeat(64), &"é".repeat(32)] {
            assert!(Digest::try_from(text.to_owned()).is_err(), "{text}");
        }
        let digest = Digest::of(b"x");
        assert_eq!(Digest::try_from(digest.to_string().to_uppercase()).unwrap(), digest);
    }
}
