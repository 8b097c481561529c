//! Queries, keys and values in, mixed values out: attention in which several query heads share a key head (GQA, arXiv
//! 2305.13245).

use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

use crate::transformer::HIDDEN_SCORE;

/// What the tokens being read may look at among `keys` cached and new tokens.
#[derive(Debug, Clone)]
pub(super) enum Visible {
    /// Everything.
    All,
    /// Everything cached, and of the new tokens those up to itself.
    Causal,
    /// Not where it is true: `[batch, 1, group * tokens, keys]`.
    Masked(Box<Tensor<4, Bool>>),
}

impl Visible {
    /// A mask of `[batch, tokens, keys]` rows, for `group` query heads a key head.
    pub(super) fn masked(rows: Vec<bool>, [batch, tokens, keys]: [usize; 3], group: usize, device: &Device) -> Self {
        let mask = Tensor::<3, Bool>::from_data(TensorData::new(rows, [batch, tokens, keys]), device);
        let mask = mask.reshape([batch, 1, tokens, keys]).expand([batch, group, tokens, keys]);
        Self::Masked(Box::new(mask.reshape([batch, 1, group * tokens, keys])))
    }

    /// `Causal` in the form that the device computes best.
    pub(super) fn causal(tokens: usize, cached: usize, group: usize, device: &Device) -> Self {
        if tokens == 1 {
            return Self::All;
        }
        if *device == Device::flex() {
            return Self::Causal;
        }
        let keys = cached + tokens;
        let rows = (0..tokens).flat_map(|t| (0..keys).map(move |k| k > cached + t)).collect();
        Self::masked(rows, [1, tokens, keys], group, device)
    }
}

/// `q`: `[batch, heads, tokens, head_width]`; `k` and `v`: `[batch, kv_heads, keys, head_width]`. Returns `[batch, tokens, heads * head_width]`.
pub(super) fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, visible: &Visible) -> Tensor<3> {
    let [batch, heads, tokens, head_width] = q.dims();
    let mixed = if matches!(visible, Visible::Causal) {
        // the backend's own kernel never holds all scores at once
        attention(q, k, v, None, None, AttentionModuleOptions { is_causal: true, ..Default::default() })
    } else {
        grouped(q, k, v, visible).reshape([batch, heads, tokens, head_width])
    };
    mixed.swap_dims(1, 2).reshape([batch, tokens, heads * head_width])
}

/// As [`attend`], for rows that branch from one scene: its keys and values, `[1, kv_heads, scene_tokens, head_width]` each, are read
/// by all rows in one product and never copied for each. `k` and `v` are those of each row's own text, of which `visible` tells.
pub(super) fn attend_branches(
    q: Tensor<4>,
    scene: (&Tensor<4>, &Tensor<4>),
    (k, v): (Tensor<4>, Tensor<4>),
    visible: &Visible,
) -> Tensor<3> {
    let [batch, heads, tokens, head_width] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    let scene_keys = scene.0.dims()[2];
    let rows = heads / kv_heads * tokens;
    let q = q.reshape([batch, kv_heads, rows, head_width]).mul_scalar((head_width as f32).powf(-0.5));
    // all rows' queries of a key head as the rows of one product, and back
    let together = |t: Tensor<4>, width: usize| t.swap_dims(0, 1).reshape([1, kv_heads, batch * rows, width]);
    let apart = |t: Tensor<4>, width: usize| t.reshape([kv_heads, batch, rows, width]).swap_dims(0, 1);
    let of_scene = apart(together(q.clone(), head_width).matmul(scene.0.clone().transpose()), scene_keys);
    let mut of_text = q.matmul(k.transpose());
    if let Visible::Masked(mask) = visible {
        of_text = of_text.mask_fill(Tensor::clone(mask).expand([batch, kv_heads, rows, keys]), HIDDEN_SCORE);
    }
    let scores = Tensor::cat(vec![of_scene, of_text], 3);
    let dtype = scores.dtype();
    let share = softmax(scores.cast(DType::F32), 3).cast(dtype);
    let from_scene = together(share.clone().narrow(3, 0, scene_keys), scene_keys).matmul(scene.1.clone());
    let mixed = apart(from_scene, head_width) + share.narrow(3, scene_keys, keys).matmul(v);
    mixed.reshape([batch, heads, tokens, head_width]).swap_dims(1, 2).reshape([batch, tokens, heads * head_width])
}

/// The query heads that share a key head stand one after another, so they fold into the rows of one product.
fn grouped(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, visible: &Visible) -> Tensor<4> {
    let [batch, heads, tokens, head_width] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    let rows = heads / kv_heads * tokens;
    let q = q.reshape([batch, kv_heads, rows, head_width]).mul_scalar((head_width as f32).powf(-0.5));
    let mut scores = q.matmul(k.transpose());
    if let Visible::Masked(mask) = visible {
        let mask = Tensor::clone(mask).expand([batch, kv_heads, rows, keys]);
        scores = scores.mask_fill(mask, HIDDEN_SCORE);
    }
    // sums of many small numbers: in 32 bits
    let dtype = scores.dtype();
    softmax(scores.cast(DType::F32), 3).cast(dtype).matmul(v)
}
