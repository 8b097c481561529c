//! A map in, a file out, and back: versioned, checked, replaced in one step.
//!
//! Little-endian: 8 bytes of magic, u32 version, u32 length of the settings, the settings as JSON, u64 frames fused, u64 number of
//! blocks, the blocks in order of their keys (three i32 of key, i64 stamp when last seen, 512 i16 distances, 512 u16 weights, 3 x
//! 512 u16 colours), u32 CRC-32 of all before it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::TsdfMap;
use super::block::{Key, VOXELS, Voxels};
use super::config::{TsdfConfig, TsdfError};
use super::store::Request;

/// Version of the format that this program reads and writes.
pub const MAP_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"VNTGTSDF";
/// Bytes of a block in the file.
const RECORD_BYTES: usize = 3 * 4 + 8 + VOXELS * (2 + 2 + 3 * 2);
/// Blocks lie within this of the origin: where cameras may be, and as far again as they reach.
const MAX_BLOCK: i32 = 2_000_000;
/// Most bytes of the settings.
const MAX_SETTINGS_BYTES: u32 = 1 << 16;

/// Why a map could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum MapFileError {
    /// The file cannot be read or written.
    #[error("map file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("map file {}: it does not begin like a map; is it the right file?", path.display())]
    NotAMap {
        /// The file.
        path: PathBuf,
    },
    /// The version is not known.
    #[error("map file {}: version is {found}, but this program reads version {MAP_VERSION}; save the map again with this program", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
    /// The file is truncated or damaged.
    #[error("map file {}, byte {offset}: {reason}; the file is truncated or damaged, use an earlier copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The settings in the file make no map.
    #[error("map file {}: {source}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Which setting.
        source: TsdfError,
    },
    /// The map is larger than it may be here.
    #[error("map file {}: its {blocks} blocks need {needed} bytes, but the limit is {limit}; raise the map's memory limit", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Blocks in the file.
        blocks: u64,
        /// Memory they need, bytes.
        needed: u64,
        /// Memory allowed, bytes.
        limit: usize,
    },
}

/// Counts bytes and sums them up on their way.
struct Summed<T> {
    inner: T,
    sum: crc32fast::Hasher,
    bytes: u64,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        Self { inner, sum: crc32fast::Hasher::new(), bytes: 0 }
    }

    fn checksum(&self) -> u32 {
        self.sum.clone().finalize()
    }
}

