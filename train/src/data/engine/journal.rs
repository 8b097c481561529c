//! Finished pieces of work in, an append-only file out that a kill at any moment leaves readable: each line has its
//! checksum, counts once it is on the disk, and is done again where it is torn.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::item::{Item, Spent};

/// Version of the file; another is refused.
const JOURNAL_FORMAT_VERSION: u32 = 1;
/// Longest line that is read, bytes; far above what an endpoint may reply.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Digits of a checksum (CRC-32), before a space and the line's JSON.
const CHECKSUM_DIGITS: usize = 8;

/// What can go wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// It cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Another process has it.
    #[error("{path}: another run writes into this folder; wait for it or end it", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another version wrote it.
    #[error("{path}: version {version} of the journal; this program reads {JOURNAL_FORMAT_VERSION}", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// A line that was good is not any more.
    #[error("{path}: the line at byte {offset} changed while the run went on", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The first.
    Journal {
        /// [`JOURNAL_FORMAT_VERSION`].
        format_version: u32,
    },
    /// A finished piece of work.
    Item(Item),
    /// What an unfinished one took.
    Spent(Spent),
}

/// Where a line lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u64,
    bytes: u64,
}

/// An open journal; no other process can open it too.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
}

/// What a journal held.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Its entries but for the first, each with its place.
    pub(crate) entries: Vec<(Place, Entry)>,
    /// Bytes of a torn end that were cut off.
    pub(crate) torn_bytes: u64,
    /// Where the end was put aside, when it was more than one torn line.
    pub(crate) kept_aside: Option<PathBuf>,
}

impl Journal {
    /// Opens or makes the journal at `path` and reads it; what stands behind the last good line is cut off.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn open(path: &Path) -> Result<(Self, Recovered), JournalError> {
        let io = |error| JournalError::Io { path: path.to_owned(), error };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut journal = Self { path: path.to_owned(), file, end: 0 };
        let mut recovered = Recovered::default();
        let lines_behind = journal.read_all(&mut recovered)?;
        let length = journal.file.metadata().map_err(io)?.len();
        if length > journal.end {
            recovered.torn_bytes = length - journal.end;
            if lines_behind > 1 {
                recovered.kept_aside = Some(journal.put_aside().map_err(io)?);
            }
            journal.file.set_len(journal.end).map_err(io)?;
            journal.file.sync_all().map_err(io)?;
        }
        if journal.end == 0 {
            journal.append(&[Entry::Journal { format_version: JOURNAL_FORMAT_VERSION }])?;
            sync_folder(path).map_err(io)?;
        }
        Ok((journal, recovered))
    }

    /// Reads up to the first bad line; returns how many lines begin there and behind.
    fn read_all(&mut self, recovered: &mut Recovered) -> Result<usize, JournalError> {
        let io = |error| JournalError::Io { path: self.path.clone(), error };
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(io)? as u64;
            let place = Place { offset: self.end, bytes };
            match decode(&line) {
                Some(Entry::Journal { format_version }) if self.end == 0 => {
                    if format_version != JOURNAL_FORMAT_VERSION {
                        return Err(JournalError::Version { path: self.path.clone(), version: format_version });
                    }
                }
                Some(entry @ (Entry::Item(_) | Entry::Spent(_))) if self.end > 0 => {
                    recovered.entries.push((place, entry));
                }
                _ => break,
            }
            self.end += bytes;
        }
        let mut lines = usize::from(!line.is_empty());
        // a torn line has no end; behind one that has, others may stand
        while line.last() == Some(&b'\n') && lines < 2 {
            line.clear();
            reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(io)?;
            lines += usize::from(!line.is_empty());
        }
        Ok(lines)
    }

    /// Copies what stands behind the last good line into a file beside the journal.
    fn put_aside(&mut self) -> std::io::Result<PathBuf> {
        let aside = self.path.with_extension("damaged");
        self.file.seek(SeekFrom::Start(self.end))?;
        let mut out = File::create(&aside)?;
        std::io::copy(&mut (&self.file), &mut out)?;
        out.sync_all()?;
        Ok(aside)
    }

    /// Appends `entries`; they are on the disk when this returns.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<Vec<Place>, JournalError> {
        let io = |error| JournalError::Io { path: self.path.clone(), error };
        let mut text = Vec::new();
        let mut places = Vec::with_capacity(entries.len());
        for entry in entries {
            let before = text.len();
            encode(entry, &mut text).map_err(io)?;
            places.push(Place { offset: self.end + before as u64, bytes: (text.len() - before) as u64 });
        }
        self.file.seek(SeekFrom::Start(self.end)).map_err(io)?;
        self.file.write_all(&text).map_err(io)?;
        self.file.sync_data().map_err(io)?;
        self.end += text.len() as u64;
        Ok(places)
    }

    /// The entry at `place`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn read(&mut self, place: Place) -> Result<Entry, JournalError> {
        let io = |error| JournalError::Io { path: self.path.clone(), error };
        self.file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        let mut line = Vec::new();
        (&self.file).take(place.bytes).read_to_end(&mut line).map_err(io)?;
        decode(&line).ok_or_else(|| JournalError::Changed { path: self.path.clone(), offset: place.offset })
    }
}

