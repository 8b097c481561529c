//! A PEFT LoRA folder in, `W + scale B A` of each matrix that it adapts out (LoRA, arXiv 2106.09685; names and settings as PEFT
//! saves them: adapter_config.json, adapter_model.safetensors).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde::Deserialize;
use serde_json::Value;

use crate::packed::{MatrixType, PackedMatrix, first_not_finite, floats};
use crate::weights::{StoredTensor, WeightFiles, WeightFilesError, read_bounded};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the name of an adapted module.
const PREFIX: &str = "base_model.model.";
/// Largest settings file that is read, bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 22;
/// Names of 2025 and of later transformers for the same parts.
const RENAMED: [(&str, &str); 2] = [("model.language_model.", "model."), ("model.visual.", "visual.")];

/// Why an adapter cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A file cannot be read.
    #[error("{path}: cannot be read; a LoRA folder of PEFT holds {CONFIG} and {WEIGHTS}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings cannot be used.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, naming the field.
        reason: String,
    },
    /// The weights cannot be used.
    #[error("{path}: {reason}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong, naming the tensors.
        reason: String,
    },
    /// The file of the weights.
    #[error(transparent)]
    File(#[from] Box<crate::error::ModelError>),
    /// The file of the weights is damaged.
    #[error(transparent)]
    Damaged(#[from] WeightFilesError),
}

/// adapter_config.json.
#[derive(Debug, Deserialize)]
struct Settings {
    peft_type: String,
    r: u32,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    rank_pattern: BTreeMap<String, Value>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, Value>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Fields that say nothing about what is added to the base, or are checked by the tensors themselves.
const HARMLESS: [&str; 15] = [
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "ensure_weight_tying",
];
/// How factors may have been begun with, so that the base was left as it is.
const PLAIN_STARTS: [&str; 3] = ["default", "gaussian", "orthogonal"];

/// A field that is left at nothing.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl Settings {
    /// A field that this cannot know to be harmless: another kind of adapter, or one that changed the base too.
    fn strange(&self) -> Option<String> {
        let plain = |value: &Value| match value {
            Value::Bool(_) | Value::Null => true,
            Value::String(start) => PLAIN_STARTS.contains(&start.as_str()),
            _ => false,
        };
        let (name, value) = self.others.iter().find(|(name, value)| match name.as_str() {
            "init_lora_weights" => !plain(value),
            name => !HARMLESS.contains(&name) && !is_unset(value),
        })?;
        Some(format!("{name} is {value}: such an adapter cannot be merged here; merge it with PEFT"))
    }
}

impl Settings {
    fn problem(&self) -> Option<String> {
        let bias = self.bias.as_deref().unwrap_or("none");
        let refused = [
            (self.peft_type != "LORA", format!("peft_type is `{}`, only LORA can be merged", self.peft_type)),
            (self.r == 0, "r is 0".to_owned()),
            (!self.lora_alpha.is_finite(), "lora_alpha is not finite".to_owned()),
            (
                self.use_dora,
                "use_dora: weight-decomposed adapters cannot be merged here; merge them with PEFT".to_owned(),
            ),
            (self.fan_in_fan_out, "fan_in_fan_out: transposed matrices cannot be merged here".to_owned()),
            (bias != "none", format!("bias is `{bias}`, only none can be merged")),
            (
                self.modules_to_save.as_ref().is_some_and(|m| !m.is_empty()),
                "modules_to_save: whole modules beside the adapter cannot be merged here; merge them with PEFT"
                    .to_owned(),
            ),
            (
                !self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty(),
                "rank_pattern and alpha_pattern: only one rank and one alpha can be merged".to_owned(),
            ),
        ];
        refused.into_iter().find(|(wrong, _)| *wrong).map(|(_, reason)| reason)
    }

    /// What `B A` is multiplied with.
    fn scale(&self) -> f64 {
        let r = f64::from(self.r);
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }
}

/// The two factors of one matrix.
#[derive(Debug)]
pub(super) struct Factors {
    /// `[rank, inputs]`.
    a: StoredTensor,
    /// `[outputs, rank]`.
    b: StoredTensor,
    scale: f32,
}

/// An adapter's factors by the name of the matrix that they belong to, as the base names it.
#[derive(Debug)]
pub(super) struct Adapter {
    factors: BTreeMap<String, Factors>,
}

impl Adapter {
    /// Reads an adapter for the tensors of `base`: each of its factors must belong to one of them and fit it.
    pub(super) fn read(dir: &Path, base: &WeightFiles) -> Result<Self, AdapterError> {
        let path = dir.join(CONFIG);
        let read = |source| AdapterError::Read { path: path.clone(), source };
        let refused = |reason: String| AdapterError::Config { path: path.clone(), reason };
        let bytes = fs::metadata(&path).map_err(read)?.len();
        if bytes > MAX_CONFIG_BYTES {
            return Err(refused(format!("it has {bytes} bytes, more than any such file")));
        }
        let text = read_bounded(&path, MAX_CONFIG_BYTES).map_err(read)?;
        let settings: Settings = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if let Some(reason) = settings.problem().or_else(|| settings.strange()) {
            return Err(refused(reason));
        }

        let path = dir.join(WEIGHTS);
        if !path.is_file() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(AdapterError::Read { path, source });
        }
        let files = WeightFiles::open_file(&path).map_err(Box::new)?;
        let mut halves: BTreeMap<String, (Option<StoredTensor>, Option<StoredTensor>)> = BTreeMap::new();
        let mut strange = Vec::new();
        for (name, tensor) in files.iter() {
            let module = name.strip_prefix(PREFIX).unwrap_or(name);
            let float = MatrixType::of_stored(tensor.dtype).is_some() && tensor.shape.len() == 2;
            let half = [".lora_A.weight", ".lora_B.weight"].map(|end| module.strip_suffix(end).filter(|_| float));
            if let Some(index) = first_not_finite(tensor) {
                let reason = format!("{name} holds values that are not finite, the first at index {index}");
                return Err(AdapterError::Weights { path, reason });
            }
            let place = match half {
                [Some(module), _] => &mut halves.entry(module.to_owned()).or_default().0,
                [_, Some(module)] => &mut halves.entry(module.to_owned()).or_default().1,
                _ => {
                    strange.push(name.to_owned());
                    continue;
                }
            };
            if place.replace(tensor.clone()).is_some() {
                let reason = format!("{name}: there are two such tensors, with and without {PREFIX}");
                return Err(AdapterError::Weights { path, reason });
            }
        }
        let wrong = |reason: String| AdapterError::Weights { path: path.clone(), reason };
        if !strange.is_empty() {
            return Err(wrong(format!("tensors that are no factors of matrices: {}", strange.join(", "))));
        }
        let mut factors = BTreeMap::new();
        for (module, halves) in halves {
            let (Some(a), Some(b)) = halves else {
                return Err(wrong(format!("{module}: one of lora_A and lora_B is missing")));
            };
            let Some((name, matrix)) = named(&module, base) else {
                return Err(wrong(format!("{module}: the base model has no matrix of that name")));
            };
            let shape = [b.shape.first(), a.shape.get(1)].map(|side| side.copied().unwrap_or(0));
            if a.shape.first() != b.shape.get(1) || matrix.shape != shape {
                return Err(wrong(format!(
                    "{module}: lora_A {:?} and lora_B {:?} do not make the base's {:?}",
                    a.shape, b.shape, matrix.shape
                )));
            }
            if a.shape.first() != Some(&(settings.r as usize)) {
                return Err(wrong(format!("{module}: lora_A is {:?}, {CONFIG} says r is {}", a.shape, settings.r)));
            }
            let twice = format!("{module}: the base's {name} is adapted twice");
            if factors.insert(name, Factors { a, b, scale: settings.scale() as f32 }).is_some() {
                return Err(wrong(twice));
            }
        }
        if factors.is_empty() {
            return Err(wrong("it adapts no matrix".to_owned()));
        }
        Ok(Self { factors })
    }

    /// Whether tensor `name` is one that it adapts.
    pub(super) fn adapts(&self, name: &str) -> bool {
        self.factors.contains_key(name)
    }

    /// `W + scale B A` of tensor `name` in 32 bits; the tensor itself where it is not adapted.
    ///
    /// # Errors
    /// Where a factor cannot be read.
    pub(super) fn merged(&self, name: &str, base: &StoredTensor) -> Result<StoredTensor, AdapterError> {
        let Some(Factors { a, b, scale }) = self.factors.get(name) else { return Ok(base.clone()) };
        let side = |factor: &StoredTensor, i: usize| factor.shape.get(i).copied().unwrap_or(0);
        let mut values = floats(base);
        let (inputs, rank) = (side(a, 1), side(b, 1));
        // row o of B A is row o of B times A: A's columns as the rows of a matrix
        let (a_values, b_values) = (floats(a), floats(b));
        let mut columns = vec![0u8; 4 * a_values.len()];
        for (i, out) in columns.chunks_exact_mut(4).enumerate() {
            out.copy_from_slice(&a_values[(i % rank) * inputs + i / rank].to_le_bytes());
        }
        let turned = StoredTensor::held(Dtype::F32, vec![inputs, rank], columns);
        let product = PackedMatrix::from_stored(&turned, inputs, rank, MatrixType::F32).map_err(|index| {
            let reason = format!("the lora_A of {name} is not finite at index {index}");
            AdapterError::Weights { path: PathBuf::from(WEIGHTS), reason }
        })?;
        let added = product.multiply(&b_values, side(b, 0));
        for (value, added) in values.iter_mut().zip(added) {
            *value += scale * added;
        }
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Ok(StoredTensor::held(Dtype::F32, base.shape.clone(), bytes))
    }
}

