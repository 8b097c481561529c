//! Packed rows and a vector in, dot products out; packed rows in, floats out. Plain loops over arrays that the compiler
//! vectorises for the processor it runs on (`pulp`).

use super::numbers::{Bf16, F16, F32, Number};
use super::quantize::{GROUP, GROUP_BYTES_4, Quantized, SCALE_BYTES};
use super::{PackedMatrix, Values};

/// Sums kept side by side: two registers of AVX-512, four of AVX2.
const LANES: usize = 16;
/// Independent rows of sums, so that the adder's latency is hidden.
const CHAINS: usize = 4;

/// Dot products of rows `first..first + out.len()` with `x`, `[columns]`. For quantised rows `x` is filled up with zeros to whole
/// groups, and `x_sums` are their sums.
pub(super) fn dot_rows(matrix: &PackedMatrix, first: usize, x: &[f32], x_sums: &[f32], out: &mut [f32]) {
    pulp::Arch::new().dispatch(DotRows { matrix, first, x, x_sums, out });
}

/// Unpacks whole rows from `first` on into `out`, `[rows, columns]`.
pub(super) fn unpack_rows(matrix: &PackedMatrix, first: usize, out: &mut [f32]) {
    pulp::Arch::new().dispatch(UnpackRows { matrix, first, out });
}

/// Dot products of one vector `w` with each row of `x`, `[out.len(), w.len()]`.
pub(super) fn dot_each(w: &[f32], x: &[f32], out: &mut [f32]) {
    pulp::Arch::new().dispatch(DotEach { w, x, out });
}

struct DotRows<'a> {
    matrix: &'a PackedMatrix,
    first: usize,
    x: &'a [f32],
    x_sums: &'a [f32],
    out: &'a mut [f32],
}

impl pulp::WithSimd for DotRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        if S::IS_SCALAR { self.run::<false>() } else { self.run::<true>() }
    }
}

impl DotRows<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        match &self.matrix.values {
            Values::F32(bytes) => self.floats::<F32, FUSED>(bytes.as_slice()),
            Values::F16(bytes) => self.floats::<F16, FUSED>(bytes.as_slice()),
            Values::Bf16(bytes) => self.floats::<Bf16, FUSED>(bytes.as_slice()),
            Values::Int8(codes) => self.groups::<Fold8, GROUP, FUSED>(codes),
            Values::Int4(codes) => self.groups::<Fold4, GROUP_BYTES_4, FUSED>(codes),
        }
    }

    #[inline(always)]
    fn floats<N: Number, const FUSED: bool>(self, bytes: &[u8]) {
        let columns = self.matrix.columns;
        let rows = N::split(bytes).get(self.first * columns..).unwrap_or_default();
        for (y, row) in self.out.iter_mut().zip(rows.chunks_exact(columns.max(1))) {
            *y = dot::<N, FUSED>(row, self.x);
        }
    }

    #[inline(always)]
    fn groups<F: Fold<BYTES>, const BYTES: usize, const FUSED: bool>(self, matrix: &Quantized) {
        let x = self.x.as_chunks::<GROUP>().0;
        let codes = matrix.codes.as_slice().as_chunks::<BYTES>().0;
        let all_scales = F16::split(matrix.scales.as_slice());
        for (i, y) in self.out.iter_mut().enumerate() {
            let row = (self.first + i) * matrix.groups;
            let codes = codes.get(row..row + matrix.groups).unwrap_or_default();
            let scales = all_scales.get(row..row + matrix.groups).unwrap_or_default();
            *y = dot_groups::<F, BYTES, FUSED>(codes, scales, x, self.x_sums);
        }
    }
}

struct UnpackRows<'a> {
    matrix: &'a PackedMatrix,
    first: usize,
    out: &'a mut [f32],
}

impl pulp::WithSimd for UnpackRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        match &self.matrix.values {
            Values::F32(bytes) => self.floats::<F32>(bytes.as_slice()),
            Values::F16(bytes) => self.floats::<F16>(bytes.as_slice()),
            Values::Bf16(bytes) => self.floats::<Bf16>(bytes.as_slice()),
            Values::Int8(codes) => {
                self.groups::<GROUP>(codes, |codes| std::array::from_fn(|i| f32::from(codes[i].cast_signed())));
            }
            Values::Int4(codes) => self.groups::<GROUP_BYTES_4>(codes, unpack_4),
        }
    }
}

impl UnpackRows<'_> {
    #[inline(always)]
    fn floats<N: Number>(self, bytes: &[u8]) {
        let numbers = N::split(bytes).get(self.first * self.matrix.columns..).unwrap_or_default();
        for (x, &raw) in self.out.iter_mut().zip(numbers) {
            *x = N::read(raw);
        }
    }

    #[inline(always)]
    fn groups<const BYTES: usize>(self, matrix: &Quantized, unpack: impl Fn(&[u8; BYTES]) -> [f32; GROUP]) {
        let codes = matrix.codes.as_slice().as_chunks::<BYTES>().0;
        let all_scales = F16::split(matrix.scales.as_slice());
        for (i, row) in self.out.chunks_exact_mut(self.matrix.columns.max(1)).enumerate() {
            let start = (self.first + i) * matrix.groups;
            let codes = codes.get(start..start + matrix.groups).unwrap_or_default();
            let scales = all_scales.get(start..start + matrix.groups).unwrap_or_default();
            for ((out, codes), scale) in row.chunks_mut(GROUP).zip(codes).zip(scales) {
                let scale = read_scale(*scale);
                for (x, code) in out.iter_mut().zip(unpack(codes)) {
                    *x = code * scale;
                }
            }
        }
    }
}

