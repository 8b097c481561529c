//! Occupied voxels and their features in, a submanifold convolution of the features out.
//!
//! On surfaces a voxel has about 8 of 26 neighbours, so gathering all 27 rows of every point mostly moves zeros. Instead the
//! existing pairs are sorted by their offset and cut into blocks of one offset each: every block is one small matrix product.

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

/// Voxels of a 3x3x3 neighbourhood, the middle included.
pub(crate) const NEIGHBOURS: usize = 27;
/// Pairs of a block: large enough that a product of `[96, channels]` outweighs fetching its weights.
const BLOCK: usize = 96;

/// Pairs of neighbouring rows by offset. In a neighbourhood of side `n = 2 h + 1` offset `(dx, dy, dz)` has number
/// `n^2 (dx + h) + n (dy + h) + dz + h`.
#[derive(Debug, Clone)]
pub(crate) struct ConvPairs {
    /// For each offset, (row that reads, row that is read); none for the middle, which every row reads of itself.
    pairs: Vec<Vec<(i32, i32)>>,
}

/// All pairs of a batch in blocks of one offset each.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConvPlan {
    /// `[blocks]`: each block's offset.
    offsets: Vec<i32>,
    /// `[blocks, BLOCK]`: rows that are read; the number of points stands for none.
    sources: Vec<i32>,
    /// `[blocks, BLOCK]`: rows that read; the number of points stands for none.
    targets: Vec<i32>,
}

/// [`ConvPlan`] on a device.
pub(crate) struct ConvIndex {
    offsets: Tensor<1, Int>,
    sources: Tensor<1, Int>,
    targets: Tensor<1, Int>,
}

fn key([x, y, z]: [u32; 3]) -> i64 {
    (i64::from(x) << 40) | (i64::from(y) << 20) | i64::from(z)
}

impl ConvPairs {
    /// No pairs, of neighbourhoods of `side` voxels, an odd number below 8.
    pub(crate) fn empty(side: usize) -> Self {
        Self { pairs: vec![Vec::new(); side.pow(3)] }
    }

    /// Pairs of one scene. `sorted`: all rows by voxel; `first`: the first row of each occupied voxel, by voxel, which
    /// stands for the voxel where several points share it. Coordinates are below 2^16.
    pub(crate) fn new(voxels: &[[u32; 3]], sorted: &[u32], first: &[u32], side: usize) -> Self {
        let half = side / 2;
        // further up, so that a step down from 0 stays a key that no voxel has
        let keyed = |&row: &u32| (key(voxels[row as usize].map(|c| c + half as u32)), row as i32);
        let readers: Vec<(i64, i32)> = sorted.iter().map(keyed).collect();
        let read: Vec<(i64, i32)> = first.iter().map(keyed).collect();
        let mut out = Self::empty(side);
        let middle = out.pairs.len() / 2;
        for (n, pairs) in out.pairs.iter_mut().enumerate().filter(|&(n, _)| n != middle) {
            let step = |unit: usize| (n / unit % side) as i64 - half as i64;
            let shift = (step(side * side) << 40) + (step(side) << 20) + step(1);
            // both lists ascend, so one walk finds every pair of this offset
            let mut at = 0;
            for &(own, reader) in &readers {
                while at < read.len() && read[at].0 < own + shift {
                    at += 1;
                }
                if at < read.len() && read[at].0 == own + shift {
                    pairs.push((reader, read[at].1));
                }
            }
        }
        out
    }

    /// Adds the pairs of another scene, whose rows begin at `start`.
    pub(crate) fn append(&mut self, other: Self, start: usize) {
        let start = start as i32;
        for (to, own) in self.pairs.iter_mut().zip(other.pairs) {
            to.extend(own.into_iter().map(|(reader, read)| (reader + start, read + start)));
        }
    }
}

impl ConvPlan {
    /// Blocks of the pairs among `points` rows.
    pub(crate) fn new(pairs: &ConvPairs, points: usize) -> Self {
        let mut out = Self::default();
        for (n, pairs) in pairs.pairs.iter().enumerate() {
            for block in pairs.chunks(BLOCK) {
                out.offsets.push(n as i32);
                out.targets.extend(block.iter().map(|p| p.0));
                out.sources.extend(block.iter().map(|p| p.1));
                out.targets.resize(out.offsets.len() * BLOCK, points as i32);
                out.sources.resize(out.offsets.len() * BLOCK, points as i32);
            }
        }
        out
    }

    /// Pairs in it, of `points` rows.
    pub(crate) fn pairs(&self, points: usize) -> usize {
        self.targets.iter().filter(|row| **row < points as i32).count()
    }

    /// The plan on `device`.
    pub(crate) fn index(&self, device: &Device) -> ConvIndex {
        let tensor = |rows: &Vec<i32>| Tensor::from_data(TensorData::new(rows.clone(), [rows.len()]), device);
        ConvIndex { offsets: tensor(&self.offsets), sources: tensor(&self.sources), targets: tensor(&self.targets) }
    }
}

