//! Texts in, how near they are out: the cosine of their embeddings by a frozen text tower.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use vantage_model::{Network, Tokenizer};

/// Embeddings kept; beyond it the texts are embedded anew each time.
const MOST_KEPT: usize = 1 << 16;

/// Compares texts by the text tower of the network it was made from, which stays as it was then: a reward that the policy could
/// move by moving its own embeddings would be no reward.
pub struct Similarity {
    network: Network,
    tokenizer: Tokenizer,
    device: Device,
    kept: Mutex<HashMap<String, Vec<f32>>>,
}

impl Similarity {
    /// `network` without gradients, on `device`.
    pub fn new(network: Network, tokenizer: Tokenizer, device: Device) -> Self {
        Self { network, tokenizer, device, kept: Mutex::new(HashMap::new()) }
    }

    /// Cosine of `said` and the nearest of `accepted`, from 0 to 1; 0 where there is nothing to compare.
    pub fn nearest(&self, said: &str, accepted: &[String]) -> f64 {
        let Some(own) = self.embedding(said) else { return 0.0 };
        let cosines = accepted.iter().filter_map(|text| {
            let other = self.embedding(text)?;
            Some(own.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum::<f64>())
        });
        cosines.fold(0.0, f64::max).min(1.0)
    }

    /// Of unit length; `None` for a text without tokens.
    fn embedding(&self, text: &str) -> Option<Vec<f32>> {
        let text = text.trim().to_lowercase();
        if let Some(known) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&text) {
            return Some(known.clone());
        }
        let tokens = self.tokenizer.encode(&text).ok().filter(|tokens| !tokens.is_empty())?;
        let embedding = self.network.embed_texts(&[tokens], &self.device).text;
        let embedding: Vec<f32> = embedding.into_data().iter::<f32>().collect();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.insert(text, embedding.clone());
        }
        Some(embedding)
    }
}
