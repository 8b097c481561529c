//! Weight files in, named views of their tensors out. The files are memory-mapped: a tensor costs memory when it is read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, UncheckedAdvice};
use safetensors::Dtype;

use super::error::WeightFilesError;
use super::hashes::HashCheck;
use super::header::{HeaderTensor, read_header};
use super::index::{self, INDEX, open_regular};
use super::manifest::{MANIFEST, Manifest};
use super::pytorch::read_pytorch;
use crate::error::{ModelError, WeightsFault};

/// The bytes of one file.
#[derive(Debug, Clone)]
enum FileBytes {
    Mapped(Arc<Mmap>),
    Held(Arc<[u8]>),
}

impl FileBytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Held(bytes) => bytes,
        }
    }
}

/// One tensor of a file, in the order and number type it is stored in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    /// Number type.
    pub dtype: Dtype,
    /// Row-major shape.
    pub shape: Vec<usize>,
    file: FileBytes,
    range: Range<usize>,
}

impl StoredTensor {
    /// Of bytes in memory; `bytes` must be as many as type and shape need, else they read as none.
    pub(crate) fn held(dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { dtype, shape, file: FileBytes::Held(bytes.into()), range }
    }

    /// Little-endian, row-major bytes.
    pub fn bytes(&self) -> &[u8] {
        // the range was checked against the file when the header was read
        self.file.as_slice().get(self.range.clone()).unwrap_or_default()
    }

    /// Numbers in the tensor.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True where a dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives the pages of a mapped tensor back to the system; they are read from the file again when they are needed. For
    /// tensors that were copied into another form, so that loading never counts a model twice.
    pub fn release(&self) {
        if let FileBytes::Mapped(map) = &self.file
            && !self.range.is_empty()
        {
            // SAFETY: the map is read-only and of a file, so dropped pages come back with the same bytes; a slice that is
            // borrowed meanwhile stays valid.
            #[allow(unsafe_code)]
            let result =
                unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.range.start, self.range.len()) };
            // only advice: where it is refused the pages merely stay
            drop(result);
        }
    }
}

/// All tensors of a model, by name.
#[derive(Debug, Clone, Default)]
pub struct WeightFiles {
    tensors: BTreeMap<String, StoredTensor>,
    origin: String,
    /// Running since the files were opened, where their digests are known.
    hashes: Option<Arc<HashCheck>>,
}

impl WeightFiles {
    /// The tensors of one safetensors file in memory; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ModelError::Weights`] where the header or its offsets do not fit the bytes.
    pub fn from_bytes(origin: &str, bytes: Vec<u8>) -> Result<Self, ModelError> {
        let found = read_header(&bytes).map_err(|reason| ModelError::Weights {
            origin: origin.to_owned(),
            fault: WeightsFault::Damaged { bytes: bytes.len(), reason },
        })?;
        let mut files = Self { origin: origin.to_owned(), ..Self::default() };
        files.add(&FileBytes::Held(bytes.into()), found);
        Ok(files)
    }

