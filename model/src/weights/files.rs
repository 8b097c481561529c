//! safetensors files in, named views of their bytes out. The files are memory-mapped: a tensor costs memory when it is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

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
}

/// All tensors of a model, by name.
#[derive(Debug, Clone, Default)]
pub struct WeightFiles {
    tensors: BTreeMap<String, StoredTensor>,
    origin: String,
}

impl WeightFiles {
    /// The tensors of one safetensors file in memory; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ModelError::Weights`] where the header or its offsets do not fit the bytes.
    pub fn from_bytes(origin: &str, bytes: Vec<u8>) -> Result<Self, ModelError> {
        let mut files = Self { origin: origin.to_owned(), ..Self::default() };
        files.add(FileBytes::Held(bytes.into()))?;
        Ok(files)
    }

    /// The tensors of a model folder: `model.safetensors`.
    ///
    /// # Errors
    /// [`ModelError::File`] and [`ModelError::Weights`], naming the file.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("model.safetensors");
        let at = |source| ModelError::File { path: path.clone(), source };
        let file = File::open(&path).map_err(at)?;
        // SAFETY: the map is only read. A file that another program cuts while it is mapped ends this one by a signal, as
        // with every mapped file; weights are put in place by renaming, never by writing over them.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(at)?;
        let mut files = Self { origin: dir.display().to_string(), ..Self::default() };
        files.add(FileBytes::Mapped(Arc::new(map)))?;
        Ok(files)
    }

    fn add(&mut self, file: FileBytes) -> Result<(), ModelError> {
        let bytes = file.as_slice();
        let damaged = |reason: String| ModelError::Weights {
            origin: self.origin.clone(),
            fault: WeightsFault::Damaged { bytes: bytes.len(), reason },
        };
        let parsed = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        let start = bytes.as_ptr() as usize;
        let mut found = Vec::with_capacity(parsed.len());
        for (name, view) in parsed.iter() {
            let offset = view.data().as_ptr() as usize - start;
            let range = offset..offset + view.data().len();
            found.push((name.to_owned(), view.dtype(), view.shape().to_vec(), range));
        }
        for (name, dtype, shape, range) in found {
            self.tensors.insert(name, StoredTensor { dtype, shape, file: file.clone(), range });
        }
        Ok(())
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
}