/// Makes sure that a new or renamed file is found in its folder after a power cut.
pub(crate) fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn encode(entry: &Entry, out: &mut Vec<u8>) -> std::io::Result<()> {
    let json = serde_json::to_vec(entry)?;
    write!(out, "{:0CHECKSUM_DIGITS$x} ", crc32fast::hash(&json))?;
    out.extend_from_slice(&json);
    out.push(b'\n');
    Ok(())
}

/// `None` for a line that is torn or damaged.
fn decode(line: &[u8]) -> Option<Entry> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32fast::hash(json)).then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::engine::item::{ItemKey, Outcome, REJECTED_FORMAT_VERSION, Reason, Rejected};
    use crate::tasks::Task;
    use std::fs;

    fn entry(slot: u32) -> Entry {
        let rejected = Rejected {
            format_version: REJECTED_FORMAT_VERSION,
            id: format!("s-{slot}"),
            scene: "s".to_owned(),
            task: Task::Qa,
            question: "line\nbreak".to_owned(),
            reason: Reason::Grammar,
            detail: "ä".repeat(slot as usize),
            text: String::new(),
        };
        let outcome = Outcome::Rejected(Box::new(rejected));
        Entry::Item(Item { key: ItemKey { scene: 0, slot }, of: 4, spent: Spent::NONE, outcome })
    }

    fn entries(recovered: Recovered) -> Vec<Entry> {
        recovered.entries.into_iter().map(|(_, e)| e).collect()
    }

    #[test]
    fn a_journal_cut_at_any_byte_keeps_every_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let all: Vec<Entry> = (0..3).map(entry).chain([Entry::Spent(Spent { requests: 1, ..Spent::NONE })]).collect();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&all[..1]).unwrap();
        let places = journal.append(&all[1..]).unwrap();
        assert_eq!(journal.read(places[1]).unwrap(), all[2]);
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let ends = whole[..cut].iter().filter(|b| **b == b'\n').count();
            let kept = ends.saturating_sub(1);
            let (mut journal, recovered) = Journal::open(&path).unwrap();
            assert!(recovered.kept_aside.is_none());
            let last_end = whole[..cut].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            assert_eq!(recovered.torn_bytes, (cut - last_end) as u64);
            assert_eq!(entries(recovered), all[..kept], "cut at {cut}");
            journal.append(&all[kept..]).unwrap();
            drop(journal);
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_put_aside_and_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let all: Vec<Entry> = (0..3).map(entry).collect();
        Journal::open(&path).unwrap().0.append(&all).unwrap();
        let mut text = fs::read(&path).unwrap();
        let second = text.iter().position(|b| *b == b'\n').unwrap() + 30;
        text[second] ^= 1;
        fs::write(&path, &text).unwrap();
        let (_, recovered) = Journal::open(&path).unwrap();
        let aside = recovered.kept_aside.clone().unwrap();
        assert!(text.ends_with(&fs::read(aside).unwrap()));
        assert!(entries(recovered).is_empty());
    }

    #[test]
    fn another_version_and_a_second_process_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (held, _) = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Locked { .. })));
        drop(held);
        let mut text = Vec::new();
        encode(&Entry::Journal { format_version: 9 }, &mut text).unwrap();
        fs::write(&path, text).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Version { version: 9, .. })));
    }
}
