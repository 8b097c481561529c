//! A weight matrix `[rows, columns]` kept for the processor: in 32, 16, 8 or 4 bits a weight, multiplied without ever being
//! unpacked whole.
//!
//! Floats stay in the file's mapped pages where the file holds that type. 8 and 4 bits are symmetric codes in groups of
//! [`GROUP`] along a row, each group with a 16-bit scale (`weight = code * scale`).

mod kernels;
mod multiply;
mod numbers;
mod quantize;
mod stored;
mod synthetic;

use rayon::prelude::*;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::weights::StoredTensor;
use numbers::{Bf16, F16, F32, Number};

pub use quantize::GROUP;
use quantize::{Quantized, int4, int8};
pub(crate) use stored::{CODES, SCALES, code_shapes};

/// How a matrix is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatrixType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats with 10 bits of mantissa.
    F16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
    /// 8-bit codes with a scale for each [`GROUP`].
    Int8,
    /// 4-bit codes with a scale for each [`GROUP`].
    Int4,
}

impl MatrixType {
    /// The float type of a stored tensor.
    pub fn of_stored(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The safetensors type of floats; none for codes.
    pub fn stored(self) -> Option<Dtype> {
        match self {
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::BF16),
            Self::Int8 | Self::Int4 => None,
        }
    }

    /// As options and files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// Bytes of a matrix of `rows` by `columns`.
    pub fn bytes(self, rows: u64, columns: u64) -> u64 {
        let group = GROUP as u64;
        match self {
            Self::F32 => rows * columns * 4,
            Self::F16 | Self::Bf16 => rows * columns * 2,
            Self::Int8 => rows * columns.div_ceil(group) * (group + 2),
            Self::Int4 => rows * columns.div_ceil(group) * (group / 2 + 2),
        }
    }
}

/// A weight matrix.
#[derive(Debug)]
pub struct PackedMatrix {
    rows: usize,
    columns: usize,
    values: Values,
}

/// The values of a matrix, row-major.
#[derive(Debug)]
enum Values {
    F32(Bytes),
    F16(Bytes),
    Bf16(Bytes),
    Int8(Quantized),
    Int4(Quantized),
}

/// Little-endian numbers: in a file's pages or in memory.
#[derive(Debug)]
enum Bytes {
    Stored(StoredTensor),
    Held(Vec<u8>),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Stored(tensor) => tensor.bytes(),
            Self::Held(bytes) => bytes,
        }
    }
}

impl PackedMatrix {
    /// A stored tensor of floats, its shape flattened to `rows` by `columns`, kept as `kind`.
    ///
    /// # Errors
    /// The row-major index of the first value that is not finite.
    pub(crate) fn from_stored(
        stored: &StoredTensor,
        rows: usize,
        columns: usize,
        kind: MatrixType,
    ) -> Result<Self, usize> {
        if let Some(index) = first_not_finite(stored) {
            return Err(index);
        }
        let kept = MatrixType::of_stored(stored.dtype) == Some(kind);
        let values = match kind {
            MatrixType::F32 if kept => Values::F32(Bytes::Stored(stored.clone())),
            MatrixType::F16 if kept => Values::F16(Bytes::Stored(stored.clone())),
            MatrixType::Bf16 if kept => Values::Bf16(Bytes::Stored(stored.clone())),
            MatrixType::F32 => Values::F32(converted::<F32>(stored)),
            MatrixType::F16 => Values::F16(converted::<F16>(stored)),
            MatrixType::Bf16 => Values::Bf16(converted::<Bf16>(stored)),
            MatrixType::Int8 => Values::Int8(int8(columns, |row, out| read_stored(stored, row * columns, out), rows)),
            MatrixType::Int4 => Values::Int4(int4(columns, |row, out| read_stored(stored, row * columns, out), rows)),
        };
        Ok(Self { rows, columns, values })
    }

