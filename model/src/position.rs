//! World positions in, position features out: what tells a token where in the scene it stands.

use vantage_scene::Aabb;

/// Octaves of sines and cosines a coordinate is turned into (Fourier features, arXiv 2006.10739).
const OCTAVES: usize = 6;
/// Metres that become 1 in the metric part of the features.
const METRES_PER_UNIT: f64 = 4.0;
/// Numbers that [`place_features`] gives for one position: normalised, Fourier, metric, and the scene's size.
pub const PLACE_WIDTH: usize = 3 + 3 * 2 * OCTAVES + 3 + 3;

/// The scene's centre in the world, metres; what "relative to the scene's centre" means throughout the model.
pub fn scene_center(bounds: &Aabb) -> [f64; 3] {
    std::array::from_fn(|i| 0.5 * (bounds.min[i] + bounds.max[i]))
}

/// Appends [`PLACE_WIDTH`] numbers that describe `position` (world, metres) within `bounds` to `out`.
pub fn place_features(position: [f32; 3], bounds: &Aabb, out: &mut Vec<f32>) {
    let center = scene_center(bounds);
    let length: [f64; 3] = std::array::from_fn(|i| (bounds.max[i] - bounds.min[i]).max(1e-6));
    let normal: [f64; 3] =
        std::array::from_fn(|i| ((f64::from(position[i]) - bounds.min[i]) / length[i]).clamp(-0.5, 1.5));
    out.extend(normal.iter().map(|&x| x as f32));
    for x in normal {
        for octave in 0..OCTAVES {
            let angle = x * std::f64::consts::PI * f64::from(1u32 << octave);
            out.push(angle.sin() as f32);
            out.push(angle.cos() as f32);
        }
    }
    out.extend((0..3).map(|i| ((f64::from(position[i]) - center[i]) / METRES_PER_UNIT) as f32));
    out.extend(length.iter().map(|&l| (l / METRES_PER_UNIT) as f32));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_is_as_declared_and_values_are_bounded() {
        let bounds = Aabb { min: [-1.0, 0.0, 0.0], max: [4.0, 3.0, 2.5] };
        let mut out = Vec::new();
        place_features([1.0, 2.0, 0.5], &bounds, &mut out);
        assert_eq!(out.len(), PLACE_WIDTH);
        assert!(out.iter().all(|x| x.abs() <= 2.0));
    }
}