/// The matrix of `module` in the base, under the names of 2025 or of later transformers.
fn named<'a>(module: &str, base: &'a WeightFiles) -> Option<(String, &'a StoredTensor)> {
    let renamed = RENAMED.iter().flat_map(|(new, old)| {
        [
            module.strip_prefix(new).map(|rest| format!("{old}{rest}")),
            module.strip_prefix(old).map(|rest| format!("{new}{rest}")),
        ]
    });
    std::iter::once(Some(module.to_owned()))
        .chain(renamed)
        .flatten()
        .map(|name| format!("{name}.weight"))
        .find_map(|name| base.get(&name).map(|tensor| (name.clone(), tensor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    const SETTINGS: &str =
        r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 3.0, "bias": "none", "target_modules": ["q_proj"]}"#;

    fn file(tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, values)| values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        let views = tensors
            .iter()
            .zip(&bytes)
            .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn adapter(settings: &str, tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Result<Adapter, String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CONFIG), settings).unwrap();
        fs::write(dir.path().join(WEIGHTS), file(tensors)).unwrap();
        Adapter::read(dir.path(), &base()).map_err(|error| error.to_string())
    }

    /// One matrix `[3, 2]`.
    fn base() -> WeightFiles {
        let matrix = ("model.layers.0.q_proj.weight", vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        WeightFiles::from_bytes("base", file(&[matrix])).unwrap()
    }

    const A: &str = "base_model.model.model.language_model.layers.0.q_proj.lora_A.weight";
    const B: &str = "base_model.model.model.language_model.layers.0.q_proj.lora_B.weight";

    fn factors() -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
        vec![(A, vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]), (B, vec![3, 2], vec![1.0, 0.0, 0.0, 1.0, 1.0, -1.0])]
    }

    #[test]
    fn the_product_of_the_factors_is_added() {
        let merged = adapter(SETTINGS, &factors()).unwrap();
        let name = "model.layers.0.q_proj.weight";
        // scale 3 / 2; B A is [[1, 2], [3, 4], [-2, -2]]
        let values = floats(&merged.merged(name, base().get(name).unwrap()).unwrap());
        assert_eq!(values, [2.5, 5.0, 7.5, 10.0, 2.0, 3.0]);
        let kept = merged.merged("model.norm.weight", base().get(name).unwrap()).unwrap();
        assert_eq!(floats(&kept), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(merged.adapts(name) && !merged.adapts("model.norm.weight"));
    }

    #[test]
    fn what_cannot_be_merged_is_named() {
        for (from, to, says) in [
            ("LORA", "LOHA", "peft_type is `LOHA`"),
            ("\"none\"", "\"all\"", "bias is `all`"),
            ("\"r\": 2", "\"r\": 4", "says r is 4"),
            ("\"r\": 2", "\"r\": 0", "r is 0"),
            ("\"bias\"", "\"use_dora\": true, \"bias\"", "use_dora"),
            ("\"bias\"", "\"modules_to_save\": [\"lm_head\"], \"bias\"", "modules_to_save"),
            ("\"lora_alpha\": 3.0, ", "", "lora_alpha"),
            ("\"bias\"", "\"init_lora_weights\": \"pissa\", \"bias\"", "init_lora_weights is \"pissa\""),
            ("\"bias\"", "\"layer_replication\": [[0, 1]], \"bias\"", "layer_replication"),
            ("\"bias\"", "\"what_comes_next\": 3, \"bias\"", "what_comes_next"),
        ] {
            let error = adapter(&SETTINGS.replace(from, to), &factors()).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let without = |i: usize| {
            let mut some = factors();
            some.remove(i);
            adapter(SETTINGS, &some).unwrap_err()
        };
        assert!(without(0).contains("one of lora_A and lora_B"), "{}", without(0));
        let mut broken = factors();
        broken[0].2[3] = f32::NAN;
        let error = adapter(SETTINGS, &broken).unwrap_err();
        assert!(error.contains(A) && error.contains("index 3") && error.contains(WEIGHTS), "{error}");
        let mut twice = factors();
        twice.push(("model.layers.0.q_proj.lora_A.weight", vec![2, 2], vec![0.0; 4]));
        twice.push(("model.layers.0.q_proj.lora_B.weight", vec![3, 2], vec![0.0; 6]));
        assert!(adapter(SETTINGS, &twice).unwrap_err().contains("adapted twice"));
        let mut bare = factors();
        bare.push(("model.language_model.layers.0.q_proj.lora_A.weight", vec![2, 2], vec![0.0; 4]));
        assert!(adapter(SETTINGS, &bare).unwrap_err().contains("two such tensors"));
        let mut wide = factors();
        wide[1] = (B, vec![2, 2], vec![0.0; 4]);
        assert!(adapter(SETTINGS, &wide).unwrap_err().contains("do not make the base's [3, 2]"));
        let mut stranger = factors();
        stranger.push(("base_model.model.lm_head.weight", vec![1], vec![0.0]));
        assert!(adapter(SETTINGS, &stranger).unwrap_err().contains("lm_head.weight"));
        let lost: Vec<_> = factors()
            .into_iter()
            .map(|(name, shape, values)| {
                let name: &'static str = if name == A { "x.lora_A.weight" } else { "x.lora_B.weight" };
                (name, shape, values)
            })
            .collect();
        assert!(adapter(SETTINGS, &lost).unwrap_err().contains("x: the base model has no matrix"));
        assert!(adapter("{", &factors()).unwrap_err().contains(CONFIG));
    }
}