struct DotEach<'a> {
    w: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl pulp::WithSimd for DotEach<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (y, x) in self.out.iter_mut().zip(self.x.chunks_exact(self.w.len().max(1))) {
            *y = if S::IS_SCALAR { dot_floats::<false>(self.w, x) } else { dot_floats::<true>(self.w, x) };
        }
    }
}

/// `a b + c`; fused where the processor does that in one step.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn dot<N: Number, const FUSED: bool>(row: &[N::Raw], x: &[f32]) -> f32 {
    let (blocks, rest) = row.as_chunks::<{ LANES * CHAINS }>();
    let (x_blocks, x_rest) = x.as_chunks::<{ LANES * CHAINS }>();
    let mut sums = [0.0f32; LANES * CHAINS];
    for (w, x) in blocks.iter().zip(x_blocks) {
        for i in 0..LANES * CHAINS {
            sums[i] = multiply_add::<FUSED>(N::read(w[i]), x[i], sums[i]);
        }
    }
    sum(&sums) + rest.iter().zip(x_rest).map(|(&w, x)| N::read(w) * x).sum::<f32>()
}

#[inline(always)]
fn dot_floats<const FUSED: bool>(w: &[f32], x: &[f32]) -> f32 {
    let (blocks, rest) = w.as_chunks::<{ LANES * CHAINS }>();
    let (x_blocks, x_rest) = x.as_chunks::<{ LANES * CHAINS }>();
    let mut sums = [0.0f32; LANES * CHAINS];
    for (w, x) in blocks.iter().zip(x_blocks) {
        for i in 0..LANES * CHAINS {
            sums[i] = multiply_add::<FUSED>(w[i], x[i], sums[i]);
        }
    }
    sum(&sums) + rest.iter().zip(x_rest).map(|(w, x)| w * x).sum::<f32>()
}

/// Groups whose scales are unpacked together.
const BLOCK: usize = 16;

/// Codes of a group as floats, folded to half a group: lane `i` is what codes `i` and `i + 16` add up to with their inputs. The
/// second number is what every code is too large by.
trait Fold<const BYTES: usize> {
    const EXCESS: f32;
    fn fold<const FUSED: bool>(codes: &[u8; BYTES], x: &[f32; GROUP]) -> [f32; LANES];
}

struct Fold8;
struct Fold4;

impl Fold<GROUP> for Fold8 {
    const EXCESS: f32 = 0.0;

    #[inline(always)]
    fn fold<const FUSED: bool>(codes: &[u8; GROUP], x: &[f32; GROUP]) -> [f32; LANES] {
        let code = |i: usize| i32::from(codes[i].cast_signed()) as f32;
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = multiply_add::<FUSED>(code(i), x[i], code(i + LANES) * x[i + LANES]);
        }
        out
    }
}

impl Fold<GROUP_BYTES_4> for Fold4 {
    const EXCESS: f32 = 8.0;

    #[inline(always)]
    fn fold<const FUSED: bool>(codes: &[u8; GROUP_BYTES_4], x: &[f32; GROUP]) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            let code = i32::from(codes[i]);
            let (low, high) = ((code & 0xF) as f32, (code >> 4) as f32);
            out[i] = multiply_add::<FUSED>(low, x[i], high * x[i + LANES]);
        }
        out
    }
}

/// A row of groups with `x` and the sum of `x` in each group.
#[inline(always)]
fn dot_groups<F: Fold<BYTES>, const BYTES: usize, const FUSED: bool>(
    codes: &[[u8; BYTES]],
    scales: &[[u8; SCALE_BYTES]],
    x: &[[f32; GROUP]],
    x_sums: &[f32],
) -> f32 {
    // two runs of sums, so that one waits while the other adds
    let mut sums = [[0.0f32; LANES]; 2];
    let mut excess = [0.0f32; BLOCK];
    let rows = codes.chunks(BLOCK).zip(scales.chunks(BLOCK)).zip(x.chunks(BLOCK).zip(x_sums.chunks(BLOCK)));
    for ((codes, scales), (x, x_sums)) in rows {
        let mut unpacked = [0.0f32; BLOCK];
        for (out, scale) in unpacked.iter_mut().zip(scales) {
            *out = read_scale(*scale);
        }
        for (i, sum) in x_sums.iter().enumerate() {
            excess[i] = multiply_add::<FUSED>(unpacked[i], *sum, excess[i]);
        }
        for (i, (codes, x)) in codes.iter().zip(x).enumerate() {
            let part = F::fold::<FUSED>(codes, x);
            let sums = &mut sums[i % 2];
            for lane in 0..LANES {
                sums[lane] = multiply_add::<FUSED>(part[lane], unpacked[i], sums[lane]);
            }
        }
    }
    let total: f32 = sums[0].iter().zip(&sums[1]).map(|(a, b)| a + b).sum();
    total - F::EXCESS * excess.iter().sum::<f32>()
}

/// The codes of one group.
#[inline(always)]
fn unpack_4(codes: &[u8; GROUP_BYTES_4]) -> [f32; GROUP] {
    let mut out = [0.0; GROUP];
    for i in 0..GROUP_BYTES_4 {
        out[i] = f32::from((codes[i] & 0xF).cast_signed() - 8);
        out[i + GROUP_BYTES_4] = f32::from((codes[i] >> 4).cast_signed() - 8);
    }
    out
}

#[inline(always)]
fn read_scale(scale: [u8; SCALE_BYTES]) -> f32 {
    F16::read(scale)
}

#[inline(always)]
fn sum(values: &[f32; LANES * CHAINS]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for chain in values.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            lanes[i] += chain[i];
        }
    }
    lanes.iter().sum()
}
