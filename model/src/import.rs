//! A public checkpoint in, a model folder of ours out: its tensors in the number type asked for, in shards, with the digest of every
//! file. A tensor at a time, so that a model larger than the memory can be imported.

mod adapter;
mod describe;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde_json::{Map, Value, json};

pub use adapter::AdapterError;

use adapter::Adapter;
use describe::{CONFIG, Described, describe, most_used};

use crate::error::ModelError;
use crate::packed::{
    CODES, GROUP, MatrixType, PackedMatrix, SCALES, code_shapes, first_not_finite, first_not_finite_of,
};
use crate::weights::{
    Digest, INDEX, MANIFEST, MANIFEST_VERSION, Manifest, ManifestFile, ManifestPart, RunningDigest, SINGLE,
    StoredTensor, WeightFiles, WeightFilesError,
};

/// Largest weight file written, bytes; a tensor that is larger has one for itself.
const SHARD: u64 = 4_000_000_000;
/// The only architecture whose matrices are all multiplied by the packed kernels, its table aside.
const QUANTISABLE: &str = "qwen2_5_vl";
/// Part of the name of a table, whose rows are read one at a time: codes would lose more than they save.
const TABLE: &str = "embed_tokens.";

/// Why a model could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter cannot be used.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A file of the source.
    #[error(transparent)]
    Files(#[from] WeightFilesError),
    /// A file cannot be read or written.
    #[error("{path}: cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An earlier import was broken off.
    #[error("{0}: an earlier import was broken off there, or is still at work; remove it when it is not")]
    Unfinished(PathBuf),
    /// A number that the type asked for cannot hold.
    #[error(
        "{origin}: tensor {tensor} holds numbers that are too large for {dtype}, or become so with the adapter; take bf16 or f32"
    )]
    TooLarge {
        /// The source.
        origin: String,
        /// The tensor.
        tensor: String,
        /// The type asked for.
        dtype: &'static str,
    },
    /// The folder is not free.
    #[error("{0}: is there already; name a new folder with --out, or remove it")]
    Taken(PathBuf),
    /// A tensor with NaN or infinite values.
    #[error(
        "{origin}: tensor {tensor} holds values that are not finite, the first at index {index}; nothing was imported"
    )]
    NotFinite {
        /// The source.
        origin: String,
        /// The tensor.
        tensor: String,
        /// Row-major index of the first.
        index: usize,
    },
    /// config.json cannot be used.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// How a tensor is written.
enum Form {
    Kept,
    Floats(MatrixType),
    Codes(MatrixType),
}

/// A tensor of the source and what becomes of it.
struct Task<'a> {
    name: &'a str,
    tensor: &'a StoredTensor,
    form: Form,
    /// What is added to it.
    adapter: Option<&'a Adapter>,
    /// Names, types and shapes that are written.
    outputs: Vec<(String, Dtype, Vec<usize>)>,
    bytes: u64,
}

