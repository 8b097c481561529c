//! `x` `[count, columns]` in, `x W^T` `[count, rows]` out: by dot products for few rows of `x`, by blocks of unpacked weights and
//! a matrix product for many.

use std::borrow::Cow;

use rayon::prelude::*;

use super::kernels::{dot_each, dot_rows, unpack_rows};
use super::quantize::GROUP;
use super::{PackedMatrix, Values};

/// From this many rows of `x` on a matrix product is faster than dot products.
const PRODUCT_FROM: usize = 12;
/// Weights unpacked at a time, of all threads together: 4 MiB, so that a block stays in the last cache.
const BLOCK: usize = 1 << 20;
/// Weights that one thread works on at a time: 64 kB of 4-bit codes at least, so that the work outweighs handing it out.
const TASK: usize = 1 << 17;

impl PackedMatrix {
    /// `x W^T`, `x`: `[count, columns]` row-major. Returns `[count, rows]`.
    pub fn multiply(&self, x: &[f32], count: usize) -> Vec<f32> {
        let mut y = vec![0.0; count * self.rows];
        if self.rows == 0 || self.columns == 0 || x.len() != count * self.columns {
            return y;
        }
        match count {
            0 => {}
            1 => self.one(x, &mut y),
            2..PRODUCT_FROM => self.few(x, count, &mut y),
            _ => self.many(x, count, &mut y),
        }
        y
    }

    fn task_rows(&self) -> usize {
        (TASK / self.columns).max(1)
    }

    fn one(&self, x: &[f32], y: &mut [f32]) {
        let x = self.in_whole_groups(x);
        let quantised = matches!(self.values, Values::Int8(_) | Values::Int4(_));
        let groups = if quantised { x.as_chunks::<GROUP>().0 } else { &[] };
        let x_sums: Vec<f32> = groups.iter().map(|group| group.iter().sum()).collect();
        let rows = self.task_rows();
        y.par_chunks_mut(rows).enumerate().for_each(|(i, y)| dot_rows(self, i * rows, &x, &x_sums, y));
    }

    /// Each row is unpacked once and multiplied with every row of `x`.
    fn few(&self, x: &[f32], count: usize, y: &mut [f32]) {
        let rows = self.task_rows();
        let mut columns_of_y = vec![0.0; y.len()];
        columns_of_y.par_chunks_mut(rows * count).enumerate().for_each_init(
            || vec![0.0; self.columns],
            |w, (i, out)| {
                for (r, out) in out.chunks_exact_mut(count).enumerate() {
                    unpack_rows(self, i * rows + r, w);
                    dot_each(w, x, out);
                }
            },
        );
        for (r, column) in columns_of_y.chunks_exact(count).enumerate() {
            for (j, value) in column.iter().enumerate() {
                y[j * self.rows + r] = *value;
            }
        }
    }

    fn many(&self, x: &[f32], count: usize, y: &mut [f32]) {
        if let Values::F32(bytes) = &self.values
            && let Ok(w) = bytemuck::try_cast_slice::<u8, f32>(bytes.as_slice())
        {
            product(x, count, w, self.columns, y, self.rows, 0);
            return;
        }
        let block_rows = (BLOCK / self.columns).clamp(1, self.rows);
        let part_rows = block_rows.div_ceil(rayon::current_num_threads().max(1)).max(1);
        let mut block = vec![0.0; block_rows * self.columns];
        for first in (0..self.rows).step_by(block_rows) {
            let rows = block_rows.min(self.rows - first);
            let block = &mut block[..rows * self.columns];
            let parts = block.par_chunks_mut(part_rows * self.columns).enumerate();
            parts.for_each(|(i, out)| unpack_rows(self, first + i * part_rows, out));
            product(x, count, block, self.columns, y, self.rows, first);
        }
    }