    /// The tensors of a model folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    ///
    /// Where the folder has a [`Manifest`], the sizes of its files are checked at once and their digests on threads of their
    /// own, while tensors are read: [`Self::finish_hashes`] waits for them.
    ///
    /// # Errors
    /// [`ModelError::WeightFiles`], naming the file and, where there is one, the tensor.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        // before headers are read: it knows better which file is not the imported one
        if let Some(manifest) = &manifest {
            manifest.check_sizes(dir)?;
        }
        let mut files = Self::open_unverified(dir)?;
        if let Some(manifest) = manifest {
            let listed: Vec<_> = manifest.files.iter().map(|(name, file)| (dir.join(name), file.sha256)).collect();
            for name in index::find(dir)?.files {
                if !manifest.files.contains_key(&name) {
                    let reason = format!("it does not name {name}; import the model again");
                    return Err(WeightFilesError::Manifest { path: dir.join(MANIFEST), reason }.into());
                }
            }
            files.hashes = Some(Arc::new(HashCheck::start(listed)));
        }
        Ok(files)
    }

    /// As [`Self::open`], without looking at a manifest.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_unverified(dir: &Path) -> Result<Self, ModelError> {
        let layout = index::find(dir)?;
        let mut files = Self { origin: dir.display().to_string(), ..Self::default() };
        let index_fault = |reason| WeightFilesError::Index { path: dir.join(INDEX), reason };
        for (at, name) in layout.files.iter().enumerate() {
            let (bytes, found) = map(&dir.join(name))?;
            for tensor in &found {
                let Some(placed) = &layout.placed else { break };
                match placed.get(&tensor.name) {
                    Some(&place) if place == at => {}
                    Some(&place) => {
                        let place = layout.files.get(place).map_or("another file", String::as_str);
                        let reason = format!("it says that {} is in {place}, but {name} holds it", tensor.name);
                        return Err(index_fault(reason).into());
                    }
                    None => {
                        return Err(index_fault(format!("it does not name {}, which {name} holds", tensor.name)).into());
                    }
                }
            }
            files.add(&bytes, found);
        }
        if let Some(placed) = &layout.placed
            && let Some((tensor, &place)) = placed.iter().find(|(tensor, _)| !files.tensors.contains_key(*tensor))
        {
            let place = layout.files.get(place).map_or("a file", String::as_str);
            return Err(index_fault(format!("it says that {tensor} is in {place}, which lacks it")).into());
        }
        Ok(files)
    }

    /// The tensors of one safetensors file of any name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_file(path: &Path) -> Result<Self, ModelError> {
        let (bytes, found) = map(path)?;
        let mut files = Self { origin: path.display().to_string(), ..Self::default() };
        files.add(&bytes, found);
        Ok(files)
    }

    /// The tensors of a path of any kind: a model folder, or one file of PyTorch (`.pth`, `.pt`, `.bin`) or safetensors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_path(path: &Path) -> Result<Self, ModelError> {
        if path.is_dir() {
            return Self::open(path);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pth" | "pt" | "bin") => Ok(read_pytorch(path)?),
            _ => Self::open_file(path),
        }
    }

    /// The tensors whose names begin with `prefix`, without it.
    #[must_use]
    pub(crate) fn under(mut self, prefix: &str) -> Self {
        let kept = |(name, tensor): (String, _)| Some((name.strip_prefix(prefix)?.to_owned(), tensor));
        self.tensors = self.tensors.into_iter().filter_map(kept).collect();
        self
    }

    /// Tensors that are in memory already.
    pub(crate) fn from_tensors(origin: String, tensors: BTreeMap<String, StoredTensor>) -> Self {
        Self { tensors, origin, hashes: None }
    }

    fn add(&mut self, file: &FileBytes, found: Vec<HeaderTensor>) {
        for HeaderTensor { name, dtype, shape, range } in found {
            self.tensors.insert(name, StoredTensor { dtype, shape, file: file.clone(), range });
        }
    }

    /// Waits until the digests of all files are known; at once where there is no manifest.
    ///
    /// # Errors
    /// [`WeightFilesError::Hash`] with the file, the digest it should have and the one it has.
    pub fn finish_hashes(&self) -> Result<(), WeightFilesError> {
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.finish())
    }

    /// Where the tensors come from, for errors.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All tensors, by name, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// Maps a safetensors file and reads its header.