/// The convolution. `x`: `[points, channels]`; `weight`: `[offsets * channels, out]`, by offset; `bias`: `[out]`; gives
/// `[points, out]`.
pub(crate) fn sparse_conv(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, index: &ConvIndex) -> Tensor<2> {
    let [points, channels] = x.dims();
    let [rows, out] = weight.dims();
    let offsets = rows / channels;
    let device = x.device();
    let own = x.clone().matmul(weight.clone().narrow(0, offsets / 2 * channels, channels));
    let own = match bias {
        Some(bias) => own + bias.unsqueeze::<2>(),
        None => own,
    };
    let [blocks] = index.offsets.dims();
    if blocks == 0 {
        return own;
    }
    let with_none = Tensor::cat(vec![x, Tensor::zeros([1, channels], &device)], 0);
    let read = with_none.select(0, index.sources.clone()).reshape([blocks, BLOCK, channels]);
    let weights =
        weight.reshape([offsets, channels * out]).select(0, index.offsets.clone()).reshape([blocks, channels, out]);
    let products = read.matmul(weights).reshape([blocks * BLOCK, out]);
    let sums = Tensor::<2>::zeros([points + 1, out], &device).select_assign(
        0,
        index.targets.clone(),
        products,
        IndexingUpdateOp::Add,
    );
    own + sums.narrow(0, 0, points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use std::collections::BTreeMap;

    /// Voxels of a hollow box, in no particular order.
    fn shell() -> Vec<[u32; 3]> {
        let mut voxels = Vec::new();
        for i in 0..7 * 5 * 6u32 {
            let j = i * 37 % 210;
            let v = [j % 7, j / 7 % 5, j / 35];
            if v[0] == 0 || v[1] == 4 || v[2] == 5 || v == [3, 2, 2] {
                voxels.push(v);
            }
        }
        voxels
    }

    fn pairs(voxels: &[[u32; 3]], side: usize) -> ConvPairs {
        let mut sorted: Vec<u32> = (0..voxels.len() as u32).collect();
        sorted.sort_by_key(|&i| voxels[i as usize]);
        let mut first = sorted.clone();
        first.dedup_by_key(|&mut i| voxels[i as usize]);
        ConvPairs::new(voxels, &sorted, &first, side)
    }

    #[test]
    fn it_is_the_dense_convolution_where_there_are_voxels() {
        dense(3);
        dense(5);
    }

    fn dense(side: usize) {
        let device = Device::flex();
        let (neighbours, half) = (side.pow(3), side as u32 / 2);
        let (channels, out) = (5, 3);
        let voxels = shell();
        let n = voxels.len();
        let mut both = pairs(&voxels, side);
        both.append(pairs(&voxels[..9], side), n);
        let rows = n + 9;
        let values: Vec<f32> = (0..rows * channels).map(|i| ((i * 29 % 101) as f32 - 50.0) / 50.0).collect();
        let linear = LinearConfig::new(neighbours * channels, out).init(&device);
        let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [rows, channels]), &device);
        let index = ConvPlan::new(&both, rows).index(&device);
        let convolved = sparse_conv(x, linear.weight.val(), linear.bias.as_ref().map(|bias| bias.val()), &index);
        let got: Vec<f32> = convolved.into_data().iter::<f32>().collect();
        let weight: Vec<f32> = linear.weight.val().into_data().iter::<f32>().collect();
        let bias: Vec<f32> = linear.bias.as_ref().unwrap().val().into_data().iter::<f32>().collect();
        for (scene, own) in [(0, &voxels[..]), (n, &voxels[..9])] {
            let row_of: BTreeMap<[u32; 3], usize> = own.iter().enumerate().map(|(i, &v)| (v, scene + i)).collect();
            for (i, v) in own.iter().enumerate() {
                for o in 0..out {
                    let mut expected = bias[o];
                    for offset in 0..neighbours {
                        let step = [offset / side / side, offset / side % side, offset % side];
                        let at: [u32; 3] = std::array::from_fn(|k| (v[k] + step[k] as u32).wrapping_sub(half));
                        if let Some(&j) = row_of.get(&at) {
                            for c in 0..channels {
                                expected += values[j * channels + c] * weight[(offset * channels + c) * out + o];
                            }
                        }
                    }
                    assert!((got[(scene + i) * out + o] - expected).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn a_lonely_voxel_and_a_crowded_one_are_no_harm() {
        let middle = NEIGHBOURS / 2;
        assert!(pairs(&[[0, 0, 0]], 3).pairs.iter().all(Vec::is_empty));
        assert!(pairs(&[[65_535; 3], [0; 3], [65_535, 65_535, 0]], 3).pairs.iter().all(Vec::is_empty));
        // both points of the first voxel read the second, which reads only the first of them
        let crowded = pairs(&[[4, 4, 4], [4, 4, 4], [4, 4, 5]], 3);
        assert_eq!(crowded.pairs[middle + 1], [(0, 2), (1, 2)]);
        assert_eq!(crowded.pairs[middle - 1], [(2, 0)]);
    }
}
