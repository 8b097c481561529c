//! What is said of a part and of a whole model, and what published rates of a device make of it.

use serde::Serialize;

/// One part of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartReport {
    /// Its name.
    pub part: &'static str,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Bytes of its weights where they are.
    pub bytes: u64,
    /// Multiplications and additions, each counted.
    pub flops: u64,
    /// Milliseconds.
    pub ms: f64,
    /// Of all parts' time, 0 to 1.
    pub share: f64,
}

/// A whole model answering a question about a scene.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// Encoders, projections among them, and the decoder reading scene and question.
    pub parts: Vec<PartReport>,
    /// Tokens of the scene.
    pub scene_tokens: usize,
    /// Tokens of the question.
    pub question_tokens: usize,
    /// From the views to the first token, milliseconds: the sum of the parts.
    pub first_token_ms: f64,
    /// The same for another question on the scene as it was read, milliseconds.
    pub next_first_token_ms: f64,
    /// A generated token, milliseconds.
    pub decode_ms: f64,
    /// Generated tokens a second.
    pub tokens_per_s: f64,
    /// Bytes of weights that a generated token is multiplied with, and of the keys and values it reads.
    pub decode_bytes: u64,
    /// Multiplications and additions of a generated token.
    pub decode_flops: u64,
}

impl ModelReport {
    /// Fills in the shares and the sum of the parts' times.
    pub(super) fn summed(mut self) -> Self {
        self.first_token_ms = self.parts.iter().map(|part| part.ms).sum();
        for part in &mut self.parts {
            part.share = if self.first_token_ms > 0.0 { part.ms / self.first_token_ms } else { 0.0 };
        }
        self.tokens_per_s = if self.decode_ms > 0.0 { 1e3 / self.decode_ms } else { 0.0 };
        self
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// What a device's maker states.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DeviceRates {
    /// The device.
    pub device: &'static str,
    /// Memory, shared by processor and GPU, bytes.
    pub memory: u64,
    /// Memory bandwidth, bytes a second.
    pub bytes_per_s: f64,
    /// Multiplications and additions a second of the GPU in 16 bits, dense.
    pub flops_per_s: f64,
}

/// Jetson modules in their highest power modes, of NVIDIA's data sheets. Where a sheet gives only sparse 8-bit operations of the GPU,
/// 16-bit dense ones are a quarter of them, as the tensor cores of Ampere do: Orin Nano 67, Orin NX 60 and AGX Orin 170 TOPS (without
/// the DLAs). Thor: 1035 TFLOPS of sparse 8-bit floats.
pub const JETSONS: [DeviceRates; 4] = [
    DeviceRates { device: "Jetson Orin Nano 8GB", memory: 8 << 30, bytes_per_s: 102e9, flops_per_s: 16.7e12 },
    DeviceRates { device: "Jetson Orin NX 16GB", memory: 16 << 30, bytes_per_s: 102.4e9, flops_per_s: 15.0e12 },
    DeviceRates { device: "Jetson AGX Orin 64GB", memory: 64 << 30, bytes_per_s: 204.8e9, flops_per_s: 42.5e12 },
    DeviceRates { device: "Jetson AGX Thor 128GB", memory: 128 << 30, bytes_per_s: 273e9, flops_per_s: 258e12 },
];

/// The least time that a device's rates allow: no measurement, and no kernel reaches it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roofline {
    /// The device.
    pub device: &'static str,
    /// Whether the weights alone fit into its memory.
    pub weights_fit: bool,
    /// From the views to the first token, milliseconds.
    pub first_token_ms: f64,
    /// The same for another question on the scene, milliseconds.
    pub next_first_token_ms: f64,
    /// Generated tokens a second.
    pub tokens_per_s: f64,
    /// Always true: all of this was computed from published rates.
    pub computed: bool,
}

impl DeviceRates {
    /// Computes it: each part takes its work at the full rate or its weights at the full bandwidth, whichever is longer
    /// (Williams, Waterman and Patterson 2009).
    pub fn roofline(&self, model: &ModelReport) -> Roofline {
        let ms = |flops: u64, bytes: u64| 1e3 * (flops as f64 / self.flops_per_s).max(bytes as f64 / self.bytes_per_s);
        let decode = ms(model.decode_flops, model.decode_bytes);
        let question = model.decode_flops.saturating_mul(model.question_tokens as u64);
        Roofline {
            device: self.device,
            weights_fit: model.weight_bytes() < self.memory,
            first_token_ms: model.parts.iter().map(|part| ms(part.flops, part.bytes)).sum(),
            next_first_token_ms: ms(question, model.decode_bytes),
            tokens_per_s: if decode > 0.0 { 1e3 / decode } else { 0.0 },
            computed: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_work_and_weights_counts() {
        let part = |flops, bytes, ms| PartReport { part: "p", parameters: 1, bytes, flops, ms, share: 0.0 };
        let report = ModelReport {
            parts: vec![part(4_000, 10, 3.0), part(0, 600, 1.0)],
            scene_tokens: 10,
            question_tokens: 4,
            first_token_ms: 0.0,
            next_first_token_ms: 0.0,
            decode_ms: 2.0,
            tokens_per_s: 0.0,
            decode_bytes: 100,
            decode_flops: 500,
        }
        .summed();
        assert_eq!((report.first_token_ms, report.parts[0].share, report.tokens_per_s), (4.0, 0.75, 500.0));
        let rates = DeviceRates { device: "d", memory: 610, bytes_per_s: 1e3, flops_per_s: 1e4 };
        let roofline = rates.roofline(&report);
        // 0.4 s of work, 0.6 s of weights; a token reads 0.1 s of weights; four tokens are 0.2 s of work
        assert_eq!((roofline.first_token_ms, roofline.next_first_token_ms), (1000.0, 200.0));
        assert_eq!((roofline.tokens_per_s, roofline.weights_fit), (10.0, false));
    }
}
