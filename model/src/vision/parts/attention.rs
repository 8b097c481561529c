//! Queries, keys and values `[batch, heads, tokens, head_width]` in, mixed values of the queries' shape out: the one
//! attention of all bidirectional towers, `softmax(q kᵀ / sqrt(head_width)) v` (arXiv 1706.03762).

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor};

use super::segments::Segments;

/// Which keys a query reads.
#[derive(Debug, Clone, Copy, Default)]
pub enum Keys<'a> {
    /// Every key of its batch element.
    #[default]
    All,
    /// All but those that are true in this `[batch, keys]`: padding. A batch element without any visible key gives 0.
    Visible(&'a Tensor<2, Bool>),
    /// Those of its own segment; the cost is linear in the number of segments. They must cover all tokens.
    Segments(&'a Segments),
}

/// Elements of a mask beyond which batch elements are computed one after another: 64 MiB on the CPU backend, which
/// writes a byte for each.
const MASK_BUDGET: usize = 64 << 20;

/// Attention of `q` `[batch, heads, queries, head_width]` to `k` and `v` `[batch, heads, keys, head_width]`. Scores and
/// softmax are computed in 32 bits on the CPU; long sequences are computed in tiles and never hold all scores.
pub fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, keys: Keys<'_>) -> Tensor<4> {
    let plain = |q, k, v, mask| attention(q, k, v, mask, None, AttentionModuleOptions::default());
    match keys {
        Keys::All => plain(q, k, v, None),
        Keys::Visible(hidden) => {
            let [batch, heads, queries, _] = q.dims();
            let count = k.dims()[2];
            let mask = |hidden: Tensor<2, Bool>| {
                let batch = hidden.dims()[0];
                hidden.reshape([batch, 1, 1, count]).expand([batch, heads, queries, count])
            };
            if batch * heads * queries * count <= MASK_BUDGET {
                return plain(q, k, v, Some(mask(hidden.clone())));
            }
            let rows = (0..batch).map(|i| {
                let row = |t: &Tensor<4>| t.clone().narrow(0, i, 1);
                plain(row(&q), row(&k), row(&v), Some(mask(hidden.clone().narrow(0, i, 1))))
            });
            Tensor::cat(rows.collect(), 0)
        }
        Keys::Segments(segments) => {
            let [batch, heads, tokens, width] = q.dims();
            assert_eq!(segments.tokens(), tokens, "segments must cover the sequence");
            let runs = segments.runs().iter().map(|run| {
                // the segments of a run stand beside the heads: what is batched is heads * count
                let fold = |t: &Tensor<4>| {
                    t.clone().slice_dim(2, run.tokens()).reshape([batch, heads * run.count, run.length, width])
                };
                plain(fold(&q), fold(&k), fold(&v), None).reshape([batch, heads, run.count * run.length, width])
            });
            let mut runs: Vec<Tensor<4>> = runs.collect();
            match runs.len() {
                0 => v,
                1 => runs.swap_remove(0),
                _ => Tensor::cat(runs, 2),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::softmax;
    use burn::tensor::{Device, Distribution, TensorData};

    const SHAPE: [usize; 4] = [2, 3, 11, 4];

    fn random(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    /// Everything in one matrix, `hidden` true where a query may not read a key.
    fn reference(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, hidden: Option<Tensor<4, Bool>>) -> Tensor<4> {
        let width = q.dims()[3] as f32;
        let scores = q.clone().matmul(k.clone().transpose()).div_scalar(width.sqrt());
        let scores = match hidden {
            Some(hidden) => scores.mask_fill(hidden, -1e9),
            None => scores,
        };
        softmax(scores, 3).matmul(v.clone())
    }

    fn assert_close(given: Tensor<4>, expected: Tensor<4>) {
        let error = (given - expected).abs().max().into_scalar::<f32>();
        assert!(error < 1e-5, "differs by {error}");
    }

    #[test]
    fn all_keys_equal_the_formula_for_few_and_many_tokens() {
        for tokens in [1, 11, 600] {
            let (q, k, v) = (random([1, 2, tokens, 8]), random([1, 2, tokens, 8]), random([1, 2, tokens, 8]));
            assert_close(attend(q.clone(), k.clone(), v.clone(), Keys::All), reference(&q, &k, &v, None));
        }
    }

    #[test]
    fn hidden_keys_have_no_effect() {
        let (q, k, v) = (random(SHAPE), random(SHAPE), random(SHAPE));
        let hidden: Vec<bool> = (0..2 * 11).map(|i| if i < 11 { i >= 7 } else { i % 4 == 1 }).collect();
        let hidden = Tensor::<2, Bool>::from_data(TensorData::new(hidden, [2, 11]), &Device::flex());
        let mask = hidden.clone().reshape([2, 1, 1, 11]).expand([2, 3, 11, 11]);
        let given = attend(q.clone(), k.clone(), v.clone(), Keys::Visible(&hidden));
        assert_close(given, reference(&q, &k, &v, Some(mask)));
    }

    #[test]
    fn segments_equal_a_block_diagonal_mask() {
        let (q, k, v) = (random(SHAPE), random(SHAPE), random(SHAPE));
        let cumulative = [0, 3, 6, 6, 10, 11];
        let segment = |i: usize| cumulative.iter().filter(|&&end| end <= i).count();
        let hidden: Vec<bool> = (0..11 * 11).map(|i| segment(i / 11) != segment(i % 11)).collect();
        let hidden = Tensor::<2, Bool>::from_data(TensorData::new(hidden, [11, 11]), &Device::flex());
        let mask = hidden.reshape([1, 1, 11, 11]).expand([2, 3, 11, 11]);
        let segments = Segments::new(&cumulative).unwrap();
        let given = attend(q.clone(), k.clone(), v.clone(), Keys::Segments(&segments));
        assert_close(given, reference(&q, &k, &v, Some(mask)));
    }
}