impl<W: Write> Summed<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Summed<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl TsdfMap {
    /// Writes the map beside `path` and then moves it there, so that a failure leaves what was there before.
    ///
    /// # Errors
    /// [`MapFileError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), MapFileError> {
        let io = |source| MapFileError::Io { path: path.to_owned(), source };
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.part", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = File::create(&beside)
            .and_then(|file| {
                let mut writer = BufWriter::new(file);
                self.write(&mut writer)?;
                writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
            })
            .and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            // what was begun is of no use; why it failed is said below
            let _ = std::fs::remove_file(&beside);
        }
        written.map_err(io)
    }

    /// Writes the map in the file's format.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        let mut out = Summed::new(to);
        let settings = serde_json::to_vec(&self.config).map_err(io::Error::other)?;
        out.put(MAGIC)?;
        out.put(&MAP_VERSION.to_le_bytes())?;
        out.put(&(settings.len() as u32).to_le_bytes())?;
        out.put(&settings)?;
        out.put(&self.frames.to_le_bytes())?;
        let order = self.store.sorted();
        out.put(&(order.len() as u64).to_le_bytes())?;
        let mut record = Vec::with_capacity(RECORD_BYTES);
        for i in order {
            let (header, voxels) = (&self.store.headers[i as usize], &self.store.voxels[i as usize]);
            record.clear();
            record.extend(header.key.iter().flat_map(|x| x.to_le_bytes()));
            record.extend(header.seen_nanos.to_le_bytes());
            record.extend(voxels.distance.iter().flat_map(|x| x.to_le_bytes()));
            record.extend(voxels.weight.iter().flat_map(|x| x.to_le_bytes()));
            record.extend(voxels.color.iter().flatten().flat_map(|x| x.to_le_bytes()));
            out.put(&record)?;
        }
        let sum = out.checksum();
        out.put(&sum.to_le_bytes())?;
        out.inner.flush()
    }

    /// Reads a map whose memory may be at most `max_bytes`; that is its limit from then on.
    ///
    /// # Errors
    /// [`MapFileError`] naming the file and the place.
    pub fn load(path: &Path, max_bytes: usize) -> Result<Self, MapFileError> {
        let io = |source| MapFileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Self::read(BufReader::new(file), length, max_bytes, path)
    }

    /// Reads a map of `length` bytes; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`TsdfMap::load`].
    pub fn read(from: impl Read, length: u64, max_bytes: usize, path: &Path) -> Result<Self, MapFileError> {
        let mut input = Summed::new(from);
        let owned = || path.to_owned();
        let broken = |offset: u64, reason: String| MapFileError::Damaged { path: owned(), offset, reason };
        let cut = |offset: u64| {
            move |source: io::Error| match source.kind() {
                io::ErrorKind::UnexpectedEof => broken(offset, "it ends here".to_owned()),
                _ => MapFileError::Io { path: owned(), source },
            }
        };
        let magic: [u8; 8] = input.take().map_err(|_| MapFileError::NotAMap { path: owned() })?;
        if magic != *MAGIC {
            return Err(MapFileError::NotAMap { path: owned() });
        }
        let found = u32::from_le_bytes(input.take().map_err(cut(8))?);
        if found != MAP_VERSION {
            return Err(MapFileError::Version { path: owned(), found });
        }
        let settings_bytes = u32::from_le_bytes(input.take().map_err(cut(12))?);
        if settings_bytes > MAX_SETTINGS_BYTES {
            return Err(broken(12, format!("the settings are said to have {settings_bytes} bytes")));
        }
        let mut settings = vec![0; settings_bytes as usize];
        input.fill(&mut settings).map_err(cut(16))?;
        let config: TsdfConfig =
            serde_json::from_slice(&settings).map_err(|e| broken(16, format!("the settings: {e}")))?;
        let config = TsdfConfig { max_bytes, ..config };
        let mut map = Self::new(config).map_err(|source| MapFileError::Settings { path: owned(), source })?;
        let at = input.bytes;
        map.frames = u64::from_le_bytes(input.take().map_err(cut(at))?);
        let blocks = u64::from_le_bytes(input.take().map_err(cut(at + 8))?);
        let expected = blocks.checked_mul(RECORD_BYTES as u64).and_then(|n| n.checked_add(input.bytes + 4));
        if expected != Some(length) {
            return Err(broken(at + 8, format!("{blocks} blocks do not fit a file of {length} bytes")));
        }
        if blocks > map.store.max_blocks() as u64 {
            let needed = blocks * super::store::BLOCK_COST_BYTES as u64;
            return Err(MapFileError::TooLarge { path: owned(), blocks, needed, limit: max_bytes });
        }
        let mut record = vec![0; RECORD_BYTES];
        for _ in 0..blocks {
            let offset = input.bytes;
            input.fill(&mut record).map_err(cut(offset))?;
            map.take_record(&record).map_err(|reason| broken(offset, reason))?;
        }
        let (sum, offset) = (input.checksum(), input.bytes);
        let stated = u32::from_le_bytes(input.take().map_err(cut(offset))?);
        if stated != sum {
            return Err(broken(offset, format!("the checksum is {sum:08x}, not {stated:08x}")));
        }
        Ok(map)
    }

    /// Takes in one block of a file; the error says what is wrong with it.
    fn take_record(&mut self, record: &[u8]) -> Result<(), String> {
        let (words, _) = record.as_chunks::<4>();
        let key: Key = std::array::from_fn(|k| words.get(k).map_or(0, |word| i32::from_le_bytes(*word)));
        let (stamp, rest) = record.get(12..).and_then(|rest| rest.split_first_chunk::<8>()).ok_or("it is too short")?;
        if key.iter().any(|k| !(-MAX_BLOCK..=MAX_BLOCK).contains(k)) {
            return Err(format!("block {key:?} is further away than any camera reaches"));
        }
        let Request::Added(i) = self.store.request(key) else {
            return Err(format!("block {key:?} is there twice"));
        };
        let voxels: &mut Voxels = &mut self.store.voxels[i as usize];
        let (halves, _) = rest.as_chunks::<2>();
        let mut halves = halves.iter();
        for (to, half) in voxels.distance.iter_mut().zip(&mut halves) {
            *to = i16::from_le_bytes(*half);
        }
        for (to, half) in voxels.weight.iter_mut().chain(voxels.color.as_flattened_mut()).zip(halves) {
            *to = u16::from_le_bytes(*half);
        }
        let header = &mut self.store.headers[i as usize];
        header.solid = voxels.distance.iter().any(|d| *d < 0);
        header.seen_nanos = i64::from_le_bytes(*stamp);
        header.decayed_nanos = header.seen_nanos;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{furnished, walk};
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 64 << 20;

    fn map() -> TsdfMap {
        let config = TsdfConfig { voxel_size_m: 0.08, truncation_m: 0.24, max_bytes: LIMIT, ..TsdfConfig::default() };
        let mut map = TsdfMap::new(config).unwrap();
        for frame in walk(&furnished(), 4, (48, 36)) {
            map.integrate(&frame).unwrap();
        }
        map
    }

    fn bytes(map: &TsdfMap) -> Vec<u8> {
        let mut bytes = Vec::new();
        map.write(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<TsdfMap, MapFileError> {
        TsdfMap::read(bytes, bytes.len() as u64, LIMIT, Path::new("my.map"))
    }

    #[test]
    fn saved_and_loaded_is_the_same_map_and_goes_on_the_same() {
        let place = std::env::temp_dir().join(format!("vantage_map_{}", std::process::id()));
        let mut map = map();
        map.save(&place).unwrap();
        map.save(&place).unwrap();
        let loaded = TsdfMap::load(&place, LIMIT);
        let beside: Vec<_> =
            std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|e| e.file_name()).collect();
        std::fs::remove_file(&place).unwrap();
        let mut loaded = loaded.unwrap();
        let own = place.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!beside.iter().any(|name| name.to_string_lossy().starts_with(&format!("{own}."))), "no part is left");
        assert_eq!(bytes(&loaded), bytes(&map));
        assert_eq!(loaded.surface_points(), map.surface_points());
        for frame in walk(&furnished(), 3, (48, 36)) {
            assert_eq!(map.integrate(&frame).unwrap(), loaded.integrate(&frame).unwrap());
        }
        assert_eq!(bytes(&loaded), bytes(&map));
    }

    #[test]
    fn places_that_are_not_there_are_named() {
        let missing = Path::new("/no/such/folder/my.map");
        assert!(map().save(missing).unwrap_err().to_string().contains("/no/such/folder/my.map"));
        assert!(TsdfMap::load(missing, LIMIT).unwrap_err().to_string().contains("/no/such/folder/my.map"));
    }

    #[test]
    fn faults_are_named() {
        let good = bytes(&map());
        let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        let changed = |at: usize, to: u8| {
            let mut copy = good.clone();
            copy[at] = to;
            copy
        };
        assert!(said(b"").contains("does not begin like a map") && said(&changed(0, b'X')).contains("my.map"));
        assert!(said(&changed(8, 9)).contains("version is 9"));
        assert!(said(&changed(14, 0xFF)).contains("settings"));
        assert!(said(&good[..good.len() / 2]).contains("do not fit"));
        let last = good.len() - 10;
        assert!(said(&changed(last, good[last] ^ 1)).contains("checksum"));
        let small = TsdfMap::read(&good[..], good.len() as u64, 400_000, Path::new("my.map")).unwrap_err();
        assert!(matches!(small, MapFileError::TooLarge { .. }), "{small}");
    }

    #[test]
    fn a_block_at_the_end_of_space_is_refused_however_right_its_checksum_is() {
        let mut far = map();
        for x in [i32::MAX, i32::MIN] {
            assert!(matches!(far.store.request([x, 0, 0]), Request::Added(_)));
        }
        let message = read(&bytes(&far)).unwrap_err().to_string();
        assert!(message.contains("further away"), "{message}");
    }

    #[test]
    fn a_map_that_cannot_be_moved_into_place_leaves_nothing_and_what_was_there() {
        let folder = std::env::temp_dir().join(format!("vantage_map_place_{}", std::process::id()));
        // a folder with something in it cannot be replaced by a file
        std::fs::create_dir_all(folder.join("my.map/inside")).unwrap();
        let error = map().save(&folder.join("my.map")).unwrap_err().to_string();
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|e| e.file_name()).collect();
        let inside = folder.join("my.map/inside").exists();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("my.map") && inside && left == ["my.map"], "{error} {left:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_damage_is_an_error_and_never_a_panic(cut in 0usize..20_000, at in 0usize..20_000, to in any::<u8>(), tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let good = bytes(&map());
            let mut bad = good.clone();
            let at = at % bad.len();
            bad[at] = to;
            prop_assert!(bad == good || read(&bad).is_err());
            let cut = cut % good.len();
            prop_assert!(read(&good[..cut]).is_err());
            prop_assert!(read(&[&good[..cut], &tail].concat()).is_err() || tail.is_empty());
            prop_assert!(read(&tail).is_err());
        }
    }
}