    /// Outputs of the linear map.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs of the linear map.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How it is kept.
    pub fn kind(&self) -> MatrixType {
        match self.values {
            Values::F32(_) => MatrixType::F32,
            Values::F16(_) => MatrixType::F16,
            Values::Bf16(_) => MatrixType::Bf16,
            Values::Int8(_) => MatrixType::Int8,
            Values::Int4(_) => MatrixType::Int4,
        }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> u64 {
        self.kind().bytes(self.rows as u64, self.columns as u64)
    }

    /// Writes row `row` into `out`, `[columns]`; zeros where there is no such row.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        if row >= self.rows || out.len() != self.columns {
            out.fill(0.0);
            return;
        }
        kernels::unpack_rows(self, row, out);
    }
}

/// The values of a stored float tensor; empty where it holds no floats.
pub(crate) fn floats(stored: &StoredTensor) -> Vec<f32> {
    if MatrixType::of_stored(stored.dtype).is_none() {
        return Vec::new();
    }
    let mut values = vec![0.0; stored.len()];
    const CHUNK: usize = 1 << 16;
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, out)| read_stored(stored, i * CHUNK, out));
    values
}

/// Values of a stored float tensor from row-major index `start` on.
fn read_stored(stored: &StoredTensor, start: usize, out: &mut [f32]) {
    fn read<N: Number>(bytes: &[u8], start: usize, out: &mut [f32]) {
        let numbers = N::split(bytes);
        for (x, &raw) in out.iter_mut().zip(numbers.get(start..).unwrap_or_default()) {
            *x = N::read(raw);
        }
    }
    match MatrixType::of_stored(stored.dtype) {
        Some(MatrixType::F32) => read::<F32>(stored.bytes(), start, out),
        Some(MatrixType::F16) => read::<F16>(stored.bytes(), start, out),
        Some(MatrixType::Bf16) => read::<Bf16>(stored.bytes(), start, out),
        _ => {}
    }
}

/// A stored float tensor as numbers of another type.
fn converted<N: Number>(stored: &StoredTensor) -> Bytes {
    const CHUNK: usize = 1 << 14;
    let mut bytes = vec![0u8; stored.len() * N::BYTES];
    bytes.par_chunks_mut(CHUNK * N::BYTES).enumerate().for_each(|(i, out)| {
        let mut values = vec![0.0; out.len() / N::BYTES];
        read_stored(stored, i * CHUNK, &mut values);
        for (raw, x) in out.chunks_exact_mut(N::BYTES).zip(values) {
            N::write(x, raw);
        }
    });
    Bytes::Held(bytes)
}

/// Row-major index of the first value that is not finite, as its exponent bits tell; `None` also where it holds no floats.
pub(crate) fn first_not_finite(stored: &StoredTensor) -> Option<usize> {
    first_not_finite_of(stored.bytes(), stored.dtype)
}

/// As [`first_not_finite`], of row-major bytes of a type.
pub(crate) fn first_not_finite_of(bytes: &[u8], dtype: Dtype) -> Option<usize> {
    fn find<N: Number>(bytes: &[u8]) -> Option<usize> {
        const CHUNK: usize = 1 << 16;
        let chunk_of = |numbers: &[N::Raw]| numbers.iter().fold(false, |any, &raw| any | !N::is_finite(raw));
        let found = N::split(bytes).par_chunks(CHUNK).position_first(chunk_of)?;
        let chunk = N::split(bytes).get(found * CHUNK..)?;
        Some(found * CHUNK + chunk.iter().position(|&raw| !N::is_finite(raw))?)
    }
    if dtype == Dtype::F64 {
        return bytes.as_chunks().0.iter().position(|raw| !f64::from_le_bytes(*raw).is_finite());
    }
    match MatrixType::of_stored(dtype)? {
        MatrixType::F32 => find::<F32>(bytes),
        MatrixType::F16 => find::<F16>(bytes),
        _ => find::<Bf16>(bytes),
    }
}
