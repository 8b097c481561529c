//! A model folder in the Hugging Face manner in, checked files and loaded weights out; and the way back.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::store::{FloatCastAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::DType;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use crate::error::{ModelError, WeightsFault};
use crate::tokenizer::Tokenizer;
use crate::weights::read_bounded;

/// Largest file of a model of this project's own that is read, bytes.
const MAX_FILE: u64 = 1 << 34;
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// Folder inside the model folder in which files are written before they take their places.
const STAGING: &str = ".vantage-partial";

/// The bytes of a model folder.
#[derive(Debug, Clone)]
pub struct CheckpointFiles<'a> {
    /// Where they came from, for messages.
    pub origin: String,
    /// config.json.
    pub config: Cow<'a, [u8]>,
    /// model.safetensors.
    pub weights: Cow<'a, [u8]>,
    /// tokenizer.json.
    pub tokenizer: Cow<'a, [u8]>,
}

impl<'a> CheckpointFiles<'a> {
    /// Files that are in memory.
    pub fn from_bytes(origin: &str, config: &'a [u8], weights: &'a [u8], tokenizer: &'a [u8]) -> Self {
        Self { origin: origin.to_owned(), config: config.into(), weights: weights.into(), tokenizer: tokenizer.into() }
    }

    /// Reads the three files of `dir`.
    ///
    /// # Errors
    /// [`ModelError::File`] naming the one that is missing.
    pub fn read(dir: &Path) -> Result<CheckpointFiles<'static>, ModelError> {
        let read = |name: &str| {
            let path = dir.join(name);
            read_bounded(&path, MAX_FILE).map(Cow::Owned).map_err(|source| ModelError::File { path, source })
        };
        Ok(CheckpointFiles {
            origin: dir.display().to_string(),
            config: read(CONFIG)?,
            weights: read(WEIGHTS)?,
            tokenizer: read(TOKENIZER)?,
        })
    }
}

/// How floats are stored on the disk; in memory they are 32 bits wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightType {
    /// 32 bits, exact.
    #[default]
    F32,
    /// 16 bits: half the size, about three digits, up to 65 504.
    F16,
}

/// Loads the weights into `module`. The header, every tensor's name, shape and type, and every value are checked first;
/// 16-bit floats become 32-bit ones.
///
/// # Errors
/// [`ModelError::Weights`] naming the tensor; `module` is then unchanged.
pub fn apply<M: Module>(module: &mut M, files: &CheckpointFiles<'_>) -> Result<(), ModelError> {
    let fault = |fault| ModelError::Weights { origin: files.origin.clone(), fault };
    let missing = check(module, &files.weights).map_err(fault)?;
    if !missing.is_empty() {
        return Err(fault(WeightsFault::Missing(missing)));
    }
    load(module, files)
}

/// Loads the weights that `files` holds into `module`, whose other weights stay as they are, and returns the others' names:
/// training may start from a model that lacked a part. Checked as in [`apply`].
///
/// # Errors
/// [`ModelError::Weights`] naming the tensor; `module` is then unchanged.
pub fn apply_part<M: Module>(module: &mut M, files: &CheckpointFiles<'_>) -> Result<Vec<String>, ModelError> {
    let fault = |fault| ModelError::Weights { origin: files.origin.clone(), fault };
    let missing = check(module, &files.weights).map_err(fault)?;
    load(module, files)?;
    Ok(missing)
}

fn load<M: Module>(module: &mut M, files: &CheckpointFiles<'_>) -> Result<(), ModelError> {
    let fault = |e: String| ModelError::Weights { origin: files.origin.clone(), fault: WeightsFault::Transfer(e) };
    let mut store = SafetensorsStore::from_bytes(Some(files.weights.to_vec()))
        .with_from_adapter(FloatCastAdapter::to(DType::F32))
        .allow_partial(true);
    module.load_from(&mut store).map_err(|e| fault(e.to_string()))?;
    Ok(())
}

