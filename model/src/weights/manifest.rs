//! `vantage.json` of an imported model folder: what it is made of, and the size and digest of every file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::WeightFilesError;
use super::hashes::Digest;
use super::index::{is_plain_name, read_bounded};
use super::unique::UniqueMap;
use crate::packed::{GROUP, MatrixType};

/// The manifest's file name.
pub const MANIFEST: &str = "vantage.json";
/// What this program writes, and all that it reads.
pub const MANIFEST_VERSION: u32 = 1;
/// Longest manifest read.
const MAX_MANIFEST: u64 = 4 << 20;

/// What an imported folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub format_version: u32,
    /// Name of the model.
    pub name: String,
    /// The models in it, each a folder in the Hugging Face manner.
    pub parts: Vec<ManifestPart>,
    /// Every file, by its path within the folder.
    pub files: BTreeMap<String, ManifestFile>,
}

/// One model of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestPart {
    /// The folder within the model's: `.` where it is the only part.
    pub folder: String,
    /// `model_type` of its config.json.
    pub architecture: String,
    /// Number type of its matrices.
    pub dtype: MatrixType,
    /// Weights that share a scale, where the matrices are quantised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// What it was made of: a folder or file, or a repository with its revision; adapters follow the model they were merged into.
    pub sources: Vec<String>,
}

/// Size and digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: Digest,
}

/// As it is read: names once, unknown fields refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format_version: u32,
    name: String,
    parts: Vec<ManifestPart>,
    files: UniqueMap<ManifestFile>,
}

impl Manifest {
    /// Reads vantage.json of `dir`; none where there is no such file.
    ///
    /// # Errors
    /// [`WeightFilesError`] where it cannot be read, is of another version, or names files outside of `dir`.
    pub fn read(dir: &Path) -> Result<Option<Self>, WeightFilesError> {
        let path = dir.join(MANIFEST);
        let bytes = match read_bounded(&path, MAX_MANIFEST) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(WeightFilesError::Read { path, source }),
        };
        Self::from_json(&bytes).map(Some).map_err(|reason| WeightFilesError::Manifest { path, reason })
    }

    fn from_json(bytes: &[u8]) -> Result<Self, String> {
        // the version first: a later one may have other fields
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if version.format_version != MANIFEST_VERSION {
            return Err(format!(
                "format_version is {}, this program reads {MANIFEST_VERSION}; import the model again",
                version.format_version
            ));
        }
        let Stored { format_version, name, parts, files: UniqueMap(files) } =
            serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        for path in files.keys() {
            let inside = match path.split_once('/') {
                Some((folder, file)) => is_plain_name(folder) && is_plain_name(file),
                None => is_plain_name(path),
            };
            if !inside {
                return Err(format!("it names the file {path:?}, which is not one of the model's folder"));
            }
        }
        for part in &parts {
            if part.folder != "." && !is_plain_name(&part.folder) {
                return Err(format!("it names the folder {:?}, which is not one of the model's", part.folder));
            }
            if part.group.is_some_and(|group| group != GROUP) {
                return Err(format!("groups of {:?} weights share a scale, this program reads {GROUP}", part.group));
            }
        }
        Ok(Self { format_version, name, parts, files })
    }

    /// vantage.json.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Refuses files of `dir` that are missing or not as long as they should be; digests are not looked at. Only those
    /// of `folder` where one is given (`.` for the outermost).
    ///
    /// # Errors
    /// [`WeightFilesError::Missing`] and [`WeightFilesError::Size`].
    pub fn check_sizes(&self, dir: &Path) -> Result<(), WeightFilesError> {
        for (name, file) in &self.files {
            let path = dir.join(name);
            match std::fs::metadata(&path) {
                Ok(found) if found.len() == file.bytes => {}
                Ok(found) => return Err(WeightFilesError::Size { path, expected: file.bytes, found: found.len() }),
                Err(e) if e.kind() == ErrorKind::NotFound => return Err(WeightFilesError::Missing { path }),
                Err(source) => return Err(WeightFilesError::Read { path, source }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = ManifestFile { bytes: 3, sha256: Digest::of(b"abc") };
        let part = ManifestPart {
            folder: ".".to_owned(),
            architecture: "siglip".to_owned(),
            dtype: MatrixType::Int4,
            group: Some(GROUP),
            sources: vec!["somewhere".to_owned()],
        };
        Manifest {
            format_version: MANIFEST_VERSION,
            name: "a".to_owned(),
            parts: vec![part],
            files: [("model.safetensors".to_owned(), file)].into(),
        }
    }

    #[test]
    fn a_manifest_is_read_back_as_written() {
        let json = manifest().to_json().unwrap();
        assert_eq!(Manifest::from_json(&json).unwrap(), manifest());
        let text = String::from_utf8(json).unwrap();
        // FIPS 180-2, appendix B.1
        assert!(text.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{text}");
        assert!(text.contains(r#""dtype": "int4""#), "{text}");
    }

    #[test]
    fn what_leads_out_or_is_unknown_is_refused() {
        let changed = |from: &str, to: &str| {
            let json = String::from_utf8(manifest().to_json().unwrap()).unwrap().replace(from, to);
            Manifest::from_json(json.as_bytes()).unwrap_err()
        };
        assert!(changed("model.safetensors", "../x").contains("../x"));
        assert!(changed("model.safetensors", "a/b/c").contains("a/b/c"));
        assert!(changed("model.safetensors", "/etc/passwd").contains("/etc/passwd"));
        assert!(changed(r#""folder": ".""#, r#""folder": ".."#.to_owned().as_str()).len() > 1);
        assert!(changed(r#""folder": ".""#, r#""folder": "..""#).contains("folder"));
        assert!(changed(r#""format_version": 1"#, r#""format_version": 2"#).contains("import the model again"));
        assert!(changed("ba7816", "zz7816").contains("hexadecimal"));
        assert!(changed(r#""group": 32"#, r#""group": 64"#).contains("64"));
        assert!(changed(r#""name""#, r#""nome""#).contains("nome"));
    }

    #[test]
    fn files_of_another_size_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = manifest().check_sizes(dir.path()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors: missing"), "{error}");
        std::fs::write(dir.path().join("model.safetensors"), "abcd").unwrap();
        let error = manifest().check_sizes(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has 4 bytes, vantage.json says 3"), "{error}");
        std::fs::write(dir.path().join("model.safetensors"), "xyz").unwrap();
        manifest().check_sizes(dir.path()).unwrap();
    }
}
