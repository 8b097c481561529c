//! One scene that was read and the lengths of some prompts in, texts that grow side by side behind it out: every text reads the
//! scene's keys and values where they are, and keeps only its own.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::attention::Visible;
use super::cache::{KvCache, LayerCache};

/// Texts that follow one scene.
#[derive(Debug, Clone)]
pub struct Branches {
    /// The scene's keys and values, one row.
    pub(super) scene: Vec<LayerCache>,
    /// Those of the texts, one row a text.
    pub(super) text: Vec<LayerCache>,
    /// Padding at the start of each text: shorter prompts end where the longest ends.
    pads: Vec<usize>,
}

impl Branches {
    /// One text for each of `pads`, the number of padding tokens at its start. `scene` holds one scene without padding, and no
    /// text. `capacity`: tokens to set room aside for in each text; 0 where gradients flow.
    pub fn new(scene: &KvCache, pads: Vec<usize>, capacity: usize) -> Self {
        let text = vec![LayerCache::with_capacity(capacity); scene.layers.len()];
        Self { scene: scene.layers.clone(), text, pads }
    }

    /// Texts.
    pub fn rows(&self) -> usize {
        self.pads.len()
    }

    /// Tokens read a text, padding included.
    pub fn tokens(&self) -> usize {
        self.text.first().map_or(0, LayerCache::tokens)
    }

    /// Goes on with these texts alone, in this order.
    pub fn select(&mut self, rows: &[usize], device: &Device) {
        let index: Vec<i32> = rows.iter().map(|&r| r as i32).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows.len()]), device);
        for layer in &mut self.text {
            layer.select(&index);
        }
        self.pads = rows.iter().filter_map(|&r| self.pads.get(r).copied()).collect();
    }

    /// Rotary positions of the next `tokens` of each text, text by text: the first real token stands at 1.
    pub(super) fn positions(&self, tokens: usize) -> Vec<usize> {
        let read = self.tokens();
        self.pads.iter().flat_map(|&pad| (1..=tokens).map(move |i| (read + i).saturating_sub(pad))).collect()
    }

    /// What the next `tokens` of each text may read of it: no padding, and nothing that follows.
    pub(super) fn visible(&self, tokens: usize, group: usize, device: &Device) -> Visible {
        let read = self.tokens();
        if tokens == 1 && self.pads.iter().all(|&pad| pad == 0) {
            return Visible::All;
        }
        let keys = read + tokens;
        let mut rows = Vec::with_capacity(self.pads.len() * tokens * keys);
        for &pad in &self.pads {
            for t in 0..tokens {
                rows.extend((0..keys).map(|k| k < pad || k > read + t));
            }
        }
        Visible::masked(rows, [self.pads.len(), tokens, keys], group, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DecoderConfig;
    use crate::decoder::Decoder;

    fn ids(rows: &[&[i32]], device: &Device) -> Tensor<2, Int> {
        let flat: Vec<i32> = rows.concat();
        Tensor::from_data(TensorData::new(flat, [rows.len(), rows[0].len()]), device)
    }

    fn last(hidden: Tensor<3>, row: usize) -> Vec<f32> {
        let [_, tokens, _] = hidden.dims();
        hidden.narrow(0, row, 1).narrow(1, tokens - 1, 1).into_data().iter::<f32>().collect()
    }

    fn assert_near(a: &[f32], b: &[f32]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    }

    #[test]
    fn branches_read_what_texts_alone_read() {
        let device = Device::flex();
        device.seed(3);
        let decoder = Decoder::new(&DecoderConfig::tiny(50), &device);
        let scene = Tensor::<3>::random([1, 7, 32], burn::tensor::Distribution::Default, &device);
        let texts: [&[i32]; 3] = [&[5, 6, 7, 8, 9], &[9, 3], &[4, 4, 1, 2]];
        let alone: Vec<Vec<f32>> = texts
            .iter()
            .map(|text| {
                let mut cache = decoder.read_scenes(scene.clone(), &[7], 0);
                last(decoder.read_text(ids(&[text], &device), None, &mut cache), 0)
            })
            .collect();
        for capacity in [0, 16] {
            let cache = decoder.read_scenes(scene.clone(), &[7], 0);
            // all but the last token of each, padded to the longest, then the last ones
            let mut branches = Branches::new(&cache, vec![0, 3, 1], capacity);
            decoder.read_branches(ids(&[&[5, 6, 7, 8], &[0, 0, 0, 9], &[0, 4, 4, 1]], &device), None, &mut branches);
            let mut fewer = branches.clone();
            let hidden = decoder.read_branches(ids(&[&[9], &[3], &[2]], &device), None, &mut branches);
            for (row, expected) in alone.iter().enumerate() {
                assert_near(&last(hidden.clone(), row), expected);
            }
            fewer.select(&[2, 0], &device);
            let hidden = decoder.read_branches(ids(&[&[2], &[9]], &device), None, &mut fewer);
            assert_near(&last(hidden.clone(), 0), &alone[2]);
            assert_near(&last(hidden, 1), &alone[0]);
            assert_eq!((fewer.rows(), fewer.tokens()), (2, 5));
        }
    }
}