fn map(path: &Path) -> Result<(FileBytes, Vec<HeaderTensor>), WeightFilesError> {
    let at = |source| WeightFilesError::Read { path: path.to_owned(), source };
    let file = open_regular(path).map_err(at)?;
    // SAFETY: the map is only read. A file that another program cuts while it is mapped ends this one by a signal, as
    // with every mapped file; weights are put in place by renaming, never by writing over them.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.map_err(at)?;
    let found = read_header(&map).map_err(|reason| WeightFilesError::Header {
        path: PathBuf::from(path),
        bytes: map.len() as u64,
        reason,
    })?;
    Ok((FileBytes::Mapped(Arc::new(map)), found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::hashes::Digest;
    use crate::weights::manifest::{MANIFEST_VERSION, ManifestFile};
    use safetensors::tensor::TensorView;
    use std::fs;

    fn shard(tensors: &[(&str, f32)]) -> Vec<u8> {
        let data: Vec<[u8; 4]> = tensors.iter().map(|(_, x)| x.to_le_bytes()).collect();
        let views = tensors.iter().zip(&data);
        let views = views.map(|((name, _), data)| (*name, TensorView::new(Dtype::F32, vec![1], data).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn sharded(index: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.safetensors"), shard(&[("x", 1.0), ("y", 2.0)])).unwrap();
        fs::write(dir.path().join("b.safetensors"), shard(&[("z", 3.0)])).unwrap();
        fs::write(dir.path().join(INDEX), index).unwrap();
        dir
    }

    fn fault(dir: &Path) -> String {
        WeightFiles::open(dir).unwrap_err().to_string()
    }

    const GOOD: &str = r#"{"weight_map":{"x":"a.safetensors","y":"a.safetensors","z":"b.safetensors"}}"#;

    #[test]
    fn shards_are_read_as_one_and_released_pages_come_back() {
        let dir = sharded(GOOD);
        let files = WeightFiles::open(dir.path()).unwrap();
        assert_eq!(files.names().collect::<Vec<_>>(), ["x", "y", "z"]);
        let z = files.get("z").unwrap();
        z.release();
        assert_eq!(z.bytes(), 3.0f32.to_le_bytes());
        files.finish_hashes().unwrap();
    }

    #[test]
    fn an_index_that_lies_is_refused_by_tensor_and_file() {
        let cases = [
            (
                GOOD.replace(r#""z":"b"#, r#""z":"a"#).replace("}}", r#","q":"b.safetensors"}}"#),
                "a.safetensors, but b.safetensors holds it",
            ),
            (GOOD.replace(r#""x":"a.safetensors","#, ""), "does not name x, which a.safetensors holds"),
            (GOOD.replace("}}", r#","q":"b.safetensors"}}"#), "q is in b.safetensors, which lacks it"),
        ];
        for (index, says) in cases {
            let error = fault(sharded(&index).path());
            assert!(error.contains(says), "{error}");
        }
        // a tensor in two shards is in one of them against the index
        let dir = sharded(GOOD);
        fs::write(dir.path().join("b.safetensors"), shard(&[("z", 3.0), ("x", 1.0)])).unwrap();
        assert!(fault(dir.path()).contains("x is in a.safetensors, but b.safetensors holds it"));
        let dir = sharded(GOOD);
        let whole = shard(&[("z", 3.0)]);
        fs::write(dir.path().join("b.safetensors"), &whole[..whole.len() - 1]).unwrap();
        let error = fault(dir.path());
        assert!(
            error.contains("b.safetensors") && error.contains("tensor z") && error.contains("truncated"),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_is_held_against_the_files() {
        let dir = sharded(GOOD);
        let names = ["a.safetensors", "b.safetensors", INDEX];
        let write = |names: &[&str]| {
            let file = |name: &&str| {
                let bytes = fs::read(dir.path().join(name)).unwrap();
                ((*name).to_owned(), ManifestFile { bytes: bytes.len() as u64, sha256: Digest::of(&bytes) })
            };
            let files = names.iter().map(file).collect();
            let manifest = Manifest { format_version: MANIFEST_VERSION, name: "m".to_owned(), parts: vec![], files };
            fs::write(dir.path().join(MANIFEST), manifest.to_json().unwrap()).unwrap();
        };
        write(&names);
        WeightFiles::open(dir.path()).unwrap().finish_hashes().unwrap();
        fs::write(dir.path().join("b.safetensors"), shard(&[("z", 4.0)])).unwrap();
        let files = WeightFiles::open(dir.path()).unwrap();
        let error = files.finish_hashes().unwrap_err().to_string();
        let found = Digest::of(&shard(&[("z", 4.0)])).to_string();
        assert!(error.contains("b.safetensors: sha256 is ") && error.contains(&found), "{error}");
        write(&names[1..]);
        assert!(fault(dir.path()).contains("does not name a.safetensors"));
    }
}
