//! Bytes in, 32-bit floats out: the float types that weights are stored in, written so that loops over them vectorise.

/// A float type in memory, little-endian.
pub(super) trait Number {
    /// Its bytes.
    type Raw: Copy + Send + Sync;
    /// How many.
    const BYTES: usize;
    /// Whole numbers of a run of bytes.
    fn split(bytes: &[u8]) -> &[Self::Raw];
    /// Its value.
    fn read(raw: Self::Raw) -> f32;
    /// Writes the nearest number (ties to even) into `out`, [`Self::BYTES`] long.
    fn write(value: f32, out: &mut [u8]);
    /// Neither infinite nor NaN.
    fn is_finite(raw: Self::Raw) -> bool;
}

/// IEEE 754 binary32.
#[derive(Debug)]
pub(super) struct F32;
/// IEEE 754 binary16.
#[derive(Debug)]
pub(super) struct F16;
/// The upper half of a binary32.
#[derive(Debug)]
pub(super) struct Bf16;

impl Number for F32 {
    type Raw = [u8; 4];
    const BYTES: usize = 4;

    #[inline(always)]
    fn split(bytes: &[u8]) -> &[[u8; 4]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn read(raw: [u8; 4]) -> f32 {
        f32::from_le_bytes(raw)
    }

    fn write(value: f32, out: &mut [u8]) {
        out.copy_from_slice(&value.to_le_bytes());
    }

    #[inline(always)]
    fn is_finite(raw: [u8; 4]) -> bool {
        u32::from_le_bytes(raw) & 0x7F80_0000 != 0x7F80_0000
    }
}

impl Number for F16 {
    type Raw = [u8; 2];
    const BYTES: usize = 2;

    #[inline(always)]
    fn split(bytes: &[u8]) -> &[[u8; 2]] {
        bytes.as_chunks().0
    }

    /// Exponent and mantissa moved into a binary32 whose exponent is 112 too small, then scaled: right for subnormal numbers
    /// too, and without a branch.
    #[inline(always)]
    fn read(raw: [u8; 2]) -> f32 {
        const SCALE: f32 = f32::from_bits((127 + 112) << 23);
        let bits = u32::from(u16::from_le_bytes(raw));
        let magnitude = f32::from_bits((bits & 0x7FFF) << 13) * SCALE;
        f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
    }

    fn write(value: f32, out: &mut [u8]) {
        out.copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
    }

    #[inline(always)]
    fn is_finite(raw: [u8; 2]) -> bool {
        u16::from_le_bytes(raw) & 0x7C00 != 0x7C00
    }
}

impl Number for Bf16 {
    type Raw = [u8; 2];
    const BYTES: usize = 2;

    #[inline(always)]
    fn split(bytes: &[u8]) -> &[[u8; 2]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn read(raw: [u8; 2]) -> f32 {
        f32::from_bits(u32::from(u16::from_le_bytes(raw)) << 16)
    }

    fn write(value: f32, out: &mut [u8]) {
        out.copy_from_slice(&half::bf16::from_f32(value).to_le_bytes());
    }

    #[inline(always)]
    fn is_finite(raw: [u8; 2]) -> bool {
        u16::from_le_bytes(raw) & 0x7F80 != 0x7F80
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_number_is_read_as_the_half_crate_reads_it() {
        for bits in 0..=u16::MAX {
            let raw = bits.to_le_bytes();
            let (half, brain) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            assert_eq!(F16::is_finite(raw), half.is_finite());
            assert_eq!(Bf16::is_finite(raw), brain.is_finite());
            if half.is_finite() {
                assert_eq!(F16::read(raw).to_bits(), half.to_f32().to_bits(), "{bits:04x}");
            }
            if brain.is_finite() {
                assert_eq!(Bf16::read(raw).to_bits(), brain.to_f32().to_bits(), "{bits:04x}");
            }
        }
    }
}
