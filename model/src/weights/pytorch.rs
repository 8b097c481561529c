//! A PyTorch file (`.pth`, `.pt`, `.bin`) in, its tensors in memory out. The pickle within is read by an interpreter that
//! knows tensors, numbers, text and containers, and runs no code.

use std::collections::BTreeMap;
use std::path::Path;

use pytorch_reader::{DType, PytorchReader};
use safetensors::Dtype;

use super::error::WeightFilesError;
use super::files::{StoredTensor, WeightFiles};

/// What the model is called in the state of a training run, where it lies beside the optimizer.
pub(crate) const STATE: &str = "state_dict.";

/// The tensors of `path`, with dots between the keys of nested dictionaries. Of the state of a training run the model alone
/// is read.
///
/// # Errors
/// [`WeightFilesError::PyTorch`] where it is no such file, or claims more bytes than it has.
pub(super) fn read_pytorch(path: &Path) -> Result<WeightFiles, WeightFilesError> {
    let fault = |reason: String| WeightFilesError::PyTorch { path: path.to_owned(), reason };
    let size =
        std::fs::metadata(path).map_err(|source| WeightFilesError::Read { path: path.to_owned(), source })?.len();
    let reader = PytorchReader::new(path).map_err(|e| fault(e.to_string()))?;
    let is_state = reader.tensors().keys().any(|name| name.starts_with(STATE));
    let mut tensors = BTreeMap::new();
    let mut total = 0u64;
    for (name, tensor) in reader.into_tensors() {
        if is_state && !name.starts_with(STATE) {
            continue;
        }
        // a view with a stride of zero may claim any size; what fits the file together is what a state dict holds
        total = total.saturating_add(tensor.byte_len() as u64);
        if total > size {
            return Err(fault(format!("its tensors up to {name} would take {total} bytes, the file has {size}")));
        }
        let bytes = tensor.read().map_err(|e| fault(e.to_string()))?;
        let dtype = match tensor.dtype() {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::I64 => Dtype::I64,
            DType::I32 => Dtype::I32,
            DType::I16 => Dtype::I16,
            DType::I8 => Dtype::I8,
            DType::U64 => Dtype::U64,
            DType::U32 => Dtype::U32,
            DType::U16 => Dtype::U16,
            DType::U8 => Dtype::U8,
            DType::Bool => Dtype::BOOL,
        };
        tensors.insert(name, StoredTensor::held(dtype, tensor.shape().to_vec(), bytes));
    }
    if tensors.is_empty() {
        return Err(fault("it holds no tensors".to_owned()));
    }
    Ok(WeightFiles::from_tensors(path.display().to_string(), tensors))
}