/// Imports `source`, a Hugging Face model folder or one file of weights (.safetensors, .pth, .bin), as the new folder `out`.
/// Matrices become `dtype`; what is no float stays as it is. `on_progress` hears of the bytes written and of all there are.
/// Nothing is left behind where it fails.
///
/// # Errors
/// [`ImportError`] naming the file or tensor.
pub fn import(
    source: &Path,
    out: &Path,
    name: &str,
    dtype: Option<MatrixType>,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, ImportError> {
    import_merged(source, None, out, name, dtype, on_progress)
}

/// As [`import`], with the LoRA of the PEFT folder `adapter` added to the matrices that it adapts.
///
/// # Errors
/// As [`import`], or [`AdapterError`] naming what does not fit.
pub fn import_merged(
    source: &Path,
    adapter: Option<&Path>,
    out: &Path,
    name: &str,
    dtype: Option<MatrixType>,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, ImportError> {
    // without a last slash, which would put what is beside the folder into it
    let out: &Path = &out.components().collect::<PathBuf>();
    if out.file_name().is_none() {
        let reason = "--out must end in the name of the new folder".to_owned();
        return Err(ImportError::Config { path: out.to_owned(), reason });
    }
    if out.exists() {
        return Err(ImportError::Taken(out.to_owned()));
    }
    let Described { files, architecture, settings } = describe(source, WeightFiles::open_path(source)?)?;
    let quantised = matches!(dtype, Some(MatrixType::Int8 | MatrixType::Int4));
    if quantised && architecture != QUANTISABLE {
        let reason = format!("model_type is `{architecture}`; only {QUANTISABLE} can be written in 8 or 4 bits");
        return Err(ImportError::Config { path: source.join(CONFIG), reason });
    }
    let sources = std::iter::once(source).chain(adapter).map(|path| path.display().to_string()).collect();
    let adapter = adapter.map(|dir| Adapter::read(dir, &files)).transpose()?;
    let tasks: Vec<Task<'_>> = files.iter().map(|(name, tensor)| task(name, tensor, dtype, adapter.as_ref())).collect();
    let mut staging = out.as_os_str().to_owned();
    staging.push(".partial");
    let staging = PathBuf::from(staging);
    if staging.exists() {
        return Err(ImportError::Unfinished(staging));
    }
    at(&staging, fs::create_dir_all(&staging))?;
    let part = ManifestPart {
        folder: ".".to_owned(),
        architecture,
        dtype: dtype.or_else(|| most_used(&files)).unwrap_or(MatrixType::F32),
        group: quantised.then_some(GROUP),
        sources,
    };
    let written = write(&staging, &files, &tasks, name, part, &settings, on_progress).and_then(|manifest| {
        at(out, fs::rename(&staging, out))?;
        Ok(manifest)
    });
    if written.is_err() {
        // what was wrong is told, not that clearing away failed too
        let _ = fs::remove_dir_all(&staging);
    }
    written
}

fn task<'a>(
    name: &'a str,
    tensor: &'a StoredTensor,
    dtype: Option<MatrixType>,
    adapter: Option<&'a Adapter>,
) -> Task<'a> {
    let adapter = adapter.filter(|adapter| adapter.adapts(name));
    // a sum is rounded again, to the type that the matrix came in
    let dtype = dtype.or_else(|| adapter.and_then(|_| MatrixType::of_stored(tensor.dtype)));
    let is_float = MatrixType::of_stored(tensor.dtype).is_some();
    let matrix = tensor.shape.len() > 1 && name.ends_with(".weight") && !name.contains(TABLE);
    let rows = tensor.shape.first().copied().unwrap_or(0);
    let columns = tensor.shape.iter().skip(1).product();
    let kept = |form| Task {
        name,
        tensor,
        form,
        adapter,
        outputs: vec![(name.to_owned(), tensor.dtype, tensor.shape.clone())],
        bytes: tensor.bytes().len() as u64,
    };
    let Some(kind) = dtype.filter(|_| is_float) else { return kept(Form::Kept) };
    if let Some([codes, scales]) = code_shapes(kind, rows, columns) {
        if !matrix {
            return kept(Form::Kept);
        }
        let outputs = vec![
            (format!("{name}{CODES}"), Dtype::U8, codes.to_vec()),
            (format!("{name}{SCALES}"), Dtype::F16, scales.to_vec()),
        ];
        let bytes = kind.bytes(rows as u64, columns as u64);
        return Task { name, tensor, form: Form::Codes(kind), adapter, outputs, bytes };
    }
    let stored = kind.stored().unwrap_or(tensor.dtype);
    let bytes = kind.bytes(1, tensor.len() as u64);
    let outputs = vec![(name.to_owned(), stored, tensor.shape.clone())];
    Task { name, tensor, form: Form::Floats(kind), adapter, outputs, bytes }
}

/// Bytes of a tensor that is written.
fn size(dtype: Dtype, shape: &[usize]) -> u64 {
    shape.iter().product::<usize>() as u64 * dtype.bitsize() as u64 / 8
}

