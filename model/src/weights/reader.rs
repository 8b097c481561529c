//! Names and shapes in, placed weights out. Every part of a model is built by asking a [`WeightReader`] for what it needs;
//! what is missing, misshapen, not finite or never asked for is gathered and reported together when the reading ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{Param, ParamId};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{DType, Device, FloatDType, Shape, Tensor, TensorData};
use safetensors::Dtype;

use super::files::{StoredTensor, WeightFiles};
use crate::error::{ModelError, WeightsFault};
use crate::linear::{Embedding, Linear};
use crate::packed::{CODES, GROUP, MatrixType, PackedMatrix, SCALES, code_shapes, first_not_finite, floats};

/// Where weights are put and in which number type.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The device of activations and small weights.
    pub device: Device,
    /// Number type of the matrices.
    pub matrices: MatrixType,
    /// True where matrices are kept for the processor's own kernels ([`PackedMatrix`]), false where they are Burn tensors,
    /// as on a GPU and in training.
    pub packed: bool,
}

impl Placement {
    /// On the processor, for inference.
    pub fn cpu(matrices: MatrixType) -> Self {
        Self { device: Device::flex(), matrices, packed: true }
    }

    /// As 32-bit Burn tensors on `device`, for training and for comparison.
    pub fn tensors(device: Device) -> Self {
        Self { device, matrices: MatrixType::F32, packed: false }
    }

    /// Number type of embedding tables: 16 bits where matrices have fewer.
    pub fn table_type(&self) -> MatrixType {
        match self.matrices {
            MatrixType::Int8 | MatrixType::Int4 => MatrixType::Bf16,
            floats => floats,
        }
    }

    /// Number type of activations, norms and biases.
    pub fn activations(&self) -> FloatDType {
        match (self.packed, self.matrices) {
            (true, _) | (_, MatrixType::F32) => FloatDType::F32,
            (false, MatrixType::F16) => FloatDType::F16,
            (false, MatrixType::Bf16 | MatrixType::Int8 | MatrixType::Int4) => FloatDType::BF16,
        }
    }
}

/// Whether a linear map adds a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// It does, `<name>.bias`.
    Yes,
    /// It does not.
    No,
}

/// What has been asked for and found so far.
#[derive(Debug, Default)]
struct Ledger {
    asked: BTreeSet<String>,
    missing: Vec<String>,
    faults: Vec<WeightsFault>,
    placed: Vec<Placed>,
}

/// A tensor that was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its full name.
    pub name: String,
    /// Numbers in it.
    pub parameters: u64,
    /// Bytes that it takes where it was put.
    pub bytes: u64,
    /// Whether it is a matrix of a linear map, which each token is multiplied with.
    pub multiplied: bool,
}

impl Ledger {
    fn spoiled(&self) -> bool {
        !self.missing.is_empty() || !self.faults.is_empty()
    }
}

/// Finds tensors under a name prefix and places them. Cheap to clone; all clones share what is gathered.
#[derive(Debug, Clone)]
pub struct WeightReader {
    files: Arc<WeightFiles>,
    placement: Arc<Placement>,
    ledger: Arc<Mutex<Ledger>>,
    prefix: String,
    /// Seed of made-up weights, where there are no files.
    synthetic: Option<u64>,
}

impl WeightReader {
    /// A reader at the root of the names.
    pub fn new(files: WeightFiles, placement: Placement) -> Self {
        Self {
            files: Arc::new(files),
            placement: Arc::new(placement),
            ledger: Arc::default(),
            prefix: String::new(),
            synthetic: None,
        }
    }

    /// A reader that makes up every tensor that it is asked for, at random: for measurements of speed and memory.
    pub fn synthetic(placement: Placement, seed: u64) -> Self {
        Self { synthetic: Some(seed), ..Self::new(WeightFiles::default(), placement) }
    }

    /// What was placed so far.
    pub fn placed(&self) -> Vec<Placed> {
        self.ledger().placed.clone()
    }

    fn note(&self, name: &str, parameters: usize, bytes: u64, multiplied: bool) {
        let name = self.full(name);
        self.ledger().placed.push(Placed { name, parameters: parameters as u64, bytes, multiplied });
    }

    /// A seed that differs from tensor to tensor.
    fn seed_here(&self, seed: u64) -> u64 {
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.ledger().placed.len() as u64
    }

