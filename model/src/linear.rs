//! `[..., inputs]` in, `[..., outputs]` out: the linear map and the embedding table of every part, with weights as Burn tensors
//! (training, GPU) or packed for the processor's own kernels (inference on a CPU).

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::LinearConfig;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::packed::PackedMatrix;

/// `x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`; none where the matrix is packed.
    weight: Option<Param<Tensor<2>>>,
    /// `[outputs]`.
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    packed: Option<Arc<PackedMatrix>>,
}

impl Linear {
    /// Random initial weights on `device`.
    pub fn new(inputs: usize, outputs: usize, bias: bool, device: &Device) -> Self {
        let linear = LinearConfig::new(inputs, outputs).with_bias(bias).init(device);
        Self { weight: Some(linear.weight), bias: linear.bias, packed: None }
    }

    /// Of a Burn tensor `[inputs, outputs]`.
    pub fn of_param(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>) -> Self {
        Self { weight: Some(weight), bias, packed: None }
    }

    /// Of a packed matrix `[outputs, inputs]`; works on the CPU.
    pub fn packed(matrix: Arc<PackedMatrix>, bias: Option<Param<Tensor<1>>>) -> Self {
        Self { weight: None, bias, packed: Some(matrix) }
    }

    /// `x`: `[..., inputs]`. Returns `[..., outputs]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(matrix) = &self.packed {
            let y = multiply(matrix, x);
            return match &self.bias {
                Some(bias) => y + bias.val().unsqueeze(),
                None => y,
            };
        }
        match &self.weight {
            Some(weight) => burn::tensor::module::linear(x, weight.val(), self.bias.as_ref().map(Param::val)),
            None => x,
        }
    }
}

/// `x W^T` of a packed `W`.
fn multiply<const D: usize>(matrix: &PackedMatrix, x: Tensor<D>) -> Tensor<D> {
    let mut shape = x.dims();
    let device = x.device();
    let values = floats_of(x);
    let rows = values.len() / matrix.columns().max(1);
    let y = matrix.multiply(&values, rows);
    if let Some(last) = shape.last_mut() {
        *last = matrix.rows();
    }
    Tensor::from_data(TensorData::new(y, shape), &device)
}

/// The values of a 32-bit tensor, without a copy where no one else holds it.
fn floats_of<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    let data = x.into_data();
    if data.dtype() == DType::F32 { data.try_into_vec().unwrap_or_default() } else { data.iter::<f32>().collect() }
}

/// A table of rows.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`; none where the table is packed.
    weight: Option<Param<Tensor<2>>>,
    #[module(skip)]
    packed: Option<(Arc<PackedMatrix>, Device)>,
}

impl Embedding {
    /// Of a Burn tensor `[rows, width]`.
    pub fn of_param(weight: Param<Tensor<2>>) -> Self {
        Self { weight: Some(weight), packed: None }
    }

    /// Of a packed table; works on the CPU, whose Burn device is `device`.
    pub fn packed(table: Arc<PackedMatrix>, device: Device) -> Self {
        Self { weight: None, packed: Some((table, device)) }
    }

    /// Whether the table, and with it the whole part, is packed for the CPU.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Rows `ids`, `[batch, tokens, width]`. An id beyond the table gives a row of zeros.
    pub fn rows(&self, ids: &[Vec<u32>], device: &Device) -> Tensor<3> {
        let (batch, tokens) = (ids.len(), ids.iter().map(Vec::len).max().unwrap_or(0));
        if let Some((table, device)) = &self.packed {
            let width = table.columns();
            let mut values = vec![0.0; batch * tokens * width];
            for (row, row_ids) in values.chunks_mut((tokens * width).max(1)).zip(ids) {
                for (out, &id) in row.chunks_mut(width).zip(row_ids) {
                    table.read_row(id as usize, out);
                }
            }
            return Tensor::from_data(TensorData::new(values, [batch, tokens, width]), device);
        }
        let padded: Vec<i32> = ids
            .iter()
            .flat_map(|row| row.iter().map(|&id| id as i32).chain(std::iter::repeat_n(0, tokens - row.len())))
            .collect();
        self.forward(Tensor::from_data(TensorData::new(padded, [batch, tokens]), device))
    }

    /// Rows of a tensor of ids, `[batch, tokens]`: `[batch, tokens, width]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        match &self.weight {
            Some(weight) => burn::tensor::module::embedding(weight.val(), ids),
            None => {
                let [_, tokens] = ids.dims();
                let device = ids.device();
                let flat: Vec<u32> = ids.into_data().iter::<u32>().collect();
                let rows: Vec<Vec<u32>> = flat.chunks(tokens.max(1)).map(<[u32]>::to_vec).collect();
                self.rows(&rows, &device)
            }
        }
    }

    /// `[rows, width]` hidden states to logits over the table's rows: a head that shares its weights with the embedding.
    pub fn scores(&self, hidden: Tensor<2>) -> Tensor<2> {
        match (&self.weight, &self.packed) {
            (_, Some((table, _))) => multiply(table, hidden),
            (Some(weight), None) => hidden.matmul(weight.val().transpose()),
            (None, None) => hidden,
        }
    }
}