    /// Quantised rows end in whole groups; so must `x`.
    fn in_whole_groups<'a>(&self, x: &'a [f32]) -> Cow<'a, [f32]> {
        if matches!(self.values, Values::Int8(_) | Values::Int4(_)) && !x.len().is_multiple_of(GROUP) {
            let mut filled = x.to_vec();
            filled.resize(x.len().next_multiple_of(GROUP), 0.0);
            return Cow::Owned(filled);
        }
        Cow::Borrowed(x)
    }
}

/// Writes `x w^T` into the columns of `y` from `first` on. `x`: `[count, columns]`, `w`: `[rows, columns]`, `y`: `[count, width]`.
fn product(x: &[f32], count: usize, w: &[f32], columns: usize, y: &mut [f32], width: usize, first: usize) {
    let rows = w.len() / columns;
    assert!(
        x.len() >= count * columns && w.len() >= rows * columns && first + rows <= width && y.len() >= count * width
    );
    let parallelism = gemm::Parallelism::Rayon(0);
    // SAFETY: the sizes asserted above hold every element that the strides reach: x[i * columns + k], w[j * columns + k],
    // y[i * width + first + j] for i < count, j < rows, k < columns; y overlaps neither.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            count,
            rows,
            columns,
            y.as_mut_ptr().add(first),
            1,
            width as isize,
            false,
            x.as_ptr(),
            1,
            columns as isize,
            w.as_ptr(),
            columns as isize,
            1,
            0.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::MatrixType;
    use super::*;
    use crate::weights::WeightFiles;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    fn matrix(rows: usize, columns: usize, kind: MatrixType, seed: u64) -> (PackedMatrix, Vec<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![rows, columns], &bytes).unwrap();
        let file = safetensors::serialize([("w", view)], None).unwrap();
        let files = WeightFiles::from_bytes("here", file).unwrap();
        (PackedMatrix::from_stored(files.get("w").unwrap(), rows, columns, kind).unwrap(), values)
    }

    const KINDS: [(MatrixType, f32); 5] = [
        (MatrixType::F32, 0.0),
        (MatrixType::F16, 0.0005),
        (MatrixType::Bf16, 0.004),
        (MatrixType::Int8, 0.0045),
        // -8..7: half a step, or a whole one where the largest value has the scale's sign
        (MatrixType::Int4, 0.126),
    ];

    #[test]
    fn every_type_keeps_its_precision() {
        for (kind, tolerance) in KINDS {
            let (packed, values) = matrix(5, 70, kind, 1);
            let mut row = vec![0.0; 70];
            for r in 0..5 {
                packed.read_row(r, &mut row);
                for (a, b) in row.iter().zip(&values[r * 70..]) {
                    assert!((a - b).abs() <= tolerance, "{kind:?}: {a} {b}");
                }
            }
            packed.read_row(5, &mut row);
            assert!(row.iter().all(|&x| x == 0.0));
        }
    }

    #[test]
    fn every_way_to_multiply_agrees_with_the_sum_over_unpacked_weights() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for (kind, _) in KINDS {
            for (rows, columns) in [(1, 1), (3, 64), (130, 129), (7, 31), (2100, 600)] {
                let (packed, _) = matrix(rows, columns, kind, 3);
                let mut w = vec![0.0; rows * columns];
                w.chunks_mut(columns).enumerate().for_each(|(r, out)| packed.read_row(r, out));
                for count in [0, 1, 2, 11, 12, 40] {
                    let x: Vec<f32> = (0..count * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
                    let y = packed.multiply(&x, count);
                    assert_eq!(y.len(), count * rows);
                    for i in (0..y.len()).step_by(17) {
                        let (j, r) = (i / rows, i % rows);
                        let pairs = x[j * columns..(j + 1) * columns].iter().zip(&w[r * columns..]);
                        let expected: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        assert!(
                            (f64::from(y[i]) - expected).abs() < 2e-5 * (columns as f64).sqrt() + 1e-6,
                            "{kind:?} {rows}x{columns} count {count}: {} {expected}",
                            y[i]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_vector_of_another_length_is_not_read() {
        assert_eq!(matrix(3, 8, MatrixType::Int4, 4).0.multiply(&[1.0; 7], 1), [0.0; 3]);
    }
}