    /// The same reader under `name`: it puts `<name>.` before every name.
    #[must_use]
    pub fn enter(&self, name: impl AsRef<str>) -> Self {
        Self { prefix: self.full(name.as_ref()) + ".", ..self.clone() }
    }

    /// Where the weights are put.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The device of activations.
    pub fn device(&self) -> &Device {
        &self.placement.device
    }

    /// Whether there is a tensor `name` here.
    pub fn has(&self, name: &str) -> bool {
        self.files.get(&self.full(name)).is_some()
    }

    /// Marks tensors as known that the model has no use for, such as buffers that are computed anew. `name` may be absent.
    pub fn ignore(&self, name: &str) {
        let name = self.full(name);
        self.ledger().asked.insert(name);
    }

    /// A linear map, stored as `<name>.weight` `[outputs, inputs]` and `<name>.bias` `[outputs]`.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: Bias) -> Linear {
        self.linear_of(name, &[outputs, inputs], bias)
    }

    /// The linear map of a convolution whose stride equals its kernel, stored as `[outputs, channels, ...]`.
    pub fn conv_as_linear(&self, name: &str, kernel: &[usize], bias: Bias) -> Linear {
        self.linear_of(name, kernel, bias)
    }

    fn linear_of(&self, name: &str, stored_shape: &[usize], bias: Bias) -> Linear {
        let at = self.enter(name);
        let outputs = stored_shape.first().copied().unwrap_or(0);
        let inputs: usize = stored_shape.iter().skip(1).product();
        let bias = (bias == Bias::Yes).then(|| at.param("bias", [outputs]));
        let codes = at.files.get(&at.full(&format!("weight{CODES}"))).map(|codes| codes.bytes().len() as u64);
        // a scale takes two bytes, for as many weights as share it
        let scales = (outputs * inputs.div_ceil(GROUP) * 2) as u64;
        let bytes = codes.map_or_else(|| self.matrix_bytes(outputs, inputs), |codes| codes + scales);
        at.note("weight", inputs * outputs, bytes, true);
        if let Some(seed) = self.synthetic {
            let matrix = PackedMatrix::synthetic(outputs, inputs, self.placement.matrices, self.seed_here(seed));
            return if self.placement.packed {
                Linear::packed(Arc::new(matrix), bias)
            } else {
                Linear::of_param(fixed(self.on_device(unpacked(&matrix), [outputs, inputs]).transpose()), bias)
            };
        }
        if at.has(&format!("weight{CODES}")) {
            return match at.quantized("weight", outputs, inputs) {
                Some(matrix) if self.placement.packed => Linear::packed(Arc::new(matrix), bias),
                Some(matrix) => {
                    let weight = self.on_device(matrix.to_floats(), [outputs, inputs]);
                    Linear::of_param(fixed(weight.transpose()), bias)
                }
                None => Linear::of_param(self.placeholder([inputs, outputs]), bias),
            };
        }
        match at.find("weight", stored_shape) {
            Some(stored) if self.placement.packed => {
                match PackedMatrix::from_stored(&stored, outputs, inputs, self.placement.matrices) {
                    Ok(matrix) => {
                        if MatrixType::of_stored(stored.dtype) != Some(self.placement.matrices) {
                            stored.release();
                        }
                        Linear::packed(Arc::new(matrix), bias)
                    }
                    Err(index) => {
                        at.not_finite("weight", index);
                        Linear::of_param(self.placeholder([inputs, outputs]), bias)
                    }
                }
            }
            Some(stored) => {
                let weight = at.tensor::<2>("weight", &stored, [outputs, inputs]);
                Linear::of_param(
                    weight.map_or_else(|| self.placeholder([inputs, outputs]), |t| fixed(t.transpose())),
                    bias,
                )
            }
            None => Linear::of_param(self.placeholder([inputs, outputs]), bias),
        }
    }

    /// An embedding table, stored as `<name>.weight` `[rows, width]`.
    pub fn embedding(&self, name: &str, rows: usize, width: usize) -> Embedding {
        let at = self.enter(name);
        let kind = self.placement.table_type();
        at.note("weight", rows * width, kind.bytes(rows as u64, width as u64), false);
        if let Some(seed) = self.synthetic {
            let table = PackedMatrix::synthetic(rows, width, kind, self.seed_here(seed));
            return if self.placement.packed {
                Embedding::packed(Arc::new(table), self.placement.device.clone())
            } else {
                Embedding::of_param(fixed(self.on_device(unpacked(&table), [rows, width])))
            };
        }
        match at.find("weight", &[rows, width]) {
            // a table is read a row at a time: codes would lose more than they save
            Some(stored) if self.placement.packed => match PackedMatrix::from_stored(&stored, rows, width, kind) {
                Ok(matrix) => Embedding::packed(Arc::new(matrix), self.placement.device.clone()),
                Err(index) => {
                    at.not_finite("weight", index);
                    Embedding::of_param(self.placeholder([rows, width]))
                }
            },
            Some(stored) => Embedding::of_param(
                at.tensor("weight", &stored, [rows, width]).map_or_else(|| self.placeholder([rows, width]), fixed),
            ),
            None => Embedding::of_param(self.placeholder([rows, width])),
        }
    }

    /// A tensor of activations' number type.
    pub fn param<const D: usize>(&self, name: &str, shape: [usize; D]) -> Param<Tensor<D>> {
        self.placed_param(self.numbers(name, &shape), shape)
    }

    /// The numbers of a tensor that is put in its place in another form, see [`Self::placed_param`]; none where it could not
    /// be read.
    pub(crate) fn numbers(&self, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let count: usize = shape.iter().product();
        self.note(name, count, (count * self.activation_bytes()) as u64, false);
        if let Some(seed) = self.synthetic {
            let table = PackedMatrix::synthetic(1, count, MatrixType::F32, self.seed_here(seed));
            // around one, as norms are
            return Some(unpacked(&table).into_iter().map(|x| x + 1.0).collect());
        }
        let stored = self.find(name, shape)?;
        self.finite(name, &stored)
    }

    /// `values` in activations' number type, as many as `shape` has; nothing is allocated where there are none.
    pub(crate) fn placed_param<const D: usize>(&self, values: Option<Vec<f32>>, shape: [usize; D]) -> Param<Tensor<D>> {
        self.placed_as(values, shape, self.placement.activations().into())
    }

    /// As [`Self::placed_param`], in a number type of its own.
    pub(crate) fn placed_as<const D: usize>(
        &self,
        values: Option<Vec<f32>>,
        shape: [usize; D],
        dtype: DType,
    ) -> Param<Tensor<D>> {
        values.map_or_else(|| self.placeholder(shape), |values| fixed(self.on_device_as(values, shape, dtype)))
    }

    /// Reports what is wrong with the values of a tensor.
    pub(crate) fn refuse(&self, name: &str, fault: impl FnOnce(String) -> WeightsFault) {
        let fault = fault(self.full(name));
        self.ledger().faults.push(fault);
    }

    /// A layer norm, stored as `<name>.weight` and `<name>.bias` of `width`.
    pub fn layer_norm(&self, name: &str, width: usize, epsilon: f64) -> LayerNorm {
        let at = self.enter(name);
        let mut norm = LayerNormConfig::new(width).with_epsilon(epsilon).init(&self.placement.device);
        norm.gamma = at.param("weight", [width]);
        norm.beta = Some(at.param("bias", [width]));
        norm
    }

    /// Ends the reading: every file must have its digest where that is known ([`WeightFiles::open`]); nothing may be missing,
    /// misshapen or not finite, and nothing may be left over.
    ///
    /// # Errors
    /// [`ModelError::WeightFiles`] with the file whose digest is wrong, else [`ModelError::Weights`] with everything that was
    /// found, by name.
    pub fn finish(&self) -> Result<(), ModelError> {
        self.files.finish_hashes()?;
        let ledger = self.ledger();
        let mut faults = ledger.faults.clone();
        if !ledger.missing.is_empty() {
            faults.insert(0, WeightsFault::Missing(ledger.missing.clone()));
        }
        let extra: Vec<String> =
            self.files.names().filter(|name| !ledger.asked.contains(*name)).map(str::to_owned).collect();
        if !extra.is_empty() {
            faults.push(WeightsFault::Extra(extra));
        }
        let fault = match faults.len() {
            0 => return Ok(()),
            1 => faults.remove(0),
            _ => WeightsFault::Several(faults),
        };
        Err(ModelError::Weights { origin: self.files.origin().to_owned(), fault })
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // a panic elsewhere leaves lists of names, which are still right
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tensor where it is there in the right shape and nothing was wrong so far: after a fault only names and shapes
    /// are looked at.
    fn find(&self, name: &str, shape: &[usize]) -> Option<StoredTensor> {
        let full = self.full(name);
        let stored = self.files.get(&full).cloned();
        let mut ledger = self.ledger();
        ledger.asked.insert(full.clone());
        let Some(stored) = stored else {
            ledger.missing.push(full);
            return None;
        };
        if stored.shape != shape {
            ledger.faults.push(WeightsFault::Shape { tensor: full, stored: stored.shape, expected: shape.to_vec() });
            return None;
        }
        if MatrixType::of_stored(stored.dtype).is_none() {
            ledger.faults.push(WeightsFault::NumberType {
                tensor: full,
                stored: stored.dtype.to_string(),
                expected: "F32, F16 or BF16".to_owned(),
            });
            return None;
        }
        (!ledger.spoiled()).then_some(stored)
    }

    fn not_finite(&self, name: &str, index: usize) {
        self.refuse(name, |tensor| WeightsFault::NotFinite { tensor, index });
    }

    /// On the device, in the activations' number type.
    fn tensor<const D: usize>(&self, name: &str, stored: &StoredTensor, shape: [usize; D]) -> Option<Tensor<D>> {
        self.finite(name, stored).map(|values| self.on_device(values, shape))
    }

    /// The values of a stored tensor, all of them finite.
    fn finite(&self, name: &str, stored: &StoredTensor) -> Option<Vec<f32>> {
        let values = floats(stored);
        if let Some(index) = values.iter().position(|x| !x.is_finite()) {
            self.not_finite(name, index);
            return None;
        }
        stored.release();
        Some(values)
    }

    fn on_device<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        self.on_device_as(values, shape, self.placement.activations().into())
    }

    fn on_device_as<const D: usize>(&self, values: Vec<f32>, shape: [usize; D], dtype: DType) -> Tensor<D> {
        let data = TensorData::new(values, shape).convert_dtype(dtype);
        Tensor::from_data(data, (&self.placement.device, dtype))
    }

    /// The matrix `name` that an import quantised, over the pages of its file ([`crate::packed`]).
    fn quantized(&self, name: &str, rows: usize, columns: usize) -> Option<PackedMatrix> {
        let [codes_name, scales_name] = [CODES, SCALES].map(|end| self.full(&format!("{name}{end}")));
        let (codes, scales) = (self.files.get(&codes_name), self.files.get(&scales_name));
        let mut ledger = self.ledger();
        ledger.asked.extend([codes_name.clone(), scales_name.clone()]);
        let (Some(codes), Some(scales)) = (codes, scales) else {
            ledger.missing.push(scales_name);
            return None;
        };
        if !(codes.dtype == Dtype::U8 && scales.dtype == Dtype::F16) {
            ledger.faults.push(WeightsFault::NumberType {
                tensor: codes_name,
                stored: format!("{} with scales in {}", codes.dtype, scales.dtype),
                expected: "U8 with scales in F16".to_owned(),
            });
            return None;
        }
        let Some(matrix) = PackedMatrix::from_codes(codes, scales, rows, columns) else {
            let expected = code_shapes(MatrixType::Int4, rows, columns).unwrap_or_default()[0].to_vec();
            ledger.faults.push(WeightsFault::Shape { tensor: codes_name, stored: codes.shape.clone(), expected });
            return None;
        };
        if let Some(index) = first_not_finite(scales) {
            ledger.faults.push(WeightsFault::NotFinite { tensor: scales_name, index });
            return None;
        }
        (!ledger.spoiled()).then_some(matrix)
    }

    fn activation_bytes(&self) -> usize {
        if self.placement.activations() == FloatDType::F32 { 4 } else { 2 }
    }

    /// Bytes of a matrix where it is put.
    fn matrix_bytes(&self, rows: usize, columns: usize) -> u64 {
        let kind = self.placement.matrices;
        if self.placement.packed {
            kind.bytes(rows as u64, columns as u64)
        } else {
            (rows * columns * self.activation_bytes()) as u64
        }
    }

    /// Stands for a tensor that could not be read, and costs nothing as long as it is not used.
    fn placeholder<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::uninitialized(
            ParamId::new(),
            move |device, _| Tensor::zeros(shape, device),
            self.placement.device.clone(),
            false,
            Shape::from(shape.to_vec()),
        )
    }
}

fn fixed<const D: usize>(tensor: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), tensor)
}

/// The values of a made-up matrix, row by row.
fn unpacked(matrix: &PackedMatrix) -> Vec<f32> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let mut values = vec![0.0; rows * columns];
    values.chunks_mut(columns.max(1)).enumerate().for_each(|(row, out)| matrix.read_row(row, out));
    values
}