/// Compares the file `weights` with what `module` needs; returns the names of those that it does not hold, sorted.
fn check<M: Module>(module: &M, weights: &[u8]) -> Result<Vec<String>, WeightsFault> {
    let stored = SafeTensors::deserialize(weights)
        .map_err(|e| WeightsFault::Damaged { bytes: weights.len(), reason: e.to_string() })?;
    let mut extra: Vec<String> = stored.names().into_iter().map(ToString::to_string).collect();
    extra.sort();
    let mut missing = Vec::new();
    let mut found = Vec::new();
    for needed in module.collect(None, None, false) {
        match stored.tensor(&needed.name) {
            Ok(view) => found.push((needed, view)),
            Err(_) => missing.push(needed.name),
        }
    }
    missing.sort();
    extra.retain(|name| !found.iter().any(|(needed, _)| needed.name == *name));
    if !extra.is_empty() {
        return Err(WeightsFault::Extra(extra));
    }
    for (needed, view) in found {
        let tensor = needed.name;
        let expected: Vec<usize> = needed.shape.iter().copied().collect();
        if view.shape() != expected.as_slice() {
            return Err(WeightsFault::Shape { tensor, stored: view.shape().to_vec(), expected });
        }
        let first = match (needed.dtype.is_float(), view.dtype()) {
            (true, Dtype::F32) => first_not_finite::<4>(view.data(), 0x7F80),
            (true, Dtype::F16) => first_not_finite::<2>(view.data(), 0x7C00),
            (true, Dtype::BF16) => first_not_finite::<2>(view.data(), 0x7F80),
            (true, other) => {
                let expected = "F32, F16 or BF16".to_owned();
                return Err(WeightsFault::NumberType { tensor, stored: other.to_string(), expected });
            }
            (false, other) if other.to_string() == needed.dtype.name().to_uppercase() => None,
            (false, other) => {
                let expected = needed.dtype.name().to_uppercase();
                return Err(WeightsFault::NumberType { tensor, stored: other.to_string(), expected });
            }
        };
        if let Some(index) = first {
            return Err(WeightsFault::NotFinite { tensor, index });
        }
    }
    Ok(missing)
}

/// Index of the first float of `BYTES` little-endian bytes whose exponent bits, `exponent` in its upper two bytes, are
/// all set: that is how IEEE 754 writes NaN and infinity.
fn first_not_finite<const BYTES: usize>(data: &[u8], exponent: u16) -> Option<usize> {
    data.chunks_exact(BYTES).position(|b| u16::from_le_bytes([b[BYTES - 2], b[BYTES - 1]]) & exponent == exponent)
}

/// Writes a model folder with 32-bit weights: [`save_as`].
///
/// # Errors
/// [`ModelError`] naming the file.
pub fn save<M: Module>(
    module: &M,
    config: &impl Serialize,
    tokenizer: &Tokenizer,
    dir: &Path,
) -> Result<(), ModelError> {
    save_as(module, config, tokenizer, dir, WeightType::F32)
}

/// Writes a model folder. Each file is written and synced beside its place and then renamed, so no half-written file is
/// ever seen, and what else is in `dir` stays. Weights that [`apply`] would refuse (not finite, also by overflow of 16
/// bits) are not put in place. Equal models give equal bytes.
///
/// # Errors
/// [`ModelError`] naming the file; the files of `dir` are then as they were, unless it was the renaming that failed.
pub fn save_as<M: Module>(
    module: &M,
    config: &impl Serialize,
    tokenizer: &Tokenizer,
    dir: &Path,
    weight_type: WeightType,
) -> Result<(), ModelError> {
    let staging = dir.join(STAGING);
    if staging.exists() {
        at(&staging, fs::remove_dir_all(&staging))?;
    }
    at(&staging, fs::create_dir_all(&staging))?;
    let written = write_files(module, config, tokenizer, dir, &staging, weight_type);
    let cleaned = at(&staging, fs::remove_dir_all(&staging));
    written.and(cleaned)
}

fn write_files<M: Module>(
    module: &M,
    config: &impl Serialize,
    tokenizer: &Tokenizer,
    dir: &Path,
    staging: &Path,
    weight_type: WeightType,
) -> Result<(), ModelError> {
    let origin = || dir.display().to_string();
    let json = serde_json::to_string_pretty(config)
        .map_err(|e| ModelError::Config { origin: origin(), reason: e.to_string() })?;
    at(&staging.join(CONFIG), fs::write(staging.join(CONFIG), json + "\n"))?;
    tokenizer.save(&staging.join(TOKENIZER))?;

    let fault = |fault| ModelError::Weights { origin: origin(), fault };
    let weights = staging.join(WEIGHTS);
    // One entry of metadata only: the store keeps them in a hash map, whose order would reach the file.
    let mut store = SafetensorsStore::from_file(&weights).clear_metadata().metadata("format", "pt").with_to_adapter(
        FloatCastAdapter::to(match weight_type {
            WeightType::F32 => DType::F32,
            WeightType::F16 => DType::F16,
        }),
    );
    module.save_into(&mut store).map_err(|e| fault(WeightsFault::Transfer(e.to_string())))?;
    check(module, &at(&weights, fs::read(&weights))?).map_err(fault)?;

    for name in [CONFIG, TOKENIZER, WEIGHTS] {
        let path = staging.join(name);
        at(&path, fs::File::open(&path).and_then(|file| file.sync_all()))?;
    }
    for name in [CONFIG, TOKENIZER, WEIGHTS] {
        at(&dir.join(name), fs::rename(staging.join(name), dir.join(name)))?;
    }
    Ok(())
}

