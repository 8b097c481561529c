//! Rows of floats in, codes and scales out: symmetric quantisation in groups along a row.

use half::f16;
use rayon::prelude::*;

use super::Bytes;

/// Weights that share a scale.
pub const GROUP: usize = 32;
/// Bytes of a group of 4-bit codes: byte `i` holds weight `i` in its lower half and weight `i + 16` in its upper one, each
/// code plus 8.
pub(super) const GROUP_BYTES_4: usize = GROUP / 2;

/// Bytes of a group's scale.
pub(super) const SCALE_BYTES: usize = 2;

/// Codes and scales, row after row; the last group of a row is filled up with zeros.
#[derive(Debug)]
pub(super) struct Quantized {
    /// 8 bits: [`GROUP`] signed bytes a group. 4 bits: [`GROUP_BYTES_4`] bytes.
    pub(super) codes: Bytes,
    /// One 16-bit float a group.
    pub(super) scales: Bytes,
    /// Groups of a row.
    pub(super) groups: usize,
}

/// 8-bit codes of `rows` rows that `read` gives.
pub(super) fn int8(columns: usize, read: impl Fn(usize, &mut [f32]) + Sync, rows: usize) -> Quantized {
    quantize(
        columns,
        read,
        rows,
        GROUP,
        #[inline(always)]
        |group, codes| {
            let largest = group.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let scale = f16::from_f32(largest / 127.0);
            let inverse = inverse(scale);
            for (code, x) in codes.iter_mut().zip(group) {
                *code = ((x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8).cast_unsigned();
            }
            scale
        },
    )
}

/// 4-bit codes of `rows` rows that `read` gives. The weight of the largest magnitude gets the code -8, of which there is no
/// positive twin: the scale is negative where it is positive (as in llama.cpp's Q4_0).
pub(super) fn int4(columns: usize, read: impl Fn(usize, &mut [f32]) + Sync, rows: usize) -> Quantized {
    quantize(
        columns,
        read,
        rows,
        GROUP_BYTES_4,
        #[inline(always)]
        |group, codes| {
            let extreme = group.iter().fold(0.0f32, |m, &x| if x.abs() > m.abs() { x } else { m });
            let scale = f16::from_f32(extreme / -8.0);
            let inverse = inverse(scale);
            let code = |x: f32| ((x * inverse).round_ties_even().clamp(-8.0, 7.0) + 8.0) as u8;
            for (i, byte) in codes.iter_mut().enumerate() {
                *byte = code(group[i]) | code(group[i + GROUP_BYTES_4]) << 4;
            }
            scale
        },
    )
}

/// `1 / scale`, or 0 where a group is so small that its scale is zero: all its codes are then zero.
fn inverse(scale: f16) -> f32 {
    if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() }
}

fn quantize(
    columns: usize,
    read: impl Fn(usize, &mut [f32]) + Sync,
    rows: usize,
    group_bytes: usize,
    encode: impl Fn(&[f32; GROUP], &mut [u8]) -> f16 + Sync,
) -> Quantized {
    let groups = columns.div_ceil(GROUP);
    let mut codes = vec![0u8; rows * groups * group_bytes];
    let mut scales = vec![0u8; rows * groups * SCALE_BYTES];
    if groups > 0 {
        let by_row = codes.par_chunks_mut(groups * group_bytes).zip(scales.par_chunks_mut(groups * SCALE_BYTES));
        by_row.enumerate().for_each_init(
            || vec![0.0f32; groups * GROUP],
            |values, (row, (codes, scales))| {
                read(row, &mut values[..columns]);
                let groups = values.as_chunks::<GROUP>().0;
                pulp::Arch::new().dispatch(EncodeRow { groups, group_bytes, codes, scales, encode: &encode });
            },
        );
    }
    Quantized { codes: Bytes::Held(codes), scales: Bytes::Held(scales), groups }
}

/// One row, as `pulp` calls it: rounding is one instruction on the processors that have it, and a call elsewhere.
struct EncodeRow<'a, E> {
    groups: &'a [[f32; GROUP]],
    group_bytes: usize,
    codes: &'a mut [u8],
    scales: &'a mut [u8],
    encode: &'a E,
}

impl<E: Fn(&[f32; GROUP], &mut [u8]) -> f16> pulp::WithSimd for EncodeRow<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let codes = self.codes.chunks_exact_mut(self.group_bytes);
        for ((group, codes), scale) in self.groups.iter().zip(codes).zip(self.scales.as_chunks_mut().0) {
            *scale = (self.encode)(group, codes).to_le_bytes();
        }
    }
}
