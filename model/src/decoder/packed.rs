//! Rows of several texts in, the positions of their tokens and what each may look at out: packing, so that texts of different
//! lengths are read with little padding.

use burn::tensor::Device;

use super::attention::Visible;
use super::cache::KvCache;

/// Lengths of the texts of one row, in order.
pub type PackedRow = Vec<usize>;

/// Rotary positions of all rows' tokens: each text from 1; padding has 1.
pub(super) fn positions(rows: &[PackedRow], tokens: usize) -> Vec<usize> {
    let mut out = Vec::with_capacity(rows.len() * tokens);
    for (r, row) in rows.iter().enumerate() {
        out.extend(row.iter().flat_map(|&length| 1..=length));
        out.resize((r + 1) * tokens, 1);
    }
    out
}

/// Each token sees what is cached of its row, and of its text itself and what is before it; padding sees the cached alone.
pub(super) fn visible(rows: &[PackedRow], tokens: usize, cache: &KvCache, group: usize, device: &Device) -> Visible {
    let cached = cache.tokens();
    let mut hidden = Vec::with_capacity(rows.len() * tokens * (cached + tokens));
    for (row, of_scene) in rows.iter().zip(&cache.hidden) {
        let mut first = 0;
        for &length in row {
            for t in first..first + length {
                hidden.extend_from_slice(of_scene);
                hidden.extend((0..tokens).map(|k| k < first || k > t));
            }
            first += length;
        }
        for _ in first..tokens {
            hidden.extend_from_slice(of_scene);
            hidden.extend(std::iter::repeat_n(true, tokens));
        }
    }
    Visible::masked(hidden, [rows.len(), tokens, cached + tokens], group, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DecoderConfig;
    use crate::decoder::Decoder;
    use burn::tensor::{Int, Tensor, TensorData};

    #[test]
    fn packed_texts_read_what_they_read_alone() {
        let device = Device::flex();
        device.seed(5);
        let decoder = Decoder::new(&DecoderConfig::tiny(40), &device);
        // two scenes, the second shorter
        let scenes = Tensor::<3>::random([2, 6, 32], burn::tensor::Distribution::Default, &device);
        let lengths = [6, 4];
        let texts: [(usize, Vec<i32>); 4] =
            [(0, vec![1, 2, 3, 4]), (0, vec![9, 8]), (0, vec![7, 7, 7]), (1, vec![5, 6, 4, 3, 2])];
        let rows = [vec![4, 2], vec![3], vec![5], vec![]];
        let tokens = 6;
        let mut ids = vec![0i32; rows.len() * tokens];
        for (start, text) in [0, 4, 6, 12].into_iter().zip(&texts) {
            ids[start..start + text.1.len()].copy_from_slice(&text.1);
        }
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows.len(), tokens]), &device);
        let mut cache = decoder.read_scenes(scenes.clone(), &lengths, 0).repeat_each(2);
        let packed = decoder.read_packed(ids, None, &rows, &mut cache);
        let flat: Vec<f32> = packed.into_data().iter::<f32>().collect();
        for (start, (scene, text)) in [0, 4, 6, 12].into_iter().zip(&texts) {
            let own = scenes.clone().narrow(0, *scene, 1).narrow(1, 0, lengths[*scene]);
            let mut cache = decoder.read_scenes(own, &lengths[*scene..=*scene], 0);
            let ids = Tensor::<2, Int>::from_data(TensorData::new(text.clone(), [1, text.len()]), &device);
            let alone: Vec<f32> = decoder.read_text(ids, None, &mut cache).into_data().iter::<f32>().collect();
            for (i, x) in alone.iter().enumerate() {
                assert!((x - flat[start * 32 + i]).abs() < 1e-4, "text {text:?}: {x} {}", flat[start * 32 + i]);
            }
        }
    }
}
