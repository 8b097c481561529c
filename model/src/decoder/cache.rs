//! Keys and values of the tokens read so far, kept so that a token is read once: growing where gradients flow, in place
//! within room set aside where they do not.

use burn::tensor::{Int, Tensor};

/// Keys and values of one layer: `[batch, kv_heads, tokens, head_width]` each.
#[derive(Debug, Clone, Default)]
pub struct LayerCache {
    kv: Option<(Tensor<4>, Tensor<4>)>,
    /// Tokens that are valid; what lies behind them is room.
    tokens: usize,
    /// Tokens to set room aside for; 0 grows by joining.
    capacity: usize,
}

impl LayerCache {
    /// An empty cache with room for `capacity` tokens, set aside when the first come. More are taken too, at the cost of a copy.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Tokens held.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Forgets all but the first `tokens`.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
        if self.capacity == 0
            && let Some((k, v)) = self.kv.take()
            && tokens > 0
        {
            self.kv = Some((k.narrow(2, 0, self.tokens), v.narrow(2, 0, self.tokens)));
        }
    }

    /// The cache of every scene repeated for each of its `questions`: `[scenes * questions, ...]`, a scene's copies adjacent.
    pub fn repeat_each(&self, questions: usize) -> Self {
        let repeat = |t: &Tensor<4>| {
            let [b, h, _, d] = t.dims();
            let n = self.tokens;
            let valid = t.clone().narrow(2, 0, n);
            valid.reshape([b, 1, h, n, d]).expand([b, questions, h, n, d]).reshape([b * questions, h, n, d])
        };
        let kv = self.kv.as_ref().filter(|_| self.tokens > 0).map(|(k, v)| (repeat(k), repeat(v)));
        Self { kv, tokens: self.tokens, capacity: 0 }
    }

    /// The keys and values held; `None` when empty.
    pub(super) fn held(&self) -> Option<(Tensor<4>, Tensor<4>)> {
        let valid = |t: &Tensor<4>| {
            if t.dims()[2] == self.tokens { t.clone() } else { t.clone().narrow(2, 0, self.tokens) }
        };
        self.kv.as_ref().filter(|_| self.tokens > 0).map(|(k, v)| (valid(k), valid(v)))
    }

    /// Keeps only these batch rows, in this order.
    pub(super) fn select(&mut self, rows: &Tensor<1, Int>) {
        self.kv = self.kv.take().map(|(k, v)| (k.select(0, rows.clone()), v.select(0, rows.clone())));
    }

    /// Appends and returns all valid keys and values, the old ones first.
    pub(super) fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, added, width] = k.dims();
        let (start, end) = (self.tokens, self.tokens + added);
        self.tokens = end;
        let old = self.kv.take();
        if self.capacity == 0 {
            let all = match old {
                Some((old_k, old_v)) if start > 0 => (Tensor::cat(vec![old_k, k], 2), Tensor::cat(vec![old_v, v], 2)),
                _ => (k, v),
            };
            self.kv = Some(all.clone());
            return all;
        }
        let room = |old: Option<Tensor<4>>, like: &Tensor<4>, capacity: usize| {
            let zeros = |n| Tensor::<4>::zeros([batch, heads, n, width], (&like.device(), like.dtype()));
            match old {
                None => zeros(capacity),
                Some(old) if old.dims()[2] >= end => old,
                Some(old) => Tensor::cat(vec![old.narrow(2, 0, start), zeros(capacity - start)], 2),
            }
        };
        if end > self.capacity {
            self.capacity = end.max(2 * self.capacity);
        }
        let (old_k, old_v) = old.unzip();
        let place =
            |buffer: Tensor<4>, new: Tensor<4>| buffer.slice_assign([0..batch, 0..heads, start..end, 0..width], new);
        // both are owned by nobody else here, so that they are written in place
        let k_all = place(room(old_k, &k, self.capacity), k);
        let v_all = place(room(old_v, &v, self.capacity), v);
        let valid = (k_all.clone().narrow(2, 0, end), v_all.clone().narrow(2, 0, end));
        self.kv = Some((k_all, v_all));
        valid
    }
}

/// Keys and values of all layers, and which of the cached tokens are padding.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(super) layers: Vec<LayerCache>,
    /// For each batch row, true where a cached token may not be read.
    pub(super) hidden: Vec<Vec<bool>>,
    /// Text tokens read so far (all rows alike); the next one stands at this rotary position + 1.
    pub(super) text_tokens: usize,
}

impl KvCache {
    /// An empty cache of `layers` layers for one row, with room for `capacity` tokens.
    pub fn new(layers: usize, capacity: usize) -> Self {
        Self {
            layers: vec![LayerCache::with_capacity(capacity); layers],
            hidden: vec![Vec::with_capacity(capacity)],
            text_tokens: 0,
        }
    }

    /// Tokens cached a row, padding included.
    pub fn tokens(&self) -> usize {
        self.layers.first().map_or(0, LayerCache::tokens)
    }

    /// Forgets all but the first `tokens` of each row, so that what comes next follows them. The text position is left to
    /// the caller of [`super::Decoder::forward`]; after [`super::Decoder::read_scenes`] it starts anew.
    pub fn truncate(&mut self, tokens: usize) {
        let dropped = self.tokens().saturating_sub(tokens);
        for layer in &mut self.layers {
            layer.truncate(tokens);
        }
        for row in &mut self.hidden {
            row.truncate(tokens);
        }
        self.text_tokens = self.text_tokens.saturating_sub(dropped);
    }

    /// Each row repeated for `questions` questions on the same scene, the copies adjacent.
    pub fn repeat_each(&self, questions: usize) -> Self {
        Self {
            layers: self.layers.iter().map(|l| l.repeat_each(questions)).collect(),
            hidden: self.hidden.iter().flat_map(|row| std::iter::repeat_n(row.clone(), questions)).collect(),
            text_tokens: self.text_tokens,
        }
    }
}
