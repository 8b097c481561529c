//! A seed and a point in, a repeatable number out: hashes of lattice points and smooth value noise between them, without state.

/// Primes that mix three coordinates into one number (Teschner et al. 2003, "Optimized Spatial Hashing").
const PRIMES: [u32; 3] = [73_856_093, 19_349_663, 83_492_791];
/// Multipliers of the finaliser of MurmurHash3 (Appleby, public domain).
const MULTIPLIERS: [u32; 2] = [0x85EB_CA6B, 0xC2B2_AE35];

/// A number from 0 to below 1 for a lattice point.
pub(super) fn at(seed: u32, [x, y, z]: [i32; 3]) -> f32 {
    let mixed = [x, y, z].iter().zip(PRIMES).fold(seed, |h, (c, prime)| h ^ (*c as u32).wrapping_mul(prime));
    let mut h = (mixed ^ mixed >> 16).wrapping_mul(MULTIPLIERS[0]);
    h = (h ^ h >> 13).wrapping_mul(MULTIPLIERS[1]);
    h ^= h >> 16;
    // 24 bits fill the mantissa
    (h >> 8) as f32 / (1u32 << 24) as f32
}

/// Smooth noise from 0 to 1: the numbers of the eight lattice points around `p`, blended.
pub(super) fn smooth(seed: u32, p: [f32; 3]) -> f32 {
    let low = p.map(f32::floor);
    let cell = low.map(|c| c as i32);
    let blend: [f32; 3] = std::array::from_fn(|k| {
        let t = p[k] - low[k];
        t * t * (3.0 - 2.0 * t)
    });
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let corner =
        |x: i32, y: i32, z: i32| at(seed, [cell[0].wrapping_add(x), cell[1].wrapping_add(y), cell[2].wrapping_add(z)]);
    let edge = |y: i32, z: i32| mix(corner(0, y, z), corner(1, y, z), blend[0]);
    let face = |z: i32| mix(edge(0, z), edge(1, z), blend[1]);
    mix(face(0), face(1), blend[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_even_and_the_noise_is_smooth() {
        let mut tenths = [0u32; 10];
        for i in 0..20_000 {
            tenths[(at(7, [i % 50 - 25, i / 50 % 20, i / 1000]) * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (1800..2200).contains(n)), "{tenths:?}");
        let line = |i: i32| smooth(3, [i as f32 * 0.01 - 5.0, 0.3, -0.7]);
        let steps = (0..1000).map(|i| (line(i + 1) - line(i)).abs()).fold(0.0, f32::max);
        // smoothstep is 1.5 steep at most
        assert!(steps < 0.0151, "{steps}");
        assert!((smooth(3, [4.0, -2.0, 9.0]) - at(3, [4, -2, 9])).abs() < 1e-6);
        assert_ne!(smooth(3, [0.5; 3]), smooth(4, [0.5; 3]));
    }
}
