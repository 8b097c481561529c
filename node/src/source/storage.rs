//! A recording's path in, its topics and raw messages in order of log time out, whatever the container.

use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::mcap_storage::McapStorage;
use super::sqlite_storage::SqliteStorage;

/// Largest message that is read, bytes; far above any camera's.
pub(crate) const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// A topic of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Type, as `package/msg/Name`.
    pub type_name: String,
    /// Messages, where the container says.
    pub messages: Option<u64>,
}

/// One message as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Index of its topic.
    pub topic: usize,
    /// When it was recorded, nanoseconds since the epoch.
    pub log_nanos: i64,
    /// Where it stands in the file, in words.
    pub place: String,
    /// The CDR bytes.
    pub data: Vec<u8>,
}

/// A container of messages.
pub trait Storage {
    /// The file.
    fn file(&self) -> &Path;
    /// The topics.
    fn topics(&self) -> &[TopicInfo];
    /// Starts over, with the messages of these topics alone.
    ///
    /// # Errors
    /// [`SourceError::Damaged`].
    fn select(&mut self, topics: &[usize]) -> Result<(), SourceError>;
    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] with the place.
    fn next_message(&mut self) -> Result<Option<RawMessage>, SourceError>;
}

/// Opens an .mcap or .db3 file, or a folder that holds exactly one.
///
/// # Errors
/// [`SourceError`] naming the path.
pub fn open_storage(path: &Path) -> Result<Box<dyn Storage>, SourceError> {
    let not_a_bag = || SourceError::NotABag { path: path.to_owned() };
    let io = |file: &Path| {
        let file = file.to_owned();
        move |source| SourceError::File { file, source }
    };
    let meta = std::fs::metadata(path).map_err(io(path))?;
    let file = if meta.is_dir() {
        let mut found: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(io(path))?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|p| is_mcap(p) || is_sqlite(p))
            .collect();
        found.sort();
        match &found[..] {
            [] => return Err(not_a_bag()),
            [one] => one.clone(),
            [first, ..] => {
                return Err(SourceError::Damaged {
                    file: path.to_owned(),
                    place: format!("{} files", found.len()),
                    reason: format!("a split recording; give one of its files, for example {}", first.display()),
                });
            }
        }
    } else {
        path.to_owned()
    };
    if !std::fs::metadata(&file).map_err(io(&file))?.is_file() {
        return Err(not_a_bag());
    }
    if is_mcap(&file) {
        Ok(Box::new(McapStorage::open(&file)?))
    } else if is_sqlite(&file) {
        Ok(Box::new(SqliteStorage::open(&file)?))
    } else {
        Err(not_a_bag())
    }
}

fn is_mcap(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "mcap")
}

fn is_sqlite(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "db3")
}
