//! An .mcap file in, its messages in order of log time out, one chunk in memory at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mcap::McapError;
use mcap::sans_io::indexed_reader::{IndexedReadEvent, IndexedReader, IndexedReaderOptions};
use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader};

use super::error::SourceError;
use super::storage::{MAX_MESSAGE_BYTES, RawMessage, Storage, TopicInfo};

/// Largest chunk, unpacked: room for hundreds of camera images.
const MAX_CHUNK_BYTES: u64 = 512 << 20;

/// An open .mcap file.
pub(crate) struct McapStorage {
    path: PathBuf,
    file: File,
    length: u64,
    summary: mcap::Summary,
    topics: Vec<TopicInfo>,
    topic_of_channel: BTreeMap<u16, usize>,
    reader: IndexedReader,
    chunk_offset: u64,
}

fn damaged(path: &Path, offset: u64, error: &McapError) -> SourceError {
    SourceError::Damaged { file: path.to_owned(), place: format!("byte {offset}"), reason: error.to_string() }
}

fn too_large(path: &Path, offset: u64, size: u64) -> SourceError {
    SourceError::Damaged {
        file: path.to_owned(),
        place: format!("chunk at byte {offset}"),
        reason: format!("it says that it unpacks to {size} bytes, more than {MAX_CHUNK_BYTES}"),
    }
}

impl McapStorage {
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let io = |source| SourceError::File { file: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut reader = SummaryReader::new();
        let mut at = 0;
        while let Some(event) = reader.next_event() {
            match event.map_err(|e| damaged(path, at, &e))? {
                SummaryReadEvent::ReadRequest(need) => {
                    let read = file.read(reader.insert(need)).map_err(io)?;
                    at += read as u64;
                    reader.notify_read(read);
                }
                SummaryReadEvent::SeekRequest(to) => {
                    // a file shorter than a footer cannot be sought into from its end
                    if let SeekFrom::End(back) = to
                        && length.checked_add_signed(back).is_none()
                    {
                        return Err(damaged(path, length, &McapError::UnexpectedEof));
                    }
                    at = file.seek(to).map_err(io)?;
                    reader.notify_seeked(at);
                }
            }
        }
        let Some(summary) = reader.finish() else {
            return Err(SourceError::Damaged {
                file: path.to_owned(),
                place: format!("byte {length}"),
                reason: "the file has no summary section; recover it with `mcap recover`".to_owned(),
            });
        };
        for chunk in &summary.chunk_indexes {
            let end = chunk.chunk_start_offset.checked_add(chunk.chunk_length);
            if end.is_none_or(|end| end > length) {
                return Err(damaged(path, chunk.chunk_start_offset, &McapError::UnexpectedEof));
            }
            if chunk.uncompressed_size > MAX_CHUNK_BYTES {
                return Err(too_large(path, chunk.chunk_start_offset, chunk.uncompressed_size));
            }
        }
        let mut names: BTreeMap<String, TopicInfo> = BTreeMap::new();
        for (id, channel) in &summary.channels {
            let messages = summary.stats.as_ref().and_then(|s| s.channel_message_counts.get(id).copied());
            let type_name = channel.schema.as_ref().map(|s| s.name.clone()).unwrap_or_default();
            let topic = names.entry(channel.topic.clone()).or_insert_with(|| TopicInfo {
                name: channel.topic.clone(),
                type_name,
                messages: Some(0),
            });
            topic.messages = topic.messages.zip(messages).and_then(|(a, b)| a.checked_add(b));
        }
        let topics: Vec<TopicInfo> = names.into_values().collect();
        let topic_of_channel = summary
            .channels
            .iter()
            .filter_map(|(id, channel)| Some((*id, topics.iter().position(|t| t.name == channel.topic)?)))
            .collect();
        let reader = IndexedReader::new(&summary).map_err(|e| damaged(path, length, &e))?;
        Ok(Self { path: path.to_owned(), file, length, summary, topics, topic_of_channel, reader, chunk_offset: 0 })
    }
}

impl Storage for McapStorage {
    fn file(&self) -> &Path {
        &self.path
    }

    fn topics(&self) -> &[TopicInfo] {
        &self.topics
    }

    fn select(&mut self, topics: &[usize]) -> Result<(), SourceError> {
        let names: BTreeSet<String> = topics.iter().filter_map(|&i| Some(self.topics.get(i)?.name.clone())).collect();
        let options = IndexedReaderOptions::new().include_topics(names);
        self.reader = IndexedReader::new_with_options(&self.summary, options)
            .map_err(|e| damaged(&self.path, self.length, &e))?;
        Ok(())
    }

    fn next_message(&mut self) -> Result<Option<RawMessage>, SourceError> {
        let mut chunk = Vec::new();
        loop {
            let request = match self.reader.next_event() {
                None => return Ok(None),
                Some(Err(e)) => return Err(damaged(&self.path, self.chunk_offset, &e)),
                Some(Ok(IndexedReadEvent::Message { header, data })) => {
                    let place = format!("chunk at byte {}, log time {}", self.chunk_offset, header.log_time);
                    // times beyond the year 2262 are nonsense, but no reason to refuse the message
                    let log_nanos = i64::try_from(header.log_time).unwrap_or(i64::MAX);
                    match self.topic_of_channel.get(&header.channel_id) {
                        Some(&topic) => return Ok(Some(RawMessage { topic, log_nanos, place, data: data.to_vec() })),
                        None => continue,
                    }
                }
                Some(Ok(IndexedReadEvent::ReadChunkRequest { offset, length })) => (offset, length),
            };
            let (offset, length) = request;
            self.chunk_offset = offset;
            if offset.checked_add(length as u64).is_none_or(|end| end > self.length) || length > 4 * MAX_MESSAGE_BYTES {
                return Err(damaged(&self.path, offset, &McapError::UnexpectedEof));
            }
            let io = |source| SourceError::File { file: self.path.clone(), source };
            self.file.seek(SeekFrom::Start(offset)).map_err(io)?;
            chunk.resize(length, 0);
            self.file.read_exact(&mut chunk).map_err(io)?;
            self.reader.insert_chunk_record_data(offset, &chunk).map_err(|e| damaged(&self.path, offset, &e))?;
        }
    }
}
