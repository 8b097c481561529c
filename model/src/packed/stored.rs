//! Codes and scales of a file in, a packed matrix over the file's pages out; and the way back: how quantised matrices are
//! kept on the disk.
//!
//! A matrix `NAME` of `[rows, columns]` is two tensors. `NAME.codes`, U8, `[rows, groups * bytes]`: the groups of a row one
//! after the other, `groups = ceil(columns / GROUP)`, the last one filled up with codes for zero. 8 bits: 32 bytes a group,
//! signed. 4 bits: 16 bytes a group, byte `i` holds weight `i` in its lower half and weight `i + 16` in its upper one, each
//! code plus 8. `NAME.scales`, F16, `[rows, groups]`. A weight is its code times its group's scale.

use safetensors::Dtype;

use super::quantize::{GROUP, GROUP_BYTES_4, Quantized};
use super::{Bytes, MatrixType, PackedMatrix, Values};
use crate::weights::StoredTensor;

/// What follows a matrix's name in that of its codes.
pub(crate) const CODES: &str = ".codes";
/// What follows a matrix's name in that of its scales.
pub(crate) const SCALES: &str = ".scales";

/// The codes and scales of a matrix, as they lie in memory and in a file.
#[derive(Debug)]
pub(crate) struct Codes<'a> {
    /// Bytes of `NAME.codes`.
    pub codes: &'a [u8],
    /// Bytes of `NAME.scales`.
    pub scales: &'a [u8],
}

/// Shapes of the codes and the scales of `rows` by `columns` weights; none for floats.
pub(crate) fn code_shapes(kind: MatrixType, rows: usize, columns: usize) -> Option<[[usize; 2]; 2]> {
    let groups = columns.div_ceil(GROUP);
    let width = match kind {
        MatrixType::Int8 => groups * GROUP,
        MatrixType::Int4 => groups * GROUP_BYTES_4,
        MatrixType::F32 | MatrixType::F16 | MatrixType::Bf16 => return None,
    };
    Some([[rows, width], [rows, groups]])
}

impl PackedMatrix {
    /// A quantised matrix over the pages of its file; `None` where shapes or number types are not those of `rows` by
    /// `columns` weights in 8 or 4 bits.
    pub(crate) fn from_codes(codes: &StoredTensor, scales: &StoredTensor, rows: usize, columns: usize) -> Option<Self> {
        let fits = |kind| {
            let [codes_shape, scales_shape] = code_shapes(kind, rows, columns)?;
            (codes.shape == codes_shape && scales.shape == scales_shape).then_some(kind)
        };
        let kind = fits(MatrixType::Int8).or_else(|| fits(MatrixType::Int4))?;
        if codes.dtype != Dtype::U8 || scales.dtype != Dtype::F16 {
            return None;
        }
        let groups = columns.div_ceil(GROUP);
        let quantized =
            Quantized { codes: Bytes::Stored(codes.clone()), scales: Bytes::Stored(scales.clone()), groups };
        let values = if kind == MatrixType::Int8 { Values::Int8(quantized) } else { Values::Int4(quantized) };
        Some(Self { rows, columns, values })
    }

    /// The codes and scales of a quantised matrix.
    pub(crate) fn codes(&self) -> Option<Codes<'_>> {
        let (Values::Int8(quantized) | Values::Int4(quantized)) = &self.values else { return None };
        Some(Codes { codes: quantized.codes.as_slice(), scales: quantized.scales.as_slice() })
    }

    /// The bytes of a matrix of floats; none of a quantised one.
    pub(crate) fn float_bytes(&self) -> &[u8] {
        match &self.values {
            Values::F32(bytes) | Values::F16(bytes) | Values::Bf16(bytes) => bytes.as_slice(),
            Values::Int8(_) | Values::Int4(_) => &[],
        }
    }

    /// All weights as floats, `[rows, columns]` row-major.
    pub(crate) fn to_floats(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.columns];
        super::kernels::unpack_rows(self, 0, &mut values);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::WeightFiles;
    use safetensors::tensor::TensorView;

    /// A matrix of 3 by 40 weights, written as codes and read back.
    #[test]
    fn codes_go_to_a_file_and_back_without_a_change() {
        for kind in [MatrixType::Int8, MatrixType::Int4] {
            let matrix = PackedMatrix::synthetic(3, 40, kind, 7);
            let parts = matrix.codes().unwrap();
            let [codes_shape, scales_shape] = code_shapes(kind, 3, 40).unwrap();
            let views = [
                ("w.codes", TensorView::new(Dtype::U8, codes_shape.to_vec(), parts.codes).unwrap()),
                ("w.scales", TensorView::new(Dtype::F16, scales_shape.to_vec(), parts.scales).unwrap()),
            ];
            let files = WeightFiles::from_bytes("here", safetensors::serialize(views, None).unwrap()).unwrap();
            let (codes, scales) = (files.get("w.codes").unwrap(), files.get("w.scales").unwrap());
            let back = PackedMatrix::from_codes(codes, scales, 3, 40).unwrap();
            assert_eq!(back.kind(), kind);
            assert_eq!(back.to_floats(), matrix.to_floats());
            let x: Vec<f32> = (0..40u8).map(f32::from).collect();
            assert_eq!(back.multiply(&x, 1), matrix.multiply(&x, 1));
            for (rows, columns) in [(2, 40), (3, 65), (3, 8)] {
                assert!(PackedMatrix::from_codes(codes, scales, rows, columns).is_none(), "{rows} {columns}");
            }
            assert!(PackedMatrix::from_codes(scales, codes, 3, 40).is_none());
        }
        assert!(PackedMatrix::synthetic(2, 2, MatrixType::F32, 1).codes().is_none());
    }
}