/// Names `path` in an error of the system.
fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T, ModelError> {
    result.map_err(|source| ModelError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use safetensors::tensor::TensorView;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use tempfile::TempDir;

    #[derive(Module, Debug)]
    struct Small {
        first: Linear,
        second: Linear,
    }

    fn small() -> Small {
        let device = Device::flex();
        Small {
            first: LinearConfig::new(3, 2).init(&device),
            second: LinearConfig::new(2, 2).with_bias(false).init(&device),
        }
    }

    fn filled(value: f32) -> Small {
        let mut module = small();
        module.second.weight = Param::from_tensor(Tensor::<2>::full([2, 2], value, &Device::flex()));
        module
    }

    fn values(module: &Small) -> Vec<f32> {
        let bias = module.first.bias.as_ref().unwrap().val().into_data();
        [module.first.weight.val().into_data(), bias, module.second.weight.val().into_data()]
            .iter()
            .flat_map(|d| d.iter::<f32>().collect::<Vec<_>>())
            .collect()
    }

    static TOKENS: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::train_bpe(std::iter::empty(), 700).unwrap());

    fn saved(module: &Small, weight_type: WeightType) -> (TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("tiny.v1");
        save_as(module, &serde_json::json!({"name": "tiny"}), &TOKENS, &dir, weight_type).unwrap();
        (temp, dir)
    }

    /// What `apply` says of a folder whose weights are `bytes`.
    fn fault_of(bytes: &[u8]) -> WeightsFault {
        match apply(&mut small(), &CheckpointFiles::from_bytes("here", b"{}", bytes, b"{}")) {
            Err(ModelError::Weights { origin, fault }) if origin == "here" => fault,
            other => panic!("{other:?}"),
        }
    }

    /// A weights file with these tensors, all ones but for what `edit` does.
    fn file(edit: impl Fn(&mut Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>)) -> Vec<u8> {
        let ones = |n: usize| 1.0f32.to_le_bytes().repeat(n);
        let mut tensors = vec![
            ("first.weight", Dtype::F32, vec![3, 2], ones(6)),
            ("first.bias", Dtype::F32, vec![2], ones(2)),
            ("second.weight", Dtype::F32, vec![2, 2], ones(4)),
        ];
        edit(&mut tensors);
        let views = tensors.iter().map(|(n, t, s, d)| (*n, TensorView::new(*t, s.clone(), d).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn a_saved_model_is_read_back_exactly_or_to_half_precision() {
        for (weight_type, tolerance) in [(WeightType::F32, 0.0), (WeightType::F16, 1e-3)] {
            let module = small();
            let (_temp, dir) = saved(&module, weight_type);
            let files = CheckpointFiles::read(&dir).unwrap();
            let stored = SafeTensors::deserialize(&files.weights).unwrap();
            let dtype = if weight_type == WeightType::F16 { Dtype::F16 } else { Dtype::F32 };
            assert!(stored.iter().all(|(_, view)| view.dtype() == dtype));
            let mut back = small();
            apply(&mut back, &files).unwrap();
            assert_eq!(back.second.weight.val().dtype(), DType::F32);
            for (a, b) in values(&module).iter().zip(values(&back)) {
                assert!((a - b).abs() <= tolerance, "{a} {b}");
            }
            assert_eq!(Tokenizer::from_bytes(&files.tokenizer).unwrap().special(), TOKENS.special());
            assert_eq!(files.config.as_ref(), b"{\n  \"name\": \"tiny\"\n}\n");
        }
    }

    #[test]
    fn equal_models_give_equal_bytes() {
        let module = small();
        let bytes = || {
            let (_temp, dir) = saved(&module, WeightType::F32);
            [CONFIG, TOKENIZER, WEIGHTS].map(|name| fs::read(dir.join(name)).unwrap())
        };
        let first = bytes();
        for _ in 0..4 {
            assert!(bytes() == first);
        }
    }

    #[test]
    fn saving_again_replaces_the_model_and_nothing_else() {
        let (temp, dir) = saved(&filled(1.0), WeightType::F32);
        fs::write(dir.join("notes.txt"), "mine").unwrap();
        fs::create_dir(temp.path().join("tiny.old")).unwrap();
        fs::create_dir(dir.join(STAGING)).unwrap();
        save(&filled(2.0), &serde_json::json!({}), &TOKENS, &dir).unwrap();
        let mut back = small();
        apply(&mut back, &CheckpointFiles::read(&dir).unwrap()).unwrap();
        assert_eq!(values(&back)[8..], [2.0; 4]);
        assert_eq!(fs::read_to_string(dir.join("notes.txt")).unwrap(), "mine");
        assert!(temp.path().join("tiny.old").exists() && !dir.join(STAGING).exists());
    }

    #[test]
    fn weights_that_could_not_be_loaded_do_not_replace_good_ones() {
        let (_temp, dir) = saved(&filled(1.0), WeightType::F16);
        for (bad, weight_type) in [(f32::NAN, WeightType::F32), (1e6, WeightType::F16)] {
            let error =
                save_as(&filled(bad), &serde_json::json!({}), &TOKENS, &dir, weight_type).unwrap_err().to_string();
            assert!(error.contains("second.weight") && error.contains("not finite"), "{error}");
        }
        let files = CheckpointFiles::read(&dir).unwrap();
        apply(&mut small(), &files).unwrap();
        assert!(!files.config.starts_with(b"{}") && !dir.join(STAGING).exists());
    }

    #[test]
    fn a_missing_file_is_named() {
        for name in [CONFIG, WEIGHTS, TOKENIZER] {
            let (_temp, dir) = saved(&small(), WeightType::F32);
            fs::remove_file(dir.join(name)).unwrap();
            let error = CheckpointFiles::read(&dir).unwrap_err();
            assert!(matches!(&error, ModelError::File { path, .. } if *path == dir.join(name)), "{error}");
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = file(|_| ());
        apply(&mut small(), &CheckpointFiles::from_bytes("here", b"{}", &good, b"{}")).unwrap();
        for cut in [0, 7, 8, 20, good.len() - 1] {
            assert!(matches!(fault_of(&good[..cut]), WeightsFault::Damaged { bytes, .. } if bytes == cut), "{cut}");
        }
        for length in [0, 3, good.len() as u64, u64::MAX] {
            let mut lying = good.clone();
            lying[..8].copy_from_slice(&length.to_le_bytes());
            assert!(matches!(fault_of(&lying), WeightsFault::Damaged { .. }), "{length}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(matches!(fault_of(&longer), WeightsFault::Damaged { .. }));
    }

    #[test]
    fn each_wrong_tensor_is_named() {
        let missing = fault_of(&file(|t| t.truncate(1)));
        assert_eq!(missing, WeightsFault::Missing(vec!["first.bias".to_owned(), "second.weight".to_owned()]));
        let extra = fault_of(&file(|t| t.push(("third", Dtype::F32, vec![1], vec![0; 4]))));
        assert_eq!(extra, WeightsFault::Extra(vec!["third".to_owned()]));
        let shape = fault_of(&file(|t| t[0].2 = vec![2, 3]));
        assert_eq!(
            shape,
            WeightsFault::Shape { tensor: "first.weight".to_owned(), stored: vec![2, 3], expected: vec![3, 2] }
        );
        let wrong_type = fault_of(&file(|t| t[1].1 = Dtype::I32));
        assert!(
            matches!(&wrong_type, WeightsFault::NumberType { tensor, stored, .. } if tensor == "first.bias" && stored == "I32")
        );
    }

    #[test]
    fn values_that_are_not_finite_are_found_in_every_float_type() {
        let bad: [(Dtype, Vec<u8>); 4] = [
            (Dtype::F32, f32::NAN.to_le_bytes().to_vec()),
            (Dtype::F32, f32::NEG_INFINITY.to_le_bytes().to_vec()),
            (Dtype::F16, 0x7E00u16.to_le_bytes().to_vec()),
            (Dtype::BF16, 0x7F80u16.to_le_bytes().to_vec()),
        ];
        for (dtype, value) in bad {
            let fault = fault_of(&file(|t| {
                let zero = vec![0; value.len()];
                t[2].1 = dtype;
                t[2].3 = [zero.clone(), value.clone(), zero.clone(), zero].concat();
            }));
            assert_eq!(fault, WeightsFault::NotFinite { tensor: "second.weight".to_owned(), index: 1 }, "{dtype:?}");
        }
    }
}
