//! A .db3 file in, its messages in order of log time out, a page of rows in memory at a time.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::error::SourceError;
use super::storage::{MAX_MESSAGE_BYTES, RawMessage, Storage, TopicInfo};

/// Rows read at once.
const PAGE_ROWS: usize = 8;

/// An open .db3 file.
pub(crate) struct SqliteStorage {
    path: PathBuf,
    connection: Connection,
    topics: Vec<TopicInfo>,
    topic_of_id: BTreeMap<i64, usize>,
    /// Topic ids to read, as an SQL list; they are integers from the file itself.
    selected: String,
    /// Log time and row id of the last row read.
    last: (i64, i64),
    page: VecDeque<RawMessage>,
}

impl SqliteStorage {
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let fault = |e: rusqlite::Error| damaged(path, "topics", &e);
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fault)?;
        // a view may compute rows for ever; rosbag2 writes tables
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('topics', 'messages')";
        let count: i64 = connection.query_row(tables, [], |row| row.get(0)).map_err(fault)?;
        if count != 2 {
            return Err(SourceError::Damaged {
                file: path.to_owned(),
                place: "schema".to_owned(),
                reason: "it has no tables `topics` and `messages`, as rosbag2 writes them".to_owned(),
            });
        }
        let mut ids = Vec::new();
        let mut topics = Vec::new();
        {
            let mut query = connection.prepare("SELECT id, name, type FROM topics ORDER BY name, id").map_err(fault)?;
            let mut rows = query.query([]).map_err(fault)?;
            while let Some(row) = rows.next().map_err(fault)? {
                ids.push(row.get::<_, i64>(0).map_err(fault)?);
                let (name, type_name) = (row.get(1).map_err(fault)?, row.get(2).map_err(fault)?);
                topics.push(TopicInfo { name, type_name, messages: None });
            }
        }
        let topic_of_id = ids.iter().copied().enumerate().map(|(i, id)| (id, i)).collect();
        let mut storage = Self {
            path: path.to_owned(),
            connection,
            topics,
            topic_of_id,
            selected: String::new(),
            last: (i64::MIN, i64::MIN),
            page: VecDeque::new(),
        };
        let all: Vec<usize> = (0..storage.topics.len()).collect();
        storage.select(&all)?;
        Ok(storage)
    }

    fn read_page(&mut self) -> Result<(), rusqlite::Error> {
        let sql = format!(
            "SELECT id, topic_id, timestamp, length(data), data FROM messages WHERE topic_id IN ({}) \
             AND (timestamp, id) > (?1, ?2) ORDER BY timestamp, id LIMIT {PAGE_ROWS}",
            self.selected
        );
        let mut query = self.connection.prepare_cached(&sql)?;
        let mut rows = query.query([self.last.0, self.last.1])?;
        while let Some(row) = rows.next()? {
            let (id, topic_id, timestamp): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            self.last = (timestamp, id);
            let length: i64 = row.get(3)?;
            let data = if length as u64 > MAX_MESSAGE_BYTES as u64 { Vec::new() } else { row.get(4)? };
            if let Some(&topic) = self.topic_of_id.get(&topic_id) {
                self.page.push_back(RawMessage {
                    topic,
                    log_nanos: timestamp,
                    place: format!("message row {id}, log time {timestamp}"),
                    data,
                });
            }
        }
        Ok(())
    }
}

fn damaged(path: &Path, place: &str, error: &rusqlite::Error) -> SourceError {
    SourceError::Damaged { file: path.to_owned(), place: place.to_owned(), reason: error.to_string() }
}

impl Storage for SqliteStorage {
    fn file(&self) -> &Path {
        &self.path
    }

    fn topics(&self) -> &[TopicInfo] {
        &self.topics
    }

    fn select(&mut self, topics: &[usize]) -> Result<(), SourceError> {
        let ids = self.topic_of_id.iter().filter(|(_, i)| topics.contains(i)).map(|(id, _)| id.to_string());
        self.selected = ids.collect::<Vec<_>>().join(",");
        self.last = (i64::MIN, i64::MIN);
        self.page.clear();
        Ok(())
    }

    fn next_message(&mut self) -> Result<Option<RawMessage>, SourceError> {
        if self.page.is_empty() {
            let after = match self.last.1 {
                i64::MIN => "before the first message row".to_owned(),
                row => format!("after message row {row}"),
            };
            self.read_page().map_err(|e| damaged(&self.path, &after, &e))?;
        }
        Ok(self.page.pop_front())
    }
}
