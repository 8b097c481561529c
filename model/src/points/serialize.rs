//! Voxel coordinates in, positions along space-filling curves out: Z-order (Morton 1966) and Hilbert (Skilling 2004,
//! "Programming the Hilbert curve"), each also with x and y exchanged, as Point Transformer v3 uses them.

use serde::{Deserialize, Serialize};

/// Bits of a coordinate; 3 x 16 fit a u64.
pub(crate) const BITS: u32 = 16;

/// The order in which points are cut into patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SerializedOrder {
    /// Z-order.
    #[serde(rename = "z")]
    Z,
    #[serde(rename = "z-trans")]
    /// Z-order with x and y exchanged.
    ZTransposed,
    /// Hilbert curve.
    #[serde(rename = "hilbert")]
    Hilbert,
    #[serde(rename = "hilbert-trans")]
    /// Hilbert curve with x and y exchanged.
    HilbertTransposed,
}

impl SerializedOrder {
    /// The orders, in the sequence in which blocks use them.
    pub const ALL: [Self; 4] = [Self::Z, Self::ZTransposed, Self::Hilbert, Self::HilbertTransposed];

    /// Place of a voxel along the curve; coordinates below 2^16.
    pub fn code(self, voxel: [u32; 3]) -> u64 {
        self.code_of_bits(voxel, BITS)
    }

    /// As [`Self::code`], along the curve through the cube of side `2^bits`, at most `2^16`; coordinates below that. Z-order does
    /// not depend on the cube, Hilbert's curve turns with it.
    pub fn code_of_bits(self, [x, y, z]: [u32; 3], bits: u32) -> u64 {
        match self {
            Self::Z => z_order_code([x, y, z]),
            Self::ZTransposed => z_order_code([y, x, z]),
            Self::Hilbert => hilbert_code([x, y, z], bits),
            Self::HilbertTransposed => hilbert_code([y, x, z], bits),
        }
    }
}

/// Z-order: the bits of x, y, z interleaved, x highest.
pub fn z_order_code([x, y, z]: [u32; 3]) -> u64 {
    (spread(x) << 2) | (spread(y) << 1) | spread(z)
}

/// The low 16 bits, each three places from the next.
fn spread(c: u32) -> u64 {
    let mut bits = u64::from(c & 0xFFFF);
    for (shift, mask) in [(16, 0xFF00_00FF), (8, 0xF0_0F00_F00F), (4, 0x0C30_C30C_30C3), (2, 0x2492_4924_9249)] {
        bits = (bits | (bits << shift)) & mask;
    }
    bits
}

/// Place along the Hilbert curve through the cube of side `2^bits`, at most `2^16`.
pub fn hilbert_code(coordinates: [u32; 3], bits: u32) -> u64 {
    let mut x = coordinates;
    let highest = 1u32 << bits.clamp(1, BITS) >> 1;
    // Skilling's inverse: undo the excess rotations from the highest bit down, then Gray-encode
    let mut bit = highest;
    while bit > 1 {
        let below = bit - 1;
        for i in 0..3 {
            if x[i] & bit != 0 {
                x[0] ^= below;
            } else {
                let swap = (x[0] ^ x[i]) & below;
                x[0] ^= swap;
                x[i] ^= swap;
            }
        }
        bit >>= 1;
    }
    x[1] ^= x[0];
    x[2] ^= x[1];
    let mut flip = 0;
    let mut bit = highest;
    while bit > 1 {
        if x[2] & bit != 0 {
            flip ^= bit - 1;
        }
        bit >>= 1;
    }
    z_order_code(x.map(|c| c ^ flip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_order_interleaves_bits() {
        assert_eq!(z_order_code([1, 0, 0]), 4);
        assert_eq!(z_order_code([0, 1, 0]), 2);
        assert_eq!(z_order_code([3, 1, 2]), 0b101_110);
        assert_eq!(SerializedOrder::ZTransposed.code([0, 1, 0]), 4);
    }

    #[test]
    fn hilbert_steps_to_a_neighbour_each_time() {
        let mut cells: Vec<[u32; 3]> = (0..512u32).map(|i| [i % 8, i / 8 % 8, i / 64]).collect();
        cells.sort_by_key(|&c| hilbert_code(c, BITS));
        for pair in cells.windows(2) {
            let step: u32 = (0..3).map(|k| pair[0][k].abs_diff(pair[1][k])).sum();
            assert_eq!(step, 1, "{pair:?}");
        }
        let mut codes: Vec<u64> = cells.iter().map(|&c| hilbert_code(c, BITS)).collect();
        codes.dedup();
        assert_eq!(codes.len(), 512);
    }
    #[test]
    fn hilbert_begins_with_the_gray_code_of_a_cube() {
        let corners = [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1], [1, 0, 0]];
        let top = BITS - 1;
        let codes: Vec<u64> =
            corners.iter().map(|c| hilbert_code(c.map(|x: u32| x << top), BITS) >> (3 * top)).collect();
        assert_eq!(codes, (0..8).collect::<Vec<u64>>());
    }

    #[test]
    fn a_coarser_curve_is_the_same_curve_with_fewer_bits() {
        // so that the stages need no curves of their own: half the coordinates, an eighth of the place
        for i in 0..200u32 {
            let c = [i * 2_654_435 % 65_536, i * 40_503 % 65_536, i * 12_345 % 65_536];
            for order in SerializedOrder::ALL {
                let parent = order.code(c.map(|x| x & !1));
                assert_eq!(order.code(c) >> 3, parent >> 3);
            }
        }
    }

    #[test]
    fn every_cube_has_a_curve_of_its_own() {
        for bits in 1..=4 {
            let side = 1u32 << bits;
            let mut cells: Vec<[u32; 3]> =
                (0..side.pow(3)).map(|i| [i % side, i / side % side, i / side / side]).collect();
            cells.sort_by_key(|&c| hilbert_code(c, bits));
            assert_eq!(hilbert_code(cells[cells.len() - 1], bits), u64::from(side.pow(3)) - 1);
            assert!(cells.windows(2).all(|pair| (0..3).map(|k| pair[0][k].abs_diff(pair[1][k])).sum::<u32>() == 1));
        }
    }

    #[test]
    fn the_bits_are_spread_without_loss() {
        for c in [0u32, 1, 0x8000, 0xABCD, 0xFFFF] {
            let naive = (0..BITS).fold(0u64, |code, bit| code | (u64::from((c >> bit) & 1) << (3 * bit)));
            assert_eq!(z_order_code([0, 0, c]), naive);
            assert_eq!(z_order_code([c, 0, 0]), naive << 2);
        }
    }
}
