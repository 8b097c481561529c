//! A size in, a matrix of random weights out, without ever holding it as floats: what measurements of speed and memory run on.

use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::numbers::{Bf16, F16, F32, Number};
use super::quantize::{GROUP, GROUP_BYTES_4, Quantized};
use super::{Bytes, MatrixType, PackedMatrix, Values};

/// Numbers that one generator draws.
const CHUNK: usize = 1 << 16;

impl PackedMatrix {
    /// Random weights around zero whose products with unit vectors have about unit size. Equal seeds give equal matrices.
    pub fn synthetic(rows: usize, columns: usize, kind: MatrixType, seed: u64) -> Self {
        let scale = (columns.max(1) as f32).powf(-0.5);
        let groups = columns.div_ceil(GROUP);
        let quantized = |group_bytes: usize, levels: f32| Quantized {
            codes: Bytes::Held(random_bytes(rows * groups * group_bytes, seed)),
            scales: Bytes::Held(f16::from_f32(scale / levels).to_le_bytes().repeat(rows * groups)),
            groups,
        };
        let values = match kind {
            MatrixType::F32 => Values::F32(floats::<F32>(rows * columns, scale, seed)),
            MatrixType::F16 => Values::F16(floats::<F16>(rows * columns, scale, seed)),
            MatrixType::Bf16 => Values::Bf16(floats::<Bf16>(rows * columns, scale, seed)),
            MatrixType::Int8 => Values::Int8(quantized(GROUP, 74.0)),
            MatrixType::Int4 => Values::Int4(quantized(GROUP_BYTES_4, 4.6)),
        };
        Self { rows, columns, values }
    }
}

fn generator(seed: u64, chunk: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(chunk as u64);
    rng
}

fn random_bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; count];
    bytes.par_chunks_mut(CHUNK).enumerate().for_each(|(i, out)| generator(seed, i).fill_bytes(out));
    bytes
}

/// Evenly spread with the deviation `scale`.
fn floats<N: Number>(count: usize, scale: f32, seed: u64) -> Bytes {
    let mut bytes = vec![0; count * N::BYTES];
    bytes.par_chunks_mut(CHUNK * N::BYTES).enumerate().for_each(|(i, out)| {
        let mut rng = generator(seed, i);
        let mut random = vec![0u8; out.len() / N::BYTES];
        rng.fill_bytes(&mut random);
        for (out, r) in out.chunks_exact_mut(N::BYTES).zip(random) {
            // 256 steps with the deviation of an even spread: width / sqrt 12
            N::write((f32::from(r) - 127.5) / 73.9 * scale, out);
        }
    });
    Bytes::Held(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_keeps_the_size_of_what_it_multiplies() {
        for kind in [MatrixType::F32, MatrixType::F16, MatrixType::Bf16, MatrixType::Int8, MatrixType::Int4] {
            let (rows, columns) = (400, 320);
            let matrix = PackedMatrix::synthetic(rows, columns, kind, 5);
            let x: Vec<f32> = (0..columns).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
            let y = matrix.multiply(&x, 1);
            let size = (y.iter().map(|y| y * y).sum::<f32>() / rows as f32).sqrt();
            assert!((0.8..1.25).contains(&size), "{kind:?}: {size}");
            assert_eq!(y, PackedMatrix::synthetic(rows, columns, kind, 5).multiply(&x, 1));
        }
    }
}
