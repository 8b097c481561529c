//! A model's sizes and a number of words in, the work of judging a scene's points by a question out, to be timed.

use burn::tensor::Device;
use burn::tensor::activation::sigmoid;
use vantage_scene::Aabb;

use super::{nano, text};
use crate::config::ModelConfig;
use crate::network::{Network, TextEmbeddings};
use crate::relevance::RelevancePoints;

/// A scene as large as a model reads, and an encoded question about it; random weights.
pub struct RelevanceWork {
    network: Network,
    points: RelevancePoints,
    question: TextEmbeddings,
    device: Device,
}

impl RelevanceWork {
    /// Of a question of so many `tokens`.
    pub fn new(config: &ModelConfig, tokens: usize, device: &Device) -> Self {
        let network = Network::new(config, device);
        let sample = nano::plane(config.point_sample.max_points, config.point_sample.grid_m);
        let (_, features) = network.encode_points(&[&sample], config, device);
        let bounds = Aabb { min: [0.0; 3], max: [6.0, 5.0, 2.5] };
        let points = network.relevance.points(&features, &sample, &bounds, device);
        let question = network.embed_texts(&[text::question(tokens, config.decoder.vocab_size)], device);
        Self { network, points, question, device: device.clone() }
    }

    /// Points of the scene.
    pub fn points(&self) -> usize {
        self.points.count()
    }

    /// Numbers of an embedding.
    pub fn embedding_width(&self) -> usize {
        self.question.text.dims()[1]
    }

    /// How likely each point is what the question is about: all that is computed once a question is encoded.
    pub fn probabilities(&self) -> Vec<f32> {
        let log_odds = self.network.relevance.forward(&self.question.states, &self.points, &[Vec::new()], &self.device);
        sigmoid(log_odds).into_data().iter::<f32>().collect()
    }
}