fn write(
    staging: &Path,
    files: &WeightFiles,
    tasks: &[Task<'_>],
    name: &str,
    part: ManifestPart,
    settings: &[(&str, Vec<u8>)],
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, ImportError> {
    let total = tasks.iter().map(|task| task.bytes).sum();
    let mut shards: Vec<Vec<&Task<'_>>> = vec![Vec::new()];
    let mut room = SHARD;
    for task in tasks {
        if let Some(last) = shards.last_mut().filter(|last| last.is_empty() || task.bytes <= room) {
            last.push(task);
        } else {
            room = SHARD;
            shards.push(vec![task]);
        }
        room = room.saturating_sub(task.bytes);
    }
    let mut listed = BTreeMap::new();
    let mut place = BTreeMap::new();
    let mut done = 0;
    for (i, shard) in shards.iter().enumerate() {
        let file = match shards.len() {
            1 => SINGLE.to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", i + 1),
        };
        for (tensor, ..) in shard.iter().flat_map(|task| &task.outputs) {
            place.insert(tensor.clone(), file.clone());
        }
        let entry = write_shard(&staging.join(&file), files.origin(), shard, &mut |bytes| {
            done += bytes;
            on_progress(done, total);
        })?;
        listed.insert(file, entry);
    }
    if shards.len() > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": place});
        listed.insert(INDEX.to_owned(), write_file(&staging.join(INDEX), format!("{index:#}\n").as_bytes())?);
    }
    for (file, bytes) in settings {
        listed.insert((*file).to_owned(), write_file(&staging.join(file), bytes)?);
    }
    // the source's own digests, where it has any, before its copy is called good
    files.finish_hashes()?;
    let manifest =
        Manifest { format_version: MANIFEST_VERSION, name: name.to_owned(), parts: vec![part], files: listed };
    let path = staging.join(MANIFEST);
    let json = manifest.to_json().map_err(|e| ImportError::Config { path: path.clone(), reason: e.to_string() })?;
    write_file(&path, &json)?;
    Ok(manifest)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<ManifestFile, ImportError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    at(path, written)?;
    Ok(ManifestFile { bytes: bytes.len() as u64, sha256: Digest::of(bytes) })
}

/// One safetensors file, and its digest as it grows.
fn write_shard(
    path: &Path,
    origin: &str,
    tasks: &[&Task<'_>],
    on_bytes: &mut dyn FnMut(u64),
) -> Result<ManifestFile, ImportError> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut end = 0;
    for (name, dtype, shape) in tasks.iter().flat_map(|task| &task.outputs) {
        let start = end;
        end += size(*dtype, shape);
        let entry = json!({"dtype": dtype.to_string(), "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');

    let mut out = BufWriter::with_capacity(1 << 20, at(path, File::create(path))?);
    let (mut running, mut bytes) = (RunningDigest::default(), 0u64);
    let mut put = |data: &[u8]| {
        running.update(data);
        bytes += data.len() as u64;
        at(path, out.write_all(data))
    };
    put(&(text.len() as u64).to_le_bytes())?;
    put(&text)?;
    for task in tasks {
        let rows = task.tensor.shape.first().copied().unwrap_or(0);
        let columns = task.tensor.shape.iter().skip(1).product();
        let merged = task.adapter.map(|adapter| adapter.merged(task.name, task.tensor)).transpose()?;
        let tensor = merged.as_ref().unwrap_or(task.tensor);
        let packed = |rows, columns, kind| {
            PackedMatrix::from_stored(tensor, rows, columns, kind).map_err(|index| ImportError::NotFinite {
                origin: origin.to_owned(),
                tensor: task.name.to_owned(),
                index,
            })
        };
        match task.form {
            Form::Kept => {
                if let Some(index) = first_not_finite(task.tensor) {
                    let (origin, tensor) = (origin.to_owned(), task.name.to_owned());
                    return Err(ImportError::NotFinite { origin, tensor, index });
                }
                put(task.tensor.bytes())?;
            }
            Form::Floats(kind) => {
                let floats = packed(1, task.tensor.len(), kind)?;
                let stored = kind.stored().unwrap_or(Dtype::F32);
                fits(floats.float_bytes(), stored, kind, task.name, origin)?;
                put(floats.float_bytes())?;
            }
            Form::Codes(kind) => {
                if let Some(codes) = packed(rows, columns, kind)?.codes() {
                    fits(codes.scales, Dtype::F16, kind, task.name, origin)?;
                    put(codes.codes)?;
                    put(codes.scales)?;
                }
            }
        }
        task.tensor.release();
        on_bytes(task.bytes);
    }
    let file = at(path, out.into_inner().map_err(std::io::IntoInnerError::into_error))?;
    at(path, file.sync_all())?;
    Ok(ManifestFile { bytes, sha256: running.finish() })
}

/// Refuses numbers, or scales, that became infinite in the type that they are written in.
fn fits(bytes: &[u8], stored: Dtype, kind: MatrixType, tensor: &str, origin: &str) -> Result<(), ImportError> {
    match first_not_finite_of(bytes, stored) {
        None => Ok(()),
        Some(_) => {
            let (origin, tensor) = (origin.to_owned(), tensor.to_owned());
            Err(ImportError::TooLarge { origin, tensor, dtype: kind.name() })
        }
    }
}

fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T, ImportError> {
    result.map_err(|source| ImportError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn source(values: &[f32]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = |shape: Vec<usize>| TensorView::new(Dtype::F32, shape, &bytes).unwrap();
        let tensors = [
            ("model.embed_tokens.weight", view(vec![2, 40])),
            ("model.norm.weight", view(vec![80])),
            ("lm_head.weight", view(vec![2, 40])),
        ];
        fs::write(dir.path().join(SINGLE), safetensors::serialize(tensors, None).unwrap()).unwrap();
        fs::write(dir.path().join(CONFIG), r#"{"model_type": "qwen2_5_vl"}"#).unwrap();
        dir
    }

    fn slope() -> Vec<f32> {
        (0..80u8).map(|i| f32::from(i) / 40.0 - 1.0).collect()
    }

    fn run(dir: &Path, out: &Path, dtype: MatrixType) -> Result<Manifest, ImportError> {
        import(dir, out, "m", Some(dtype), &mut |done, total| assert!(done <= total))
    }

    #[test]
    fn an_imported_folder_holds_what_was_asked_for_and_its_digests() {
        let dir = source(&slope());
        for dtype in [MatrixType::F32, MatrixType::Bf16, MatrixType::F16, MatrixType::Int8, MatrixType::Int4] {
            let out = dir.path().join(dtype.name());
            let manifest = run(dir.path(), &out, dtype).unwrap();
            assert_eq!(Manifest::read(&out).unwrap().unwrap(), manifest);
            let files = WeightFiles::open(&out).unwrap();
            files.finish_hashes().unwrap();
            let quantised = matches!(dtype, MatrixType::Int8 | MatrixType::Int4);
            let names: Vec<&str> = files.names().collect();
            if quantised {
                let expected =
                    ["lm_head.weight.codes", "lm_head.weight.scales", "model.embed_tokens.weight", "model.norm.weight"];
                assert_eq!(names, expected);
            } else {
                assert_eq!(names, ["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"]);
                assert_eq!(MatrixType::of_stored(files.get("lm_head.weight").unwrap().dtype), Some(dtype));
            }
            assert!(!dir.path().join(format!("{}.partial", dtype.name())).exists());
            assert!(matches!(run(dir.path(), &out, dtype), Err(ImportError::Taken(_))));
        }
    }

    #[test]
    fn numbers_that_the_type_cannot_hold_are_refused() {
        let mut values = slope();
        values[3] = 3.0e38;
        let dir = source(&values);
        for dtype in [MatrixType::F16, MatrixType::Int8, MatrixType::Int4] {
            let error = run(dir.path(), &dir.path().join("out"), dtype).unwrap_err().to_string();
            assert!(error.contains("lm_head.weight") && error.contains(dtype.name()), "{error}");
        }
        // a last slash names the same folder, no folder within it
        let mut slashed = dir.path().join("out").into_os_string();
        slashed.push("/");
        run(dir.path(), Path::new(&slashed), MatrixType::Bf16).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        assert!(run(dir.path(), &dir.path().join("new/.."), MatrixType::Bf16).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        fs::create_dir(dir.path().join("next.partial")).unwrap();
        let error = run(dir.path(), &dir.path().join("next"), MatrixType::Bf16).unwrap_err();
        assert!(matches!(error, ImportError::Unfinished(_)), "{error}");
    }

    #[test]
    fn what_cannot_be_imported_leaves_nothing() {
        let mut values = slope();
        values[3] = f32::NAN;
        let dir = source(&values);
        let out = dir.path().join("out");
        let error = run(dir.path(), &out, MatrixType::Int4).unwrap_err().to_string();
        assert!(error.contains("lm_head.weight") && error.contains("index 3"), "{error}");
        fs::write(dir.path().join(CONFIG), r#"{"model_type": "siglip"}"#).unwrap();
        let error = run(dir.path(), &out, MatrixType::Int4).unwrap_err().to_string();
        assert!(error.contains("siglip"), "{error}");
        fs::write(dir.path().join(CONFIG), "{}").unwrap();
        assert!(run(dir.path(), &out, MatrixType::F32).unwrap_err().to_string().contains("model_type"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_point_transformer_gets_its_settings_from_its_shapes() {
        use crate::points::v3::{PtV3, PtV3Config};
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/parity/ptv3/saved_by_training");
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let manifest = import(&saved.join("checkpoint.pth"), &out, "m", None, &mut |_, _| ()).unwrap();
        assert_eq!(manifest.parts[0].architecture, "ptv3");
        // neither the optimizer nor the name of the state
        let files = WeightFiles::open(&out).unwrap();
        assert!(files.names().all(|name| name.starts_with("module.")), "{:?}", files.names().collect::<Vec<_>>());
        let config = PtV3Config::from_json("out", &fs::read(out.join(CONFIG)).unwrap()).unwrap();
        let expected = PtV3Config::from_json("saved", &fs::read(saved.join(CONFIG)).unwrap()).unwrap();
        assert_eq!(config, expected);
        PtV3::load(&out, &config, crate::weights::Placement::cpu(MatrixType::F32)).unwrap();
        // a folder of the same without a config.json, and one that is of nothing known
        let again = dir.path().join("again");
        fs::remove_file(out.join(CONFIG)).unwrap();
        fs::remove_file(out.join(MANIFEST)).unwrap();
        import(&out, &again, "m", Some(MatrixType::F16), &mut |_, _| ()).unwrap();
        assert_eq!(PtV3Config::from_json("again", &fs::read(again.join(CONFIG)).unwrap()).unwrap(), config);
        let other = source(&slope());
        fs::remove_file(other.path().join(CONFIG)).unwrap();
        let error = run(other.path(), &dir.path().join("other"), MatrixType::F32).unwrap_err().to_string();
        assert!(error.contains(CONFIG) && error.contains("do not tell"), "{error}");
    }
}
