//! A model folder in, its weight files and what each must hold out: `model.safetensors` alone, or the shards that
//! `model.safetensors.index.json` names.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::error::WeightFilesError;
use super::unique::UniqueMap;

/// The weights of a model that is not sharded.
pub(crate) const SINGLE: &str = "model.safetensors";
/// The index of a sharded one.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// How the names of weight files end.
pub(crate) const EXTENSION: &str = "safetensors";
/// Longest index read; that of the 72B model has 100 kB.
const MAX_INDEX: u64 = 16 << 20;

/// The weight files of a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// File names within the folder, sorted.
    pub(crate) files: Vec<String>,
    /// Where the index says each tensor is: tensor to place in `files`. None without an index.
    pub(crate) placed: Option<BTreeMap<String, usize>>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: UniqueMap<String>,
}

/// Finds the weight files of `dir`.
///
/// # Errors
/// [`WeightFilesError`]: no weights, both kinds at once, an index that cannot be read, or that names a file outside of `dir`
/// or one that is not there, or a weight file of `dir` that it does not name.
pub(crate) fn find(dir: &Path) -> Result<Layout, WeightFilesError> {
    let present = weight_files(dir)?;
    let index = dir.join(INDEX);
    let Some(bytes) = read_index(&index)? else {
        if !present.iter().any(|name| name == SINGLE) {
            return Err(WeightFilesError::None { dir: dir.to_owned() });
        }
        if let Some(other) = present.iter().find(|name| *name != SINGLE && is_shard(name)) {
            let reason = format!("is not there, although {other} lies beside {SINGLE}; remove one of them");
            return Err(WeightFilesError::Index { path: index, reason });
        }
        inside(dir, SINGLE)?;
        return Ok(Layout { files: vec![SINGLE.to_owned()], placed: None });
    };
    let fault = |reason: String| WeightFilesError::Index { path: index.clone(), reason };
    let parsed: Index = serde_json::from_slice(&bytes).map_err(|e| fault(e.to_string()))?;
    let mut files: Vec<String> = parsed.weight_map.0.values().cloned().collect();
    files.sort();
    files.dedup();
    for file in &files {
        if !is_plain_name(file) {
            return Err(fault(format!("it names the file {file:?}; weight files lie in the model's folder itself")));
        }
        if !present.contains(file) {
            return Err(fault(format!("it names {file}, which is not there; copy it, or import the model again")));
        }
        inside(dir, file)?;
    }
    if let Some(unread) = present.iter().find(|name| !files.contains(name) && is_shard(name)) {
        return Err(fault(format!("it does not name {unread}, which lies beside it; remove one of them")));
    }
    let place = |file: &String| files.binary_search(file).unwrap_or(0);
    let placed = parsed.weight_map.0.iter().map(|(tensor, file)| (tensor.clone(), place(file))).collect();
    Ok(Layout { files, placed: Some(placed) })
}

/// Whether a file is called as one of the model's own; others may lie beside it.
fn is_shard(name: &str) -> bool {
    name.starts_with("model")
}

/// Names of the weight files in `dir`, sorted; an adapter's is none of the model's.
fn weight_files(dir: &Path) -> Result<Vec<String>, WeightFilesError> {
    let at = |source| WeightFilesError::Read { path: dir.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(at)? {
        let name = entry.map_err(at)?.file_name();
        let Some(name) = name.to_str() else { continue };
        if Path::new(name).extension().is_some_and(|e| e == EXTENSION) && !name.starts_with("adapter_") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The bytes of the index; none where there is no such file.
fn read_index(path: &Path) -> Result<Option<Vec<u8>>, WeightFilesError> {
    match read_bounded(path, MAX_INDEX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(WeightFilesError::Read { path: path.to_owned(), source }),
    }
}

/// A file for reading; refuses what is none, such as a pipe, which would be waited for without end.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<fs::File> {
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    fs::File::open(path)
}

/// The bytes of a regular file of at most `limit`.
pub fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::new(
            ErrorKind::InvalidData,
            format!("longer than the {limit} bytes that are read"),
        ));
    }
    Ok(bytes)
}

