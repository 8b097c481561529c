//! Both towers of a SigLIP checkpoint: image and text vectors in, the logit of every pair out.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::SiglipConfig;
use super::image::SiglipImage;
use super::text::SiglipText;
use crate::weights::WeightReader;

/// A whole checkpoint.
#[derive(Module, Debug)]
pub struct Siglip {
    /// The image tower.
    pub image: SiglipImage,
    /// The text tower.
    pub text: SiglipText,
    logit_scale: Param<Tensor<1>>,
    logit_bias: Param<Tensor<1>>,
}

impl Siglip {
    /// The checkpoint at `reader`.
    pub fn read(config: &SiglipConfig, reader: &WeightReader) -> Self {
        Self {
            image: SiglipImage::read(config, &reader.enter("vision_model")),
            text: SiglipText::read(&config.text_config, &reader.enter("text_model")),
            logit_scale: reader.param("logit_scale", [1]),
            logit_bias: reader.param("logit_bias", [1]),
        }
    }

    /// `images`: `[views, width]`, `texts`: `[texts, width]`, both pooled. Returns `[views, texts]`: the logit that text and
    /// view belong together, each pair for itself (a sigmoid makes it a probability; arXiv 2303.15343, section 3.2).
    pub fn logits(&self, images: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
        let unit = |x: Tensor<2>| {
            let length = x.clone().square().sum_dim(1).sqrt();
            x / length
        };
        let cosines = unit(images).matmul(unit(texts).transpose());
        cosines * self.logit_scale.val().exp().unsqueeze() + self.logit_bias.val().unsqueeze()
    }
}