/// A file name and nothing else: no folder, no `..`, no root.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(n)), None) if n == name)
}

/// Refuses a link that leads out of `dir`.
fn inside(dir: &Path, name: &str) -> Result<PathBuf, WeightFilesError> {
    let path = dir.join(name);
    let real =
        |path: &Path| fs::canonicalize(path).map_err(|source| WeightFilesError::Read { path: path.to_owned(), source });
    let (target, home) = (real(&path)?, real(dir)?);
    if target.parent() == Some(&home) {
        return Ok(target);
    }
    let reason = format!("it is a link to {}, out of the model's folder; put the file itself there", target.display());
    Err(WeightFilesError::Index { path, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder(files: &[&str], index: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(dir.path().join(file), "").unwrap();
        }
        if let Some(index) = index {
            fs::write(dir.path().join(INDEX), index).unwrap();
        }
        dir
    }

    fn fault(files: &[&str], index: Option<&str>) -> String {
        find(folder(files, index).path()).unwrap_err().to_string()
    }

    #[test]
    fn one_file_or_the_shards_of_an_index_are_found() {
        let single = find(folder(&[SINGLE, "adapter_model.safetensors"], None).path()).unwrap();
        assert_eq!(single, Layout { files: vec![SINGLE.to_owned()], placed: None });
        let index = r#"{"metadata":{"total_size":8},"weight_map":{"x":"b.safetensors","y":"a.safetensors"}}"#;
        let layout = find(folder(&["a.safetensors", "b.safetensors"], Some(index)).path()).unwrap();
        assert_eq!(layout.files, ["a.safetensors", "b.safetensors"]);
        assert_eq!(layout.placed, Some([("x".to_owned(), 1), ("y".to_owned(), 0)].into()));
    }

    #[test]
    fn what_does_not_belong_together_is_named() {
        let names = |file: &str| format!(r#"{{"weight_map":{{"x":"{file}"}}}}"#);
        let cases = [
            (fault(&[], None), "no model.safetensors"),
            (
                fault(&[SINGLE, "model-00001-of-00002.safetensors"], None),
                "model-00001-of-00002.safetensors lies beside",
            ),
            (fault(&[], Some("{")), "EOF"),
            (fault(&[], Some(r#"{"weight_map":{"x":"a","x":"b"}}"#)), "x stands there twice"),
            (fault(&["a.safetensors"], Some(&names("b.safetensors"))), "names b.safetensors, which is not there"),
            (
                fault(&["a.safetensors", "model-3.safetensors"], Some(&names("a.safetensors"))),
                "does not name model-3.safetensors",
            ),
        ];
        for (error, says) in cases {
            assert!(error.contains(says), "{error}: {says}");
        }
        for outside in ["../a.safetensors", "/etc/passwd", "sub/a.safetensors", "a.safetensors/..", ".", "", "a/"] {
            assert!(fault(&["a.safetensors"], Some(&names(outside))).contains("folder itself"), "{outside}");
        }
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        let (outside, dir) = (folder(&["w.safetensors"], None), folder(&[], None));
        std::os::unix::fs::symlink(outside.path().join("w.safetensors"), dir.path().join(SINGLE)).unwrap();
        let error = find(dir.path()).unwrap_err().to_string();
        assert!(error.contains(SINGLE) && error.contains("out of the model's folder"), "{error}");
    }

    proptest! {
        #[test]
        fn changed_and_cut_indices_never_panic(at in 0usize..120, byte in any::<u8>(), cut in 0usize..130) {
            let mut index = br#"{"metadata":{"total_size":8},"weight_map":{"x":"b.safetensors","y":"a.safetensors"}}"#.to_vec();
            let length = index.len();
            index[at.min(length - 1)] = byte;
            index.truncate(cut);
            let dir = folder(&["a.safetensors", "b.safetensors"], None);
            fs::write(dir.path().join(INDEX), index).unwrap();
            if let Ok(layout) = find(dir.path()) {
                prop_assert!(layout.files.iter().all(|f| dir.path().join(f).exists()));
            }
        }
    }
}
